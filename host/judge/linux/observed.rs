// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kernel did in one boot: an [`Observed`], and the text it is kept as.
//!
//! ```text
//! guest pc-1024                          the machine of QEMU's
//! engine linux 6.1.0-56-amd64 (..        who did it, in their own words
//! layout e820 0 9fc00 1                  the machine as a layout file, from the boot's log and the kernel's memory
//! memory 1000 9f000                      memblock's memory, in bytes
//! p2m 8000 8103                          under Xen the frames of the p2m list
//! before 0 4c00 4K RW X                  the direct map before the build
//! range 0 100000                         a call of init_memory_mapping
//! pool 4401 4405 4411                    the pool's first page, the next one, its end
//! table 4401 4402 L3                     pages that became tables of the direct map
//! reserved 0 100000                      memblock's reserved list after the build
//! counted 992 510 0                      leaves of 4 KiB, 2 MiB and 1 GiB as the kernel counts them, decimal
//! map 0 100 4K RW NX G                   the direct map after the build
//! astray 7 8                             the first page that is mapped to another frame than its own, if there is one
//! ```

use super::guest::Guest;
use super::tables::{DirectMap, Run, joined};
use pgtlab_core::addr::{Pfn, PfnRange, PhysRange};
use pgtlab_core::geometry::Level;
use pgtlab_core::layout::Layout;
use pgtlab_core::strategy::Pool;
use std::fmt::{self, Write as _};

/// What a kernel did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// On which machine of QEMU's.
    pub guest: Guest,
    /// Who did it: a name, and a version in its own words.
    pub engines: Vec<(String, String)>,
    /// The machine as a layout; there from when the log was read.
    pub layout: Option<Layout>,
    /// Memblock's memory.
    pub memory: Vec<PhysRange>,
    /// Under Xen, the frames of the p2m list; else none.
    pub p2m: PfnRange,
    /// The direct map before the build.
    pub before: DirectMap,
    /// The ranges that were mapped, in order.
    pub ranges: Vec<PhysRange>,
    /// The pool, from its first page on.
    pub pool: Pool,
    /// Memblock's reserved list after the build.
    pub reserved: Vec<PhysRange>,
    /// Leaves of 4 KiB, 2 MiB and 1 GiB, as the kernel counts them.
    pub counted: [u64; 3],
    /// The direct map after the build.
    pub after: DirectMap,
}

impl Observed {
    /// The pages that became tables of the direct map, ascending.
    #[must_use]
    pub fn new_tables(&self) -> Vec<(Pfn, Level)> {
        let is_new = |table: &&(Pfn, Level)| self.before.tables.binary_search(table).is_err();
        self.after.tables.iter().filter(is_new).copied().collect()
    }
}

/// Tables of one level that follow one another.
fn table_runs(tables: &[(Pfn, Level)]) -> Vec<(PfnRange, Level)> {
    joined(tables.iter().map(|&(page, level)| (PfnRange::new(page, page.saturating_add(1)), level)))
}

const HEAD: &str = "# What Linux did when it built its direct map, stopped before and after `init_mem_mapping`.
# Made by `pgtlab judge linux --record`; `pgtlab judge linux --recorded` holds a strategy to it.
";

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}guest {}", self.guest)?;
        for (name, version) in &self.engines {
            writeln!(f, "engine {name} {version}")?;
        }
        for line in self.layout.iter().flat_map(|layout| layout.render().lines().map(str::to_owned).collect::<Vec<_>>())
        {
            writeln!(f, "layout {line}")?;
        }
        for range in &self.memory {
            writeln!(f, "memory {:x} {:x}", range.start, range.end)?;
        }
        if !self.p2m.is_empty() {
            writeln!(f, "p2m {:x} {:x}", self.p2m.start, self.p2m.end)?;
        }
        write_map(f, "before", &self.before)?;
        for range in &self.ranges {
            writeln!(f, "range {:x} {:x}", range.start, range.end)?;
        }
        writeln!(f, "pool {:x} {:x} {:x}", self.pool.start, self.pool.next, self.pool.end)?;
        for (pages, level) in table_runs(&self.new_tables()) {
            writeln!(f, "table {:x} {:x} L{}", pages.start, pages.end, level.get())?;
        }
        for range in &self.reserved {
            writeln!(f, "reserved {:x} {:x}", range.start, range.end)?;
        }
        let [k4, m2, g1] = self.counted;
        writeln!(f, "counted {k4} {m2} {g1}")?;
        write_map(f, "map", &self.after)?;
        match self.after.astray {
            Some((page, frame)) => writeln!(f, "astray {page:x} {frame:x}"),
            None => Ok(()),
        }
    }
}

fn write_map(f: &mut fmt::Formatter<'_>, key: &str, map: &DirectMap) -> fmt::Result {
    map.runs.iter().try_for_each(|run| writeln!(f, "{key} {:x} {:x} {}", run.pages.start, run.pages.end, run.text))
}

/// A text that is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A line that is not understood.
    #[error("line {line}: {text:?}; expected {expected}")]
    Line {
        /// Its number.
        line: usize,
        /// What stands there.
        text: String,
        /// What should.
        expected: String,
    },
    /// Something is not there.
    #[error("no line {0:?}")]
    Missing(&'static str),
}

/// Reads a record.
///
/// # Errors
/// A line is not understood, or one that is needed is missing. The error names it.
pub fn parse(text: &str) -> Result<Observed, RecordError> {
    let mut observed = Observed::default();
    let (mut layout, mut guest, mut has_pool) = (String::new(), None, false);
    for (number, whole) in (1..).zip(text.lines()) {
        let expected =
            |expected: &str| RecordError::Line { line: number, text: whole.to_owned(), expected: expected.to_owned() };
        if whole.starts_with('#') || whole.trim().is_empty() {
            continue;
        }
        let (key, rest) = whole.split_once(' ').ok_or_else(|| expected("a key and what it says"))?;
        let numbers = || numbers(rest).ok_or_else(|| expected("two hexadecimal numbers, ascending"));
        match key {
            "guest" => guest = Some(rest.parse().map_err(|_| expected("a machine of QEMU's"))?),
            "engine" => {
                let (name, version) = rest.split_once(' ').ok_or_else(|| expected("a name and a version"))?;
                observed.engines.push((name.to_owned(), version.to_owned()));
            }
            "layout" => writeln!(layout, "{rest}").map_err(|_| expected("less"))?,
            "memory" => observed.memory.push(bytes(numbers()?)),
            "p2m" => observed.p2m = pages(numbers()?),
            "before" => observed.before.runs.push(run(rest).ok_or_else(|| expected("pages, size and permission"))?),
            "range" => observed.ranges.push(bytes(numbers()?)),
            "pool" => {
                observed.pool = pool(rest).ok_or_else(|| expected("three hexadecimal numbers, ascending"))?;
                has_pool = true;
            }
            "table" => {
                let (pages, level) = tables(rest).ok_or_else(|| expected("pages and a level, L1 to L3"))?;
                observed.after.tables.extend((pages.start.get()..pages.end.get()).map(|page| (Pfn::new(page), level)));
            }
            "reserved" => observed.reserved.push(bytes(numbers()?)),
            "counted" => {
                let counts: Option<Vec<u64>> = rest.split(' ').map(|word| word.parse().ok()).collect();
                let counts = counts.and_then(|counts| counts.try_into().ok());
                observed.counted = counts.ok_or_else(|| expected("three decimal numbers"))?;
            }
            "map" => observed.after.runs.push(run(rest).ok_or_else(|| expected("pages, size and permission"))?),
            "astray" => {
                let two = two(rest).ok_or_else(|| expected("two hexadecimal numbers"))?;
                observed.after.astray = Some((Pfn::new(two.0), two.1));
            }
            _ => return Err(expected("a key of a record")),
        }
    }
    observed.after.tables.sort_unstable();
    observed.guest = guest.ok_or(RecordError::Missing("guest"))?;
    let parsed = Layout::parse(&layout, &observed.guest.to_string());
    observed.layout = Some(parsed.map_err(|_| RecordError::Missing("layout"))?);
    match (observed.ranges.is_empty(), has_pool, observed.after.runs.is_empty()) {
        (true, ..) => Err(RecordError::Missing("range")),
        (_, false, _) => Err(RecordError::Missing("pool")),
        (.., true) => Err(RecordError::Missing("map")),
        _ => Ok(observed),
    }
}

fn hex(word: &str) -> Option<u64> {
    u64::from_str_radix(word, 16).ok()
}

fn two(text: &str) -> Option<(u64, u64)> {
    let (first, second) = text.split_once(' ')?;
    Some((hex(first)?, hex(second)?))
}

fn numbers(text: &str) -> Option<(u64, u64)> {
    two(text).filter(|(start, end)| start < end)
}

const fn bytes((start, end): (u64, u64)) -> PhysRange {
    PhysRange::from_numbers(start, end)
}

const fn pages((start, end): (u64, u64)) -> PfnRange {
    PfnRange::from_numbers(start, end)
}

fn pool(text: &str) -> Option<Pool> {
    let numbers: Option<Vec<u64>> = text.split(' ').map(hex).collect();
    let [start, next, end] = numbers?.try_into().ok()?;
    let pool = Pool { start: Pfn::new(start), next: Pfn::new(next), end: Pfn::new(end) };
    (start <= next && next <= end).then_some(pool)
}

fn tables(text: &str) -> Option<(PfnRange, Level)> {
    let (range, level) = text.rsplit_once(" L")?;
    let level = level.parse().ok().filter(|level| (1..=3).contains(level))?;
    Some((pages(numbers(range)?), Level::new(level)))
}

fn run(text: &str) -> Option<Run> {
    let (start, rest) = text.split_once(' ')?;
    let (end, text) = rest.split_once(' ')?;
    let pages = PfnRange::from_numbers(hex(start)?, hex(end)?);
    (!pages.is_empty()).then(|| Run { pages, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "guest pc-1024-xen512
engine linux 6.1.0-56-amd64 (gcc)
layout name pc-1024-xen512
layout e820 0 9f000 1
layout e820 100000 20000000 1
layout kernel 1000000 4401000
memory 1000 9f000
p2m 8000 8103
before 0 4c00 4K RW X
range 0 100000
pool 4401 4411 4411
table 4401 4403 L1
table 4403 4404 L2
reserved 0 100000
counted 992 510 0
map 0 100 4K RW NX
map 100 4401 4K RO X
astray 7 8
";

    #[test]
    fn a_record_is_read_as_it_is_written() {
        let observed = parse(RECORD).expect("a record");
        assert_eq!(observed.counted, [992, 510, 0]);
        assert_eq!(observed.new_tables().len(), 3);
        assert_eq!(parse(&observed.to_string()).as_ref(), Ok(&observed));
    }

    #[test]
    fn what_is_no_record_is_told_by_its_line() {
        for (line, with, expected) in [
            ("guest", "guest toaster", "line 1: \"guest toaster\"; expected a machine of QEMU's"),
            (
                "memory",
                "memory 9f000 1000",
                "line 7: \"memory 9f000 1000\"; expected two hexadecimal numbers, ascending",
            ),
            ("pool", "pool 4401 4411", "line 11: \"pool 4401 4411\"; expected three hexadecimal numbers, ascending"),
            ("pool", "", "no line \"pool\""),
            ("range", "", "no line \"range\""),
            ("layout kernel", "", "no line \"layout\""),
            (
                "table 4403",
                "table 4403 4404 L9",
                "line 13: \"table 4403 4404 L9\"; expected pages and a level, L1 to L3",
            ),
            ("counted", "counted 1 2", "line 15: \"counted 1 2\"; expected three decimal numbers"),
            ("map 100", "map 100 4K", "line 17: \"map 100 4K\"; expected pages, size and permission"),
            ("astray", "huh 7", "line 18: \"huh 7\"; expected a key of a record"),
        ] {
            let changed = |old: &str| if old.starts_with(line) { with.to_owned() } else { old.to_owned() };
            let text: Vec<String> = RECORD.lines().map(changed).collect();
            let error = parse(&text.join("\n")).expect_err("no record");
            assert_eq!(error.to_string(), expected);
        }
    }
}
