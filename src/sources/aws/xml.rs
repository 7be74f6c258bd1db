//! Answers of the query services as a tree of names and texts. Knows no service.

use quick_xml::Reader;
use quick_xml::events::Event;

/// Deeper than any answer of AWS; what is deeper is not one.
const DEEPEST: usize = 64;
const NAMELESS: &str = "an element without a name";

/// An element: its name without prefix, its text, and what is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    pub text: String,
    pub children: Vec<Node>,
}

impl Node {
    /// Reads a document. Entities other than XML's own five and numbers are refused, so nothing can be blown up.
    pub fn parse(document: &[u8]) -> Result<Self, String> {
        Self::parse_list(document, "", |_| ())
    }

    /// The same without the entries of the answer's list of this name: each is shown as soon as it is whole, so that
    /// thousands of them take the memory of one.
    pub fn parse_list(document: &[u8], list: &str, mut each: impl FnMut(&Self)) -> Result<Self, String> {
        let text = std::str::from_utf8(document).map_err(|_| "the answer is not UTF-8".to_owned())?;
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Self> = Vec::new();
        // Right below the answer, or below the `…Result` in it.
        let mut close = |open: &mut Vec<Self>, done: Self| {
            let level = open.len();
            match open.last_mut() {
                Some(parent) if level <= 3 && parent.name == list && done.is_entry() => each(&done),
                Some(parent) => parent.children.push(done),
                None => return Some(done),
            }
            None
        };
        loop {
            let place = reader.buffer_position();
            let fail = |why: &dyn std::fmt::Display| format!("XML at byte {place}: {why}");
            match reader.read_event().map_err(|error| fail(&error))? {
                Event::Start(start) => {
                    if open.len() >= DEEPEST {
                        return Err(fail(&"too deep"));
                    }
                    open.push(Self::named(start.local_name().as_ref()).ok_or_else(|| fail(&NAMELESS))?);
                }
                Event::Empty(start) => {
                    let node = Self::named(start.local_name().as_ref()).ok_or_else(|| fail(&NAMELESS))?;
                    if let Some(root) = close(&mut open, node) {
                        return Ok(root);
                    }
                }
                Event::End(_) => {
                    let Some(mut done) = open.pop() else { return Err(fail(&"an end without a start")) };
                    if !done.children.is_empty() {
                        done.text.clear();
                    }
                    if let Some(root) = close(&mut open, done) {
                        return Ok(root);
                    }
                }
                Event::Text(text) => {
                    if let Some(node) = open.last_mut() {
                        node.text.push_str(&text.xml10_content());
                    }
                }
                Event::CData(data) => {
                    if let Some(node) = open.last_mut() {
                        node.text.push_str(&data.xml10_content());
                    }
                }
                Event::GeneralRef(reference) => {
                    let name = reference.xml10_content();
                    let plain = match reference.resolve_char_ref().map_err(|error| fail(&error))? {
                        Some(character) => character.to_string(),
                        None => quick_xml::escape::resolve_xml_entity(&name)
                            .ok_or_else(|| fail(&"an unknown entity"))?
                            .to_owned(),
                    };
                    if let Some(node) = open.last_mut() {
                        node.text.push_str(&plain);
                    }
                }
                Event::Eof => return Err(fail(&"the document ends too soon")),
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
    }

    fn named(name: &str) -> Option<Self> {
        (!name.is_empty()).then(|| Self { name: name.to_owned(), ..Self::default() })
    }

    /// The first child of a name.
    pub fn find(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of a child that is there and not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.find(name).map(|child| child.text.trim()).filter(|text| !text.is_empty())
    }

    /// The same, owned; empty where there is none.
    pub fn string(&self, name: &str) -> String {
        self.text(name).unwrap_or_default().to_owned()
    }

    /// The text of a child, parsed; none where it is missing or something else.
    pub fn parsed<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    /// `member` of query services, `item` of EC2.
    fn is_entry(&self) -> bool {
        self.name == "member" || self.name == "item"
    }

    /// The entries of a list.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &Self> {
        let list = self.find(name).map(|list| list.children.as_slice()).unwrap_or_default();
        list.iter().filter(|entry| entry.is_entry())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tree_is_read() {
        let node = Node::parse(
            b"<?xml version=\"1.0\"?>\n<r xmlns=\"x\"><a>1 &lt; 2 &#65;</a><l>\n <member><n>x</n></member>\n <member/></l><e/></r>",
        )
        .unwrap();
        assert_eq!(node.text("a"), Some("1 < 2 A"));
        assert_eq!(node.list("l").count(), 2);
        assert_eq!(node.list("l").next().unwrap().text("n"), Some("x"));
        assert_eq!((node.text("e"), node.text("none"), node.list("none").count()), (None, None, 0));
        assert_eq!(node.find("l").unwrap().text, "");
    }

    #[test]
    fn entries_of_a_list_are_shown_and_not_kept() {
        let seen = |document: &str| {
            let mut seen = Vec::new();
            let rest = Node::parse_list(document.as_bytes(), "l", |entry| seen.push(entry.string("n"))).unwrap();
            (seen, rest)
        };
        let l = "<l><member><n>1</n><l><member><n>inner</n></member></l></member><member/>\n<n/></l>";
        let (entries, rest) = seen(&format!("<r><xResult>{l}<NextToken>t</NextToken></xResult></r>"));
        assert_eq!(entries, ["1", ""]);
        let result = rest.find("xResult").unwrap();
        assert_eq!((result.text("NextToken"), result.find("l").unwrap().children.len()), (Some("t"), 1));
        assert_eq!(seen(&format!("<r>{}</r>", l.replace("member", "item"))).0, ["1", ""]);
        assert_eq!(seen(&format!("<r><a><b>{l}</b></a></r>")).0, [""; 0], "not the answer's list");
    }

    /// Trees of any shape with texts at their leaves.
    fn any_node() -> impl Strategy<Value = Node> {
        let leaf = ("[A-Za-z][A-Za-z0-9]{0,6}", "[a-z<>&'\"é]{0,8}").prop_map(|(name, text)| Node {
            name,
            text,
            children: Vec::new(),
        });
        leaf.prop_recursive(5, 40, 5, |inner| {
            ("[A-Za-z]{1,6}", prop::collection::vec(inner, 1..5)).prop_map(|(name, children)| Node {
                name,
                text: String::new(),
                children,
            })
        })
    }

    fn written(node: &Node) -> String {
        let inner: String = node.children.iter().map(written).collect();
        let text = quick_xml::escape::escape(&node.text);
        format!("<{0}>{text}{inner}</{0}>", node.name)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(node in any_node()) {
            prop_assert_eq!(Node::parse(written(&node).as_bytes()), Ok(node));
        }

        #[test]
        fn any_text_is_a_document_or_none(text in "[<>/a-c&;! =\"'\\[\\]-]{0,40}") {
            if let Ok(node) = Node::parse(text.as_bytes()) {
                prop_assert!(!node.name.is_empty());
            }
        }
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for text in ["", "<a>", "<a></b>", "<a>&bomb;</a>", "no xml", "<!DOCTYPE html><p>x"] {
            assert!(Node::parse(text.as_bytes()).is_err(), "{text}");
        }
        let deep = "<a>".repeat(1000);
        assert!(Node::parse(deep.as_bytes()).unwrap_err().contains("too deep"));
    }
}
