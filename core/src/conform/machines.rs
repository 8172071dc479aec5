// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machines of the kit: a few of the corpus that bring every stage and both back ends into play, and
//! hard ones, which have next to nothing of what a builder needs.

use crate::layout::Layout;
use std::fmt::Write as _;

/// What every name of a hard machine begins with.
pub const HARD_PREFIX: &str = "hard-";

/// A few machines of the corpus.
#[must_use]
pub fn corpus() -> Vec<Layout> {
    const TEXTS: [&str; 10] = [
        include_str!("../../tests/golden/01-native-6g.layout"),
        include_str!("../../tests/golden/03-native-64g-gb.layout"),
        include_str!("../../tests/golden/04-native-nopse-8g.layout"),
        include_str!("../../tests/golden/05-xen-ec2-7680m.layout"),
        include_str!("../../tests/golden/06-xen-ec2-acpi.layout"),
        include_str!("../../tests/golden/09-xen-dom0-16g-holes.layout"),
        include_str!("../../tests/golden/14-native-1g-hole-unaligned.layout"),
        include_str!("../../tests/golden/15-xen-memtest-3g.layout"),
        include_str!("../../tests/golden/17-native-2g-gb-lost.layout"),
        include_str!("../../tests/golden/20-xen-2nodes-12g.layout"),
    ];
    parse(TEXTS.iter().map(|text| (*text).to_owned()))
}

/// The hard machines.
#[must_use]
pub fn hard() -> Vec<Layout> {
    let both = machines().into_iter().flat_map(|machine| [machine.text(false), machine.text(true)]);
    parse(both)
}

/// A machine on which little happens, for each back end.
pub(super) fn small() -> Vec<Layout> {
    let machine = Machine::new("small", [(0x100_0000, 0x1000_0000)]);
    parse([machine.text(false), machine.text(true)].into_iter())
}

/// The hard machine of this name.
#[must_use]
pub fn hard_named(name: &str) -> Option<Layout> {
    name.starts_with(HARD_PREFIX).then(|| hard().into_iter().find(|layout| layout.name == name))?
}

/// Texts of ours are layouts; a test sees to it.
fn parse(texts: impl Iterator<Item = String>) -> Vec<Layout> {
    let layouts = texts.map(|text| Layout::parse(&text, "kit"));
    let layouts: Result<Vec<_>, _> = layouts.collect();
    debug_assert!(layouts.is_ok(), "{layouts:?}");
    layouts.unwrap_or_default()
}

/// A machine as lines of a layout file.
struct Machine {
    name: &'static str,
    /// Memory besides the kernel's own.
    ram: Vec<(u64, u64)>,
    /// Further lines.
    lines: String,
}

/// The kernel image, and behind it Xen's boot objects; memory on every hard machine.
const KERNEL: (u64, u64) = (0x100_0000, 0x180_0000);
const XEN_END: u64 = 0x182_2000;
const PAGE: u64 = 0x1000;
const LARGE: u64 = 0x20_0000;
const GIB: u64 = 1 << 30;

impl Machine {
    fn new(name: &'static str, ram: impl IntoIterator<Item = (u64, u64)>) -> Self {
        Self { name, ram: ram.into_iter().collect(), lines: String::new() }
    }

    fn with(mut self, lines: impl Iterator<Item = String>) -> Self {
        lines.for_each(|line| self.lines += &line);
        self
    }

    /// The layout file, natively or under Xen. The boot code maps the kernel and little more.
    fn text(&self, is_xen: bool) -> String {
        let suffix = if is_xen { "-xen" } else { "" };
        let mut text = format!("name {HARD_PREFIX}{}{suffix}\n", self.name);
        let own = (KERNEL.0, if is_xen { XEN_END } else { KERNEL.1 });
        let mut ram = self.ram.clone();
        ram.push(own);
        ram.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for (start, end) in ram {
            match merged.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => merged.push((start, end)),
            }
        }
        for (start, end) in merged {
            let _ = writeln!(text, "e820 {start:x} {end:x} 1");
        }
        let _ = writeln!(text, "kernel {:x} {:x}", KERNEL.0, KERNEL.1);
        if is_xen {
            // The list, then tables for what is mapped: seven and three above them, and some to spare.
            text += "xen_mfn_list 1800000\nxen_pt 1801000 20\nxen_mapped 1c00000\nxen 1\n";
        } else {
            text += "boot_mapped 1800000\n";
        }
        text + &self.lines
    }
}

fn machines() -> Vec<Machine> {
    let every_other =
        |start: u64, step: u64, n: u64| (0..n).map(move |i| (start + 2 * i * step, start + (2 * i + 1) * step));
    let reserve = |(start, end): (u64, u64)| format!("reserve {start:x} {end:x} RESERVED\n");
    let node = |id: u64| format!("node {id} {:x} {:x}\n", id * GIB, (id + 1) * GIB);
    vec![
        // All memory is the kernel's.
        Machine::new("no-free-memory", []),
        // One page that is free, and one that begins and ends inside pages.
        Machine::new("one-page", [(KERNEL.0 - 2 * PAGE, KERNEL.0 - PAGE)]),
        Machine::new("no-whole-page", [(0x20_0800, 0x20_1800), (0x30_0001, 0x30_0fff)]),
        // Nothing below 4 GiB but the kernel: what is mapped is in use, what is free is not mapped.
        Machine::new("above-4g-only", [(4 * GIB, 6 * GIB)]),
        // A page at the end of what the processor can address.
        Machine::new("far-page", [((1 << 46) - PAGE, 1 << 46)]),
        // Holes between all pages, between all large pages, and between all GiB.
        Machine::new("holes-of-pages", every_other(0x200_0000, PAGE, 600)),
        Machine::new("holes-of-large-pages", every_other(0x200_0000, LARGE, 200)),
        Machine::new("holes-of-gib", every_other(GIB, GIB, 16)),
        // All free, but never two pages in a row.
        Machine::new("reserved-pages", [(0x200_0000, 0x300_0000)])
            .with(every_other(0x200_0000, PAGE, 2048).map(reserve)),
        Machine::new("all-reserved", [(0x200_0000, 2 * GIB)]).with([(0x200_0000, 2 * GIB)].into_iter().map(reserve)),
        Machine::new("64-nodes", [(0x200_0000, 64 * GIB)]).with((0..64).map(node)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{End, Watch, boot};
    use crate::layout::Backend;
    use crate::strategy::Strategy;
    use std::collections::BTreeSet;

    struct Defaults;

    impl Strategy for Defaults {}

    #[test]
    fn every_hard_machine_is_one_and_has_a_name_of_its_own() {
        let hard = hard();
        assert_eq!(hard.len(), 2 * machines().len());
        let names: BTreeSet<&str> = hard.iter().map(|layout| layout.name.as_str()).collect();
        assert_eq!(names.len(), hard.len());
        for layout in &hard {
            assert_eq!(hard_named(&layout.name).as_ref(), Some(layout));
            let built = boot(layout, &mut Defaults, Watch::RULES);
            assert!(built.is_ok(), "{}: {:?}", layout.name, built.err());
        }
        assert_eq!(hard_named("hard-none"), None);
    }

    #[test]
    fn some_hard_machines_cannot_be_built_on_and_some_can() {
        let ends = hard().into_iter().filter_map(|layout| boot(&layout, &mut Defaults, Watch::RULES).ok());
        let ends: Vec<bool> = ends.map(|built| built.end == End::Completed).collect();
        assert!(ends.contains(&true) && ends.contains(&false), "{ends:?}");
    }

    #[test]
    fn the_few_machines_of_the_corpus_are_of_both_back_ends() {
        let corpus = corpus();
        assert_eq!(corpus.len(), 10);
        assert_eq!(corpus.iter().filter(|layout| layout.backend == Backend::Xen).count(), 5);
    }
}
