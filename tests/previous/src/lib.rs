// SPDX-License-Identifier: MIT OR Apache-2.0
//! A plugin as it was built against interface 1.0, with that interface as source, so that the host's promise
//! to it is kept by a test (`tests/versions.rs`).
//!
//! `raw` and `interface` are what crossed the border then, and are not changed as pgtlab-core grows. When the
//! major version rises, they become what the new one began with. The strategy below is written on the bare
//! border, as the macro of pgtlab-core writes it for an author: it answers as the defaults did.
//!
//! Features make it a plugin that must be refused: `renumbered` (a stage has another number), `changed-field`
//! (a structure has one field more), `newer` (a later minor version); or one that dies: `panics`.
#![expect(unsafe_code, unused_qualifications, reason = "what abi_stable's macros expand to")]
#![expect(unreachable_pub, reason = "abi_stable's macros copy the visibility, and generate items that need `pub`")]

mod interface;
mod raw;

use abi_stable::library::{CheckTypeLayout, LibHeader, RootModuleResult};
use abi_stable::prefix_type::{PrefixRefTrait, PrefixTypeTrait};
use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{ROption, RResult, RString, RVec};
use interface::{RawStrategy, RawStrategy_TO, ServicesMut, StrategyBox, StrategyModule, StrategyModuleRef};
use raw::{
    RawAccess, RawAccessQuestion, RawBoot, RawFault, RawLeafQuestion, RawPage, RawPageQuestion, RawPiece, RawPlan,
    RawRange, RawRangeDone, RawTableSpace, RawWriteQuestion, Span,
};

/// The digest of what the numbers of interface 1.0 mean.
#[cfg(not(feature = "renumbered"))]
const SEMANTICS: u64 = 0xdb88_4b8b_0266_afce;

/// One that no host has: in its author's tree a stage had another number.
#[cfg(feature = "renumbered")]
const SEMANTICS: u64 = 0x0123_4567_89ab_cdef;

/// Numbers of interface 1.0: stages that are declined, and the answers that are given.
mod numbers {
    pub(crate) const ACCESS: u32 = 50;
    pub(crate) const LEAF: u32 = 60;
    pub(crate) const WRITE: u32 = 70;
    pub(crate) const MAP: u32 = 1;
    pub(crate) const DONE: u32 = 2;
    pub(crate) const PAGE_BY_PAGE: u32 = 2;
    pub(crate) const TAKE_AND_RESERVE: u32 = 2;
    pub(crate) const DIRECT_MAP: u32 = 2;
}

struct OldFix;

fn range(pages: Span) -> RawRange {
    let piece = RawPiece { pages, sizes: 0 };
    let pieces = if pages.start < pages.end { RVec::from(vec![piece]) } else { RVec::new() };
    RawRange {
        pages,
        pieces,
        past_end: 1,
        on_empty_gib: 1,
        kept_large: 1,
        split_large: 1,
        #[cfg(feature = "changed-field")]
        more: 0,
    }
}

impl RawStrategy for OldFix {
    fn boot(&mut self, services: ServicesMut<'_>) -> RResult<RawBoot, RawFault> {
        assert!(!cfg!(feature = "panics"), "an old plugin panics");
        RResult::ROk(RawBoot {
            native_map: 1,
            identity_tables: services.facts().geometry.identity_table_pages,
            builder_frames: 1,
            p2m: 1,
            max_pfn_mapped: 1,
            pool_pages: 0,
            node_data: 1,
            has_range_array: 1,
            memtest: 1,
        })
    }

    fn plan(&mut self, services: ServicesMut<'_>) -> RResult<RawPlan, RawFault> {
        let facts = services.facts();
        let low_end = facts.geometry.low_end >> facts.geometry.page_shift;
        let pages = match facts.ranges_done {
            0 => Span { start: 0, end: facts.max_low_pfn },
            1 if facts.max_low_pfn < facts.max_pfn => Span { start: low_end, end: facts.max_pfn },
            _ => return RResult::ROk(RawPlan { kind: numbers::DONE, range: range(Span { start: 0, end: 0 }) }),
        };
        RResult::ROk(RawPlan { kind: numbers::MAP, range: range(pages) })
    }

    fn table_space(&mut self, services: ServicesMut<'_>, _: RawRange) -> RResult<RawTableSpace, RawFault> {
        let pages = Span { start: 0, end: services.facts().max_pfn_mapped };
        RResult::ROk(RawTableSpace { kind: numbers::PAGE_BY_PAGE, uses_pool: 0, pages, text: RString::new() })
    }

    fn page(&mut self, services: ServicesMut<'_>, question: RawPageQuestion) -> RResult<RawPage, RawFault> {
        let facts = services.facts();
        let shift = facts.geometry.page_shift;
        let window = Span { start: question.window.start << shift, end: question.window.end << shift };
        let found = services.find_in_range(window, 1 << shift, 1 << shift);
        let page = found.map_or(0, |base| base >> shift);
        RResult::ROk(RawPage { kind: numbers::TAKE_AND_RESERVE, page, text: RString::new() })
    }

    fn access(&mut self, services: ServicesMut<'_>, _: RawAccessQuestion) -> RResult<RawAccess, RawFault> {
        services.decline(numbers::ACCESS);
        RResult::ROk(RawAccess { alias: numbers::DIRECT_MAP, is_writable: 1 })
    }

    fn leaf(&mut self, services: ServicesMut<'_>, _: RawLeafQuestion) -> RResult<ROption<Span>, RawFault> {
        services.decline(numbers::LEAF);
        RResult::ROk(ROption::RNone)
    }

    fn write(&mut self, services: ServicesMut<'_>, _: RawWriteQuestion) -> RResult<(), RawFault> {
        services.decline(numbers::WRITE);
        RResult::ROk(())
    }

    fn range_done(&mut self, mut services: ServicesMut<'_>, done: RawRangeDone) -> RResult<(), RawFault> {
        services.set_max_pfn_mapped(done.last_mapped);
        RResult::ROk(())
    }

    fn build_done(&mut self, mut services: ServicesMut<'_>) -> RResult<(), RawFault> {
        services.printk("built against interface 1.0".into());
        RResult::ROk(())
    }

    fn allocator_up(&mut self, _: ServicesMut<'_>) -> RResult<(), RawFault> {
        RResult::ROk(())
    }

    fn finish(&mut self) -> RResult<(), RawFault> {
        RResult::ROk(())
    }
}

extern "C" fn create() -> RResult<StrategyBox, RawFault> {
    RResult::ROk(RawStrategy_TO::from_value(OldFix, TD_Opaque))
}

extern "C" fn root() -> RootModuleResult {
    let module = StrategyModule { create }.leak_into_prefix();
    // SAFETY: only the type is erased; the host casts back after it has checked the layout.
    RResult::ROk(unsafe { module.to_prefix_ref().cast() })
}

// SAFETY: `root` returns a `StrategyModuleRef` and nothing else as an erased prefix.
#[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
static HEADER: LibHeader = unsafe { LibHeader::from_constructor::<StrategyModuleRef>(root, CheckTypeLayout::Yes) };

#[cfg(not(feature = "newer"))]
macro_rules! interface {
    () => {
        "1.0"
    };
}
#[cfg(feature = "newer")]
macro_rules! interface {
    () => {
        "1.99"
    };
}
#[cfg(panic = "unwind")]
macro_rules! on_panic {
    () => {
        "unwind"
    };
}
#[cfg(panic = "abort")]
macro_rules! on_panic {
    () => {
        "abort"
    };
}

const DESCRIPTION: &str = concat!(
    r#"{"format":2,"name":"old-fix","version":"0.1.0","summary":"built against interface 1.0","aliases":[],"interface":""#,
    interface!(),
    r#"","core":"0.1.0","semantics":"db884b8b0266afce","rustc":"rustc 1.0.0 (of another time)","#,
    r#""target":"x86_64-unknown-linux-gnu","profile":"debug","panic":""#,
    on_panic!(),
    r#""}"#
);

#[used]
#[unsafe(link_section = ".pgtlab.desc")]
static SECTION: [u8; DESCRIPTION.len()] = {
    let mut bytes = [0; DESCRIPTION.len()];
    bytes.copy_from_slice(DESCRIPTION.as_bytes());
    bytes
};
