//! One key with its modifiers: how it is written, and what terminals really send for it.
//!
//! Terminals say the same key in different ways: a capital with or without Shift, Ctrl-\ as Ctrl-4, Ctrl-Space as NUL,
//! Ctrl-I as Tab. Two ways to say one key are one [`Key`], so a binding works on every terminal or on none.

use std::{fmt, str::FromStr};

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// A key as commands are bound to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    code: KeyCode,
    modifiers: KeyModifiers,
}

/// The names of keys that type nothing; the first of a key is the one that is shown.
const NAMES: [(&str, KeyCode); 24] = [
    ("space", KeyCode::Char(' ')),
    ("enter", KeyCode::Enter),
    ("return", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("escape", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("shift-tab", KeyCode::BackTab),
    ("backtab", KeyCode::BackTab),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("del", KeyCode::Delete),
    ("insert", KeyCode::Insert),
    ("ins", KeyCode::Insert),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pgup", KeyCode::PageUp),
    ("pageup", KeyCode::PageUp),
    ("pgdn", KeyCode::PageDown),
    ("pgdown", KeyCode::PageDown),
    ("pagedown", KeyCode::PageDown),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
];

/// How modifiers may be written, each followed by `-` or `+`; the first of each is the one that is shown.
const MODIFIERS: [(&str, KeyModifiers); 8] = [
    ("ctrl", KeyModifiers::CONTROL),
    ("alt", KeyModifiers::ALT),
    ("shift", KeyModifiers::SHIFT),
    ("control", KeyModifiers::CONTROL),
    ("c", KeyModifiers::CONTROL),
    ("a", KeyModifiers::ALT),
    ("m", KeyModifiers::ALT),
    ("s", KeyModifiers::SHIFT),
];

impl Key {
    /// The key of an event; nothing for a release, for a modifier alone and for keys that have no name here.
    pub fn from_event(event: KeyEvent) -> Option<Self> {
        let unknown = KeyModifiers::SUPER | KeyModifiers::HYPER | KeyModifiers::META;
        if event.kind == KeyEventKind::Release || event.modifiers.intersects(unknown) {
            return None;
        }
        Self::normal(event.code, event.modifiers)
    }

    /// The one way to say a key.
    fn normal(code: KeyCode, modifiers: KeyModifiers) -> Option<Self> {
        let (code, modifiers) = match code {
            KeyCode::Char('\0') | KeyCode::Null => (KeyCode::Char(' '), modifiers | KeyModifiers::CONTROL),
            KeyCode::Char('\r') => (KeyCode::Enter, modifiers),
            KeyCode::Char('\t') => (KeyCode::Tab, modifiers),
            code => (code, modifiers),
        };
        let (control, shift) = (modifiers.contains(KeyModifiers::CONTROL), modifiers.contains(KeyModifiers::SHIFT));
        match code {
            KeyCode::Char(letter) if letter.is_control() => None,
            KeyCode::Char(letter) if control => Some(Self::with_control(letter, modifiers)),
            KeyCode::Char(letter) => {
                let letter = if shift { upper(letter) } else { letter };
                Some(Self { code: KeyCode::Char(letter), modifiers: modifiers - KeyModifiers::SHIFT })
            }
            KeyCode::Tab if shift => Some(Self { code: KeyCode::BackTab, modifiers: modifiers - KeyModifiers::SHIFT }),
            KeyCode::BackTab => Some(Self { code, modifiers: modifiers - KeyModifiers::SHIFT }),
            KeyCode::F(1..) => Some(Self { code, modifiers }),
            _ => NAMES.iter().any(|(_, named)| *named == code).then_some(Self { code, modifiers }),
        }
    }

    /// Ctrl and a letter. Terminals without a modern protocol send a control character, and several keys share one.
    fn with_control(letter: char, modifiers: KeyModifiers) -> Self {
        // crossterm reads the control characters 0x1c to 0x1f as Ctrl-4 to Ctrl-7.
        let letter = match letter {
            '4' => '\\',
            '5' => ']',
            '6' => '^',
            '7' | '_' => '/',
            '@' => ' ',
            other => lower(other),
        };
        // Shift with a character that has no capital says nothing new.
        let cased = upper(letter) != letter;
        let modifiers = if cased { modifiers } else { modifiers - KeyModifiers::SHIFT };
        let plain = modifiers - KeyModifiers::CONTROL;
        match letter {
            'i' if !modifiers.contains(KeyModifiers::SHIFT) => Self { code: KeyCode::Tab, modifiers: plain },
            'm' if !modifiers.contains(KeyModifiers::SHIFT) => Self { code: KeyCode::Enter, modifiers: plain },
            '[' => Self { code: KeyCode::Esc, modifiers: plain },
            letter => Self { code: KeyCode::Char(letter), modifiers },
        }
    }
}

/// The capital of a letter that has one, and comes back from it.
fn upper(letter: char) -> char {
    only(letter.to_uppercase()).filter(|capital| only(capital.to_lowercase()) == Some(letter)).unwrap_or(letter)
}

/// The small letter of a capital, and the letter itself of everything else.
fn lower(letter: char) -> char {
    only(letter.to_lowercase()).filter(|small| upper(*small) == letter).unwrap_or(letter)
}

fn only(mut letters: impl Iterator<Item = char>) -> Option<char> {
    letters.next().filter(|_| letters.next().is_none())
}

/// Why a text is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("there is no key `{0}`")]
    Unknown(String),
    #[error("`{0}`: Shift goes with letters and named keys; write the character that it types")]
    Shift(String),
}

impl FromStr for Key {
    type Err = KeyError;

    /// Reads `x`, `N` or `shift-n`, `ctrl-d` or `C-d`, `alt-x`, `space`, `f5`, `ctrl-\`, `-`, `shift-left`.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let unknown = || KeyError::Unknown(text.to_owned());
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = text;
        while let Some((modifier, name)) = split_modifier(rest) {
            modifiers |= modifier;
            rest = name;
        }
        let code = if let Some(letter) = only(rest.chars()) {
            if modifiers.contains(KeyModifiers::SHIFT) && upper(letter) == letter && lower(letter) == letter {
                return Err(KeyError::Shift(text.to_owned()));
            }
            KeyCode::Char(letter)
        } else {
            let name = rest.to_lowercase();
            let number = name.strip_prefix('f').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
            match number.and_then(|digits| digits.parse().ok()) {
                Some(number @ 1..=24) => KeyCode::F(number),
                _ => NAMES.iter().find(|(known, _)| *known == name).map(|(_, code)| *code).ok_or_else(unknown)?,
            }
        };
        if code == KeyCode::Char(' ') && modifiers.contains(KeyModifiers::SHIFT) {
            return Err(KeyError::Shift(text.to_owned()));
        }
        Self::normal(code, modifiers).ok_or_else(unknown)
    }
}

/// The modifier that a text begins with, and what follows.
fn split_modifier(text: &str) -> Option<(KeyModifiers, &str)> {
    let at = text.find(['-', '+'])?;
    let rest = &text[at + 1..];
    let name = text[..at].to_lowercase();
    let (_, modifier) = MODIFIERS.iter().find(|(known, _)| *known == name)?;
    (!rest.is_empty()).then_some((*modifier, rest))
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, modifier) in &MODIFIERS[..3] {
            if self.modifiers.contains(*modifier) {
                write!(f, "{name}-")?;
            }
        }
        match self.code {
            KeyCode::F(number) => write!(f, "f{number}"),
            KeyCode::Char(letter) if letter != ' ' => {
                if lower(letter) == letter {
                    write!(f, "{letter}")
                } else {
                    write!(f, "shift-{}", lower(letter))
                }
            }
            code => f.write_str(NAMES.iter().find(|(_, named)| *named == code).map_or("", |(name, _)| name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(code: KeyCode, modifiers: KeyModifiers) -> Option<String> {
        Key::from_event(KeyEvent::new(code, modifiers)).map(|key| key.to_string())
    }

    #[test]
    fn what_terminals_send_is_the_key_that_was_pressed() {
        use KeyCode::{BackTab, Char, Enter, F, Null, Tab};
        let (none, shift, control, alt) =
            (KeyModifiers::NONE, KeyModifiers::SHIFT, KeyModifiers::CONTROL, KeyModifiers::ALT);
        for (code, modifiers, name) in [
            (Char('N'), shift, "shift-n"),
            (Char('N'), none, "shift-n"),
            (Char('n'), shift, "shift-n"),
            (Char('?'), shift, "?"),
            (Char('d'), control, "ctrl-d"),
            (Char('D'), control, "ctrl-d"),
            (Char('D'), control | shift, "ctrl-shift-d"),
            (Char('d'), control | shift, "ctrl-shift-d"),
            (Char(' '), control, "ctrl-space"),
            (Char('@'), control, "ctrl-space"),
            (Null, none, "ctrl-space"),
            (Char('4'), control, "ctrl-\\"),
            (Char('\\'), control, "ctrl-\\"),
            (Char('7'), control, "ctrl-/"),
            (Char('z'), control, "ctrl-z"),
            (Char('i'), control, "tab"),
            (Char('i'), control | shift, "ctrl-shift-i"),
            (Char('m'), control, "enter"),
            (Char('['), control, "esc"),
            (Char('['), control | shift, "esc"),
            (Char('j'), control, "ctrl-j"),
            (Char('x'), alt, "alt-x"),
            (Char('X'), alt | shift, "alt-shift-x"),
            (BackTab, shift, "shift-tab"),
            (BackTab, none, "shift-tab"),
            (Tab, shift, "shift-tab"),
            (Enter, alt, "alt-enter"),
            (F(5), none, "f5"),
            (KeyCode::Left, shift, "shift-left"),
            (Char(' '), shift, "space"),
            (Char('É'), none, "shift-é"),
            (Char('ß'), shift, "ß"),
        ] {
            assert_eq!(event(code, modifiers).as_deref(), Some(name), "{code:?} {modifiers:?}");
        }
        for (code, modifiers) in
            [(Char('c'), KeyModifiers::SUPER), (KeyCode::CapsLock, none), (F(0), none), (Char('\u{1}'), none)]
        {
            assert_eq!(event(code, modifiers), None, "{code:?} {modifiers:?}");
        }
        let release = KeyEvent::new_with_kind(Char('x'), none, KeyEventKind::Release);
        assert_eq!(Key::from_event(release), None);
    }

    #[test]
    fn keys_may_be_written_in_the_usual_ways() {
        for (text, name) in [
            ("x", "x"),
            ("N", "shift-n"),
            ("shift-n", "shift-n"),
            ("Shift+N", "shift-n"),
            ("S-n", "shift-n"),
            ("C-d", "ctrl-d"),
            ("Ctrl-D", "ctrl-d"),
            ("ctrl-shift-d", "ctrl-shift-d"),
            ("m-x", "alt-x"),
            ("alt-X", "alt-shift-x"),
            ("ctrl-alt-x", "ctrl-alt-x"),
            ("ctrl-\\", "ctrl-\\"),
            ("ctrl-4", "ctrl-\\"),
            ("ctrl-space", "ctrl-space"),
            ("-", "-"),
            ("+", "+"),
            ("ctrl--", "ctrl--"),
            ("c", "c"),
            ("c-c", "ctrl-c"),
            ("PageDown", "pgdn"),
            ("return", "enter"),
            ("shift-tab", "shift-tab"),
            ("F12", "f12"),
            ("f", "f"),
            ("ctrl-i", "tab"),
        ] {
            assert_eq!(text.parse::<Key>().map(|key| key.to_string()).as_deref(), Ok(name), "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "ctrl-", "hyper-x", "f0", "f25", "f1x", "f+1", "xx", "ctrl-foo", "\n"] {
            assert_eq!(text.parse::<Key>(), Err(KeyError::Unknown(text.to_owned())), "{text:?}");
        }
        for text in ["shift-5", "shift-?", "ctrl-shift-/", "shift-space"] {
            assert_eq!(text.parse::<Key>(), Err(KeyError::Shift(text.to_owned())), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_key_is_read_back_as_it_is_shown(letter in any::<char>(), name in 0..NAMES.len() + 24, bits in 0u8..8) {
            let modifiers = KeyModifiers::from_bits_truncate(bits);
            let code = NAMES.get(name).map_or_else(|| KeyCode::F(u8::try_from(name - NAMES.len()).unwrap() + 1), |(_, code)| *code);
            for code in [code, KeyCode::Char(letter)] {
                if let Some(key) = Key::from_event(KeyEvent::new(code, modifiers)) {
                    prop_assert_eq!(key.to_string().parse(), Ok(key), "{}", key);
                    prop_assert_eq!(Key::normal(key.code, key.modifiers), Some(key));
                }
            }
        }

        #[test]
        fn any_text_is_a_key_or_an_error(text in ".*") {
            if let Ok(key) = text.parse::<Key>() {
                prop_assert_eq!(key.to_string().parse(), Ok(key));
            }
        }
    }
}
