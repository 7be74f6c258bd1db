//! What was typed at the prompt: commands with their `:` and filters with their `/`, one a line in `history` of the state
//! folder, oldest first. Loading and appending touch the disk: call them off the loop.

use std::{collections::HashSet, fs, io, io::Write as _, path::Path};

use super::dirs;
use crate::problem::Problem;

/// How many entries are remembered.
pub const LIMIT: usize = 5000;

/// The prompt's memory, without repetitions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    entries: Vec<String>,
}

impl History {
    /// What was typed in earlier runs. A file that has grown far beyond what is remembered is cut.
    pub fn load(path: &Path) -> (Self, Option<Problem>) {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (Self::default(), None),
            Err(error) => {
                let problem = Problem::new(format!("{}: cannot be read", path.display())).because(error);
                return (Self::default(), Some(problem));
            }
        };
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        // What was typed last counts, so the search for repetitions goes backwards.
        let mut seen = HashSet::new();
        let newest = lines.iter().rev().filter(|line| seen.insert(**line)).take(LIMIT);
        let mut entries: Vec<String> = newest.map(|line| (*line).to_owned()).collect();
        entries.reverse();
        let history = Self { entries };
        let cut = if lines.len() > 2 * LIMIT { dirs::replace(path, &history.text()) } else { Ok(()) };
        let problem = cut.err().map(|error| Problem::new(format!("{}: cannot be cut", path.display())).because(error));
        (history, problem)
    }

    /// Remembers an entry for this run; [`append`] keeps it for the next. What repeats an older entry moves it here.
    pub fn push(&mut self, entry: &str) {
        let entry = one_line(entry);
        if entry.is_empty() {
            return;
        }
        self.entries.retain(|old| *old != entry);
        self.entries.push(entry);
        let excess = self.entries.len().saturating_sub(LIMIT);
        self.entries.drain(..excess);
    }

    /// The entries, oldest first.
    pub fn entries(&self) -> &[String] {
        &self.entries
    }

    fn text(&self) -> String {
        self.entries.iter().flat_map(|entry| [entry.as_str(), "\n"]).collect()
    }
}

/// Adds an entry to the file. Runs beside each other add to the same file and lose nothing.
pub fn append(path: &Path, entry: &str) -> Result<(), Problem> {
    let entry = one_line(entry);
    if entry.is_empty() {
        return Ok(());
    }
    let write = || {
        fs::create_dir_all(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
        let mut file = dirs::private(fs::OpenOptions::new().append(true).create(true)).open(path)?;
        // In one write, so that lines of two runs do not mix.
        file.write_all(format!("{entry}\n").as_bytes())
    };
    write().map_err(|error| Problem::new(format!("{}: cannot be saved", path.display())).because(error))
}

/// An entry is a line; a pasted line break becomes a space.
fn one_line(entry: &str) -> String {
    entry.split(['\n', '\r']).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_without_repetitions() {
        let folder = crate::config::tests::Folder::new("history");
        let path = folder.path().join("deep/history");
        assert_eq!(History::load(&path), (History::default(), None));
        let mut typed = History::default();
        for entry in [":pods", "/api cpu>100m", ":nodes", ":pods", "  ", ":pods kube-system\n/x "] {
            typed.push(entry);
            append(&path, entry).unwrap();
        }
        assert_eq!(typed.entries(), ["/api cpu>100m", ":nodes", ":pods", ":pods kube-system /x"]);
        assert_eq!(History::load(&path), (typed, None));
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
    }

    #[test]
    fn the_oldest_go_first_and_the_file_is_cut_now_and_then() {
        let folder = crate::config::tests::Folder::new("long-history");
        let path = folder.path().join("history");
        let lines = |count: usize| (0..count).map(|number| format!(":v{number}")).collect::<Vec<_>>().join("\n");
        fs::write(&path, lines(2 * LIMIT)).unwrap();
        let (history, _) = History::load(&path);
        assert_eq!(history.entries().len(), LIMIT);
        assert_eq!(history.entries()[0], format!(":v{LIMIT}"));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2 * LIMIT, "not yet worth it");

        fs::write(&path, lines(2 * LIMIT + 1)).unwrap();
        let (mut history, problem) = History::load(&path);
        assert_eq!(problem, None);
        assert_eq!(fs::read_to_string(&path).unwrap(), history.text());
        history.push(":one more");
        assert_eq!(history.entries().len(), LIMIT);
        assert_eq!(history.entries().last().unwrap(), ":one more");
    }

    #[test]
    fn bytes_that_are_no_text_cost_nothing() {
        let folder = crate::config::tests::Folder::new("bytes");
        let path = folder.path().join("history");
        fs::write(&path, b":pods\n\xff\xfe\n\n:nodes\r\n").unwrap();
        assert_eq!(History::load(&path).0.entries(), [":pods", "\u{fffd}\u{fffd}", ":nodes"]);
    }
}
