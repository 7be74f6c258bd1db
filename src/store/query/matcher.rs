//! What finds text: words, regular expressions, fuzzy needles.

use std::{fmt, ops::Range};

use memchr::{memchr2, memmem, memrchr2};
use regex::{Regex, RegexBuilder};

use super::{Plain, QueryError};

/// A word or a regular expression, built once and asked often.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// What is looked for: a word in lower case, or the regex as typed.
    source: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Word(Box<memmem::Finder<'static>>),
    Regex(Regex),
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && matches!(self.kind, Kind::Word(_)) == matches!(other.kind, Kind::Word(_))
    }
}

/// Whether a character makes its word a regular expression. Not `.` and `-`: names are full of them.
pub(super) fn is_meta(character: char) -> bool {
    "^$*+?()[]{}|\\".contains(character)
}

impl Matcher {
    /// Finds this text, whatever the case of ASCII letters; `None` for no text, which would be everywhere.
    pub fn word(text: &str) -> Option<Self> {
        let source = text.to_ascii_lowercase();
        let finder = memmem::Finder::new(source.as_bytes()).into_owned();
        (!source.is_empty()).then_some(Self { source, kind: Kind::Word(Box::new(finder)) })
    }

    /// Finds a regular expression of the `regex` crate (RE2's syntax), whatever the case. `\/` may stand for `/`.
    pub fn regex(source: &str) -> Result<Self, QueryError> {
        let bare = with_bare_slashes(source);
        match RegexBuilder::new(&bare).case_insensitive(true).build() {
            Ok(regex) => Ok(Self { source: bare, kind: Kind::Regex(regex) }),
            Err(error) => Err(explain(source, &bare, &error)),
        }
    }

    /// Whether it can be in an IPv4 address or a ratio; most words cannot, and these need not be written out for them.
    pub fn may_match_digits(&self) -> bool {
        self.may_consist_of(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'/'))
    }

    /// The same for an IPv6 address.
    pub fn may_match_hexadecimal(&self) -> bool {
        self.may_consist_of(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':'))
    }

    fn may_consist_of(&self, of: fn(u8) -> bool) -> bool {
        match &self.kind {
            Kind::Regex(_) => true,
            Kind::Word(_) => self.source.bytes().all(of),
        }
    }

    pub fn matches(&self, text: &str) -> bool {
        match &self.kind {
            Kind::Regex(regex) => regex.is_match(text),
            // Names are in lower case: most texts need no more than the first search.
            Kind::Word(finder) => {
                finder.find(text.as_bytes()).is_some()
                    || (text.bytes().any(|byte| byte.is_ascii_uppercase()) && self.find_folded(text, 0).is_some())
            }
        }
    }

    /// Every place where it stands, apart from each other; empty matches of a regex are left out.
    pub fn ranges(&self, text: &str) -> Vec<Range<usize>> {
        match &self.kind {
            Kind::Regex(regex) => {
                regex.find_iter(text).map(|found| found.range()).filter(|range| !range.is_empty()).collect()
            }
            Kind::Word(_) => {
                let mut ranges: Vec<Range<usize>> = Vec::new();
                while let Some(at) = self.find_folded(text, ranges.last().map_or(0, |last| last.end)) {
                    ranges.push(at..at + self.source.len());
                }
                ranges
            }
        }
    }

    /// The first place at or after `from`, whatever the case.
    fn find_folded(&self, text: &str, mut from: usize) -> Option<usize> {
        let (text, needle) = (text.as_bytes(), self.source.as_bytes());
        let first = *needle.first()?;
        loop {
            let at = from + memchr2(first, first.to_ascii_uppercase(), text.get(from..)?)?;
            if text.get(at..at + needle.len())?.eq_ignore_ascii_case(needle) {
                return Some(at);
            }
            from = at + 1;
        }
    }

    /// Whether every text that this matches, `old` matched too. False where it cannot be said at once.
    pub(super) fn narrows(&self, old: &Matcher) -> bool {
        match (&self.kind, &old.kind) {
            (Kind::Word(_), Kind::Word(_)) => self.source.contains(&old.source),
            _ => self == old,
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Word(_) => Plain(&self.source).fmt(f),
            Kind::Regex(_) => {
                let mut escaped = String::new();
                for unit in units(&self.source) {
                    escaped.push_str(if unit == "/" { r"\/" } else { unit });
                }
                write!(f, "/{escaped}/")
            }
        }
    }
}

/// The characters of a regex, each backslash together with what it escapes.
fn units(source: &str) -> impl Iterator<Item = &str> {
    let mut rest = source;
    std::iter::from_fn(move || {
        let mut characters = rest.chars();
        let first = characters.next()?;
        if first == '\\' {
            characters.next();
        }
        let (unit, after) = rest.split_at(rest.len() - characters.as_str().len());
        rest = after;
        Some(unit)
    })
}

fn with_bare_slashes(source: &str) -> String {
    units(source).map(bare).collect()
}

fn bare(unit: &str) -> &str {
    if unit == r"\/" { "/" } else { unit }
}

/// Where a place in `with_bare_slashes(source)` is in `source`.
fn as_typed(source: &str, place: usize) -> usize {
    let (mut before, mut typed) = (0, 0);
    for unit in units(source) {
        let after = before + bare(unit).len();
        if after > place {
            return typed + place - before;
        }
        (before, typed) = (after, typed + unit.len());
    }
    typed
}

/// `/regex/` at the start of a text: what stands between the slashes and how long the whole is. The second slash ends
/// a word; a slash within may be escaped.
pub(super) fn slashed(text: &str) -> Option<(String, usize)> {
    let inside = text.strip_prefix('/')?;
    let mut length = 0;
    for unit in units(inside) {
        let after = &inside[length + unit.len()..];
        if unit == "/" && length > 0 && !after.starts_with(|c: char| !c.is_whitespace()) {
            return Some((inside[..length].to_owned(), length + 2));
        }
        length += unit.len();
    }
    None
}

/// The `regex` crate draws its errors over several lines; its parser knows the place.
fn explain(source: &str, bare: &str, error: &regex::Error) -> QueryError {
    let (span, message) = match regex_syntax::Parser::new().parse(bare) {
        Err(regex_syntax::Error::Parse(error)) => (Some(*error.span()), error.kind().to_string()),
        Err(regex_syntax::Error::Translate(error)) => (Some(*error.span()), error.kind().to_string()),
        _ => (None, error.to_string()),
    };
    let range = span.map_or(0..0, |span| as_typed(source, span.start.offset)..as_typed(source, span.end.offset));
    QueryError {
        range: if range.is_empty() { 0..source.len() } else { range },
        message: format!("not a regular expression: {message}"),
        hint: super::QUOTE_HINT.to_owned(),
    }
}

/// Characters that have to stand in this order, with anything between them; letters in either case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fuzzy {
    needle: String,
}

impl Fuzzy {
    /// `None` for no text, which would be everywhere.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self { needle: text.to_ascii_lowercase() })
    }

    /// What is looked for, in lower case.
    pub fn needle(&self) -> &str {
        &self.needle
    }

    pub fn matches(&self, text: &str) -> bool {
        self.end(text).is_some()
    }

    /// Where the characters stand, as close together as they can before their first possible end.
    pub fn ranges(&self, text: &str) -> Vec<Range<usize>> {
        let Some(mut end) = self.end(text) else { return Vec::new() };
        let mut ranges = Vec::new();
        for character in self.needle.chars().rev() {
            let Some(range) = last(character, &text.as_bytes()[..end]) else { break };
            end = range.start;
            ranges.push(range);
        }
        ranges.reverse();
        ranges
    }

    /// Where the shortest start of the text ends that holds all characters.
    fn end(&self, text: &str) -> Option<usize> {
        let bytes = text.as_bytes();
        let mut at = 0;
        for character in self.needle.chars() {
            at += first(character, &bytes[at..])?.end;
        }
        Some(at)
    }
}

fn first(character: char, bytes: &[u8]) -> Option<Range<usize>> {
    let mut buffer = [0; 4];
    let encoded = character.encode_utf8(&mut buffer).as_bytes();
    let at = match encoded {
        [byte] => memchr2(*byte, byte.to_ascii_uppercase(), bytes),
        several => memmem::find(bytes, several),
    }?;
    Some(at..at + encoded.len())
}

fn last(character: char, bytes: &[u8]) -> Option<Range<usize>> {
    let mut buffer = [0; 4];
    let encoded = character.encode_utf8(&mut buffer).as_bytes();
    let at = match encoded {
        [byte] => memrchr2(*byte, byte.to_ascii_uppercase(), bytes),
        several => memmem::rfind(bytes, several),
    }?;
    Some(at..at + encoded.len())
}
