//! The terminal: taken, given back on every way out (return, panic, signal, suspend), and drawn to in one write a frame.

use std::{
    io::{self, BufWriter, Stdout, Write},
    panic,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crossterm::{
    cursor,
    event::{self, Event, EventStream},
    execute, queue,
    terminal::{
        BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
        enable_raw_mode,
    },
};
use futures_util::StreamExt;
use ratatui::{
    Frame,
    backend::{Backend as _, ClearType, CrosstermBackend},
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

use super::model::Model;
use crate::problem::Problem;

/// Whether the screen is ours: the panic hook and the exits ask.
static OWNED: AtomicBool = AtomicBool::new(false);
static MOUSE: AtomicBool = AtomicBool::new(false);

/// Asked for no longer than this, crossterm tells what has come; asked for no time at all it does not look.
const NO_WAIT: Duration = Duration::from_micros(200);

/// The screen while it is ours.
pub struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Terminal {
    /// Takes the screen.
    pub fn enter(mouse: bool) -> Result<Self, Problem> {
        let failed = |error: io::Error| {
            Problem::new("cannot use this terminal").because(error).hint("`ekscope get` prints without one")
        };
        install_panic_hook();
        MOUSE.store(mouse, Ordering::Relaxed);
        take(mouse).map_err(failed)?;
        let backend = CrosstermBackend::new(BufWriter::with_capacity(64 << 10, io::stdout()));
        let inner = ratatui::Terminal::new(backend).map_err(failed)?;
        Ok(Self { inner })
    }

    /// Draws one frame as a synchronized update: terminals that know it never show half of one.
    pub fn draw(
        &mut self,
        model: &mut Model,
        draw: fn(&mut Model, &mut Frame<'_>) -> Option<i64>,
    ) -> Result<Option<i64>, Problem> {
        let failed = |error: io::Error| Problem::new("cannot draw").because(error);
        let mut wake = None;
        queue!(self.inner.backend_mut(), BeginSynchronizedUpdate).map_err(failed)?;
        self.inner.draw(|frame| wake = draw(model, frame)).map_err(failed)?;
        queue!(self.inner.backend_mut(), EndSynchronizedUpdate).map_err(failed)?;
        Write::flush(self.inner.backend_mut()).map_err(failed)?;
        Ok(wake)
    }

    /// Forgets what the screen shows, so that the next frame is drawn whole.
    pub fn clear(&mut self) {
        // `Terminal::clear` would ask the terminal where its cursor is and wait for the answer, which the keyboard's reader
        // takes: two seconds, every time. What cannot be cleared is drawn over all the same.
        let _ = self.inner.backend_mut().clear_region(ClearType::All);
        // One buffer is blank after every frame; now what was drawn last is forgotten too.
        self.inner.swap_buffers();
    }

    /// Gives the screen back, stops as the shell's Ctrl-Z would, and takes the screen again on `fg`.
    pub fn suspend(&mut self) {
        restore();
        #[cfg(unix)]
        stop_self();
        if take(MOUSE.load(Ordering::Relaxed)).is_ok() {
            self.clear();
        }
    }
}

#[cfg(unix)]
#[expect(unsafe_code, reason = "the only way to stop the own process group as a shell would")]
fn stop_self() {
    // SAFETY: kill(0, SIGSTOP) takes no pointers and only concerns this process group.
    unsafe {
        libc::kill(0, libc::SIGSTOP);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

fn take(mouse: bool) -> io::Result<()> {
    enable_raw_mode()?;
    OWNED.store(true, Ordering::Relaxed);
    let mut out = io::stdout();
    execute!(out, EnterAlternateScreen, event::EnableBracketedPaste, cursor::Hide)?;
    if mouse {
        // Buttons and wheel only: reports of every move would cost a frame each. Shift leaves selecting to the terminal.
        out.write_all(b"\x1b[?1000h\x1b[?1006h")?;
        out.flush()?;
    }
    Ok(())
}

/// Gives the screen back, if it is ours. Safe to call at any time, more than once.
pub fn restore() {
    if !OWNED.swap(false, Ordering::Relaxed) {
        return;
    }
    let mut out = io::stdout();
    // Nothing can be done about a terminal that does not take its own mode back.
    let _ = out.write_all(b"\x1b[?1006l\x1b[?1000l");
    let _ = execute!(out, event::DisableBracketedPaste, cursor::Show, LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

/// A panic on the loop's thread gives the screen back before it is told; one on another thread is logged: the program
/// goes on.
fn install_panic_hook() {
    let before = panic::take_hook();
    let own = thread::current().id();
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() == own {
            restore();
            before(info);
        } else {
            tracing::error!("{info}");
        }
    }));
}

/// What the terminal sends, read by a thread of its own: a key of several bytes of which the last has not come keeps
/// whoever reads it waiting.
pub struct Keyboard {
    events: mpsc::UnboundedReceiver<Event>,
    /// The thread ends when this goes.
    _reads: oneshot::Sender<()>,
}

impl Keyboard {
    /// Starts to read; to be called within a runtime.
    pub fn listen() -> Result<Self, Problem> {
        let (sender, events) = mpsc::unbounded_channel();
        let (reads, ended) = oneshot::channel();
        let runtime = Handle::current();
        thread::Builder::new()
            .name("keyboard".to_owned())
            .spawn(move || runtime.block_on(read(&sender, ended)))
            .map_err(|error| Problem::new("cannot read keys").because(error))?;
        Ok(Self { events, _reads: reads })
    }

    /// The next event; `None` when the terminal is gone.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// An event that is there already.
    pub fn ready(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }
}

/// Sends what comes, until nobody wants it any longer.
async fn read(sender: &mpsc::UnboundedSender<Event>, mut ended: oneshot::Receiver<()>) {
    let mut stream = EventStream::new();
    loop {
        let first = tokio::select! {
            biased;
            _ = &mut ended => return,
            Some(event) = stream.next() => event,
            else => return,
        };
        // The stream gives one event a turn of its own thread; what came with it is taken along, for one frame.
        let more = std::iter::from_fn(|| matches!(event::poll(NO_WAIT), Ok(true)).then(event::read));
        for event in std::iter::once(first).chain(more) {
            match event {
                Ok(event) => {
                    if sender.send(event).is_err() {
                        return;
                    }
                }
                // A sequence that cannot be read is no reason to leave.
                Err(error) => tracing::warn!("terminal input: {error}"),
            }
        }
    }
}

/// What the system tells the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Terminate,
    HangUp,
    Interrupt,
    /// Ctrl-Z of the shell, sent from outside.
    Stop,
}

/// The signals that the loop answers.
#[cfg(unix)]
pub struct Signals {
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    stop: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub fn listen() -> Result<Self, Problem> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error: io::Error| Problem::new("cannot listen for signals").because(error);
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            hang_up: signal(SignalKind::hangup()).map_err(failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            stop: signal(SignalKind::from_raw(libc::SIGTSTP)).map_err(failed)?,
        })
    }

    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.hang_up.recv() => Signal::HangUp,
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.stop.recv() => Signal::Stop,
        }
    }
}

/// Elsewhere only Ctrl-C as a key counts.
#[cfg(not(unix))]
pub struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub fn listen() -> Result<Self, Problem> {
        Ok(Self)
    }

    pub async fn next(&mut self) -> Signal {
        std::future::pending().await
    }
}
