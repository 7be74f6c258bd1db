//! The virtual grid: which columns fit a width, and how one line of cells is painted straight into the buffer. It knows
//! texts and styles, nothing of kinds; only the rows on screen ever come here.

use std::ops::Range;

use ratatui::{buffer::Buffer, layout::Rect, style::Style};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Cells between two columns.
pub const GAP: u16 = 2;
/// Columns of this rank and above are given up before anything is shortened.
const SPARE: u8 = 6;
/// Columns of this rank and below are given up only when everything is as short as it may be.
const VITAL: u8 = 1;
/// What texts are shortened to before a column of the ranks between is given up.
const SHORT: u16 = 24;

/// What a column asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Cells that its widest text needs.
    pub width: u16,
    /// Given up in falling order when there is no room; 0 is never given up.
    pub rank: u8,
    /// Cells that its texts may be shortened to, in the middle; no fewer than `width` where they may not be.
    pub least: u16,
    /// Cells at the end that all its texts have in common: they go first, as they tell nothing.
    pub common: u16,
}

impl Wish {
    fn shrinks(self) -> bool {
        self.least < self.width
    }

    /// Cells of what its texts do not have in common, and of the sign that the rest went. What they have in common was
    /// measured on other rows perhaps than the width was.
    fn telling(self) -> u16 {
        if self.shrinks() { self.width - self.common.saturating_sub(1).min(self.width) } else { self.width }
    }
}

/// Where a column stands: its index among the wishes, and its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    pub column: usize,
    pub x: u16,
    pub width: u16,
}

/// Fits columns into a width: first what is nice to have goes, then what names have in common, then long names are
/// shortened, then the least important columns go, and what nobody can do without only when names are at their shortest.
/// `skip` of the columns that are not of rank 0 are scrolled out on the left.
pub fn fit(wishes: &[Wish], width: u16, skip: usize) -> Vec<Slot> {
    let mut skipped = 0;
    let mut kept: Vec<usize> = (0..wishes.len())
        .filter(|&column| {
            let movable = wishes[column].rank > 0;
            let out = movable && skipped < skip;
            skipped += usize::from(out);
            !out
        })
        .collect();
    let need = |kept: &[usize], cells: fn(Wish) -> u16| -> u32 {
        let gaps = u32::try_from(kept.len().saturating_sub(1)).unwrap_or(0) * u32::from(GAP);
        kept.iter().map(|&column| u32::from(cells(wishes[column]))).sum::<u32>() + gaps
    };
    loop {
        let worst = kept.iter().copied().enumerate().max_by_key(|&(at, column)| (wishes[column].rank, at));
        let Some((at, column)) = worst else { break };
        let rank = wishes[column].rank;
        let cells: fn(Wish) -> u16 = match rank {
            SPARE.. => Wish::telling,
            0..=VITAL => |wish: Wish| wish.telling().min(wish.least),
            _ => |wish: Wish| wish.telling().min(wish.least.max(SHORT)),
        };
        if rank == 0 || need(&kept, cells) <= u32::from(width) {
            break;
        }
        kept.remove(at);
    }
    let mut widths: Vec<u16> = kept.iter().map(|&column| wishes[column].width).collect();
    let mut over = need(&kept, |wish| wish.width).saturating_sub(u32::from(width));
    // First what tells nothing goes, but for a sign that it went.
    for (at, &column) in kept.iter().enumerate() {
        let silent = wishes[column].width - wishes[column].telling();
        let spare = silent.min(u16::try_from(over).unwrap_or(u16::MAX));
        widths[at] -= spare;
        over -= u32::from(spare);
    }
    // Whoever has most to give gives first.
    while over > 0 {
        let spare = |at: usize| widths[at].saturating_sub(wishes[kept[at]].least);
        match (0..kept.len()).filter(|&at| spare(at) > 0).max_by_key(|&at| spare(at)) {
            Some(at) => widths[at] -= 1,
            None => break,
        }
        over -= 1;
    }
    let mut x = 0;
    kept.iter()
        .zip(widths)
        .map_while(|(&column, wanted)| {
            let slot = Slot { column, x, width: wanted.min(width.saturating_sub(x)) };
            x = x.saturating_add(wanted + GAP);
            (slot.width > 0).then_some(slot)
        })
        .collect()
}

/// Cells that a text takes.
pub fn width(text: &str) -> u16 {
    if text.is_ascii() { u16::try_from(text.len()).unwrap_or(u16::MAX) } else { clamp(text.width()) }
}

fn clamp(width: usize) -> u16 {
    u16::try_from(width).unwrap_or(u16::MAX)
}

/// Shortens a text to a width at its end, as sentences are.
pub fn cut(text: &str, cells: u16) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let mut used = 0;
    let fits = |grapheme: &&str| {
        used += width(grapheme);
        used < cells
    };
    let head: String = text.graphemes(true).take_while(fits).collect();
    if cells == 0 { head } else { head + "…" }
}

/// Shortens a text to a width, in the middle, so that both ends, where names differ, stay.
pub fn shorten(text: &str, cells: u16) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    if cells <= 1 {
        return if cells == 1 { "…".to_owned() } else { String::new() };
    }
    let tail_cells = (cells - 1) / 2;
    let head_cells = cells - 1 - tail_cells;
    let take = |graphemes: &mut dyn Iterator<Item = &str>, cells: u16| {
        let mut used = 0;
        let mut bytes = 0;
        for grapheme in graphemes {
            let wide = width(grapheme);
            if used + wide > cells {
                break;
            }
            used += wide;
            bytes += grapheme.len();
        }
        bytes
    };
    let head = take(&mut text.graphemes(true), head_cells);
    let tail = take(&mut text.graphemes(true).rev(), tail_cells);
    format!("{}…{}", &text[..head], &text[text.len() - tail..])
}

/// Shortens a text to a width by the end that it has in common with others, as far as there is one.
pub fn shorten_end(text: &str, cells: u16, common: &str) -> Option<String> {
    if common.is_empty() || width(text) <= cells {
        return None;
    }
    let rest = text.strip_suffix(common)?;
    let room = (cells as usize).saturating_sub(rest.len() + 1);
    // As much of it as there is room for.
    let kept = common.get(..room).unwrap_or_default();
    Some(format!("{rest}{kept}…"))
}

/// What two texts have in common at their ends, from a dot on: the domain of a host's name.
pub fn common_end<'a>(one: &'a str, other: &str) -> &'a str {
    let same = one.bytes().rev().zip(other.bytes().rev()).take_while(|(one, other)| one == other).count();
    let from = one.len() - same;
    let dot = one.bytes().enumerate().skip(from.max(1)).find(|(_, byte)| *byte == b'.').map(|(at, _)| at);
    dot.and_then(|dot| one.get(dot..)).unwrap_or_default()
}

/// Paints one text into `area` (one line); `matched` byte ranges are painted over with their own style where the text
/// was not shortened.
pub fn paint(
    buffer: &mut Buffer,
    area: Rect,
    text: &str,
    style: Style,
    right: bool,
    matched: &[Range<usize>],
    match_style: Style,
) {
    if area.width == 0 || area.height == 0 {
        return;
    }
    let wide = width(text);
    if wide > area.width {
        let short = shorten(text, area.width);
        put(buffer, area, &short, style);
        return;
    }
    let x = if right { area.x + area.width - wide } else { area.x };
    put(buffer, Rect { x, width: wide, ..area }, text, style);
    for range in matched {
        let (Some(before), Some(inner)) = (text.get(..range.start), text.get(range.clone())) else { continue };
        let rect = Rect { x: x + width(before), y: area.y, width: width(inner), height: 1 };
        buffer.set_style(rect.intersection(area), match_style);
    }
}

/// Writes a text into a line. ASCII, which nearly every cell is, needs no look for graphemes: half the cost of a frame.
fn put(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    if !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        buffer.set_stringn(area.x, area.y, text, area.width as usize, style);
        return;
    }
    for (x, character) in (area.x..area.right()).zip(text.chars()) {
        if let Some(cell) = buffer.cell_mut((x, area.y)) {
            cell.set_char(character).set_style(style);
        }
    }
}

/// A gauge of eighth blocks on a shaded ground, `cells` wide: the part that is filled and the part that is not.
pub fn gauge(fraction: f64, cells: u16, ascii: bool) -> (String, String) {
    let fraction = fraction.clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 8 times the cells")]
    let eighths = (fraction * f64::from(cells) * 8.0).round() as usize;
    let (whole, rest) = (eighths / 8, eighths % 8);
    if ascii {
        return ("#".repeat(whole), "-".repeat(cells as usize - whole));
    }
    let mut filled = "█".repeat(whole);
    let mut used = whole;
    if rest > 0 && used < cells as usize {
        filled.push(['▏', '▎', '▍', '▌', '▋', '▊', '▉'][rest - 1]);
        used += 1;
    }
    (filled, "░".repeat(cells as usize - used))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn wish(width: u16, rank: u8) -> Wish {
        Wish { width, rank, least: if rank == 0 && width > 18 { 18 } else { width }, common: 0 }
    }

    #[test]
    fn what_is_common_goes_first() {
        let node = Wish { common: 10, least: 18, ..wish(20, 3) };
        let widths = |width| fit(&[wish(30, 0), node], width, 0).iter().map(|slot| slot.width).collect::<Vec<_>>();
        assert_eq!(widths(52), [30, 20]);
        assert_eq!(widths(48), [30, 16]);
        assert_eq!(widths(43), [30, 11], "all but the sign");
        assert_eq!(widths(42), [29, 11], "then the widest");
    }

    #[test]
    fn more_in_common_than_there_is_room_for() {
        let long = Wish { common: 40, least: 18, ..wish(20, 7) };
        for width in 0..80 {
            let slots = fit(&[wish(30, 0), long, wish(10, 8)], width, 0);
            assert!(slots.iter().all(|slot| slot.x + slot.width <= width), "{width}: {slots:?}");
        }
        assert_eq!(fit(&[wish(30, 0), long], 52, 0).len(), 2);
    }

    #[test]
    fn sentences_are_cut_at_their_end() {
        assert_eq!(cut("no room", 7), "no room");
        assert_eq!(cut("no room", 6), "no ro…");
        assert_eq!(cut("no room", 1), "…");
        assert_eq!(cut("no room", 0), "");
        assert_eq!(cut("漢字です", 6), "漢字…", "half a sign is none");
    }

    #[test]
    fn the_common_end_is_a_domain() {
        let (one, other) = ("ip-10-0-1-2.eu-west-1.compute.internal", "ip-10-0-3-2.eu-west-1.compute.internal");
        assert_eq!(common_end(one, other), ".eu-west-1.compute.internal");
        assert_eq!(common_end(one, "ip-10-0-3-2.us-east-1.compute.internal"), ".compute.internal");
        assert_eq!(common_end("web-7f9c", "api-7f9c"), "", "no domain");
        assert_eq!(common_end(".hidden", ".hidden"), "", "nothing would be left");
        assert_eq!(common_end("é.a", "è.a"), ".a");
        assert_eq!(shorten_end(one, 16, ".eu-west-1.compute.internal").as_deref(), Some("ip-10-0-1-2.eu-…"));
        assert_eq!(shorten_end(one, 5, ".eu-west-1.compute.internal").as_deref(), Some("ip-10-0-1-2…"));
        assert_eq!(shorten_end("fargate-ip-10-0-1-2", 5, ".compute.internal"), None);
        assert_eq!(shorten_end(one, 60, ".eu-west-1.compute.internal"), None, "there is room");
    }

    #[test]
    fn everything_stays_where_there_is_room() {
        let slots = fit(&[wish(10, 0), wish(4, 3), wish(6, 1)], 40, 0);
        assert_eq!(
            slots.iter().map(|slot| (slot.column, slot.x, slot.width)).collect::<Vec<_>>(),
            [(0, 0, 10), (1, 12, 4), (2, 18, 6)]
        );
    }

    #[test]
    fn the_least_important_goes_first_and_names_shrink() {
        let slots = fit(&[wish(60, 0), wish(10, 3), wish(6, 1)], 50, 0);
        assert_eq!(slots.iter().map(|slot| slot.width).collect::<Vec<_>>(), [30, 10, 6], "the name gives way first");
        let slots = fit(&[wish(60, 0), wish(10, 3), wish(6, 1)], 40, 0);
        assert_eq!(slots.iter().map(|slot| slot.column).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(slots[0].width, 32);
        for width in 0..60 {
            let slots = fit(&[wish(60, 0), wish(10, 3), wish(6, 1), wish(30, 0)], width, 0);
            assert!(slots.iter().all(|slot| slot.x + slot.width <= width), "{width}: {slots:?}");
        }
    }

    #[test]
    fn scrolling_leaves_what_is_never_dropped() {
        let slots = fit(&[wish(5, 0), wish(5, 2), wish(5, 3)], 40, 1);
        assert_eq!(slots.iter().map(|slot| slot.column).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn texts_are_shortened_in_the_middle() {
        assert_eq!(shorten("payments-api-7f9c8d6b5-x2x9d", 13), "paymen…-x2x9d");
        assert_eq!(shorten("short", 13), "short");
        assert_eq!(shorten("日本語のとても長い名前", 9), "日本…名前");
        assert_eq!(shorten("abc", 1), "…");
        assert_eq!(shorten("abc", 0), "");
    }

    #[test]
    fn gauges_fill_by_eighths() {
        assert_eq!(gauge(0.5, 4, false), ("██".to_owned(), "░░".to_owned()));
        assert_eq!(gauge(0.53, 4, false).0, "██▏");
        assert_eq!(gauge(7.0, 3, false), ("███".to_owned(), String::new()));
        assert_eq!(gauge(f64::NAN, 3, true), (String::new(), "---".to_owned()));
    }
}
