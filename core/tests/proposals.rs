// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the proposals that were not taken promise, each against the kernel it changes.

#[cfg(test)]
mod golden_layouts;

#[cfg(test)]
mod tests {
    use super::golden_layouts::boots;
    use pgtlab_core::addr::{PfnRange, PhysRange};
    use pgtlab_core::build::{Built, End, Record, Watch, boot};
    use pgtlab_core::decide::Decider;
    use pgtlab_core::event::Event;
    use pgtlab_core::layout::{Backend, Layout};

    fn hook() -> Box<dyn Decider> {
        Box::new(reserve_hook::ReserveHook::default())
    }

    #[test]
    fn exact_size_boots_everything_with_as_many_tables_as_the_hook_and_no_page_to_spare() {
        let exact = boots(|| Box::new(exact_size::ExactSize::default()));
        for ((layout, built), (_, hook)) in exact.into_iter().zip(boots(hook)) {
            assert_eq!(built.end, End::Completed, "{}", layout.name);
            let (measures, of_hook) = (built.measures.expect("it was built"), hook.measures.expect("it was built"));
            assert_eq!(measures.spare_pages, 0, "{}", layout.name);
            assert_eq!(measures.left_read_only, 0, "{}", layout.name);
            assert_eq!(measures.table_pages, of_hook.table_pages, "{}", layout.name);
        }
    }

    /// What a boot leaves behind, without the lines it prints.
    fn left_behind(built: &Built) -> String {
        let records = built.records.iter().filter(|record| !matches!(record, Record::Printk(_)));
        let records: Vec<_> = records.collect();
        format!("{:?} {records:?} {:?} {:?} {:?}", built.end, built.map, built.reserved, built.findings)
    }

    #[test]
    fn the_branch_leaves_what_the_hook_leaves_and_asks_whose_the_mmu_is() {
        let branch = boots(|| Box::new(xen_branch::XenBranch::default()));
        for ((layout, built), (_, hook)) in branch.into_iter().zip(boots(hook)) {
            assert!(left_behind(&built) == left_behind(&hook), "{}", layout.name);
            assert!(built.asked_backend, "{}", layout.name);
        }
    }

    #[test]
    fn node_local_dies_under_xen_where_the_unfixed_kernel_dies() {
        let local = boots(|| Box::new(node_local::NodeLocal::default()));
        for ((layout, built), (_, unfixed)) in local.into_iter().zip(boots(|| Box::new(unfixed::Unfixed::default()))) {
            let stage = |built: &Built| match built.end {
                End::Died { stage, .. } => Some(stage),
                _ => None,
            };
            assert!(layout.backend != Backend::Xen || stage(&built) == stage(&unfixed), "{}", layout.name);
        }
    }

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
    fn without_it_all_of_them_lie_on_the_last_node() {
        let layout = Layout::parse(FOUR_NODES, "nodes").expect("a layout");
        let ranges = tables_by_range(&layout, unfixed::Unfixed::default());
        let last = layout.nodes.last().expect("there are four");
        assert!(ranges[1].1.iter().all(|table| last.range.covers(*table)));
    }
}
