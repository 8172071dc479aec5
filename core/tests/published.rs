// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cases that were published in 2011 come out of the model as they were printed.

#[cfg(test)]
mod tests {
    use pgtlab_core::build::{Built, Death, End, Watch, boot};
    use pgtlab_core::decide::Decider;
    use pgtlab_core::layout::Layout;

    /// The domU of 92bdaef7b2c5's message: 7680 MiB, 8 MiB extra, no ACPI.
    const EC2: &str = include_str!("golden/05-xen-ec2-7680m.layout");
    /// The same with an ACPI table mapped in between.
    const WITH_ACPI: &str = include_str!("golden/06-xen-ec2-acpi.layout");

    fn run(text: &str, mut strategy: impl Decider) -> Built {
        let layout = Layout::parse(text, "published").expect("a layout");
        boot(&layout, &mut strategy, Watch::ALL).expect("it holds together")
    }

    #[track_caller]
    fn check_node_data_fault(built: &Built) {
        let expected = End::Died {
            death: Death::Crash,
            stage: "numa",
            text: "NODE_DATA writes pfn 1dfffb of [1dfffb000,1e0000000): direct map not writable".to_owned(),
        };
        assert_eq!(built.end, expected);
    }

    #[test]
    fn the_7680_mib_guest_dies_in_node_data_without_a_fix_and_with_the_fixup() {
        check_node_data_fault(&run(EC2, unfixed::Unfixed::default()));
        check_node_data_fault(&run(EC2, xen_mmu_rw_fixup::XenMmuRwFixup::default()));
    }

    #[test]
    fn it_boots_with_the_hook_the_revert_and_the_semantic_builder() {
        assert_eq!(run(EC2, reserve_hook::ReserveHook::default()).end, End::Completed);
        assert_eq!(run(EC2, revert_high_placement::RevertHighPlacement::default()).end, End::Completed);
        assert_eq!(run(EC2, semantic_builder::SemanticBuilder::default()).end, End::Completed);
    }

    #[test]
    fn an_acpi_mapping_is_all_the_fixup_needs() {
        check_node_data_fault(&run(WITH_ACPI, unfixed::Unfixed::default()));
        assert_eq!(run(WITH_ACPI, xen_mmu_rw_fixup::XenMmuRwFixup::default()).end, End::Completed);
    }

    #[test]
    fn listening_changes_nothing() {
        let layout = Layout::parse(EC2, "published").expect("a layout");
        let quiet = boot(&layout, &mut unfixed::Unfixed::default(), Watch::RULES).expect("it holds together");
        let loud = run(EC2, unfixed::Unfixed::default());
        assert_eq!((quiet.end, quiet.records, quiet.findings), (loud.end, loud.records, loud.findings));
        assert!(!loud.events.is_empty() && quiet.events.is_empty());
    }
}
