//! TOML with places: every key and value knows its `file:line:column`, a syntax error costs only what it touches, and a wrong
//! value is one `Problem` and nothing else. Settings, key maps and themes are read through this.

use std::{fmt, ops::RangeInclusive, path::Path, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{problem::Problem, util::suggest};

/// A parsed file.
pub struct Document<'a> {
    path: &'a Path,
    text: &'a str,
    root: DeTable<'a>,
    /// Lines (from 0) that the parser stumbled over: what they seem to say is not to be believed.
    broken: Vec<usize>,
}

impl<'a> Document<'a> {
    /// Parses as much as can be parsed and reports the rest.
    pub fn parse(path: &'a Path, text: &'a str, problems: &mut Vec<Problem>) -> Self {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut document = Self { path, text, root: root.into_inner(), broken: Vec::new() };
        for error in errors {
            let offset = error.span().map_or(text.len(), |span| span.start);
            let line = document.line(offset);
            // One mistake often upsets the parser several times; the first says what it is.
            if !document.broken.contains(&line) {
                document.broken.push(line);
                problems.push(Problem::new(format!("{}: not TOML", document.place(offset))).because(error.message()));
            }
        }
        document
    }

    /// The whole file as a table.
    pub fn root(&self) -> Table<'_> {
        Table { document: self, name: String::new(), entries: &self.root }
    }

    /// Where a broken file may say something about `key` that could not be read.
    pub fn lost(&self, key: &str) -> Option<String> {
        let mut end = 0;
        let offset = self.text.split_inclusive('\n').find_map(|line| {
            let start = end;
            end += line.len();
            line.find(key).filter(|_| !line.trim_start().starts_with('#')).map(|at| start + at)
        })?;
        (!self.broken.is_empty()).then(|| self.place(offset))
    }

    /// Zero-based line of a byte offset.
    fn line(&self, offset: usize) -> usize {
        let end = offset.min(self.text.len());
        memchr::memchr_iter(b'\n', &self.text.as_bytes()[..end]).count()
    }

    /// `file:line:column` of a byte offset, as editors and compilers have it: both from 1, the column in characters.
    fn place(&self, offset: usize) -> String {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        format!("{}:{}:{column}", self.path.display(), self.line(offset) + 1)
    }
}

/// A table in a file.
pub struct Table<'d> {
    document: &'d Document<'d>,
    name: String,
    entries: &'d DeTable<'d>,
}

impl<'d> Table<'d> {
    /// As in its header, `ui`, or nothing for the top of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The entries in the order in which they are written, without those on lines that are not TOML.
    pub fn entries(&self) -> Vec<Entry<'d>> {
        let broken = &self.document.broken;
        let mut entries: Vec<_> = self
            .entries
            .iter()
            .filter(|(key, value)| {
                // A table stands on many lines: what is inside it is judged line by line.
                let end = if value.get_ref().is_table() { key.span().end } else { value.span().end };
                let lines = self.document.line(key.span().start)..=self.document.line(end);
                !broken.iter().any(|line| lines.contains(line))
            })
            .map(|(key, value)| Entry {
                key: key.get_ref().as_ref().to_owned(),
                table: self.name.clone(),
                place: Place::File(self.document, key.span().start),
                value: Given::Toml(value),
            })
            .collect();
        entries.sort_by_key(|entry| entry.place.offset());
        entries
    }
}

/// A value that is judged later, with the place to name then.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placed<T> {
    /// As [`Entry::place`].
    pub place: String,
    pub value: T,
}

/// Where a value comes from.
enum Place<'d> {
    File(&'d Document<'d>, usize),
    Environment(String),
}

impl Place<'_> {
    fn offset(&self) -> usize {
        if let Self::File(_, offset) = self { *offset } else { 0 }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(document, offset) => f.write_str(&document.place(*offset)),
            Self::Environment(variable) => f.write_str(variable),
        }
    }
}

/// A value as it was given: typed in a file, plain text in the environment.
enum Given<'d> {
    Toml(&'d Spanned<DeValue<'d>>),
    Text(String),
}

/// One key and its value.
pub struct Entry<'d> {
    key: String,
    table: String,
    place: Place<'d>,
    value: Given<'d>,
}

impl<'d> Entry<'d> {
    /// A value that an environment variable gives. A list is written with commas.
    pub fn from_environment(variable: String, key: &str, value: String) -> Self {
        Self {
            key: key.to_owned(),
            table: String::new(),
            place: Place::Environment(variable),
            value: Given::Text(value),
        }
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    /// `file:line:column`, or the name of the environment variable.
    pub fn place(&self) -> String {
        self.place.to_string()
    }

    /// A problem at the place of this entry.
    pub fn problem(&self, what: impl fmt::Display) -> Problem {
        Problem::new(format!("{}: {what}", self.place))
    }

    /// The key is none of those that may stand here.
    pub fn unknown<'k>(&self, known: impl IntoIterator<Item = &'k str>) -> Problem {
        let table = if self.table.is_empty() { String::new() } else { format!(" in [{}]", self.table) };
        self.problem(format!("unknown key `{}`{table}", self.key)).hint(suggest::hint(&self.key, known))
    }

    /// The value is not of the kind that the key takes.
    fn expected(&self, wanted: &str) -> Problem {
        let problem = self.problem(format!("`{}` must be {wanted}", self.key));
        match &self.value {
            Given::Toml(value) => match value.get_ref() {
                DeValue::String(text) => problem.because(format!("it is \"{text}\"")),
                DeValue::Integer(number) => problem.because(format!("it is {number}")),
                other => problem.because(format!("it is of the type {}", other.type_str())),
            },
            Given::Text(text) => problem.because(format!("it is \"{text}\"")),
        }
    }

    pub fn text(&self) -> Result<&str, Problem> {
        match &self.value {
            Given::Toml(value) => value.get_ref().as_str().ok_or_else(|| self.expected("a string")),
            Given::Text(text) => Ok(text),
        }
    }

    pub fn bool(&self) -> Result<bool, Problem> {
        let given = match &self.value {
            Given::Toml(value) => value.get_ref().as_bool(),
            Given::Text(text) => match text.to_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Some(true),
                "false" | "0" | "no" | "off" => Some(false),
                _ => None,
            },
        };
        given.ok_or_else(|| self.expected("true or false"))
    }

    /// Whether the value is the literal `false`: the way to take something away.
    pub fn is_false(&self) -> bool {
        matches!(self.value, Given::Toml(value) if value.get_ref().as_bool() == Some(false))
    }

    pub fn integer(&self, range: RangeInclusive<u32>) -> Result<u32, Problem> {
        let given = match &self.value {
            Given::Toml(value) => {
                value.get_ref().as_integer().and_then(|int| u32::from_str_radix(int.as_str(), int.radix()).ok())
            }
            Given::Text(text) => text.trim().parse().ok(),
        };
        given
            .filter(|number| range.contains(number))
            .ok_or_else(|| self.expected(&format!("a whole number from {} to {}", range.start(), range.end())))
    }

    /// A length of time with its unit: `500ms`, `30s`, `5m`, `1h`.
    pub fn duration(&self, range: RangeInclusive<Duration>) -> Result<Duration, Problem> {
        self.text().ok().and_then(parse_duration).filter(|given| range.contains(given)).ok_or_else(|| {
            let (from, to) = (range.start(), range.end());
            self.expected(&format!("a time from {} to {}", show_duration(*from), show_duration(*to)))
                .hint("write it like \"500ms\", \"30s\", \"5m\"")
        })
    }

    /// One of some words.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, Problem> {
        let text = self.text()?;
        choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            self.expected(&format!("one of {}", words.join(", ")))
                .hint(suggest::hint(text, choices.iter().map(|(word, _)| *word)))
        })
    }

    pub fn list(&self) -> Result<Vec<String>, Problem> {
        match &self.value {
            Given::Toml(value) => value
                .get_ref()
                .as_array()
                .and_then(|items| items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect())
                .ok_or_else(|| self.expected("a list of strings")),
            Given::Text(text) => {
                Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
            }
        }
    }

    /// The texts of a list in a file, each with its place.
    pub fn placed_list(&self) -> Result<Vec<Placed<String>>, Problem> {
        let texts = self.list()?;
        let places = match (&self.value, &self.place) {
            (Given::Toml(value), Place::File(document, _)) => {
                let items = value.get_ref().as_array().into_iter().flatten();
                items.map(|item| document.place(item.span().start)).collect()
            }
            _ => vec![self.place(); texts.len()],
        };
        Ok(texts.into_iter().zip(places).map(|(value, place)| Placed { place, value }).collect())
    }

    /// The value as a table, if it is one.
    pub fn as_table(&self) -> Option<Table<'d>> {
        let (Given::Toml(value), Place::File(document, _)) = (&self.value, &self.place) else { return None };
        let entries = value.get_ref().as_table()?;
        let name = if self.table.is_empty() { self.key.clone() } else { format!("{}.{}", self.table, self.key) };
        Some(Table { document, name, entries })
    }

    pub fn table(&self) -> Result<Table<'d>, Problem> {
        self.as_table().ok_or_else(|| self.expected("a table"))
    }
}

/// Reads `500ms`, `30s`, `5m`, `1h`; a bare number has no unit and is no time.
fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    match text[digits..].trim() {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

fn show_duration(duration: Duration) -> String {
    match duration.as_millis() {
        millis if millis % 3_600_000 == 0 && millis > 0 => format!("{}h", millis / 3_600_000),
        millis if millis % 60_000 == 0 && millis > 0 => format!("{}m", millis / 60_000),
        millis if millis % 1000 == 0 => format!("{}s", millis / 1000),
        millis => format!("{millis}ms"),
    }
}
