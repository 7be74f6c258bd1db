//! How Kubernetes frames what it sends: watch events and lists, protobuf and JSON, cut into objects as the bytes come.
//! Nothing here knows a kind. Every length is checked: what comes from outside may be garbage.
//!
//! Formats: `k8s.io/apimachinery/pkg/util/framer` (4-byte big-endian length), `runtime/serializer/protobuf` (the
//! `k8s\0` envelope with `runtime.Unknown`), `meta/v1/generated.proto` (WatchEvent, ListMeta, Status).

use bytes::{Buf, Bytes, BytesMut};
use prost::Message;
use serde::Deserialize;
use serde_json::value::RawValue;

pub use list::{ListFrames, ListMeta};

use crate::kinds::Encoding;

mod list;

/// An object of more bytes than this is refused: etcd takes 1.5 MB, and a length from a broken stream may say anything.
pub const LARGEST_OBJECT: usize = 64 << 20;

/// At most so much room is made for an object before it comes: hardly any is larger, and its length is only a claim.
const RESERVED: usize = 2 << 20;

const MAGIC: &[u8] = b"k8s\0";

/// The stream is not what it claims to be; it has to be started again.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WireError {
    #[error("a frame of {0} bytes, more than any object has")]
    TooLarge(usize),
    #[error("the stream ends in the middle of a frame")]
    Truncated,
    #[error("not Kubernetes protobuf: {0}")]
    Protobuf(String),
    #[error("not a JSON watch event: {0}")]
    Json(String),
    #[error("an event of unknown type {0:?}")]
    EventType(String),
}

/// What a watch event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

/// One watch event; the object is the inner protobuf message or the JSON object.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub event: EventType,
    pub object: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct WatchEvent {
    #[prost(bytes = "bytes", tag = "1")]
    event: Bytes,
    #[prost(message, tag = "2")]
    object: Option<RawExtension>,
}

#[derive(Clone, PartialEq, Message)]
struct RawExtension {
    #[prost(bytes = "bytes", tag = "1")]
    raw: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct Unknown {
    #[prost(bytes = "bytes", tag = "2")]
    raw: Bytes,
}

#[derive(Deserialize)]
struct JsonEvent<'a> {
    r#type: &'a str,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
}

/// Takes the `k8s\0` envelope off an object.
pub fn unwrap_object(mut bytes: Bytes) -> Result<Bytes, WireError> {
    if !bytes.starts_with(MAGIC) {
        return Err(WireError::Protobuf("the k8s envelope is missing".to_owned()));
    }
    bytes.advance(MAGIC.len());
    Ok(Unknown::decode(bytes).map_err(protobuf)?.raw)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn protobuf(error: prost::DecodeError) -> WireError {
    WireError::Protobuf(error.to_string())
}

/// Cuts a watch stream into events. What is unfinished stays until more comes.
#[derive(Debug)]
pub struct WatchFrames {
    encoding: Encoding,
    buffer: BytesMut,
    /// How far the unfinished JSON line has been searched for its end.
    searched: usize,
}

impl WatchFrames {
    pub fn new(encoding: Encoding) -> Self {
        Self { encoding, buffer: BytesMut::new(), searched: 0 }
    }

    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole event, if there is one.
    pub fn next_event(&mut self) -> Result<Option<Event>, WireError> {
        match self.encoding {
            Encoding::Protobuf => self.next_protobuf(),
            Encoding::Json => self.next_json(),
        }
    }

    /// Whether the stream may end here: nothing is unfinished.
    pub fn at_boundary(&self) -> bool {
        match self.encoding {
            Encoding::Protobuf => self.buffer.is_empty(),
            Encoding::Json => self.buffer.iter().all(u8::is_ascii_whitespace),
        }
    }

    fn next_protobuf(&mut self) -> Result<Option<Event>, WireError> {
        let Some(length) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if length > LARGEST_OBJECT {
            return Err(WireError::TooLarge(length));
        }
        if self.buffer.len() < 4 + length {
            self.buffer.reserve((4 + length - self.buffer.len()).min(RESERVED));
            return Ok(None);
        }
        self.buffer.advance(4);
        let frame = WatchEvent::decode(self.buffer.split_to(length).freeze()).map_err(protobuf)?;
        let event = event_type(&frame.event)?;
        let object = unwrap_object(frame.object.unwrap_or_default().raw)?;
        Ok(Some(Event { event, object }))
    }

    fn next_json(&mut self) -> Result<Option<Event>, WireError> {
        loop {
            let Some(end) = memchr::memchr(b'\n', &self.buffer[self.searched..]) else {
                self.searched = self.buffer.len();
                if self.searched > LARGEST_OBJECT {
                    return Err(WireError::TooLarge(self.searched));
                }
                return Ok(None);
            };
            let line = self.buffer.split_to(self.searched + end + 1).freeze();
            self.searched = 0;
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let frame: JsonEvent<'_> =
                serde_json::from_slice(&line).map_err(|error| WireError::Json(error.to_string()))?;
            let event = event_type(frame.r#type.as_bytes())?;
            let object = frame.object.map_or(Bytes::new(), |object| line.slice_ref(object.get().as_bytes()));
            return Ok(Some(Event { event, object }));
        }
    }
}

fn event_type(text: &[u8]) -> Result<EventType, WireError> {
    Ok(match text {
        b"ADDED" => EventType::Added,
        b"MODIFIED" => EventType::Modified,
        b"DELETED" => EventType::Deleted,
        b"BOOKMARK" => EventType::Bookmark,
        b"ERROR" => EventType::Error,
        other => return Err(WireError::EventType(String::from_utf8_lossy(&other[..other.len().min(40)]).into_owned())),
    })
}

/// `metav1.Status`: how the server says no, as a body or as an ERROR event.
#[derive(Clone, PartialEq, Eq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    #[prost(string, tag = "3")]
    pub message: String,
    #[prost(string, tag = "4")]
    pub reason: String,
    #[prost(int32, tag = "6")]
    pub code: i32,
}

impl Status {
    pub fn read(encoding: Encoding, object: Bytes) -> Self {
        let read = match encoding {
            Encoding::Protobuf => Self::decode(object).ok(),
            Encoding::Json => serde_json::from_slice(&object).ok(),
        };
        read.unwrap_or_else(|| Self { message: "an error that cannot be read".to_owned(), ..Self::default() })
    }
}

/// What a bookmark says: how far the watch is, and whether the initial events have all been sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bookmark {
    pub resource_version: String,
    pub initial_events_end: bool,
}

const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
struct BookmarkObject {
    #[prost(message, tag = "1")]
    metadata: Option<BookmarkMeta>,
    /// A Table watch's bookmark carries a row without cells; the annotation sits on its object.
    #[prost(message, repeated, tag = "15")]
    rows: Vec<BookmarkRow>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(default)]
struct BookmarkRow {
    #[prost(message, boxed, tag = "1")]
    object: Option<Box<BookmarkObject>>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BookmarkMeta {
    #[prost(string, tag = "6")]
    resource_version: String,
    #[prost(map = "string, string", tag = "12")]
    annotations: std::collections::HashMap<String, String>,
}

impl Bookmark {
    pub fn read(encoding: Encoding, object: Bytes) -> Result<Self, WireError> {
        let object = match encoding {
            Encoding::Protobuf => BookmarkObject::decode(object).map_err(protobuf)?,
            Encoding::Json => serde_json::from_slice(&object).map_err(|error| WireError::Json(error.to_string()))?,
        };
        let inner = object.rows.into_iter().next().and_then(|row| row.object).and_then(|object| object.metadata);
        let outer = object.metadata.unwrap_or_default();
        let inner = inner.unwrap_or_default();
        let ended = |meta: &BookmarkMeta| meta.annotations.get(INITIAL_EVENTS_END).is_some_and(|end| end == "true");
        Ok(Self {
            initial_events_end: ended(&outer) || ended(&inner),
            resource_version: if outer.resource_version.is_empty() {
                inner.resource_version
            } else {
                outer.resource_version
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(event: &str, object: &[u8]) -> Vec<u8> {
        let mut raw = MAGIC.to_vec();
        raw.extend(Unknown { raw: Bytes::copy_from_slice(object) }.encode_to_vec());
        let body = WatchEvent {
            event: Bytes::copy_from_slice(event.as_bytes()),
            object: Some(RawExtension { raw: raw.into() }),
        }
        .encode_to_vec();
        let mut bytes = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend(body);
        bytes
    }

    fn events(frames: &mut WatchFrames) -> Vec<Event> {
        std::iter::from_fn(|| frames.next_event().unwrap()).collect()
    }

    #[test]
    fn protobuf_frames_come_out_whole_however_they_are_cut() {
        let mut bytes = frame("ADDED", b"one");
        bytes.extend(frame("DELETED", b"two"));
        for cut in 0..bytes.len() {
            let mut frames = WatchFrames::new(Encoding::Protobuf);
            frames.push(&bytes[..cut]);
            let mut seen = events(&mut frames);
            assert_eq!(frames.at_boundary(), cut == 0 || cut == bytes.len() / 2 - 1 || frames.buffer.is_empty());
            frames.push(&bytes[cut..]);
            seen.extend(events(&mut frames));
            assert_eq!(
                seen,
                [
                    Event { event: EventType::Added, object: Bytes::from_static(b"one") },
                    Event { event: EventType::Deleted, object: Bytes::from_static(b"two") },
                ]
            );
            assert!(frames.at_boundary());
        }
    }

    #[test]
    fn json_lines_come_out_whole_however_they_are_cut() {
        let bytes = b"{\"type\":\"ADDED\",\"object\":{\"a\":1}}\n\n{\"type\":\"BOOKMARK\",\"object\":{}}\n";
        for cut in 0..bytes.len() {
            let mut frames = WatchFrames::new(Encoding::Json);
            frames.push(&bytes[..cut]);
            let mut seen = events(&mut frames);
            frames.push(&bytes[cut..]);
            seen.extend(events(&mut frames));
            assert_eq!(seen.len(), 2, "cut at {cut}");
            assert_eq!(&seen[0].object[..], b"{\"a\":1}");
        }
    }

    #[test]
    fn a_length_is_only_a_claim() {
        let most = 2 * RESERVED;
        let mut frames = WatchFrames::new(Encoding::Protobuf);
        frames.push(&u32::try_from(LARGEST_OBJECT).unwrap().to_be_bytes());
        assert_eq!(frames.next_event(), Ok(None));
        assert!(frames.buffer.capacity() < most, "{}", frames.buffer.capacity());
        assert!(!frames.at_boundary());
    }

    #[test]
    fn white_space_is_no_end_of_a_protobuf_stream() {
        let mut frames = WatchFrames::new(Encoding::Protobuf);
        frames.push(b" ");
        assert!(!frames.at_boundary());
        let mut frames = WatchFrames::new(Encoding::Json);
        frames.push(b" \n");
        assert!(frames.at_boundary());
    }

    #[test]
    fn garbage_is_an_error_and_not_a_panic() {
        let mut frames = WatchFrames::new(Encoding::Protobuf);
        frames.push(b"HTTP/1.1 502 Bad Gateway");
        assert_eq!(frames.next_event(), Err(WireError::TooLarge(0x4854_5450)));
        let mut frames = WatchFrames::new(Encoding::Protobuf);
        frames.push(&[0, 0, 0, 3, 1, 2, 3]);
        assert!(matches!(frames.next_event(), Err(WireError::Protobuf(_))));
        let mut frames = WatchFrames::new(Encoding::Json);
        frames.push(b"<html>\n");
        assert!(matches!(frames.next_event(), Err(WireError::Json(_))));
        let mut frames = WatchFrames::new(Encoding::Protobuf);
        frames.push(&frame("EXPLODED", b""));
        assert_eq!(frames.next_event(), Err(WireError::EventType("EXPLODED".to_owned())));
    }

    #[test]
    fn bookmarks_of_both_encodings_say_where_the_initial_events_end() {
        let json =
            br#"{"kind":"Pod","metadata":{"resourceVersion":"5","annotations":{"k8s.io/initial-events-end":"true"}}}"#;
        let table = br#"{"kind":"Table","metadata":{},"rows":[{"cells":[],"object":{"metadata":{"resourceVersion":"6","annotations":{"k8s.io/initial-events-end":"true"}}}}]}"#;
        let read = |object: &'static [u8]| Bookmark::read(Encoding::Json, Bytes::from_static(object)).unwrap();
        assert_eq!(read(json), Bookmark { resource_version: "5".to_owned(), initial_events_end: true });
        assert_eq!(read(table), Bookmark { resource_version: "6".to_owned(), initial_events_end: true });
        let meta = BookmarkMeta {
            resource_version: "8".to_owned(),
            annotations: [(INITIAL_EVENTS_END.to_owned(), "true".to_owned())].into(),
        };
        let object = BookmarkObject { metadata: Some(meta), rows: Vec::new() }.encode_to_vec();
        let bookmark = Bookmark::read(Encoding::Protobuf, object.into()).unwrap();
        assert_eq!(bookmark, Bookmark { resource_version: "8".to_owned(), initial_events_end: true });
    }
}
