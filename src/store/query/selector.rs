//! Label selectors, kubectl's whole grammar (`k8s.io/apimachinery/pkg/labels/selector.go`).

use std::fmt;

use super::QueryError;

/// Requirements on labels, all of which have to hold; none hold for everything. Sorted by key, as kubectl prints them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

/// One requirement on the label `key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    pub key: String,
    pub rule: Rule,
}

/// What a label has to be. `NotEquals` and `NotIn` hold where there is no such label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    Equals(String),
    NotEquals(String),
    /// Sorted, without doubles.
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    Above(i64),
    Below(i64),
}

impl Selector {
    /// Reads a whole text. Errors carry their place in it.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let (selector, length) = Self::parse_start(text)?;
        let rest = text[length..].trim_start();
        if rest.is_empty() { Ok(selector) } else { Err(unexpected(text, text.len() - rest.len(), "a comma")) }
    }

    /// Reads as much of the start of a text as is a selector, which ends at white space without a comma; gives its
    /// length too.
    pub(super) fn parse_start(text: &str) -> Result<(Self, usize), QueryError> {
        let mut reader = Reader { text, at: 0 };
        let mut requirements = Vec::new();
        reader.skip_space();
        if reader.at == text.len() {
            return Ok((Self::default(), text.len()));
        }
        loop {
            requirements.push(reader.requirement()?);
            let end = reader.at;
            reader.skip_space();
            if !reader.eat(",") {
                if reader.at == end && end < text.len() {
                    return Err(unexpected(text, end, "a comma"));
                }
                requirements.sort_by(|a, b| a.key.cmp(&b.key));
                return Ok((Self { requirements }, end));
            }
        }
    }

    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether labels satisfy it; `value` gives the value of a label that is there.
    pub fn matches<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|Requirement { key, rule }| {
            let value = value(key);
            match rule {
                Rule::Equals(wanted) => value == Some(wanted),
                Rule::NotEquals(unwanted) => value != Some(unwanted),
                Rule::In(wanted) => value.is_some_and(|value| wanted.iter().any(|it| it == value)),
                Rule::NotIn(unwanted) => !value.is_some_and(|value| unwanted.iter().any(|it| it == value)),
                Rule::Exists => value.is_some(),
                Rule::Absent => value.is_none(),
                Rule::Above(number) => value.and_then(integer).is_some_and(|value| value > *number),
                Rule::Below(number) => value.and_then(integer).is_some_and(|value| value < *number),
            }
        })
    }

    /// Whether a query knows it for a selector without `-l`.
    pub(super) fn is_one_word(&self) -> bool {
        let first = self.requirements.first().map(|requirement| &requirement.rule);
        matches!(first, Some(Rule::Equals(_) | Rule::NotEquals(_)))
            && !self.requirements.iter().any(|it| matches!(it.rule, Rule::In(_) | Rule::NotIn(_)))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Requirement { key, rule }) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match rule {
                Rule::Equals(value) => write!(f, "{key}={value}"),
                Rule::NotEquals(value) => write!(f, "{key}!={value}"),
                Rule::In(values) => write!(f, "{key} in ({})", values.join(",")),
                Rule::NotIn(values) => write!(f, "{key} notin ({})", values.join(",")),
                Rule::Exists => f.write_str(key),
                Rule::Absent => write!(f, "!{key}"),
                Rule::Above(number) => write!(f, "{key}>{number}"),
                Rule::Below(number) => write!(f, "{key}<{number}"),
            }?;
        }
        Ok(())
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    /// A key, a value or a keyword; may be empty.
    fn identifier(&mut self) -> &'a str {
        let rest = self.rest();
        let is_end = |c: char| c.is_whitespace() || "=!(),><".contains(c);
        let identifier = &rest[..rest.find(is_end).unwrap_or(rest.len())];
        self.at += identifier.len();
        identifier
    }

    /// What was read since `start` is wrong.
    fn error(&self, start: usize, message: String) -> QueryError {
        QueryError { range: start..self.at, message, hint: String::new() }
    }

    fn requirement(&mut self) -> Result<Requirement, QueryError> {
        self.skip_space();
        let is_absent = self.eat("!");
        self.skip_space();
        let start = self.at;
        let key = self.identifier();
        if key.is_empty() {
            return Err(unexpected(self.text, start, "a label's name"));
        }
        if !is_key(key) {
            return Err(self.error(start, format!("{key} cannot be a label's name")));
        }
        let rule = if is_absent { Rule::Absent } else { self.rule()? };
        Ok(Requirement { key: key.to_owned(), rule })
    }

    /// What follows a key; where nothing does, the label has to be there.
    fn rule(&mut self) -> Result<Rule, QueryError> {
        let end = self.at;
        self.skip_space();
        if self.eat("==") || self.eat("=") {
            return Ok(Rule::Equals(self.value()?));
        }
        if self.eat("!=") {
            return Ok(Rule::NotEquals(self.value()?));
        }
        if self.eat(">") {
            return Ok(Rule::Above(self.integer()?));
        }
        if self.eat("<") {
            return Ok(Rule::Below(self.integer()?));
        }
        match self.identifier() {
            "in" => Ok(Rule::In(self.values()?)),
            "notin" => Ok(Rule::NotIn(self.values()?)),
            _ => {
                self.at = end;
                Ok(Rule::Exists)
            }
        }
    }

    /// One value, empty before a comma or the end.
    fn value(&mut self) -> Result<String, QueryError> {
        self.skip_space();
        let start = self.at;
        let value = self.identifier();
        if value.is_empty() && !(self.rest().is_empty() || self.rest().starts_with(',')) {
            return Err(unexpected(self.text, start, "a value"));
        }
        if !is_value(value) {
            return Err(self.error(start, format!("{value} cannot be a label's value")));
        }
        Ok(value.to_owned())
    }

    fn integer(&mut self) -> Result<i64, QueryError> {
        let value = self.value()?;
        let start = self.at - value.len();
        integer(&value).ok_or_else(|| match value.as_str() {
            "" => unexpected(self.text, start, "a whole number"),
            _ => self.error(start, format!("{value} is not a whole number")),
        })
    }

    /// Values in parentheses; `()` is one empty value.
    fn values(&mut self) -> Result<Vec<String>, QueryError> {
        self.skip_space();
        if !self.eat("(") {
            return Err(unexpected(self.text, self.at, "("));
        }
        let mut values = Vec::new();
        loop {
            self.skip_space();
            let start = self.at;
            let value = self.identifier();
            if !is_value(value) {
                return Err(self.error(start, format!("{value} cannot be a label's value")));
            }
            values.push(value.to_owned());
            self.skip_space();
            if self.eat(")") {
                values.sort_unstable();
                values.dedup();
                return Ok(values);
            }
            if !self.eat(",") {
                return Err(unexpected(self.text, self.at, ", or )"));
            }
        }
    }
}

/// The character at `at`, or the end, is not what has to be there.
fn unexpected(text: &str, at: usize, wanted: &str) -> QueryError {
    let found = text[at..].chars().next();
    let message = match found {
        Some(found) => format!("{wanted} should be here, not {found}"),
        None => format!("{wanted} is missing"),
    };
    // The end is shown at the last character.
    let last = text.char_indices().next_back().map_or(0, |(at, _)| at);
    let range = found.map_or(last..text.len(), |found| at..at + found.len_utf8());
    QueryError { range, message, hint: "as for kubectl -l: a=b,c!=d,e in (x,y),f notin (z),g,!h".to_owned() }
}

/// As Go's `ParseInt`, of which a label's value can hold no sign.
fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// Up to 63 letters, digits, `-`, `_` and `.` that begin and end with a letter or digit; may be empty.
fn is_value(text: &str) -> bool {
    let ends = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// A value that is not empty, perhaps after a DNS name and a slash.
fn is_key(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let (is_prefix_valid, name) = match text.split_once('/') {
        Some((prefix, name)) => (prefix.len() <= 253 && prefix.split('.').all(is_label), name),
        None => (true, text),
    };
    is_prefix_valid && !name.is_empty() && is_value(name)
}
