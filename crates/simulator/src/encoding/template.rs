//! Messages with holes: most of a pod is the same for all pods of its workload, so it is encoded once per workload and
//! state, and a pod is a few numbers that fill the holes.
//!
//! A hole is a character of Unicode's private use area inside a JSON string. Where the field is a number or a time, the
//! hole must be the whole string. Owns writing; knows nothing of what the holes mean to a pod or a node.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::wire;

/// What differs between two objects of one template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hole {
    Name,
    Uid,
    Version,
    Created,
    Deleted,
    Node,
    HostIp,
    Ip,
    /// When the state began: the latest transition of a condition, the latest change of the status.
    Changed,
    /// When containers started that have not restarted since the pod began.
    Started,
    /// When the containers of the current try started, ended, and those of the one before.
    TryStarted,
    TryFinished,
    LastStarted,
    Restarts,
    Ordinal,
    Suffix,
    Heartbeat,
    Instance,
    Machine,
    SystemUuid,
    /// The NodeClaim that a node comes from, and its uid.
    Claim,
    ClaimUid,
    /// Why no node takes the pod.
    Message,
    /// How long the kubelet waits before it tries again.
    BackOff,
    /// Seconds that a deleted pod has left to end.
    Grace,
    /// The container's id; of the one before it.
    Container(u8),
    LastContainer(u8),
}

const FIRST: u32 = 0xE000;
const CONTAINERS: u32 = 0xE100;
const LAST_CONTAINERS: u32 = 0xE200;
const PLAIN: [Hole; 25] = [
    Hole::Name,
    Hole::Uid,
    Hole::Version,
    Hole::Created,
    Hole::Deleted,
    Hole::Node,
    Hole::HostIp,
    Hole::Ip,
    Hole::Changed,
    Hole::Started,
    Hole::TryStarted,
    Hole::TryFinished,
    Hole::LastStarted,
    Hole::Restarts,
    Hole::Ordinal,
    Hole::Suffix,
    Hole::Heartbeat,
    Hole::Instance,
    Hole::Machine,
    Hole::SystemUuid,
    Hole::Message,
    Hole::BackOff,
    Hole::Grace,
    Hole::Claim,
    Hole::ClaimUid,
];

impl Hole {
    /// The character that stands for the hole in a template's JSON.
    pub fn mark(self) -> char {
        let code = match self {
            Self::Container(at) => CONTAINERS + u32::from(at),
            Self::LastContainer(at) => LAST_CONTAINERS + u32::from(at),
            plain => (FIRST..).zip(PLAIN).find(|(_, hole)| *hole == plain).map_or(FIRST, |(code, _)| code),
        };
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    fn from_mark(mark: char) -> Option<Self> {
        let code = u32::from(mark);
        match code {
            LAST_CONTAINERS..=0xE2FF => u8::try_from(code - LAST_CONTAINERS).ok().map(Self::LastContainer),
            CONTAINERS..LAST_CONTAINERS => u8::try_from(code - CONTAINERS).ok().map(Self::Container),
            FIRST..CONTAINERS => PLAIN.get((code - FIRST) as usize).copied(),
            _ => None,
        }
    }

    /// The hole that is the whole of `text`.
    pub fn whole(text: &str) -> Option<Self> {
        let mut characters = text.chars();
        let hole = Self::from_mark(characters.next()?)?;
        characters.next().is_none().then_some(hole)
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Restarts | Self::Grace)
    }
}

impl std::fmt::Display for Hole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_char(self.mark())
    }
}

impl From<Hole> for Value {
    fn from(hole: Hole) -> Self {
        Self::String(hole.mark().to_string())
    }
}

impl serde::Serialize for Hole {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_char(self.mark())
    }
}

/// What goes into a hole.
#[derive(Debug, Clone, Copy)]
pub enum Filling<'a> {
    Text(&'a str),
    Short(Short),
    Number(i64),
    /// Seconds since 1970.
    Time(i64),
}

/// Up to 64 bytes of text made on the spot: ids and addresses.
#[derive(Debug, Clone, Copy)]
pub struct Short {
    bytes: [u8; 64],
    length: u8,
}

impl Short {
    /// What does not fit is cut off: ids and addresses never come near the end.
    pub fn new(text: std::fmt::Arguments<'_>) -> Self {
        let mut short = Self { bytes: [0; 64], length: 0 };
        let _ = short.write_fmt(text);
        short
    }

    /// Dotted, by hand: a pod's status has half a dozen of them.
    pub fn address(ip: u32) -> Self {
        let mut short = Self { bytes: [b'.'; 64], length: 0 };
        for (place, byte) in ip.to_be_bytes().into_iter().enumerate() {
            short.length += u8::from(place > 0);
            for (unit, shown) in [(100, byte >= 100), (10, byte >= 10), (1, true)] {
                if shown {
                    short.bytes[usize::from(short.length)] = b'0' + byte / unit % 10;
                    short.length += 1;
                }
            }
        }
        short
    }

    pub fn hex(words: &[u64]) -> Self {
        let mut short = Self { bytes: [0; 64], length: 0 };
        for (pair, byte) in short.bytes.chunks_exact_mut(2).zip(words.iter().flat_map(|word| word.to_be_bytes())) {
            pair.copy_from_slice(&digits(byte));
            short.length += 2;
        }
        short
    }

    /// As `8-4-4-4-12`.
    pub fn uuid(id: u128) -> Self {
        let mut short = Self { bytes: [b'-'; 64], length: 36 };
        let mut at = 0;
        for (index, byte) in id.to_be_bytes().into_iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                at += 1;
            }
            short.bytes[at..at + 2].copy_from_slice(&digits(byte));
            at += 2;
        }
        short
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl std::fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for byte in text.bytes() {
            *self.bytes.get_mut(usize::from(self.length)).ok_or(std::fmt::Error)? = byte;
            self.length += 1;
        }
        Ok(())
    }
}

fn digits(byte: u8) -> [u8; 2] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]
}

/// RFC 3339 with whole seconds, as the API writes times.
pub fn rfc3339(seconds: i64) -> String {
    Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}

/// The civil date is the costly part of a time: computed by hand, because it is written a dozen times per pod.
fn short_time(seconds: i64) -> Short {
    // Howard Hinnant's `civil_from_days`.
    let days = seconds.div_euclid(86_400) + 719_468;
    let of_day = seconds.rem_euclid(86_400);
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let mut short = Short { bytes: *b"0000-00-00T00:00:00Z............................................", length: 20 };
    for (at, width, value) in [
        (0, 4, year),
        (5, 2, month),
        (8, 2, day),
        (11, 2, of_day / 3600),
        (14, 2, of_day / 60 % 60),
        (17, 2, of_day % 60),
    ] {
        let mut rest = value;
        for place in short.bytes[at..at + width].iter_mut().rev() {
            *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
    }
    short
}

/// Knows what goes into the holes of its template.
pub trait Fill {
    fn fill(&self, hole: Hole) -> Filling<'_>;
}

impl Filling<'_> {
    fn text_length(&self) -> usize {
        match self {
            Filling::Text(text) => text.len(),
            Filling::Short(short) => usize::from(short.length),
            Filling::Number(number) => Short::new(format_args!("{number}")).as_str().len(),
            Filling::Time(_) => 20,
        }
    }

    fn write_text(&self, out: &mut Vec<u8>) {
        match self {
            Filling::Text(text) => out.extend_from_slice(text.as_bytes()),
            Filling::Short(short) => out.extend_from_slice(short.as_str().as_bytes()),
            Filling::Number(number) => out.extend_from_slice(Short::new(format_args!("{number}")).as_str().as_bytes()),
            Filling::Time(time) => out.extend_from_slice(short_time(*time).as_str().as_bytes()),
        }
    }

    #[allow(clippy::cast_sign_loss)] // Protobuf writes negative numbers as their two's complement.
    fn number(&self) -> u64 {
        match self {
            Filling::Number(number) | Filling::Time(number) => *number as u64,
            Filling::Text(_) | Filling::Short(_) => 0,
        }
    }
}

/// A piece of an encoded message.
#[derive(Debug)]
pub enum Segment {
    Static(Box<[u8]>),
    Text(Hole),
    Varint(Hole),
    /// A length-delimited field; the tag comes encoded.
    Nested(Box<[u8]>, Vec<Segment>),
    /// What many templates have in common.
    Shared(Arc<Encoded>),
}

/// An encoded message with holes.
#[derive(Debug, Default)]
pub struct Encoded(Vec<Segment>);

impl Encoded {
    pub fn new(segments: Vec<Segment>) -> Self {
        Self(segments)
    }

    /// JSON, whole or a part of it.
    pub fn json_text(text: &str) -> Self {
        let mut segments = split(text);
        // A number's hole stands in quotes, which are not part of the number.
        for at in 0..segments.len() {
            if !matches!(segments[at], Segment::Text(hole) if hole.is_number()) {
                continue;
            }
            if let Some(Segment::Static(before)) = at.checked_sub(1).and_then(|before| segments.get_mut(before)) {
                *before = before.strip_suffix(b"\"").unwrap_or(before).into();
            }
            if let Some(Segment::Static(after)) = segments.get_mut(at + 1) {
                *after = after.strip_prefix(b"\"").unwrap_or(after).into();
            }
        }
        Self(segments)
    }

    /// Plain text with holes in it.
    pub fn text(text: &str) -> Self {
        Self(split(text))
    }

    pub fn into_segments(self) -> Vec<Segment> {
        self.0
    }

    /// Writes the message with its holes filled.
    pub fn write(&self, fill: &dyn Fill, out: &mut Vec<u8>) {
        self.write_after(fill, |_, _| {}, out);
    }

    /// Writes what `head` makes of the length of the message, and then the message.
    pub fn write_after(&self, fill: &dyn Fill, head: impl FnOnce(usize, &mut Vec<u8>), out: &mut Vec<u8>) {
        let mut lengths = Vec::with_capacity(64);
        let length = measure(&self.0, fill, &mut lengths);
        head(length, out);
        write(&self.0, fill, &mut lengths.iter(), out);
    }

    /// The number of bytes that `write` writes.
    pub fn length(&self, fill: &dyn Fill) -> usize {
        measure(&self.0, fill, &mut Vec::new())
    }
}

/// Cuts a text at its holes.
pub fn split(text: &str) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut rest = text;
    while let Some((at, mark, hole)) =
        rest.char_indices().find_map(|(at, mark)| Hole::from_mark(mark).map(|hole| (at, mark, hole)))
    {
        if at > 0 {
            segments.push(Segment::Static(rest.as_bytes()[..at].into()));
        }
        segments.push(Segment::Text(hole));
        rest = &rest[at + mark.len_utf8()..];
    }
    if !rest.is_empty() {
        segments.push(Segment::Static(rest.as_bytes().into()));
    }
    segments
}

/// The length of `segments`; notes the lengths of the nested ones in the order in which `write` meets them.
fn measure(segments: &[Segment], fill: &dyn Fill, lengths: &mut Vec<usize>) -> usize {
    let mut total = 0;
    for segment in segments {
        total += match segment {
            Segment::Static(bytes) => bytes.len(),
            Segment::Text(hole) => fill.fill(*hole).text_length(),
            Segment::Varint(hole) => wire::varint_length(fill.fill(*hole).number()),
            Segment::Nested(tag, body) => {
                let at = lengths.len();
                lengths.push(0);
                let length = measure(body, fill, lengths);
                lengths[at] = length;
                tag.len() + wire::varint_length(length as u64) + length
            }
            Segment::Shared(shared) => measure(&shared.0, fill, lengths),
        };
    }
    total
}

fn write(segments: &[Segment], fill: &dyn Fill, lengths: &mut std::slice::Iter<'_, usize>, out: &mut Vec<u8>) {
    for segment in segments {
        match segment {
            Segment::Static(bytes) => out.extend_from_slice(bytes),
            Segment::Text(hole) => fill.fill(*hole).write_text(out),
            Segment::Varint(hole) => wire::varint(fill.fill(*hole).number(), out),
            Segment::Nested(tag, body) => {
                out.extend_from_slice(tag);
                wire::varint(lengths.next().copied().unwrap_or(0) as u64, out);
                write(body, fill, lengths, out);
            }
            Segment::Shared(shared) => write(&shared.0, fill, lengths, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_jiff_writes_it() {
        for seconds in [0, 951_782_399, 951_782_400, 1_709_164_800, 1_772_323_199, 1_795_219_200, 4_102_444_799] {
            assert_eq!(short_time(seconds).as_str(), rfc3339(seconds));
        }
    }

    #[test]
    fn every_hole_is_found_by_its_mark() {
        for hole in PLAIN.into_iter().chain([Hole::Container(0), Hole::Container(7), Hole::LastContainer(3)]) {
            assert_eq!(Hole::whole(&hole.to_string()), Some(hole));
        }
        assert_eq!(Hole::whole("x"), None);
        for ip in ["0.10.99.255", "100.64.0.1"] {
            assert_eq!(Short::address(ip.parse::<std::net::Ipv4Addr>().unwrap().into()).as_str(), ip);
        }
        assert_eq!(
            Short::uuid(0x0123_4567_89ab_cdef_0011_2233_4455_6677).as_str(),
            "01234567-89ab-cdef-0011-223344556677"
        );
    }
}
