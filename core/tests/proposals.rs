// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the proposals that were not taken promise, each against the kernel it changes.

#[cfg(test)]
mod golden_layouts;

#[cfg(test)]
mod tests {
    use super::golden_layouts::boots;
    use pgtlab_core::build::{Built, End, Record};
    use pgtlab_core::decide::Decider;
    use pgtlab_core::layout::Backend;

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
        // A finding's place among the events counts the lines printed before it.
        let findings: Vec<String> = built.findings.iter().map(ToString::to_string).collect();
        format!("{:?} {records:?} {:?} {:?} {findings:?}", built.end, built.map, built.reserved)
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
}
