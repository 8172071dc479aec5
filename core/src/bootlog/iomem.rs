// SPDX-License-Identifier: MIT OR Apache-2.0
//! `/proc/iomem`: the map of a machine that runs, with its kernel's image.
//!
//! ```text
//! 00001000-0009fbff : System RAM
//! 00100000-bffdffff : System RAM
//!   01000000-01e02626 : Kernel code            nested by two blanks
//!   2b000000-350fffff : Crash kernel
//! ```

use super::map_line::inclusive;
use super::{BootLog, Fact, MapStage, Reader};
use crate::addr::PhysRange;
use crate::e820::E820Type;
use crate::geometry::Geometry;

/// Why a text of `/proc/iomem` is no map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IomemError {
    /// The kernel shows addresses only to root.
    #[error("every address is 0: the kernel shows /proc/iomem only to root")]
    Hidden,
}

/// Whether a text is one of `/proc/iomem`: each of its first lines is a range, ` : ` and a name.
#[must_use]
pub fn looks_like_iomem(text: &str) -> bool {
    let mut lines = text.lines().take(4).peekable();
    lines.peek().is_some() && lines.all(|line| read(line).is_some())
}

fn read(line: &str) -> Option<(usize, PhysRange, &str)> {
    let rest = line.trim_start();
    let (range, name) = rest.split_once(" : ")?;
    let (start, last) = range.split_once('-')?;
    Some((line.len() - rest.len(), inclusive(start, last)?, name.trim_end()))
}

impl BootLog {
    /// Reads `/proc/iomem`. Ranges that are no memory (devices, bridges) are left out.
    ///
    /// # Errors
    /// If its addresses are hidden.
    pub fn from_iomem(text: &str) -> Result<Self, IomemError> {
        let mut reader = Reader::default();
        let mut kernel: Option<(usize, PhysRange)> = None;
        let (mut n_ranges, mut n_empty) = (0, 0);
        for (line, number) in text.lines().zip(1..) {
            let Some((depth, range, name)) = read(line) else { continue };
            n_ranges += 1;
            n_empty += usize::from(range.end.get() <= 1);
            if depth == 0
                && let Some(kind) = kind(name)
            {
                reader.add_entry(MapStage::Bios, range, kind, number);
            } else if range.is_empty() || Geometry::X86_64.phys_end < range.end {
                // No kernel prints such a range.
            } else if name.starts_with("Kernel ") {
                let (first, hull) = kernel.unwrap_or((number, range));
                kernel = Some((first, PhysRange::new(hull.start.min(range.start), hull.end.max(range.end))));
            } else if name == "Crash kernel" {
                reader.add_fact(number, Fact::CrashKernel(range));
            }
        }
        if 0 < n_ranges && n_ranges == n_empty {
            return Err(IomemError::Hidden);
        }
        if let Some((line, range)) = kernel {
            reader.add_fact(line, Fact::Kernel(range));
        }
        Ok(reader.finish())
    }
}

fn kind(name: &str) -> Option<E820Type> {
    match name {
        "System RAM" => Some(E820Type::Ram),
        "Reserved" | "reserved" | "Soft Reserved" | "Persistent Memory" => Some(E820Type::Reserved),
        "ACPI Tables" => Some(E820Type::AcpiData),
        "ACPI Non-volatile Storage" => Some(E820Type::AcpiNvs),
        "Unusable memory" => Some(E820Type::Unusable),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootlog::Stage;
    use crate::layout::Backend;

    #[test]
    fn a_range_that_ends_before_it_starts_or_nowhere_is_no_kernels() {
        // Found by fuzzing.
        let text = "00001000-0009fbff : System RAM\n00100000-3fffffff : System RAM\n  04000000-02ffffff : Kernel bss\n\
                    \x20 05000000-04ffffff : Crash kernel\n  02000000-fffffffffffffffe : Crash kernel\n";
        let layout = BootLog::from_iomem(text).expect("a map").import("live", Backend::Native, Stage::Last);
        let layout = layout.expect("a machine").layout;
        assert_eq!((layout.kernel.start.get(), layout.reservations.len()), (0x100_0000, 0));
    }

    #[test]
    fn a_running_machines_map_has_its_kernel() {
        let text = "00000000-00000fff : Reserved\n00001000-0009fbff : System RAM\n000a0000-000bffff : PCI Bus 0000:00\n\
                    00100000-3fffffff : System RAM\n  01000000-01e02626 : Kernel code\n  02000000-02ffffff : Kernel bss\n\
                      2b000000-2cffffff : Crash kernel\n";
        assert!(looks_like_iomem(text));
        let log = BootLog::from_iomem(text).expect("addresses are shown");
        let layout = log.import("machine", Backend::Native, Stage::Last).expect("a machine").layout;
        assert_eq!((layout.kernel.start.get(), layout.kernel.end.get()), (0x100_0000, 0x300_0000));
        assert_eq!(layout.e820.ram().count(), 2);
        assert_eq!(layout.reservations.len(), 1);
    }

    #[test]
    fn hidden_addresses_are_told() {
        let text = "00000000-00000000 : Reserved\n00000000-00000000 : System RAM\n  00000000-00000000 : Kernel code\n";
        assert_eq!(BootLog::from_iomem(text), Err(IomemError::Hidden));
        assert!(!looks_like_iomem("BIOS-e820: [mem 0x0-0xfff] usable\n"));
    }
}
