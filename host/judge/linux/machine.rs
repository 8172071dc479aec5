// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boots the kernel in QEMU, natively or as Xen's dom0, stops it when `init_mem_mapping` begins and when it has
//! returned, and reads what it did in between.
//!
//! Nothing lies between: the second stop is the address that the function returns to. Inside it, at the end, the kernel
//! loads the tables it has made and tests memory if it is told to, which changes none of them.

use super::gdb::Listener;
use super::guest::Guest;
use super::kernel::{Kernel, KernelError};
use super::observed::Observed;
use super::symbols::{SymbolError, Symbols};
use super::tables::{DirectMap, Frames};
use crate::judge::engine::{self, EngineError, Qemu, Said, Unavailable};
use crate::judge::xen::machine::{Machine as XenMachine, MachineError, version_in};
use pgtlab_core::addr::{Pfn, PfnRange, PhysAddr, PhysRange};
use pgtlab_core::bootlog::{BootLog, BootLogError, Stage};
use pgtlab_core::geometry::DIRECT_MAP_END;
use pgtlab_core::layout::{Backend, Layout, P2m, Reservation};
use pgtlab_core::trace;
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a boot may take until the direct map is built: ten seconds where nothing else runs.
pub const WALL: Duration = Duration::from_secs(400);
/// The page behind all that the direct map can hold.
const END_OF_MAP: Pfn = Pfn::new(DIRECT_MAP_END.get() >> 12);
/// Lines that are shown of a boot that went wrong.
const LAST_LINES: usize = 4;
/// How much of what QEMU prints is read.
const PRINTED_BYTES: u64 = 64 << 10;

/// Why a boot told nothing.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The files for it could not be made.
    #[error("failed to prepare the boot in {place}: {source}")]
    Prepare {
        /// Where.
        place: String,
        /// What the system says.
        source: io::Error,
    },
    /// QEMU could not be run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Xen's image could not be unpacked.
    #[error(transparent)]
    Xen(#[from] MachineError),
    /// A dom0 was asked for.
    #[error("{0} is Xen's dom0, and there is no Xen")]
    NoXen(Guest),
    /// The kernel could not be looked at.
    #[error("{error}{said}{last}")]
    Kernel {
        /// Why.
        error: KernelError,
        /// What QEMU said.
        said: Said,
        /// What was printed last over the serial line.
        last: String,
    },
    /// What it printed makes no machine.
    #[error("the boot's own log makes no machine: {0}")]
    Log(#[from] BootLogError),
    /// The kernel image tells no symbols.
    #[error("{}: {error}", kernel.display())]
    Image {
        /// The image.
        kernel: PathBuf,
        /// Why.
        error: SymbolError,
    },
}

/// The kernel, and what it is booted on.
#[derive(Clone, Debug)]
pub struct Machine {
    qemu: Qemu,
    kernel: PathBuf,
    symbols: Symbols,
    /// For dom0s.
    xen: Option<XenMachine>,
}

impl Machine {
    /// Finds QEMU, and the newest kernel of 6.1 under the folders that engines are unpacked to or in `/boot`.
    ///
    /// # Errors
    /// One of them is missing.
    pub fn find() -> Result<(Qemu, PathBuf), Unavailable> {
        let qemu = Qemu::find()?;
        let kernel = engine::newest_boot_image("vmlinuz-6.1.", "-amd64").ok_or_else(|| Unavailable {
            what: "Linux 6.1",
            why: format!("no vmlinuz-6.1.*-amd64 in /boot or {}", engine::ENGINES),
            hint: "`just engines linux` unpacks it",
        })?;
        Ok((qemu, kernel))
    }

    /// Reads the kernel's symbols. Without Xen there are no dom0s.
    ///
    /// # Errors
    /// The image cannot be read, or tells none.
    pub fn new((qemu, kernel): (Qemu, PathBuf), xen: Option<XenMachine>) -> Result<Self, BootError> {
        let image =
            fs::read(&kernel).map_err(|source| BootError::Prepare { place: kernel.display().to_string(), source })?;
        let symbols = Symbols::of_image(&image).map_err(|error| BootError::Image { kernel: kernel.clone(), error })?;
        Ok(Self { qemu, kernel, symbols, xen })
    }

    /// Boots it on a machine, and says what it did.
    ///
    /// # Errors
    /// As [`BootError`] says; the kernel must have built its direct map within `wall`.
    pub fn observe(&self, guest: &Guest, wall: Duration) -> Result<Observed, BootError> {
        let failed = |place: &Path, source| BootError::Prepare { place: place.display().to_string(), source };
        let folder = tempfile::tempdir().map_err(|source| failed(&std::env::temp_dir(), source))?;
        let place = |name: &str| folder.path().join(name);
        let prepare = || -> io::Result<Listener> {
            symlink(fs::canonicalize(&self.kernel)?, place("linux"))?;
            if let Some(mib) = guest.initrd_mib {
                File::create(place("ramdisk"))?.set_len(mib << 20)?;
            }
            Listener::at(&place("gdb"))
        };
        let listener = prepare().map_err(|source| failed(folder.path(), source))?;
        if guest.dom0_mib.is_some() {
            let xen = self.xen.as_ref().ok_or_else(|| BootError::NoXen(guest.clone()))?;
            fs::write(place("xen"), xen.unpacked_xen()?).map_err(|source| failed(folder.path(), source))?;
        }
        let command = self.boot(guest, folder.path());
        let run = |source| EngineError::Run { program: self.qemu.program().to_owned(), source };
        let mut printed =
            File::from(memfd_create("pgtlab-linux", MemfdFlags::CLOEXEC).map_err(|error| run(error.into()))?);
        let mut running = engine::start(&command, &printed).map_err(run)?;
        let built = listener.accept(&running, wall).map_err(KernelError::from).and_then(|gdb| {
            let mut kernel = Kernel::new(gdb, &self.symbols);
            Built::watch(&mut kernel, guest)
        });
        running.end().map_err(run)?;
        let log = fs::read(place("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let built = built.map_err(|error| {
            let mut said = String::new();
            let read =
                printed.seek(SeekFrom::Start(0)).and_then(|_| printed.take(PRINTED_BYTES).read_to_string(&mut said));
            let said = read.map(|_| Said(said)).unwrap_or_default();
            BootError::Kernel { error, said, last: last_lines(&log) }
        })?;
        built.into_observed(guest, &log, self.engines(&log)?)
    }

    /// Who took part in a boot, by what they print.
    fn engines(&self, log: &str) -> Result<Vec<(String, String)>, EngineError> {
        let after = |words: &str| log.lines().find_map(|line| line.split_once(words)).map(|(_, rest)| rest.trim_end());
        let qemu = self.qemu.version()?;
        let xen = log.lines().find_map(version_in);
        let engines = [
            ("qemu", Some(qemu.trim_start_matches("QEMU emulator version ").to_owned())),
            ("xen", xen),
            ("linux", after("Linux version ").map(str::to_owned)),
        ];
        Ok(engines.into_iter().filter_map(|(name, version)| Some((name.to_owned(), version?))).collect())
    }

    fn boot(&self, guest: &Guest, folder: &Path) -> Command {
        let mut command = self.qemu.command();
        command.args(["-nodefaults", "-display", "none", "-no-reboot", "-serial", "file:log"]);
        command.args(["-S", "-gdb", "unix:gdb"]);
        command.args(guest.arguments()).current_dir(folder);
        match guest.dom0_mib {
            None => {
                command.args(["-kernel", "linux", "-append", "nokaslr earlyprintk=serial,ttyS0,115200"]);
                if guest.initrd_mib.is_some() {
                    command.args(["-initrd", "ramdisk"]);
                }
            }
            Some(mib) => {
                let options = format!("console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all dom0_mem={mib}M");
                command.args(["-kernel", "xen", "-append", &options]);
                command.args(["-initrd", "linux nokaslr earlyprintk=xen"]);
            }
        }
        command
    }
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    match &lines[lines.len().saturating_sub(LAST_LINES)..] {
        [] => String::new(),
        last => format!("; the last lines of the boot: {}", last.join(" / ")),
    }
}

/// What the kernel's memory said at the two stops.
struct Built {
    observed: Observed,
    /// What was reserved before.
    reserved_before: Vec<PhysRange>,
    /// Where the kernel's image begins.
    text: PhysAddr,
    /// Under Xen, frames that nothing stands behind.
    extra: PfnRange,
}

impl Built {
    fn watch(kernel: &mut Kernel<'_>, guest: &Guest) -> Result<Self, KernelError> {
        let entry = kernel.run_to(&["init_mem_mapping"], &[])?;
        let back = kernel.return_address(&entry)?;
        let (mut pool, reserved_before, memory) = (kernel.pool()?, kernel.reserved()?, kernel.memory()?);
        let mut observed = Observed { guest: guest.clone(), memory, ..Observed::default() };
        let (mut frames, mut extra, mut root) =
            (Frames::Same, PfnRange::default(), kernel.place_of("init_top_pgt")?.get());
        if guest.dom0_mib.is_some() {
            let list = kernel.p2m_list()?;
            (frames, extra, root) = (list.frames, list.extra, entry.cr3);
            observed.p2m = list.place;
        }
        observed.before = DirectMap::read(&mut kernel.gdb, root, END_OF_MAP, &frames)?;
        loop {
            let registers = kernel.run_to(&["init_memory_mapping"], &[back])?;
            if registers.rip == back {
                break;
            }
            observed.ranges.push(PhysRange::from_numbers(registers.rdi, registers.rsi));
        }
        pool.next = kernel.pool()?.next;
        observed.pool = pool;
        observed.reserved = kernel.reserved()?;
        observed.counted = kernel.counted()?;
        observed.after = DirectMap::read(&mut kernel.gdb, root, END_OF_MAP, &frames)?;
        Ok(Self { observed, reserved_before, text: kernel.place_of("_text")?, extra })
    }

    /// With the machine that the boot's log is of, and what the kernel had reserved on it.
    fn into_observed(self, guest: &Guest, log: &str, engines: Vec<(String, String)>) -> Result<Observed, BootError> {
        let backend = if guest.dom0_mib.is_some() { Backend::Xen } else { Backend::Native };
        let mut layout = BootLog::parse(log).import(&guest.to_string(), backend, Stage::Last)?.layout;
        let pool = layout.geometry.bytes(self.observed.pool.pages());
        layout.kernel = PhysRange::new(self.text, pool.start);
        layout.brk = pool.start;
        layout.switches.gbpages = guest.has_1g && guest.dom0_mib.is_none();
        // What lies below 1 MiB is reserved already.
        layout.switches.trampoline = false;
        let own = PhysRange::new(self.text, pool.end);
        let reserved = self.reserved_before.iter().flat_map(|range| without(*range, own));
        layout.reservations = reserved.map(|range| Reservation { range, name: "memblock".to_owned() }).collect();
        if !self.extra.is_empty() {
            let identity = identity_frames(&layout);
            layout.p2m = P2m::new(&[self.extra], &identity);
        }
        Ok(Observed { layout: Some(layout), engines, ..self.observed })
    }
}

/// The frames of the layout that are mapped one to one.
fn identity_frames(layout: &Layout) -> Vec<PfnRange> {
    let all = PfnRange::new(Default::default(), trace::map_end(layout));
    let runs = layout.p2m.runs(all);
    runs.filter(|run| matches!(run.machine, pgtlab_core::layout::Machine::Identity(_))).map(|run| run.pages).collect()
}

/// A range without another.
fn without(range: PhysRange, other: PhysRange) -> impl Iterator<Item = PhysRange> {
    let below = PhysRange::new(range.start, range.end.min(other.start));
    let above = PhysRange::new(range.start.max(other.end), range.end);
    [below, above].into_iter().filter(|part| !part.is_empty())
}
