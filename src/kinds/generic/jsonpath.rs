//! JSONPath as `k8s.io/client-go/util/jsonpath` has it, for one expression between braces: what a custom resource's
//! printer columns are written in. Parsing and evaluation follow that package step by step, its oddities included,
//! because cells have to equal the server's.
//!
//! Left out: text around the braces (printer columns have none), and Go's random order of maps under `.*` and `..`,
//! where keys come in their own order here.

use serde_json::Value as Json;

/// The server would not read this expression, or it is more than one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{expression:?} is no JSONPath: {why}")]
pub struct PathError {
    expression: String,
    why: &'static str,
}

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Path(Vec<Node>);

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    Field(String),
    Wildcard,
    Recursive,
    Slice(Slice),
    Union(Vec<Vec<Node>>),
    Filter {
        left: Vec<Node>,
        operator: String,
        right: Vec<Node>,
    },
    /// `range`, `end` or a word without a meaning: none of them finds anything in a single expression.
    Word,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slice {
    from: Option<i64>,
    to: Option<i64>,
    /// `[n]` without a colon: `to` is `from + 1`.
    single: bool,
    step: Option<i64>,
}

/// Something that an expression found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item<'a> {
    Json(&'a Json),
    Text(&'a str),
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// What a step found, or what it had found when it failed: `exists` filters look at that too.
type Found<'a> = Result<Vec<Item<'a>>, Vec<Item<'a>>>;

impl Path {
    /// Reads an expression without its braces: `.spec.items[0].name`.
    pub fn parse(expression: &str) -> Result<Self, PathError> {
        let fail = |why| PathError { expression: expression.to_owned(), why };
        if expression.contains('\n') {
            return Err(fail("it has several lines"));
        }
        Parser { rest: expression }.nodes().map(Path).map_err(fail)
    }

    /// The first of what the expression finds; `None` where it finds nothing or fails.
    pub fn first<'a>(&'a self, object: &'a Json) -> Option<Item<'a>> {
        Walk { left: MOST_ITEMS }.all(vec![Item::Json(object)], &self.0).ok()?.into_iter().next()
    }
}

struct Parser<'a> {
    rest: &'a str,
}

type Parsed<T> = Result<T, &'static str>;

impl<'a> Parser<'a> {
    /// `parseInsideAction`, to the end of the text.
    fn nodes(&mut self) -> Parsed<Vec<Node>> {
        let mut nodes = Vec::new();
        while let Some(first) = self.rest.chars().next() {
            if let Some(rest) = self.rest.strip_prefix("[?(") {
                self.rest = rest;
                nodes.push(self.filter()?);
                continue;
            }
            if let Some(rest) = self.rest.strip_prefix("..") {
                if nodes.last() == Some(&Node::Recursive) {
                    return Err("two recursive descents in a row");
                }
                self.rest = rest;
                nodes.push(Node::Recursive);
                if rest.starts_with(is_alphanumeric) {
                    nodes.push(self.field());
                }
                continue;
            }
            match first {
                ' ' | '@' | '$' => self.skip(1),
                '[' => self.array(&mut nodes)?,
                '"' | '\'' => nodes.push(Node::Text(self.quoted(first)?)),
                '.' => {
                    self.skip(1);
                    nodes.push(self.field());
                }
                '+' | '-' | '0'..='9' => nodes.push(self.number()?),
                _ if is_alphanumeric(first) => nodes.push(self.word()),
                _ => return Err("a character without a meaning"),
            }
        }
        Ok(nodes)
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    /// Takes the text up to where `end` says, in bytes.
    fn take(&mut self, end: usize) -> &'a str {
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        text
    }

    /// A field's name, up to a terminator that no backslash goes before.
    fn field(&mut self) -> Node {
        let mut escaped = false;
        let end = self.rest.find(|next: char| {
            let ends = !escaped && is_terminator(next);
            escaped = !escaped && next == '\\';
            ends
        });
        match self.take(end.unwrap_or(self.rest.len())) {
            "*" => Node::Wildcard,
            name => Node::Field(name.replace('\\', "")),
        }
    }

    fn word(&mut self) -> Node {
        match self.take(self.rest.find(is_terminator).unwrap_or(self.rest.len())) {
            "true" => Node::Bool(true),
            "false" => Node::Bool(false),
            _ => Node::Word,
        }
    }

    fn number(&mut self) -> Parsed<Node> {
        let sign = usize::from(self.rest.starts_with(['+', '-']));
        let digits = self.rest[sign..].find(|next: char| next != '.' && !next.is_ascii_digit());
        let text = self.take(digits.map_or(self.rest.len(), |digits| sign + digits));
        if let Ok(number) = text.parse() {
            return Ok(Node::Int(number));
        }
        text.parse().map(Node::Float).map_err(|_| "a number that is none")
    }

    fn quoted(&mut self, quote: char) -> Parsed<String> {
        let end = self.closing(quote).ok_or("a quotation without an end")?;
        let text = self.take(end + 1);
        unquote(&text[1..end]).ok_or("an escape without a meaning")
    }

    /// Where the quotation at the start of the rest ends.
    fn closing(&self, quote: char) -> Option<usize> {
        let bytes = self.rest.as_bytes();
        (1..bytes.len()).find(|&at| bytes[at] == quote as u8 && bytes[at - 1] != b'\\')
    }

    fn array(&mut self, nodes: &mut Vec<Node>) -> Parsed<()> {
        let end = self.rest.find(']').ok_or("a bracket without an end")?;
        let text = &self.take(end + 1)[1..end];
        if text.contains(',') {
            let parts = text.split(',').map(|part| {
                let part = format!("[{}]", part.trim_matches(' '));
                Parser { rest: &part }.nodes()
            });
            nodes.push(Node::Union(parts.collect::<Parsed<_>>()?));
            return Ok(());
        }
        if let Some(key) = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''))
            && !key.contains('\'')
        {
            // As if it were written with a dot: dots in the key have to be escaped.
            nodes.append(&mut Parser { rest: &format!(".{key}") }.nodes()?);
            return Ok(());
        }
        nodes.push(Node::Slice(slice(text)?));
        Ok(())
    }

    /// `[?(left operator right)]`, after its opening.
    fn filter(&mut self) -> Parsed<Node> {
        let bytes = self.rest.as_bytes();
        let (mut quote, mut closed) = (None, false);
        let mut end = None;
        for at in 0..bytes.len() {
            match bytes[at] {
                b'"' | b'\'' if quote.is_none() => quote = Some(bytes[at]),
                byte @ (b'"' | b'\'') => closed |= at > 0 && bytes[at - 1] != b'\\' && Some(byte) == quote,
                b')' if quote.is_some() == closed => {
                    end = Some(at);
                    break;
                }
                _ => {}
            }
        }
        let text = self.take(end.ok_or("a filter without an end")?);
        self.rest = self.rest.strip_prefix(")]").ok_or("a filter without its bracket")?;
        let parse = |text| Parser { rest: text }.nodes();
        let is_operator = |next: char| matches!(next, '!' | '<' | '>' | '=');
        let Some(start) = text.find(is_operator) else {
            return Ok(Node::Filter { left: parse(text)?, operator: "exists".to_owned(), right: Vec::new() });
        };
        let (left, rest) = text.split_at(start);
        let (operator, right) = rest.split_at(rest.find(|next| !is_operator(next)).unwrap_or(rest.len()));
        if left.is_empty() || right.is_empty() {
            return Err("a comparison of nothing");
        }
        Ok(Node::Filter { left: parse(left)?, operator: operator.to_owned(), right: parse(right)? })
    }
}

fn slice(text: &str) -> Parsed<Slice> {
    let mut parts = if text == "*" { ":" } else { text }.split(':');
    let mut number = || match parts.next() {
        None => Ok((false, None)),
        Some("") => Ok((true, None)),
        Some(part) => match part.parse::<i64>() {
            Ok(number) if !part.starts_with('+') => Ok((true, Some(number))),
            _ => Err("an index that is no number"),
        },
    };
    let ((_, from), (has_to, to), (_, step)) = (number()?, number()?, number()?);
    if parts.next().is_some() {
        return Err("more than three parts of a slice");
    }
    let single = !has_to;
    // The end of the last index of all overflows as Go's does, and the slice is none.
    Ok(Slice { from, to: if single { Some(from.unwrap_or(0).wrapping_add(1)) } else { to }, single, step })
}

/// The escapes of a quoted string; rare ones that Go knows too are refused.
fn unquote(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        plain.push(match next {
            '\\' => match rest.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                escaped @ ('\\' | '"' | '\'') => escaped,
                _ => return None,
            },
            other => other,
        });
    }
    Some(plain)
}

fn is_alphanumeric(next: char) -> bool {
    next == '_' || next.is_alphanumeric()
}

fn is_terminator(next: char) -> bool {
    matches!(next, ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

/// An evaluation finds so many items on its way and no more: unions of unions would find the same ones without end.
const MOST_ITEMS: usize = 1 << 20;

/// One evaluation.
struct Walk {
    /// How many items it may still find.
    left: usize,
}

impl Walk {
    /// Applies nodes one after the other.
    fn all<'a>(&mut self, input: Vec<Item<'a>>, nodes: &'a [Node]) -> Found<'a> {
        nodes.iter().try_fold(input, |input, node| self.step(input, node))
    }

    /// Takes items in; false where they are too many.
    fn take<'a>(&mut self, found: &mut Vec<Item<'a>>, items: impl IntoIterator<Item = Item<'a>>) -> bool {
        let before = found.len();
        found.extend(items.into_iter().take(self.left));
        self.left -= found.len() - before;
        self.left > 0
    }

    fn step<'a>(&mut self, input: Vec<Item<'a>>, node: &'a Node) -> Found<'a> {
        let mut found = Vec::new();
        let good = match node {
            Node::Text(text) => self.take(&mut found, [Item::Text(text)]),
            Node::Int(number) => self.take(&mut found, input.iter().map(|_| Item::Int(*number))),
            Node::Float(number) => self.take(&mut found, input.iter().map(|_| Item::Float(*number))),
            Node::Bool(flag) => self.take(&mut found, input.iter().map(|_| Item::Bool(*flag))),
            Node::Field(name) => {
                let fields = input.iter().filter_map(|item| item.json()?.as_object()?.get(name));
                self.take(&mut found, fields.map(Item::Json))
            }
            Node::Wildcard => self.take(&mut found, input.iter().flat_map(|item| item.children())),
            Node::Recursive => input.iter().all(|item| self.descend(*item, &mut found)),
            Node::Slice(slice) => return self.slice(input, *slice),
            Node::Union(parts) => parts.iter().all(|part| {
                let mut copy = Vec::new();
                self.take(&mut copy, input.iter().copied())
                    && self.all(copy, part).is_ok_and(|part| self.take(&mut found, part))
            }),
            Node::Filter { left, operator, right } => return self.filter(input, left, operator, right),
            Node::Word => false,
        };
        if good { Ok(found) } else { Err(input) }
    }

    /// Everything that has something in it, from the outside in.
    fn descend<'a>(&mut self, item: Item<'a>, found: &mut Vec<Item<'a>>) -> bool {
        let children = item.children();
        children.is_empty() || self.take(found, [item]) && children.into_iter().all(|child| self.descend(child, found))
    }

    fn slice<'a>(&mut self, input: Vec<Item<'a>>, slice: Slice) -> Found<'a> {
        let mut found = Vec::new();
        for item in &input {
            if item.is_null() {
                continue;
            }
            let Some(elements) = item.array() else { return Err(input) };
            let length = i64::try_from(elements.len()).unwrap_or(i64::MAX);
            let mut from = slice.from.unwrap_or(0);
            let mut to = slice.to.unwrap_or(length);
            if from < 0 {
                from += length;
            }
            if to < 0 || (to == 0 && slice.single) {
                to += length;
            }
            if from == to {
                return Ok(found);
            }
            let step = slice.step.unwrap_or(1);
            if !(0..length).contains(&from) || !(0..=length).contains(&to) || from > to || step <= 0 {
                return Err(input);
            }
            let index = |number| usize::try_from(number).unwrap_or(usize::MAX);
            let elements = elements[index(from)..index(to)].iter().step_by(index(step));
            if !self.take(&mut found, elements.map(Item::Json)) {
                return Err(input);
            }
        }
        Ok(found)
    }

    fn filter<'a>(&mut self, input: Vec<Item<'a>>, left: &'a [Node], operator: &str, right: &'a [Node]) -> Found<'a> {
        let mut found = Vec::new();
        for item in &input {
            let Some(elements) = item.array() else { return Err(input) };
            for element in elements.iter().map(Item::Json) {
                if self.left == 0 {
                    return Err(input);
                }
                self.left -= 1;
                let lefts = self.all(vec![element], left);
                if operator == "exists" {
                    // What a failed step leaves counts as well.
                    let (Ok(lefts) | Err(lefts)) = lefts;
                    if !lefts.is_empty() {
                        found.push(element);
                    }
                    continue;
                }
                let Ok(lefts) = lefts else { return Err(input) };
                let left = match lefts[..] {
                    [] => continue,
                    [left] => left,
                    _ => return Err(input),
                };
                let Ok(rights) = self.all(vec![element], right) else { return Err(input) };
                let right = match rights[..] {
                    [] => continue,
                    [right] => right,
                    _ => return Err(input),
                };
                match compare(left, operator, right) {
                    Some(true) => found.push(element),
                    Some(false) => {}
                    None => return Err(found),
                }
            }
        }
        Ok(found)
    }
}

impl<'a> Item<'a> {
    fn json(self) -> Option<&'a Json> {
        match self {
            Item::Json(value) => Some(value),
            _ => None,
        }
    }

    fn is_null(self) -> bool {
        self == Item::Json(&Json::Null)
    }

    fn array(self) -> Option<&'a [Json]> {
        self.json()?.as_array().map(Vec::as_slice)
    }

    fn children(self) -> Vec<Item<'a>> {
        match self {
            Item::Json(Json::Object(fields)) => fields.values().map(Item::Json).collect(),
            Item::Json(Json::Array(elements)) => elements.iter().map(Item::Json).collect(),
            // A text is its bytes, as in Go.
            Item::Json(Json::String(text)) => text.bytes().map(|byte| Item::Int(byte.into())).collect(),
            _ => Vec::new(),
        }
    }
}

/// Whether a comparison holds; `None` where the two cannot be compared: only equal kinds of values can, and a whole
/// number is of another kind than a fraction.
fn compare(left: Item<'_>, operator: &str, right: Item<'_>) -> Option<bool> {
    let (less, equal) = match (scalar(left)?, scalar(right)?) {
        (Scalar::Int(left), Scalar::Int(right)) => (Some(left < right), left == right),
        (Scalar::Float(left), Scalar::Float(right)) =>
        {
            #[expect(clippy::float_cmp, reason = "as the server compares")]
            (Some(left < right), left == right)
        }
        (Scalar::Text(left), Scalar::Text(right)) => (Some(left < right), left == right),
        (Scalar::Bool(left), Scalar::Bool(right)) => (None, left == right),
        _ => return None,
    };
    match operator {
        "==" => Some(equal),
        "!=" => Some(!equal),
        "<" => less,
        ">=" => less.map(|less| !less),
        "<=" => less.map(|less| less || equal),
        ">" => less.map(|less| !(less || equal)),
        _ => None,
    }
}

enum Scalar<'a> {
    Int(i64),
    Float(f64),
    Text(&'a str),
    Bool(bool),
}

fn scalar(item: Item<'_>) -> Option<Scalar<'_>> {
    Some(match item {
        Item::Int(number) => Scalar::Int(number),
        Item::Float(number) => Scalar::Float(number),
        Item::Bool(flag) | Item::Json(&Json::Bool(flag)) => Scalar::Bool(flag),
        Item::Text(text) => Scalar::Text(text),
        Item::Json(Json::String(text)) => Scalar::Text(text),
        Item::Json(Json::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Scalar::Int(number),
            (None, number) => Scalar::Float(number?),
        },
        Item::Json(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What the expression finds, as kubectl prints it; `error` where it fails.
    fn all(expression: &str, object: &Json) -> String {
        let path = Path::parse(expression).unwrap();
        match (Walk { left: MOST_ITEMS }).all(vec![Item::Json(object)], &path.0) {
            Ok(found) => found.into_iter().map(|item| super::super::custom::print(item)).collect::<Vec<_>>().join(" "),
            Err(_) => "error".to_owned(),
        }
    }

    #[test]
    fn what_would_find_the_same_things_without_end_is_given_up() {
        let deep = (0..60).fold(json!("x"), |inner, _| json!([inner]));
        assert_eq!(all(&"[0,0]".repeat(3), &deep).matches('x').count(), 8);
        assert_eq!(all(&"[0,0]".repeat(60), &deep), "error");
        assert_eq!(all(&"[*,*]".repeat(60), &deep), "error");
        assert_eq!(Path::parse(&"[0,0]".repeat(60)).unwrap().first(&deep), None);
    }

    #[test]
    fn slices_of_every_type_as_in_client_go() {
        let types = json!({
            "bools": [true, false, true, false],
            "integers": [1, 2, 3, 4],
            "floats": [1.0, 2.2, 3.3, 4.0],
            "strings": ["one", "two", "three", "four"],
            "interfaces": [true, "one", 1, 1.1],
            "maps": [
                {"name": "one", "value": 1},
                {"name": "two", "value": 2.02},
                {"name": "three", "value": 3.03},
                {"name": "four", "value": 4.04},
            ],
        });
        for (expression, expected) in [
            (" .bools ", "[true,false,true,false]"),
            (" .bools[0] ", "true"),
            (" .bools[-1] ", "false"),
            (" .bools[0:2] ", "true false"),
            (" .bools[:2] ", "true false"),
            (" .bools[:4:2] ", "true true"),
            (".integers", "[1,2,3,4]"),
            (".integers[-2]", "3"),
            (".integers[:4:2]", "1 3"),
            (".floats", "[1,2.2,3.3,4]"),
            (".floats[0]", "1"),
            (".floats[:4:2]", "1 3.3"),
            (".strings", r#"["one","two","three","four"]"#),
            (".strings[0]", "one"),
            (".strings[:4:2]", "one three"),
            (".interfaces", r#"[true,"one",1,1.1]"#),
            (".interfaces[0:2]", "true one"),
            (".maps[0]", r#"{"name":"one","value":1}"#),
            (".maps[-2]", r#"{"name":"three","value":3.03}"#),
            (".maps[::2]", r#"{"name":"one","value":1} {"name":"three","value":3.03}"#),
            (".maps[1::2]", r#"{"name":"two","value":2.02} {"name":"four","value":4.04}"#),
            (".maps[2:2]", ""),
            (".maps[4]", "error"),
            (".maps[9223372036854775807]", "error"),
            (".maps[3:5]", "error"),
            (".maps[3:1]", "error"),
            (".maps[::-1]", "error"),
        ] {
            assert_eq!(all(expression, &types), expected, "{expression}");
        }
    }

    #[test]
    fn a_store_as_in_client_go() {
        let store = json!({
            "Name": "jsonpath",
            "Book": [
                {"Category": "reference", "Author": "Nigel Rees", "Title": "Sayings of the Centurey", "Price": 8.95},
                {"Category": "fiction", "Author": "Evelyn Waugh", "Title": "Sword of Honour", "Price": 12.99},
                {"Category": "fiction", "Author": "Herman Melville", "Title": "Moby Dick", "Price": 8.99},
            ],
            "Bicycle": [
                {"Color": "red", "Price": 19.95, "IsNew": true},
                {"Color": "green", "Price": 20.01, "IsNew": false},
            ],
            "Labels": {"engieer": 10, "web/html": 15, "k8s-app": 20},
            "Employees": {"jason": "manager", "dan": "clerk"},
        });
        for (expression, expected) in [
            (r#""{""#, "{"),
            (".Name", "jsonpath"),
            ("$.Labels.web/html", "15"),
            ("$.Employees.jason", "manager"),
            (".Labels.k8s-app", "20"),
            (".Bicycle[*].Color", "red green"),
            (".Book[*].Author", "Nigel Rees Evelyn Waugh Herman Melville"),
            ("..Price", "19.95 20.01 8.95 12.99 8.99"),
            ("...Price", "19.95 20.01 8.95 12.99 8.99"),
            (
                ".Bicycle",
                r#"[{"Color":"red","IsNew":true,"Price":19.95},{"Color":"green","IsNew":false,"Price":20.01}]"#,
            ),
            (".Book[-1:].Title", "Moby Dick"),
            ("..Book[2].Title", "Moby Dick"),
            (".Bicycle[?(@.IsNew==true)].Color", "red"),
            (".hello", ""),
            ("hello", "error"),
            (".Labels[0]", "error"),
            (".Book[?(@.Price<>10)]", "error"),
            (".Book[?(@.Price<10)].Title", "error"),
            (".Book[?(@.Price<10.0)].Title", "Sayings of the Centurey Moby Dick"),
            (".Book[?(@.Price>=12.99)].Title", "Sword of Honour"),
            (".Book[?(@.Category!='fiction')].Title", "Sayings of the Centurey"),
            ("end", "error"),
        ] {
            assert_eq!(all(expression, &store), expected, "{expression}");
        }
        assert_eq!(all("[?(@<5)]", &json!([2, 6, 3, 7])), "2 3");
        assert_eq!(all("[1,3,4]", &json!([0, 1, 2, 3, 4])), "1 3 4");
        assert_eq!(all("..", &json!([1, 2, 3])), "[1,2,3]");
    }

    #[test]
    fn points_and_nodes_as_in_client_go() {
        let points = json!([
            {"id": "i1", "x": 4, "y": -5},
            {"id": "i2", "x": -2, "y": -5, "z": 1},
            {"id": "i5", "x": 0, "y": 2, "z": 1},
            {"id": "i7", "x": null, "y": 4},
        ]);
        assert_eq!(all("[?(@.z)].id", &points), "i2 i5");
        assert_eq!(all("[0]['id']", &points), "i1");
        assert_eq!(Path::parse("[-1]['x']").unwrap().first(&points), Some(Item::Json(&Json::Null)));
        let nodes = json!({
            "items": [
                {
                    "kind": "None",
                    "metadata": {"name": "127.0.0.1", "labels": {"kubernetes.io/hostname": "127.0.0.1"}},
                    "status": {
                        "capacity": {"cpu": "4"},
                        "ready": true,
                        "addresses": [{"type": "LegacyHostIP", "address": "127.0.0.1"}],
                    },
                },
                {
                    "kind": "None",
                    "metadata": {"name": "127.0.0.2", "labels": {"kubernetes.io/hostname": "127.0.0.2"}},
                    "status": {
                        "capacity": {"cpu": "8"},
                        "ready": false,
                        "addresses": [
                            {"type": "LegacyHostIP", "address": "127.0.0.2"},
                            {"type": "another", "address": "127.0.0.3"},
                        ],
                    },
                },
            ],
            "users": [
                {"name": "myself", "user": {}},
                {"name": "e2e", "user": {"username": "admin", "password": "secret"}},
            ],
        });
        for (expression, expected) in [
            (".items[*].status.addresses[*].address", "127.0.0.1 127.0.0.2 127.0.0.3"),
            (".items[*].metadata.name", "127.0.0.1 127.0.0.2"),
            (".items[*]['metadata.name', 'status.capacity']", r#"127.0.0.1 127.0.0.2 {"cpu":"4"} {"cpu":"8"}"#),
            (r#".users[?(@.name=="e2e")].user.password"#, "secret"),
            (r".items[0].metadata.labels.kubernetes\.io/hostname", "127.0.0.1"),
            (r#".items[?(@.metadata.labels.kubernetes\.io/hostname=="127.0.0.1")].kind"#, "None"),
            (".items[?(@..ready==true)].metadata.name", "127.0.0.1"),
            (r".items[0].metadata.labels['kubernetes\.io/hostname']", "127.0.0.1"),
        ] {
            assert_eq!(all(expression, &nodes), expected, "{expression}");
        }
    }

    #[test]
    fn what_the_server_refuses_is_refused() {
        for expression in [
            ".a[",
            ".a[x]",
            ".a[1:2:3:4]",
            ".a[\"b\"]",
            "....a",
            ".a[?(@.b]",
            ".a[?(@.b==1)",
            ".a[?(==1)]",
            ".a[?(@.b==)]",
            "'a",
            ".a}{.b",
            "*",
            "1.2.3",
            ".a\n.b",
        ] {
            assert!(Path::parse(expression).is_err(), "{expression}");
        }
    }
}
