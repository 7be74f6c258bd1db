//! Ages as kubectl prints them (`k8s.io/apimachinery/pkg/util/duration.HumanDuration`): two units at most, coarser as
//! time goes by.

/// The text for a length of time in seconds: `42s`, `3m20s`, `17m`, `5h12m`, `9h`, `2d4h`, `41d`, `3y120d`.
pub fn human(seconds: i64) -> String {
    // A clock skew of a second is not worth a word; more is, as kubectl has it.
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    let seconds = seconds.max(0);
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    let two = |big: i64, unit: char, small: i64, small_unit: char| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{small_unit}") }
    };
    if seconds < 120 {
        format!("{seconds}s")
    } else if minutes < 10 {
        two(minutes, 'm', seconds % 60, 's')
    } else if minutes < 180 {
        format!("{minutes}m")
    } else if hours < 8 {
        two(hours, 'h', minutes % 60, 'm')
    } else if hours < 48 {
        format!("{hours}h")
    } else if days < 8 {
        two(days, 'd', hours % 24, 'h')
    } else if days < 365 * 2 {
        format!("{days}d")
    } else if days < 365 * 8 {
        two(days / 365, 'y', days % 365, 'd')
    } else {
        format!("{}y", days / 365)
    }
}

/// Seconds of a length of time as [`human`] writes it and people type it: `90s`, `2d4h`, `1w`. `None` where the text is
/// none: every number needs its unit.
pub fn parse(text: &str) -> Option<i64> {
    let mut seconds: i64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, unit_on) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let unit = match unit_on.as_bytes().first()? {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 7 * 86_400,
            b'y' => 365 * 86_400,
            _ => return None,
        };
        seconds = number.parse::<i64>().ok()?.checked_mul(unit)?.checked_add(seconds)?;
        rest = &unit_on[1..];
    }
    (!text.is_empty()).then_some(seconds)
}

/// Seconds until [`human`] of this age gives another text, so that the loop wakes only then.
pub fn changes_in(seconds: i64) -> i64 {
    let step = match seconds {
        ..600 => 1,
        600..28_800 => 60,
        28_800..691_200 => 3600,
        _ => 86_400,
    };
    if seconds < 0 { 1 } else { step - seconds % step }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_like_kubectl() {
        for (seconds, text) in [
            (0, "0s"),
            (-1, "0s"),
            (-2, "<invalid>"),
            (119, "119s"),
            (120, "2m"),
            (200, "3m20s"),
            (599, "9m59s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_000, "3h3m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (691_200, "8d"),
            (63_071_999, "729d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
            (252_288_000, "8y"),
        ] {
            assert_eq!(human(seconds), text, "{seconds} s");
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        for seconds in [0, 119, 200, 11_000, 180_000, 63_158_400] {
            let text = human(seconds);
            let lost = seconds - parse(&text).unwrap();
            assert!((0..60).contains(&lost), "{text}: {lost}");
        }
        assert_eq!(parse("2d4h"), Some(187_200));
        assert_eq!(parse("1w"), Some(604_800));
        for text in ["", "3", "h", "3h4", "-3h", "1.5h", "3 h", "3x", "3é", "99999999999999999y"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_text_changes_no_earlier_than_promised() {
        for age in (0..700).chain([3_599, 28_799, 28_800, 690_000, 691_199, 691_200, 10_000_000]) {
            let step = changes_in(age);
            assert_eq!(human(age), human(age + step - 1), "{age} + {step}");
        }
    }
}
