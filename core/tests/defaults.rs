// SPDX-License-Identifier: MIT OR Apache-2.0
//! A strategy that changes nothing: where its author starts from boots every machine, on either back end, and
//! knows of neither.

#[cfg(test)]
mod golden_layouts;

#[cfg(test)]
mod tests {
    use super::golden_layouts::boots;
    use pgtlab_core::build::End;
    use pgtlab_core::rules::Rule;
    use pgtlab_core::strategy::Strategy;

    struct Defaults;

    impl Strategy for Defaults {}

    #[test]
    fn the_defaults_boot_every_golden_machine_and_break_cover_at_the_most() {
        for (layout, built) in boots(|| Box::new(Defaults)) {
            assert_eq!(built.end, End::Completed, "{}: {:#?}", layout.name, built.findings);
            assert!(
                built.findings.iter().all(|finding| finding.rule == Rule::Cover),
                "{}: {:#?}",
                layout.name,
                built.findings
            );
            assert!(!built.asked_backend, "{}", layout.name);
            assert_eq!(built.measures.map(|measures| measures.left_read_only), Some(0), "{}", layout.name);
        }
    }
}
