// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a log says besides the machine that a replay needs: the kernel's version, where memory ends, how it
//! is mapped, and where it faulted. Read up to the start of a second boot.

use super::era::Form;
use super::release::Release;
use crate::addr::{Pfn, PhysAddr, PhysRange, VirtAddr};
use crate::bootlog::{for_each_line, hex};
use aho_corasick::AhoCorasick;
use std::ops::ControlFlow;
use std::sync::LazyLock;

/// A word that each line has that is looked at.
static WORDS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let words = [
        "# kernel:",
        "Linux version ",
        "init_memory_mapping: ",
        "kernel direct mapping tables up to ",
        "last_pfn = ",
        "memblock_reserve: [",
        "memblock_free: [",
        "Base memory trampoline at [",
        "setting RW the range ",
        "paging request at ",
        "cr2",
        "ACPI: RSDP ",
        "PGD ",
    ];
    AhoCorasick::new(words).expect("a few short words")
});

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// The kernel's version, if any line states it.
    pub(super) release: Option<Release>,
    /// Whether it is that of a kernel, not a guess of whoever kept the log.
    pub(super) is_exact: bool,
    /// The pages behind the last of RAM, as printed.
    pub(super) last_pfns: Vec<Pfn>,
    /// What memblock reserved or gave back, as `memblock=debug` prints it.
    pub(super) memblock: Vec<PhysRange>,
    /// Of it, the used part of table buffers, by line.
    pub(super) reserved: Vec<(usize, PhysRange)>,
    /// Where the direct map is, by an address that is printed together with its physical one.
    pub(super) direct_map: Option<VirtAddr>,
    /// Spare tables that became writable, by line.
    pub(super) set_rw: Vec<(usize, PhysRange)>,
    /// An ACPI table that was looked at, which takes an entry of the fixmap.
    pub(super) acpi: Option<PhysAddr>,
    /// Addresses that faulted, by line.
    pub(super) faults: Vec<(usize, VirtAddr)>,
    /// Whether the walk of a fault in the direct map ended in a 4K entry.
    pub(super) has_small_leaf: bool,
    /// How ranges of the build are written.
    pub(super) form: Option<Form>,
    /// Whether entries of a 32-bit kernel have 8 bytes.
    pub(super) is_pae: bool,
}

impl Evidence {
    pub(super) fn read(text: &str) -> Self {
        let mut evidence = Self::default();
        let mut has_booted = false;
        for_each_line(text.as_bytes(), |number, line| {
            if !WORDS.is_match(line) {
                return ControlFlow::Continue(());
            }
            let line = &*String::from_utf8_lossy(line);
            if let Some(comment) = line.strip_prefix("# kernel:") {
                evidence.state(comment, !comment.contains("era"));
            } else if let Some((_, version)) = line.split_once("Linux version ") {
                if has_booted {
                    return ControlFlow::Break(());
                }
                has_booted = true;
                evidence.state(version, true);
            } else {
                evidence.read_line(line, number);
            }
            ControlFlow::Continue(())
        });
        evidence
    }

    /// What the kernel says itself counts more than what was said of it.
    fn state(&mut self, text: &str, is_exact: bool) {
        if let Some(release) = Release::parse(text)
            && (is_exact || !self.is_exact)
        {
            self.release = Some(release);
            self.is_exact = is_exact;
        }
    }

    fn read_line(&mut self, text: &str, number: usize) {
        let after = |word: &str| text.split_once(word).map(|(_, rest)| rest.trim_start());
        if let Some(rest) = after("init_memory_mapping: ").or_else(|| after("kernel direct mapping tables up to ")) {
            let is_inclusive = rest.contains("[mem ");
            self.form = self.form.or(Some(if is_inclusive { Form::Inclusive } else { Form::Exclusive }));
            return;
        }
        let number_of = |rest: &str| hex(rest.split([' ', ',', ']', ')']).next()?);
        if let Some(rest) = after("last_pfn = ") {
            self.last_pfns.extend(number_of(rest).map(Pfn::new));
            self.is_pae |= text.trim_end().ends_with("max_arch_pfn = 0x1000000");
        } else if let Some(range) = after("memblock_reserve: [").or_else(|| after("memblock_free: [")) {
            let ends = range.split_once(']').and_then(|(range, _)| range.split_once('-'));
            let range = ends.and_then(|(start, end)| Some(PhysRange::from_numbers(hex(start)?, hex(end)?)));
            self.memblock.extend(range);
            // By `native_pagetable_reserve` or what Xen has in its place.
            if text.contains("pagetable_reserve+") {
                self.reserved.extend(range.map(|range| (number, range)));
            }
        } else if let Some(rest) = after("Base memory trampoline at [") {
            let ends = rest.split_once("] ").and_then(|(at, rest)| Some((hex(at)?, number_of(rest)?)));
            self.direct_map = ends.and_then(|(at, phys)| at.checked_sub(phys)).map(VirtAddr::new);
        } else if let Some(rest) = after("setting RW the range ") {
            let ends = rest.split_once(" - ").and_then(|(start, end)| Some((hex(start)?, number_of(end.trim())?)));
            self.set_rw.extend(ends.map(|(start, end)| (number, PhysRange::from_numbers(start, end))));
        } else if let Some(rest) = after("paging request at ").or_else(|| after("cr2: ")).or_else(|| after(" cr2 ")) {
            let address = number_of(rest).map(VirtAddr::new);
            let is_new = |address: &VirtAddr| self.faults.iter().all(|(_, known)| known != address);
            let address = address.filter(is_new);
            self.faults.extend(address.map(|address| (number, address)));
        } else if let Some(rest) = after("ACPI: RSDP ") {
            self.acpi = self.acpi.or_else(|| number_of(rest).map(PhysAddr::new));
        } else if text.contains("PGD ") && text.contains(" PTE ") {
            self.has_small_leaf = true;
        }
    }
}
