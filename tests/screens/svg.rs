//! A terminal's screen as an SVG picture. Every word stands at its own place and is fitted to its cells, so that columns
//! line up in any monospace font; block elements and lines are drawn as shapes, because fonts leave gaps between them.
//! Knows nothing of the program whose screen it is.

use std::{collections::BTreeMap, fmt::Write};

use vt100::{Cell, Color, Screen};

/// Size of a cell in pixels.
pub const WIDTH: usize = 9;
pub const HEIGHT: usize = 18;
/// Text stands on this line of a cell.
const BASELINE: usize = 14;
/// Monospace letters are about 0.6 times as wide as the font is high.
const FONT_SIZE: usize = 15;

/// How the characters of a word look, apart from what lies behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Style {
    color: [u8; 3],
    bold: bool,
    italic: bool,
    dim: bool,
}

/// The picture of a screen.
pub fn render(screen: &Screen) -> String {
    let (rows, columns) = screen.size();
    let (rows, columns) = (rows.get(), columns.get());
    let mut behind = String::new();
    let mut before: BTreeMap<Style, String> = BTreeMap::new();
    for row in 0..rows {
        let mut word = Word::default();
        let mut run = Run::default();
        for column in 0..columns {
            let Some(cell) = screen.cell(row, column) else { continue };
            let cursor = !screen.hide_cursor() && screen.cursor_position() == (row, column);
            let (foreground, background) = colors(cell, cursor);
            run.add(&mut behind, row, column, background);
            let style = Style { color: foreground, bold: cell.bold(), italic: cell.italic(), dim: cell.dim() };
            if cell.underline() {
                let (x, y) = corner(row, column);
                let line = format!("<rect x=\"{x}\" y=\"{}\" width=\"{WIDTH}\" height=\"1\"/>", y + BASELINE + 2);
                writeln!(before.entry(style).or_default(), "{line}").unwrap();
            }
            if cell.is_wide_continuation() {
                continue;
            }
            let shape = shape(cell.contents(), row, column);
            if cell.contents().trim().is_empty() || shape.is_some() || word.style != Some(style) {
                word.end(&mut before);
            }
            if let Some(shape) = shape {
                writeln!(before.entry(style).or_default(), "{shape}").unwrap();
            } else if !cell.contents().trim().is_empty() {
                word.add(style, row, column, cell);
            }
            if cell.is_wide() {
                word.end(&mut before);
            }
        }
        word.end(&mut before);
        run.end(&mut behind, row, columns);
    }
    let (width, height) = (usize::from(columns) * WIDTH, usize::from(rows) * HEIGHT);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace\" \
         font-size=\"{FONT_SIZE}\" style=\"font-variant-ligatures:none\">\n{behind}"
    );
    for (style, elements) in before {
        write!(svg, "<g fill=\"{}\"", hex(style.color)).unwrap();
        for (wanted, attribute) in [
            (style.bold, " font-weight=\"bold\""),
            (style.italic, " font-style=\"italic\""),
            (style.dim, " opacity=\"0.6\""),
        ] {
            svg.push_str(if wanted { attribute } else { "" });
        }
        write!(svg, ">\n{elements}</g>\n").unwrap();
    }
    svg + "</svg>\n"
}

/// Characters side by side that look the same, without a space.
#[derive(Default)]
struct Word {
    style: Option<Style>,
    at: (u16, u16),
    cells: usize,
    text: String,
}

impl Word {
    fn add(&mut self, style: Style, row: u16, column: u16, cell: &Cell) {
        if self.style.is_none() {
            (self.style, self.at) = (Some(style), (row, column));
        }
        self.cells += if cell.is_wide() { 2 } else { 1 };
        for letter in cell.contents().chars() {
            match letter {
                '<' => self.text.push_str("&lt;"),
                '&' => self.text.push_str("&amp;"),
                _ => self.text.push(letter),
            }
        }
    }

    fn end(&mut self, elements: &mut BTreeMap<Style, String>) {
        let Self { style: Some(style), at: (row, column), cells, text } = std::mem::take(self) else { return };
        let (x, y) = corner(row, column);
        let (y, length) = (y + BASELINE, cells * WIDTH);
        let fit = format!("textLength=\"{length}\" lengthAdjust=\"spacingAndGlyphs\"");
        writeln!(elements.entry(style).or_default(), "<text x=\"{x}\" y=\"{y}\" {fit}>{text}</text>").unwrap();
    }
}

/// Cells side by side with the same background.
#[derive(Default)]
struct Run {
    from: u16,
    color: Option<[u8; 3]>,
}

impl Run {
    fn add(&mut self, elements: &mut String, row: u16, column: u16, color: [u8; 3]) {
        if self.color != Some(color) {
            self.end(elements, row, column);
            *self = Self { from: column, color: Some(color) };
        }
    }

    fn end(&self, elements: &mut String, row: u16, to: u16) {
        let Some(color) = self.color else { return };
        let (x, y) = corner(row, self.from);
        let (width, fill) = (usize::from(to - self.from) * WIDTH, hex(color));
        writeln!(elements, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{HEIGHT}\" fill=\"{fill}\"/>")
            .unwrap();
    }
}

/// The upper left corner of a cell.
fn corner(row: u16, column: u16) -> (usize, usize) {
    (usize::from(column) * WIDTH, usize::from(row) * HEIGHT)
}

/// What a block element or a thin line looks like in its cell.
fn shape(text: &str, row: u16, column: u16) -> Option<String> {
    let mut letters = text.chars();
    let (letter, None) = (letters.next()?, letters.next()) else { return None };
    let (x, y) = corner(row, column);
    let code = letter as usize;
    // Eighths of the width or height; the parts of a quarter are bits: upper left, upper right, lower left, lower right.
    let parts = |parts: u8| {
        let (width, height) = (WIDTH.div_ceil(2), HEIGHT / 2);
        (0..4)
            .filter(|part| parts >> part & 1 == 1)
            .map(|part| bar(x + part % 2 * width, y + part / 2 * height, width - part % 2, height))
            .collect()
    };
    let (middle, center) = (x + WIDTH / 2, y + HEIGHT / 2);
    // A line from the middle of the cell to its left, right, upper and lower edge.
    let arms = |arms: [bool; 4]| {
        let left = if arms[0] { x } else { middle };
        let right = if arms[1] { x + WIDTH } else { middle + 1 };
        let top = if arms[2] { y } else { center };
        let bottom = if arms[3] { y + HEIGHT } else { center + 1 };
        bar(left, center, right - left, 1) + &bar(middle, top, 1, bottom - top)
    };
    Some(match letter {
        '▀' => bar(x, y, WIDTH, HEIGHT / 2),
        '▁'..='█' => {
            let height = (code - 0x2580) * HEIGHT / 8;
            bar(x, y + HEIGHT - height, WIDTH, height)
        }
        '▉'..='▏' => fraction(x, y, 0x2590 - code),
        '░'..='▓' => {
            let shade = 25 * (code - 0x2590);
            bar(x, y, WIDTH, HEIGHT).replace("/>", &format!(" opacity=\"0.{shade}\"/>"))
        }
        '▐' => bar(x + WIDTH / 2, y, WIDTH.div_ceil(2), HEIGHT),
        '▔' => bar(x, y, WIDTH, HEIGHT / 8),
        '▖' => parts(0b0100),
        '▗' => parts(0b1000),
        '▘' => parts(0b0001),
        '▙' => parts(0b1101),
        '▚' => parts(0b1001),
        '▛' => parts(0b0111),
        '▜' => parts(0b1011),
        '▝' => parts(0b0010),
        '▞' => parts(0b0110),
        '▟' => parts(0b1110),
        '─' => arms([true, true, false, false]),
        '│' => arms([false, false, true, true]),
        '┌' | '╭' => arms([false, true, false, true]),
        '┐' | '╮' => arms([true, false, false, true]),
        '└' | '╰' => arms([false, true, true, false]),
        '┘' | '╯' => arms([true, false, true, false]),
        '├' => arms([false, true, true, true]),
        '┤' => arms([true, false, true, true]),
        '┬' => arms([true, true, false, true]),
        '┴' => arms([true, true, true, false]),
        '┼' => arms([true; 4]),
        _ => return None,
    })
}

/// This many eighths of a cell, from the left.
fn fraction(x: usize, y: usize, eighths: usize) -> String {
    let hundredths = eighths * WIDTH * 100 / 8;
    format!("<path d=\"M{x} {y}h{}.{:02}v{HEIGHT}H{x}z\"/>", hundredths / 100, hundredths % 100)
}

fn bar(x: usize, y: usize, width: usize, height: usize) -> String {
    format!("<path d=\"M{x} {y}h{width}v{height}H{x}z\"/>")
}

/// What is drawn, and what lies behind it.
fn colors(cell: &Cell, cursor: bool) -> ([u8; 3], [u8; 3]) {
    let (foreground, background) = (rgb(cell.fgcolor(), [0xd0; 3]), rgb(cell.bgcolor(), [0x10; 3]));
    if cell.inverse() == cursor { (foreground, background) } else { (background, foreground) }
}

/// A colour as xterm shows it.
fn rgb(color: Color, default: [u8; 3]) -> [u8; 3] {
    /// The first 16: black, red, green, yellow, blue, magenta, cyan and white, then the bright ones.
    const NAMED: [u32; 16] = [
        0x00_0000, 0xcd_0000, 0x00_cd00, 0xcd_cd00, 0x00_00ee, 0xcd_00cd, 0x00_cdcd, 0xe5_e5e5, 0x7f_7f7f, 0xff_0000,
        0x00_ff00, 0xff_ff00, 0x5c_5cff, 0xff_00ff, 0x00_ffff, 0xff_ffff,
    ];
    match color {
        Color::Default => default,
        Color::Rgb(red, green, blue) => [red, green, blue],
        Color::Idx(index @ 0..16) => {
            let [_, red, green, blue] = NAMED[usize::from(index)].to_be_bytes();
            [red, green, blue]
        }
        // A cube of six levels a colour, then 24 greys.
        Color::Idx(index @ 16..232) => {
            let cube = index - 16;
            [cube / 36, cube / 6 % 6, cube % 6].map(|level| if level == 0 { 0 } else { 55 + 40 * level })
        }
        Color::Idx(index) => [8 + 10 * (index - 232); 3],
    }
}

fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}
