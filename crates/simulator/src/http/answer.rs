//! Bodies and responses: whole, in pieces, compressed, cut short.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{Stream, StreamExt, stream};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, VARY, WARNING};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};

use super::negotiate::Format;
use super::render::{self, Pieces};
use super::status::Status;

pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;
pub type Answer = Response<Body>;

/// Lists that are longer than this are compressed where the client accepts it, as the real server does.
const COMPRESS_FROM: usize = 128 * 1024;

pub fn whole(code: u16, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed_unsync();
    respond(code, content_type, body)
}

/// There is nothing, and that is right.
pub fn nothing() -> Answer {
    let mut answer = whole(204, "text/plain", Bytes::new());
    answer.headers_mut().remove(CONTENT_TYPE);
    answer
}

pub fn json(code: u16, value: &serde_json::Value) -> Answer {
    whole(code, "application/json", format!("{value}\n"))
}

pub fn failure(status: &Status, format: Format) -> Answer {
    let mut answer = whole(status.code, format.content_type(false), render::status(status, format));
    if let Some(seconds) = status.retry_after_s() {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    warn(&mut answer, &status.warnings);
    answer
}

/// No answer: the connection ends.
pub fn dropped() -> Answer {
    let error = Err::<Frame<Bytes>, _>(std::io::ErrorKind::ConnectionAborted.into());
    respond(200, "text/plain", BodyExt::boxed_unsync(StreamBody::new(stream::iter([error]))))
}

/// Adds warnings, which kubectl prints (RFC 7234, code 299).
pub fn warn(answer: &mut Answer, warnings: &[String]) {
    for warning in warnings {
        let quoted = format!("299 - \"{}\"", warning.replace('\\', "\\\\").replace('"', "\\\""));
        if let Ok(value) = HeaderValue::from_str(&quoted) {
            answer.headers_mut().append(WARNING, value);
        }
    }
}

/// Nothing of the API is at this path.
pub fn no_page() -> Answer {
    whole(404, "text/plain; charset=utf-8", "404 page not found\n")
}

/// The connection becomes a WebSocket.
pub fn switching(accept: &str, protocol: &str) -> Answer {
    let mut answer = whole(101, "text/plain", Bytes::new());
    let headers = answer.headers_mut();
    headers.remove(CONTENT_TYPE);
    for (name, value) in [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-accept", accept),
        ("sec-websocket-protocol", protocol),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    answer
}

/// A body that comes piece by piece.
pub fn streamed(
    content_type: &'static str,
    pieces: impl Stream<Item = Bytes> + Send + 'static,
    cut: Option<u64>,
) -> Answer {
    respond(200, content_type, boxed(pieces, cut))
}

/// A list: whole when it is short, in pieces and compressed when it is long.
pub fn list(content_type: &'static str, mut pieces: Pieces, gzip: bool, cut: Option<u64>) -> Answer {
    let mut head = Vec::new();
    let mut length = 0;
    while length <= COMPRESS_FROM {
        let Some(piece) = pieces.next() else {
            let body: Vec<u8> = head.concat();
            let mut answer = match cut {
                Some(_) => streamed(content_type, stream::iter([body.into()]), cut),
                None => whole(200, content_type, body),
            };
            vary(&mut answer);
            return answer;
        };
        length += piece.len();
        head.push(piece);
    }
    let pieces = head.into_iter().chain(pieces);
    let mut answer = if gzip {
        let mut answer = streamed(content_type, stream::iter(Gzip::new(pieces)), cut);
        answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        answer
    } else {
        streamed(content_type, stream::iter(pieces), cut)
    };
    vary(&mut answer);
    answer
}

fn vary(answer: &mut Answer) {
    answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
}

fn respond(code: u16, content_type: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert("cache-control", HeaderValue::from_static("no-cache, private"));
    answer
}

/// `cut`: the connection ends after so many bytes.
fn boxed(pieces: impl Stream<Item = Bytes> + Send + 'static, cut: Option<u64>) -> Body {
    let Some(cut) = cut else {
        return BodyExt::boxed_unsync(StreamBody::new(pieces.map(|piece| Ok(Frame::data(piece)))));
    };
    let frames = pieces.map(Some).chain(stream::once(async { None })).scan(cut, |left, piece| {
        let frames: Vec<std::io::Result<Frame<Bytes>>> = match piece {
            Some(mut piece) if piece.len() as u64 >= *left => {
                piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left = 0;
                // hyper flushes what it has when the body pauses, and drops it when the body fails at once.
                vec![Ok(Frame::data(piece)), Err(std::io::ErrorKind::ConnectionAborted.into())]
            }
            Some(piece) => {
                *left -= piece.len() as u64;
                vec![Ok(Frame::data(piece))]
            }
            None => Vec::new(),
        };
        std::future::ready(Some(stream::iter(frames)))
    });
    let frames = frames.flatten().then(|frame| async {
        if frame.is_err() {
            tokio::task::yield_now().await;
        }
        frame
    });
    BodyExt::boxed_unsync(StreamBody::new(frames))
}

/// Compresses pieces as they pass.
struct Gzip<I> {
    pieces: I,
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl<I: Iterator<Item = Bytes>> Gzip<I> {
    fn new(pieces: I) -> Self {
        // Level 1, as the real server does (`defaultGzipContentEncodingLevel`).
        Self { pieces, encoder: Some(GzEncoder::new(Vec::new(), Compression::new(1))) }
    }
}

impl<I: Iterator<Item = Bytes>> Iterator for Gzip<I> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        loop {
            let encoder = self.encoder.as_mut()?;
            let Some(piece) = self.pieces.next() else {
                return self.encoder.take()?.finish().ok().map(Bytes::from);
            };
            encoder.write_all(&piece).ok()?;
            if !encoder.get_ref().is_empty() {
                return Some(std::mem::take(encoder.get_mut()).into());
            }
        }
    }
}
