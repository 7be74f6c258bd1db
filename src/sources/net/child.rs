//! Programs that are run for what they print: away from the terminal, with a time limit, and gone with whoever waits for
//! them. Knows nothing of what the output means.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// A credential is a few kilobytes; of more than this only the end is kept.
const MAX_OUTPUT_BYTES: usize = 256 * 1024;

/// What a program printed, the end of it, until it ended or was given up.
#[derive(Default)]
pub struct Output {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// How a program ended.
#[derive(Debug)]
pub enum Ended {
    /// With this status.
    Exited(ExitStatus),
    /// Not within the time limit: it and what it started were killed.
    TimedOut,
    /// It never began.
    NotStarted(io::Error),
    /// What it printed or how it ended cannot be read.
    Lost(io::Error),
}

/// Runs a program to its end. Dropping the future kills it and its children.
pub async fn run(mut command: Command, timeout: Duration) -> (Ended, Output) {
    let mut output = Output::default();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    // A session of its own has no terminal: a prompt through /dev/tty cannot reach the screen, and the whole group
    // can be ended together.
    #[cfg(unix)]
    {
        let detach = || rustix::process::setsid().map(drop).map_err(io::Error::from);
        #[expect(unsafe_code, reason = "there is no safe way yet to start a child in a session of its own")]
        // SAFETY: setsid is async-signal-safe; nothing is allocated, locked or shared between fork and exec.
        unsafe {
            command.pre_exec(detach);
        }
    }
    let ended = match command.spawn().map(Running) {
        Err(error) => Ended::NotStarted(error),
        Ok(child) => match tokio::time::timeout(timeout, output.read(child)).await {
            Err(_) => Ended::TimedOut,
            Ok(Err(error)) => Ended::Lost(error),
            Ok(Ok(status)) => Ended::Exited(status),
        },
    };
    (ended, output)
}

/// The last lines that a program wrote, as the end of a sentence.
pub fn tail(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(3)..].join(" / ");
    // Of a long line the end says what went wrong, as a traceback does.
    let skip = last.chars().count().saturating_sub(400);
    if last.is_empty() { String::new() } else { format!(": {}", last.chars().skip(skip).collect::<String>()) }
}

/// A started program. It and all that it started ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // The id is there until the child was waited for, so that it cannot be someone else's by now.
        #[cfg(unix)]
        if let Some(group) = self.0.id().and_then(|id| rustix::process::Pid::from_raw(id.try_into().ok()?)) {
            // The group may be gone already, and then there is nothing to do.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

impl Output {
    /// Reads until the child has closed its output and ended. What was read so far stays when this is given up.
    async fn read(&mut self, mut running: Running) -> io::Result<ExitStatus> {
        let (stdout, stderr) = (running.0.stdout.take(), running.0.stderr.take());
        tokio::join!(read_end(stdout, &mut self.stdout), read_end(stderr, &mut self.stderr));
        running.0.wait().await
    }
}

/// Reads all and keeps the last [`MAX_OUTPUT_BYTES`], so that a talkative program neither blocks nor fills memory.
async fn read_end(source: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut source) = source else { return };
    while let Ok(1..) = source.read_buf(kept).await {
        if kept.len() > 2 * MAX_OUTPUT_BYTES {
            kept.drain(..kept.len() - MAX_OUTPUT_BYTES);
        }
    }
}
