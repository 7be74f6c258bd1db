//! The guided tour of a demo: a few lines under the table of the first screen, which one key closes for good. It takes
//! rows of its own, so that nothing is covered; where there is little room, it is one line.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{Screen, View, frame::write};
use crate::{
    app::model::Model,
    command::{self, spelled, way},
    config::keymap::KeyMap,
    ui::theme::Role,
};

/// Columns of the keys on the right.
const KEYS: u16 = 42;
/// Lines where there is room for all.
const LINES: u16 = 4;
/// What is remembered once it was closed.
pub const HINT: &str = "demo-tour";

/// What a newcomer is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Guide {
    pub name: String,
    pub about: String,
    /// What to try, a line each, with ids of commands for their keys.
    pub tries: Vec<String>,
}

impl Guide {
    /// Everything to try, for a view of its own.
    pub fn lines(&self, keys: &KeyMap) -> Vec<String> {
        let mut lines = vec![format!("{}: {}", self.name, self.about), String::new()];
        lines.extend(self.tries.iter().map(|line| format!("  • {}", spelled(line, keys))));
        lines
    }
}

/// The guide, while it stands on the screen.
pub fn shown(model: &Model) -> Option<&Guide> {
    let first = matches!(&*model.views, [View::Table(_)]);
    model.guide.as_ref().filter(|_| first && !model.state.is_dismissed(HINT))
}

/// How many rows it takes of a body.
pub fn height(model: &Model, body: Rect) -> u16 {
    match shown(model) {
        Some(_) if body.height >= 24 && body.width >= 100 => LINES,
        Some(_) if body.height >= 8 => 1,
        _ => 0,
    }
}

/// Draws it into the rows that it takes.
pub fn draw(model: &Model, area: Rect, buffer: &mut Buffer, screen: &Screen<'_>) {
    let Some(guide) = shown(model).filter(|_| area.height > 0) else { return };
    let ground = screen.style(Role::Dialog);
    let [accent, key, text] =
        [Role::Accent, Role::HintKey, Role::HintText].map(|role| ground.patch(screen.style(role)));
    buffer.set_style(area, ground);
    let (bar, bullet) = if screen.ascii { ("| ", "- ") } else { ("▌ ", "• ") };
    let row = |index: u16| Rect { y: area.y + index, height: 1, ..area };
    for index in 0..area.height {
        let line = row(index);
        buffer.set_stringn(line.x, line.y, " ".repeat(usize::from(line.width)), usize::from(line.width), ground);
        write(buffer, line, line.x, &[(bar, accent)]);
    }
    let hint = |id: &str| command::find(id).map_or("", |command| command.hint);
    let pairs = |ids: &[&str]| -> Vec<(String, String)> {
        ids.iter().map(|id| (way(id, &model.keys), format!(" {}   ", hint(id)))).collect()
    };
    let put = |buffer: &mut Buffer, line: Rect, mut x: u16, pairs: Vec<(String, String)>| {
        for (keys, words) in pairs {
            x = write(buffer, line, x, &[(&keys, key), (&words, text)]);
        }
        x
    };
    let story = (way("guide.story", &model.keys), " what to try   ".to_owned());
    let close = (way("guide.close", &model.keys), " close this for good".to_owned());
    if area.height < LINES {
        let x = write(buffer, area, area.x + 2, &[(&guide.name, accent), ("   ", text)]);
        put(buffer, area, x, [vec![story], pairs(&["view.help"]), vec![close]].concat());
        return;
    }
    let left = |index| Rect { width: area.width - KEYS - 2, ..row(index) };
    write(buffer, left(0), area.x + 2, &[(&guide.name, accent), ("  ", text), (&guide.about, ground)]);
    for (index, line) in (1..LINES).zip(&guide.tries) {
        write(buffer, left(index), area.x + 2, &[(bullet, accent), (&spelled(line, &model.keys), ground)]);
    }
    let keys = [
        pairs(&["table.enter", "table.yaml", "table.filter"]),
        pairs(&["prompt.command", "table.faults", "view.help"]),
        vec![story],
        vec![close],
    ];
    for (index, pairs) in (0..).zip(keys) {
        put(buffer, row(index), area.right() - KEYS, pairs);
    }
}
