// SPDX-License-Identifier: MIT OR Apache-2.0
//! The picture as SVG: a column of ranges, low addresses at the top, self-contained.
//!
//! ```text
//!           address  |bar|nodes|  size  owner
//! ```

use super::bar::cut;
use super::{Kind, Picture, SCALE, Segment};
use crate::report::wrapped_to;
use svg::Document;
use svg::node::element::{Definitions, Line, Path, Pattern, Rectangle, Style, Text, Title};

/// All lengths are in pixels.
const WIDTH: u32 = 860;
const BAR: u32 = 190;
const BAR_WIDTH: u32 = 150;
const NODES: u32 = BAR + BAR_WIDTH + 6;
const NODES_WIDTH: u32 = 46;
const TEXT: u32 = 480;
const TOP: u32 = 30;
/// The height of the smallest range: a line of text.
const LEAST: u32 = 18;
/// How much higher a range is for each doubling of its size.
const STEP: u32 = 2;
const TITLE_ROW: u32 = 18;
/// So many characters of the title, and of a range's text, have room in a line.
const TITLE_CHARACTERS: usize = 90;
const MOST_CHARACTERS: usize = 34;
const LEGEND_ROW: u32 = 20;
const LEGEND_COLUMNS: usize = 4;

const STYLE: &str = "text{font:12px monospace;fill:#222}.title{font:bold 14px sans-serif}.note{font:12px sans-serif;\
                     fill:#555}.left{fill:#b00020;font-weight:bold}";

const fn fill(kind: Kind) -> &'static str {
    match kind {
        Kind::Hole => "url(#hole)",
        Kind::Free => "#cfe8cf",
        Kind::Firmware => "#b8b8b8",
        Kind::Kernel => "#4a78c2",
        Kind::Ramdisk => "#8fb4e8",
        Kind::Reserved => "#d9c7e8",
        Kind::DomainBuilder => "#a679c9",
        Kind::Tables => "#e69f00",
        Kind::Spare => "#f7dc8b",
        Kind::Consumer => "#56b4b0",
        Kind::LeftReadOnly => "#d7263d",
    }
}

impl Picture {
    /// The picture as the text of an SVG file.
    #[must_use]
    pub fn svg(&self) -> String {
        let kinds = self.kinds();
        let n_legend_rows = u32::try_from(kinds.len().div_ceil(LEGEND_COLUMNS)).unwrap_or(u32::MAX);
        let title = wrapped_to(&self.title, TITLE_CHARACTERS, 0, 0);
        let lines: Vec<String> = title.lines().map(|line| cut(line, TITLE_CHARACTERS)).collect();
        let below_title = TOP + TITLE_ROW * u32::try_from(lines.len().saturating_sub(1)).unwrap_or(0);
        let legend_top = below_title + 24;
        let first = legend_top + n_legend_rows * LEGEND_ROW + 16;
        let bottom = first + self.segments.iter().map(height).sum::<u32>();
        let mut document = Document::new()
            .set("width", WIDTH)
            .set("height", bottom + 40)
            .set("viewBox", (0, 0, WIDTH, bottom + 40))
            .add(Title::new(self.title.clone()))
            .add(Style::new(STYLE))
            .add(Definitions::new().add(hatch()))
            .add(Rectangle::new().set("width", "100%").set("height", "100%").set("fill", "#ffffff"))
            .add(text(SCALE, 20, below_title + 12).set("class", "note"));
        for (line, y) in lines.iter().zip((TOP - 6..).step_by(TITLE_ROW as usize)) {
            document = document.add(text(line, 20, y).set("class", "title"));
        }
        for (at, kind) in kinds.into_iter().enumerate() {
            let (row, column) = (at / LEGEND_COLUMNS, at % LEGEND_COLUMNS);
            let x = 20 + 184 * u32::try_from(column).unwrap_or(0);
            let y = legend_top + LEGEND_ROW * u32::try_from(row).unwrap_or(0);
            document = document.add(bar(x, y, 14, 12, kind)).add(text(kind.name(), x + 20, y + 10));
        }
        let mut y = first;
        for segment in &self.segments {
            document = self.add_segment(document, segment, y);
            y += height(segment);
        }
        document = self.add_nodes(document, first);
        let end = self.segments.last().map_or(0, |segment| segment.end);
        document.add(tick(y)).add(address(end, y)).to_string() + "\n"
    }

    fn add_segment(&self, document: Document, segment: &Segment, y: u32) -> Document {
        let middle = y + height(segment) / 2 + 4;
        let (class, suffix) =
            if segment.kind == Kind::LeftReadOnly { ("left", ", left read-only") } else { ("owner", "") };
        document
            .add(bar(BAR, y, BAR_WIDTH, height(segment), segment.kind))
            .add(tick(y))
            .add(address(segment.start, y))
            .add(text(&segment.size(), TEXT - 14, middle).set("text-anchor", "end"))
            .add(text(&format!("{}{suffix}", cut(&segment.text, MOST_CHARACTERS)), TEXT, middle).set("class", class))
    }

    /// A band for each stretch of ranges of one node.
    fn add_nodes(&self, mut document: Document, first: u32) -> Document {
        let mut y = first;
        let mut bands: Vec<(u32, u32, u32)> = Vec::new();
        for segment in &self.segments {
            let end = y + height(segment);
            if let Some(node) = self.node_of(segment) {
                match bands.last_mut() {
                    Some((last, _, reached)) if *last == node && *reached == y => *reached = end,
                    _ => bands.push((node, y, end)),
                }
            }
            y = end;
        }
        for (node, start, end) in bands {
            let fill = if node % 2 == 0 { "#e4ecf7" } else { "#f7ece0" };
            let rectangle = Rectangle::new()
                .set("x", NODES)
                .set("y", start)
                .set("width", NODES_WIDTH)
                .set("height", end - start)
                .set("fill", fill)
                .set("stroke", "#888");
            let name = text(&format!("node {node}"), NODES + NODES_WIDTH / 2, u32::midpoint(start, end) + 4);
            document = document.add(rectangle).add(name.set("text-anchor", "middle").set("style", "font-size:10px"));
        }
        document
    }
}

fn height(segment: &Segment) -> u32 {
    LEAST + STEP * (segment.weight() - 1)
}

fn text(content: &str, x: u32, y: u32) -> Text {
    Text::new(content).set("x", x).set("y", y)
}

fn bar(x: u32, y: u32, width: u32, height: u32, kind: Kind) -> Rectangle {
    let rectangle = Rectangle::new().set("x", x).set("y", y).set("width", width).set("height", height);
    rectangle.set("fill", fill(kind)).set("stroke", "#444").set("stroke-width", "0.6")
}

/// The line from an address to the bar.
fn tick(y: u32) -> Line {
    Line::new().set("x1", BAR - 8).set("y1", y).set("x2", BAR).set("y2", y).set("stroke", "#444")
}

fn address(address: u64, y: u32) -> Text {
    text(&format!("0x{address:x}"), BAR - 12, y + 4).set("text-anchor", "end")
}

/// What holes are filled with.
fn hatch() -> Pattern {
    let lines = Path::new().set("d", "M0 6L6 0").set("stroke", "#bbb").set("stroke-width", 1);
    let pattern = Pattern::new().set("id", "hole").set("width", 6).set("height", 6);
    pattern.set("patternUnits", "userSpaceOnUse").add(lines)
}
