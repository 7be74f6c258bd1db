//! Quantities and lengths of time: what is read, what is printed, and that the one is the other.

#![no_main]

use ekscope::util::{age, quantity};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        read(text);
    }
    if let Some(bytes) = data.first_chunk() {
        print(u64::from_le_bytes(*bytes));
    }
});

fn read(text: &str) {
    let value = quantity::parse(text);
    assert!(value.is_none_or(f64::is_finite), "{text:?} is {value:?}");
    assert_eq!(quantity::parse(&format!(" {text}\n")), value, "{text:?} with space around it");
    if let Some(exact) = exact_nano(text) {
        assert!(value.is_some(), "{text:?} is a quantity");
        // The smallest part that counts, a billionth, is far above a float's error here.
        if exact < 100_000_000_000 {
            assert_eq!(u128::from(quantity::milli(text)), exact.div_ceil(1_000_000), "thousandths of {text:?}");
            assert_eq!(u128::from(quantity::units(text)), exact.div_ceil(1_000_000_000), "units of {text:?}");
        }
    }
    if let Some(seconds) = age::parse(text) {
        assert!(seconds >= 0, "{text:?} is {seconds} s");
        shown(seconds);
    }
}

/// What is left of a length of time when it is shown.
fn shown(seconds: i64) {
    let text = age::human(seconds);
    let again = age::parse(&text).expect("what is shown can be read");
    let lost = seconds - again;
    assert!((0..=365 * 86_400).contains(&lost) && lost <= seconds / 7 + 1, "{seconds} s are shown as {text}");
    assert!(age::changes_in(seconds) > 0);
}

/// Billionths of a plain decimal with a suffix, reckoned without floats; `None` for all else, and for what is below a
/// billionth.
fn exact_nano(text: &str) -> Option<u128> {
    let end = text.find(|next: char| !next.is_ascii_digit() && next != '.')?;
    let (number, suffix) = text.split_at(end);
    let nano: u128 = match suffix {
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "k" => 1_000_000_000_000,
        "Ki" => 1_024_000_000_000,
        "Mi" => 1_048_576_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || whole.len() > 12 || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let (product, scale) = (digits * nano, 10_u128.pow(u32::try_from(fraction.len()).ok()?));
    (product % scale == 0).then_some(product / scale)
}

fn print(number: u64) {
    let near = |printed: String, unit: f64, error: f64| {
        let read = quantity::parse(&printed).unwrap_or_else(|| panic!("{number} is printed as {printed}"));
        let exact = number as f64 / unit;
        assert!((read - exact).abs() <= exact * error, "{number} is printed as {printed}, which is {read}");
        assert!(printed.len() <= 20, "{number} is printed as {printed}");
    };
    // Three digits of the one, two of the other.
    near(quantity::cpu(number), 1000.0, 0.01);
    near(quantity::memory(number), 1.0, 0.051);
    // Floats reckon exactly enough up to a billion CPUs.
    if number < 1 << 40 {
        assert_eq!(quantity::milli(&format!("{number}m")), number);
        assert_eq!(quantity::units(&number.to_string()), number);
    }
    if number < 10_000 {
        near(quantity::cpu(number), 1000.0, 1e-12);
    }
    shown((number >> 20) as i64);
}
