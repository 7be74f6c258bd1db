//! The line that is being typed: a command, or a filter.

use tui_textarea::TextArea;

/// What the prompt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptKind {
    /// `:`
    Command,
    /// `/`
    Filter,
}

/// A line that is being typed.
pub struct Prompt {
    pub kind: PromptKind,
    pub text: TextArea<'static>,
    /// What it could become, best first.
    pub suggestions: Vec<String>,
    pub chosen: Option<usize>,
    /// Where Up and Down are in the history; `None` is the line itself.
    pub recalled: Option<usize>,
    /// The filter before it was changed, for Esc.
    pub before: String,
}

impl Prompt {
    pub fn new(kind: PromptKind, text: &str) -> Self {
        let mut area = TextArea::new(vec![text.to_owned()]);
        area.move_cursor(tui_textarea::CursorMove::End);
        Self { kind, text: area, suggestions: Vec::new(), chosen: None, recalled: None, before: text.to_owned() }
    }

    pub fn line(&self) -> &str {
        self.text.lines().first().map_or("", String::as_str)
    }

    /// Characters before the cursor.
    pub fn cursor(&self) -> usize {
        self.text.cursor().1
    }

    pub fn at_end(&self) -> bool {
        self.cursor() == self.line().chars().count()
    }

    pub fn set(&mut self, text: &str) {
        self.text = TextArea::new(vec![text.to_owned()]);
        self.text.move_cursor(tui_textarea::CursorMove::End);
    }
}
