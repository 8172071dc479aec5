// SPDX-License-Identifier: MIT OR Apache-2.0
//! The layout of all that a log says: [`BootLog::import`]. Where the log says nothing, the fixed rules of
//! [`BootLog::native`] and [`BootLog::xen`] stand, and the import says so.
//!
//! ```text
//! maps         firmware ─► user ─► modified       the last one printed is what the kernel used
//! kernel       early reservations, or the builder's blocks; early BRK tables behind it, or inside
//! nodes        set up by the kernel, else SRAT without hotplug ranges; one range each
//! Xen          builder's blocks, 1:1 frames, released frames
//! ```

mod nodes;
mod xen;

use super::aside::Aside;
use super::fact::Fact;
use super::machine::{BRK_BYTES, firmware_map, place_kernel};
use super::{BootLog, BootLogError, LogMap, MapStage};
use crate::addr::{PhysAddr, PhysRange};
use crate::cmdline::{self, MapOption};
use crate::layout::{Backend, Layout, Reservation, one_word};
use std::collections::BTreeSet;
use std::fmt;

/// Which of the maps that a kernel prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// As the firmware gave it.
    Firmware,
    /// After `mem=` and `memmap=`.
    User,
    /// The last one: after the kernel changed it, if it did.
    #[default]
    Last,
}

/// A layout, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The layout.
    pub layout: Layout,
    /// The lines of the log it was made of, ascending.
    pub taken: Vec<usize>,
    /// What the log does not say.
    pub assumed: Vec<Assumed>,
    /// The lines about memory that are no part of the layout, ascending, and where they belong.
    pub asides: Vec<(usize, Aside)>,
}

/// What an import had to assume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assumed {
    /// Where the kernel lies.
    Kernel(PhysRange),
    /// That the kernel lies elsewhere than printed, since there is no RAM.
    KernelMoved {
        /// The line that says so.
        line: usize,
        /// Where it is printed to be.
        printed: PhysRange,
    },
    /// That early BRK tables start here, inside the kernel's image, since what lies behind it is not free.
    BrkInImage(PhysAddr),
    /// That all memory is one node.
    OneNode,
    /// Nodes that lie over each other were cut.
    NodesCut,
    /// Memory of the firmware's nodes that is not there yet was left out.
    HotplugLeftOut,
    /// Where Xen's domain builder put its things.
    XenBoot,
    /// The ramdisk lies behind the kernel as Xen's builder puts it, not where it is printed.
    XenRamdisk {
        /// The line that says where.
        line: usize,
    },
    /// Where a crash kernel goes that the command line asks for; no line says where it went.
    CrashKernel(PhysRange),
    /// There is no room for the crash kernel that the command line asks for.
    NoCrashKernel {
        /// The line.
        line: usize,
    },
    /// The p2m list lies outside the kernel's map, and is not part of the layout.
    P2mListUnmapped {
        /// The line.
        line: usize,
    },
    /// The machine's frames between RAM are mapped one to one.
    Identity,
    /// That pages cannot be made not executable is not printed by kernels of the time: they can.
    Nx,
    /// Pages of 2 MiB exist.
    Pse,
    /// There are no pages of 1 GiB.
    NoGbPages,
    /// An option of the command line is not understood.
    Option {
        /// The line.
        line: usize,
        /// The option.
        option: String,
    },
    /// A ramdisk has no room where it is printed.
    NoRamdisk,
}

impl fmt::Display for Assumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(range) => write!(f, "the kernel lies at [{:#x}, {:#x})", range.start, range.end),
            Self::KernelMoved { line, printed } => write!(
                f,
                "line {line}: the kernel at [{:#x}, {:#x}) does not lie in RAM of this map; moved",
                printed.start, printed.end
            ),
            Self::BrkInImage(start) => write!(f, "early BRK tables start at {start:#x}, inside the kernel's image"),
            Self::OneNode => f.write_str("all memory is one node"),
            Self::NodesCut => f.write_str("nodes lie over each other; the higher ones were cut"),
            Self::HotplugLeftOut => f.write_str("hotplug ranges of nodes hold no memory yet; left out"),
            Self::XenBoot => f.write_str("Xen's domain builder puts its boot objects behind the kernel"),
            Self::XenRamdisk { line } => {
                write!(f, "line {line}: Xen's builder puts a ramdisk of 12 MiB behind the kernel instead")
            }
            Self::CrashKernel(range) => {
                write!(f, "the crash kernel is put at [{:#x}, {:#x}) when the tables are built", range.start, range.end)
            }
            Self::NoCrashKernel { line } => write!(f, "line {line}: there is no room for the crash kernel; left out"),
            Self::P2mListUnmapped { line } => {
                write!(f, "line {line}: the p2m list lies outside the kernel's map and is left out")
            }
            Self::Identity => f.write_str("frames between two ranges of RAM are mapped one to one"),
            Self::Nx => f.write_str("the processor has NX"),
            Self::Pse => f.write_str("the processor has 2M pages"),
            Self::NoGbPages => f.write_str("the processor has no 1G pages"),
            Self::Option { line, option } => write!(f, "line {line}: `{option}` is not understood and changes nothing"),
            Self::NoRamdisk => f.write_str("the ramdisk does not lie in free RAM; left out"),
        }
    }
}

impl BootLog {
    /// The map of a stage, if one was printed: the last of the first boot.
    #[must_use]
    pub fn map_of(&self, stage: Stage) -> Option<&LogMap> {
        let first = self.first_map()?;
        let of = |wanted| self.maps.iter().find(|map| map.stage == wanted);
        let user = of(MapStage::User);
        Some(match stage {
            Stage::Firmware => first,
            Stage::User => user.unwrap_or(first),
            Stage::Last => of(MapStage::Modified).or(user).unwrap_or(first),
        })
    }

    /// The machine on a back end, made of all that the log says.
    ///
    /// # Errors
    /// As [`BootLog::native`] and [`BootLog::xen`].
    pub fn import(&self, name: &str, backend: Backend, stage: Stage) -> Result<Imported, BootLogError> {
        if backend == Backend::Native && !self.kind().has_native_cell() {
            return Err(BootLogError::NotNative { kind: self.kind() });
        }
        let map = self.map_of(stage).ok_or(BootLogError::NoE820)?;
        let mut import = Import { log: self, taken: BTreeSet::new(), assumed: Vec::new() };
        import.taken.extend(map.entries.iter().map(|entry| entry.line));
        let mut layout = import.machine(name, map, stage)?;
        import.reserve(&mut layout);
        import.switches(&mut layout);
        nodes::take(&mut import, &mut layout);
        if backend == Backend::Xen {
            layout = xen::put_under(&mut import, layout)?;
        } else {
            import.ramdisk(&mut layout);
        }
        import.place_brk(&mut layout);
        if stage != Stage::Firmware {
            import.place_crash_kernel(&mut layout);
        }
        let others = self.facts.iter().filter(|taken| !import.taken.contains(&taken.line));
        let mut asides: Vec<(usize, Aside)> = others.map(|taken| (taken.line, Aside::of(&taken.fact))).collect();
        asides.extend(self.ramdisk_line.filter(|line| !import.taken.contains(line)).map(|line| (line, Aside::Placed)));
        asides.extend(&self.asides);
        asides.sort_unstable();
        Ok(Imported { layout, taken: import.taken.into_iter().collect(), assumed: import.assumed, asides })
    }
}

/// An import under way.
struct Import<'l> {
    log: &'l BootLog,
    taken: BTreeSet<usize>,
    assumed: Vec<Assumed>,
}

impl<'l> Import<'l> {
    /// The first fact of a kind, and its line.
    fn first<T>(&mut self, wanted: impl Fn(&'l Fact) -> Option<T>) -> Option<(usize, T)> {
        let found = self.log.facts.iter().find_map(|taken| Some((taken.line, wanted(&taken.fact)?)))?;
        self.taken.insert(found.0);
        Some(found)
    }

    /// Every fact of a kind.
    fn all<T>(&mut self, wanted: impl Fn(&'l Fact) -> Option<T>) -> Vec<T> {
        let found = self.log.facts.iter().filter_map(|taken| Some((taken.line, wanted(&taken.fact)?)));
        let (lines, facts): (Vec<usize>, Vec<T>) = found.unzip();
        self.taken.extend(lines);
        facts
    }

    fn machine(&mut self, name: &str, map: &LogMap, stage: Stage) -> Result<Layout, BootLogError> {
        let mut e820 = firmware_map(&map.entries, &crate::geometry::Geometry::X86_64)?;
        // A map that the kernel printed after its options shows what they did.
        let is_early = matches!(map.stage, MapStage::Bios | MapStage::Xen);
        let options = if is_early && stage != Stage::Firmware { self.map_options() } else { Vec::new() };
        e820 = if options.is_empty() { e820 } else { cmdline::apply(&e820, &options) };
        if e820.ram().next().is_none() {
            return Err(BootLogError::NoRam { line: map.entries.first().map_or(0, |entry| entry.line) });
        }
        let kernel = self.kernel();
        let fits = kernel.filter(|(_, range)| e820.one_ram_entry_holds(*range));
        let mut layout = place_kernel(name, e820, fits.map(|(_, range)| range))?;
        match kernel {
            Some(_) if fits.is_some() => {}
            Some((line, printed)) => self.assumed.push(Assumed::KernelMoved { line, printed }),
            None => self.assumed.push(Assumed::Kernel(layout.kernel)),
        }
        if let Some((_, end)) = self.first(|fact| if let Fact::BootMapped(end) = fact { Some(*end) } else { None }) {
            layout.boot_mapped = end;
        }
        Ok(layout)
    }

    /// Where the kernel lies, in whole pages.
    fn kernel(&mut self) -> Option<(usize, PhysRange)> {
        let geometry = crate::geometry::Geometry::X86_64;
        let least = PhysAddr::new(geometry.static_table_pages * geometry.page_bytes());
        let printed = self.first(|fact| if let Fact::Kernel(range) = fact { Some(*range) } else { None });
        let found = printed.or_else(|| xen::kernel(self))?;
        let range = geometry.bytes(geometry.touched_pages(found.1));
        (least <= range.end).then_some((found.0, range))
    }

    /// Puts early BRK tables into the kernel's image where what lies behind it is not free. The image that Xen's builder
    /// loads covers them, and what follows it at once is somebody's.
    ///
    /// ```text
    /// |------image-----[brk]|RAMDISK    |------image------|[brk]     |RAMDISK
    ///                       K                             K
    /// ```
    fn place_brk(&mut self, layout: &mut Layout) {
        let kernel = layout.kernel;
        let room = PhysRange::new(kernel.end, kernel.end.saturating_add(BRK_BYTES));
        let builders = layout.xen.map(|boot| PhysRange::new(boot.mfn_list, boot.mapped_end));
        let mut taken = layout.reservations.iter().map(|reservation| reservation.range).chain(builders);
        let is_free = layout.e820.one_ram_entry_holds(room) && !taken.any(|range| range.overlaps(room));
        let in_image = kernel.end.saturating_sub(BRK_BYTES);
        if is_free || in_image < kernel.start {
            return;
        }
        let printed = self.first(|fact| match fact {
            Fact::BrkTable(page) if kernel.start <= page.start && page.end <= in_image => Some(page.start),
            _ => None,
        });
        layout.brk = printed.map_or(in_image, |(_, start)| start);
        if printed.is_none() {
            self.assumed.push(Assumed::BrkInImage(in_image));
        }
    }

    /// `mem=` and `memmap=` of the command line.
    fn map_options(&mut self) -> Vec<MapOption> {
        let mut options = Vec::new();
        for (line, option) in self.words() {
            let read = if let Some(size) = option.strip_prefix("mem=").filter(|size| *size != "nopentium") {
                cmdline::parse_mem(size).map(|option| vec![option])
            } else if let Some(parts) = option.strip_prefix("memmap=") {
                cmdline::parse_memmap(parts)
            } else {
                continue;
            };
            match read {
                Ok(read) => options.extend(read),
                Err(_) => self.assumed.push(Assumed::Option { line, option: option.to_owned() }),
            }
            self.taken.insert(line);
        }
        options
    }

    /// The words of the first command line.
    fn words(&self) -> Vec<(usize, &'l str)> {
        let line = self.log.facts.iter().find_map(|taken| match &taken.fact {
            Fact::CommandLine(text) => Some((taken.line, text)),
            _ => None,
        });
        line.map_or_else(Vec::new, |(line, text)| text.split_whitespace().map(|word| (line, word)).collect())
    }

    /// What was reserved before the build.
    fn reserve(&mut self, layout: &mut Layout) {
        /// What the build itself and later code reserved.
        const LATER: [&str; 6] = ["PGTABLE", "BOOTMAP", "NODE_DATA", "MEMNODEMAP", "BRK", "RAMDISK"];
        /// What the domain builder's blocks say too.
        const BUILDER: [&str; 2] = ["XEN PAGETABLES", "XEN START INFO"];
        let reserved = self.all(|fact| match fact {
            Fact::Reserved { range, name } if !LATER.iter().chain(&BUILDER).any(|word| word == name) => {
                Some((*range, name))
            }
            _ => None,
        });
        layout.switches.trampoline = !reserved.iter().any(|(_, name)| name.contains("TRAMPOLINE"));
        // One that lies high has a second, low part.
        let crash = self.all(|fact| if let Fact::CrashKernel(range) = fact { Some(*range) } else { None });
        let crash = crash.into_iter().map(|range| (range, Reservation::CRASH_KERNEL));
        for (range, name) in reserved.iter().map(|(range, name)| (*range, name.as_str())).chain(crash) {
            let words = name.split_whitespace().collect::<Vec<_>>().join("-");
            layout.reservations.push(Reservation { range, name: one_word(&words).to_string() });
        }
    }

    /// A crash kernel that the command line asks for, if no line says where it went. A PV guest makes none.
    fn place_crash_kernel(&mut self, layout: &mut Layout) {
        let is_placed = layout.reservations.iter().any(Reservation::is_made_after_the_build);
        let asked =
            self.words().into_iter().find_map(|(line, word)| Some((line, word, word.strip_prefix("crashkernel=")?)));
        let Some((line, word, value)) = asked.filter(|_| !is_placed && self.log.kind().has_native_cell()) else {
            return;
        };
        let Ok(asked) = cmdline::parse_crashkernel(value) else {
            self.assumed.push(Assumed::Option { line, option: word.to_owned() });
            return;
        };
        self.taken.insert(line);
        match asked.place(layout) {
            Ok(Some(range)) => {
                self.assumed.push(Assumed::CrashKernel(range));
                layout.reservations.push(Reservation { range, name: Reservation::CRASH_KERNEL.to_owned() });
            }
            Ok(None) => {}
            Err(_) => self.assumed.push(Assumed::NoCrashKernel { line }),
        }
    }

    fn ramdisk(&mut self, layout: &mut Layout) {
        let Some(bytes) = self.log.ramdisk() else { return };
        let geometry = layout.geometry;
        let range = geometry.bytes(geometry.touched_pages(bytes));
        if layout.e820.one_ram_entry_holds(range) && !range.overlaps(layout.kernel) {
            self.taken.extend(self.log.ramdisk_line);
            layout.reservations.push(Reservation { range, name: "RAMDISK".to_owned() });
        } else {
            self.assumed.push(Assumed::NoRamdisk);
        }
    }

    fn switches(&mut self, layout: &mut Layout) {
        match self.first(|fact| if let Fact::Nx(is_on) = fact { Some(*is_on) } else { None }) {
            Some((_, is_on)) => layout.switches.nx = is_on,
            None => self.assumed.push(Assumed::Nx),
        }
        let pieces = self
            .all(|fact| if let Fact::Piece { range, page_shift } = fact { Some((*range, *page_shift)) } else { None });
        let has_gb = self.first(|fact| matches!(fact, Fact::GbPages).then_some(())).is_some();
        layout.switches.gbpages = has_gb || pieces.iter().any(|(_, shift)| *shift == 30);
        // A kernel that can, maps whole large pages with large pages.
        let is_small = |(range, shift): &(PhysRange, u32)| *shift == 12 && 4 << 20 <= range.len();
        // A PV guest maps small pages whatever its processor can.
        let pieces = if self.log.kind().has_native_cell() { pieces } else { Vec::new() };
        if pieces.is_empty() && !layout.switches.gbpages {
            self.assumed.extend([Assumed::Pse, Assumed::NoGbPages]);
        } else {
            layout.switches.pse = !pieces.iter().any(is_small);
        }
        for (line, word) in self.words() {
            match word {
                "nogbpages" => layout.switches.gbpages = false,
                "noexec=off" => layout.switches.nx = false,
                "memtest" => layout.switches.memtest = true,
                _ if word.starts_with("memtest=") => layout.switches.memtest = word != "memtest=0",
                _ => continue,
            }
            self.taken.insert(line);
        }
    }
}
