//! Lines of text that can be scrolled and searched: YAML, help, messages.

use std::ops::Range;

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::Screen;
use crate::{
    store::query::Matcher,
    ui::{grid, theme::Role},
};

/// What a text is, for its colours and its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextKind {
    Yaml,
    Help,
    /// An object laid out for reading.
    Page,
    Messages,
}

/// A text on the stack of views.
pub struct TextView {
    pub kind: TextKind,
    pub title: String,
    pub crumb: String,
    lines: Vec<Line>,
    top: usize,
    left: usize,
    height: usize,
    pub search: String,
    matcher: Option<Matcher>,
    hits: Vec<usize>,
    /// The object behind a YAML, to show it again with other options.
    pub object: Option<serde_json::Value>,
    pub managed_fields: bool,
    pub unmasked: bool,
}

/// One line: its text and roles by byte range.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Line {
    pub text: String,
    pub roles: Vec<(Range<usize>, Role)>,
}

impl Line {
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), roles: Vec::new() }
    }

    /// A whole line in one role.
    pub fn role(text: impl Into<String>, role: Role) -> Self {
        let text = text.into();
        let roles = vec![(0..text.len(), role)];
        Self { text, roles }
    }

    /// Appends a part in its role.
    pub fn push(&mut self, text: &str, role: Role) {
        let start = self.text.len();
        self.text.push_str(text);
        self.roles.push((start..self.text.len(), role));
    }
}

impl TextView {
    pub fn new(kind: TextKind, title: String, crumb: String, lines: Vec<Line>) -> Self {
        Self {
            kind,
            title,
            crumb,
            lines,
            top: 0,
            left: 0,
            height: 1,
            search: String::new(),
            matcher: None,
            hits: Vec::new(),
            object: None,
            managed_fields: false,
            unmasked: false,
        }
    }

    pub fn set_lines(&mut self, lines: Vec<Line>) {
        self.lines = lines;
        self.find();
    }

    /// Takes lines of which new ones stand on top; who has scrolled down keeps their place.
    pub fn grow_above(&mut self, lines: Vec<Line>) {
        if self.top > 0 {
            self.top += lines.len().saturating_sub(self.lines.len());
        }
        self.set_lines(lines);
    }

    pub fn set_height(&mut self, height: usize) {
        self.height = height.max(1);
        self.top = self.top.min(self.lines.len().saturating_sub(self.height));
    }

    pub fn scroll(&mut self, lines: isize) {
        self.top = self.top.saturating_add_signed(lines).min(self.lines.len().saturating_sub(self.height));
    }

    pub fn scroll_sideways(&mut self, cells: isize) {
        let widest = self.lines.iter().map(|line| line.text.len()).max().unwrap_or(0);
        self.left = self.left.saturating_add_signed(cells).min(widest.saturating_sub(8));
    }

    pub fn page(&self) -> isize {
        isize::try_from(self.height.saturating_sub(1).max(1)).unwrap_or(1)
    }

    pub fn text(&self) -> String {
        let lines: Vec<&str> = self.lines.iter().map(|line| line.text.as_str()).collect();
        lines.join("\n")
    }

    /// Searches for words; empty ends the search.
    pub fn set_search(&mut self, words: &str) {
        words.clone_into(&mut self.search);
        self.find();
        self.next_hit(0);
    }

    fn find(&mut self) {
        self.matcher = Matcher::word(&self.search);
        self.hits = match &self.matcher {
            Some(matcher) => (0..self.lines.len()).filter(|&line| matcher.matches(&self.lines[line].text)).collect(),
            None => Vec::new(),
        };
    }

    /// Scrolls to the next hit (1), the one before (-1) or the first from here (0).
    pub fn next_hit(&mut self, direction: isize) {
        let target = match direction {
            0 => self.hits.iter().find(|&&line| line >= self.top).or(self.hits.first()),
            1.. => self.hits.iter().find(|&&line| line > self.top).or(self.hits.first()),
            _ => self.hits.iter().rev().find(|&&line| line < self.top).or(self.hits.last()),
        };
        if let Some(&line) = target {
            self.top = line.min(self.lines.len().saturating_sub(1));
        }
    }

    /// `title[line/lines]`, with hits while searching.
    pub fn status(&self) -> String {
        let last = (self.top + self.height).min(self.lines.len());
        if self.search.is_empty() {
            format!("{}[{last}/{}]", self.title, self.lines.len())
        } else {
            format!("{}[{last}/{}] {} found", self.title, self.lines.len(), self.hits.len())
        }
    }

    pub fn draw(&self, area: Rect, buffer: &mut Buffer, screen: &Screen<'_>) {
        for (row, line) in self.lines.iter().skip(self.top).take(area.height as usize).enumerate() {
            let y = area.y + u16::try_from(row).unwrap_or(0);
            let start = line.text.char_indices().nth(self.left).map_or(line.text.len(), |(at, _)| at);
            let shown = &line.text[start..];
            let text = screen.style(Role::Text);
            buffer.set_stringn(area.x + 1, y, shown, area.width.saturating_sub(2) as usize, text);
            for (range, role) in &line.roles {
                paint_range(buffer, area, y, shown, start, range, screen.style(*role));
            }
            if let Some(matcher) = &self.matcher {
                for range in matcher.ranges(&line.text) {
                    paint_range(buffer, area, y, shown, start, &range, screen.style(Role::Match));
                }
            }
        }
    }
}

/// Styles a byte range of a line of which `shown`, from byte `start` on, is on screen.
fn paint_range(buffer: &mut Buffer, area: Rect, y: u16, shown: &str, start: usize, range: &Range<usize>, style: Style) {
    let from = range.start.saturating_sub(start);
    let to = range.end.saturating_sub(start);
    let (Some(before), Some(inner)) = (shown.get(..from), shown.get(from..to)) else { return };
    let x = area.x.saturating_add(1).saturating_add(grid::width(before));
    buffer.set_style(Rect { x, y, width: grid::width(inner), height: 1 }.intersection(area), style);
}

/// An object as YAML, with the roles of keys and values. Managed fields are left out, and what is secret is masked,
/// unless asked for.
pub fn yaml(object: &serde_json::Value, managed_fields: bool, unmasked: bool) -> Vec<Line> {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(serde_json::Value::as_object_mut)
        && !managed_fields
    {
        metadata.remove("managedFields");
    }
    if object.get("kind").and_then(serde_json::Value::as_str) == Some("Secret") && !unmasked {
        mask(&mut object);
    }
    let text = serde_saphyr::to_string(&object).unwrap_or_else(|error| format!("# cannot be written as YAML: {error}"));
    text.lines().map(colored).collect()
}

/// Replaces the values of a secret, also where an annotation repeats them.
fn mask(secret: &mut serde_json::Value) {
    const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
    for part in ["data", "stringData"] {
        if let Some(data) = secret.get_mut(part).and_then(serde_json::Value::as_object_mut) {
            for value in data.values_mut() {
                *value = "••••••••".into();
            }
        }
    }
    if let Some(annotation) = secret.pointer_mut(&format!("/metadata/annotations/{}", LAST_APPLIED.replace('/', "~1")))
    {
        *annotation = "••••••••".into();
    }
}

/// Colours one line of YAML by its shape.
fn colored(line: &str) -> Line {
    let mut roles = Vec::new();
    let body = line.trim_start_matches([' ', '-']);
    let indent = line.len() - body.len();
    let key_end = body.find(": ").or_else(|| body.strip_suffix(':').map(str::len));
    let value_start = match key_end {
        Some(end) if !body.starts_with(['"', '\'']) || body[..end].ends_with(['"', '\'']) => {
            roles.push((indent..indent + end, Role::YamlKey));
            indent + end + 1
        }
        _ => indent,
    };
    let value = line[value_start..].trim_start();
    let start = line.len() - value.len();
    if !value.is_empty() {
        let role = match value {
            "true" | "false" | "null" | "~" => Role::YamlBool,
            _ if value.starts_with('#') => Role::YamlComment,
            _ if value.parse::<f64>().is_ok() => Role::YamlNumber,
            _ => Role::YamlString,
        };
        roles.push((start..line.len(), role));
    }
    Line { text: line.to_owned(), roles }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_masked_until_asked_for() {
        let secret = serde_json::json!({
            "kind": "Secret",
            "metadata": {
                "name": "db",
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"password\":\"aHVudGVyMg==\"}"},
                "managedFields": [{"manager": "kubectl"}],
            },
            "data": {"password": "aHVudGVyMg=="},
        });
        let text = |unmasked| yaml(&secret, false, unmasked).iter().map(|line| line.text.clone()).collect::<String>();
        assert!(!text(false).contains("aHVudGVyMg"), "{}", text(false));
        assert!(text(false).contains("password"));
        assert!(text(true).contains("aHVudGVyMg"));
        assert!(!text(true).contains("managedFields"));
    }

    #[test]
    fn yaml_lines_have_keys_and_values() {
        assert_eq!(colored("  name: api").roles, [(2..6, Role::YamlKey), (8..11, Role::YamlString)]);
        assert_eq!(colored("- replicas: 3").roles, [(2..10, Role::YamlKey), (12..13, Role::YamlNumber)]);
        assert_eq!(colored("spec:").roles, [(0..4, Role::YamlKey)]);
        assert_eq!(colored("- true").roles, [(2..6, Role::YamlBool)]);
    }
}
