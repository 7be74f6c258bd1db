//! From a key to the last byte of the frame that answers it, with the gaps that fingers make.

use std::time::{Duration, Instant};

use super::{ms, pty::Session};

/// Every sort of key on the pods table, which stands on its first row.
pub fn measure(session: &mut Session, samples: usize) {
    measure_moves(session, samples);
    let mut page = Latency::new("page");
    for sample in 0..samples {
        let before = selected(session);
        page.press(session, if sample % 2 == 0 { "\x1b[6~" } else { "\x1b[5~" }, |screen| {
            row_text(screen).is_some_and(|row| row != before)
        });
    }
    page.print();
    let mut sort = Latency::new("sort");
    for sample in 0..samples {
        let (key, title) = if sample % 2 == 0 { ("N", "sort name") } else { ("S", "sort status") };
        sort.press(session, key, |screen| screen.contents().contains(title));
    }
    sort.print();
    session.send("P");
    // The natural order has no name.
    session.wait("the order", |screen| !screen.contents().contains("sort "));
    measure_filter(session, samples);
}

/// Down ten rows, and up again.
pub fn measure_moves(session: &mut Session, samples: usize) {
    let mut moves = Latency::new("move");
    session.send("g");
    for sample in 0..samples {
        let before = session.look(bar);
        moves.press(session, if sample % 20 < 10 { "j" } else { "k" }, |screen| bar(screen) != before);
    }
    moves.print();
}

/// A word typed letter by letter, and taken back; gives the slowest letter in milliseconds, at the median.
pub fn measure_filter(session: &mut Session, samples: usize) -> f64 {
    const WORD: &str = "checkout-a";
    session.send("/");
    session.wait("the prompt", |screen| screen.contents().contains("]  /"));
    let mut filter = Latency::new("filter");
    for sample in 0..samples {
        let step = sample % (2 * WORD.len());
        let (key, length) =
            if step < WORD.len() { (&WORD[step..=step], step + 1) } else { ("\x7f", 2 * WORD.len() - 1 - step) };
        // Prompt, count and rows are of one frame.
        filter.press(session, key, |screen| {
            let text = screen.contents();
            let typed = text.split("]  /").nth(1).and_then(|rest| rest.lines().next()).unwrap_or_default();
            typed.trim_end() == &WORD[..length]
        });
    }
    filter.print();
    session.send("\x1b");
    session.wait("no prompt", |screen| !screen.contents().contains("]  /"));
    filter.at(0.5)
}

struct Latency {
    name: &'static str,
    times: Vec<Duration>,
}

impl Latency {
    fn new(name: &'static str) -> Self {
        Self { name, times: Vec::new() }
    }

    fn press(&mut self, session: &mut Session, key: &str, answered: impl Fn(&vt100::Screen) -> bool) {
        let sent = Instant::now();
        session.send(key);
        let seen = session.wait(self.name, answered);
        self.times.push(seen.saturating_duration_since(sent));
        std::thread::sleep(Duration::from_millis(13 + (self.times.len() as u64 * 7) % 29));
    }

    /// Milliseconds at a share of the presses.
    fn at(&self, share: f64) -> f64 {
        let mut times = self.times.clone();
        times.sort_unstable();
        ms(times[((times.len() - 1) as f64 * share).round() as usize])
    }

    fn print(&self) {
        println!("key {:<16} p50 {:>6.2} ms   p99 {:>6.2} ms", self.name, self.at(0.5), self.at(0.99));
    }
}

/// The line of the selected row.
fn bar(screen: &vt100::Screen) -> Option<u16> {
    (0..screen.size().0.get()).find(|&row| screen.cell(row, 0).is_some_and(|cell| cell.contents() == "▌"))
}

fn row_text(screen: &vt100::Screen) -> Option<String> {
    let row = bar(screen)?;
    screen.contents().lines().nth(row as usize).map(str::to_owned)
}

fn selected(session: &Session) -> String {
    session.look(row_text).unwrap_or_default()
}
