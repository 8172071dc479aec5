// SPDX-License-Identifier: MIT OR Apache-2.0
//! The semantic builder and the default answers on machines drawn at random: no run ends in a broken
//! rule, and counting tables beforehand agrees with taking them.

#[cfg(test)]
mod tests {
    use pgtlab_core::addr::PfnRange;
    use pgtlab_core::build::{CallSpace, End, Record, Watch, boot};
    use pgtlab_core::layout::Layout;
    use pgtlab_core::strategy::{Context, Range, RangeDone, Strategy, TableSpace};
    use proptest::prelude::*;

    /// Mixed runs of RAM and holes above a first block that holds the kernel; lengths in pages.
    fn machine() -> impl Strategy_<Value = String> {
        let block = (1u64..0x60000, 0u64..0x3000, any::<bool>());
        (prop::collection::vec(block, 1..7), any::<[bool; 3]>(), 0x8000u64..0x40000).prop_map(
            |(blocks, [pse, gbpages, nx], first)| {
                let mut text = format!("e820 1000 9f000 1\ne820 100000 {:x} 1\n", first << 12);
                let mut at = first;
                for (len, hole, is_reserved) in blocks {
                    let start = at + hole;
                    if is_reserved && 0 < hole {
                        text += &format!("e820 {:x} {:x} 2\n", at << 12, start << 12);
                    }
                    text += &format!("e820 {:x} {:x} 1\n", start << 12, (start + len) << 12);
                    at = start + len;
                }
                text += "kernel 1000000 1f00000\nreserve 203b000 2c3a000 RAMDISK\ntrampoline 1\n";
                text + &format!("pse {}\ngbpages {}\nnx {}\n", u8::from(pse), u8::from(gbpages), u8::from(nx))
            },
        )
    }

    use proptest::strategy::Strategy as Strategy_;

    fn as_xen(text: &str) -> Option<Layout> {
        let native = Layout::parse(text, "random").expect("the generator makes layouts");
        pgtlab_core::bootlog::derive_xen(&native).ok()
    }

    fn check_semantic(layout: &Layout) {
        let built =
            boot(layout, &mut semantic_builder::SemanticBuilder::default(), Watch::RULES).expect("it holds together");
        let findings: Vec<String> = built.findings.iter().map(ToString::to_string).collect();
        assert_eq!(built.end, End::Completed);
        assert!(findings.is_empty(), "{findings:?}");
    }

    /// Answers a buffer of exactly as many pages as were counted.
    #[derive(Default)]
    struct Exact {
        high: bool,
    }

    impl Strategy for Exact {
        fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> TableSpace {
            let n = cx.tables_needed(range);
            let end = if self.high { range.pages.end } else { cx.facts().max_pfn_mapped };
            match cx.find_free_pages(PfnRange::new(Default::default(), end), n.max(1)) {
                Some(pages) => TableSpace::Buffer(PfnRange::new(pages.start, pages.start.saturating_add(n))),
                None => TableSpace::Panic("no room".to_owned()),
            }
        }

        fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) {
            cx.reserve_pages(done.buf.used(), "PGTABLE");
            cx.set_max_pfn_mapped(done.last_mapped);
        }
    }

    #[test]
    fn a_layout_whose_boot_tables_overlap_is_refused_and_not_blamed_on_the_strategy() {
        let text = "e820 100000 40000000 1\nkernel 1000000 1f00000\nxen_mfn_list 2c3a000\nxen_pt 1ef8000 33\n\
                    xen_mapped 3800000\nxen 1\n";
        let layout = Layout::parse(text, "overlap").expect("each line is sound");
        let conflict =
            boot(&layout, &mut semantic_builder::SemanticBuilder::default(), Watch::ALL).expect_err("overlap");
        assert_eq!(conflict.to_string(), "the boot tables cannot be laid out: two tables at pfn 1efb");
    }

    #[test]
    fn the_semantic_builder_leaves_at_least_the_hooks_room_for_a_crash_kernel() {
        let goldens = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let files =
            std::fs::read_dir(goldens).expect("the goldens are there").filter_map(|entry| Some(entry.ok()?.path()));
        let mut n = 0;
        for path in files.filter(|path| path.extension().is_some_and(|extension| extension == "layout")) {
            let text = std::fs::read_to_string(&path).expect("a golden");
            let layout = Layout::parse(&text, "golden").expect("golden layouts parse");
            let semantic = boot(&layout, &mut semantic_builder::SemanticBuilder::default(), Watch::RULES);
            let hook = boot(&layout, &mut reserve_hook::ReserveHook::default(), Watch::RULES);
            let room =
                |built: pgtlab_core::build::Built| built.measures.map(|measures| measures.crashkernel_room_bytes);
            let (semantic, hook) = (room(semantic.expect("it holds together")), room(hook.expect("it holds together")));
            assert!(hook <= semantic, "{}: {semantic:?} under {hook:?}", layout.name);
            n += 1;
        }
        assert_eq!(n, 231);
    }

    /// Nothing is mapped but one block below the crash-kernel line, and memory above it needs tables.
    #[test]
    fn of_the_crash_kernels_room_only_one_step_above_the_line_is_paid() {
        let text = "e820 100000 30000000 1\ne820 100000000 1100000000 1\nkernel 100000 1f00000\npse 0\n";
        let layout = Layout::parse(text, "low").expect("a layout");
        let built = boot(&layout, &mut semantic_builder::SemanticBuilder::default(), Watch::RULES);
        let measures = built.expect("it holds together").measures.expect("it was built");
        // Levels 1 and 2 for the first 2 MiB at 4 GiB.
        assert_eq!(measures.crashkernel_room_bytes, 0x3000_0000 - 0x1f0_0000 - 2 * 0x1000);
    }

    /// Kernel images whose page tables lie in the leaf of the boot map that the first MiB splits.
    #[test]
    fn a_kernel_below_2_mib_keeps_its_page_tables_mapped() {
        for end in ["108000", "120000", "180000", "200000", "300000"] {
            let text = format!("e820 1000 a0000 1\ne820 100000 40000000 1\nkernel 100000 {end}\n");
            check_semantic(&Layout::parse(&text, end).expect("a layout"));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn the_semantic_builder_breaks_no_rule(text in machine()) {
            check_semantic(&Layout::parse(&text, "random").expect("a layout"));
            if let Some(xen) = as_xen(&text) {
                check_semantic(&xen);
            }
        }

        #[test]
        fn as_many_tables_are_taken_as_were_counted(text in machine(), high in any::<bool>()) {
            let native = Layout::parse(&text, "random").expect("a layout");
            // Under Xen a buffer above what is mapped is refused when it is pinned: that is another matter.
            let xen = as_xen(&text).filter(|_| !high);
            for layout in [Some(native), xen].into_iter().flatten() {
                let mut strategy = Exact { high };
                let built = boot(&layout, &mut strategy, Watch::RULES).expect("it holds together");
                for record in &built.records {
                    if let Record::Call { space: CallSpace::Buffer(buf), .. } = record {
                        prop_assert!(buf.spare().is_empty(), "{:?} in {}", buf, layout.render());
                    }
                }
                let died_of = format!("{:?}", built.end);
                prop_assert!(!died_of.contains("ran out of memory"), "{}", layout.render());
            }
        }
    }
}
