// SPDX-License-Identifier: MIT OR Apache-2.0
//! A crash kernel is reserved when the tables are built: it moves none of them, and the consumers keep clear of it.
//!
//! ```text
//! built       |--------RAM--------|tables.. spare|      top of RAM
//! then        |--------RAM----|crash kernel------|
//! NODE_DATA               ^ below it, where it would have met the spare pages
//! ```

#[cfg(test)]
mod tests {
    use pgtlab_core::addr::{PhysAddr, PhysRange};
    use pgtlab_core::build::{Built, Death, End, Record, Watch, boot};
    use pgtlab_core::event::{Consumer, Event};
    use pgtlab_core::layout::Layout;
    use pgtlab_core::strategy::Stage;

    const LAYOUT: &str = include_str!("golden/05-xen-ec2-7680m.layout");

    fn boot_with(line: &str) -> Built {
        let layout = Layout::parse(&format!("{LAYOUT}{line}\n"), "golden").expect("a layout");
        boot(&layout, &mut unfixed::Unfixed::default(), Watch { events: true, ..Watch::RULES })
            .expect("it holds together")
    }

    fn calls(built: &Built) -> Vec<&Record> {
        built.records.iter().filter(|record| matches!(record, Record::Call { .. })).collect()
    }

    fn node_data(built: &Built) -> Option<PhysRange> {
        built.events.iter().find_map(|noted| match &noted.event {
            Event::Written { by: Consumer::NodeData, range, .. } => Some(*range),
            _ => None,
        })
    }

    #[test]
    fn a_crash_kernel_moves_no_table_and_is_in_no_measure() {
        let (without, with) = (boot_with(""), boot_with("reserve 1d0000000 1e0000000 crashkernel"));
        assert_eq!(calls(&with), calls(&without));
        assert_eq!(with.measures, without.measures);
        let at = |built: &Built| {
            built.events.iter().find_map(|noted| match &noted.event {
                Event::Reserved { name, .. } if name == "crashkernel" => Some(noted.stage),
                _ => None,
            })
        };
        assert_eq!((at(&without), at(&with)), (None, Some(Stage::BuildDone)));
    }

    #[test]
    fn consumers_keep_clear_of_it() {
        let (without, with) = (boot_with(""), boot_with("reserve 1d0000000 1e0000000 crashkernel"));
        assert!(matches!(without.end, End::Died { death: Death::Crash, .. }), "{:?}", without.end);
        assert_eq!(node_data(&without).map(|range| range.start), Some(PhysAddr::new(0x1_dfff_b000)));
        assert_eq!(with.end, End::Completed);
        assert_eq!(node_data(&with).map(|range| range.end), Some(PhysAddr::new(0x1_d000_0000)));
    }

    #[test]
    fn what_is_reserved_under_another_name_is_reserved_before_the_build() {
        let with = boot_with("reserve 1d0000000 1e0000000 other");
        assert_ne!(calls(&with), calls(&boot_with("")));
    }
}
