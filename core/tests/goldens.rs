// SPDX-License-Identifier: MIT OR Apache-2.0
//! The strategies that reproduce a kernel version against what that version's own code does: 231 layouts,
//! byte for byte from the second line on.

#[cfg(test)]
mod tests {
    use pgtlab_core::build::{Watch, boot};
    use pgtlab_core::decide::Decider;
    use pgtlab_core::layout::Layout;
    use pgtlab_core::trace;
    use std::fs;
    use std::path::Path;

    fn golden_dir() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
    }

    #[track_caller]
    fn check_version<D: Decider>(version: &str, strategy: impl Fn() -> D) {
        let mut stems: Vec<String> = fs::read_dir(golden_dir())
            .expect("the goldens are there")
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.strip_suffix(".layout").map(str::to_owned))
            .collect();
        stems.sort();
        assert_eq!(stems.len(), 231);
        let mut differing = Vec::new();
        for stem in &stems {
            let read =
                |suffix: &str| fs::read_to_string(golden_dir().join(format!("{stem}.{suffix}"))).expect("a golden");
            let layout = Layout::parse(&read("layout"), stem).expect("golden layouts parse");
            let expected = read(&format!("{version}.trace"));
            let built = boot(&layout, &mut strategy(), Watch::RULES).expect("golden layouts hold together");
            let got = trace::render(version, &layout, &built);
            if let Some(difference) = first_difference(&expected, &got) {
                differing.push(format!("{stem}: {difference}"));
            }
        }
        assert!(
            differing.is_empty(),
            "{} of 231 differ:\n{}",
            differing.len(),
            differing[..differing.len().min(12)].join("\n")
        );
    }

    fn first_difference(expected: &str, got: &str) -> Option<String> {
        let (mut expected, mut got) = (expected.trim_end().lines(), got.trim_end().lines());
        let mut line = 0;
        loop {
            line += 1;
            match (expected.next(), got.next()) {
                (None, None) => return None,
                (expected, got) if expected == got => {}
                (expected, got) => return Some(format!("line {line}\n  expected {expected:?}\n  got      {got:?}")),
            }
        }
    }

    #[test]
    fn unfixed_is_the_kernel_without_a_fix() {
        check_version("unfixed", unfixed::Unfixed::default);
    }

    #[test]
    fn the_fixup_is_the_kernel_with_the_workaround() {
        check_version("workaround", xen_mmu_rw_fixup::XenMmuRwFixup::default);
    }

    #[test]
    fn the_revert_is_the_kernel_with_low_placement() {
        check_version("revert", revert_high_placement::RevertHighPlacement::default);
    }

    #[test]
    fn the_hook_is_the_kernel_with_the_hook() {
        check_version("hook", reserve_hook::ReserveHook::default);
    }

    #[test]
    fn linux_2_6_38_is_the_kernel_before_the_high_placement() {
        check_version("v2.6.38", linux_2_6_38::Linux2_6_38::default);
    }

    #[test]
    fn linux_2_6_39_rc5_is_the_kernel_that_masks_used_pages_alone() {
        check_version("rc5", linux_2_6_39_rc5::Linux2_6_39Rc5::default);
    }

    #[test]
    fn linux_3_8_is_the_last_kernel_with_a_buffer() {
        check_version("v3.8", linux_3_8::Linux3_8::default);
    }

    #[test]
    fn linux_3_9_is_the_kernel_that_maps_from_the_top_down() {
        check_version("v3.9", linux_3_9::Linux3_9::default);
    }

    #[test]
    fn reserve_all_is_the_kernel_with_one_word_changed() {
        check_version("reserve-all", reserve_all::ReserveAll::default);
    }
}
