// SPDX-License-Identifier: MIT OR Apache-2.0
//! What if: a machine with other memory, another processor or other nodes than it has.
//!
//! [`WhatIf`] is what was typed; [`WhatIf::apply`] changes a layout, [`changes`] shows what that did to it.

mod shown;

pub use shown::changes;

use clap::Args;
use pgtlab_core::addr::PhysRange;
use pgtlab_core::cmdline::{self, CrashKernel, MapOption};
use pgtlab_core::e820::{E820Entry, E820Map, E820Type};
use pgtlab_core::geometry::DIRECT_MAP_END;
use pgtlab_core::layout::{Backend, Layout, Node, Reservation};
use std::num::NonZeroU32;

/// What the machine is changed to. The options are applied in this order.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "What if")]
pub struct WhatIf {
    /// The kernel's memmap=: exactmap, SIZE@START (RAM), SIZE$START (reserved) ..; can be repeated
    #[arg(long, value_name = "OPTION", value_parser = memmap)]
    pub memmap: Vec<Memmap>,
    /// The kernel's mem=: no RAM at this address or above, like 2G
    #[arg(long, value_name = "SIZE", value_parser = mem)]
    pub mem: Option<MapOption>,
    /// RAM of this size behind the machine's end that Xen has not given yet (XEN_EXTRA); only under Xen
    #[arg(long, value_name = "SIZE", num_args = 0..=1, default_missing_value = "8M", require_equals = true, value_parser = size)]
    pub xen_extra: Option<u64>,
    /// A reserved range: hexadecimal addresses, END not included; can be repeated
    #[arg(long, value_name = "START-END", value_parser = range)]
    pub reserve: Vec<PhysRange>,
    /// The kernel's crashkernel=, like 256M, 64M@16M or 512M-2G:64M,2G-:128M; reserved after the build
    #[arg(long, value_name = "SIZE", value_parser = crashkernel)]
    pub crashkernel: Option<CrashKernel>,
    /// A processor without 2M pages
    #[arg(long)]
    pub no_pse: bool,
    /// A processor with 1G pages
    #[arg(long)]
    pub gbpages: bool,
    /// So many NUMA nodes with equal shares of RAM
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub nodes: Option<u32>,
}

/// The parts of one `memmap=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memmap(pub Vec<MapOption>);

fn mem(typed: &str) -> Result<MapOption, String> {
    cmdline::parse_mem(typed).map_err(|error| error.to_string())
}

fn memmap(typed: &str) -> Result<Memmap, String> {
    cmdline::parse_memmap(typed).map(Memmap).map_err(|error| error.to_string())
}

fn crashkernel(typed: &str) -> Result<CrashKernel, String> {
    cmdline::parse_crashkernel(typed).map_err(|error| error.to_string())
}

fn size(typed: &str) -> Result<u64, String> {
    match cmdline::parse_mem(typed) {
        Ok(MapOption::Limit(end)) if end.get().is_multiple_of(4096) && end.get() <= 1 << 48 => Ok(end.get()),
        _ => Err("expected a size in whole pages, at most 256T, like 8M".to_owned()),
    }
}

fn range(typed: &str) -> Result<PhysRange, String> {
    let expected = || "expected START-END, two hexadecimal addresses, the second above the first".to_owned();
    let number = |word: &str| u64::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).map_err(|_| expected());
    let (start, end) = typed.split_once('-').ok_or_else(expected)?;
    let range = PhysRange::from_numbers(number(start)?, number(end)?);
    if range.is_empty() || 1 << 52 < range.end.get() { Err(expected()) } else { Ok(range) }
}

impl WhatIf {
    /// Whether nothing was typed.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.memmap.is_empty()
            && self.mem.is_none()
            && self.xen_extra.is_none()
            && self.reserve.is_empty()
            && self.crashkernel.is_none()
            && !self.no_pse
            && !self.gbpages
            && self.nodes.is_none()
    }

    /// The machine with the changes.
    ///
    /// # Errors
    /// If no machine is left: no RAM, a kernel outside it, no room for the crash kernel. If its RAM, changed or not,
    /// goes on where the direct map ends.
    pub fn apply(&self, layout: &Layout) -> Result<Layout, String> {
        let changed = if self.is_nothing() { layout.clone() } else { self.changed(layout)? };
        let ram_end = changed.e820.ram().map(|ram| ram.end).max().unwrap_or_default();
        if DIRECT_MAP_END < ram_end {
            return Err(format!(
                "its RAM ends at {ram_end:#x}, above the end of the direct map at 64 TiB; `--mem 64T` leaves that out"
            ));
        }
        Ok(changed)
    }

    fn changed(&self, layout: &Layout) -> Result<Layout, String> {
        let mut changed = layout.clone();
        let options: Vec<MapOption> =
            self.memmap.iter().flat_map(|memmap| &memmap.0).chain(&self.mem).copied().collect();
        if !options.is_empty() {
            changed.e820 = cmdline::apply(&changed.e820, &options);
            changed.drop_nodes_without_ram();
        }
        let extra =
            self.xen_extra.filter(|_| layout.backend == Backend::Xen).map(|bytes| add_extra(&mut changed, bytes));
        for range in &self.reserve {
            changed.reservations.push(Reservation { range: *range, name: "what-if".to_owned() });
        }
        changed.switches.pse &= !self.no_pse;
        changed.switches.gbpages |= self.gbpages;
        if let Some(n) = self.nodes.and_then(NonZeroU32::new) {
            changed.nodes = nodes(&changed.e820, n);
            changed.switches.numa = true;
        }
        if let Some(asked) = &self.crashkernel {
            // The option given last counts.
            changed.reservations.retain(|reservation| !reservation.is_made_after_the_build());
            let range = asked.place(&changed).map_err(|error| error.to_string())?;
            changed
                .reservations
                .extend(range.map(|range| Reservation { range, name: Reservation::CRASH_KERNEL.to_owned() }));
        }
        let mut text = changed.render();
        if let Some(range) = extra {
            text += &format!("p2m invalid {:x} {:x}\n", range.start, range.end);
        }
        // What a file could not say is no machine.
        Layout::parse(&text, &layout.name).map_err(|error| format!("the options leave no machine: {}", error.kind))
    }
}

/// Memory that the guest may get later: RAM in the map, reserved, without machine frames.
fn add_extra(layout: &mut Layout, bytes: u64) -> PhysRange {
    let geometry = layout.geometry;
    let start = layout.e820.end().align_up(geometry.page_bytes()).max(geometry.low_end);
    let range = PhysRange::new(start, start.saturating_add(bytes));
    let mut entries = layout.e820.entries().to_vec();
    entries.push(E820Entry { range, kind: E820Type::Ram });
    layout.e820 = E820Map::overlaid(&entries);
    layout.reservations.push(Reservation { range, name: "XEN_EXTRA".to_owned() });
    range
}

/// Nodes with equal shares of RAM, in whole pages.
///
/// ```text
/// RAM     |------|   |-----------------|
/// nodes   |0          |1      |2       |
/// ```
fn nodes(e820: &E820Map, n: NonZeroU32) -> Vec<Node> {
    const PAGE: u64 = 4096;
    let n = u64::from(n.get());
    let total = e820.ram_bytes() / PAGE;
    let (Some(first), Some(last)) = (e820.ram().next(), e820.ram().next_back()) else { return Vec::new() };
    // Where so many pages of RAM lie below.
    let at = |pages: u64| {
        let mut left = pages * PAGE;
        for ram in e820.ram() {
            if left < ram.len() {
                return ram.start.saturating_add(left).align_down(PAGE);
            }
            left -= ram.len();
        }
        last.end
    };
    let mut nodes = Vec::new();
    let mut start = first.start;
    for id in 0..n {
        let end = if id + 1 == n { last.end } else { at(total * (id + 1) / n) };
        if start < end {
            nodes.push(Node { id: u32::try_from(id).unwrap_or(u32::MAX), range: PhysRange::new(start, end) });
            start = end;
        }
    }
    nodes
}

#[cfg(test)]
mod tests;
