//! Lists, cut into their items while they arrive: a page of any size needs the memory of one item.

use bytes::{Buf, Bytes, BytesMut};
use prost::Message;
use serde::{Deserialize, de::IgnoredAny};

use super::{LARGEST_OBJECT, MAGIC, RESERVED, WireError, protobuf};
use crate::kinds::Encoding;

/// Where a list stands: `metadata` of a List object.
#[derive(Clone, PartialEq, Eq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListMeta {
    #[prost(string, tag = "2")]
    pub resource_version: String,
    /// The token for the next page; empty on the last.
    #[prost(string, tag = "3")]
    pub r#continue: String,
    #[prost(int64, optional, tag = "4")]
    pub remaining_item_count: Option<i64>,
}

impl ListMeta {
    /// What a whole JSON list says of itself.
    pub fn of_json(list: &[u8]) -> Result<Self, WireError> {
        Ok(Frame::read(list)?.metadata)
    }
}

/// Cuts a list into its items; what is unfinished stays until more comes.
#[derive(Debug)]
pub enum ListFrames {
    Protobuf(ProtobufList),
    Json(JsonList),
}

impl ListFrames {
    pub fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Protobuf => Self::Protobuf(ProtobufList::default()),
            Encoding::Json => Self::Json(JsonList::default()),
        }
    }

    pub fn push(&mut self, chunk: &[u8]) {
        match self {
            Self::Protobuf(list) => list.buffer.extend_from_slice(chunk),
            Self::Json(list) => list.buffer.extend_from_slice(chunk),
        }
    }

    /// The next whole item, if there is one.
    pub fn next_item(&mut self) -> Result<Option<Bytes>, WireError> {
        match self {
            Self::Protobuf(list) => list.next_item(),
            Self::Json(list) => list.next_item(),
        }
    }

    /// Whether the whole list has been seen.
    pub fn is_complete(&self) -> bool {
        match self {
            Self::Protobuf(list) => list.is_complete(),
            Self::Json(list) => list.end,
        }
    }

    /// What the list says of itself; all of it once it is complete.
    pub fn meta(&self) -> &ListMeta {
        match self {
            Self::Protobuf(list) => &list.meta,
            Self::Json(list) => &list.meta,
        }
    }
}

/// A list in its `k8s\0` envelope.
#[derive(Debug, Default)]
pub struct ProtobufList {
    buffer: BytesMut,
    state: ListState,
    meta: ListMeta,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum ListState {
    #[default]
    Magic,
    /// In `Unknown`, before its `raw`.
    Envelope,
    /// In the list, with this many of its bytes to come.
    List(usize),
    /// After the list.
    Tail,
}

impl ProtobufList {
    /// Whether the whole list has been seen.
    fn is_complete(&self) -> bool {
        match self.state {
            ListState::List(left) => left == 0,
            ListState::Tail => true,
            ListState::Magic | ListState::Envelope => false,
        }
    }

    /// The next whole item, if there is one.
    fn next_item(&mut self) -> Result<Option<Bytes>, WireError> {
        loop {
            match self.state {
                ListState::Magic => {
                    if self.buffer.len() < MAGIC.len() {
                        return Ok(None);
                    }
                    if !self.buffer.starts_with(MAGIC) {
                        return Err(WireError::Protobuf("the k8s envelope is missing".to_owned()));
                    }
                    self.buffer.advance(MAGIC.len());
                    self.state = ListState::Envelope;
                }
                ListState::Envelope => {
                    let Some((tag, length, header)) = self.field()? else { return Ok(None) };
                    if tag == 2 {
                        self.buffer.advance(header);
                        self.state = ListState::List(length);
                        continue;
                    }
                    if length > LARGEST_OBJECT {
                        return Err(WireError::TooLarge(length));
                    }
                    if self.buffer.len() < header + length {
                        return Ok(None);
                    }
                    self.buffer.advance(header + length);
                }
                ListState::List(0) => self.state = ListState::Tail,
                ListState::List(left) => {
                    let Some((tag, length, header)) = self.field()? else { return Ok(None) };
                    if length > LARGEST_OBJECT {
                        return Err(WireError::TooLarge(length));
                    }
                    let whole = header + length;
                    let left = left
                        .checked_sub(whole)
                        .ok_or_else(|| WireError::Protobuf("an item reaches beyond its list".to_owned()))?;
                    if self.buffer.len() < whole {
                        self.buffer.reserve((whole - self.buffer.len()).min(RESERVED));
                        return Ok(None);
                    }
                    self.buffer.advance(header);
                    let bytes = self.buffer.split_to(length).freeze();
                    self.state = ListState::List(left);
                    match tag {
                        1 => self.meta = ListMeta::decode(bytes).map_err(protobuf)?,
                        2 => return Ok(Some(bytes)),
                        _ => {}
                    }
                }
                ListState::Tail => {
                    self.buffer.clear();
                    return Ok(None);
                }
            }
        }
    }

    /// Number and length of the length-delimited field at the start of the buffer, and the size of its header.
    fn field(&self) -> Result<Option<(u32, usize, usize)>, WireError> {
        let Some((key, key_size)) = varint(&self.buffer)? else { return Ok(None) };
        let (number, wire_type) = (key >> 3, key & 7);
        if wire_type != 2 {
            return Err(WireError::Protobuf(format!("wire type {wire_type} where an object belongs")));
        }
        let Some((length, length_size)) = varint(&self.buffer[key_size..])? else { return Ok(None) };
        let length = usize::try_from(length).map_err(|_| WireError::TooLarge(usize::MAX))?;
        Ok(Some((u32::try_from(number).unwrap_or(0), length, key_size + length_size)))
    }
}

/// A varint and its size; `None` while it is unfinished.
fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, WireError> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() >= 10 { Err(WireError::Protobuf("a number without an end".to_owned())) } else { Ok(None) }
}

/// A list as JSON. Only strings and brackets are looked at: an item is read by whoever takes it, and what is around the
/// items when the list ends.
#[derive(Debug, Default)]
pub struct JsonList {
    /// The item that has begun, and what has not been looked at.
    buffer: BytesMut,
    /// How far the buffer has been looked at.
    at: usize,
    /// Where in the buffer an item began.
    item: Option<usize>,
    /// The list without its items: a digit stands for each.
    frame: Vec<u8>,
    /// How many there were.
    items: usize,
    /// Brackets that are open.
    depth: usize,
    /// In a string, after its quotation mark.
    quoted: bool,
    /// Where in the frame the last string of the list itself began: before a colon it is a name.
    name: usize,
    /// Between the brackets of `items`.
    within: bool,
    end: bool,
    meta: ListMeta,
}

/// What is around the items.
#[derive(Deserialize)]
struct Frame {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default)]
    items: Option<Vec<IgnoredAny>>,
}

impl Frame {
    fn read(text: &[u8]) -> Result<Self, WireError> {
        serde_json::from_slice(text).map_err(|error| WireError::Json(error.to_string()))
    }
}

impl JsonList {
    fn next_item(&mut self) -> Result<Option<Bytes>, WireError> {
        while let Some(&byte) = self.buffer.get(self.at) {
            if self.at.max(self.frame.len()) > LARGEST_OBJECT {
                return Err(WireError::TooLarge(self.at.max(self.frame.len())));
            }
            if self.quoted {
                if !self.string() {
                    break;
                }
                continue;
            }
            let between = self.within && self.depth == 2;
            match byte {
                _ if byte.is_ascii_whitespace() => self.take(1),
                _ if self.end => return Err(WireError::Json("something follows the list".to_owned())),
                _ if self.depth == 0 && byte != b'{' => return Err(not_a_list()),
                b'{' | b'[' => {
                    if between {
                        self.item.get_or_insert(self.at);
                    }
                    self.within |= byte == b'[' && self.depth == 1 && self.is_after("\"items\"");
                    self.depth += 1;
                    self.take(1);
                }
                b'}' | b']' => {
                    if between {
                        if self.item.is_some() {
                            return Ok(Some(self.cut()));
                        }
                        self.within = false;
                    }
                    self.depth -= 1;
                    self.take(1);
                    if self.within && self.depth == 2 && self.item.is_some() {
                        return Ok(Some(self.cut()));
                    }
                    if self.depth == 0 {
                        self.finish()?;
                    }
                }
                b',' if between && self.item.is_some() => return Ok(Some(self.cut())),
                b',' => self.take(1),
                b'"' => {
                    if between {
                        self.item.get_or_insert(self.at);
                    }
                    if self.depth == 1 {
                        self.name = self.frame.len();
                    }
                    self.quoted = true;
                    self.take(1);
                }
                // A number or a word.
                _ => {
                    if between {
                        self.item.get_or_insert(self.at);
                    }
                    self.take(1);
                }
            }
        }
        if self.item.is_none() {
            self.buffer.advance(self.at);
            self.at = 0;
        }
        Ok(None)
    }

    /// Goes on to the end of a string; false where it has not come.
    fn string(&mut self) -> bool {
        let rest = &self.buffer[self.at..];
        match memchr::memchr2(b'"', b'\\', rest) {
            None => self.take(rest.len()),
            Some(escape) if rest[escape] == b'\\' => {
                // What is escaped belongs to it.
                if rest.len() == escape + 1 {
                    self.take(escape);
                    return false;
                }
                self.take(escape + 2);
            }
            Some(mark) => {
                self.quoted = false;
                self.take(mark + 1);
            }
        }
        true
    }

    /// So many bytes have been looked at.
    fn take(&mut self, bytes: usize) {
        if self.item.is_none() {
            self.frame.extend_from_slice(&self.buffer[self.at..self.at + bytes]);
        }
        self.at += bytes;
    }

    /// The item that ends here.
    fn cut(&mut self) -> Bytes {
        let item = self.buffer.split_to(self.at).freeze().slice(self.item.take().unwrap_or_default()..);
        self.at = 0;
        self.frame.push(b'0');
        self.items += 1;
        item
    }

    /// Whether this name and a colon stand right before.
    fn is_after(&self, name: &str) -> bool {
        self.frame[self.name..].strip_prefix(name.as_bytes()).is_some_and(|rest| rest.trim_ascii() == b":")
    }

    fn finish(&mut self) -> Result<(), WireError> {
        let frame = Frame::read(&self.frame)?;
        // Its items may be written in a way that is not looked for.
        if frame.items.map_or(0, |items| items.len()) != self.items {
            return Err(WireError::Json("a list whose items cannot be told".to_owned()));
        }
        (self.meta, self.end, self.frame) = (frame.metadata, true, Vec::new());
        Ok(())
    }
}

fn not_a_list() -> WireError {
    WireError::Json("not a list".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{super::Unknown, *};

    /// Items, and whether the list was complete, in pieces of this size.
    fn cut(encoding: Encoding, list: &[u8], size: usize) -> Result<(Vec<Bytes>, bool, ListMeta), WireError> {
        let mut frames = ListFrames::new(encoding);
        let mut items = Vec::new();
        for piece in list.chunks(size) {
            frames.push(piece);
            while let Some(item) = frames.next_item()? {
                items.push(item);
            }
        }
        Ok((items, frames.is_complete(), frames.meta().clone()))
    }

    #[test]
    fn a_list_gives_its_items_while_it_arrives() {
        let meta =
            ListMeta { resource_version: "7".to_owned(), r#continue: "next".to_owned(), remaining_item_count: Some(3) };
        let mut list = Vec::new();
        for (tag, body) in [(1, meta.encode_to_vec()), (2, vec![1; 300]), (2, Vec::new()), (2, vec![3; 5])] {
            prost::encoding::encode_key(tag, prost::encoding::WireType::LengthDelimited, &mut list);
            prost::encoding::encode_varint(body.len() as u64, &mut list);
            list.extend(body);
        }
        let mut bytes = MAGIC.to_vec();
        // TypeMeta comes first, an empty content type last.
        bytes.extend([0x0a, 2, 9, 9]);
        bytes.extend(Unknown { raw: list.into() }.encode_to_vec());
        bytes.extend([0x22, 0]);
        for size in [1, 2, 7, 1000] {
            let (items, complete, said) = cut(Encoding::Protobuf, &bytes, size).unwrap();
            assert_eq!(items.iter().map(Bytes::len).collect::<Vec<_>>(), [300, 0, 5]);
            assert!(complete);
            assert_eq!(said, meta);
        }
    }

    #[test]
    fn a_length_is_only_a_claim() {
        // A list of 32 MB whose first item claims nearly all of it.
        let claimed = [&[0x12, 0xff, 0xff, 0xff, 0x0f][..], &[0x12, 0xf0, 0xff, 0xff, 0x0f]].concat();
        let mut frames = ProtobufList::default();
        frames.buffer.extend_from_slice(&[MAGIC, &claimed].concat());
        assert_eq!(frames.next_item(), Ok(None));
        assert!(frames.buffer.capacity() < 2 * RESERVED, "{}", frames.buffer.capacity());

        // The content type of an envelope.
        let mut frames = ProtobufList::default();
        frames
            .buffer
            .extend_from_slice(&[MAGIC, &[0x22, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]].concat());
        assert_eq!(frames.next_item(), Err(WireError::TooLarge(usize::MAX)));
    }

    #[test]
    fn json_gives_the_same_wherever_it_is_cut() {
        let list = br#" {"kind":"x","a":["items",{"items":[1]}],"items" : [ {"b":"]}\\\"[{","items":[{}]}, null,"c,]",-1.5e3,[[]],{}]
            ,"metadata":{"resourceVersion":"7","continue":"n","remainingItemCount":3}} "#;
        let meta =
            ListMeta { resource_version: "7".to_owned(), r#continue: "n".to_owned(), remaining_item_count: Some(3) };
        for size in 1..=list.len() {
            let (items, complete, said) = cut(Encoding::Json, list, size).unwrap();
            let items: Vec<&str> = items.iter().map(|item| std::str::from_utf8(item).unwrap()).collect();
            let wanted = [r#"{"b":"]}\\\"[{","items":[{}]}"#, "null", r#""c,]""#, "-1.5e3", "[[]]", "{}"];
            assert_eq!((&items[..], complete, &said), (&wanted[..], true, &meta), "pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_json_list_is_an_error() {
        for wrong in [
            "<html>",
            "]",
            "[]",
            "7",
            r#"{"items":[{}]]}"#,
            r#"{"items":[{} {}]}"#,
            r#"{"items":[,{}]}"#,
            r#"{"items":[{}]} {}"#,
            r#"{"items":[{}],"items":[{}]}"#,
            r#"{"\u0069tems":[{}]}"#,
            r#"{"items":{}}"#,
            r#"["items":[{}]]"#,
        ] {
            assert!(cut(Encoding::Json, wrong.as_bytes(), 3).is_err(), "{wrong}");
        }
        for unfinished in ["", "{", r#"{"items":[{}"#, r#"{"items":[{}],"a":"\"#] {
            let (_, complete, _) = cut(Encoding::Json, unfinished.as_bytes(), 3).unwrap();
            assert!(!complete, "{unfinished}");
        }
        for none in [r#"{"items":null}"#, "{}", r#"{"items":[]}"#] {
            assert_eq!(cut(Encoding::Json, none.as_bytes(), 3), Ok((Vec::new(), true, ListMeta::default())), "{none}");
        }
    }

    #[test]
    fn a_json_list_takes_the_memory_of_one_item() {
        let item = json!({ "name": "x".repeat(1000) }).to_string();
        let mut frames = ListFrames::new(Encoding::Json);
        frames.push(br#"{"items":["#);
        for _ in 0..10_000 {
            frames.push(item.as_bytes());
            assert!(frames.next_item().unwrap().is_some());
            frames.push(b",");
            assert_eq!(frames.next_item(), Ok(None));
        }
        let ListFrames::Json(list) = frames else { unreachable!() };
        let room = list.buffer.capacity() + list.frame.capacity();
        assert!(room < 100_000, "{room} bytes for 10,000 items");
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[\"\\\\{}\\[\\],:a-c é]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 20, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec(("items|metadatb|[a\"{]{0,3}", inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_list_is_cut_as_a_parser_reads_it(
            items in proptest::collection::vec(value(), 0..6),
            before in value(),
            after in value(),
            pretty: bool,
            size in 1_usize..40,
        ) {
            let list = json!({ "a": before, "items": items, "z": after });
            let text = if pretty { serde_json::to_string_pretty(&list) } else { serde_json::to_string(&list) }.unwrap();
            let (cut, complete, _) = cut(Encoding::Json, text.as_bytes(), size).unwrap();
            let read: Vec<Value> = cut.iter().map(|item| serde_json::from_slice(item).unwrap()).collect();
            prop_assert!(complete);
            prop_assert_eq!(read, items);
        }
    }
}
