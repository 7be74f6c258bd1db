//! A dialog over the screen: what is about to happen and where, what there is to know before it does, and two buttons of
//! which Cancel has the focus. Knows texts only; what they are about is its owner's matter.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    widgets::{Clear, Widget},
};

use super::{Screen, frame::wrap};
use crate::ui::{grid, theme::Role};

/// As wide as it gets; beyond that lines are hard to read.
const WIDEST: u16 = 100;

/// Which button Enter presses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Focus {
    #[default]
    Cancel,
    Act,
}

/// One line: a label on the left, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub label: &'static str,
    pub role: Role,
    pub text: String,
}

/// What has to be typed before it happens, where a key is too easily pressed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Typing {
    pub wanted: String,
    pub typed: String,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Dialog {
    /// What is done to what: `scale node group spot-a`.
    pub title: String,
    /// Where: context, region, account.
    pub place: String,
    pub lines: Vec<Line>,
    /// The same for a shell; empty where there is none.
    pub command: String,
    /// What `y` does: `scale to 5`; empty where there is nothing to do but to leave.
    pub act: String,
    /// The key that does it, where that is not `y`.
    pub key: Option<&'static str>,
    /// Why it cannot be done as it stands.
    pub blocked: Option<String>,
    pub focus: Focus,
    pub typing: Option<Typing>,
}

impl Dialog {
    /// Draws it in the middle of the screen; what does not fit is cut from the facts, never from the buttons.
    pub fn draw(&self, screen_area: Rect, buffer: &mut Buffer, screen: &Screen<'_>) {
        let width = screen_area.width.saturating_sub(2).min(WIDEST);
        if width < 20 || screen_area.height < 5 {
            return;
        }
        let inner = width - 4;
        let mut body = self.body(inner);
        let most = usize::from(screen_area.height - 4);
        if body.len() > most {
            body.truncate(most.saturating_sub(1));
            body.push((String::new(), "… (a taller terminal shows the rest)".to_owned(), Role::Dim));
        }
        let height = u16::try_from(body.len()).unwrap_or(0) + 3;
        let area = Rect {
            x: screen_area.x + (screen_area.width - width) / 2,
            y: screen_area.y + (screen_area.height.saturating_sub(height)) / 2,
            width,
            height,
        };
        Clear.render(area, buffer);
        let style = screen.style(Role::Dialog);
        buffer.set_style(area, style);
        self.border(area, buffer, screen);
        let label_width = self.label_width();
        for (line, (label, text, role)) in body.iter().enumerate() {
            let y = area.y + 1 + u16::try_from(line).unwrap_or(0);
            buffer.set_stringn(area.x + 2, y, label, inner as usize, style.patch(screen.style(Role::Dim)));
            let x = area.x + 2 + label_width;
            let room = (area.right() - 2).saturating_sub(x) as usize;
            buffer.set_stringn(x, y, text, room, style.patch(screen.style(*role)));
        }
        self.buttons(Rect { y: area.bottom() - 2, height: 1, x: area.x + 2, width: inner }, buffer, screen, style);
    }

    fn label_width(&self) -> u16 {
        self.lines.iter().map(|line| grid::width(line.label)).max().map_or(0, |width| width + 2)
    }

    /// Label, text and role of each line on screen.
    fn body(&self, inner: u16) -> Vec<(String, String, Role)> {
        let room = inner.saturating_sub(self.label_width()).max(10);
        let mut body = Vec::new();
        let mut say = |label: &str, text: &str, role: Role| {
            for (index, part) in wrap(text, room).into_iter().enumerate() {
                body.push((if index == 0 { label.to_owned() } else { String::new() }, part, role));
            }
        };
        for line in &self.lines {
            say(line.label, &line.text, line.role);
        }
        if !self.command.is_empty() {
            say("", &self.command, Role::Dim);
        }
        if let Some(why) = &self.blocked {
            say("", why, Role::Error);
        }
        if let Some(typing) = &self.typing {
            say("", &format!("type {} to do it: {}▏", typing.wanted, typing.typed), Role::Prompt);
        }
        body
    }

    fn border(&self, area: Rect, buffer: &mut Buffer, screen: &Screen<'_>) {
        let rule = screen.style(Role::Dialog).patch(screen.style(Role::DialogBorder));
        let [corner_a, corner_b, corner_c, corner_d, flat, tall] =
            if screen.ascii { ["+", "+", "+", "+", "-", "|"] } else { ["┌", "┐", "└", "┘", "─", "│"] };
        let line = |left: &str, right: &str| format!("{left}{}{right}", flat.repeat(usize::from(area.width) - 2));
        buffer.set_string(area.x, area.y, line(corner_a, corner_b), rule);
        buffer.set_string(area.x, area.bottom() - 1, line(corner_c, corner_d), rule);
        for y in area.y + 1..area.bottom() - 1 {
            buffer.set_string(area.x, y, tall, rule);
            buffer.set_string(area.right() - 1, y, tall, rule);
        }
        let title = format!(" {} ", self.title);
        let room = area.width - 4;
        let title_width = grid::width(&title).min(room);
        let title_style = screen.style(Role::Dialog).patch(screen.style(Role::Title));
        buffer.set_stringn(area.x + 2, area.y, &title, room as usize, title_style);
        let place = format!(" {} ", grid::shorten(&self.place, room.saturating_sub(title_width + 3)));
        let at = area.right().saturating_sub(grid::width(&place) + 2);
        if !self.place.is_empty() && at > area.x + 2 + title_width {
            buffer.set_string(at, area.y, &place, screen.style(Role::Dialog).patch(screen.style(Role::Text)));
        }
    }

    fn buttons(&self, area: Rect, buffer: &mut Buffer, screen: &Screen<'_>, style: Style) {
        let focused = |focus: Focus| {
            if self.focus == focus { style.patch(screen.style(Role::Selection)) } else { style }
        };
        // In brackets what Enter presses: no matter what colours there are.
        let framed = |text: &str, focus: Focus| {
            if self.focus == focus { format!("[ {text} ]") } else { format!("  {text}  ") }
        };
        let act = framed(&format!("{} {}", self.key.unwrap_or("y"), self.act), Focus::Act);
        let act = if self.act.is_empty() { String::new() } else { act };
        let cancel = framed("Cancel", Focus::Cancel);
        let act_style = if self.blocked.is_some() { style.patch(screen.style(Role::Dim)) } else { focused(Focus::Act) };
        let at = area.right().saturating_sub(grid::width(&act)).max(area.x);
        buffer.set_stringn(at, area.y, &act, (area.right() - at) as usize, act_style);
        let left = at.saturating_sub(grid::width(&cancel) + 1).max(area.x);
        if left < at {
            buffer.set_stringn(left, area.y, &cancel, (at - left) as usize, focused(Focus::Cancel));
        }
    }
}
