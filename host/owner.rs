// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who uses which physical memory: [`Owners`], made from a layout and, where one was run, a boot's events.
//!
//! The pieces are painted one over the other, what is known later over what is known earlier:
//!
//! ```text
//! firmware     |----RAM-----------------------|  hole  |----RAM--------------|
//! memblock            |reserved|
//! layout              |kernel  |  |RAMDISK|
//! boot                                                        |tables|spare|
//! ```

use pgtlab_core::addr::{Pfn, PfnRange, PhysAddr, PhysRange};
use pgtlab_core::build::Built;
use pgtlab_core::e820::E820Type;
use pgtlab_core::event::{Consumer, Event};
use pgtlab_core::layout::{Backend, Layout};
use pgtlab_core::strategy::{Stage, TableSpace};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Who uses a range.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// Nothing is there.
    Hole,
    /// Memory that nobody has taken.
    Free,
    /// The firmware, as its map says.
    Firmware(String),
    /// The kernel's image.
    Kernel,
    /// Somebody for whom memory was reserved, by name.
    Reserved(String),
    /// Xen's domain builder.
    DomainBuilder(String),
    /// The early page tables made by a mapping call.
    Table(u64),
    /// Table space of a mapping call that did not become a table.
    Spare(u64),
    /// A consumer of memory after the build.
    Consumer(String),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hole => f.write_str("hole"),
            Self::Free => f.write_str("free"),
            Self::Kernel => f.write_str("kernel"),
            Self::Firmware(name) | Self::Reserved(name) | Self::DomainBuilder(name) | Self::Consumer(name) => {
                f.write_str(name)
            }
            Self::Table(call) => write!(f, "page tables of call {call}"),
            Self::Spare(call) => write!(f, "spare table space of call {call}"),
        }
    }
}

/// A range and its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// The first byte.
    pub start: u64,
    /// The byte behind the last.
    pub end: u64,
    /// Who has it.
    pub owner: Owner,
}

/// All physical memory up to the machine's end, by owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owners {
    /// Where each owner begins; it goes on to the next.
    from: BTreeMap<PhysAddr, Owner>,
    end: PhysAddr,
}

impl Owners {
    /// Of a layout, and of a boot of it with its events if there was one.
    #[must_use]
    pub fn new(layout: &Layout, built: Option<&Built>) -> Self {
        let mut owners = Self { from: BTreeMap::from([(PhysAddr::default(), Owner::Hole)]), end: PhysAddr::default() };
        for entry in layout.e820.entries() {
            owners.paint(entry.range, firmware(entry.kind));
        }
        if let Some(built) = built {
            let unnamed = built.reserved.iter().map(|range| (*range, "reserved"));
            let named = built.events.iter().filter(|noted| noted.stage == Stage::Boot);
            let named = named.filter_map(|noted| match &noted.event {
                Event::Reserved { range, name } => Some((*range, name.as_str())),
                _ => None,
            });
            unnamed.chain(named).for_each(|(range, name)| owners.paint(range, Owner::Reserved(name.to_owned())));
        }
        for reservation in &layout.reservations {
            owners.paint(reservation.range, Owner::Reserved(reservation.name.clone()));
        }
        owners.paint(layout.kernel, Owner::Kernel);
        if let (Backend::Xen, Some(xen)) = (layout.backend, layout.xen) {
            let list = PhysRange::new(xen.mfn_list, xen.pt_base);
            owners.paint(list, Owner::DomainBuilder("p2m list and start info".to_owned()));
            let first = layout.geometry.pfn_down(xen.pt_base);
            let tables = PfnRange::new(first, first.saturating_add(xen.pt_frames));
            owners.paint(layout.geometry.bytes(tables), Owner::DomainBuilder("builder's page tables".to_owned()));
        }
        if let Some(built) = built {
            owners.paint_boot(layout, built);
        }
        owners
    }

    fn paint_boot(&mut self, layout: &Layout, built: &Built) {
        let bytes = |pages| layout.geometry.bytes(pages);
        let mut taken: Vec<(Pfn, u64)> = Vec::new();
        for noted in built.events.iter().filter(|noted| noted.stage != Stage::Boot) {
            match &noted.event {
                Event::SpaceChosen(TableSpace::Buffer(pages)) => self.paint(bytes(*pages), Owner::Spare(noted.range)),
                Event::Taken { page, .. } => taken.push((*page, noted.range)),
                Event::Reserved { range, name } if name != "PGTABLE" => {
                    self.paint(*range, Owner::Reserved(name.clone()));
                }
                Event::Written { by, range, .. } => match by {
                    Consumer::Memtest => {}
                    Consumer::NodeData => self.paint(*range, Owner::Consumer("NODE_DATA".to_owned())),
                    Consumer::RangeArray => self.paint(*range, Owner::Consumer("range array".to_owned())),
                },
                _ => {}
            }
        }
        for (page, call) in taken {
            self.paint(bytes(PfnRange::new(page, page.saturating_add(1))), Owner::Table(call));
        }
    }

    fn paint(&mut self, range: PhysRange, owner: Owner) {
        if range.is_empty() {
            return;
        }
        let behind = self.at(range.end).clone();
        let inside: Vec<PhysAddr> = self.from.range(range.start..range.end).map(|(start, _)| *start).collect();
        inside.iter().for_each(|start| {
            self.from.remove(start);
        });
        self.from.insert(range.start, owner);
        self.from.entry(range.end).or_insert(behind);
        self.end = self.end.max(range.end);
    }

    /// Who has the byte.
    #[must_use]
    pub fn at(&self, address: PhysAddr) -> &Owner {
        self.from.range(..=address).next_back().map_or(&Owner::Hole, |(_, owner)| owner)
    }

    /// Every range, ascending, neighbours of one owner joined; up to the end of the machine's map.
    #[must_use]
    pub fn ranges(&self) -> Vec<Owned> {
        let mut ranges: Vec<Owned> = Vec::new();
        let ends = self.from.keys().skip(1).chain([&self.end]);
        for ((start, owner), end) in self.from.iter().zip(ends) {
            match ranges.last_mut() {
                _ if end <= start => {}
                Some(last) if last.owner == *owner => last.end = end.get(),
                _ => ranges.push(Owned { start: start.get(), end: end.get(), owner: owner.clone() }),
            }
        }
        ranges
    }
}

fn firmware(kind: E820Type) -> Owner {
    let name = match kind {
        E820Type::Ram => return Owner::Free,
        E820Type::Reserved => "reserved by firmware",
        E820Type::AcpiData => "ACPI data",
        E820Type::AcpiNvs => "ACPI NVS",
        E820Type::Unusable => "unusable",
        E820Type::ReservedKern => "kernel-reserved",
    };
    Owner::Firmware(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_painted_later_lies_over_what_was_painted_earlier() {
        let text = "e820 0 9f000 1\ne820 100000 8000000 1\ne820 8000000 8001000 3\nkernel 1000000 2000000\n\
                    reserve 1800000 3000000 RAMDISK\nreserve 3000000 3001000 RAMDISK\n";
        let layout = Layout::parse(text, "machine").expect("the layout is sound");
        let shown: Vec<String> = Owners::new(&layout, None)
            .ranges()
            .iter()
            .map(|owned| format!("{:x} {:x} {}", owned.start, owned.end, owned.owner))
            .collect();
        let expected = [
            "0 9f000 free",
            "9f000 100000 hole",
            "100000 1000000 free",
            "1000000 2000000 kernel",
            "2000000 3001000 RAMDISK",
            "3001000 8000000 free",
            "8000000 8001000 ACPI data",
        ];
        assert_eq!(shown, expected);
    }
}
