//! The filter language that is typed after `/`: text ↔ terms, and what a term says of a text, of labels or of a value.
//! Knows nothing of tables: who evaluates a query brings the columns, the texts and the labels of a row.
//!
//! ```text
//! query    = { term }                            separated by white space; a row has to satisfy every term
//! term     = { "!" } test                        "!" turns the test round
//! test     = matcher                             looked for in every visible text column
//!          | column ":" [ matcher ]              the cell holds it; nothing: the cell is empty or unknown
//!          | column ":=" text                    the cell is it
//!          | column ( ">" | ">=" | "<" | "<=" ) amount
//!          | key ( "=" | "==" | "!=" ) …         labels: a kubectl selector without spaces
//!          | "-l" ( selector | '"' selector '"' )  labels: the whole of kubectl's grammar
//!          | "-f" text                           fuzzy: these characters in this order, in the names
//! matcher  = "/" regex "/" | regex | text        a word with one of ^$*+?()[]{}|\ in it is a regex
//! text     = word | '"' anything '"'             in quotes nothing has a meaning but \" and \\
//! amount   = number | quantity | span | percent  12, 100m or 1.5Gi, 2d4h, 80%; which of them, the cell decides
//! column   = its id or title, or the start of one; "-" or "_" for a space; in quotes if it holds odd characters
//! ```
//!
//! The first of `:` `<` `>` `=` `!=` after a name decides between column and label, so `name:=a`, `name:a=b`, `a=b` and
//! `cpu>1` cannot be mistaken for each other; words that begin otherwise (`<none>`, `(?:a|b)`, `-x:y`) are matchers.
//! Letters match both cases. What is not finished yet (`!`, `-f`, an open quote) is no error: people are typing.

mod column;
mod matcher;
mod selector;

use std::{fmt, ops::Range};

pub use column::{Amount, ColumnTest, Columns, Comparison, Find, find_column};
pub use matcher::{Fuzzy, Matcher};
pub use selector::{Requirement, Rule, Selector};

/// A parsed query. Two that ask for the same in the same words are equal; its `Display` parses to an equal one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Query {
    terms: Vec<Term>,
}

/// One thing that a row has to satisfy: `test` gives true, or false where `negated`.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    pub negated: bool,
    pub test: Test,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Looked for in every visible text column.
    Words(Matcher),
    /// Looked for in the names of the row.
    Fuzzy(Fuzzy),
    Labels(Selector),
    Column {
        index: usize,
        id: String,
        test: ColumnTest,
    },
}

/// Where a query is wrong and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QueryError {
    /// Bytes of the input, on character boundaries, to be underlined.
    pub range: Range<usize>,
    pub message: String,
    /// What to type instead. May be empty.
    pub hint: String,
}

const QUOTE_HINT: &str = "put text in quotes to search for it as it stands";

impl Query {
    pub fn parse(text: &str, columns: &dyn Columns) -> Result<Self, QueryError> {
        let mut parser = Parser { text, at: 0, columns };
        let mut terms = Vec::new();
        while parser.skip_space() {
            terms.extend(parser.term()?);
        }
        Ok(Self { terms })
    }

    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// Whether every row satisfies it.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether every row that satisfies this query satisfied `previous`, so that only its hits need a second look: the
    /// same terms, of which words may have grown, and perhaps more of them.
    pub fn extends(&self, previous: &Query) -> bool {
        self.terms.len() >= previous.terms.len()
            && self.terms.iter().zip(&previous.terms).all(|(new, old)| new == old || new.narrows(old))
    }

    /// Whether a row may come to satisfy it, or cease to, just because time goes by.
    pub fn depends_on_time(&self) -> bool {
        self.terms.iter().any(|term| matches!(term.test, Test::Column { test: ColumnTest::Compare(..), .. }))
    }

    /// The parts of a cell's text that made the row a hit, for highlighting: sorted, apart, on character boundaries.
    pub fn highlights(&self, column: usize, text: &str) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for term in self.terms.iter().filter(|term| !term.negated) {
            match &term.test {
                Test::Words(matcher) => ranges.extend(matcher.ranges(text)),
                Test::Fuzzy(fuzzy) => ranges.extend(fuzzy.ranges(text)),
                Test::Column { index, test: ColumnTest::Contains(matcher), .. } if *index == column => {
                    ranges.extend(matcher.ranges(text));
                }
                _ => {}
            }
        }
        ranges.sort_unstable_by_key(|range| range.start);
        ranges.dedup_by(|next, last| {
            let touches = next.start <= last.end;
            if touches {
                last.end = last.end.max(next.end);
            }
            touches
        });
        ranges
    }
}

impl Term {
    /// A comparison is turned round by its operator: what is unknown satisfies neither `cpu>1` nor `!cpu>1`.
    fn new(negated: bool, mut test: Test) -> Self {
        if let (true, Test::Column { test: ColumnTest::Compare(comparison, _), .. }) = (negated, &mut test) {
            *comparison = comparison.opposite();
            return Self { negated: false, test };
        }
        Self { negated, test }
    }

    fn narrows(&self, old: &Term) -> bool {
        if self.negated || old.negated {
            return false;
        }
        match (&self.test, &old.test) {
            (Test::Words(new), Test::Words(old)) => new.narrows(old),
            (Test::Fuzzy(new), Test::Fuzzy(old)) => old.matches(new.needle()),
            (
                Test::Column { index, test: ColumnTest::Contains(new), .. },
                Test::Column { index: old_index, test: ColumnTest::Contains(old), .. },
            ) => index == old_index && new.narrows(old),
            _ => false,
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    /// Bytes read so far.
    at: usize,
    columns: &'a dyn Columns,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Whether something follows.
    fn skip_space(&mut self) -> bool {
        self.at = self.text.len() - self.rest().trim_start().len();
        self.at < self.text.len()
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    /// The rest of the word, up to white space.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let word = &rest[..rest.find(char::is_whitespace).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    /// `-f` and `-l` are words of their own; what follows begins a word.
    fn flag(&mut self, flag: &str) -> bool {
        let found = self.rest().strip_prefix(flag).is_some_and(|rest| !rest.starts_with(|c: char| !c.is_whitespace()));
        if found {
            self.at += flag.len();
            self.skip_space();
        }
        found
    }

    fn term(&mut self) -> Result<Option<Term>, QueryError> {
        let mut negated = false;
        while self.eat("!") {
            negated = !negated;
        }
        Ok(self.test()?.map(|test| Term::new(negated, test)))
    }

    /// `None` where nothing has been typed yet.
    fn test(&mut self) -> Result<Option<Test>, QueryError> {
        let start = self.at;
        if self.rest().starts_with('"') {
            let text = self.quoted();
            if self.rest().starts_with([':', '<', '>']) {
                return self.column(&text, start..self.at).map(Some);
            }
            return Ok(Matcher::word(&text).map(Test::Words));
        }
        if self.flag("-f") {
            return Ok(Fuzzy::new(&self.plain()).map(Test::Fuzzy));
        }
        if self.flag("-l") {
            return self.selector();
        }
        let rest = self.rest();
        let name = &rest[..name_length(rest)];
        let after = &rest[name.len()..];
        if !name.is_empty() && after.starts_with([':', '<', '>']) {
            self.at += name.len();
            return self.column(name, start..self.at).map(Some);
        }
        let is_key = !name.is_empty() && name.bytes().all(is_label_byte);
        if is_key && (after.starts_with('=') || after.starts_with("!=")) {
            let selector = Selector::parse(self.word()).map_err(|error| QueryError {
                hint: "a=b and a!=b ask for labels; for text, use quotes or /…/".to_owned(),
                ..error.shifted(start)
            })?;
            return Ok(Some(Test::Labels(selector)));
        }
        Ok(self.matcher()?.map(Test::Words))
    }

    /// After `-l`.
    fn selector(&mut self) -> Result<Option<Test>, QueryError> {
        let start = self.at;
        let selector = if self.rest().starts_with('"') {
            let text = self.quoted();
            // No valid selector holds what a quote would have to escape, so positions are off by the quote alone.
            Selector::parse(&text).map_err(|error| error.shifted(start + 1).within(self.text))?
        } else {
            let (selector, length) = Selector::parse_start(self.rest()).map_err(|error| error.shifted(start))?;
            self.at += length;
            selector
        };
        Ok((!selector.requirements().is_empty()).then_some(Test::Labels(selector)))
    }

    /// After a column's name.
    fn column(&mut self, name: &str, range: Range<usize>) -> Result<Test, QueryError> {
        let (message, names) = match self.columns.find(name) {
            Find::One(index) => {
                let id = self.columns.id(index).to_owned();
                return Ok(Test::Column { index, id, test: self.column_test()? });
            }
            Find::Ambiguous(names) => (format!("several columns begin with {name}"), names),
            Find::None(names) => (format!("no column is named {name}"), names),
        };
        let hint =
            if names.is_empty() { QUOTE_HINT.to_owned() } else { format!("{}; or {QUOTE_HINT}", names.join(", ")) };
        Err(QueryError { range, message, hint })
    }

    fn column_test(&mut self) -> Result<ColumnTest, QueryError> {
        if self.eat(":=") {
            let text = self.plain();
            return Ok(if text.is_empty() { ColumnTest::Empty } else { ColumnTest::Exact(Amount::any(&text)) });
        }
        if self.eat(":") {
            return Ok(self.matcher()?.map_or(ColumnTest::Empty, ColumnTest::Contains));
        }
        let comparison = Comparison::ALL.into_iter().find(|comparison| self.eat(comparison.symbol()));
        let start = self.at;
        let text = self.plain();
        match (comparison, Amount::parse(&text)) {
            (Some(comparison), Some(amount)) => Ok(ColumnTest::Compare(comparison, amount)),
            _ => Err(QueryError {
                range: if start == self.at { start - 1..start } else { start..self.at },
                message: if text.is_empty() {
                    "an amount is missing".into()
                } else {
                    format!("{text} is not an amount")
                },
                hint: "12, 100m, 1.5Gi, 80%, 3h or 2d4h".to_owned(),
            }),
        }
    }

    fn matcher(&mut self) -> Result<Option<Matcher>, QueryError> {
        let start = self.at;
        if self.rest().starts_with('"') {
            return Ok(Matcher::word(&self.quoted()));
        }
        if let Some((source, length)) = matcher::slashed(self.rest()) {
            self.at += length;
            let shift = start + 1;
            return Matcher::regex(&source).map(Some).map_err(|error| error.shifted(shift));
        }
        let word = self.word();
        if word.contains(matcher::is_meta) {
            return Matcher::regex(word).map(Some).map_err(|error| error.shifted(start));
        }
        Ok(Matcher::word(word))
    }

    /// A word or a quoted text, as it stands.
    fn plain(&mut self) -> String {
        if self.rest().starts_with('"') { self.quoted() } else { self.word().to_owned() }
    }

    /// A quoted text; a quote that is not closed yet reaches to the end.
    fn quoted(&mut self) -> String {
        let rest = self.rest();
        let mut text = String::new();
        let mut characters = rest.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.at += at + 1;
                    return text;
                }
                '\\' if rest[at + 1..].starts_with(['"', '\\']) => text.extend(characters.next().map(|(_, it)| it)),
                _ => text.push(character),
            }
        }
        self.at = self.text.len();
        text
    }
}

impl QueryError {
    fn shifted(self, by: usize) -> Self {
        Self { range: self.range.start + by..self.range.end + by, ..self }
    }

    /// Keeps the range on characters of the input, where an escape made the text shorter than what was typed.
    fn within(self, text: &str) -> Self {
        let start = text.floor_char_boundary(self.range.start.min(text.len().saturating_sub(1)));
        let end = text.ceil_char_boundary(self.range.end.max(start + 1).min(text.len()));
        Self { range: start..end, ..self }
    }
}

/// How many bytes at the start can be the name of a column or a label.
fn name_length(text: &str) -> usize {
    let is_first = |c: char| c.is_alphanumeric() || matches!(c, '%' | '#' | '$');
    let is_next = |c: char| is_first(c) || matches!(c, '-' | '_' | '.' | '/' | '(' | ')');
    if text.starts_with(is_first) { text.find(|c| !is_next(c)).unwrap_or(text.len()) } else { 0 }
}

fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/')
}

/// Text in quotes.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('\\', r"\\").replace('"', "\\\""))
    }
}

/// Text as a word if it cannot be taken for anything else, in quotes otherwise.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.0.chars().all(is_plain) && !self.0.is_empty() && !self.0.starts_with('-') {
            f.write_str(self.0)
        } else {
            Quoted(self.0).fmt(f)
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            write!(f, "{}{term}", if index == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negated {
            f.write_str("!")?;
        }
        match &self.test {
            Test::Words(matcher) => matcher.fmt(f),
            Test::Fuzzy(fuzzy) => write!(f, "-f {}", Plain(fuzzy.needle())),
            Test::Labels(selector) if selector.is_one_word() => selector.fmt(f),
            Test::Labels(selector) => write!(f, "-l \"{selector}\""),
            Test::Column { id, test, .. } => {
                let name = id.replace(' ', "-");
                if name_length(&name) == name.len() {
                    write!(f, "{name}{test}")
                } else {
                    write!(f, "{}{test}", Quoted(id))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
