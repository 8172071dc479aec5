// SPDX-License-Identifier: MIT OR Apache-2.0
//! What building tables costs, per mapped entry, on large regular machines and on the worst one.
//!
//! `compiled in` is the builder with its back end and nobody listening; `dylib, all rules` is what a cell of
//! a comparison costs: the strategy behind the plugin interface, every rule checked, all measures taken.
//! Throughput is in entries (Kelem/s = 1,000 entries a second): 1 Gelem/s is 1 ns per entry. Beside each
//! machine stands the memory its boot took at the most, from a process of its own.

use criterion::{BenchmarkId, Criterion, Throughput};
use pgtlab::discover;
use pgtlab::load::{Plugin, load};
use pgtlab_core::build::{Watch, boot};
use pgtlab_core::layout::Layout;
use pgtlab_core::plugin::PluginStrategy;
use std::hint::black_box;
use std::process::Command;

/// What a machine of one block of RAM is run with.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Natively, with 4 KiB leaves only.
    Native,
    /// Natively, with 2 MiB leaves.
    NativeLarge,
    /// Under Xen, every frame the guest's own.
    Xen,
    /// Under Xen, every other frame past the builder's area one of the machine's: no two entries follow one
    /// another, so every table is stored entry by entry. The worst case.
    XenAlternating,
}

/// The machines: name, GiB, kind.
const MACHINES: [(&str, u64, Kind); 9] = [
    ("native-1g-4k", 1, Kind::Native),
    ("native-16g-4k", 16, Kind::Native),
    ("native-64g-4k", 64, Kind::Native),
    ("native-12t-2m", 12 << 10, Kind::NativeLarge),
    ("xen-1g", 1, Kind::Xen),
    ("xen-16g", 16, Kind::Xen),
    ("xen-64g", 64, Kind::Xen),
    ("xen-512g", 512, Kind::Xen),
    ("xen-1g-worst", 1, Kind::XenAlternating),
];

fn layout(name: &str, gib: u64, kind: Kind) -> Layout {
    let end = gib << 30;
    let mut text = format!("e820 0 1000 2\ne820 1000 a0000 1\ne820 a0000 100000 2\ne820 100000 {end:x} 1\n");
    text += &format!("kernel 1000000 1f00000\npse {}\n", u8::from(kind == Kind::NativeLarge));
    if matches!(kind, Kind::Xen | Kind::XenAlternating) {
        let mfn_list: u64 = 0x2c3_a000;
        let pt = mfn_list + (8 * (end >> 12)).next_multiple_of(0x1000) + 0x3000;
        let mapped = (pt + 0xc_0000).next_multiple_of(0x40_0000);
        let frames = mapped / 0x20_0000 + 4;
        text += &format!("xen_mfn_list {mfn_list:x}\nxen_pt {pt:x} {frames}\nxen_mapped {mapped:x}\nxen 1\n");
        if kind == Kind::XenAlternating {
            for frame in (mapped..end).step_by(0x2000) {
                text += &format!("p2m identity {frame:x} {:x}\n", frame + 0x1000);
            }
        }
    }
    Layout::parse(&text, name).expect("the text is a layout")
}

fn compiled_in(layout: &Layout) {
    let mut strategy = reserve_hook::ReserveHook::default();
    black_box(boot(layout, &mut strategy, Watch::default()).expect("it holds together"));
}

fn through_dylib(layout: &Layout, plugin: &Plugin) {
    let mut strategy = PluginStrategy::create(plugin.module).expect("the hook has a default");
    black_box(boot(layout, &mut strategy, Watch::RULES).expect("it holds together"));
}

fn machine(wanted: &str) -> Option<Layout> {
    let (name, gib, kind) = MACHINES.into_iter().find(|(name, ..)| *name == wanted)?;
    Some(layout(name, gib, kind))
}

/// The most memory a boot of the machine takes, in MiB, as the kernel saw it of a process that did no more.
fn peak_mib(name: &str) -> Option<u64> {
    let this = std::env::current_exe().ok()?;
    let output = Command::new(this).env("PGTLAB_PEAK_OF", name).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

fn print_own_peak(name: &str) {
    if let Some(layout) = machine(name) {
        compiled_in(&layout);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok());
    println!("{}", peak.unwrap_or(0) / 1024);
}

fn main() {
    if let Ok(name) = std::env::var("PGTLAB_PEAK_OF") {
        print_own_peak(&name);
        return;
    }
    let hook = discover::resolve(&["reserve-hook".to_owned()]).expect("the strategies were built");
    let plugin = load(&hook[0].plugin).expect("it loads");
    let mut criterion = Criterion::default().configure_from_args();
    for (name, gib, kind) in MACHINES {
        let layout = layout(name, gib, kind);
        println!("{name}: at most {} MiB", peak_mib(name).map_or_else(|| "?".to_owned(), |mib| mib.to_string()));
        let mut group = criterion.benchmark_group("builder");
        group.sample_size(10);
        group.throughput(Throughput::Elements(gib << if kind == Kind::NativeLarge { 9 } else { 18 }));
        group.bench_function(BenchmarkId::new("compiled in", name), |bencher| bencher.iter(|| compiled_in(&layout)));
        group.bench_function(BenchmarkId::new("dylib, all rules", name), |bencher| {
            bencher.iter(|| through_dylib(&layout, &plugin));
        });
        group.finish();
    }
    criterion.final_summary();
}
