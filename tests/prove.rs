// SPDX-License-Identifier: MIT OR Apache-2.0
//! The semantic builder on every machine of a small family and on machines drawn at random; and what the
//! others fail on, with the smallest machine for each.

#[cfg(test)]
mod tests {
    use pgtlab::matrix;
    use pgtlab::prove::family::{Family, Member};
    use pgtlab::prove::needed::n_tables;
    use pgtlab::prove::random::Drawn;
    use pgtlab::prove::tally::Tally;
    use pgtlab_core::build::{Watch, boot};
    use pgtlab_core::layout::Layout;
    use semantic_builder::SemanticBuilder;
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    fn make(_: &Layout) -> Result<SemanticBuilder, ()> {
        Ok(SemanticBuilder::default())
    }

    #[test]
    fn the_semantic_builder_fails_on_no_machine_of_the_family() {
        let family = Family::new(6).expect("a small family");
        let tally = Tally::of((0..family.len()).filter_map(|index| family.member(index)), make);
        assert_eq!(tally.n, 3_u64.pow(6) * 16 * 5);
        assert_eq!(tally.n, family.len());
        assert_eq!(tally.failures, [].into());
        assert_eq!(tally.n_boots + tally.n_unmappable, tally.n);
    }

    /// Maps single pages in separate regions that pay for their tables only together.
    #[test]
    fn pieces_that_share_a_table_are_mapped_together_where_none_pays_for_it_alone() {
        let member = Member::named("tiny-8/64866").expect("a member");
        let tally = Tally::of(std::iter::once(member), make);
        assert_eq!((tally.n_boots, tally.failures), (1, [].into()));
    }

    #[test]
    fn the_semantic_builder_fails_on_no_machine_drawn_at_random() {
        let tally = Tally::of((0..600).map(|number| Drawn { seed: 2011, number }), make);
        assert!(500 < tally.n, "only {} machines", tally.n);
        assert_eq!(tally.failures, [].into());
        assert_eq!(tally.n_boots, tally.n);
    }

    /// The count is made without the builder; natively and under Xen, on all golden layouts.
    #[test]
    fn the_semantic_builder_makes_exactly_the_tables_that_are_needed() {
        let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("core/tests/golden");
        let is_layout = |path: &Path| path.extension().is_some_and(|extension| extension == "layout");
        let files = fs::read_dir(goldens).expect("the goldens are there").filter_map(|entry| Some(entry.ok()?.path()));
        let mut wrong = Vec::new();
        let mut n = 0;
        for path in files.filter(|path| is_layout(path)) {
            let text = fs::read_to_string(&path).expect("a golden");
            let layout = Layout::parse(&text, "golden").expect("golden layouts parse");
            let built = boot(&layout, &mut SemanticBuilder::default(), Watch::RULES).expect("it holds together");
            let made = built.measures.expect("it boots").table_pages;
            let needed = n_tables(&layout, &built.boot);
            if made != needed {
                wrong.push(format!("{}: {made} made, {needed} needed", layout.name));
            }
            n += 1;
        }
        assert_eq!(n, 231);
        assert!(wrong.is_empty(), "{} of 231:\n{}", wrong.len(), wrong.join("\n"));
    }

    /// What `pgtlab prove` says of each strategy, and why the smallest machine fails.
    #[test]
    fn every_other_strategy_has_a_smallest_counterexample() {
        for contestant in matrix::in_tree().expect("the strategies of the tree were built") {
            let run = |arguments: &[&str]| {
                let output =
                    Command::new(env!("CARGO_BIN_EXE_pgtlab")).args(arguments).output().expect("the program starts");
                (output.status.code(), String::from_utf8(output.stdout).expect("text"))
            };
            let (code, told) = run(&["prove", &contestant.name, "--frames", "4"]);
            assert_eq!(code, Some(i32::from(contestant.name != "semantic-builder")), "{told}");
            let mut text = told.clone();
            if let Some(command) = told.lines().find_map(|line| line.split_once("pgtlab explain ")).map(|found| found.1)
            {
                let words: Vec<&str> = std::iter::once("explain").chain(command.split(' ')).collect();
                text = format!("{told}\n{}", run(&words).1);
            }
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots/prove"));
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings.set_description(format!("{} on every machine of a small family", contestant.name));
            settings.bind(|| insta::assert_snapshot!(contestant.name.as_str(), text));
        }
    }
}
