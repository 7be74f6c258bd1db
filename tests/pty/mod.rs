//! A terminal for tests and benchmarks: runs the program in a pty, keeps its screen, and knows when each text came.

#![allow(dead_code, reason = "every test uses its own part of it")]

use std::{
    io::{Read, Write},
    num::NonZeroU16,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// How long a test waits for what has to come; generous, because a busy machine is no failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program in its terminal.
pub struct Session {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    writer: Box<dyn Write + Send>,
    shared: Arc<Shared>,
    pub started: Instant,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    parser: vt100::Parser,
    /// When the last bytes were read.
    at: Instant,
    /// Everything that was written, for what no screen shows.
    raw: Vec<u8>,
    /// Whether a frame has begun and not ended: half a frame is no screen.
    drawing: bool,
    frames: u64,
    ended: bool,
}

/// How a frame begins and ends (synchronized update).
const FRAME: (&[u8], &[u8]) = (b"\x1b[?2026h", b"\x1b[?2026l");

/// What to run.
pub struct Options<'a> {
    pub program: &'a Path,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub columns: u16,
    pub rows: u16,
}

impl Session {
    pub fn start(options: &Options<'_>) -> Self {
        let size = PtySize { rows: options.rows, cols: options.columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pty");
        let mut command = CommandBuilder::new(options.program);
        command.args(&options.arguments);
        command.env("TERM", "xterm-256color");
        command.env("COLORTERM", "truecolor");
        command.env("TZ", "UTC");
        for (name, value) in &options.environment {
            command.env(name, value);
        }
        let mut reader = pair.master.try_clone_reader().expect("a reader");
        let writer = pair.master.take_writer().expect("a writer");
        let started = Instant::now();
        let child = pair.slave.spawn_command(command).expect("the program starts");
        drop(pair.slave);
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                parser: vt100::Parser::new(cells(options.rows), cells(options.columns), 0),
                at: started,
                raw: Vec::new(),
                drawing: false,
                frames: 0,
                ended: false,
            }),
            changed: Condvar::new(),
        });
        let theirs = Arc::clone(&shared);
        thread::spawn(move || {
            let mut buffer = [0_u8; 16 << 10];
            loop {
                let read = reader.read(&mut buffer).unwrap_or(0);
                let at = Instant::now();
                let mut state = theirs.lock();
                if read == 0 {
                    state.ended = true;
                    theirs.changed.notify_all();
                    return;
                }
                state.parser.process(&buffer[..read]);
                state.at = at;
                // A mark may come in two reads.
                let from = state.raw.len().saturating_sub(FRAME.0.len() - 1);
                state.raw.extend_from_slice(&buffer[..read]);
                state.frames += memchr::memmem::find_iter(&state.raw[from..], FRAME.1).count() as u64;
                let begun = memchr::memmem::rfind(&state.raw[from..], FRAME.0);
                let ended = memchr::memmem::rfind(&state.raw[from..], FRAME.1);
                if begun.is_some() || ended.is_some() {
                    state.drawing = begun > ended;
                }
                theirs.changed.notify_all();
            }
        });
        Self { child, master: pair.master, writer, shared, started }
    }

    pub fn pid(&self) -> u32 {
        self.child.process_id().expect("a process")
    }

    pub fn send(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).expect("the terminal takes keys");
        self.writer.flush().expect("the terminal takes keys");
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        self.master.resize(size).expect("the terminal resizes");
        self.shared.lock().parser.screen_mut().set_size(cells(rows), cells(columns));
    }

    /// Waits until the screen is as wanted; gives when it became so.
    pub fn wait(&self, what: &str, wanted: impl Fn(&vt100::Screen) -> bool) -> Instant {
        self.wait_for(PATIENCE, wanted)
            .unwrap_or_else(|| panic!("waited {PATIENCE:?} for {what}; the screen is\n{}", self.text()))
    }

    /// Waits for a text anywhere on screen.
    pub fn wait_text(&self, text: &str) -> Instant {
        self.wait(&format!("{text:?}"), |screen| screen.contents().contains(text))
    }

    pub fn wait_for(&self, patience: Duration, wanted: impl Fn(&vt100::Screen) -> bool) -> Option<Instant> {
        let deadline = Instant::now() + patience;
        let mut state = self.shared.lock();
        loop {
            if !state.drawing && wanted(state.parser.screen()) {
                return Some(state.at);
            }
            let now = Instant::now();
            if now >= deadline || state.ended {
                return None;
            }
            state = self.shared.changed.wait_timeout(state, deadline - now).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A copy of the screen as it is now, colours and all.
    pub fn screen(&self) -> vt100::Screen {
        self.shared.lock().parser.screen().clone()
    }

    pub fn text(&self) -> String {
        self.shared.lock().parser.screen().contents()
    }

    /// Bytes since the start.
    pub fn written(&self) -> u64 {
        self.shared.lock().raw.len() as u64
    }

    /// What a look at the screen gives, as it is now.
    pub fn look<T>(&self, look: impl Fn(&vt100::Screen) -> T) -> T {
        look(self.shared.lock().parser.screen())
    }

    /// Frames since the start.
    pub fn frames(&self) -> u64 {
        self.shared.lock().frames
    }

    /// Everything that was written, escapes and all.
    pub fn raw(&self) -> Vec<u8> {
        self.shared.lock().raw.clone()
    }

    pub fn on_alternate_screen(&self) -> bool {
        self.shared.lock().parser.screen().alternate_screen()
    }

    /// Whether the program has let go of the terminal.
    pub fn ended(&self) -> bool {
        self.shared.lock().ended
    }

    /// Waits for the program to end; gives its exit code.
    pub fn end(&mut self) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                // What it wrote last is on its way still.
                self.wait_for(Duration::from_secs(5), |_| false);
                return status.exit_code();
            }
            assert!(Instant::now() < deadline, "the program does not end; the screen is\n{}", self.text());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Resident memory in bytes, and CPU seconds used so far.
    pub fn usage(&self) -> (u64, f64) {
        usage(self.pid())
    }
}

/// A terminal has at least one row and one column.
fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).expect("a terminal has at least one cell")
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Resident memory in bytes and CPU seconds of a process (`/proc`).
pub fn usage(pid: u32) -> (u64, f64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (resident, (ticks(11) + ticks(12)) / 100.0)
}
