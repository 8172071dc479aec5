// SPDX-License-Identifier: MIT OR Apache-2.0
//! The text of a `page_tables` dump and its meaning: [`Dump::parse`] and [`Dump::render`] are each
//! other's inverse, byte for byte, for what this program writes and for a real kernel's file.
//!
//! ```text
//! ---[ Low Kernel Mapping ]---
//! 0xffff880000000000-0xffff880040000000           1G     RW         PSE     GLB x  pmd
//! |from              to                 |size       |columns                       |level
//! ```
//!
//! Source: `note_page` and `printk_prot` of arch/x86/mm/dump_pagetables.c. [`DumpErrorKind`] says what a
//! line can lack.

use crate::addr::{PhysAddr, VirtAddr};
use crate::layout::Excerpt;
use bitflags::bitflags;
use std::fmt::{self, Write};

const UNITS: [char; 7] = ['B', 'K', 'M', 'G', 'T', 'P', 'E'];

/// How many characters the columns of a present line take, and the blanks of an absent one.
const COLUMNS_WIDTH: usize = 30;

bitflags! {
    /// What the columns of a present line say.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Columns: u8 {
        /// Unset: user mode may not use it.
        const USR = 1;
        /// Unset: read-only.
        const RW = 1 << 1;
        /// Unset: written back later.
        const PWT = 1 << 2;
        /// Unset: cached.
        const PCD = 1 << 3;
        /// Unset: the page has the smallest size.
        const PSE = 1 << 4;
        /// Unset: the first four entries of the page attribute table choose the memory type.
        const PAT = 1 << 5;
        /// Unset: dropped from the TLB when CR3 is loaded.
        const GLB = 1 << 6;
        /// Unset: executable.
        const NX = 1 << 7;
    }
}

/// Each column as it is printed: set, unset.
const COLUMNS: [(Columns, &str, &str); 8] = [
    (Columns::USR, "USR ", "    "),
    (Columns::RW, "RW ", "ro "),
    (Columns::PWT, "PWT ", "    "),
    (Columns::PCD, "PCD ", "    "),
    (Columns::PSE, "PSE ", "    "),
    (Columns::PAT, "PAT ", "    "),
    (Columns::GLB, "GLB ", "    "),
    (Columns::NX, "NX ", "x  "),
];

impl Columns {
    /// The columns that are set by their names, and those that are named when unset: `RW NX`, `ro x GLB`.
    #[must_use]
    pub fn words(self) -> String {
        let first = if self.contains(Self::RW) { "RW" } else { "ro" };
        let second = if self.contains(Self::NX) { "NX" } else { "x" };
        let others = self.difference(Self::RW | Self::NX | Self::PSE);
        let others = others.iter_names().map(|(name, _)| name);
        [first, second].into_iter().chain(others).collect::<Vec<_>>().join(" ")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut columns = Self::empty();
        let mut rest = text;
        for (column, set, unset) in COLUMNS {
            rest = match rest.strip_prefix(set) {
                Some(behind) => {
                    columns |= column;
                    behind
                }
                None => rest.strip_prefix(unset)?,
            };
        }
        rest.is_empty().then_some(columns)
    }
}

/// At which level of the tables a line's entries stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DumpLevel {
    /// 4 KiB pages.
    Pte,
    /// 2 MiB.
    Pmd,
    /// 1 GiB.
    Pud,
    /// 512 GiB, of five-level kernels.
    P4d,
    /// 512 GiB, or 256 TiB with five levels.
    Pgd,
    /// The whole.
    Cr3,
}

impl DumpLevel {
    const ALL: [Self; 6] = [Self::Pte, Self::Pmd, Self::Pud, Self::P4d, Self::Pgd, Self::Cr3];

    /// The kernel's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pte => "pte",
            Self::Pmd => "pmd",
            Self::Pud => "pud",
            Self::P4d => "p4d",
            Self::Pgd => "pgd",
            Self::Cr3 => "cr3",
        }
    }

    /// The size of a page that is mapped there.
    #[must_use]
    pub const fn page_size(self) -> &'static str {
        match self {
            Self::Pte => "4K",
            Self::Pmd => "2M",
            Self::Pud => "1G",
            Self::P4d | Self::Pgd | Self::Cr3 => "512G",
        }
    }
}

/// One range of a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DumpRange {
    /// The first byte.
    pub start: VirtAddr,
    /// The byte behind the last; 0 at the end of the address space.
    pub end: VirtAddr,
    /// What the columns say; `None` if nothing is mapped.
    pub columns: Option<Columns>,
    /// The level of its entries.
    pub level: DumpLevel,
    /// The address of the first frame, where the dump shows one.
    pub phys: Option<PhysAddr>,
}

impl DumpRange {
    /// How many bytes it has.
    #[must_use]
    pub const fn len_bytes(&self) -> u64 {
        self.end.get().wrapping_sub(self.start.get())
    }
}

/// One line of a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DumpLine {
    /// The name of the area that begins here.
    Marker(String),
    /// So many entries of the area were left out by the kernel.
    Skipped(u64),
    /// A range.
    Range(DumpRange),
}

/// A dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// Its lines.
    pub lines: Vec<DumpLine>,
}

/// What is wrong with a dump, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct DumpError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub kind: DumpErrorKind,
}

/// What can be wrong with a dump.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DumpErrorKind {
    /// It has no range at all.
    #[error("no line of a page_tables dump; expected lines like `{EXAMPLE}`")]
    NoRange,
    /// The line is none of a dump.
    #[error("found {0}; expected `---[ NAME ]---` or a line like `{EXAMPLE}`")]
    NotALine(Excerpt),
    /// The columns are not those of the kernel.
    #[error("found {0}; expected the columns `USR RW PWT PCD PSE PAT GLB NX`, blank, `ro` or `x` where unset")]
    Columns(Excerpt),
    /// The level is not known.
    #[error("found {0}; expected a level: pte, pmd, pud, p4d, pgd or cr3")]
    Level(Excerpt),
    /// Size and addresses do not fit together.
    #[error("found the size {found}; expected {expected} for this range")]
    Size {
        /// What the line says.
        found: Excerpt,
        /// What its addresses say.
        expected: String,
    },
    /// The range starts before the one above it ends.
    #[error("the range starts at {start:#x}, before the end {last_end:#x} of the one above")]
    NotAscending {
        /// Where it starts.
        start: VirtAddr,
        /// Where the one above ends.
        last_end: VirtAddr,
    },
}

const EXAMPLE: &str = "0xffff880000000000-0xffff880040000000           1G     RW         PSE     GLB NX pmd";

impl Dump {
    /// Reads a dump: this program's, with or without physical addresses, or a kernel's. Blanks at the ends
    /// of lines are not looked at.
    ///
    /// # Errors
    /// The first line that is none of a dump, or a dump without ranges.
    pub fn parse(text: &str) -> Result<Self, DumpError> {
        let mut lines = Vec::new();
        let mut last_end = None;
        let mut last_line = 1;
        for (line, number) in text.lines().zip(1..) {
            last_line = number;
            let line = line.trim_end();
            if line.is_empty() {
                continue;
            }
            let fail = |kind| DumpError { line: number, kind };
            let read = parse_line(line).map_err(fail)?;
            if let DumpLine::Range(range) = &read {
                if let Some(last_end) = last_end.filter(|last_end| range.start < *last_end) {
                    return Err(fail(DumpErrorKind::NotAscending { start: range.start, last_end }));
                }
                last_end = Some(if range.end.get() == 0 { VirtAddr::new(u64::MAX) } else { range.end });
            }
            lines.push(read);
        }
        match last_end {
            Some(_) => Ok(Self { lines }),
            None => Err(DumpError { line: last_line, kind: DumpErrorKind::NoRange }),
        }
    }

    /// The text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        let written = self.lines.iter().try_for_each(|line| write_line(&mut out, line));
        debug_assert!(written.is_ok(), "writing to a string never fails");
        out
    }
}

fn parse_line(line: &str) -> Result<DumpLine, DumpErrorKind> {
    let not_a_line = || DumpErrorKind::NotALine(Excerpt::new(line));
    if let Some(name) = line.strip_prefix("---[ ").and_then(|rest| rest.strip_suffix(" ]---")) {
        return Ok(DumpLine::Marker(name.to_owned()));
    }
    if let Some(n) = line.strip_prefix("... ").and_then(|rest| rest.strip_suffix(" entries skipped ...")) {
        return n.parse().map(DumpLine::Skipped).map_err(|_| not_a_line());
    }
    let (start, rest) = address(line).ok_or_else(not_a_line)?;
    let (end, rest) = rest.strip_prefix('-').and_then(address).ok_or_else(not_a_line)?;
    let (start, end) = (VirtAddr::new(start), VirtAddr::new(end));
    let rest = rest.trim_start();
    let (size, rest) = rest.split_once(' ').ok_or_else(not_a_line)?;
    let expected = size_text(end.get().wrapping_sub(start.get()));
    if (end.get() != 0 && end <= start) || size != expected {
        return Err(DumpErrorKind::Size { found: Excerpt::new(size), expected });
    }
    // Kernels before 4.11 print fewer blanks for what is not mapped.
    let (columns, rest) = match rest.trim_start() {
        word if !word.contains(' ') => (None, word),
        _ => {
            let (columns, behind) = rest.split_at_checked(COLUMNS_WIDTH).ok_or_else(not_a_line)?;
            let read = Columns::parse(columns).ok_or_else(|| DumpErrorKind::Columns(Excerpt::new(columns.trim())))?;
            (Some(read), behind)
        }
    };
    let (name, phys) = match rest.split_once("  ") {
        Some((name, phys)) => {
            let (phys, behind) = address(phys).ok_or_else(not_a_line)?;
            if !behind.is_empty() {
                return Err(not_a_line());
            }
            (name, Some(PhysAddr::new(phys)))
        }
        None => (rest, None),
    };
    let level = DumpLevel::ALL.into_iter().find(|level| level.name() == name);
    let level = level.ok_or_else(|| DumpErrorKind::Level(Excerpt::new(name)))?;
    Ok(DumpLine::Range(DumpRange { start, end, columns, level, phys }))
}

/// `0x` and 16 digits, and what follows them.
fn address(text: &str) -> Option<(u64, &str)> {
    let (digits, rest) = text.strip_prefix("0x")?.split_at_checked(16)?;
    let is_lower_hex = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    is_lower_hex.then(|| u64::from_str_radix(digits, 16).ok()).flatten().map(|number| (number, rest))
}

/// The size as the kernel prints it: in the largest unit that leaves it whole.
#[must_use]
pub fn size_text(mut bytes: u64) -> String {
    let mut unit = 0;
    while bytes.is_multiple_of(1024) && unit + 1 < UNITS.len() {
        bytes >>= 10;
        unit += 1;
    }
    format!("{bytes}{}", UNITS[unit])
}

fn write_line(out: &mut String, line: &DumpLine) -> fmt::Result {
    match line {
        DumpLine::Marker(name) => writeln!(out, "---[ {name} ]---"),
        DumpLine::Skipped(n) => writeln!(out, "... {n} entries skipped ... "),
        DumpLine::Range(range) => write_range(out, range),
    }
}

fn write_range(out: &mut String, range: &DumpRange) -> fmt::Result {
    let size = size_text(range.len_bytes());
    write!(out, "0x{:016x}-0x{:016x}   {size:>10} ", range.start, range.end)?;
    match range.columns {
        Some(columns) => {
            let shown = COLUMNS.iter().map(|(column, set, unset)| if columns.contains(*column) { set } else { unset });
            shown.for_each(|text| out.push_str(text));
        }
        None => write!(out, "{:COLUMNS_WIDTH$}", "")?,
    }
    out.push_str(range.level.name());
    if let Some(phys) = range.phys {
        write!(out, "  0x{phys:016x}")?;
    }
    out.push('\n');
    Ok(())
}
