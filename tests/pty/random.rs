//! What a cat on the keyboard does, the same for the same seed.

use std::{collections::VecDeque, time::Duration};

use super::pty::{PATIENCE, Session};

/// SplitMix64: the same keys in every run.
pub struct Random {
    state: u64,
    /// What was done last, for whoever asks what broke the program.
    recent: VecDeque<String>,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self { state: seed, recent: VecDeque::new() }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("a small number")
    }

    /// A key, a paste, a mouse button or a new size; now and then what was sent is drawn before more comes.
    pub fn act(&mut self, session: &mut Session) {
        assert!(!session.ended(), "the program left after {:?}\n{}", self.recent, session.text());
        let act = match self.below(40) {
            0 => {
                let size = |most| u16::try_from(1 + most).expect("a size");
                let (columns, rows) = (size(self.below(300)), size(self.below(100)));
                session.resize(columns, rows);
                format!("{columns}x{rows}")
            }
            1..6 => {
                session.wait_for(Duration::from_millis(30), |_| false);
                "…".to_owned()
            }
            _ => {
                let key = KEYS[self.below(KEYS.len())];
                session.send(key);
                key.to_owned()
            }
        };
        if self.recent.len() == 100 {
            self.recent.pop_front();
        }
        self.recent.push_back(act);
    }

    /// Out of whatever prompt or dialog is open. Escape, a bracket and a digit are keys here, and together the start of
    /// another one: the tilde ends it, so that it swallows nothing of what comes. Escape as the kitty keyboard protocol
    /// has it begins nothing.
    fn end(session: &mut Session) {
        session.send("~\x1b[27u\x1b[27u\x1b[27u");
    }

    /// Ends it, and asks for a view, of which this is then on screen.
    pub fn end_with(self, session: &mut Session, line: &str, title: &str) {
        Self::end(session);
        session.send(line);
        let obeyed = session.wait_for(PATIENCE, |screen| screen.contents().contains(title));
        assert!(obeyed.is_some(), "{line:?} was not obeyed after {:?}\n{}", self.recent, session.text());
    }
}

/// Keys that neither end nor stop the program, not even through a completion.
const KEYS: &[&str] = &[
    "\r",
    "\x1b",
    "\x7f",
    " ",
    "\0",
    "\x1c",
    "\x1b[A",
    "\x1b[B",
    "\x1b[D",
    "\x1b[5~",
    "\x1b[6~",
    "\x1b[H",
    "\x1b[F",
    "\x1b[1;2C",
    "\x1b[1;2D",
    "\x02",
    "\x05",
    "\x06",
    "\x07",
    "\x01",
    "\x12",
    "\x15",
    "\x17",
    "\x1a",
    ":",
    "/",
    "?",
    "!",
    "[",
    "]",
    "-",
    "0",
    "1",
    "2",
    "j",
    "k",
    "g",
    "G",
    "y",
    "m",
    "x",
    "n",
    "N",
    "c",
    "C",
    "w",
    "J",
    "o",
    "b",
    "A",
    "S",
    "P",
    "O",
    "R",
    "T",
    "l",
    "h",
    "a",
    "B",
    "I",
    "L",
    "M",
    "U",
    "X",
    "d",
    "s",
    "+",
    "+",
    ":nodegroups\r",
    ":nodegroups\r",
    ":nodeclaims\r",
    ":clusters\r",
    ":cluster\r",
    ":reload\r",
    ":messages\r",
    ":nodes\r",
    ":pods\r",
    ":secrets\r",
    ":deployments\r",
    ":ns\r",
    ":ctx\r",
    ":events\r",
    ":theme\r",
    "/-f core\r",
    "/cpu>1m\r",
    "/!a (\r",
    "\x1b[<0;5;6M",
    "\x1b[<65;5;6M",
    "\x1b[<64;1;1M",
    "\x1b[200~pasted line\nand another\x1b[201~",
    "\x1b[200~\u{1f980} 漢字 \u{301}\x1b[201~",
    "é",
    "漢",
];
