// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linux-6-1` against what was worked out for Debian's kernel on 80 machines of QEMU's, before any of them was
//! booted: the ranges in order, the pages of the pool, those of memblock, and the counters of `/proc/meminfo`. The
//! counters of the boots that were kept since are those of the kernel; the rest of these is held to it elsewhere.

#[cfg(test)]
mod tests {
    use linux_6_1::Linux6_1;
    use pgtlab_core::addr::PfnRange;
    use pgtlab_core::build::{Built, CallSpace, End, Record, Watch, boot};
    use pgtlab_core::event::Event;
    use pgtlab_core::geometry::Level;
    use pgtlab_core::layout::Layout;
    use pgtlab_core::strategy::{
        Boot, Context, LeafQuestion, Options, Page, PageQuestion, Piece, Plan, Range, RangeDone, Strategy, TableSpace,
    };
    use std::fmt::Write as _;

    /// A machine a line, and behind it what the kernel is to do there.
    const PREDICTED: &str = include_str!("linux-6.1-under-qemu.txt");

    /// Where the first page of the pool lies in Debian's kernel.
    const POOL: u64 = 0x4401;
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    /// What SeaBIOS keeps at the top of low memory.
    const FIRMWARE: u64 = 0x2_0000;

    /// The strategy, and the pieces of the ranges that it chose.
    #[derive(Default)]
    struct Watched {
        strategy: Linux6_1,
        pieces: Vec<Piece>,
    }

    impl Strategy for Watched {
        fn boot(&mut self, cx: &mut Context<'_>) -> Boot {
            self.strategy.boot(cx)
        }

        fn plan(&mut self, cx: &mut Context<'_>) -> Plan {
            let plan = self.strategy.plan(cx);
            if let Plan::Map(range) = &plan {
                self.pieces.extend(&range.pieces);
            }
            plan
        }

        fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> TableSpace {
            self.strategy.table_space(cx, range)
        }

        fn page(&mut self, cx: &mut Context<'_>, question: &PageQuestion) -> Page {
            self.strategy.page(cx, question)
        }

        fn leaf(&mut self, cx: &Context<'_>, question: &LeafQuestion) -> Option<PfnRange> {
            self.strategy.leaf(cx, question)
        }

        fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) {
            self.strategy.range_done(cx, done);
        }
    }

    /// A machine of QEMU's, from the words that name it: `pc -m 1024 initrd=none/elsewhere gb=0 nokaslr`.
    struct Guest {
        layout: Layout,
        is_random: bool,
    }

    fn watch(layout: &Layout, options: [(&str, &str); 3]) -> (Built, Vec<Piece>) {
        let mut watched = Watched::default();
        let options = options.into_iter().fold(Options::default(), |all, (key, value)| all.with(key, value));
        watched.strategy.configure(&options);
        let built = boot(layout, &mut watched, Watch::ALL).expect("it holds together");
        assert_eq!(built.end, End::Completed, "{}", layout.render());
        (built, watched.pieces)
    }

    impl Guest {
        fn parse(text: &str) -> Option<Self> {
            let (machine, rest) = text.split_once(" -m ")?;
            let (memory, rest) = rest.trim_start().split_once(" initrd=")?;
            let (ramdisk, rest) = rest.split_once(" gb=")?;
            let (gbpages, kaslr) = rest.split_once(' ')?;
            let bytes = memory.parse::<u64>().ok()? * MIB;
            // How much lies below 4 GiB where not all of it does.
            let (most, low) = match machine.trim_end() {
                "pc" => (0xe000_0000, 3 * GIB),
                "q35" => (0xb000_0000, 2 * GIB),
                _ => return None,
            };
            let low = if most <= bytes { low } else { bytes };
            let end = low - FIRMWARE;
            let mut layout = format!("e820 0 9fc00 1\ne820 100000 {end:x} 1\ne820 {end:x} {low:x} 2\n");
            if low < bytes {
                writeln!(layout, "e820 100000000 {:x} 1", 4 * GIB + bytes - low).ok()?;
            }
            writeln!(layout, "kernel 1000000 {:x}\ngbpages {gbpages}\nreserve 0 100000 BIOS", POOL << 12).ok()?;
            match ramdisk {
                "none/elsewhere" => {}
                "top of low RAM" => writeln!(layout, "reserve {:x} {end:x} RAMDISK", end - 32 * MIB).ok()?,
                _ => return None,
            }
            let layout = Layout::parse(&layout, "guest").ok()?;
            Some(Self { layout, is_random: kaslr == "kaslr" })
        }

        /// What happens, in the words of the predictions.
        fn told(&self) -> String {
            let kaslr = if self.is_random { "true" } else { "false" };
            let options = [("kaslr", kaslr), ("first_p2m_pfn", "0"), ("nr_p2m_frames", "0")];
            let (built, pieces) = watch(&self.layout, options);
            let mut calls = built.records.iter().filter_map(|record| match record {
                Record::Call { range, space: CallSpace::PageByPage { brk_end, .. }, .. } => Some((*range, *brk_end)),
                _ => None,
            });
            let ranges: Vec<String> = calls
                .clone()
                .map(|(range, _)| format!("{:x}-{:x}", range.start, range.end.saturating_sub(1)))
                .collect();
            let real_end = calls.nth(1).expect("more than the first MiB").0.end;
            let brk_end = calls.next_back().expect("more than two ranges").1.get();
            let taken = built.events.iter().filter_map(|noted| match noted.event {
                Event::Taken { page, is_reserved: true, .. } => Some(format!("{:x}", page.get() << 12)),
                _ => None,
            });
            let memblock = taken.collect::<Vec<_>>().join(",");
            let [k4, m2, g1] = counters(&built, &pieces);
            format!(
                "real_end {real_end:x} | {} | BRK {} of 16, memblock {} | DirectMap4k {k4} kB 2M {m2} kB 1G {g1} kB",
                ranges.join(" "),
                brk_end - POOL,
                if memblock.is_empty() { "-" } else { &memblock },
            )
        }
    }

    /// What the kernel counts, in kB: a leaf that is there already is counted again by each piece that meets it, and a
    /// page of 4 KiB is counted though nothing stands behind it. No leaf is ever split, so the leaves in the end are
    /// those that were met.
    fn counters(built: &Built, pieces: &[Piece]) -> [u64; 3] {
        let map = built.map.as_ref().expect("the build is watched");
        let [m2, g1] = [(Level::L2, 512), (Level::L3, 512 * 512)].map(|(level, n)| {
            let met = pieces.iter().flat_map(|piece| map.pages_where(piece.pages, move |leaf| leaf.level == level));
            met.map(|pages| (pages.end.align_up(n).get() - pages.start.align_down(n).get()) * 4).sum()
        });
        let large = pieces.iter().flat_map(|piece| map.pages_where(piece.pages, |leaf| leaf.level != Level::L1));
        let n_large: u64 = large.map(|pages| pages.len()).sum();
        let n_pages: u64 = pieces.iter().map(|piece| piece.pages.len()).sum();
        [(n_pages - n_large) * 4, m2, g1]
    }

    #[test]
    fn every_line_that_was_predicted_comes_out() {
        let mut n_lines = 0;
        for line in PREDICTED.lines() {
            let (guest, expected) = line.split_once(": ").expect("a machine, and what is predicted of it");
            let told = Guest::parse(guest).unwrap_or_else(|| panic!("no machine: {guest}")).told();
            assert_eq!(told, expected, "{guest}");
            n_lines += 1;
        }
        assert_eq!(n_lines, 80);
    }

    /// All but one page of 2 MiB is reserved: the probe fails, and the descent begins at the end.
    #[test]
    fn a_machine_without_two_free_mib_is_mapped_from_its_end() {
        let text =
            "e820 1000 9f000 1\ne820 100000 1f00000 1\nkernel 200000 c00000\nbrk c00000\nreserve c10000 1e01000 X\n";
        let layout = Layout::parse(text, "full").expect("a layout");
        let built = boot(&layout, &mut Linux6_1::default(), Watch::ALL).expect("it holds together");
        let ranges = built.events.iter().filter_map(|noted| match noted.event {
            Event::RangeChosen(pages) => Some((pages.start.get(), pages.end.get())),
            _ => None,
        });
        let expected = [(0, 0x100), (0x1c00, 0x1e00), (0x100, 0x1c00), (0x1e00, 0x1f00)];
        assert_eq!(ranges.collect::<Vec<_>>(), expected, "{:?}", built.end);
    }

    /// What a boot of the kernel counted, and what the strategy makes of the same machine.
    fn kept(text: &str) -> ([u64; 3], [u64; 3]) {
        let after = |key: &str| text.lines().filter_map(|line| line.strip_prefix(key)).collect::<Vec<_>>();
        let layout = Layout::parse(&after("layout ").join("\n"), "kept").expect("a layout");
        let p2m = after("p2m ").first().and_then(|pages| pages.split_once(' '));
        let number = |text: &str| u64::from_str_radix(text, 16).expect("hexadecimal");
        let (first, n) = p2m.map_or((0, 0), |(start, end)| (number(start), number(end) - number(start)));
        let (first, n) = (first.to_string(), n.to_string());
        let (built, pieces) = watch(&layout, [("kaslr", "false"), ("first_p2m_pfn", &first), ("nr_p2m_frames", &n)]);
        let counted =
            after("counted ").first().expect("it is counted").split(' ').map(|n| n.parse::<u64>().expect("decimal"));
        let sizes = [4, 2 << 10, 1 << 20];
        let counted: Vec<u64> = counted.zip(sizes).map(|(n, kib)| n * kib).collect();
        (counted.try_into().expect("three sizes"), counters(&built, &pieces))
    }

    #[test]
    fn the_kernel_counted_its_leaves_as_the_strategy_does() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../snapshots/judge-linux");
        let files = std::fs::read_dir(folder).expect("boots are kept").map(|entry| entry.expect("a file").path());
        let mut n_boots = 0;
        for path in files {
            let (counted, told) = kept(&std::fs::read_to_string(&path).expect("a text"));
            assert_eq!(counted, told, "{}", path.display());
            n_boots += 1;
        }
        assert!(14 <= n_boots, "{n_boots}");
    }
}
