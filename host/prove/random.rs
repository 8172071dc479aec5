// SPDX-License-Identifier: MIT OR Apache-2.0
//! Full-size machines drawn at random, after what real firmware prints: RAM below 640 KiB, RAM from 1 MiB cut
//! up by ACPI tables and reserved pieces towards its end, a hole below 4 GiB, RAM above it in one or more
//! blocks, nodes, reservations and switches; natively and as a Xen guest.

use super::tally::Numbered;
use fastrand::Rng;
use pgtlab_core::bootlog::derive_xen;
use pgtlab_core::layout::Layout;
use std::fmt::Write;

/// The machine with this number under this seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// What the numbers are drawn from.
    pub seed: u64,
    /// The machine's number.
    pub number: u64,
}

impl Drawn {
    /// Its name: both numbers, so that it can be drawn again.
    #[must_use]
    pub fn name(self) -> String {
        format!("random-{}-{}", self.seed, self.number)
    }
}

impl Numbered for Drawn {
    /// Every other number is a Xen guest; one that has no room for Xen's boot objects has no machine.
    fn layout(&self) -> Option<Layout> {
        // Neighbouring seeds of the generator are not alike in what they give.
        let mut rng = Rng::with_seed(self.seed.rotate_left(32) ^ self.number);
        let text = text(&mut rng);
        let native = Layout::parse(&text, &self.name()).ok()?;
        if self.number.is_multiple_of(2) { Some(native) } else { guest(&mut rng, &native) }
    }

    fn size(&self) -> (usize, usize, u64) {
        let lines = self.layout().map_or(0, |layout| layout.render().lines().count());
        (lines, 0, self.number)
    }
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A layout file of a native machine.
fn text(rng: &mut Rng) -> String {
    let mut file = File { text: String::new(), rng };
    file.low();
    let kernel_end = 0x100_0000 + file.some(8, 32) * MIB / 2;
    let high = file.above_1_mib(kernel_end.max(64 * MIB));
    let end = file.above_4_gib(high);
    file.line(format_args!("kernel 1000000 {kernel_end:x}"));
    file.reservations(kernel_end);
    file.nodes(end);
    for (key, one_in) in [("trampoline", 1), ("gbpages", 3)] {
        let is_on = file.rng.u64(0..one_in) == 0;
        file.line(format_args!("{key} {}", u8::from(is_on)));
    }
    for (key, one_in) in [("pse", 4), ("nx", 8), ("numa", 8)] {
        let is_off = file.rng.u64(0..one_in) == 0;
        file.line(format_args!("{key} {}", u8::from(!is_off)));
    }
    if file.rng.u8(0..6) == 0 {
        file.line(format_args!("memtest 1"));
    }
    file.text
}

/// A layout file under construction.
struct File<'r> {
    text: String,
    rng: &'r mut Rng,
}

impl File<'_> {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let written = writeln!(self.text, "{line}");
        debug_assert!(written.is_ok(), "writing to a string never fails");
    }

    /// A number from `least` up to `most`, small ones as likely as large ones.
    fn some(&mut self, least: u64, most: u64) -> u64 {
        let shift = self.rng.u32(0..=(most / least.max(1)).max(1).ilog2());
        (self.rng.u64(least..=most) >> shift).clamp(least, most)
    }

    /// Mostly whole MiB, sometimes pages. Never bytes: where RAM ends inside a page NODE_DATA may reach into
    /// that page, which is not whole and so is mapped by nobody.
    fn aligned(&mut self, address: u64) -> u64 {
        let unit = if self.rng.u8(0..3) == 0 { 0x1000 } else { MIB };
        address / unit * unit
    }

    fn e820(&mut self, start: u64, end: u64, kind: u32) {
        if start < end {
            self.line(format_args!("e820 {start:x} {end:x} {kind}"));
        }
    }

    fn low(&mut self) {
        let end = 0x9_0000 + self.rng.u64(0..0x10) * 0x1000 + self.rng.u64(0..2) * 0xc00;
        self.e820(0x1000, end, 1);
        if self.rng.bool() {
            self.e820(end, 0xa_0000, 2);
        }
    }

    /// RAM from 1 MiB on. Gives where it ends.
    fn above_1_mib(&mut self, kernel_end: u64) -> u64 {
        let size = self.some(96, 3900) * MIB;
        let end = (kernel_end + size).min(0xf000_0000);
        let mut at = MIB;
        let mut cuts: Vec<u64> = (0..self.rng.u32(0..7)).map(|_| self.rng.u64(kernel_end..end)).collect();
        cuts.sort_unstable();
        for cut in cuts {
            let start = self.aligned(cut).max(kernel_end).max(at);
            let length = self.some(1, 0x2000) * 0x1000;
            let stop = (start + length).min(end);
            self.e820(at, start, 1);
            // ACPI data, NVS, reserved, or nothing at all.
            let kind = self.rng.u32(1..5);
            if 1 < kind {
                self.e820(start, stop, kind);
            }
            at = stop;
        }
        let end = self.aligned(end).max(at);
        self.e820(at, end, 1);
        end
    }

    /// RAM from 4 GiB on, on two machines of three. Gives where memory ends.
    fn above_4_gib(&mut self, low_end: u64) -> u64 {
        if self.rng.u8(0..3) == 0 {
            return low_end;
        }
        let mut at = 4 * GIB;
        for _ in 0..self.rng.u32(1..4) {
            let length = self.some(1, 96 << 10) * MIB;
            let end = self.aligned(at + length).max(at + 0x1000);
            self.e820(at, end, 1);
            at = end + self.rng.u64(0..3) * self.some(1, 64 << 10) * MIB;
            at = at.next_multiple_of(0x1000);
        }
        at
    }

    fn reservations(&mut self, kernel_end: u64) {
        let ramdisk = (kernel_end + self.some(1, 64) * 0x1000).next_multiple_of(0x1000);
        if self.rng.bool() {
            let end = ramdisk + self.some(1, 48) * MIB / 2;
            self.line(format_args!("reserve {ramdisk:x} {end:x} RAMDISK"));
        }
        for _ in 0..self.rng.u32(0..4) {
            let start = self.rng.u64(1..0x4_0000) * 0x1000;
            let end = start + self.some(1, 0x8000) * 0x1000;
            self.line(format_args!("reserve {start:x} {end:x} RESERVED"));
        }
    }

    fn nodes(&mut self, end: u64) {
        let n = self.rng.u64(1..5);
        if n == 1 {
            return;
        }
        let size = (end / n).next_multiple_of(MIB);
        for node in 0..n {
            let (start, stop) = (node * size, ((node + 1) * size).min(end));
            if start < stop {
                self.line(format_args!("node {node} {start:x} {stop:x}"));
            }
        }
    }
}

/// The machine as Xen's dom0, or as a guest that can grow: the end of its memory has no machine frames yet.
fn guest(rng: &mut Rng, native: &Layout) -> Option<Layout> {
    let dom0 = derive_xen(native).ok()?;
    if rng.bool() {
        return Some(dom0);
    }
    let mut text = dom0.render();
    let last = dom0.e820.ram().next_back()?;
    let extra = (rng.u64(1..0x2000) * 0x1000).min(last.len() / 2) & !0xfff;
    let start = (last.end.get() - extra).next_multiple_of(0x1000);
    if start < last.end.get() && dom0.kernel.end < last.start {
        let written = write!(text, "reserve {start:x} {0:x} XEN_EXTRA\np2m invalid {start:x} {0:x}\n", last.end);
        debug_assert!(written.is_ok(), "writing to a string never fails");
    }
    Layout::parse(&text, &dom0.name).ok()
}
