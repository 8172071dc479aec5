// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel's own memory says where it is stopped: [`Kernel`] reads its variables.
//!
//! Layouts of structures are those of Linux 6.1 on x86-64 (`struct memblock`, `struct memblock_region`) and of Xen's
//! public header (`struct start_info`).

use super::gdb::{Gdb, GdbError, Registers, Space};
use super::symbols::{SymbolError, Symbols};
use super::tables::Frames;
use pgtlab_core::addr::{Pfn, PfnRange, PhysAddr, PhysRange};
use pgtlab_core::geometry::KERNEL_MAP;
use pgtlab_core::strategy::Pool;

/// Bytes of `struct memblock_region`.
const REGION_BYTES: u64 = 24;
/// More regions than any machine of QEMU's has.
const MOST_REGIONS: u64 = 1024;
/// More frames than any has, in the p2m list.
const MOST_FRAMES: u64 = 64 << 18;

/// Fields of `struct memblock`, in words: `memory` and `reserved` are a count, a maximum, a total, the regions and a
/// name each.
mod memblock {
    pub(super) const MEMORY: u64 = 2;
    pub(super) const RESERVED: u64 = 7;
    pub(super) const COUNT: usize = 0;
    pub(super) const REGIONS: usize = 3;
    pub(super) const WORDS: u64 = 5;
}

/// Fields of `struct start_info`, in bytes.
mod start_info {
    pub(super) const FIRST_P2M_PFN: u64 = 1152;
}

/// Why a kernel cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// It has no such symbol.
    #[error(transparent)]
    Symbol(#[from] SymbolError),
    /// The guest cannot be looked at.
    #[error(transparent)]
    Gdb(#[from] GdbError),
    /// A number that cannot be true.
    #[error("the kernel's {what} is {found:#x}; expected at most {most:#x}")]
    Strange {
        /// Of what.
        what: &'static str,
        /// The number.
        found: u64,
        /// The largest.
        most: u64,
    },
}

/// A kernel that is stopped.
#[derive(Debug)]
pub struct Kernel<'s> {
    /// The way to it.
    pub gdb: Gdb,
    symbols: &'s Symbols,
}

/// The p2m list of a PV guest.
#[derive(Clone, Debug)]
pub struct P2mList {
    /// What it says.
    pub frames: Frames,
    /// Where it lies with its own tables.
    pub place: PfnRange,
    /// Frames beyond the guest's memory, that stay empty until it gets more.
    pub extra: PfnRange,
}

impl<'s> Kernel<'s> {
    /// With its symbols.
    #[must_use]
    pub const fn new(gdb: Gdb, symbols: &'s Symbols) -> Self {
        Self { gdb, symbols }
    }

    /// Lets it run to one of these functions or addresses.
    ///
    /// # Errors
    /// It has no such function, or does not come there.
    pub fn run_to(&mut self, functions: &[&'static str], places: &[u64]) -> Result<Registers, KernelError> {
        let mut all = places.to_vec();
        for function in functions {
            all.push(self.symbols.get(function)?);
        }
        Ok(self.gdb.run_to(&all)?)
    }

    /// The address of a symbol.
    ///
    /// # Errors
    /// There is none.
    pub fn symbol(&self, name: &'static str) -> Result<u64, KernelError> {
        Ok(self.symbols.get(name)?)
    }

    fn word(&mut self, name: &'static str) -> Result<u64, KernelError> {
        let address = self.symbols.get(name)?;
        Ok(self.gdb.word(address)?)
    }

    /// What a function that has just been entered returns to.
    ///
    /// # Errors
    /// The stack cannot be read.
    pub fn return_address(&mut self, registers: &Registers) -> Result<u64, KernelError> {
        Ok(self.gdb.word(registers.rsp)?)
    }

    /// The address of a symbol of the kernel's image in physical memory.
    ///
    /// # Errors
    /// There is none.
    pub fn place_of(&self, name: &'static str) -> Result<PhysAddr, KernelError> {
        Ok(PhysAddr::new(self.symbols.get(name)?.wrapping_sub(KERNEL_MAP.get())))
    }

    /// The pool of pages for tables, from the page that is handed out next.
    ///
    /// # Errors
    /// The kernel cannot be read.
    pub fn pool(&mut self) -> Result<Pool, KernelError> {
        let [next, end] = ["pgt_buf_end", "pgt_buf_top"].map(|name| self.word(name));
        let next = Pfn::new(next?);
        Ok(Pool { start: next, next, end: Pfn::new(end?) })
    }

    /// What memblock has as memory.
    ///
    /// # Errors
    /// The kernel cannot be read.
    pub fn memory(&mut self) -> Result<Vec<PhysRange>, KernelError> {
        self.regions(memblock::MEMORY)
    }

    /// What memblock has reserved.
    ///
    /// # Errors
    /// The kernel cannot be read.
    pub fn reserved(&mut self) -> Result<Vec<PhysRange>, KernelError> {
        self.regions(memblock::RESERVED)
    }

    fn regions(&mut self, field: u64) -> Result<Vec<PhysRange>, KernelError> {
        let list = self.symbol("memblock")? + field * 8;
        let list = self.gdb.words(Space::Virtual, list, memblock::WORDS)?;
        let (n, first) = (list[memblock::COUNT], list[memblock::REGIONS]);
        at_most("number of regions", n, MOST_REGIONS)?;
        let words = self.gdb.words(Space::Virtual, first, n * REGION_BYTES / 8)?;
        let region = |words: &[u64]| PhysRange::from_numbers(words[0], words[0].saturating_add(words[1]));
        Ok(words.chunks_exact(3).map(region).filter(|range| !range.is_empty()).collect())
    }

    /// The pages that the kernel counts as mapped by leaves of 4 KiB, 2 MiB and 1 GiB, in leaves.
    ///
    /// # Errors
    /// The kernel cannot be read.
    pub fn counted(&mut self) -> Result<[u64; 3], KernelError> {
        let counts = self.symbol("direct_pages_count")?;
        let counts = self.gdb.words(Space::Virtual, counts, 4)?;
        Ok([counts[1], counts[2], counts[3]])
    }

    /// The p2m list that Xen made.
    ///
    /// # Errors
    /// The kernel cannot be read, or is no guest of Xen's.
    pub fn p2m_list(&mut self) -> Result<P2mList, KernelError> {
        let (list, n) = (self.word("xen_p2m_addr")?, self.word("xen_p2m_size")?);
        at_most("number of frames", n, MOST_FRAMES)?;
        let words = self.gdb.words(Space::Virtual, list, n)?;
        let info = self.word("xen_start_info")?;
        let place = self.gdb.words(Space::Virtual, info + start_info::FIRST_P2M_PFN, 2)?;
        let extra = PfnRange::from_numbers(n, self.word("xen_max_p2m_pfn")?.max(n));
        let place = PfnRange::from_numbers(place[0], place[0].saturating_add(place[1]));
        Ok(P2mList { frames: Frames::of_list(words), place, extra })
    }
}

const fn at_most(what: &'static str, found: u64, most: u64) -> Result<(), KernelError> {
    if found <= most { Ok(()) } else { Err(KernelError::Strange { what, found, most }) }
}
