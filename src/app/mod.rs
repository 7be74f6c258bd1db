//! The loop: the only place that awaits the terminal and the sources, and the only one that draws. Input comes before
//! data; data is applied within a time budget and drawn at most so many times a second; an idle screen draws nothing.

pub mod doctor;
pub mod effect;
pub mod fleet;
pub mod headless;
pub mod history;
pub mod local;
pub mod model;
pub mod notes;
pub mod prompt;
pub mod runtime;
#[cfg(test)]
pub mod scripted;
pub mod shown;
pub mod stack;
pub mod streams;
pub mod terminal;
pub mod update;
pub mod wants;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc;

use self::{
    model::Model,
    runtime::Runtime,
    terminal::{Keyboard, Terminal},
    update::Input,
};
use crate::{
    problem::Problem,
    sources::{Message, aws::CodeQuestion, runner::Generation},
    view::frame,
};

/// How long batches may be applied before the screen is looked at again.
const BUDGET: Duration = Duration::from_millis(6);
/// One part in so many of the time goes into frames that nobody asked for with a key: a slow machine, or a wide screen on
/// which everything moves, gets fewer of them, but never fewer than one in so long.
const SHARE: u32 = 40;
const SLOWEST: Duration = Duration::from_millis(200);
/// What takes longer in one go can be felt.
const SLOW: Duration = Duration::from_millis(100);

/// Runs the program on the terminal until the user leaves; gives the exit code.
pub async fn run(
    mut model: Model,
    mut runtime: Runtime,
    mut messages: mpsc::Receiver<(Generation, Message)>,
    mut questions: mpsc::UnboundedReceiver<CodeQuestion>,
) -> Result<u8, Problem> {
    let mut terminal = Terminal::enter(model.config.ui.mouse)?;
    let mut signals = terminal::Signals::listen()?;
    let mut input = Some(Keyboard::listen()?);
    let mut last_frame: Option<Instant> = None;
    let mut data = false;
    // Whether the views may want other streams than before.
    let mut replan = true;
    let fastest = Duration::from_secs(1) / model.config.ui.frame_rate.max(1);
    let mut between = fastest;
    let start = runtime.start(&mut model);
    runtime.run(start, &mut model, &mut terminal, &mut input);
    model.dirty = true;
    loop {
        model.now = now();
        if std::mem::take(&mut replan) {
            let effects = model.plan_streams();
            runtime.run(effects, &mut model, &mut terminal, &mut input);
        }
        // What the user did is drawn at once, data when a frame is due.
        let due = last_frame.is_none_or(|at| at.elapsed() >= between);
        if model.dirty || (data && due) {
            let started = Instant::now();
            model.world.settle();
            let wake = terminal.draw(&mut model, frame::draw)?;
            slow("a frame", started);
            between = fastest.max(started.elapsed() * SHARE).min(SLOWEST);
            model.wake = wake;
            // What is on screen decides what is asked.
            let watch = model.plan_fleet();
            runtime.run(watch.into_iter().collect(), &mut model, &mut terminal, &mut input);
            model.dirty = false;
            data = false;
            last_frame = Some(Instant::now());
        }
        if let Some(code) = model.quit {
            runtime.leave(&model);
            return Ok(code);
        }
        let deadline = next_wake(&model, data, last_frame, between);
        let event = tokio::select! {
            biased;
            signal = signals.next() => Woken::Signal(signal),
            event = next_input(&mut input) => Woken::Input(event),
            Some(question) = questions.recv() => Woken::Question(question),
            message = messages.recv() => Woken::Message(message),
            () = sleep_until(deadline) => Woken::Timer,
        };
        model.now = now();
        match event {
            Woken::Signal(signal) => match signal {
                terminal::Signal::Terminate => return Ok(143),
                terminal::Signal::HangUp => return Ok(129),
                terminal::Signal::Interrupt => return Ok(130),
                terminal::Signal::Stop => {
                    runtime.run(vec![effect::Effect::Suspend], &mut model, &mut terminal, &mut input);
                }
            },
            Woken::Input(None) => return Ok(0),
            Woken::Input(Some(event)) => {
                replan = true;
                let started = Instant::now();
                let effects = update::input(&mut model, Input::from(event));
                runtime.run(effects, &mut model, &mut terminal, &mut input);
                // Keys that are already there are taken together: a paste is one frame.
                let mut more = 0;
                while more < 256
                    && let Some(event) = input.as_mut().and_then(Keyboard::ready)
                {
                    more += 1;
                    let effects = update::input(&mut model, Input::from(event));
                    runtime.run(effects, &mut model, &mut terminal, &mut input);
                }
                slow("input", started);
            }
            Woken::Question(question) => runtime.asked(question, &mut model),
            Woken::Message(None) => return Ok(0),
            Woken::Message(Some(first)) => {
                let started = Instant::now();
                let mut next = Some(first);
                while let Some((generation, message)) = next {
                    if generation == model.generation || message.outlives_connections() {
                        let touched = update::message(&mut model, message);
                        data |= touched.is_visible(&model);
                        replan |= touched == update::Touched::Header;
                        let effects = std::mem::take(&mut model.outbox);
                        runtime.run(effects, &mut model, &mut terminal, &mut input);
                    }
                    next = if started.elapsed() < BUDGET { messages.try_recv().ok() } else { None };
                }
                slow("data", started);
            }
            Woken::Timer => {
                // The deadline was a frame, an age, the end of a glow or of a note, or a stream to be closed.
                replan = true;
                if !data {
                    model.dirty = true;
                }
            }
        }
    }
}

enum Woken {
    Signal(terminal::Signal),
    Input(Option<crossterm::event::Event>),
    Question(CodeQuestion),
    Message(Option<(Generation, Message)>),
    Timer,
}

/// Says in the log what kept the loop from everything else.
fn slow(what: &str, started: Instant) {
    let took = started.elapsed();
    if took > SLOW {
        tracing::debug!(milliseconds = took.as_millis(), "{what} took long");
    }
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

async fn next_input(input: &mut Option<Keyboard>) -> Option<crossterm::event::Event> {
    match input {
        Some(keyboard) => keyboard.next().await,
        None => std::future::pending().await,
    }
}

/// When to wake although nothing comes.
fn next_wake(model: &Model, data: bool, last_frame: Option<Instant>, between: Duration) -> Option<Instant> {
    let frame = data.then(|| last_frame.map_or_else(Instant::now, |at| at + between));
    let close = model.streams.next_close().map(|at| at * 1000);
    let later = model.wake.into_iter().chain(close).chain(model.head_start_ends()).min().map(|at| {
        let wait = u64::try_from(at - model.now).unwrap_or(0);
        Instant::now() + Duration::from_millis(wait.max(1))
    });
    frame.into_iter().chain(later).min()
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
