// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boot logs: what a kernel (and Xen) printed about a machine's memory, and the layouts made of it.
//!
//! [`BootLog::parse`] reads anything and never fails; what it could not make out is in
//! [`BootLog::notes`]. [`BootLog::native`] and [`BootLog::xen`] then make the [`crate::layout::Layout`] of
//! a cell, and [`derive_xen`] does the latter for a layout file. `lines` undoes what mail did to the text, `scan`
//! finds the few lines that matter,
//! `fact` knows every other line about memory, `aside` those that no layout has a place for,
//! `import` makes a layout of all of it and `print` the way back, `map_line` knows the forms of a map's line, `kind` tells a dom0 from a laptop, `machine` holds the
//! rules for kernel, ramdisk and Xen's boot objects.

mod aside;
mod fact;
mod import;
mod iomem;
mod kind;
mod lines;
mod machine;
mod map_line;
mod note;
mod print;
mod scan;

pub use aside::Aside;
pub use fact::{Fact, XenBlock};
pub use import::{Assumed, Imported, Stage};
pub use iomem::{IomemError, looks_like_iomem};
pub use kind::LogKind;
pub(crate) use lines::for_each_line;
pub(crate) use machine::firmware_map;
pub use machine::{BootLogError, derive_xen};
pub(crate) use map_line::hex;
pub use note::{Note, NoteKind};
pub use print::{Style, print};

use crate::addr::PhysRange;
use crate::e820::E820Type;
use crate::layout::Excerpt;
use kind::Evidence;
use map_line::{MapLine, TypeText};
use scan::{Line, Scanner};

/// At which stage of booting a map was printed, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MapStage {
    /// By Xen, of the whole machine, before the kernel starts.
    Hypervisor,
    /// By the kernel, as the firmware or boot loader gave it (`BIOS-e820:`).
    Bios,
    /// By a PV guest's kernel, as Xen gave it (`Xen:`).
    Xen,
    /// After `mem=` and `memmap=` on the command line (`user:`).
    User,
    /// With the boot loader's data split off (`reserve setup_data:`).
    SetupData,
    /// After the kernel changed it (`modified:`).
    Modified,
}

/// One line of a printed map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The bytes, half open, as printed: the end may be at or before the start.
    pub range: PhysRange,
    /// What they are. Types without a number of their own here are reserved.
    pub kind: E820Type,
    /// The line of the log, from 1.
    pub line: usize,
}

/// A memory map as printed: starts ascending, but ranges possibly overlapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogMap {
    /// Whose map it is.
    pub stage: MapStage,
    /// Its lines, at least one.
    pub entries: Vec<LogEntry>,
}

/// A line that says something about memory besides the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The line of the log, from 1.
    pub line: usize,
    /// What it says.
    pub fact: Fact,
}

/// What a boot log says about a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootLog {
    kind: LogKind,
    maps: Vec<LogMap>,
    facts: Vec<Taken>,
    asides: Vec<(usize, Aside)>,
    ramdisk: Option<PhysRange>,
    ramdisk_line: Option<usize>,
    has_gb_pages: bool,
    is_32_bit: bool,
    notes: Vec<Note>,
}

impl BootLog {
    /// Reads a log. Takes time linear in its length, whatever it holds.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self::from_bytes(text.as_bytes())
    }

    /// Reads a log, of which parts may be no text.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let text = lines::decoded(bytes);
        let mut reader = Reader::default();
        reader.evidence.read_text(&text);
        let mut scanner = Scanner::new(&text);
        while let Some(line) = scanner.next_line() {
            match line {
                Ok(line) => reader.read(&line, &mut scanner),
                Err(number) => {
                    reader.note(number, NoteKind::TooManyLines);
                    break;
                }
            }
        }
        reader.finish()
    }

    /// Where its kernel ran: as its `# kind:` comment says, else as its lines show.
    #[must_use]
    pub const fn kind(&self) -> LogKind {
        self.kind
    }

    /// The maps printed, in their order.
    #[must_use]
    pub fn maps(&self) -> &[LogMap] {
        &self.maps
    }

    /// The map the layouts are made of: the first that a kernel was given.
    #[must_use]
    pub fn first_map(&self) -> Option<&LogMap> {
        self.maps.iter().find(|map| matches!(map.stage, MapStage::Bios | MapStage::Xen))
    }

    /// The log with this map instead of all that were printed.
    #[must_use]
    pub(crate) fn with_map(&self, map: LogMap) -> Self {
        Self { maps: vec![map], ..self.clone() }
    }

    /// What the log says besides, in the order of its lines, up to the start of a second boot.
    #[must_use]
    pub fn facts(&self) -> &[Taken] {
        &self.facts
    }

    /// Lines about memory that no layout has a place for, by their numbers, and where they belong.
    #[must_use]
    pub fn asides(&self) -> &[(usize, Aside)] {
        &self.asides
    }

    /// Where the boot loader put the initial ramdisk, in bytes.
    #[must_use]
    pub const fn ramdisk(&self) -> Option<PhysRange> {
        self.ramdisk
    }

    /// Whether the kernel printed that it maps a piece with 1 GiB pages.
    #[must_use]
    pub const fn has_gb_pages(&self) -> bool {
        self.has_gb_pages
    }

    /// Whether the kernel was a 32-bit one. Its machine is run as 64-bit.
    #[must_use]
    pub const fn is_32_bit(&self) -> bool {
        self.is_32_bit
    }

    /// What a person should know about how the log was read, in the order of the lines.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }
}

/// More maps than a machine prints, even over some boots; a text with more is junk.
const MAX_MAPS: usize = 256;

/// More notes than anyone reads.
const MAX_NOTES: usize = 1000;

/// More ranges than a map has: kernels hold some thousand at the most.
const MAX_ENTRIES: usize = 10_000;

/// More facts than a boot prints; a text with more is junk.
const MAX_FACTS: usize = 20_000;

/// What the lines said so far.
#[derive(Default)]
struct Reader {
    evidence: Evidence,
    maps: Vec<LogMap>,
    /// By stage: the map the next entry belongs to.
    open: [Option<usize>; 6],
    facts: Vec<Taken>,
    asides: Vec<(usize, Aside)>,
    has_booted_again: bool,
    has_version: bool,
    ramdisk: Option<PhysRange>,
    ramdisk_line: Option<usize>,
    has_gb_pages: bool,
    notes: Vec<Note>,
    n_notes: usize,
    has_lost_maps: bool,
    has_lost_ranges: bool,
    has_lost_facts: bool,
}

impl Reader {
    fn read(&mut self, line: &Line<'_>, scanner: &mut Scanner<'_>) {
        let text = &*line.text;
        if let Some(len) = line.whole_len {
            self.note(line.number, NoteKind::LongLine(len));
        }
        // An early reservation begins like a comment where its blanks were lost.
        let is_reservation = |rest: &&str| rest.starts_with(|c: char| c.is_ascii_digit());
        if let Some(comment) = text.strip_prefix('#').filter(|rest| !is_reservation(rest)) {
            self.evidence.read_comment(comment.trim_start(), line.number);
            return;
        }
        self.evidence.read_line(text, line.number);
        match map_line::read(text) {
            Some(MapLine::Entry { stage, range, kind }) => {
                let kind = match kind {
                    TypeText::Cut(begun) => self.whole_type(begun, line.number, scanner),
                    TypeText::Known(kind) => Some(kind),
                    TypeText::Unknown(text) => {
                        self.note(line.number, NoteKind::UnknownType(Excerpt::new(text)));
                        None
                    }
                };
                self.add_entry(stage, range, kind.unwrap_or(E820Type::Reserved), line.number);
            }
            Some(MapLine::Gap) => {}
            Some(MapLine::NotUnderstood) => self.note(line.number, NoteKind::NotUnderstood(Excerpt::new(text.trim()))),
            None => {
                self.read_other(text, line.number);
                self.read_fact(text, line.number);
            }
        }
    }

    fn read_fact(&mut self, text: &str, number: usize) {
        if text.contains("Linux version ") {
            self.has_booted_again |= self.has_version;
            self.has_version = true;
        }
        if self.has_lost_facts {
            return;
        }
        if self.has_booted_again {
            if fact::read(text).is_some() || aside::read(text).is_some() {
                self.add_aside(number, Aside::LaterBoot);
            }
            return;
        }
        match fact::read(text) {
            None => {
                if let Some(aside) = aside::read(text) {
                    self.add_aside(number, aside);
                }
            }
            Some(None) => self.note(number, NoteKind::FactNotUnderstood(Excerpt::new(text.trim()))),
            Some(Some(fact)) => self.add_fact(number, fact),
        }
    }

    fn add_fact(&mut self, line: usize, fact: Fact) {
        // Logs that come from a console and from the kernel's buffer have each line twice.
        let is_repeated = self.facts.last().is_some_and(|last| last.fact == fact);
        if self.facts.len() == MAX_FACTS {
            self.has_lost_facts = true;
            self.note(line, NoteKind::TooManyFacts);
        } else if is_repeated {
            self.add_aside(line, Aside::of(&fact));
        } else {
            self.facts.push(Taken { line, fact });
        }
    }

    /// As many as facts: more tell nothing new.
    fn add_aside(&mut self, line: usize, aside: Aside) {
        if self.asides.len() < MAX_FACTS {
            self.asides.push((line, aside));
        }
    }

    fn read_other(&mut self, text: &str, number: usize) {
        if text.contains("physical RAM map:") {
            self.open = Default::default();
        } else if text.trim_end().ends_with("page 1G") {
            self.has_gb_pages = true;
        } else if let Some((before, range)) = text.split_once("RAMDISK:") {
            // `Allocated new RAMDISK:` is where the kernel moved it to, later.
            if self.ramdisk.is_some() || before.trim_end().ends_with("new") {
                self.add_aside(number, Aside::Placed);
                return;
            }
            match map_line::read_range(range).filter(|found| !found.range.is_empty()) {
                Some(found) => {
                    self.ramdisk = Some(found.range);
                    self.ramdisk_line = Some(number);
                }
                None => self.note(number, NoteKind::NotUnderstood(Excerpt::new(text.trim()))),
            }
        }
    }

    fn add_entry(&mut self, stage: MapStage, range: PhysRange, kind: E820Type, line: usize) {
        let entry = LogEntry { range, kind, line };
        let Some(map) = self.map_for(stage, entry) else { return };
        self.open[stage as usize] = Some(map);
        if self.maps[map].entries.len() < MAX_ENTRIES {
            self.maps[map].entries.push(entry);
        } else if !self.has_lost_ranges {
            self.has_lost_ranges = true;
            self.note(line, NoteKind::TooManyRanges);
        }
    }

    /// The map an entry belongs to: the one its stage has open, as long as starts ascend. `None` if the
    /// entry adds nothing.
    fn map_for(&mut self, stage: MapStage, entry: LogEntry) -> Option<usize> {
        let open = self.open[stage as usize].map(|map| (map, &self.maps[map].entries));
        if let Some((map, entries)) = open
            && let [first, ..] = entries[..]
            && let [.., last] = entries[..]
        {
            // Logs that come from a console and from the kernel's buffer have each line twice.
            if (last.range, last.kind) == (entry.range, entry.kind) {
                self.note(entry.line, NoteKind::Repeated { line: last.line });
                return None;
            }
            // Starting over where the map began is another boot; anywhere lower, lines are missing or mixed up.
            let starts_over = 1 < entries.len() && entry.range.start == first.range.start;
            if last.range.start <= entry.range.start && !starts_over {
                return Some(map);
            }
            if !starts_over {
                self.note(entry.line, NoteKind::MapEndsHere);
            }
        }
        if self.maps.len() == MAX_MAPS {
            if !self.has_lost_maps {
                self.note(entry.line, NoteKind::TooManyMaps);
            }
            self.has_lost_maps = true;
            return None;
        }
        self.maps.push(LogMap { stage, entries: Vec::new() });
        Some(self.maps.len() - 1)
    }

    /// The type of an entry that mail has wrapped, with what the next line holds of it.
    fn whole_type(&mut self, begun: &str, line: usize, scanner: &mut Scanner<'_>) -> Option<E820Type> {
        let next = scanner.peek().unwrap_or_default();
        let whole = format!("{begun} {}", &next[..next.floor_char_boundary(80)]);
        if let TypeText::Known(kind) = map_line::read_type(&whole) {
            scanner.skip();
            return Some(kind);
        }
        self.note(line, NoteKind::NoType);
        None
    }

    fn note(&mut self, line: usize, kind: NoteKind) {
        self.n_notes += 1;
        if self.notes.len() < MAX_NOTES {
            self.notes.push(Note { line: Some(line), kind });
        }
    }

    fn finish(mut self) -> BootLog {
        let n_unlisted = self.n_notes - self.notes.len();
        if 0 < n_unlisted {
            self.notes.push(Note { line: None, kind: NoteKind::More(n_unlisted) });
        }
        if let Some(line) = self.evidence.line_of_32_bit {
            self.notes.push(Note { line: Some(line), kind: NoteKind::ThirtyTwoBit });
        }
        let (kind, is_stated) = self.evidence.kind(&self.maps);
        if !is_stated {
            self.notes.push(Note { line: None, kind: NoteKind::KindDeduced(kind) });
        }
        self.notes.sort_by_key(|note| note.line.unwrap_or(usize::MAX));
        BootLog {
            kind,
            maps: self.maps,
            facts: self.facts,
            asides: self.asides,
            ramdisk: self.ramdisk,
            ramdisk_line: self.ramdisk_line,
            has_gb_pages: self.has_gb_pages,
            is_32_bit: self.evidence.line_of_32_bit.is_some(),
            notes: self.notes,
        }
    }
}
