//! How things look: roles instead of colours. Widgets ask for the style of a [`Role`]; this is the only place that knows
//! ratatui's colours, and themes are the only place that chooses them.
//!
//! Styles are layers, painted from the bottom: [`Role::Background`] over the whole screen, then the row
//! ([`Role::Selection`]), then the cell ([`Role::HealthBad`]), then the match. Only layers that need one bring a
//! background, so that a health colour stays on a selected row.

mod builtin;
mod paint;
mod source;

use std::path::PathBuf;

use ratatui::style::{Color, Modifier, Style};

pub use self::source::Kind;
use self::{
    paint::Paint,
    source::{EMPHASES, Source, Spec},
};
use crate::{problem::Problem, store::value::Health, util::suggest};

/// The name of the theme that stands when nothing else was asked for.
pub const DEFAULT: &str = "slate";

macro_rules! roles {
    ($($(#[doc = $doc:literal])+ $role:ident $name:literal,)+) => {
        /// What a piece of the screen is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Role { $($(#[doc = $doc])+ $role,)+ }

        impl Role {
            /// Every role, in the order of its index.
            pub const ALL: &[Role] = &[$(Role::$role,)+];

            /// The name in theme files.
            pub fn name(self) -> &'static str {
                match self { $(Role::$role => $name,)+ }
            }
        }
    };
}

roles! {
    /// The whole screen before anything is drawn on it.
    Background "background",
    /// Ordinary text.
    Text "text",
    /// What is secondary: units, separators of words, unknown values.
    Dim "dim",
    /// The one colour that draws the eye: the active thing.
    Accent "accent",
    /// Thin lines between parts of the screen.
    Rule "rule",
    /// The row under the cursor.
    Selection "selection",
    /// The bar in front of the row under the cursor.
    SelectionBar "selection.bar",
    /// A marked row and its sign.
    Marked "marked",
    /// Values in the header.
    Header "header",
    /// What the values in the header are called.
    HeaderLabel "header.label",
    /// The title of a table or text.
    Title "title",
    /// The count in the title.
    TitleCount "title.count",
    /// The way back: where one came from.
    Breadcrumb "breadcrumb",
    /// A key in a hint.
    HintKey "hint.key",
    /// What the key does.
    HintText "hint.text",
    /// What is typed after `:` or `/`.
    Prompt "prompt",
    /// What the prompt would complete to.
    PromptGhost "prompt.ghost",
    /// The part of a text that a filter or search found.
    Match "match",
    /// Failed or failing.
    HealthBad "health.bad",
    /// Needs a look.
    HealthWarn "health.warn",
    /// On its way.
    HealthProgressing "health.progressing",
    /// As it should be.
    HealthOk "health.ok",
    /// Finished as intended.
    HealthDone "health.done",
    /// Nobody can tell.
    HealthUnknown "health.unknown",
    /// A cell that changed a moment ago.
    Changed "changed",
    /// The filled part of a gauge, and sparklines.
    GaugeFilled "gauge.filled",
    /// The empty part of a gauge.
    GaugeEmpty "gauge.empty",
    /// Column titles.
    TableHeader "table.header",
    /// The title of the column that the table is sorted by.
    TableSort "table.sort",
    /// The totals line of a table.
    TableTotals "table.totals",
    /// The inside of a dialog or pop-up list.
    Dialog "dialog",
    /// The frame of a dialog.
    DialogBorder "dialog.border",
    /// The frame of a dialog that destroys something.
    DialogDanger "dialog.danger",
    /// A button.
    Button "button",
    /// The button that Enter presses.
    ButtonFocus "button.focus",
    /// An error.
    Error "error",
    /// A warning.
    Warning "warning",
    /// A note.
    Info "info",
    /// Data that is older than it should be.
    Stale "stale",
    /// A key in YAML.
    YamlKey "yaml.key",
    /// A string in YAML.
    YamlString "yaml.string",
    /// A number in YAML.
    YamlNumber "yaml.number",
    /// A boolean or null in YAML.
    YamlBool "yaml.bool",
    /// A comment in YAML.
    YamlComment "yaml.comment",
    /// The handle of a scroll bar.
    Scrollbar "scrollbar",
}

impl Role {
    /// How many roles there are.
    pub const COUNT: usize = Role::ALL.len();

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.name() == name)
    }
}

impl From<Health> for Role {
    fn from(health: Health) -> Self {
        match health {
            Health::Bad => Role::HealthBad,
            Health::Warn => Role::HealthWarn,
            Health::Progressing => Role::HealthProgressing,
            Health::Ok => Role::HealthOk,
            Health::Done => Role::HealthDone,
            Health::Unknown => Role::HealthUnknown,
        }
    }
}

/// How many colours the terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColorDepth {
    /// None, or none wanted: bold, reverse and underline have to do.
    None,
    /// The terminal's own 16.
    Ansi16,
    /// The fixed palette of 256.
    Indexed256,
    /// 24 bits.
    True,
}

impl ColorDepth {
    /// Asks the environment: `NO_COLOR` (no-color.org: set and not empty), `COLORTERM`, then `TERM`.
    pub fn detect(env: impl Fn(&str) -> Option<String>) -> Self {
        let term = env("TERM").unwrap_or_default();
        if env("NO_COLOR").is_some_and(|value| !value.is_empty()) || term == "dumb" {
            return Self::None;
        }
        let colorterm = env("COLORTERM").unwrap_or_default();
        // Windows Terminal sets neither, and "-direct" is terminfo's word for 24 bits.
        if matches!(colorterm.as_str(), "truecolor" | "24bit")
            || env("WT_SESSION").is_some()
            || term.ends_with("-direct")
        {
            Self::True
        } else if term.contains("256") || !colorterm.is_empty() {
            Self::Indexed256
        } else {
            Self::Ansi16
        }
    }
}

/// A look, ready to draw with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    pub name: String,
    pub kind: Kind,
    styles: [Style; Role::COUNT],
}

impl Default for Theme {
    /// Text as the terminal has it, for when there is nothing better.
    fn default() -> Self {
        Self { name: String::new(), kind: Kind::default(), styles: [Style::new(); Role::COUNT] }
    }
}

impl Theme {
    /// The style of a role, to be patched over what lies below.
    pub fn style(&self, role: Role) -> Style {
        self.styles[role as usize]
    }
}

/// The text of a theme that the user brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThemeFile {
    /// The name of the theme: the file's, without `.toml`.
    pub name: String,
    pub path: PathBuf,
    pub text: String,
}

/// All themes by name.
#[derive(Debug, Clone)]
pub struct Themes {
    looks: Vec<Look>,
}

/// A theme that is read and completed, before the terminal's colours are known.
#[derive(Debug, Clone)]
struct Look {
    name: String,
    kind: Kind,
    specs: [Spec; Role::COUNT],
}

impl Themes {
    /// The built-in themes and the user's; one of the user's with a built-in name replaces it, and may inherit from it.
    pub fn new(user: &[ThemeFile]) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let builtin = builtin::builtin()
            .into_iter()
            .map(|(name, text)| (name, PathBuf::from(format!("themes/{name}.toml")), text));
        let user = user.iter().map(|file| (file.name.as_str(), file.path.clone(), file.text.as_str()));
        let sources: Vec<_> = builtin
            .chain(user)
            .map(|(name, path, text)| (name.to_owned(), Source::parse(&path, text, &mut problems)))
            .collect();
        let mut looks: Vec<Look> = Vec::with_capacity(sources.len());
        for (index, (name, source)) in sources.iter().enumerate() {
            let specs = complete(&sources, index, &mut problems).resolve(&mut problems);
            looks.retain(|look| look.name != *name);
            looks.push(Look { name: name.clone(), kind: source.kind, specs });
        }
        // A mistake in a theme is met again by each theme that inherits from it.
        let mut told = Vec::new();
        problems.retain(|problem| {
            !told.contains(problem) && {
                told.push(problem.clone());
                true
            }
        });
        (Self { looks }, problems)
    }

    /// The names, built-in ones first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.looks.iter().map(|look| look.name.as_str())
    }

    /// A theme for a terminal. Without colours there is but one look.
    pub fn get(&self, name: &str, depth: ColorDepth) -> Result<Theme, Problem> {
        let Some(look) = self.look(name) else {
            return Err(Problem::new(format!("there is no theme `{name}`")).hint(suggest::hint(name, self.names())));
        };
        let specs = match depth {
            ColorDepth::None => self.look("mono").map_or([Spec::default(); Role::COUNT], |mono| mono.specs),
            ColorDepth::Ansi16 => self.in_16_colours(look),
            ColorDepth::Indexed256 | ColorDepth::True => look.specs,
        };
        Ok(Theme { name: look.name.clone(), kind: look.kind, styles: specs.map(|spec| style(spec, depth)) })
    }

    fn look(&self, name: &str) -> Option<&Look> {
        self.looks.iter().find(|look| look.name == name)
    }

    /// With 16 colours the background is the terminal's own and nobody knows it. Colours keep their hue; greys, what is dim
    /// and what has a background of its own are drawn as in the theme that was made for such terminals.
    fn in_16_colours(&self, look: &Look) -> [Spec; Role::COUNT] {
        let mut specs = look.specs;
        let Some(terminal) = self.look("terminal") else { return specs };
        let bright = if look.kind == Kind::Dark { 8 } else { 0 };
        let [text, dim] = [Role::Text, Role::Dim].map(|role| look.specs[role as usize].fg);
        for (spec, fallback) in specs.iter_mut().zip(terminal.specs) {
            if matches!(spec.bg, Some(Paint::Rgb(..))) {
                *spec = fallback;
            } else if let Some(Paint::Rgb(red, green, blue)) = spec.fg {
                match paint::nearest_hue(red, green, blue) {
                    _ if spec.fg == text => spec.fg = Some(Paint::Default),
                    Some(hue) if spec.fg != dim => spec.fg = Some(Paint::Ansi(hue + bright)),
                    _ => *spec = Spec { fg: fallback.fg.filter(|fg| *fg == Paint::Default), ..fallback },
                }
            }
        }
        specs
    }
}

/// A theme with everything that it inherits.
fn complete(sources: &[(String, Source)], index: usize, problems: &mut Vec<Problem>) -> Source {
    let (_, source) = &sources[index];
    let mut whole = source.clone();
    let mut seen = vec![index];
    let mut next = source.inherits.clone();
    while let Some(inherits) = next.take() {
        // The last of a name is the user's; a theme of the same name as its parent means the built-in one.
        let parent = (0..sources.len()).rev().find(|at| sources[*at].0 == inherits.name && seen.last() != Some(at));
        let Some(parent) = parent else {
            let names = sources.iter().map(|(name, _)| name.as_str()).filter(|name| *name != inherits.name);
            problems.push(inherits.unknown.hint(suggest::hint(&inherits.name, names)));
            break;
        };
        if seen.contains(&parent) {
            let names: Vec<_> = seen.iter().chain([&parent]).map(|at| sources[*at].0.as_str()).collect();
            problems.push(Problem::new(format!("themes inherit from each other in a circle: {}", names.join(" → "))));
            break;
        }
        seen.push(parent);
        whole = whole.over(&sources[parent].1);
        next.clone_from(&sources[parent].1.inherits);
    }
    let base = builtin::base(source.kind);
    match sources.iter().position(|(name, _)| name == base) {
        Some(at) => whole.over(&sources[at].1),
        None => whole,
    }
}

fn style(spec: Spec, depth: ColorDepth) -> Style {
    const MODIFIERS: [Modifier; EMPHASES.len()] = [
        Modifier::BOLD,
        Modifier::DIM,
        Modifier::ITALIC,
        Modifier::UNDERLINED,
        Modifier::REVERSED,
        Modifier::CROSSED_OUT,
    ];
    let modifiers = MODIFIERS.into_iter().zip(spec.emphasis).filter(|(_, on)| *on).map(|(modifier, _)| modifier);
    let style = Style { add_modifier: modifiers.collect(), ..Style::default() };
    if depth == ColorDepth::None {
        return style;
    }
    Style { fg: spec.fg.map(|paint| color(paint, depth)), bg: spec.bg.map(|paint| color(paint, depth)), ..style }
}

fn color(paint: Paint, depth: ColorDepth) -> Color {
    const ANSI: [Color; 16] = [
        Color::Black,
        Color::Red,
        Color::Green,
        Color::Yellow,
        Color::Blue,
        Color::Magenta,
        Color::Cyan,
        Color::Gray,
        Color::DarkGray,
        Color::LightRed,
        Color::LightGreen,
        Color::LightYellow,
        Color::LightBlue,
        Color::LightMagenta,
        Color::LightCyan,
        Color::White,
    ];
    match paint {
        Paint::Default => Color::Reset,
        Paint::Ansi(index) => ANSI[usize::from(index & 15)],
        Paint::Rgb(red, green, blue) if depth == ColorDepth::True => Color::Rgb(red, green, blue),
        Paint::Rgb(red, green, blue) => Color::Indexed(paint::nearest_256(red, green, blue)),
    }
}

#[cfg(test)]
mod tests;
