//! The commands that were run, and where the user is among them.

/// Commands that were run, like a browser's history.
#[derive(Debug, Default)]
pub struct History {
    entries: Vec<String>,
    at: usize,
}

impl History {
    pub fn visit(&mut self, line: &str) {
        if self.entries.get(self.at).is_some_and(|entry| entry == line) {
            return;
        }
        self.entries.truncate(self.at + 1);
        self.entries.push(line.to_owned());
        if self.entries.len() > 1_000 {
            self.entries.remove(0);
        }
        self.at = self.entries.len() - 1;
    }

    pub fn back(&mut self) -> Option<String> {
        self.at = self.at.checked_sub(1)?;
        self.entries.get(self.at).cloned()
    }

    pub fn forward(&mut self) -> Option<String> {
        let line = self.entries.get(self.at + 1)?.clone();
        self.at += 1;
        Some(line)
    }

    /// The command before the one that is shown, as `cd -` has it.
    pub fn last(&self) -> Option<String> {
        self.entries.get(self.at.checked_sub(1)?).cloned()
    }
}
