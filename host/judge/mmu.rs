// SPDX-License-Identifier: MIT OR Apache-2.0
//! A processor's memory-management unit as a judge: the tables a cell built are put under it, and pages are tried.
//!
//! The walker reads tables as we understand the manual. A processor reads them as it is made. Here the finished tables
//! of a cell lie in a virtual machine's memory, exactly as they were built ([`image`]); a guest of ours (`guest/mmu`)
//! reads, writes and executes at the edges of every run of the permission map and in every table that maps it
//! ([`probes`]), with write protection and no-execute on. What came of each is compared with the map: whether there was
//! a page fault, its error code and CR2, and which frame was read ([`verdict`]).
//!
//! An [`Engine`] is the machine, in a process of its own: this machine's processor ([`kvm`]), or one that QEMU emulates
//! ([`tcg`]). The guest and its memory are the same.
//!
//! **A check that cannot fail proves nothing**: with write protection off ([`WriteProtect::Off`]) every cell that maps
//! anything read-only must disagree.

pub mod engines;
pub mod image;
pub mod kvm;
pub mod probes;
pub mod report;
pub mod session;
pub mod tcg;
pub mod verdict;
#[path = "../../guest/mmu/src/wire.rs"]
mod wire;

use crate::judge::engine::EngineError;
use image::{Image, Unfit};
use kvm::Kvm;
use pgtlab_core::geometry::Level;
use pgtlab_core::ops::{Ops, OpsError, ReplayError};
use pgtlab_core::permission::PermissionMap;
use std::io;
use tcg::Tcg;
use verdict::{Difference, Expected};
use wire::{DONE, STRAY};

/// Bits of CR0. Intel SDM vol. 3A, "Control Registers".
mod cr0 {
    /// Paging, numeric errors, extension type, monitor, protection.
    pub(super) const BASE: u64 = 0x8000_0033;
    /// Unset: the kernel may write through read-only entries.
    pub(super) const WRITE_PROTECT: u64 = 1 << 16;
}

/// Whether the processor heeds read-only entries in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteProtect {
    /// As kernels run.
    On,
    /// It does not: what a control needs.
    Off,
}

/// Whose tables a processor walks when the guest uses an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// A program does what a processor would.
    Emulated,
    /// The processor itself walks the tables that were put before it.
    Tables,
    /// The processor walks tables that KVM made by reading those.
    Shadow,
    /// One of the two.
    Unknown,
}

impl Walk {
    /// As records have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Emulated => "emulated",
            Self::Tables => "tables",
            Self::Shadow => "shadow",
            Self::Unknown => "unknown",
        }
    }

    /// As people are told.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Emulated => "an emulated processor walks these tables",
            Self::Tables => "the processor walks these tables",
            Self::Shadow => "KVM reads these tables, and the processor walks KVM's shadow of them",
            Self::Unknown => "the processor walks these tables, or KVM's shadow of them",
        }
    }
}

/// What a processor can, as far as tables are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Processor {
    /// The width of physical addresses.
    address_bits: u32,
    /// Whether entries of level 3 can map pages.
    has_gib_pages: bool,
}

/// What the pages are tried by.
#[derive(Clone, Debug)]
pub enum Engine {
    /// This machine's processor.
    Kvm(Kvm),
    /// QEMU's emulated processor.
    Tcg(Tcg),
}

impl Engine {
    /// Its name in `PGTLAB_REQUIRE` and in records.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Kvm(_) => kvm::NAME,
            Self::Tcg(_) => tcg::NAME,
        }
    }

    /// What it is, with versions.
    #[must_use]
    pub fn description(&self) -> &str {
        match self {
            Self::Kvm(kvm) => kvm.description(),
            Self::Tcg(tcg) => tcg.description(),
        }
    }

    /// Whose tables the processor walks.
    #[must_use]
    pub const fn walk(&self) -> Walk {
        match self {
            Self::Kvm(kvm) => kvm.walk(),
            Self::Tcg(_) => Walk::Emulated,
        }
    }

    /// How that is known, where it is not plain.
    #[must_use]
    pub fn evidence(&self) -> Option<&str> {
        match self {
            Self::Kvm(kvm) => Some(kvm.evidence()),
            Self::Tcg(_) => None,
        }
    }

    const fn processor(&self) -> Processor {
        match self {
            Self::Kvm(kvm) => kvm.processor(),
            Self::Tcg(_) => tcg::PROCESSOR,
        }
    }

    fn run(&self, image: &Image) -> Result<(), EngineError> {
        match self {
            Self::Kvm(kvm) => kvm.run(image),
            Self::Tcg(tcg) => tcg.run(image),
        }
    }
}

/// A cell that could not be judged, by a failure of ours or the engine's.
#[derive(Debug, thiserror::Error)]
pub enum MmuError {
    /// What the worker gave is no operation trace.
    #[error(transparent)]
    Ops(#[from] OpsError),
    /// The trace contradicts itself.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The guest's memory cannot be made, written or read.
    #[error("failed to lay out the guest's memory: {0}")]
    Memory(#[from] io::Error),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The guest met an exception that no probe caused.
    #[error("the guest met exception {vector} (error code {error:#x}, CR2 {address:#x}) at {rip:#x}")]
    Stray {
        /// The vector.
        vector: u64,
        /// The error code.
        error: u64,
        /// CR2.
        address: u64,
        /// Where it was.
        rip: u64,
    },
    /// The machine ended before the guest had tried everything.
    #[error("the machine ended before the guest was done (state {0:#x})")]
    NotDone(u64),
}

/// What an engine said of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Pages that were tried, each by reading, writing and executing.
    pub n_pages: u64,
    /// Of these, pages that the map has as read-only.
    pub n_read_only: u64,
    /// Table pages that were put before the processor.
    pub n_tables: usize,
    /// Of these, tables that Xen keeps outside the guest's memory, and that were given a frame.
    pub n_placed: usize,
    /// Where the processor and the map differ.
    pub differences: Vec<Difference>,
}

/// Why there is no verdict on a cell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotJudged {
    /// The boot died before its tables were finished.
    #[error("the boot died before its tables were finished")]
    NotBuilt,
    /// The engine cannot hold it.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

/// Puts the finished tables of a cell before the engine, and compares what it does with the permission map that the
/// walker reads from them.
///
/// # Errors
/// As [`MmuError`] says. That a cell cannot be judged is no error.
pub fn judge(engine: &Engine, ops: &Ops, protect: WriteProtect) -> Result<Result<Judged, NotJudged>, MmuError> {
    if !ops.is_built() {
        return Ok(Err(NotJudged::NotBuilt));
    }
    let (tables, root) = ops.tables()?;
    let map = PermissionMap::read(&tables, root, ops.geometry.end_of_map());
    let processor = engine.processor();
    if !processor.has_gib_pages && map.mappings().iter().any(|mapping| mapping.level == Level::L3) {
        return Ok(Err(Unfit::GibPages.into()));
    }
    let pages = probes::choose(&map, &ops.geometry);
    let expected: Vec<Expected> = pages.iter().map(|page| Expected::of(&map, *page)).collect();
    let framed: Vec<_> = pages.iter().zip(&expected).map(|(page, expected)| (*page, expected.frame)).collect();
    let image = match Image::new(ops, &tables, root, &framed, processor.address_bits)? {
        Ok(image) => image,
        Err(unfit) => return Ok(Err(NotJudged::Unfit(unfit))),
    };
    image.set_params(match protect {
        WriteProtect::On => cr0::BASE | cr0::WRITE_PROTECT,
        WriteProtect::Off => cr0::BASE,
    })?;
    engine.run(&image)?;
    let params = image.params()?;
    match params.state {
        DONE => {}
        STRAY => {
            let (vector, error) = (params.stray >> 32 & 0xff, params.stray & 0xffff_ffff);
            return Err(MmuError::Stray { vector, error, address: params.address, rip: params.rip });
        }
        state => return Err(MmuError::NotDone(state)),
    }
    let mut differences = Vec::new();
    for ((page, expected), probe) in pages.iter().zip(&expected).zip(image.probes()?) {
        let content = expected.frame.map(|frame| image.expected(ops, &tables, frame)).transpose()?;
        differences.extend(verdict::compare(*page, expected, content, &probe));
    }
    differences.extend(image.first_changed(ops, &tables)?.map(Difference::TableChanged));
    Ok(Ok(Judged {
        n_pages: pages.len() as u64,
        n_read_only: expected.iter().filter(|expected| expected.is_read_only()).count() as u64,
        n_tables: image.n_tables(),
        n_placed: image.n_placed(),
        differences,
    }))
}
