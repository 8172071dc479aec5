// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a strategy is: answers to the builder's questions, stage by stage.
//!
//! Implement [`Strategy`]; every question has a default, so a strategy is as long as what it changes.
//! The builder asks, the strategy decides, the builder acts: answers are data and never table writes.
//! A strategy sees the machine through one [`Context`].
//!
//! | stage | asked | method |
//! |---|---|---|
//! | boot | once, before anything | [`Strategy::boot`] |
//! | plan | until it answers [`Plan::Done`] | [`Strategy::plan`] |
//! | table space | once per range, before it is filled | [`Strategy::table_space`] |
//! | page | once per table page of a range answered by [`TableSpace::PageByPage`] | [`Strategy::page`] |
//! | access | once per table page written | [`Strategy::access`] |
//! | leaf (Xen) | per run of leaves, at most one table | [`Strategy::leaf`] |
//! | write (Xen) | before a run of non-zero entries and before each fixmap entry | [`Strategy::write`] |
//! | range done | after each range | [`Strategy::range_done`] |
//! | build done | once | [`Strategy::build_done`] |
//! | allocator up (Xen) | once, after the consumers | [`Strategy::allocator_up`] |

mod answers;
mod context;
pub mod guard;
pub mod low_first;
mod next_range;
mod options;
mod pieces;
pub mod table_count;
pub mod top_down;

pub use answers::{
    Access, Alias, Boot, BuilderFrames, KeptLarge, LeafQuestion, MaxPfnMapped, Memtest, NativeMap, NodeData,
    OnEmptyGib, P2mUse, Page, PageQuestion, PageSizes, PastEnd, PgtBuf, Piece, Plan, Pool, Range, RangeDone,
    SplitLarge, Stage, TableSpace, WriteQuestion,
};
pub use context::{Context, Facts, LastRange, Services};
pub use next_range::next_range;
pub use options::{OptionKind, OptionSpec, Options};
pub use pieces::{merge_pieces, raise_pieces, split_range};

use crate::addr::{Pfn, PfnRange};

/// A fix: decisions at the stages of the build.
///
/// A method whose default calls [`Context::decline`] is not asked again in that boot, so stages that
/// nobody overrides cost nothing.
pub trait Strategy {
    /// The values of the options that the strategy declares in its `export_strategy!` line; called once,
    /// before any stage, and not at all if it declares none. Default: nothing, as for no options.
    fn configure(&mut self, options: &Options) {
        let _ = options;
    }

    /// What did the boot code leave, and who uses memory afterwards? Default: the boot tables and the
    /// consumers of Linux 2.6.39.
    fn boot(&mut self, cx: &mut Context<'_>) -> Boot {
        Boot::new(cx.facts())
    }

    /// Which range is mapped next, in which pieces? Default: low memory, then from 4 GiB to the end, each as a
    /// whole if there is room for its tables in memory that is mapped already, else in steps for which there is.
    fn plan(&mut self, cx: &mut Context<'_>) -> Plan {
        next_range(cx).map_or(Plan::Done, Plan::Map)
    }

    /// How many table pages does this range need, and from where? Default: exactly as many as the fill
    /// will link, as one buffer as high as memory is mapped, reserved at once.
    fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> TableSpace {
        match cx.find_mapped_pages(cx.tables_needed(range)) {
            Some(pages) => {
                cx.reserve_pages(pages, "PGTABLE");
                TableSpace::Buffer(pages)
            }
            None => TableSpace::Panic("Cannot find space for the kernel page tables".to_owned()),
        }
    }

    /// The next table page of a range answered page by page. Default: the pool's next page, else the
    /// highest free page of the window, reserved at once.
    fn page(&mut self, cx: &mut Context<'_>, question: &PageQuestion) -> Page {
        cx.decline(Stage::Page);
        question.default_page(cx)
    }

    /// Through which alias is this table page written? Default: through the direct map.
    fn access(&mut self, cx: &Context<'_>, table: Pfn, is_new: bool, buf: &PgtBuf) -> Access {
        let _ = (table, is_new, buf);
        cx.decline(Stage::Access);
        Access::DEFAULT
    }

    /// Which pages of this run of leaves are mapped read-only? Default: none.
    fn leaf(&mut self, cx: &Context<'_>, question: &LeafQuestion) -> Option<PfnRange> {
        let _ = question;
        cx.decline(Stage::Leaf);
        None
    }

    /// Entries are about to be written: is anything to be done first? Default: nothing.
    fn write(&mut self, cx: &mut Context<'_>, question: &WriteQuestion) {
        let _ = question;
        cx.decline(Stage::Write);
    }

    /// A range was filled: what is reserved, what is given back, how far is memory mapped now? Default:
    /// the used part of the buffer is reserved, and memory is mapped up to where the fill came.
    fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) {
        cx.reserve_pages(done.buf.used(), "PGTABLE");
        cx.set_max_pfn_mapped(done.last_mapped);
    }

    /// All ranges are mapped: is anything left to do? Default: nothing.
    fn build_done(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// The consumers have run and the allocator proper is up: is anything left to do? Default: nothing.
    fn allocator_up(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }
}
