//! Kubernetes quantities (`k8s.io/apimachinery/pkg/api/resource`): `100m`, `0.5`, `1e3`, `1Ki`, `1.5Gi`.

/// Reads a quantity; `None` where the text is none. Grammar: sign, decimal, then a binary suffix, a decimal suffix or
/// an exponent.
pub fn parse(text: &str) -> Option<f64> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    if number.is_empty() || !number.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: f64 = number.parse().ok()?;
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0_f64.powi(4),
        "Pi" => 1024.0_f64.powi(5),
        "Ei" => 1024.0_f64.powi(6),
        exponent if exponent.starts_with(['e', 'E']) => {
            let power: i32 = exponent[1..].parse().ok()?;
            10_f64.powi(power)
        }
        _ => return None,
    };
    let value = number * factor;
    value.is_finite().then_some(value)
}

/// Thousandths, rounded up as Kubernetes rounds (`MilliValue`); what cannot be read is 0 thousandths asked for.
pub fn milli(text: &str) -> u64 {
    round_up(parse(text).unwrap_or(0.0) * 1000.0)
}

/// Whole units, rounded up (`Value`): bytes of memory, counts of devices.
pub fn units(text: &str) -> u64 {
    round_up(parse(text).unwrap_or(0.0))
}

/// Rounds up; a float a hair above a whole number is that number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and negatives are clamped")]
pub fn round_up(number: f64) -> u64 {
    let nearest = number.round();
    let value = if (number - nearest).abs() <= nearest.abs() * 1e-12 { nearest } else { number.ceil() };
    value.max(0.0) as u64
}

/// CPU for people: `120m`, `1.5`, `64`.
pub fn cpu(milli: u64) -> String {
    match (milli / 1000, milli % 1000) {
        (0, _) => format!("{milli}m"),
        (cores, 0) => cores.to_string(),
        (cores, rest) if cores < 10 => {
            let text = format!("{cores}.{rest:03}");
            text.trim_end_matches('0').to_owned()
        }
        (cores, rest) if cores < 100 && rest >= 100 => format!("{cores}.{}", rest / 100),
        (cores, _) => cores.to_string(),
    }
}

/// Memory for people: three digits at most and a binary unit: `512Ki`, `210Mi`, `1.2Gi`.
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub fn memory(bytes: u64) -> String {
    if bytes < 1024 {
        return bytes.to_string();
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = "Ki";
    for next in ["Mi", "Gi", "Ti", "Pi", "Ei"] {
        if value < 1000.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if value < 9.95 && value.fract() >= 0.05 { format!("{value:.1}{unit}") } else { format!("{value:.0}{unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_of_every_form() {
        for (text, value) in [
            ("100m", 0.1),
            ("0.5", 0.5),
            (".5", 0.5),
            ("1e3", 1000.0),
            ("1E3", 1000.0),
            ("1E", 1e18),
            ("1Ki", 1024.0),
            ("1.5Gi", 1_610_612_736.0),
            ("128974848", 128_974_848.0),
            ("123Mi", 128_974_848.0),
            ("-2", -2.0),
        ] {
            assert_eq!(parse(text), Some(value), "{text}");
        }
        for text in ["", "m", "1x", "1.2.3", "--1", "1Kib", "e3", "1e", "+"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn rounding_is_up_but_not_by_a_float_error() {
        assert_eq!(milli("0.1"), 100);
        assert_eq!(milli("1.1"), 1100);
        assert_eq!(milli("100u"), 1);
        assert_eq!(units("100m"), 1);
    }

    #[test]
    fn people_read_three_digits() {
        assert_eq!(memory(0), "0");
        assert_eq!(memory(220_200_960), "210Mi");
        assert_eq!(memory(1_288_490_188), "1.2Gi");
        assert_eq!(memory(1_073_741_824), "1Gi");
        assert_eq!(cpu(120), "120m");
        assert_eq!(cpu(1500), "1.5");
        assert_eq!(cpu(64_000), "64");
        assert_eq!(cpu(12_340), "12.3");
        assert_eq!(cpu(12_034), "12");
        assert_eq!(cpu(2_969_050), "2969");
    }
}
