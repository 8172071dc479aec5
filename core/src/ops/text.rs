// SPDX-License-Identifier: MIT OR Apache-2.0
//! An operation trace as text, and back; the format is told at [`super`].

use super::{
    Accessor, Act, BootState, BootTable, Break, FixmapAccess, FrameRun, Op, Ops, OpsEnd, Outcome, VERSION, Via,
};
use crate::addr::{Mfn, Pfn, PfnRange, PhysRange, VirtAddr};
use crate::build::Death;
use crate::e820::{E820Entry, E820Type};
use crate::entry::Entry;
use crate::event::Consumer;
use crate::geometry::{Geometry, Level};
use crate::layout::Backend;
use crate::table::EntryRun;
use std::fmt;
use std::str::Split;

/// A text that is no operation trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: found `{found}`; expected {expected}")]
pub struct OpsError {
    /// The line, from 1; the one behind the last if the text ends too early.
    pub line: usize,
    /// What stands there.
    pub found: String,
    /// What should.
    pub expected: String,
}

const ARROW: &str = " -> ";
const FIXMAP: &str = "fixmap";

const ACCESSORS: [(Accessor, &str); 5] = [
    (Accessor::SetPte, "set_pte"),
    (Accessor::Consumer(Consumer::Memtest), "memtest"),
    (Accessor::Consumer(Consumer::NodeData), "node_data"),
    (Accessor::Consumer(Consumer::RangeArray), "range_array"),
    (Accessor::Probe, "probe"),
];
const VIAS: [(Via, &str); 3] = [(Via::Fixmap, FIXMAP), (Via::Direct, "direct"), (Via::Demand, "demand")];
const FIXMAP_ACCESSES: [(FixmapAccess, &str); 3] =
    [(FixmapAccess::Writable, "rw"), (FixmapAccess::ReadOnly, "ro"), (FixmapAccess::Io, "io")];
const BREAKS: [(Break, &str); 4] = [
    (Break::Died(Death::Panic), "panic"),
    (Break::Died(Death::Bug), "bug"),
    (Break::Died(Death::Crash), "crash"),
    (Break::Failed, "failed"),
];
const BACKENDS: [(Backend, &str); 2] = [(Backend::Native, "native"), (Backend::Xen, "xen")];

fn word_of<T: PartialEq + Copy>(known: &[(T, &'static str)], value: T) -> &'static str {
    known.iter().find(|(one, _)| *one == value).map_or("", |(_, word)| word)
}

impl fmt::Display for Ops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pgtlab-ops {VERSION}")?;
        writeln!(f, "strategy {}", self.strategy)?;
        writeln!(f, "layout {}", self.layout)?;
        writeln!(f, "backend {}", word_of(&BACKENDS, self.backend))?;
        writeln!(f, "geometry {}", self.geometry.name())?;
        writeln!(f, "direct_map {:x}", self.direct_map)?;
        for E820Entry { range, kind } in &self.e820 {
            writeln!(f, "e820 {:x} {:x} {}", range.start, range.end, kind.number())?;
        }
        for FrameRun { pages, mfn, is_identity } in &self.boot.frames {
            let kind = if *is_identity { "identity" } else { "guest" };
            writeln!(f, "frames {:x} {:x} {mfn:x} {kind}", pages.start, pages.end)?;
        }
        writeln!(f, "root {:x}", self.boot.root)?;
        for BootTable { frame, level, is_pinned, entries } in &self.boot.tables {
            let pinned = if *is_pinned { " pinned" } else { "" };
            writeln!(f, "table {frame:x} {}{pinned}", level.get())?;
            for run in entries {
                writeln!(f, "entries {}", Run(*run))?;
            }
        }
        writeln!(f, "begin")?;
        for op in &self.ops {
            writeln!(f, "{op}")?;
        }
        match &self.end {
            OpsEnd::Completed => writeln!(f, "end completed"),
            OpsEnd::Broken { how, stage, text } => writeln!(f, "end {} {stage}: {text}", word_of(&BREAKS, *how)),
        }
    }
}

struct Run(EntryRun);

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EntryRun { slot, n, first, step } = self.0;
        write!(f, "{slot} {n} {:x} {step:x}", first.bits())
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.act)?;
        match &self.outcome {
            Outcome::Done => Ok(()),
            Outcome::Refused { errno, function, text } => write!(f, "{ARROW}refused {errno} {function}: {text}"),
            Outcome::Fault { error, address: Some(address) } => write!(f, "{ARROW}fault {error} {address:x}"),
            Outcome::Fault { error, address: None } => write!(f, "{ARROW}fault {error} {FIXMAP}"),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixmap { frame, access } => write!(f, "fixmap {frame:x} {}", word_of(&FIXMAP_ACCESSES, *access)),
            Self::Unfixmap(frame) => write!(f, "unfixmap {frame:x}"),
            Self::New { table, level, via } => write!(f, "new {table:x} {} {}", level.get(), word_of(&VIAS, *via)),
            Self::Write { table, level, run } => write!(f, "write {table:x} {} {}", level.get(), Run(*run)),
            Self::Protect { pages, is_writable } => {
                write!(f, "protect {:x} {} {}", pages.start, pages.len(), if *is_writable { "rw" } else { "ro" })
            }
            Self::Pin { table, level } => write!(f, "pin {table:x} {}", level.get()),
            Self::Unpin(table) => write!(f, "unpin {table:x}"),
            Self::Link { parent, level, slot, entry } => {
                write!(f, "link {parent:x} {} {slot} {:x}", level.get(), entry.bits())
            }
            Self::Access { by, start, end, is_store } => {
                let key = if *is_store { "store" } else { "load" };
                write!(f, "{key} {} {start:x} {end:x}", word_of(&ACCESSORS, *by))
            }
            Self::Built => f.write_str("built"),
        }
    }
}

impl Ops {
    /// Reads what printing an operation trace gives.
    ///
    /// # Errors
    /// The text is none, or not in the one form that printing it gives; the line is named.
    pub fn parse(text: &str) -> Result<Self, OpsError> {
        let mut reader = Reader { lines: text.split('\n'), line: "", number: 0 };
        reader.advance();
        let header = format!("pgtlab-ops {VERSION}");
        if reader.line != header {
            return Err(reader.wrong(&format!("`{header}`")));
        }
        let strategy = reader.text_of("strategy")?;
        let layout = reader.text_of("layout")?;
        let backend = reader.text_of("backend")?;
        let backend = reader.one_of(&BACKENDS, &backend)?;
        let name = reader.text_of("geometry")?;
        let geometry = Geometry::named(&name).ok_or_else(|| reader.wrong("`x86-64` or `tiny`"))?;
        let direct_map = reader.text_of("direct_map")?;
        let direct_map = VirtAddr::new(reader.hex(&direct_map)?);
        reader.advance();
        let mut e820 = Vec::new();
        while let Some(mut words) = reader.words("e820", "START END TYPE") {
            let range = PhysRange::from_numbers(words.hex()?, words.hex()?);
            let kind = words.decimal()?;
            let kind = E820Type::from_number(kind).ok_or_else(|| reader.wrong("a TYPE of the firmware"))?;
            e820.push(E820Entry { range, kind });
            reader.same(&format!("e820 {:x} {:x} {}", range.start, range.end, kind.number()))?;
        }
        let boot = reader.boot_state()?;
        let mut ops = Vec::new();
        let end = loop {
            if let Some(end) = reader.end()? {
                break end;
            }
            ops.push(reader.op()?);
        };
        let ops = Self { strategy, layout, backend, geometry, direct_map, e820, boot, ops, end };
        reader.advance();
        match reader.line {
            "" if text.ends_with('\n') && reader.is_over() => Ok(ops),
            _ => Err(reader.wrong("the end of the text, after a line feed")),
        }
    }
}

/// Reads line by line.
struct Reader<'t> {
    lines: Split<'t, char>,
    line: &'t str,
    number: usize,
}

impl<'t> Reader<'t> {
    fn advance(&mut self) {
        self.number += 1;
        self.line = self.lines.next().unwrap_or_default();
    }

    fn is_over(&self) -> bool {
        self.lines.clone().next().is_none()
    }

    fn wrong(&self, expected: &str) -> OpsError {
        wrong(self.number, self.line, expected)
    }

    /// Goes on to the next line, which must be this one, printed anew.
    fn same(&mut self, printed: &str) -> Result<(), OpsError> {
        if self.line != printed {
            return Err(self.wrong(&format!("`{printed}`")));
        }
        self.advance();
        Ok(())
    }

    /// The rest of the next line, which must begin with this key.
    fn text_of(&mut self, key: &str) -> Result<String, OpsError> {
        self.advance();
        let rest = self.line.strip_prefix(key).and_then(|rest| rest.strip_prefix(' '));
        rest.map(str::to_owned).ok_or_else(|| self.wrong(&format!("`{key} ..`")))
    }

    /// The words behind a key, if the line has this key.
    fn words(&self, key: &'static str, expected: &'static str) -> Option<Words<'t>> {
        let (first, rest) = self.line.split_once(' ').unwrap_or((self.line, ""));
        if first != key {
            return None;
        }
        let words = rest.split(ARROW).next().unwrap_or_default().split(' ');
        Some(Words { words, line: self.number, text: self.line, key, expected })
    }

    fn one_of<T: Copy>(&self, known: &[(T, &'static str)], word: &str) -> Result<T, OpsError> {
        known.iter().find(|(_, name)| *name == word).map(|(value, _)| *value).ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|(_, name)| *name).collect();
            self.wrong(&format!("one of {}", names.join(", ")))
        })
    }

    fn hex(&self, word: &str) -> Result<u64, OpsError> {
        u64::from_str_radix(word, 16).map_err(|_| self.wrong("a hexadecimal number"))
    }

    fn boot_state(&mut self) -> Result<BootState, OpsError> {
        let mut boot = BootState::default();
        while let Some(mut words) = self.words("frames", "START END MFN KIND") {
            let pages = PfnRange::from_numbers(words.hex()?, words.hex()?);
            let mfn = Mfn::new(words.hex()?);
            let kind = words.next()?;
            let is_identity = self.one_of(&[(false, "guest"), (true, "identity")], kind)?;
            boot.frames.push(FrameRun { pages, mfn, is_identity });
            self.same(&format!("frames {:x} {:x} {mfn:x} {kind}", pages.start, pages.end))?;
        }
        let Some(mut words) = self.words("root", "FRAME") else { return Err(self.wrong("`root FRAME`")) };
        boot.root = Pfn::new(words.hex()?);
        self.same(&format!("root {:x}", boot.root))?;
        while let Some(mut words) = self.words("table", "FRAME LEVEL, or the same and `pinned`") {
            let (frame, level) = (Pfn::new(words.hex()?), words.level()?);
            let is_pinned = words.words.next().is_some();
            let pinned = if is_pinned { " pinned" } else { "" };
            self.same(&format!("table {frame:x} {}{pinned}", level.get()))?;
            let mut entries = Vec::new();
            while let Some(mut words) = self.words("entries", "SLOT N FIRST STEP") {
                let run = words.run()?;
                self.same(&format!("entries {}", Run(run)))?;
                entries.push(run);
            }
            boot.tables.push(BootTable { frame, level, is_pinned, entries });
        }
        self.same("begin")?;
        Ok(boot)
    }

    fn op(&mut self) -> Result<Op, OpsError> {
        let op = Op { act: self.act()?, outcome: self.outcome()? };
        self.same(&op.to_string())?;
        Ok(op)
    }

    fn act(&self) -> Result<Act, OpsError> {
        if let Some(mut words) = self.words("fixmap", "FRAME rw|ro|io") {
            let frame = Pfn::new(words.hex()?);
            return Ok(Act::Fixmap { frame, access: self.one_of(&FIXMAP_ACCESSES, words.next()?)? });
        }
        if let Some(mut words) = self.words("unfixmap", "FRAME") {
            return Ok(Act::Unfixmap(Pfn::new(words.hex()?)));
        }
        if let Some(mut words) = self.words("new", "FRAME LEVEL VIA") {
            let (table, level) = (Pfn::new(words.hex()?), words.level()?);
            return Ok(Act::New { table, level, via: self.one_of(&VIAS, words.next()?)? });
        }
        if let Some(mut words) = self.words("write", "FRAME LEVEL SLOT N FIRST STEP") {
            return Ok(Act::Write { table: Pfn::new(words.hex()?), level: words.level()?, run: words.run()? });
        }
        if let Some(mut words) = self.words("protect", "FRAME N ro|rw") {
            let (start, n) = (Pfn::new(words.hex()?), words.decimal()?);
            let end = start.checked_add(n).ok_or_else(|| self.wrong("N pages that there can be"))?;
            let is_writable = self.one_of(&[(false, "ro"), (true, "rw")], words.next()?)?;
            return Ok(Act::Protect { pages: PfnRange::new(start, end), is_writable });
        }
        if let Some(mut words) = self.words("pin", "FRAME LEVEL") {
            return Ok(Act::Pin { table: Pfn::new(words.hex()?), level: words.level()? });
        }
        if let Some(mut words) = self.words("unpin", "FRAME") {
            return Ok(Act::Unpin(Pfn::new(words.hex()?)));
        }
        if let Some(mut words) = self.words("link", "FRAME LEVEL SLOT ENTRY") {
            let (parent, level) = (Pfn::new(words.hex()?), words.level()?);
            return Ok(Act::Link { parent, level, slot: words.decimal()?, entry: Entry::from_bits(words.hex()?) });
        }
        for (key, is_store) in [("store", true), ("load", false)] {
            if let Some(mut words) = self.words(key, "WHO START END") {
                let by = self.one_of(&ACCESSORS, words.next()?)?;
                let (start, end) = (VirtAddr::new(words.hex()?), VirtAddr::new(words.hex()?));
                return Ok(Act::Access { by, start, end, is_store });
            }
        }
        if self.words("built", "").is_some() {
            return Ok(Act::Built);
        }
        Err(self.wrong(
            "an operation (fixmap, unfixmap, new, write, protect, pin, unpin, link, store, load, built) or `end ..`",
        ))
    }

    fn outcome(&self) -> Result<Outcome, OpsError> {
        let Some((_, outcome)) = self.line.split_once(ARROW) else { return Ok(Outcome::Done) };
        let wrong = || self.wrong("an outcome: `refused ERRNO FUNCTION: TEXT` or `fault ERROR ADDR`");
        let (word, rest) = outcome.split_once(' ').ok_or_else(wrong)?;
        let (number, rest) = rest.split_once(' ').ok_or_else(wrong)?;
        let number: u32 = number.parse().map_err(|_| wrong())?;
        match word {
            "refused" => {
                let (function, text) = rest.split_once(": ").ok_or_else(wrong)?;
                Ok(Outcome::Refused { errno: number, function: function.to_owned(), text: text.to_owned() })
            }
            "fault" if rest == FIXMAP => Ok(Outcome::Fault { error: number, address: None }),
            "fault" => Ok(Outcome::Fault { error: number, address: Some(VirtAddr::new(self.hex(rest)?)) }),
            _ => Err(wrong()),
        }
    }

    /// The last line, if this is it.
    fn end(&self) -> Result<Option<OpsEnd>, OpsError> {
        let Some(rest) = self.line.strip_prefix("end ") else { return Ok(None) };
        if rest == "completed" {
            return Ok(Some(OpsEnd::Completed));
        }
        let wrong = || self.wrong("`end completed` or `end HOW STAGE: TEXT`");
        let (how, rest) = rest.split_once(' ').ok_or_else(wrong)?;
        let (stage, text) = rest.split_once(": ").ok_or_else(wrong)?;
        let how = self.one_of(&BREAKS, how)?;
        Ok(Some(OpsEnd::Broken { how, stage: stage.to_owned(), text: text.to_owned() }))
    }
}

/// The words behind a key.
struct Words<'t> {
    words: Split<'t, char>,
    line: usize,
    text: &'t str,
    key: &'static str,
    expected: &'static str,
}

impl<'t> Words<'t> {
    fn wrong(&self) -> OpsError {
        wrong(self.line, self.text, &format!("`{} {}`", self.key, self.expected))
    }

    fn next(&mut self) -> Result<&'t str, OpsError> {
        self.words.next().ok_or_else(|| self.wrong())
    }

    fn hex(&mut self) -> Result<u64, OpsError> {
        u64::from_str_radix(self.next()?, 16).map_err(|_| self.wrong())
    }

    fn decimal(&mut self) -> Result<u64, OpsError> {
        self.next()?.parse().map_err(|_| self.wrong())
    }

    fn level(&mut self) -> Result<Level, OpsError> {
        let number = self.decimal()?;
        u8::try_from(number).ok().filter(|number| 0 < *number).map(Level::new).ok_or_else(|| self.wrong())
    }

    fn run(&mut self) -> Result<EntryRun, OpsError> {
        let (slot, n) = (self.decimal()?, self.decimal()?);
        Ok(EntryRun { slot, n, first: Entry::from_bits(self.hex()?), step: self.hex()? })
    }
}

fn wrong(line: usize, text: &str, expected: &str) -> OpsError {
    const MOST: usize = 80;
    OpsError { line, found: text.chars().take(MOST).collect(), expected: expected.to_owned() }
}
