// SPDX-License-Identifier: MIT OR Apache-2.0
//! The picture in a terminal: a bar, broken into rows, and a line for each range.

use super::{Kind, Picture, SCALE, Segment};
use crate::report::{wrapped_to, written};
use anstyle::{AnsiColor, Style};
use std::fmt::{self, Write};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A range has at least so many columns of the bar on average, so that most are wider than one.
const COLUMNS_PER_RANGE: usize = 3;

/// The narrowest line that has room for the kernel's way to write a range.
const WIDE: usize = 72;

const fn symbol(kind: Kind) -> char {
    match kind {
        Kind::Hole => '.',
        Kind::Free => '-',
        Kind::Firmware => 'f',
        Kind::Kernel => 'K',
        Kind::Ramdisk => 'I',
        Kind::Reserved => 'r',
        Kind::DomainBuilder => 'X',
        Kind::Tables => 'T',
        Kind::Spare => 's',
        Kind::Consumer => 'D',
        Kind::LeftReadOnly => '!',
    }
}

const fn style(kind: Kind) -> Style {
    match kind {
        Kind::Hole => Style::new().dimmed(),
        Kind::Free => AnsiColor::Green.on_default(),
        Kind::Firmware => AnsiColor::BrightBlack.on_default(),
        Kind::Kernel | Kind::Ramdisk => AnsiColor::Blue.on_default(),
        Kind::Reserved | Kind::Consumer => AnsiColor::Cyan.on_default(),
        Kind::DomainBuilder => AnsiColor::Magenta.on_default(),
        Kind::Tables => AnsiColor::Yellow.on_default(),
        Kind::Spare => AnsiColor::BrightYellow.on_default(),
        Kind::LeftReadOnly => AnsiColor::Red.on_default().bold(),
    }
}

impl Picture {
    /// The picture in lines of at most so many columns, at least 20, with the colours of a terminal.
    #[must_use]
    pub fn bar(&self, width: usize) -> String {
        let width = width.max(20);
        written(|out| self.write_bar(out, width))
    }

    fn write_bar(&self, out: &mut String, width: usize) -> fmt::Result {
        for line in wrapped_to(&self.title, width, 0, 0).lines() {
            writeln!(out, "{}", cut(line, width))?;
        }
        out.push('\n');
        let end = self.segments.last().map_or(0, |segment| segment.end);
        let label = format!("{end:x}").len();
        let room = width.saturating_sub(label + 1);
        let most = (room / COLUMNS_PER_RANGE).max(1);
        let n_rows = self.segments.len().div_ceil(most).max(1);
        for row in self.segments.chunks(self.segments.len().div_ceil(n_rows).max(1)) {
            self.write_row(out, row, label, room)?;
        }
        writeln!(out, "{end:>label$x}\n")?;
        self.write_legend(out, width)?;
        self.segments.iter().try_for_each(|segment| self.write_line(out, segment, width, label))
    }

    fn write_row(&self, out: &mut String, row: &[Segment], label: usize, room: usize) -> fmt::Result {
        let columns = columns(row, room);
        write!(out, "{:>label$x} ", row.first().map_or(0, |segment| segment.start))?;
        for (segment, n) in row.iter().zip(&columns) {
            let style = style(segment.kind);
            write!(out, "{style}{}{style:#}", symbol(segment.kind).to_string().repeat(*n))?;
        }
        out.push('\n');
        if !self.nodes.is_empty() {
            write!(out, "{:>label$} ", cut("node", label))?;
            for (segment, n) in row.iter().zip(&columns) {
                let name = self.node_of(segment).map_or_else(String::new, |node| node.to_string());
                let name = if name.len() <= *n { name } else { "#".to_owned() };
                let fill = if name.is_empty() { " " } else { "_" };
                write!(out, "{name}{}", fill.repeat(n - name.len()))?;
            }
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
        }
        Ok(())
    }

    fn write_legend(&self, out: &mut String, width: usize) -> fmt::Result {
        let kinds = self.kinds();
        let mut column = 0;
        for kind in kinds {
            let len = kind.name().len() + 4;
            if 0 < column && width < column + len {
                out.truncate(out.trim_end_matches(' ').len());
                out.push('\n');
                column = 0;
            }
            let style = style(kind);
            write!(out, "{style}{}{style:#} {}  ", symbol(kind), cut(kind.name(), width - 2))?;
            column += len;
        }
        out.truncate(out.trim_end_matches(' ').len());
        writeln!(out, "\n({})\n", wrapped_to(SCALE, width - 2, 1, 1))
    }

    fn write_line(&self, out: &mut String, segment: &Segment, width: usize, label: usize) -> fmt::Result {
        let Segment { start, end, kind, text } = segment;
        let (last, size) = (end - 1, segment.size());
        let range = if WIDE <= width {
            format!("[mem 0x{start:016x}-0x{last:016x}]")
        } else {
            format!("{start:>label$x}-{last:>label$x}")
        };
        let node = self.node_of(segment).map_or_else(String::new, |node| format!(", node {node}"));
        let line = format!("{range} {size:>6} {} {text}{node}", symbol(*kind));
        let style = style(*kind);
        writeln!(out, "{style}{}{style:#}", cut(&line, width))
    }
}

/// How many columns each range of a row gets: one at least, the rest by weight, all of them used.
fn columns(row: &[Segment], room: usize) -> Vec<usize> {
    let total: u32 = row.iter().map(Segment::weight).sum();
    let left = room.saturating_sub(row.len());
    let mut weight = 0;
    let mut given = 0;
    row.iter()
        .map(|segment| {
            weight += segment.weight();
            let upto = usize::try_from(u64::from(weight) * left as u64 / u64::from(total.max(1))).unwrap_or(left);
            let n = 1 + upto - given;
            given = upto;
            n
        })
        .collect()
}

/// The text, cut to so many columns.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut column = 0;
    for c in text.chars() {
        column += c.width().unwrap_or(0);
        if width < column + 2 {
            break;
        }
        kept.push(c);
    }
    format!("{kept}{}", ".".repeat(2.min(width)))
}
