//! The themes that come with the program, from `themes/`.

use super::Kind;

/// Names and texts, the default first.
pub(super) fn builtin() -> Vec<(&'static str, &'static str)> {
    macro_rules! themes {
        ($($name:literal),+) => { vec![$(($name, include_str!(concat!("../../../themes/", $name, ".toml")))),+] };
    }
    themes!["slate", "daylight", "fjord", "paper", "neon", "amber", "contrast", "colorblind", "terminal", "mono"]
}

/// The complete theme that stands behind all of a kind.
pub(super) fn base(kind: Kind) -> &'static str {
    match kind {
        Kind::Dark => "slate",
        Kind::Light => "daylight",
    }
}
