// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where tables lie on machines with NUMA nodes: `node-local`, and the option of `semantic-builder`.

#[cfg(test)]
mod tests {
    use pgtlab_core::addr::{PfnRange, PhysRange};
    use pgtlab_core::build::{Built, End, Watch, boot};
    use pgtlab_core::decide::Decider;
    use pgtlab_core::event::Event;
    use pgtlab_core::layout::{Layout, Node};
    use pgtlab_core::strategy::{Options, Strategy};
    use proptest::prelude::*;
    use semantic_builder::SemanticBuilder;

    /// Four nodes, one with a hole in it and one that lies below and above 4 GiB; 4K leaves.
    const FOUR_NODES: &str = "e820 1000 9f000 1
e820 100000 c0000000 1
e820 100000000 240000000 1
e820 260000000 500000000 1
kernel 1000000 1f00000
node 0 0 140000000
node 1 140000000 300000000
node 2 300000000 400000000
node 3 400000000 500000000
pse 0
";

    /// For each range, its pages and the table pages taken for it.
    fn tables_by_range(layout: &Layout, mut strategy: impl Decider) -> Vec<(PfnRange, Vec<PhysRange>)> {
        let built = boot(layout, &mut strategy, Watch::ALL).expect("it holds together");
        ranges_of(layout, &built)
    }

    fn ranges_of(layout: &Layout, built: &Built) -> Vec<(PfnRange, Vec<PhysRange>)> {
        let mut ranges: Vec<(PfnRange, Vec<PhysRange>)> = Vec::new();
        for noted in &built.events {
            match noted.event {
                Event::RangeChosen(pages) => ranges.push((pages, Vec::new())),
                Event::Taken { page, .. } => {
                    let (_, tables) = ranges.last_mut().expect("pages are taken for a range");
                    tables.push(layout.geometry.bytes(PfnRange::new(page, page.saturating_add(1))));
                }
                _ => {}
            }
        }
        ranges
    }

    #[test]
    fn tables_for_memory_above_4_gib_lie_on_the_node_of_that_memory() {
        let golden = include_str!("golden/20-xen-2nodes-12g.layout");
        for (text, n_ranges) in [(FOUR_NODES, 6), (golden, 3)] {
            let layout = Layout::parse(text, "nodes").expect("a layout");
            let ranges = tables_by_range(&layout, node_local::NodeLocal::default());
            assert_eq!(ranges.len(), n_ranges, "low memory, then each region of each node");
            for (pages, tables) in &ranges[1..] {
                let bytes = layout.geometry.bytes(*pages);
                let node = layout.nodes.iter().find(|node| node.range.covers(bytes)).expect("one node's memory");
                assert!(!tables.is_empty() && tables.iter().all(|table| node.range.covers(*table)), "{bytes:x?}");
            }
        }
    }

    #[test]
    fn unfixed_puts_all_of_them_on_the_last_node() {
        let layout = Layout::parse(FOUR_NODES, "nodes").expect("a layout");
        let ranges = tables_by_range(&layout, unfixed::Unfixed::default());
        let last = layout.nodes.last().expect("there are four");
        assert!(ranges[1].1.iter().all(|table| last.range.covers(*table)));
    }

    fn semantic(is_node_local: bool) -> SemanticBuilder {
        let mut strategy = SemanticBuilder::default();
        strategy.configure(&Options::default().with("node_local", if is_node_local { "true" } else { "false" }));
        strategy
    }

    fn build(layout: &Layout, is_node_local: bool) -> Built {
        let built = boot(layout, &mut semantic(is_node_local), Watch::ALL).expect("it holds together");
        assert_eq!(built.end, End::Completed, "{}", layout.render());
        assert!(built.findings.is_empty(), "{:?} on {}", built.findings, layout.render());
        built
    }

    /// How many tables lie on another node than the memory for which they were taken: those taken while
    /// nothing of the node was mapped, and those taken later.
    fn tables_elsewhere(layout: &Layout, built: &Built, mapped_at_first: PhysRange) -> [usize; 2] {
        let owner = |bytes: PhysRange| layout.nodes.iter().rfind(|node| node.range.overlaps(bytes));
        let mut mapped = vec![mapped_at_first];
        let mut elsewhere = [0; 2];
        for (pages, tables) in ranges_of(layout, built) {
            let bytes = layout.geometry.bytes(pages);
            let Some(node) = owner(bytes) else { continue };
            let is_same = |other: &&Node| other.id == node.id;
            let is_begun =
                mapped.iter().any(|part| layout.nodes.iter().filter(is_same).any(|node| node.range.overlaps(*part)));
            let is_home = |table: &&PhysRange| owner(**table).is_some_and(|owner| owner.id == node.id);
            elsewhere[usize::from(is_begun)] += tables.iter().filter(|table| !is_home(table)).count();
            mapped.push(bytes);
        }
        elsewhere
    }

    #[track_caller]
    fn check_semantic(text: &str, [default, node_local]: [usize; 2]) {
        let layout = Layout::parse(text, "nodes").expect("a layout");
        let mapped = PhysRange::from_numbers(0, if text.contains("xen_mapped") { 0x1000_0000 } else { 0x4000_0000 });
        let (plain, local) = (build(&layout, false), build(&layout, true));
        let n_elsewhere: usize = tables_elsewhere(&layout, &plain, mapped).iter().sum();
        assert_eq!(n_elsewhere, default, "by default");
        assert_eq!(tables_elsewhere(&layout, &local, mapped), [node_local, 0], "with tables on nodes");
        let (plain, local) = (plain.measures.expect("it was built"), local.measures.expect("it was built"));
        assert_eq!(plain.table_pages, local.table_pages, "no table more");
        assert_eq!(plain.crashkernel_room_bytes, local.crashkernel_room_bytes);
    }

    #[test]
    fn with_node_local_only_the_first_tables_of_a_node_lie_elsewhere() {
        check_semantic(FOUR_NODES, [7952, 6]);
        check_semantic(include_str!("golden/20-xen-2nodes-12g.layout"), [4559, 2]);
        let on_a_leaf = "e820 1000 9f000 1\ne820 100000 80000000 1\ne820 100000000 1100000000 1\nkernel 1000000 1f00000\n\
                         node 0 0 880000000\nnode 1 880000000 1100000000\n";
        check_semantic(on_a_leaf, [64, 1]);
        check_semantic(&format!("{on_a_leaf}gbpages 1\n"), [0, 0]);
    }

    /// No step of such a node brings a page for tables, so none is taken for that alone.
    #[test]
    fn a_node_that_is_all_room_for_a_crash_kernel_takes_few_ranges() {
        let text = "e820 100000 33c00000 1\ne820 33fe7000 4b100000 1\nkernel 1000000 1580000\npse 0\n\
                    node 1 19100000 32200000\n";
        let layout = Layout::parse(text, "room").expect("a layout");
        assert_eq!(ranges_of(&layout, &build(&layout, true)).len(), 7);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn node_local_breaks_no_rule_and_makes_no_table_more(
            starts in prop::collection::vec(0u64..0x30_0000, 1..5),
            gib in 5u64..64,
            [pse, gbpages] in any::<[bool; 2]>(),
        ) {
            let mut borders: Vec<u64> = starts.into_iter().map(|page| (page << 12).min(gib << 30)).collect();
            borders.extend([0, gib << 30]);
            borders.sort_unstable();
            borders.dedup();
            let mut text = format!("e820 1000 9f000 1\ne820 100000 c0000000 1\ne820 100000000 {:x} 1\n", gib << 30);
            text += &format!("kernel 1000000 1f00000\npse {}\ngbpages {}\n", u8::from(pse), u8::from(gbpages));
            for (id, pair) in borders.windows(2).enumerate() {
                text += &format!("node {id} {:x} {:x}\n", pair[0], pair[1]);
            }
            let native = Layout::parse(&text, "random").expect("a layout");
            let xen = pgtlab_core::bootlog::derive_xen(&native).expect("there is room");
            for layout in [native, xen] {
                let pages = |is_node_local| build(&layout, is_node_local).measures.map(|measures| measures.table_pages);
                prop_assert_eq!(pages(false), pages(true));
            }
        }
    }
}
