// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest-physical memory in which a cell's tables are tried.
//!
//! ```text
//!  0                      4 GiB           top of all that is mapped
//!  |  tables, each in its own frame  |B|  ..  |X| window |
//!                                     `reset vector, and before it tables by which the guest comes up
//!                                              `tables of Xen's own, which have no frame the guest could name
//! ```
//!
//! Every table stands in the frame it was built in, byte for byte, but for three things: the root's entries stand where
//! the direct map begins (the model numbers them from 0), its last entry maps the guest's window, and tables that Xen
//! keeps outside the guest's memory are given frames behind it, to which the entries that link them point. Each other
//! frame that is tried holds its own number, so that what is read says which frame stands behind an address.
//!
//! A table in the reset vector's page is put there by the guest itself, once it has come up.
//!
//! The memory is a file without a name; what is not written takes none.

use super::cr0;
use super::wire::{DONE, PARAMS, PROBE_WORDS, PROBES, Params, Probe, RESET_PAGE, RESTORE, WINDOW, WINDOW_ROOT_SLOT};
use object::{Object, ObjectSegment};
use pgtlab_core::addr::Pfn;
use pgtlab_core::entry::{Entry, EntryFlags};
use pgtlab_core::geometry::Level;
use pgtlab_core::ops::Ops;
use pgtlab_core::table::{Table, TableId, TableStore};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The guest, as the build script made it.
const GUEST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/mmu.elf"));

const PAGE: u64 = 4096;
const LARGE_PAGE: u64 = 2 << 20;
/// Entries of a table, in bytes.
const ENTRY: u64 = 8;

/// The reset vector's page: the last one below 4 GiB.
const RESET_FRAME: u64 = RESET_PAGE / PAGE;

/// The tables by which the guest comes up, below 4 GiB in frames that no table of the cell has.
#[derive(Clone, Copy, Debug)]
struct BootFrames {
    /// The root to turn paging on with.
    root: u64,
    /// The chain from it to the window; entry 511 of the root under test begins it too.
    window_l3: u64,
    window_l2: u64,
    /// The chain to the reset vector's page.
    low_l3: u64,
    low_l2: u64,
    low_l1: u64,
}

impl BootFrames {
    /// The last frames below the reset vector's that are free.
    fn new(taken: &BTreeMap<u64, u64>) -> Self {
        let mut free = (0..RESET_FRAME).rev().filter(|frame| !taken.contains_key(frame));
        // There always is one: of these 2^20 frames the tables of a cell take 2^18 at the most.
        let mut next = || free.next().unwrap_or_default();
        Self { root: next(), window_l3: next(), window_l2: next(), low_l3: next(), low_l2: next(), low_l1: next() }
    }

    const fn all(self) -> [u64; 6] {
        [self.root, self.window_l3, self.window_l2, self.low_l3, self.low_l2, self.low_l1]
    }
}

/// Entries of those tables: present, writable, accessed.
const LINK: u64 = 0x23;
/// The same, large and dirty.
const LARGE: u64 = 0xe3;
/// The same for a page: dirty.
const LEAF: u64 = 0x63;

/// Where a frame's own number stands in it, and what is read of a table in its place.
const MARK_AT: u64 = PAGE - ENTRY;
/// The upper bits of such a number.
const MARK: u64 = 0x6c61_6265 << 32;

/// More memory than that is not spent on one cell's tables.
const MOST_TABLE_BYTES: u64 = 1 << 30;

/// A cell that cannot be put before an engine, and why: no verdict on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The processor's tables have another shape.
    #[error("its tables are not those of x86-64")]
    Geometry,
    /// The processor has no pages of 1 GiB.
    #[error("it maps pages of 1 GiB; the engine's processor has none")]
    GibPages,
    /// Something lies beyond what the engine's processor can address.
    #[error("it needs physical addresses up to {end:#x}; the engine's processor has {bits} bits of them")]
    Beyond {
        /// The address behind the last.
        end: u64,
        /// How many bits the processor has.
        bits: u32,
    },
    /// The tables take too much memory.
    #[error("its tables take {} MiB; {} MiB are set aside", bytes >> 20, MOST_TABLE_BYTES >> 20)]
    Large {
        /// What they take.
        bytes: u64,
    },
}

/// Guest-physical memory with a cell's tables in it.
#[derive(Debug)]
pub(super) struct Image {
    file: File,
    /// Size of the memory.
    bytes: u64,
    /// Where the window begins in it.
    window: u64,
    /// The root's frame.
    root: u64,
    /// The tables by which the guest comes up.
    boot: BootFrames,
    /// Where each table stands, by the frame it was built in.
    tables: BTreeMap<u64, u64>,
    n_placed: usize,
    n_probes: usize,
}

/// What a page of the guest's memory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Table,
    Ours,
    Memory,
}

impl Image {
    /// Lays out the tables below `root`, and probes for the pages with the frames that should stand behind them.
    ///
    /// # Errors
    /// Inside, why the cell does not fit; outside, the system has no memory.
    pub(super) fn new(
        ops: &Ops,
        tables: &TableStore,
        root: TableId,
        pages: &[(Pfn, Option<u64>)],
        address_bits: u32,
    ) -> io::Result<Result<Self, Unfit>> {
        let plan = match Plan::new(ops, tables, pages, address_bits) {
            Ok(plan) => plan,
            Err(unfit) => return Ok(Err(unfit)),
        };
        let file = File::from(memfd_create("pgtlab-guest", MemfdFlags::CLOEXEC)?);
        ftruncate(&file, plan.end)?;
        let root = tables.get(root).pfn().get();
        let n_placed = plan.n_placed;
        let image = Self {
            file,
            bytes: plan.end,
            window: plan.window,
            boot: plan.boot,
            root,
            tables: plan.frames,
            n_placed,
            n_probes: pages.len(),
        };
        for table in tables.iter() {
            image.write(image.tables[&table.pfn().get()] * PAGE, &image.words_of(ops, tables, table))?;
        }
        image.write_guest()?;
        if let Some(id) = tables.at(Pfn::new(RESET_FRAME)) {
            // It is put back by the guest once it has come up.
            image.write(image.window + RESTORE, &image.words_of(ops, tables, tables.get(id)))?;
        }
        let mut probes = Vec::with_capacity(pages.len());
        for &(page, frame) in pages {
            probes.push(image.probe(ops, tables, page, frame)?.to_words());
        }
        image.write(image.window + PROBES, probes.as_flattened())?;
        Ok(Ok(image))
    }

    /// The guest with nothing to try, under a table that maps nothing but it: what shows that an engine runs it.
    ///
    /// # Errors
    /// The system has no memory.
    pub(super) fn without_probes() -> io::Result<Self> {
        let window = (RESET_PAGE + PAGE).next_multiple_of(LARGE_PAGE);
        let bytes = window + PROBES;
        let file = File::from(memfd_create("pgtlab-guest", MemfdFlags::CLOEXEC)?);
        ftruncate(&file, bytes)?;
        let boot = BootFrames::new(&BTreeMap::from([(0, 0)]));
        let image = Self { file, bytes, window, root: 0, boot, tables: BTreeMap::new(), n_placed: 0, n_probes: 0 };
        image.write(WINDOW_ROOT_SLOT * ENTRY, &[(boot.window_l3 * PAGE) | LINK])?;
        image.write_guest()?;
        image.set_params(cr0::BASE | cr0::WRITE_PROTECT)?;
        Ok(image)
    }

    /// Whether the guest has tried everything.
    pub(super) fn is_done(&self) -> io::Result<bool> {
        self.params().map(|params| params.state == DONE)
    }

    /// The physical address of the tables by which the guest comes up.
    pub(super) const fn boot_root(&self) -> u64 {
        self.boot.root * PAGE
    }

    /// The memory, as a file.
    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    /// Its size.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many tables there are.
    pub(super) fn n_tables(&self) -> usize {
        self.tables.len()
    }

    /// How many of them have no frame that the guest could name, so that they were given one.
    pub(super) const fn n_placed(&self) -> usize {
        self.n_placed
    }

    /// Says what the guest is to do.
    pub(super) fn set_params(&self, cr0: u64) -> io::Result<()> {
        let restores = u64::from(self.tables.get(&RESET_FRAME) == Some(&RESET_FRAME));
        let params =
            Params { root: self.root * PAGE, cr0, restores, n_probes: self.n_probes as u64, ..Params::default() };
        self.write(self.window + PARAMS, &params.to_words())
    }

    /// How it ended.
    pub(super) fn params(&self) -> io::Result<Params> {
        Ok(Params::from_words(self.read(self.window + PARAMS)?))
    }

    /// What came of each probe.
    pub(super) fn probes(&self) -> io::Result<Vec<Probe>> {
        let mut bytes = vec![0; self.n_probes * PROBE_WORDS * 8];
        self.file.read_exact_at(&mut bytes, self.window + PROBES)?;
        let (words, _) = bytes.as_chunks::<8>();
        let (probes, _) = words.as_chunks::<PROBE_WORDS>();
        Ok(probes.iter().map(|words| Probe::from_words(words.map(u64::from_le_bytes))).collect())
    }

    /// What should be read at a probe's address if this frame stands behind it, as far as the processor leaves it alone.
    pub(super) fn expected(&self, ops: &Ops, tables: &TableStore, frame: u64) -> io::Result<u64> {
        match self.holds(frame) {
            Holds::Memory => Ok(MARK | frame),
            Holds::Ours => self.read::<1>(frame * PAGE + MARK_AT).map(|[word]| word),
            Holds::Table => {
                let table = tables.at(Pfn::new(frame)).map(|id| self.words_of(ops, tables, tables.get(id)));
                Ok(table.and_then(|words| words.last().copied()).unwrap_or_default())
            }
        }
    }

    /// The first table that is not what was laid out, but for the processor's own notes: whoever tried it has written
    /// to it.
    pub(super) fn first_changed(&self, ops: &Ops, tables: &TableStore) -> io::Result<Option<Pfn>> {
        let mut bytes = vec![0; 4096];
        for table in tables.iter() {
            self.file.read_exact_at(&mut bytes, self.tables[&table.pfn().get()] * PAGE)?;
            let (words, _) = bytes.as_chunks::<8>();
            let laid_out = self.words_of(ops, tables, table);
            let is_same =
                |(word, was): (&[u8; 8], &u64)| without_notes(u64::from_le_bytes(*word)) == without_notes(*was);
            if !words.iter().zip(&laid_out).all(is_same) {
                return Ok(Some(table.pfn()));
            }
        }
        Ok(None)
    }

    /// The entries of a table as they are laid out.
    fn words_of(&self, ops: &Ops, tables: &TableStore, table: &Table) -> Vec<u64> {
        let is_root = table.pfn().get() == self.root;
        let entries = tables.geometry().entries();
        let first = if is_root { root_slot(ops) } else { 0 };
        let mut words = vec![0; index(entries)];
        for slot in 0..entries - first {
            words[index(first + slot)] = self.entry(tables, table.level(), table.entry(slot)).bits();
        }
        if is_root {
            words[index(WINDOW_ROOT_SLOT)] = (self.boot.window_l3 * PAGE) | LINK;
        }
        words
    }

    /// An entry as it is laid out: one that links a table of Xen's links the frame that was given to it.
    fn entry(&self, tables: &TableStore, level: Level, entry: Entry) -> Entry {
        let linked = (Level::L1 < level).then(|| tables.linked(entry)).flatten();
        let place = linked.and_then(|id| self.tables.get(&tables.get(id).pfn().get()));
        place.map_or(entry, |frame| Entry::new(*frame, entry.flags()))
    }

    fn holds(&self, frame: u64) -> Holds {
        if self.tables.get(&frame) == Some(&frame) {
            Holds::Table
        } else if frame == RESET_FRAME || self.boot.all().contains(&frame) || self.window / PAGE <= frame {
            Holds::Ours
        } else {
            Holds::Memory
        }
    }

    /// The guest's image, and the tables by which it comes up.
    fn write_guest(&self) -> io::Result<()> {
        let elf = object::File::parse(GUEST).map_err(io::Error::other)?;
        for segment in elf.segments() {
            let at = match segment.address() {
                RESET_PAGE => RESET_PAGE,
                address => self.window + address.wrapping_sub(WINDOW),
            };
            self.file.write_all_at(segment.data().map_err(io::Error::other)?, at)?;
        }
        let link = |table: u64, slot: u64, frame: u64, flags: u64| {
            self.write(table * PAGE + slot * ENTRY, &[(frame * PAGE) | flags])
        };
        // The window is mapped at -2 GiB: the last entry but one of level 3.
        let boot = self.boot;
        link(boot.root, WINDOW_ROOT_SLOT, boot.window_l3, LINK)?;
        link(boot.window_l3, 510, boot.window_l2, LINK)?;
        for number in 0..(self.bytes - self.window) / LARGE_PAGE {
            link(boot.window_l2, number, (self.window + number * LARGE_PAGE) / PAGE, LARGE)?;
        }
        // The reset vector's page, where it is: the last one below 4 GiB.
        link(boot.root, 0, boot.low_l3, LINK)?;
        link(boot.low_l3, 3, boot.low_l2, LINK)?;
        link(boot.low_l2, 511, boot.low_l1, LINK)?;
        link(boot.low_l1, 511, RESET_FRAME, LEAF)?;
        self.write(RESET_PAGE, &[boot.root * PAGE])
    }

    /// The probe of a page, and the mark in the frame behind it.
    fn probe(&self, ops: &Ops, tables: &TableStore, page: Pfn, frame: Option<u64>) -> io::Result<Probe> {
        let address = ops.direct_map.saturating_add(page.get() * PAGE).get();
        let mut code = address;
        if let Some(frame) = frame {
            match self.holds(frame) {
                Holds::Memory => self.write(frame * PAGE + MARK_AT, &[MARK | frame])?,
                Holds::Table | Holds::Ours => code += self.harmless(ops, tables, frame)?,
            }
        }
        Ok(Probe { data: address + MARK_AT, code, ..Probe::default() })
    }

    /// Where in a frame an instruction may be executed: at two zeros, which add to a byte of the guest's own. Every
    /// entry of a table has them somewhere in its upper half; what is no table and has none executes its first bytes.
    fn harmless(&self, ops: &Ops, tables: &TableStore, frame: u64) -> io::Result<u64> {
        let words: Vec<u64> = match tables.at(Pfn::new(frame)) {
            Some(id) => self.words_of(ops, tables, tables.get(id)),
            None => self.read::<512>(frame * PAGE)?.to_vec(),
        };
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let zeros = bytes.windows(2).position(|bytes| bytes == [0, 0]);
        Ok(zeros.map_or(0, |at| at as u64))
    }

    fn write(&self, at: u64, words: &[u64]) -> io::Result<()> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.file.write_all_at(&bytes, at)
    }

    fn read<const N: usize>(&self, at: u64) -> io::Result<[u64; N]> {
        let mut bytes = [[0; 8]; N];
        self.file.read_exact_at(bytes.as_flattened_mut(), at)?;
        Ok(bytes.map(u64::from_le_bytes))
    }
}

/// Where everything goes.
struct Plan {
    window: u64,
    boot: BootFrames,
    end: u64,
    frames: BTreeMap<u64, u64>,
    n_placed: usize,
}

impl Plan {
    fn new(ops: &Ops, tables: &TableStore, pages: &[(Pfn, Option<u64>)], address_bits: u32) -> Result<Self, Unfit> {
        let geometry = tables.geometry();
        if *geometry != pgtlab_core::geometry::Geometry::X86_64 {
            return Err(Unfit::Geometry);
        }
        let n_tables = tables.iter().count() as u64;
        if MOST_TABLE_BYTES < n_tables * PAGE {
            return Err(Unfit::Large { bytes: n_tables * PAGE });
        }
        let is_named = |frame: Pfn| ops.boot.frames.iter().any(|run| run.pages.contains(frame));
        let mut frames: BTreeMap<u64, u64> = tables
            .iter()
            .map(|table| table.pfn())
            .filter(|pfn| is_named(*pfn))
            .map(|pfn| (pfn.get(), pfn.get()))
            .collect();
        let boot = BootFrames::new(&frames);
        let named = frames.keys().chain(pages.iter().filter_map(|(_, frame)| frame.as_ref()));
        let top = named.copied().max().map_or(0, |last| last + 1).max(RESET_FRAME + 1);
        let outside: Vec<u64> =
            tables.iter().map(|table| table.pfn().get()).filter(|pfn| !frames.contains_key(pfn)).collect();
        let n_placed = outside.len();
        frames.extend(outside.into_iter().zip(top..));
        let window = ((top + n_placed as u64) * PAGE).next_multiple_of(LARGE_PAGE);
        let probes = (pages.len() * PROBE_WORDS * 8) as u64;
        let end = (window + PROBES + probes).next_multiple_of(LARGE_PAGE);
        if 1 << address_bits < end {
            return Err(Unfit::Beyond { end, bits: address_bits });
        }
        Ok(Self { window, end, boot, frames, n_placed })
    }
}

/// The root's entry with which the direct map begins.
fn root_slot(ops: &Ops) -> u64 {
    ops.direct_map.get() >> (ops.geometry.page_shift + ops.geometry.table_shift * 3) & (ops.geometry.entries() - 1)
}

/// An entry without the bits that the processor sets when it uses it.
pub(super) const fn without_notes(bits: u64) -> u64 {
    bits & !EntryFlags::ACCESSED.union(EntryFlags::DIRTY).bits()
}

fn index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
