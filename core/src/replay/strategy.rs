// SPDX-License-Identifier: MIT OR Apache-2.0
//! An era as a strategy: it answers the builder as the era's kernels decide, and notes the lines they would
//! print.

use super::era::{Buffered, Builder, Calls, Count, Era, Guarding, NodeRule, Paged, Place};
use super::line::Line;
use crate::addr::{Pfn, PfnRange, PhysAddr, PhysRange};
use crate::geometry::Level;
use crate::layout::Backend;
use crate::strategy::top_down::TopDown;
use crate::strategy::{
    Access, Boot, BuilderFrames, Context, KeptLarge, LeafQuestion, MaxPfnMapped, Memtest, NativeMap, NodeData, P2mUse,
    Page, PageQuestion, PageSizes, PgtBuf, Piece, Plan, Pool, Range, RangeDone, Stage, Strategy, TableSpace,
    WriteQuestion, guard, low_first, merge_pieces, raise_pieces, split_range, table_count,
};

/// What the kernel says when no place is found for a buffer.
const NO_SPACE: &str = "Cannot find space for the kernel page tables";

/// See the module.
#[derive(Debug)]
pub(super) struct OfEra {
    builder: Builder,
    node_data: NodeData,
    descent: TopDown,
    /// Kept here, since one page goes to something else than the direct map.
    pool: Pool,
    spare: guard::RwPastPgt,
    /// Whether a range above the first MiB needs a table below the root of its own, since a border between two
    /// entries of the root lies in between.
    has_root_border: bool,
    /// Whether a table for the other processors' start is taken from the pool after the first MiB.
    has_trampoline_table: bool,
    /// What the kernel would have printed so far.
    pub(super) lines: Vec<Line>,
    /// And what it prints when the allocator is up, long after the build.
    pub(super) late: Vec<Line>,
}

impl OfEra {
    /// A kernel of an era, whose pool begins here; with a direct map at a random address or not.
    pub(super) fn new(era: &Era, brk: Pfn, is_random: bool, has_root_border: bool) -> Self {
        let (descent, n) = match &era.builder {
            Builder::Buffered(_) => (None, 0),
            Builder::Paged(paged) => {
                let can_be_random = is_random || paged.is_random;
                (Some(*paged), if can_be_random { paged.random_pool_pages } else { paged.pool_pages })
            }
        };
        let of = |paged: Paged| TopDown::new(paged.growth, paged.probe);
        let never =
            TopDown::new(crate::strategy::top_down::Growth::PastTheStep, crate::strategy::top_down::Probe::WholeLeaf);
        Self {
            builder: era.builder,
            node_data: match era.node_data {
                NodeRule::FirstRegion => NodeData::PerNodeFromFirst,
                NodeRule::LastRegion => NodeData::PerNodeFromLast,
                NodeRule::Lowest | NodeRule::Highest => NodeData::Once,
            },
            descent: descent.map_or(never, of),
            pool: Pool { start: brk, next: brk, end: brk.saturating_add(n) },
            spare: guard::RwPastPgt::default(),
            has_root_border: has_root_border && descent.is_some(),
            has_trampoline_table: is_random && descent.is_some(),
            lines: Vec::new(),
            late: Vec::new(),
        }
    }

    fn next_of_pool(&mut self, cx: &Context<'_>) -> Pfn {
        let page = self.pool.next;
        self.pool.next = page.saturating_add(1);
        let bytes = cx.facts().geometry.bytes(PfnRange::new(page, self.pool.next));
        self.lines.push(Line::Pool(bytes));
        page
    }

    const fn guarding(&self) -> Option<Guarding> {
        match self.builder {
            Builder::Buffered(buffered) => Some(buffered.guarding),
            Builder::Paged(_) => None,
        }
    }

    fn fix_up(&mut self, cx: &mut Context<'_>, now: PgtBuf) {
        if let Some(done) = self.spare.next(cx, now) {
            self.set_rw(cx, &done);
        }
    }

    fn set_rw(&mut self, cx: &mut Context<'_>, buf: &PgtBuf) {
        self.lines.push(Line::SetRw(cx.facts().geometry.bytes(buf.spare())));
        cx.set_rw(buf.spare());
    }

    /// Takes the table that a root border costs: by the rules of every other.
    fn cross_root_border(&mut self, cx: &mut Context<'_>, uses_pool: bool, window: PfnRange) {
        if uses_pool && !self.pool.rest().is_empty() {
            self.next_of_pool(cx);
        } else if let Some(page) = cx.find_free_pages(window, 1) {
            cx.reserve_pages(page, "PGTABLE");
        }
    }

    fn tell(&mut self, cx: &Context<'_>, range: &Range) {
        let geometry = cx.facts().geometry;
        self.lines.push(Line::Call(geometry.bytes(range.pages)));
        for piece in &range.pieces {
            let level = if piece.sizes.contains(PageSizes::G1) {
                Level::L3
            } else if piece.sizes.contains(PageSizes::M2) {
                Level::L2
            } else {
                Level::L1
            };
            let page_shift = geometry.page_shift + geometry.pages_per_entry(level).trailing_zeros();
            self.lines.push(Line::Piece(geometry.bytes(piece.pages), page_shift));
        }
    }
}

/// The next range of kernels with one buffer a range.
fn buffered_range(cx: &Context<'_>, calls: Calls) -> Option<Range> {
    let facts = *cx.facts();
    match calls {
        Calls::One => {
            // A large leaf covers the last pages too, whatever lies behind them.
            let end = facts.max_pfn.align_up(facts.geometry.pages_per_entry(Level::L2));
            let pages = PfnRange::new(Pfn::default(), end);
            let mut sizes = PageSizes::M2;
            sizes.set(PageSizes::G1, facts.switches.gbpages);
            (facts.ranges_done == 0).then(|| Range::new(pages, vec![Piece { pages, sizes }]))
        }
        Calls::LowThenHigh => low_first::low_then(cx, low_first::all_above_4_gib(cx)),
        Calls::LowThenRegions => low_first::low_then(cx, low_first::regions_above_4_gib(cx))
            .map(|range| Range { kept_large: KeptLarge::MovesLast, ..range }),
    }
}

fn count(cx: &Context<'_>, count: Count, range: &Range) -> u64 {
    let facts = cx.facts();
    match count {
        Count::ForLarge => table_count::pages_for_large(facts, facts.max_pfn),
        Count::FromZero => table_count::pages_from_zero(facts, range.pages.end),
        Count::FromZeroAndHead => table_count::pages_from_zero_and_head(facts, range),
        Count::ByPiece => table_count::pages_by_piece(facts, range),
        Count::ByPieceAndRoot => {
            table_count::pages_by_piece(facts, range) + table_count::pieces_across_root_entries(facts, range)
        }
    }
}

fn place(cx: &Context<'_>, place: Place, end: Pfn, n: u64) -> Option<PfnRange> {
    let facts = cx.facts();
    let geometry = facts.geometry;
    let low = geometry.pfn_down(geometry.low_tables_start);
    let upward = |limit: Pfn, shuns_touching: bool| {
        let window = geometry.bytes(PfnRange::new(low, limit));
        let regions: Vec<PhysAddr> = cx.memory().iter().map(|region| region.end).collect();
        let next = |at: PhysAddr| cx.next_free(at, geometry.page_bytes());
        let fits = Fits { window, bytes: n << geometry.page_shift, shuns: shuns_touching.then_some(regions) };
        let start = geometry.pfn_down(fits.lowest(next)?);
        Some(PfnRange::new(start, start.saturating_add(n)))
    };
    match place {
        Place::UpToEnd { shuns_touching } => upward(end, shuns_touching),
        Place::UpToMapped => upward(facts.max_pfn_mapped, false),
        Place::BelowMappedFrom8000 => cx.find_free_pages(PfnRange::new(low, facts.max_pfn_mapped), n),
        Place::BelowMapped => cx.find_free_pages(PfnRange::new(Pfn::default(), facts.max_pfn_mapped), n),
        Place::BelowEnd => cx.find_free_pages(PfnRange::new(Pfn::default(), end), n),
    }
}

/// A search from the bottom up (`find_e820_area`).
pub(super) struct Fits {
    /// Where.
    pub(super) window: PhysRange,
    /// How much.
    pub(super) bytes: u64,
    /// The ends of memory, if a block may end nowhere else but before a gap of its own.
    pub(super) shuns: Option<Vec<PhysAddr>>,
}

impl Fits {
    /// The lowest place, given the way to the next free block at or after an address.
    pub(super) fn lowest(&self, next_free: impl Fn(PhysAddr) -> Option<PhysRange>) -> Option<PhysAddr> {
        let mut at = self.window.start;
        while let Some(block) = next_free(at).filter(|block| block.start < self.window.end) {
            // A block that would fill its gap ends at a reservation, unless memory ends there.
            let fills_gap = block.len() == self.bytes;
            let is_shunned = self.shuns.as_ref().is_some_and(|ends| fills_gap && !ends.contains(&block.end));
            if self.bytes <= block.intersect(self.window).len() && !is_shunned {
                return Some(block.start);
            }
            at = block.end;
        }
        None
    }
}

impl Strategy for OfEra {
    fn boot(&mut self, cx: &mut Context<'_>) -> Boot {
        let boot = Boot { node_data: self.node_data, ..Boot::new(cx.facts()) };
        match self.builder {
            Builder::Paged(_) => {
                cx.reserve_pages(self.pool.pages(), "BRK");
                Boot {
                    native_map: NativeMap::OnDemand,
                    identity_tables: 0,
                    builder_frames: BuilderFrames::GivenBack,
                    max_pfn_mapped: MaxPfnMapped::Nothing,
                    memtest: Memtest::Once,
                    has_range_array: false,
                    ..boot
                }
            }
            Builder::Buffered(Buffered { count: Count::ByPiece | Count::ByPieceAndRoot, .. }) => {
                Boot { identity_tables: 0, builder_frames: BuilderFrames::GivenBack, has_range_array: false, ..boot }
            }
            Builder::Buffered(Buffered { guarding: Guarding::UsedPart, .. }) => {
                Boot { p2m: P2mUse::Ignored, max_pfn_mapped: MaxPfnMapped::IdentityMap, ..boot }
            }
            Builder::Buffered(_) => boot,
        }
    }

    fn plan(&mut self, cx: &mut Context<'_>) -> Plan {
        let range = match self.builder {
            Builder::Buffered(Buffered { calls, .. }) => buffered_range(cx, calls),
            Builder::Paged(paged) => {
                if cx.facts().ranges_done == 1 && std::mem::take(&mut self.has_trampoline_table) {
                    self.next_of_pool(cx);
                }
                self.descent.next_pages(cx).map(|pages| {
                    let (facts, pieces) = (*cx.facts(), split_range(cx.facts(), pages));
                    let raise = |pieces| raise_pieces(&facts, cx.memory(), pieces);
                    let pieces =
                        if paged.raises_first { merge_pieces(raise(pieces)) } else { raise(merge_pieces(pieces)) };
                    Range::of_memory(pages, pieces)
                })
            }
        };
        let Some(range) = range else { return Plan::Done };
        self.tell(cx, &range);
        Plan::Map(range)
    }

    fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> TableSpace {
        let facts = *cx.facts();
        let buffered = match self.builder {
            Builder::Buffered(buffered) => buffered,
            Builder::Paged(_) => {
                let uses_pool = !range.pages.overlaps(self.pool.rest());
                let window = PfnRange::new(self.descent.mapped_from(), facts.max_pfn_mapped);
                if 0 < facts.ranges_done && std::mem::take(&mut self.has_root_border) {
                    self.cross_root_border(cx, uses_pool, window);
                }
                return TableSpace::PageByPage { uses_pool, window };
            }
        };
        let end = range.pages.end.min(facts.max_pfn);
        let n = count(cx, buffered.count, range);
        let Some(buffer) = place(cx, buffered.place, end, n) else { return TableSpace::Panic(NO_SPACE.to_owned()) };
        let geometry = facts.geometry;
        self.lines.push(Line::Tables { end: geometry.addr(end), space: geometry.bytes(buffer) });
        TableSpace::Buffer(buffer)
    }

    fn page(&mut self, cx: &mut Context<'_>, question: &PageQuestion) -> Page {
        if question.uses_pool && !self.pool.rest().is_empty() {
            return Page::Take(self.next_of_pool(cx));
        }
        PageQuestion { uses_pool: false, ..*question }.default_page(cx)
    }

    fn access(&mut self, _: &Context<'_>, table: Pfn, is_new: bool, buf: &PgtBuf) -> Access {
        match self.guarding() {
            Some(Guarding::UsedPart) => guard::new_in_fixmap_access(table, is_new, buf),
            Some(Guarding::UsedPartInFixmap | Guarding::FixUp | Guarding::Hook) => guard::fixmap_access(table, buf),
            None => Access::DEFAULT,
        }
    }

    fn leaf(&mut self, _: &Context<'_>, question: &LeafQuestion) -> Option<PfnRange> {
        match self.guarding()? {
            Guarding::UsedPart | Guarding::UsedPartInFixmap => guard::used_part(question),
            Guarding::FixUp | Guarding::Hook => guard::whole_buffer(question),
        }
    }

    fn write(&mut self, cx: &mut Context<'_>, question: &WriteQuestion) {
        if self.guarding() == Some(Guarding::FixUp) {
            self.fix_up(cx, question.buf);
        } else {
            cx.decline(Stage::Write);
        }
    }

    fn allocator_up(&mut self, cx: &mut Context<'_>) {
        if self.guarding() == Some(Guarding::FixUp) {
            let (now, n_before) = (cx.facts().buf, self.lines.len());
            self.fix_up(cx, now);
            self.late = self.lines.split_off(n_before);
        }
    }

    fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) {
        let facts = *cx.facts();
        let Builder::Buffered(buffered) = self.builder else {
            cx.set_max_pfn_mapped(facts.max_pfn_mapped.max(done.last_mapped));
            return;
        };
        cx.reserve_pages(done.buf.used(), "PGTABLE");
        cx.set_max_pfn_mapped(done.last_mapped);
        if done.buf.used().is_empty() {
            return;
        }
        self.lines.push(Line::Reserved(facts.geometry.bytes(done.buf.used())));
        if buffered.guarding == Guarding::Hook && cx.backend() == Backend::Xen {
            self.set_rw(cx, &done.buf);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finds room for so many pages from page 8 on.
    ///
    /// ```text
    /// page    8   a     c        10    14       18
    /// free    |---|     |--------|     |--------| memory ends
    ///             |#####|        |#####|
    /// ```
    #[track_caller]
    fn check(n: u64, shuns_touching: bool, expected: Option<u64>) {
        let range = |start: u64, end: u64| PhysRange::from_numbers(start << 12, end << 12);
        let blocks = [range(8, 0xa), range(0xc, 0x10), range(0x14, 0x18)];
        let next = |at: PhysAddr| {
            let block = blocks.iter().find(|block| at < block.end)?;
            Some(PhysRange::new(block.start.max(at), block.end))
        };
        let ends = vec![PhysAddr::new(0x18 << 12)];
        let fits = Fits { window: range(8, 0x100), bytes: n << 12, shuns: shuns_touching.then_some(ends) };
        assert_eq!(fits.lowest(next).map(|at| at.get() >> 12), expected, "{n} pages");
    }

    #[test]
    fn the_lowest_block_that_is_large_enough_is_found() {
        check(1, false, Some(8));
        check(2, false, Some(8));
        check(3, false, Some(0xc));
        check(4, false, Some(0xc));
        check(5, false, None);
    }

    #[test]
    fn a_block_that_would_end_at_a_reservation_is_shunned_but_not_at_the_end_of_memory() {
        check(1, true, Some(8));
        check(2, true, Some(0xc));
        check(4, true, Some(0x14));
    }
}
