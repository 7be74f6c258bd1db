//! Tests of one column's value, and finding the column that a name means.

use std::{cmp::Ordering, fmt};

use super::{Matcher, Plain};
use crate::{
    store::value::Value,
    util::{age, quantity},
};

/// The columns that a query may name.
pub trait Columns {
    fn find(&self, name: &str) -> Find;

    /// The id of a column that `find` gave.
    fn id(&self, index: usize) -> &str;
}

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Find {
    One(usize),
    /// It is the start of all of these.
    Ambiguous(Vec<String>),
    /// There is no such column; these are the nearest.
    None(Vec<String>),
}

/// Finds a column by its id or title, or by the start of either where only one column has it. Case does not count, and
/// `-` and `_` may stand for a space.
pub fn find_column<'a>(columns: impl IntoIterator<Item = (&'a str, &'a str)>, name: &str) -> Find {
    let normal = |text: &str| text.to_lowercase().replace([' ', '_'], "-");
    let name = normal(name);
    let columns: Vec<_> = columns.into_iter().map(|(id, title)| (normal(id), normal(title))).collect();
    if let Some(index) = columns.iter().position(|(id, _)| *id == name) {
        return Find::One(index);
    }
    if let Some(index) = columns.iter().position(|(_, title)| *title == name) {
        return Find::One(index);
    }
    let begins = |(id, title): &(String, String)| id.starts_with(&name) || title.starts_with(&name);
    let found: Vec<usize> = (0..columns.len()).filter(|&index| begins(&columns[index])).collect();
    match found.as_slice() {
        [index] => Find::One(*index),
        [] => {
            let mut near: Vec<_> = columns.iter().map(|(id, _)| (distance(&name, id), id)).collect();
            near.retain(|(distance, id)| *distance <= 2.max(id.len() / 3));
            near.sort_by_key(|(distance, _)| *distance);
            Find::None(near.into_iter().take(3).map(|(_, id)| id.clone()).collect())
        }
        several => Find::Ambiguous(several.iter().map(|&index| columns[index].0.clone()).collect()),
    }
}

/// How many characters have to be put in, taken out or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (line, from) in a.chars().enumerate() {
        let mut diagonal = line;
        row[0] = line + 1;
        for (column, &to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[derive(Debug, Clone, PartialEq)]
pub enum ColumnTest {
    /// The text of the cell holds it.
    Contains(Matcher),
    /// The text of the cell is it, or the number is.
    Exact(Amount),
    /// The cell is empty, kubectl's `<none>`, or unknown.
    Empty,
    /// What is unknown satisfies no comparison, nor does what is no number.
    Compare(Comparison, Amount),
}

impl ColumnTest {
    /// `now` in Unix seconds gives ages.
    pub fn matches(&self, value: &Value<'_>, now: i64) -> bool {
        match self {
            ColumnTest::Empty => *value == Value::Unknown || matches!(value.render(now).as_ref(), "" | "<none>"),
            _ if *value == Value::Unknown => false,
            ColumnTest::Contains(matcher) => matcher.matches(&value.render(now)),
            ColumnTest::Exact(amount) => {
                value.render(now).eq_ignore_ascii_case(&amount.text)
                    || value.is_numeric() && amount.order(value, now) == Some(Ordering::Equal)
            }
            ColumnTest::Compare(comparison, amount) => {
                amount.order(value, now).is_some_and(|order| comparison.holds(order))
            }
        }
    }
}

impl fmt::Display for ColumnTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnTest::Contains(matcher) => write!(f, ":{matcher}"),
            ColumnTest::Exact(amount) => write!(f, ":={}", Plain(&amount.text)),
            ColumnTest::Empty => f.write_str(":"),
            ColumnTest::Compare(comparison, amount) => write!(f, "{}{}", comparison.symbol(), amount.text),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

impl Comparison {
    /// Longer symbols before those that they begin with.
    pub(super) const ALL: [Comparison; 4] = [Self::AtLeast, Self::AtMost, Self::Above, Self::Below];

    pub fn symbol(self) -> &'static str {
        match self {
            Comparison::Above => ">",
            Comparison::AtLeast => ">=",
            Comparison::Below => "<",
            Comparison::AtMost => "<=",
        }
    }

    pub(super) fn opposite(self) -> Self {
        match self {
            Comparison::Above => Comparison::AtMost,
            Comparison::AtLeast => Comparison::Below,
            Comparison::Below => Comparison::AtLeast,
            Comparison::AtMost => Comparison::Above,
        }
    }

    fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Above => order.is_gt(),
            Comparison::AtLeast => order.is_ge(),
            Comparison::Below => order.is_lt(),
            Comparison::AtMost => order.is_le(),
        }
    }
}

/// What a value is compared with. `100m` is a tenth of a CPU or 100 minutes: the value decides which reading counts, and
/// a reading that the text does not have compares with nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Amount {
    pub text: String,
    quantity: Option<f64>,
    seconds: Option<f64>,
    percent: Option<f64>,
}

impl Amount {
    /// `None` where the text has no reading at all.
    pub fn parse(text: &str) -> Option<Self> {
        let amount = Self::any(text.trim());
        amount.readings().iter().any(Option::is_some).then_some(amount)
    }

    /// Any text, with the readings that it has.
    pub(super) fn any(text: &str) -> Self {
        let quantity = quantity::parse(text);
        let plain = quantity.filter(|_| text.ends_with(|c: char| c.is_ascii_digit() || c == '.'));
        #[expect(clippy::cast_precision_loss, reason = "compared with what a person typed")]
        let seconds = age::parse(text).map(|seconds| seconds as f64).or(plain);
        let percent = text.strip_suffix('%').and_then(quantity::parse).or(plain);
        Self { text: text.to_owned(), quantity, seconds, percent }
    }

    fn readings(&self) -> [Option<f64>; 3] {
        [self.quantity, self.seconds, self.percent]
    }

    /// How the value stands to this amount; `None` where they cannot be compared.
    fn order(&self, value: &Value<'_>, now: i64) -> Option<Ordering> {
        let (value, amount) = match value {
            Value::Since(_) | Value::Span(_) => (value.number(now)?, self.seconds?),
            // A percentage is stored in fewer digits than the amount has.
            #[expect(clippy::cast_possible_truncation)]
            Value::Percent(_, percent) => return percent.partial_cmp(&(self.percent? as f32)),
            // A server's own text may be any of them.
            Value::Text(text) | Value::Status(_, text) => {
                let theirs = Amount::any(text).readings();
                theirs.into_iter().zip(self.readings()).find_map(|(value, amount)| Some((value?, amount?)))?
            }
            _ => (value.number(now)?, self.quantity?),
        };
        // 350m is not quite 0.35 in binary.
        if (value - amount).abs() <= amount.abs() * 1e-14 { Some(Ordering::Equal) } else { value.partial_cmp(&amount) }
    }
}
