// SPDX-License-Identifier: MIT OR Apache-2.0
//! 32-bit kernels of 2.6.27 to 2.6.36: how large their table buffer is, where it is put and how much of it is
//! used. Their tables are not modelled beyond that.
//!
//! The count is that of 64-bit kernels over tables of two or three levels, plus the head that is never mapped
//! by a large page, plus the tables of the fixmap; the search starts at 0x7000.

use super::compare::rows;
use super::evidence::Evidence;
use super::line::{Kind, Line};
use super::machine::Assumption;
use super::release::Release;
use super::strategy::Fits;
use super::{Replay, ReplayError};
use crate::addr::{PhysAddr, PhysRange};
use crate::bootlog::{BootLog, Fact, LogMap, MapStage, Stage};
use crate::memblock::Memblock;

const PAGE: u64 = 4096;
/// Where the search for table space starts.
const START: u64 = 0x7000;
/// Low memory ends here by default: what the kernel's GiB of addresses holds beside its other maps.
const LOW_END: PhysAddr = PhysAddr::new(0x377f_e000);
/// Table pages of the fixmap, which depend on how many processors the kernel is made for: those of every 32-bit
/// kernel of the corpus.
const FIXMAP_PAGES: u64 = 2;

/// The tables of a 32-bit processor.
struct Tables {
    entry_bytes: u64,
    /// What an entry of the middle level maps.
    large: u64,
    /// What an entry of the root maps: the same without PAE, where there is no middle level.
    root: u64,
    has_large_pages: bool,
}

impl Tables {
    const fn new(is_pae: bool, has_large_pages: bool) -> Self {
        if is_pae {
            Self { entry_bytes: 8, large: 2 << 20, root: 1 << 30, has_large_pages }
        } else {
            Self { entry_bytes: 4, large: 4 << 20, root: 4 << 20, has_large_pages }
        }
    }

    /// Pages that hold so many entries.
    const fn pages(&self, entries: u64) -> u64 {
        (entries * self.entry_bytes).div_ceil(PAGE)
    }

    /// Pages set aside for `[0, end)`.
    const fn count(&self, end: PhysAddr) -> u64 {
        let end = end.get();
        let small = if self.has_large_pages { end % self.large + self.large } else { end };
        self.pages(end.div_ceil(self.root))
            + self.pages(end.div_ceil(self.large))
            + self.pages(small.div_ceil(PAGE))
            + FIXMAP_PAGES
    }
}

/// # Errors
/// If the kernel is of another time, or the log has no memory map.
pub(super) fn replay(log: &BootLog, evidence: &Evidence, lines: &[(usize, Line)]) -> Result<Replay, ReplayError> {
    let release = evidence.release;
    if release.is_some_and(|release| !release.is_before(Release::new(2, 6, 37))) {
        return Err(ReplayError::ThirtyTwoBit(release.map_or_else(String::new, |release| release.to_string())));
    }
    let mut assumed = Vec::new();
    let mended = super::machine::mended_map(log, evidence, lines, &mut assumed);
    let mended = mended.as_ref().unwrap_or(log);
    let map = mended.map_of(Stage::Last).ok_or(ReplayError::NoMachine(crate::bootlog::BootLogError::NoE820))?;
    let memblock = memblock(log, map)?;
    let ram_end = memblock.memory().iter().map(|range| range.end.align_down(PAGE)).max().unwrap_or_default();
    let is_guest = map.stage == MapStage::Xen;
    let tables = Tables::new(evidence.is_pae, !is_guest);
    let end = ram_end.min(LOW_END);
    let n = tables.count(end);
    assumed.push(Assumption::FixmapPages(FIXMAP_PAGES));
    let fits = Fits { window: PhysRange::new(PhysAddr::new(START), end), bytes: n * PAGE, shuns: None };
    let mut model = Vec::new();
    let start = fits.lowest(|at| memblock.next_free(at, PAGE));
    if let Some(start) = start {
        model.push(Line::Tables { end, space: PhysRange::new(start, start.saturating_add(n * PAGE)) });
        // One table for each piece of memory that the boot code's tables do not map.
        if let Some(boot) = reserved(log, "INIT_PG_TABLE").filter(|_| !tables.has_large_pages) {
            let used = end.get().div_ceil(tables.large).saturating_sub(boot.len() / PAGE);
            model.push(Line::Reserved(PhysRange::new(start, start.saturating_add(used * PAGE))));
        }
    }
    let is_predicted =
        |line: &Line| line.kind() == Kind::Tables || model.iter().any(|other| other.kind() == line.kind());
    let (log_lines, unpredicted): (Vec<_>, Vec<_>) = lines.iter().partition(|(_, line)| is_predicted(line));
    let rows = rows(&log_lines, &model, false);
    let differs = rows.iter().any(|row| !row.is_equal());
    let cause = "of a 32-bit kernel, the fixmap's tables and the end of low memory depend on its configuration";
    Ok(Replay {
        era: "2.6.27 - 2.6.36, 32-bit",
        rule: "buffer counted from 0 and for the fixmap, lowest fit from 0x7000",
        release,
        is_release_guessed: !evidence.is_exact,
        others: Vec::new(),
        kind: log.kind(),
        assumed,
        rows,
        unpredicted,
        death: start.is_none().then(|| "Cannot find space for the kernel page tables".to_owned()),
        causes: differs.then(|| cause.to_owned()).into_iter().collect(),
    })
}

/// Memory, and what is reserved in it before the build.
fn memblock(log: &BootLog, map: &LogMap) -> Result<Memblock, ReplayError> {
    let e820 = crate::bootlog::firmware_map(&map.entries, &crate::geometry::Geometry::X86_64)
        .map_err(ReplayError::NoMachine)?;
    let mut memblock = Memblock::new(PAGE);
    memblock.fill(&e820);
    for taken in log.facts() {
        match &taken.fact {
            Fact::Kernel(range) => memblock.reserve(*range),
            Fact::Reserved { range, name } if !["PGTABLE", "BOOTMAP"].contains(&name.as_str()) => {
                memblock.reserve(*range);
            }
            _ => {}
        }
    }
    log.ramdisk().into_iter().for_each(|range| memblock.reserve(range));
    Ok(memblock)
}

fn reserved(log: &BootLog, whose: &str) -> Option<PhysRange> {
    log.facts().iter().find_map(|taken| match &taken.fact {
        Fact::Reserved { range, name } if name == whose => Some(*range),
        _ => None,
    })
}
