use std::path::Path;

use proptest::prelude::*;

use super::*;

/// What need not be read: it only has to be seen (WCAG 1.4.11), or is decoration.
const QUIET: [Role; 12] = [
    Role::Dim,
    Role::HeaderLabel,
    Role::Breadcrumb,
    Role::HintText,
    Role::PromptGhost,
    Role::HealthDone,
    Role::HealthUnknown,
    Role::TableHeader,
    Role::YamlComment,
    Role::SelectionBar,
    Role::DialogBorder,
    Role::Scrollbar,
];
const DECORATION: [Role; 2] = [Role::Rule, Role::GaugeEmpty];
const HEALTH: [Role; 6] =
    [Role::HealthBad, Role::HealthWarn, Role::HealthProgressing, Role::HealthOk, Role::HealthDone, Role::HealthUnknown];

/// Contrast of two colours after WCAG 2.2, 1 to 21.
fn contrast(a: (u8, u8, u8), b: (u8, u8, u8)) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// Relative luminance after WCAG 2.2, 0 to 1.
fn luminance((red, green, blue): (u8, u8, u8)) -> f64 {
    let [r, g, b] = [red, green, blue].map(|channel| {
        let value = f64::from(channel) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

fn file(name: &str, text: &str) -> ThemeFile {
    ThemeFile {
        name: name.to_owned(),
        path: Path::new("/cfg/themes").join(format!("{name}.toml")),
        text: text.to_owned(),
    }
}

fn load(files: &[ThemeFile]) -> (Themes, Vec<String>) {
    let (themes, problems) = Themes::new(files);
    (themes, problems.iter().map(ToString::to_string).collect())
}

fn every_theme(depth: ColorDepth) -> Vec<Theme> {
    let (themes, problems) = load(&[]);
    assert_eq!(problems, [""; 0]);
    themes.names().map(|name| themes.get(name, depth).unwrap()).collect()
}

#[test]
fn contrast_is_that_of_wcag() {
    assert!((contrast((255, 255, 255), (0, 0, 0)) - 21.0).abs() < 0.001);
    assert!((contrast((0x77, 0x77, 0x77), (255, 255, 255)) - 4.478).abs() < 0.001);
}

#[test]
fn the_folder_and_the_list_of_built_in_themes_agree() {
    let mut files: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/themes"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let mut names: Vec<_> = every_theme(ColorDepth::True).into_iter().map(|theme| theme.name).collect();
    assert_eq!(names[0], DEFAULT);
    files.sort();
    names.sort();
    assert_eq!(files, names);
}

#[test]
fn text_can_be_read_on_everything_it_may_stand_on() {
    let mut faint = Vec::new();
    for theme in every_theme(ColorDepth::True) {
        let ground = theme.style(Role::Background);
        if !matches!(ground.bg, Some(Color::Rgb(..))) {
            continue;
        }
        for below in [Role::Background, Role::Selection, Role::Dialog] {
            for role in Role::ALL.iter().copied().filter(|role| !DECORATION.contains(role)) {
                // The bar is drawn as a shape of its own.
                if role == Role::SelectionBar && below != Role::Selection {
                    continue;
                }
                let drawn = ground.patch(theme.style(below)).patch(theme.style(role));
                let (Some(Color::Rgb(r, g, b)), Some(Color::Rgb(br, bg, bb))) = (drawn.fg, drawn.bg) else {
                    panic!("{}: {role:?} is not in true colour", theme.name)
                };
                if (r, g, b) == (br, bg, bb) {
                    assert_eq!(role, Role::SelectionBar, "{}: invisible", theme.name);
                    continue;
                }
                let ratio = contrast((r, g, b), (br, bg, bb));
                let wanted = match (theme.name.as_str(), QUIET.contains(&role)) {
                    ("contrast", _) => 7.0,
                    (_, true) => 3.0,
                    (_, false) => 4.5,
                };
                if ratio < wanted {
                    faint.push(format!("{}: {} on {} {ratio:.2} < {wanted}", theme.name, role.name(), below.name()));
                }
            }
        }
    }
    assert_eq!(faint, [""; 0]);
}

#[test]
fn health_marks_and_cursor_are_told_apart_on_every_terminal() {
    for depth in [ColorDepth::True, ColorDepth::Indexed256, ColorDepth::Ansi16, ColorDepth::None] {
        for theme in every_theme(depth) {
            for below in [Role::Background, Role::Selection] {
                let drawn = |role| theme.style(Role::Background).patch(theme.style(below)).patch(theme.style(role));
                for (index, one) in HEALTH.iter().enumerate() {
                    for other in &HEALTH[index + 1..] {
                        assert_ne!(
                            drawn(*one),
                            drawn(*other),
                            "{} {depth:?}: {one:?}, {other:?} on {below:?}",
                            theme.name
                        );
                    }
                    assert_ne!(drawn(Role::Marked), drawn(*one), "{} {depth:?}: {one:?}", theme.name);
                }
                assert_ne!(drawn(Role::Marked), drawn(Role::Text), "{} {depth:?}", theme.name);
            }
            let background = theme.style(Role::Background);
            assert_ne!(background.patch(theme.style(Role::Selection)), background, "{} {depth:?}", theme.name);
        }
    }
}

#[test]
fn lesser_terminals_get_no_colour_they_cannot_show() {
    let colours = |theme: &Theme| -> Vec<Color> {
        Role::ALL.iter().flat_map(|role| [theme.style(*role).fg, theme.style(*role).bg]).flatten().collect()
    };
    for theme in every_theme(ColorDepth::Indexed256) {
        assert!(colours(&theme).iter().all(|color| !matches!(color, Color::Rgb(..))), "{}", theme.name);
    }
    for theme in every_theme(ColorDepth::Ansi16) {
        let lost: Vec<_> =
            colours(&theme).into_iter().filter(|color| matches!(color, Color::Rgb(..) | Color::Indexed(_))).collect();
        assert_eq!(lost, [], "{}", theme.name);
        assert_eq!(theme.style(Role::Background).bg, Some(Color::Reset), "{}", theme.name);
    }
    for theme in every_theme(ColorDepth::None) {
        assert_eq!(colours(&theme), [], "{}", theme.name);
    }
}

#[test]
fn sixteen_colours_keep_the_character() {
    let (themes, _) = load(&[]);
    let accent = |name| themes.get(name, ColorDepth::Ansi16).unwrap().style(Role::Accent).fg;
    assert_eq!(accent("slate"), Some(Color::LightCyan));
    assert_eq!(accent("daylight"), Some(Color::Blue));
    assert_eq!(accent("neon"), Some(Color::LightMagenta));
    assert_eq!(accent("amber"), Some(Color::LightYellow));
}

#[test]
fn the_depth_of_a_terminal_is_found_in_its_environment() {
    let detect = |vars: &[(&str, &str)]| {
        ColorDepth::detect(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    };
    assert_eq!(detect(&[("COLORTERM", "truecolor"), ("NO_COLOR", "1")]), ColorDepth::None);
    assert_eq!(detect(&[("COLORTERM", "truecolor"), ("NO_COLOR", "")]), ColorDepth::True);
    assert_eq!(detect(&[("COLORTERM", "24bit"), ("TERM", "xterm")]), ColorDepth::True);
    assert_eq!(detect(&[("TERM", "xterm-256color")]), ColorDepth::Indexed256);
    assert_eq!(detect(&[("TERM", "xterm-direct")]), ColorDepth::True);
    assert_eq!(detect(&[("TERM", "linux")]), ColorDepth::Ansi16);
    assert_eq!(detect(&[("TERM", "dumb")]), ColorDepth::None);
    assert_eq!(detect(&[]), ColorDepth::Ansi16);
}

#[test]
fn a_theme_says_only_what_differs() {
    let (themes, problems) = load(&[file(
        "mine",
        r##"
kind = "light"
inherits = "paper"
[palette]
accent = "#005500"
[roles]
title = { fg = "accent", reverse = true }
"health.bad" = "bright red"
"##,
    )]);
    assert_eq!(problems, [""; 0]);
    let [mine, paper] = ["mine", "paper"].map(|name| themes.get(name, ColorDepth::True).unwrap());
    assert_eq!(mine.style(Role::Title), Style::new().fg(Color::Rgb(0, 0x55, 0)).add_modifier(Modifier::REVERSED));
    assert_eq!(mine.style(Role::HealthBad), Style::new().fg(Color::LightRed));
    assert_eq!(mine.style(Role::Breadcrumb), paper.style(Role::Breadcrumb));
    // The role is paper's, the palette is mine.
    assert_eq!(mine.style(Role::Accent).fg, Some(Color::Rgb(0, 0x55, 0)));
}

#[test]
fn a_theme_of_a_built_in_name_replaces_it_and_may_build_on_it() {
    let (themes, problems) = load(&[file("neon", "inherits = \"neon\"\n[roles]\ntext = \"default\"\n")]);
    assert_eq!(problems, [""; 0]);
    assert_eq!(themes.names().filter(|name| *name == "neon").count(), 1);
    let neon = themes.get("neon", ColorDepth::True).unwrap();
    assert_eq!(neon.style(Role::Text).fg, Some(Color::Reset));
    assert_eq!(neon.style(Role::Accent).fg, Some(Color::Rgb(0xff, 0x5f, 0xdc)));
}

#[test]
fn mistakes_are_placed_and_cost_only_themselves() {
    let (themes, problems) = load(&[file(
        "bad",
        r##"kind = "drak"
inherits = "slaet"
author = "me"
[palette]
accent = "#00ff0"
green = 7
pine = "#225522"
[roles]
titel = "accent"
health.bad = "red"
"health.warn" = { fg = "orage", blod = true, bold = 1 }
"health.ok" = "pine"
error = [1]
"##,
    )]);
    assert_eq!(
        problems,
        [
            "/cfg/themes/bad.toml:1:1: `kind` must be one of \"dark\", \"light\": it is \"drak\" (did you mean `dark`?)",
            "/cfg/themes/bad.toml:3:1: unknown key `author`",
            "/cfg/themes/bad.toml:5:1: `accent` is not a colour (write \"#rrggbb\", one of the terminal's names like \
             \"bright red\", or \"default\")",
            "/cfg/themes/bad.toml:6:1: `green` must be a string: it is 7",
            "/cfg/themes/bad.toml:9:1: unknown key `titel` in [roles] (did you mean `title`?)",
            "/cfg/themes/bad.toml:10:1: unknown key `health` in [roles] (names with a dot need quotes, like \
             \"health.bad\")",
            "/cfg/themes/bad.toml:11:33: unknown key `blod` in [roles.health.warn] (did you mean `bold`?)",
            "/cfg/themes/bad.toml:11:46: `bold` must be true or false: it is 1",
            "/cfg/themes/bad.toml:13:1: `error` must be a string: it is of the type array",
            "/cfg/themes/bad.toml:2:1: there is no theme `slaet` to inherit from (did you mean `slate`?)",
            "/cfg/themes/bad.toml:11:1: no colour is called `orage`",
        ]
    );
    let bad = themes.get("bad", ColorDepth::True).unwrap();
    assert_eq!(bad.style(Role::HealthOk).fg, Some(Color::Rgb(0x22, 0x55, 0x22)));
    let slate = themes.get("slate", ColorDepth::True).unwrap();
    assert_eq!(bad.style(Role::Title), slate.style(Role::Title));
}

#[test]
fn a_circle_of_themes_is_named() {
    let (themes, problems) = load(&[file("a", "inherits = \"b\""), file("b", "inherits = \"a\"")]);
    assert_eq!(
        problems,
        [
            "themes inherit from each other in a circle: a → b → a",
            "themes inherit from each other in a circle: b → a → b"
        ]
    );
    assert!(themes.get("a", ColorDepth::True).is_ok());
    let (_, problems) = load(&[file("self", "inherits = \"self\"")]);
    assert_eq!(problems, ["/cfg/themes/self.toml:1:1: there is no theme `self` to inherit from"]);
}

#[test]
fn an_unknown_theme_is_refused_with_the_nearest() {
    let (themes, _) = load(&[]);
    let problem = themes.get("nein", ColorDepth::True).unwrap_err();
    assert_eq!(problem.to_string(), "there is no theme `nein` (did you mean `neon`?)");
}

proptest! {
    #[test]
    fn any_text_is_a_theme_with_problems_at_worst(text in ".*", head in 0usize..4) {
        let head = ["", "[roles]\n", "[palette]\naccent = ", "inherits = \""][head];
        let (themes, _) = load(&[file("any", &format!("{head}{text}"))]);
        prop_assert!(themes.get("any", ColorDepth::True).is_ok());
    }

    #[test]
    fn damage_to_a_real_theme_never_panics(at in 0usize..2000, with in "[\\[\\]{}\"'=.,#\n a-z0-9]{0,4}") {
        let (_, text) = builtin::builtin()[0];
        let at = text.floor_char_boundary(at.min(text.len()));
        let (themes, _) = load(&[file("any", &format!("{}{with}{}", &text[..at], &text[text.ceil_char_boundary(at + 1)..]))]);
        prop_assert!(themes.get("any", ColorDepth::True).is_ok());
    }
}
