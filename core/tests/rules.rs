// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which rules each strategy breaks, on all golden layouts.

#[cfg(test)]
mod tests {
    use pgtlab_core::build::{Built, End, Watch, boot};
    use pgtlab_core::decide::Decider;
    use pgtlab_core::layout::{Backend, Layout};
    use pgtlab_core::rules::Rule;
    use std::fs;
    use std::path::Path;

    fn layouts() -> Vec<Layout> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let mut paths: Vec<_> = fs::read_dir(dir)
            .expect("the goldens are there")
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "layout"))
            .collect();
        paths.sort();
        let parse = |path: &std::path::PathBuf| {
            Layout::parse(&fs::read_to_string(path).expect("readable"), "golden").expect("a layout")
        };
        paths.iter().map(parse).collect()
    }

    fn boots<D: Decider>(strategy: impl Fn() -> D) -> Vec<(Layout, Built)> {
        let run = |layout: Layout| {
            let built = boot(&layout, &mut strategy(), Watch::RULES).expect("golden layouts hold together");
            (layout, built)
        };
        layouts().into_iter().map(run).collect()
    }

    fn breaks(built: &Built, rule: Rule) -> bool {
        built.findings.iter().any(|finding| finding.rule == rule)
    }

    #[test]
    fn semantic_builder_boots_everything_and_breaks_nothing() {
        let mut wrong = Vec::new();
        for (layout, built) in boots(semantic_builder::SemanticBuilder::default) {
            if built.end != End::Completed || !built.findings.is_empty() {
                let findings: Vec<String> = built.findings.iter().map(ToString::to_string).collect();
                wrong.push(format!("{}: {:?}\n    {}", layout.name, built.end, findings.join("\n    ")));
            }
        }
        assert!(wrong.is_empty(), "{} of 231:\n{}", wrong.len(), wrong[..wrong.len().min(12)].join("\n"));
    }

    #[test]
    fn no_strategy_of_2011_claims_its_tables_in_time() {
        for (layout, built) in boots(reserve_hook::ReserveHook::default) {
            let takes_any = built.measures.is_some_and(|measures| 0 < measures.table_pages);
            assert_eq!(breaks(&built, Rule::Claim), takes_any, "{}", layout.name);
        }
    }

    #[test]
    fn the_hook_returns_every_spare_page_and_the_unfixed_kernel_does_not_under_xen() {
        for (layout, built) in boots(reserve_hook::ReserveHook::default) {
            assert!(!breaks(&built, Rule::Return), "{}", layout.name);
        }
        for (layout, built) in boots(unfixed::Unfixed::default) {
            let is_xen = layout.backend == Backend::Xen;
            assert!(is_xen || !breaks(&built, Rule::Return), "{}", layout.name);
            let is_fault = matches!(&built.end, End::Died { .. });
            assert!(!is_fault || breaks(&built, Rule::Return), "{}", layout.name);
        }
    }

    #[test]
    fn the_revert_reaches_every_table_and_runs_out_of_room_on_18() {
        for (layout, built) in boots(revert_high_placement::RevertHighPlacement::default) {
            assert!(!breaks(&built, Rule::Reach), "{}", layout.name);
            let expected = layout.name.starts_with("18-");
            assert_eq!(breaks(&built, Rule::Progress), expected || breaks(&built, Rule::Progress), "{}", layout.name);
            assert!(!expected || matches!(built.end, End::Died { .. }), "{}", layout.name);
        }
    }
}
