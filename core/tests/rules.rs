// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which rules each kernel version and each fix of the thread breaks, on all golden layouts: exactly there
//! and nowhere else.

#[cfg(test)]
mod broken_on;
#[cfg(test)]
mod golden_layouts;

#[cfg(test)]
mod tests {
    use super::broken_on::*;
    use super::golden_layouts::boots;
    use pgtlab_core::build::{Built, Death, End};
    use pgtlab_core::decide::Decider;
    use pgtlab_core::layout::Layout;
    use pgtlab_core::rules::Rule;
    use pgtlab_core::strategy::Stage;

    /// Where a rule is expected to break.
    type Where = fn(&Layout, &Built) -> bool;

    /// The kernel breaks each rule, in the order of [`Rule::ALL`], on those golden layouts and on no other; and
    /// it gives up itself exactly where Progress breaks.
    #[track_caller]
    fn check(kernel: impl Fn() -> Box<dyn Decider>, expected: [Where; 7]) {
        let mut wrong = Vec::new();
        for (layout, built) in boots(kernel) {
            let breaks = |rule: Rule| built.findings.iter().any(|finding| finding.rule == rule);
            for (rule, is_expected) in Rule::ALL.into_iter().zip(expected) {
                let is_broken = breaks(rule);
                if is_broken != is_expected(&layout, &built) {
                    let is = if is_broken { "broken" } else { "kept" };
                    wrong.push(format!("{}: {} is {is}", layout.name, rule.name()));
                }
            }
            let panics = matches!(built.end, End::Died { death: Death::Panic, .. });
            assert_eq!(panics, breaks(Rule::Progress), "{}", layout.name);
        }
        assert!(wrong.is_empty(), "{} cells:\n{}", wrong.len(), wrong.join("\n"));
    }

    #[test]
    fn the_semantic_builder_boots_everything_and_breaks_nothing() {
        for (layout, built) in boots(|| Box::new(semantic_builder::SemanticBuilder::default())) {
            assert_eq!(built.end, End::Completed, "{}", layout.name);
            assert_eq!(built.findings, [], "{}", layout.name);
        }
    }

    #[test]
    fn linux_2_6_38_reaches_its_tables_and_runs_out_of_room_on_18() {
        check(
            || Box::new(linux_2_6_38::Linux2_6_38),
            [never, never, taking_any, never, with_any_hole, with_little_low_memory, with_a_spare_part],
        );
    }

    #[test]
    fn the_revert_reaches_its_tables_and_runs_out_of_room_on_18() {
        check(
            || Box::new(revert_high_placement::RevertHighPlacement::default()),
            [
                never,
                never,
                taking_any,
                never,
                with_a_hole_the_p2m_does_not_know,
                with_little_low_memory,
                with_a_spare_part,
            ],
        );
    }

    #[test]
    fn rc5_breaks_guard_wherever_xen_refuses_it_a_table() {
        check(
            || Box::new(linux_2_6_39_rc5::Linux2_6_39Rc5::default()),
            [
                taking_what_is_not_mapped,
                refused,
                taking_any,
                never,
                with_a_hole_the_p2m_does_not_know,
                never,
                with_a_spare_part,
            ],
        );
    }

    #[test]
    fn rc5_breaks_guard_as_it_takes_the_page_that_xen_will_refuse() {
        let mut n_refused = 0;
        for (layout, built) in boots(|| Box::new(linux_2_6_39_rc5::Linux2_6_39Rc5::default())) {
            let End::Died { death: Death::Bug, text, .. } = &built.end else { continue };
            let guard = built.findings.iter().find(|finding| finding.rule == Rule::Guard).expect("it is broken");
            assert_eq!(guard.stage, Stage::Page, "{}: {guard}", layout.name);
            assert!(text.contains(&format!("pfn {:x} wanted as L1 table", guard.page)), "{}: {guard}", layout.name);
            n_refused += 1;
        }
        assert_eq!(n_refused, 83);
    }

    #[test]
    fn unfixed_leaves_a_read_only_spare_part_under_xen_and_the_fixup_mends_it_too_late() {
        let expected = [
            taking_what_is_not_mapped,
            never,
            taking_any,
            on_xen,
            with_a_hole_the_p2m_does_not_know,
            never,
            with_a_spare_part,
        ];
        check(|| Box::new(unfixed::Unfixed::default()), expected);
        check(|| Box::new(xen_mmu_rw_fixup::XenMmuRwFixup::default()), expected);
    }

    #[test]
    fn the_hook_returns_every_spare_page() {
        check(
            || Box::new(reserve_hook::ReserveHook::default()),
            [
                taking_what_is_not_mapped,
                never,
                taking_any,
                never,
                with_a_hole_the_p2m_does_not_know,
                never,
                with_a_spare_part,
            ],
        );
    }

    #[test]
    fn reserve_all_keeps_every_spare_page_on_either_back_end() {
        check(
            || Box::new(reserve_all::ReserveAll::default()),
            [
                taking_what_is_not_mapped,
                never,
                taking_any,
                with_a_spare_part_reserved,
                with_a_hole_the_p2m_does_not_know,
                never,
                with_a_spare_part,
            ],
        );
    }

    #[test]
    fn linux_3_8_counts_too_few_pages_where_a_high_range_starts_unevenly() {
        check(
            || Box::new(linux_3_8::Linux3_8),
            [
                never,
                never,
                taking_any,
                never,
                with_a_low_hole,
                with_little_low_memory_or_an_uneven_start,
                with_a_spare_part,
            ],
        );
    }

    #[test]
    fn linux_3_9_claims_in_time_and_outgrows_its_steps() {
        check(
            || Box::new(linux_3_9::Linux3_9::default()),
            [
                never,
                never,
                never,
                never,
                where_a_split_leaf_loses_its_rest,
                where_steps_outgrow_what_is_mapped,
                with_a_rest_of_the_pool,
            ],
        );
    }

    #[test]
    fn exact_size_has_no_spare_part_and_is_the_hook_otherwise() {
        check(
            || Box::new(exact_size::ExactSize::default()),
            [taking_what_is_not_mapped, never, taking_any, never, with_a_hole_the_p2m_does_not_know, never, never],
        );
    }

    #[test]
    fn node_local_is_unfixed_with_other_ranges() {
        check(
            || Box::new(node_local::NodeLocal::default()),
            [
                taking_what_is_not_mapped,
                never,
                taking_any,
                on_xen,
                with_a_low_hole,
                with_two_uneven_ends,
                with_a_spare_part,
            ],
        );
    }
}
