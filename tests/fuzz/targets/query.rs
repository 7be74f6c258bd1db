//! The filter language: two lines with a query each, and lines with the texts of cells.

#![no_main]

use ekscope::store::{
    query::{Columns, Find, Query, Term, Test, find_column},
    value::Value,
};
use ekscope_fuzz::NOW;
use libfuzzer_sys::fuzz_target;

struct Pods;

const COLUMNS: [(&str, &str); 7] = [
    ("namespace", "NAMESPACE"),
    ("name", "NAME"),
    ("status", "STATUS"),
    ("cpu", "CPU"),
    ("%cpu/r", "%CPU/R"),
    ("nominated node", "NOMINATED NODE"),
    ("age", "AGE"),
];

impl Columns for Pods {
    fn find(&self, name: &str) -> Find {
        find_column(COLUMNS, name)
    }

    fn id(&self, index: usize) -> &str {
        COLUMNS[index].0
    }
}

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let (first, second) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let cells: Vec<&str> = lines.take(8).collect();
    let (Some(first), Some(second)) = (read(first, &cells), read(second, &cells)) else { return };
    if second.extends(&first) {
        for cell in &cells {
            assert!(!accepts(&second, cell) || accepts(&first, cell), "{second} extends {first}, but for {cell:?}");
        }
    }
});

/// A query that can be read; an error has to be in the text and on characters.
fn read(text: &str, cells: &[&str]) -> Option<Query> {
    let query = match Query::parse(text, &Pods) {
        Ok(query) => query,
        Err(error) => {
            assert!(text.get(error.range.clone()).is_some(), "{text:?}: {error:?}");
            assert!(!error.range.is_empty() && !error.message.is_empty(), "{text:?}: {error:?}");
            return None;
        }
    };
    let printed = query.to_string();
    assert_eq!(Query::parse(&printed, &Pods).as_ref(), Ok(&query), "{text:?} is printed as {printed:?}");
    assert!(query.extends(&query) && query.extends(&Query::default()));
    for cell in cells {
        let mut end = 0;
        for range in query.highlights(1, cell) {
            assert!(cell.get(range.clone()).is_some_and(|part| !part.is_empty()), "{query}: {range:?} of {cell:?}");
            assert!(range.start >= end, "{query}: highlights of {cell:?} overlap");
            end = range.end;
        }
    }
    Some(query)
}

/// Whether a row with this text in every cell and as every label is a hit.
fn accepts(query: &Query, cell: &str) -> bool {
    query.terms().iter().all(|Term { negated, test }| {
        let hit = match test {
            Test::Words(matcher) => matcher.matches(cell),
            Test::Fuzzy(fuzzy) => fuzzy.matches(cell),
            Test::Labels(selector) => selector.matches(|_| Some(cell)),
            Test::Column { test, .. } => test.matches(&Value::text(cell), NOW),
        };
        hit != *negated
    })
}
