//! Typed cell values: what columns give, what sort, filter, joins and colours work on. Text is made from them only for
//! the cells that are drawn or printed.

use std::{borrow::Cow, cmp::Ordering, net::IpAddr};

use super::intern::Sym;
use crate::util::{age, quantity};

/// How well an object is. One key filters a table to what is neither `Ok` nor `Done`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Health {
    Bad,
    Warn,
    Progressing,
    #[default]
    Unknown,
    Ok,
    /// Finished as intended: a completed job, a succeeded pod. Drawn dim.
    Done,
}

impl Health {
    /// Whether "faults only" shows a row of this health.
    pub fn is_fault(self) -> bool {
        matches!(self, Health::Bad | Health::Warn)
    }
}

/// The value of one cell. `Unknown` is never shown as 0: it is `–` on screen and `null` in JSON, and sorts last.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Not known, or not to be known here (metrics absent, node gone).
    Unknown,
    Text(Cow<'a, str>),
    /// Text that many rows share, with its symbol, so that a filter asks once for each text.
    Symbol(Sym, &'a str),
    /// Text that says how something is, with its colour.
    Status(Health, Cow<'a, str>),
    Int(i64),
    /// A number that somebody edits, and what it is to become: sorted and filtered by what it is.
    Edited(i64, i64),
    Float(f64),
    Bool(bool),
    /// `have/want`, sorted by what is missing.
    Ratio(u32, u32),
    /// Thousandths of a CPU.
    Cpu(u64),
    /// Bytes.
    Memory(u64),
    /// Percent of a request, a limit or what a node offers, 0 to 100 and above.
    Percent(Metric, f32),
    /// Dollars an hour, or whatever the price list is in, and by which prices.
    Price(f64, Basis),
    /// An instant, Unix seconds, shown as the time since.
    Since(i64),
    /// A length of time in seconds.
    Span(i64),
    Ip(IpAddr),
}

/// What kubectl prints for nothing.
pub const NONE: &str = "<none>";

/// First byte of a text's key.
const TEXT: u8 = 1;

/// Whether equal keys like this one mean equal values: a text that fills its key may go on behind it.
pub fn key_is_whole(key: u128) -> bool {
    key >> 120 != u128::from(TEXT) || key.trailing_zeros() >= 8
}

/// Which prices a sum is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// On demand, as the price list has it.
    List,
    /// Spot prices of now, some or all.
    Spot,
}

/// What a percentage is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    Cpu,
    Memory,
}

impl<'a> Value<'a> {
    pub fn text(text: &'a str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }

    /// kubectl's way to say that there is nothing.
    pub fn none() -> Self {
        Value::Text(Cow::Borrowed(NONE))
    }

    /// The text if there is any, kubectl's `<none>` otherwise.
    pub fn text_or_none(text: &'a str) -> Self {
        if text.is_empty() { Self::none() } else { Self::text(text) }
    }

    /// The text for screen, CSV and table output, without padding. `now` in Unix seconds gives ages.
    pub fn render(&self, now: i64) -> Cow<'_, str> {
        match self {
            Value::Unknown => Cow::Borrowed("–"),
            Value::Symbol(_, text) => Cow::Borrowed(text),
            Value::Text(text) | Value::Status(_, text) => Cow::Borrowed(text),
            Value::Int(number) => Cow::Owned(number.to_string()),
            Value::Edited(now, wish) => Cow::Owned(format!("{now}→{wish}")),
            Value::Float(number) => Cow::Owned(number.to_string()),
            Value::Bool(flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
            Value::Ratio(have, want) => Cow::Owned(format!("{have}/{want}")),
            Value::Cpu(milli) => Cow::Owned(quantity::cpu(*milli)),
            Value::Memory(bytes) => Cow::Owned(quantity::memory(*bytes)),
            Value::Percent(_, percent) => Cow::Owned(format!("{percent:.0}")),
            Value::Price(dollars, basis) => {
                let sign = if *basis == Basis::Spot { "s" } else { "" };
                Cow::Owned(match *dollars {
                    // What is little is not nothing.
                    little if little > 0.0 && little < 0.0001 => format!("<0.0001{sign}"),
                    little if little > 0.0 && little < 0.01 => format!("{little:.4}{sign}"),
                    dollars => format!("{dollars:.2}{sign}"),
                })
            }
            Value::Since(instant) => Cow::Owned(age::human(now.saturating_sub(*instant))),
            Value::Span(seconds) => Cow::Owned(age::human(*seconds)),
            Value::Ip(address) => Cow::Owned(address.to_string()),
        }
    }

    /// For `ekscope get -o json`: numbers stay numbers, `Unknown` is `null`.
    pub fn json(&self, now: i64) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Value::Unknown => Json::Null,
            Value::Int(number) | Value::Edited(number, _) => Json::from(*number),
            Value::Float(number) => Json::from(*number),
            Value::Bool(flag) => Json::from(*flag),
            Value::Cpu(milli) => Json::from(*milli),
            Value::Memory(bytes) => Json::from(*bytes),
            Value::Price(dollars, _) => Json::from(*dollars),
            Value::Percent(_, percent) => Json::from((f64::from(*percent) * 10.0).round() / 10.0),
            other => Json::from(other.render(now)),
        }
    }

    /// A number for `column>n`, where the value has one: ages and spans in seconds, CPU in cores, memory in bytes.
    pub fn number(&self, now: i64) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "compared with what a person typed")]
        match self {
            Value::Int(number) | Value::Edited(number, _) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            Value::Ratio(have, _) => Some(f64::from(*have)),
            Value::Cpu(milli) => Some(*milli as f64 / 1000.0),
            Value::Memory(bytes) => Some(*bytes as f64),
            Value::Percent(_, percent) => Some(f64::from(*percent)),
            Value::Price(dollars, _) => Some(*dollars),
            Value::Since(instant) => Some(now.saturating_sub(*instant) as f64),
            Value::Span(seconds) => Some(*seconds as f64),
            Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
            Value::Symbol(_, text) => quantity::parse(text),
            Value::Text(text) | Value::Status(_, text) => quantity::parse(text),
            Value::Unknown | Value::Ip(_) => None,
        }
    }

    /// The words of a cell that a plain filter word looks at; numbers and times are not words.
    pub fn words(&self) -> Option<Cow<'_, str>> {
        match self {
            Value::Symbol(_, text) => Some(Cow::Borrowed(text)),
            Value::Text(text) | Value::Status(_, text) => Some(Cow::Borrowed(text)),
            Value::Ip(_) | Value::Ratio(..) => Some(self.render(0)),
            _ => None,
        }
    }

    /// Whether numbers belong on the right.
    pub fn is_numeric(&self) -> bool {
        !matches!(
            self,
            Value::Unknown | Value::Text(_) | Value::Symbol(..) | Value::Status(..) | Value::Bool(_) | Value::Ip(_)
        )
    }

    /// A prefix of the sort order: `a.key() < b.key()` means that a comes before b; where keys are equal and
    /// [`key_is_whole`] is false, [`Value::compare`] decides. `Unknown` comes last.
    pub fn key(&self) -> u128 {
        fn signed(number: i64) -> u128 {
            u128::from(number.cast_unsigned() ^ (1 << 63)) << 32
        }
        fn float(number: f64) -> u128 {
            let bits = number.to_bits();
            let ordered = if bits >> 63 == 1 { !bits } else { bits | (1 << 63) };
            u128::from(ordered) << 32
        }
        fn prefix(text: &str) -> u128 {
            let bytes = text.as_bytes();
            let mut prefix = [0_u8; 16];
            let length = bytes.len().min(15);
            prefix[0] = TEXT;
            prefix[1..=length].copy_from_slice(&bytes[..length]);
            u128::from_be_bytes(prefix)
        }
        match self {
            Value::Unknown => u128::MAX,
            Value::Symbol(_, text) => prefix(text),
            Value::Text(text) | Value::Status(_, text) => prefix(text),
            Value::Int(number) | Value::Edited(number, _) => signed(*number),
            Value::Float(number) => float(*number),
            Value::Bool(flag) => u128::from(*flag),
            Value::Ratio(have, want) => {
                let missing = i64::from(*have) - i64::from(*want);
                signed(missing) | u128::from(*want)
            }
            Value::Cpu(number) | Value::Memory(number) => u128::from(*number),
            Value::Percent(_, percent) => float(f64::from(*percent)),
            Value::Price(dollars, _) => float(*dollars),
            // Young first: an age, not a date.
            Value::Since(instant) => signed(instant.saturating_neg()),
            Value::Span(seconds) => signed(*seconds),
            Value::Ip(IpAddr::V4(address)) => u128::from(address.to_bits()),
            Value::Ip(IpAddr::V6(address)) => address.to_bits().saturating_add(1 << 32),
        }
    }

    /// The whole order; `key` is its prefix.
    pub fn compare(&self, other: &Value<'_>) -> Ordering {
        self.key().cmp(&other.key()).then_with(|| match (self.as_text(), other.as_text()) {
            (Some(a), Some(b)) => a.cmp(b),
            _ => Ordering::Equal,
        })
    }

    /// The text of a textual value.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Symbol(_, text) => Some(text),
            Value::Text(text) | Value::Status(_, text) => Some(text),
            _ => None,
        }
    }
}

/// How a column stands on screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Align {
    #[default]
    Left,
    Right,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_edited_stays_where_it_is() {
        let edited = Value::Edited(3, 50);
        assert_eq!(edited.render(0), "3→50");
        assert!(edited.compare(&Value::Int(2)).is_gt() && edited.compare(&Value::Int(4)).is_lt());
        assert_eq!((edited.number(0), edited.json(0)), (Some(3.0), 3.into()));
    }

    #[test]
    fn instants_beyond_all_measure_are_no_overflow() {
        for (instant, text) in [(i64::MIN, "292471208677y"), (i64::MAX, "<invalid>")] {
            let value = Value::Since(instant);
            assert_eq!(value.render(1_769_860_800), text);
            assert!(value.number(1_769_860_800).is_some());
            assert_eq!(value.compare(&value), Ordering::Equal);
        }
        assert!(Value::Since(i64::MAX).compare(&Value::Since(i64::MIN)).is_lt(), "young first");
    }
}
