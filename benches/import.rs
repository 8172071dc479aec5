// SPDX-License-Identifier: MIT OR Apache-2.0
//! What reading a boot log costs, per byte: a system log with one boot in it, and texts that are no logs and
//! were made to cost as much as they can.

use criterion::{BenchmarkId, Criterion, Throughput};
use pgtlab_core::bootlog::BootLog;
use std::hint::black_box;

/// What every text is brought to, in bytes.
const LEN: usize = 16 << 20;

/// Texts: name, and what is repeated.
const TEXTS: [(&str, &str); 12] = [
    (
        "system log",
        "Nov 26 10:00:00 host kernel: [    1.234567] pci 0000:00:1f.2: reg 0x10: [mem 0xd0000000-0xd0ffffff 64bit]\n\
         Nov 26 10:00:01 host systemd[1]: Started Daily apt download activities.\n",
    ),
    ("one line", "a"),
    ("empty lines", "\n"),
    ("digits", "0123456789"),
    ("ranges", "0123456789 - 0123456789\n"),
    ("equals signs", "="),
    ("soft breaks", "=\n"),
    ("e820", "BIOS-e820: [mem 0x0000000000100000-0x00000000cffeffff] usable\n"),
    ("broken e820", "BIOS-e820: \0\n"),
    ("SRAT", "SRAT: Node 1 PXM 1 [mem 0x100000000-0x27fffffff]\n"),
    ("reservations", "#1 [\n"),
    ("prefixes", "Xen: [mem 0x"),
];

fn main() {
    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    let mut group = criterion.benchmark_group("import");
    group.throughput(Throughput::Bytes(LEN as u64));
    for (name, part) in TEXTS {
        let mut text = "BIOS-e820: [mem 0x100000-0x7fffffff] usable\n".to_owned();
        text.push_str(&part.repeat(LEN / part.len()));
        group.bench_with_input(BenchmarkId::from_parameter(name), text.as_bytes(), |bencher, text| {
            bencher.iter(|| BootLog::from_bytes(black_box(text)));
        });
    }
    group.finish();
    criterion.final_summary();
}
