//! Colours as data: what a theme file may write, how they compare, and what becomes of them on lesser terminals.

/// A colour as written in a theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// The terminal's own foreground or background.
    Default,
    /// One of the terminal's 16 colours, in the order of the escape codes: 0 black to 7 white, 8 to 15 bright.
    Ansi(u8),
    Rgb(u8, u8, u8),
}

/// The names of the terminal's 16 colours, by their number.
const ANSI_NAMES: [&str; 16] = [
    "black",
    "red",
    "green",
    "yellow",
    "blue",
    "magenta",
    "cyan",
    "white",
    "bright black",
    "bright red",
    "bright green",
    "bright yellow",
    "bright blue",
    "bright magenta",
    "bright cyan",
    "bright white",
];

/// Brightness steps of the 6×6×6 cube of the 256-colour palette.
const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

impl Paint {
    /// Reads `#rrggbb`, `#rgb`, one of the 16 names (`red`, `bright red`) or `default`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(hex) = text.strip_prefix('#') {
            let number = u32::from_str_radix(hex, 16).ok().filter(|_| hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
            let [_, red, green, blue] = number.to_be_bytes();
            return match hex.len() {
                6 => Some(Self::Rgb(red, green, blue)),
                // `#1af` is `#11aaff`.
                3 => Some(Self::Rgb((green & 0xf) * 17, (blue >> 4) * 17, (blue & 0xf) * 17)),
                _ => None,
            };
        }
        if text == "default" {
            return Some(Self::Default);
        }
        (0..).zip(ANSI_NAMES).find(|(_, name)| *name == text).map(|(index, _)| Self::Ansi(index))
    }

    /// The names that [`Paint::parse`] knows besides hexadecimal.
    pub fn names<'a>() -> impl Iterator<Item = &'a str> {
        ANSI_NAMES.into_iter().chain(["default"])
    }
}

/// The nearest of the fixed colours 16 to 255 of the 256-colour palette (the first 16 are the user's own).
pub fn nearest_256(red: u8, green: u8, blue: u8) -> u8 {
    let step = |channel: u8| (0..6u8).min_by_key(|i| CUBE[usize::from(*i)].abs_diff(channel)).unwrap_or(0);
    let (r, g, b) = (step(red), step(green), step(blue));
    let cube = (16 + 36 * r + 6 * g + b, [CUBE[usize::from(r)], CUBE[usize::from(g)], CUBE[usize::from(b)]]);
    let mean = (u16::from(red) + u16::from(green) + u16::from(blue)) / 3;
    let shade = (0..24u8).min_by_key(|i| mean.abs_diff(8 + 10 * u16::from(*i))).unwrap_or(0);
    let grey = (232 + shade, [8 + 10 * shade; 3]);
    let distance = |[r, g, b]: [u8; 3]| {
        [(r, red), (g, green), (b, blue)].into_iter().map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum::<u32>()
    };
    if distance(grey.1) < distance(cube.1) { grey.0 } else { cube.0 }
}

/// The nearest of the six hues of the 16-colour palette (1 red to 6 cyan), or nothing for a grey.
pub fn nearest_hue(red: u8, green: u8, blue: u8) -> Option<u8> {
    let (max, min) = (red.max(green).max(blue), red.min(green).min(blue));
    let spread = max - min;
    // Black, or less colourful than what reads as a colour.
    if spread == 0 || u16::from(spread) * 5 < u16::from(max) {
        return None;
    }
    let [r, g, b, spread] = [red, green, blue, spread].map(f32::from);
    let sixths = match max {
        _ if max == red => ((g - b) / spread).rem_euclid(6.0),
        _ if max == green => (b - r) / spread + 2.0,
        _ => (r - g) / spread + 4.0,
    };
    // Around the wheel: red, yellow, green, cyan, blue, magenta. Orange is nearer to yellow in a terminal's palette.
    Some(match sixths {
        0.0..0.4 | 5.5.. => 1,
        0.4..1.4 => 3,
        1.4..2.5 => 2,
        2.5..3.3 => 6,
        3.3..4.5 => 4,
        _ => 5,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_as_written() {
        for (text, paint) in [
            ("#5cc8d7", Some(Paint::Rgb(0x5c, 0xc8, 0xd7))),
            ("#1af", Some(Paint::Rgb(0x11, 0xaa, 0xff))),
            ("default", Some(Paint::Default)),
            ("black", Some(Paint::Ansi(0))),
            ("bright red", Some(Paint::Ansi(9))),
            ("#12", None),
            ("#+12345", None),
            ("#12345é", None),
            ("blurple", None),
            ("", None),
        ] {
            assert_eq!(Paint::parse(text), paint, "{text:?}");
        }
    }

    #[test]
    fn lesser_palettes_get_the_nearest_colour() {
        assert_eq!(nearest_256(0, 0, 0), 16);
        assert_eq!(nearest_256(255, 255, 255), 231);
        assert_eq!(nearest_256(255, 0, 0), 196);
        assert_eq!(nearest_256(18, 22, 27), 233);
        assert_eq!(nearest_256(92, 200, 215), 80);
        for (rgb, hue) in [
            ((242, 119, 122), Some(1)),
            ((255, 176, 0), Some(3)),
            ((143, 201, 139), Some(2)),
            ((92, 200, 215), Some(6)),
            ((122, 167, 232), Some(4)),
            ((255, 79, 216), Some(5)),
            ((127, 139, 149), None),
            ((0, 0, 0), None),
        ] {
            assert_eq!(nearest_hue(rgb.0, rgb.1, rgb.2), hue, "{rgb:?}");
        }
    }
}
