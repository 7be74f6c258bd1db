//! Just enough of SPDY/3.1 for `port-forward`: frames, streams and their headers. kubectl sends it through a WebSocket.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// What both ends know of headers already (section 2.6.10.1 of the SPDY/3 draft).
const DICTIONARY: &[u8] = include_bytes!("spdy_dictionary.bin");
/// No client of a `port-forward` sends longer frames, or more headers.
const LONGEST: usize = 1 << 20;

const VERSION: u16 = 3;
const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const FIN: u8 = 1;

/// What a client sends, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A new stream with its headers, whose names are in small letters.
    Open {
        stream: u32,
        headers: Vec<(String, String)>,
    },
    Data {
        stream: u32,
        bytes: Vec<u8>,
        last: bool,
    },
    Reset {
        stream: u32,
    },
    Ping(u32),
    Away,
    Other,
}

/// One end of a connection.
#[derive(Debug)]
pub struct Spdy {
    unread: Vec<u8>,
    inflate: Decompress,
    deflate: Compress,
}

impl Spdy {
    pub fn new() -> Self {
        let mut deflate = Compress::new(Compression::default(), true);
        // Without it, headers only take more room.
        let _ = deflate.set_dictionary(DICTIONARY);
        Self { unread: Vec::new(), inflate: Decompress::new(true), deflate }
    }

    /// Adds what has come.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// The next frame, if there is a whole one; `Err` where it is none.
    pub fn next(&mut self) -> Result<Option<Frame>, ()> {
        let Some(head) = self.unread.first_chunk::<8>().copied() else { return Ok(None) };
        let word = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let length = u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize;
        if length > LONGEST {
            return Err(());
        }
        if self.unread.len() < 8 + length {
            return Ok(None);
        }
        let body: Vec<u8> = self.unread.drain(..8 + length).skip(8).collect();
        if word & 0x8000_0000 == 0 {
            return Ok(Some(Frame::Data { stream: word, bytes: body, last: head[4] & FIN != 0 }));
        }
        let number = |at: usize| {
            let bytes = body.get(at..at + 4).and_then(|bytes| bytes.first_chunk::<4>());
            bytes.map(|bytes| u32::from_be_bytes(*bytes) & 0x7fff_ffff).ok_or(())
        };
        Ok(Some(match u16::from_be_bytes([head[2], head[3]]) {
            SYN_STREAM => {
                let headers = self.headers(body.get(10..).ok_or(())?).ok_or(())?;
                Frame::Open { stream: number(0)?, headers }
            }
            RST_STREAM => Frame::Reset { stream: number(0)? },
            PING => Frame::Ping(number(0)?),
            GOAWAY => Frame::Away,
            _ => Frame::Other,
        }))
    }

    fn headers(&mut self, block: &[u8]) -> Option<Vec<(String, String)>> {
        let text = self.inflated(block)?;
        let count = u32::from_be_bytes(*text.first_chunk()?);
        let mut headers = Vec::new();
        let mut rest = text.get(4..)?;
        let mut word = || {
            let (bytes, after) = rest.split_first_chunk::<4>()?;
            let (word, after) = after.split_at_checked(u32::from_be_bytes(*bytes) as usize)?;
            rest = after;
            Some(String::from_utf8_lossy(word).into_owned())
        };
        for _ in 0..count.min(64) {
            headers.push((word()?, word()?));
        }
        Some(headers)
    }

    /// Header blocks are one compressed stream.
    fn inflated(&mut self, block: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(1024);
        let mut rest = block;
        while !rest.is_empty() {
            if out.len() > LONGEST {
                return None;
            }
            out.reserve(1024);
            let before = self.inflate.total_in();
            let result = self.inflate.decompress_vec(rest, &mut out, FlushDecompress::Sync);
            rest = rest.get(usize::try_from(self.inflate.total_in() - before).ok()?..)?;
            match result {
                Ok(flate2::Status::StreamEnd) => break,
                Ok(flate2::Status::BufError) if out.len() < out.capacity() => break,
                Ok(_) => {}
                Err(error) if error.needs_dictionary().is_some() => {
                    self.inflate.set_dictionary(DICTIONARY).ok()?;
                }
                Err(_) => return None,
            }
        }
        Some(out)
    }

    /// Says yes to a stream.
    pub fn accept(&mut self, stream: u32) -> Vec<u8> {
        let mut block = Vec::with_capacity(64);
        // No headers.
        let _ = self.deflate.compress_vec(&0_u32.to_be_bytes(), &mut block, FlushCompress::Sync);
        control(SYN_REPLY, &[&stream.to_be_bytes()[..], &block].concat())
    }
}

fn control(kind: u16, body: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(body.len()).unwrap_or(0).to_be_bytes();
    let [version_high, version_low] = (0x8000 | VERSION).to_be_bytes();
    let [kind_high, kind_low] = kind.to_be_bytes();
    [&[version_high, version_low, kind_high, kind_low, 0, high, middle, low], body].concat()
}

/// Bytes on a stream; nothing comes after the `last`.
pub fn data(stream: u32, bytes: &[u8], last: bool) -> Vec<u8> {
    let [_, high, middle, low] = u32::try_from(bytes.len()).unwrap_or(0).to_be_bytes();
    [&stream.to_be_bytes()[..], &[u8::from(last) * FIN, high, middle, low], bytes].concat()
}

/// Answers a ping.
pub fn pong(id: u32) -> Vec<u8> {
    control(PING, &id.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a client sends to open a stream.
    fn open(deflate: &mut Compress, stream: u32, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut text = u32::try_from(headers.len()).unwrap().to_be_bytes().to_vec();
        for word in headers.iter().flat_map(|(name, value)| [name, value]) {
            text.extend(u32::try_from(word.len()).unwrap().to_be_bytes());
            text.extend(word.as_bytes());
        }
        let mut block = Vec::with_capacity(1024);
        deflate.compress_vec(&text, &mut block, FlushCompress::Sync).unwrap();
        control(SYN_STREAM, &[&stream.to_be_bytes()[..], &[0; 6], &block].concat())
    }

    #[test]
    fn streams_are_opened_with_headers_of_one_compressed_stream() {
        let mut deflate = Compress::new(Compression::default(), true);
        deflate.set_dictionary(DICTIONARY).unwrap();
        let sent = [
            open(&mut deflate, 1, &[("streamtype", "error"), ("port", "80"), ("requestid", "0")]),
            open(&mut deflate, 3, &[("streamtype", "data"), ("port", "80"), ("requestid", "0")]),
            data(3, b"hello", true),
            pong(7),
        ]
        .concat();
        let mut spdy = Spdy::new();
        let mut frames = Vec::new();
        // However it is cut into pieces.
        for piece in sent.chunks(11) {
            spdy.feed(piece);
            while let Some(frame) = spdy.next().unwrap() {
                frames.push(frame);
            }
        }
        let headers = |kind: &str| {
            [("streamtype", kind), ("port", "80"), ("requestid", "0")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec()
        };
        assert_eq!(
            frames,
            [
                Frame::Open { stream: 1, headers: headers("error") },
                Frame::Open { stream: 3, headers: headers("data") },
                Frame::Data { stream: 3, bytes: b"hello".to_vec(), last: true },
                Frame::Ping(7),
            ]
        );
        assert_eq!(spdy.accept(1)[..8], [0x80, 3, 0, 2, 0, 0, 0, spdy_length(&Spdy::new().accept(1))]);
    }

    fn spdy_length(frame: &[u8]) -> u8 {
        u8::try_from(frame.len() - 8).unwrap()
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut spdy = Spdy::new();
            spdy.feed(&[0x80, 3, 0, 1, 0, 0, 1]);
            spdy.feed(&bytes);
            while let Ok(Some(_)) = spdy.next() {}
        }
    }
}
