//! Reading a recording, line by line. Says where a file is not what it should be; a file that was cut short is good up
//! to there.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;
use serde::de::DeserializeOwned;

use super::{Entry, Head, VERSION, What};
use crate::problem::Problem;

/// How a recording ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// In good order.
    Whole,
    /// In the middle, for this reason.
    Short(String),
}

/// A recording that is being read.
pub struct Reader {
    path: PathBuf,
    lines: Box<dyn BufRead>,
    line: u64,
    pub head: Head,
    /// Known once there are no more entries.
    pub end: Option<Recorded>,
}

impl Reader {
    /// Opens a file and reads its head.
    pub fn open(path: &Path) -> Result<Self, Problem> {
        let failed =
            |why: &dyn std::fmt::Display| Problem::new(format!("{}: cannot be read", path.display())).because(why);
        let mut file = BufReader::new(File::open(path).map_err(|error| failed(&error))?);
        let packed = file.fill_buf().map_err(|error| failed(&error))?.starts_with(&[0x1f, 0x8b]);
        let lines: Box<dyn BufRead> =
            if packed { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) };
        let mut reader = Self { path: path.to_owned(), lines, line: 0, head: Head::new(None, None, None), end: None };
        let no_recording = |why: &str| {
            Problem::new(format!("{}:1: this is no recording", path.display()))
                .because(why)
                .hint("`ekscope --record FILE` makes one")
        };
        match reader.read::<Head>() {
            Ok(Some(head)) if head.ekscope_recording == VERSION => reader.head = head,
            Ok(Some(head)) => {
                let version = head.ekscope_recording;
                return Err(no_recording(&format!("its format is {version}, and this program reads {VERSION}")));
            }
            Ok(None) => return Err(no_recording("it does not begin as one does")),
            Err(problem) => return Err(no_recording(&problem.why)),
        }
        Ok(reader)
    }

    /// The next entry; none at the end, and then `end` says of what sort it was.
    pub fn entry(&mut self) -> Result<Option<Entry>, Problem> {
        if self.end.is_some() {
            return Ok(None);
        }
        let entry = self.read::<Entry>()?;
        if let Some(Entry { what: What::Finished {}, .. }) = entry {
            self.end = Some(Recorded::Whole);
            return Ok(None);
        }
        Ok(entry)
    }

    fn read<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Problem> {
        let mut line = Vec::new();
        let short = |why: &str| Some(Recorded::Short(why.to_owned()));
        match self.lines.read_until(b'\n', &mut line) {
            Ok(_) if line.last() == Some(&b'\n') => {}
            Ok(_) => {
                self.end = short("its end is missing");
                return Ok(None);
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.end = short("its end is missing");
                return Ok(None);
            }
            Err(error) => {
                self.end = short(&format!("after line {} it is damaged: {error}", self.line));
                return Ok(None);
            }
        }
        self.line += 1;
        serde_json::from_slice(&line).map(Some).map_err(|error| {
            let place = format!("{}:{}:{}", self.path.display(), self.line, error.column());
            let why = error.to_string();
            // A line of ours is always the first of its text.
            let why = why.split(" at line ").next().unwrap_or_default().to_owned();
            Problem::new(format!("{place}: this is not what a recording has there")).because(why)
        })
    }
}
