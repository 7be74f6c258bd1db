//! Whole screens of a scripted cluster, with the style of every cell. Read a new snapshot before you accept it.

use std::fmt::Write as _;

use crossterm::event::KeyCode;
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};

use super::{frame, guide::Guide};
use crate::{
    app::{
        model::Model,
        notes::Level,
        scripted::{NOW, Script, running},
    },
    config::settings::{Config, Threshold},
    kinds::{HasId, pod::Pod},
    problem::Problem,
    store::stream::StreamState,
    ui::theme::{ColorDepth, Role},
};

/// Draws a frame; gives its lines, each followed by a line with a letter for the style of every cell, and what the
/// letters stand for.
fn screen(model: &mut Model, columns: u16, rows: u16) -> String {
    let buffer = draw(model, columns, rows);
    let (mut text, mut styles) = (String::new(), Vec::new());
    for y in 0..rows {
        let (mut line, mut letters) = (String::new(), String::new());
        for x in 0..columns {
            let cell = &buffer[(x, y)];
            line.push_str(cell.symbol());
            let style = format!("{} on {} {:?}", cell.fg, cell.bg, cell.modifier);
            let known = styles.iter().position(|known| *known == style).unwrap_or_else(|| {
                styles.push(style);
                styles.len() - 1
            });
            letters.push(char::from(b'a' + u8::try_from(known).unwrap()));
        }
        writeln!(text, "|{line}|\n {letters}").unwrap();
    }
    for (index, style) in styles.iter().enumerate() {
        writeln!(text, "{} = {style}", char::from(b'a' + u8::try_from(index).unwrap())).unwrap();
    }
    text
}

fn draw(model: &mut Model, columns: u16, rows: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal
        .draw(|screen| {
            frame::draw(model, screen);
        })
        .unwrap();
    terminal.backend().buffer().clone()
}

fn text_of(buffer: &Buffer) -> String {
    let rows = buffer.content().chunks(usize::from(buffer.area.width));
    rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>() + "\n").collect()
}

/// The colour of the first letter of `part`, in the line that has `row`.
fn colour(buffer: &Buffer, row: &str, part: &str) -> ratatui::style::Color {
    let text = text_of(buffer);
    let (y, line) = text.lines().enumerate().find(|(_, line)| line.contains(row)).unwrap_or_else(|| panic!("{text}"));
    let at = line.rfind(part).unwrap_or_else(|| panic!("no {part:?} in {line:?}"));
    let indent = part.len() - part.trim_start().len();
    let x = line[..at + indent].chars().count();
    buffer[(u16::try_from(x).unwrap(), u16::try_from(y).unwrap())].fg
}

fn populated() -> Script {
    Script::populated(Config::default(), ColorDepth::True)
}

#[test]
fn pods_on_a_wide_screen() {
    insta::assert_snapshot!(screen(&mut populated().model, 140, 24));
}

#[test]
fn pods_on_a_small_screen() {
    insta::assert_snapshot!(screen(&mut Script::populated(Config::default(), ColorDepth::Ansi16).model, 60, 11));
}

#[test]
fn pods_without_colours_and_signs() {
    let mut config = Config::default();
    config.ui.ascii = true;
    let mut script = Script::populated(config, ColorDepth::None);
    script.command("table.sort-age");
    draw(&mut script.model, 100, 16);
    script.command("table.mark");
    insta::assert_snapshot!(screen(&mut script.model, 100, 16));
}

#[test]
fn pods_that_a_filter_hides() {
    let mut script = populated();
    script.model.set_filter("nothing-is-called-so");
    insta::assert_snapshot!(screen(&mut script.model, 80, 16));
}

#[test]
fn pods_that_may_not_be_seen() {
    let mut script = Script::new(Config::default(), ColorDepth::True);
    script.show("pods");
    let problem = Problem::new("pods are forbidden in all namespaces")
        .because("User \"ada\" cannot list resource \"pods\" in API group \"\" at the cluster scope")
        .hint("ask for the verbs list and watch on pods");
    script.state(Pod::ID, &StreamState::Forbidden(problem), false);
    insta::assert_snapshot!(screen(&mut script.model, 80, 16));
}

#[test]
fn pods_that_are_on_their_way() {
    let mut script = Script::new(Config::default(), ColorDepth::True);
    script.show("pods");
    script.state(Pod::ID, &StreamState::Loading { loaded: 0, about: Some(40_000) }, false);
    insta::assert_snapshot!(screen(&mut script.model, 80, 16));
}

#[test]
fn a_table_says_how_its_stream_is_doing() {
    let title = |state: StreamState| {
        let mut script = populated();
        script.state(Pod::ID, &state, false);
        let text = text_of(&draw(&mut script.model, 140, 16));
        text.lines().nth(1).unwrap().trim().to_owned()
    };
    let broken = |since| StreamState::Stale {
        since,
        retry: NOW / 1000 + 3,
        why: Problem::new("the stream broke"),
        passing: true,
    };
    for (state, says) in [
        (StreamState::Waiting, "waits for its turn to load"),
        (StreamState::Connecting { since: NOW / 1000 }, "connecting"),
        (StreamState::Loading { loaded: 100, about: Some(1234) }, "100 of about 1234 loaded"),
        (StreamState::Loading { loaded: 100, about: None }, "100 loaded so far"),
        (broken(0), "broke off, again in 3s"),
        (StreamState::Forbidden(Problem::new("cannot watch /api/v1/pods")), "cannot watch /api/v1/pods"),
        (StreamState::Gone(Problem::new("cannot watch /api/v1/pods")), "cannot watch /api/v1/pods"),
    ] {
        assert_eq!(title(state), format!("pods(all)[5…]  {says}"));
    }
    let stale = title(broken(NOW / 1000 - 60));
    assert!(stale.starts_with("pods(all)[5…]  stale since ") && stale.ends_with(", again in 3s"), "{stale}");
    assert_eq!(title(StreamState::Live), "pods(all)[5…]");
}

#[test]
fn eighty_columns_show_what_is_wrong_with_a_pod_and_since_when() {
    let mut script = populated();
    let long = "cloudwatch-agent-operator-controller-manager-7f9c8d6b5-x2x9d";
    script.feed(Pod::ID, &[running("amazon-cloudwatch", long, "ip-10-0-13-207.eu-west-1.compute.internal", 12345)]);
    let text = text_of(&draw(&mut script.model, 80, 24));
    let line = |part: &str| text.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}:\n{text}"));
    assert_eq!(
        line("NAME").split_whitespace().collect::<Vec<_>>(),
        ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    );
    let words: Vec<_> = line("12345").split_whitespace().collect();
    assert_eq!(words[words.len() - 4..], ["1/1", "Running", "12345", "3h"], "{text}");
    let name = words[words.len() - 5];
    assert!(name.chars().count() >= 23 && name.starts_with("cloudwatch-") && name.ends_with("-x2x9d"), "{name}");
    assert!(line("q8r4t").contains("api-7f9c8d6b5-q8r4t") && line("q8r4t").contains("CrashLoopBackOff"), "{text}");
}

#[test]
fn help_of_the_pods() {
    let mut script = populated();
    draw(&mut script.model, 100, 30);
    script.command("view.help");
    insta::assert_snapshot!(screen(&mut script.model, 100, 30));
}

#[test]
fn percentages_are_coloured_from_the_thresholds_on() {
    let roles = |cpu, memory| {
        let mut config = Config::default();
        (config.thresholds.cpu, config.thresholds.memory) = (cpu, memory);
        let mut script = Script::populated(config, ColorDepth::True);
        let buffer = draw(&mut script.model, 200, 24);
        let role = |row: &str, part: &str| {
            let colour = Some(colour(&buffer, row, part));
            let is = |role: &Role| script.model.theme.style(*role).fg == colour;
            [Role::HealthBad, Role::HealthWarn].into_iter().find(is)
        };
        // 80m of 100m; 250Mi of 256Mi, which is 97.7 and shown as 98.
        (role("x2x9d", " 80 "), role("ledger-0", " 98 "))
    };
    let at = |warn, bad| Threshold { warn, bad };
    assert_eq!(roles(at(10, 20), at(200, 300)), (Some(Role::HealthBad), None));
    assert_eq!(roles(at(200, 300), at(10, 20)), (None, Some(Role::HealthBad)));
    assert_eq!(roles(at(80, 81), at(98, 99)), (Some(Role::HealthWarn), Some(Role::HealthWarn)));
    assert_eq!(roles(at(81, 82), at(99, 100)), (None, None));
}

#[test]
fn a_changed_cell_glows_for_as_long_as_is_set() {
    for (glow, lit) in [(2_000, 2_000), (500, 500), (0, 0)] {
        let mut config = Config::default();
        config.ui.glow = std::time::Duration::from_millis(glow);
        let mut script = Script::populated(config, ColorDepth::True);
        draw(&mut script.model, 160, 24);
        script.feed(Pod::ID, &[running("payments", "ledger-0", "node-b", 7)]);
        let start = script.model.now;
        let changed = script.model.theme.style(Role::Changed).fg;
        let mut glows = |after: i64| {
            script.model.now = start + after;
            Some(colour(&draw(&mut script.model, 160, 24), "ledger-0", " 7 ")) == changed
        };
        assert_eq!(glows(0), lit > 0, "{glow} ms");
        assert_eq!(glows(lit - 1), lit > 0, "{glow} ms");
        assert!(!glows(lit), "{glow} ms");
    }
}

#[test]
fn a_protected_context_says_so() {
    let header = |protected: &[&str]| {
        let mut config = Config::default();
        config.safety.protected = protected.iter().map(|&pattern| pattern.to_owned()).collect();
        let mut script = Script::new(config, ColorDepth::True);
        text_of(&draw(&mut script.model, 100, 24)).lines().next().unwrap().to_owned()
    };
    assert!(header(&["DEM?"]).contains("protected"));
    assert!(!header(&["*prod*"]).contains("protected"));
}

#[test]
fn what_was_wrong_at_the_start_stands_in_the_footer() {
    let mut script = populated();
    for what in ["second", "first"] {
        script.model.note(Level::Warning, Problem::new(format!("config.toml:1:1: {what}")));
    }
    let footer = |script: &mut Script| text_of(&draw(&mut script.model, 100, 16)).lines().last().unwrap().to_owned();
    assert!(footer(&mut script).starts_with(" [+1 in :messages] config.toml:1:1: first"));
    script.model.now += 6_000;
    assert!(footer(&mut script).starts_with(" : command"));
}

#[test]
fn a_newcomer_is_told_what_to_try_and_nothing_is_covered() {
    for (columns, rows, told) in [(140, 30, "• ctrl-z shows what is not well"), (80, 24, ":story what to try")] {
        let mut script = populated();
        let before = text_of(&draw(&mut script.model, columns, rows));
        let tries = vec!["{table.faults} shows what is not well".to_owned()];
        script.model.guide = Some(Guide { name: "calm-day".to_owned(), about: "an ordinary day".to_owned(), tries });
        let after = text_of(&draw(&mut script.model, columns, rows));
        assert!(after.contains(told) && after.contains("x close this for good"), "{after}");
        for line in before.lines().take(9) {
            assert!(after.contains(line), "{line:?} is covered\n{after}");
        }
        script.command("guide.close");
        assert_eq!(text_of(&draw(&mut script.model, columns, rows)), before);
    }
}

#[test]
fn node_groups_on_a_small_screen() {
    insta::assert_snapshot!(screen(&mut Script::grouped(Config::default(), ColorDepth::Ansi16).model, 80, 24));
}

#[test]
fn node_groups_on_a_wide_screen() {
    insta::assert_snapshot!(screen(&mut Script::grouped(Config::default(), ColorDepth::True).model, 120, 40));
}

/// The dialog for two more of a group that something is wrong with.
fn scaling(depth: ColorDepth) -> Script {
    let mut config = Config::default();
    config.ui.ascii = depth == ColorDepth::None;
    let mut script = Script::grouped(config, depth);
    script.group("spot-a", |row| row.autoscaler = crate::kinds::nodegroup::Autoscaler::Runs { backoff: None });
    script.press(&[KeyCode::Down, KeyCode::Char('+'), KeyCode::Char('+'), KeyCode::Enter]);
    script
}

#[test]
fn scaling_on_a_small_screen() {
    insta::assert_snapshot!(screen(&mut scaling(ColorDepth::None).model, 80, 24));
}

#[test]
fn scaling_on_a_wide_screen() {
    insta::assert_snapshot!(screen(&mut scaling(ColorDepth::True).model, 120, 40));
}

#[test]
fn a_long_note_is_readable_on_a_small_screen() {
    let mut script = populated();
    let words = "general cannot be scaled from here: Karpenter sizes it by the pods that wait (scale a workload: it grows \
                 up to spec.limits. Only a pool made with spec.replicas has a size)";
    let hint = words.split_once('(').unwrap().1.trim_end_matches(')');
    let why = "Karpenter sizes it by the pods that wait";
    script.model.note(Level::Warning, Problem::new("general cannot be scaled from here").because(why).hint(hint));
    let said = |screen: &str| screen.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = said(&text_of(&draw(&mut script.model, 80, 24)));
    assert!(shown.ends_with(words), "{shown}");
    // Where there is no room above, the way out is left to the messages.
    let shown = said(&text_of(&draw(&mut script.model, 80, 10)));
    assert!(shown.ends_with("by the pods that wait"), "{shown}");
    script.model.note(Level::Warning, Problem::new("word ".repeat(100)));
    let shown = text_of(&draw(&mut script.model, 80, 24));
    assert_eq!(shown.lines().filter(|line| line.contains("word")).count(), 4, "{shown}");
    assert!(shown.trim_end().ends_with('…'), "what is left out is marked:\n{shown}");
}

#[test]
fn every_size_can_be_drawn() {
    let denied = Problem::new("cannot list pods").because("pods is forbidden").hint("ask for: kubectl create role …");
    let (mut noted, mut asked) = (populated(), populated());
    noted.model.note(Level::Error, denied.clone().hint("漢字 is two cells wide"));
    asked.command("prompt.command");
    let mut refused = Script::new(Config::default(), ColorDepth::True);
    refused.show("pods");
    refused.state(Pod::ID, &StreamState::Forbidden(denied), false);
    for script in [&mut populated(), &mut noted, &mut asked, &mut refused, &mut scaling(ColorDepth::True)] {
        for (columns, rows) in (1..=30).flat_map(|columns| (1..=12).map(move |rows| (columns, rows))) {
            let buffer = draw(&mut script.model, columns, rows);
            assert_eq!(text_of(&buffer).lines().count(), usize::from(rows), "{columns}x{rows}");
        }
    }
}

#[test]
fn messages_follow_what_is_noted_and_keep_the_place_of_who_reads() {
    let mut script = populated();
    script.command("view.messages");
    let shown = |script: &mut Script| text_of(&draw(&mut script.model, 80, 24));
    assert!(shown(&mut script).contains("nothing has been noted so far"));
    for number in 0..40 {
        script.model.note(Level::Error, Problem::new(format!("note {number}.")));
    }
    let newest = shown(&mut script);
    assert!(newest.contains("note 39.") && !newest.contains("nothing has been noted"), "{newest}");
    script.command("text.down");
    let before: Vec<String> = shown(&mut script).lines().skip(3).take(10).map(str::to_owned).collect();
    assert!(before.iter().all(|line| !line.contains("note 39.")), "{before:?}");
    script.model.note(Level::Error, Problem::new("one more"));
    let after: Vec<String> = shown(&mut script).lines().skip(3).take(10).map(str::to_owned).collect();
    assert_eq!(before, after);
}
