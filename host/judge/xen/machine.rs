// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boots Xen and the guest in QEMU, without KVM and without root, and reads what the guest prints.

use super::answer::{self, Answer};
use super::encode::{self, RESET};
use super::firmware::{Board, Firmware};
use super::shim::{self, ShimError};
use super::wire::{MAGIC, PREFIX, Record};
use crate::judge::engine::{self, EngineError, Qemu, Unavailable};
use pgtlab_core::addr::PhysRange;
use pgtlab_core::e820::{E820Entry, E820Map, E820Type};
use pgtlab_core::mmu::guest::Request;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io};

/// The guest, as the build script made it.
const GUEST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/guest-xen.elf"));

/// The status QEMU ends with when the guest has answered everything.
const STATUS_DONE: i32 = 0x10 << 1 | 1;

/// RAM that Xen keeps for itself of any machine, and the share it keeps of a larger one.
const XEN_BYTES: u64 = 96 << 20;
const XEN_SHARE: u64 = 64;

/// How long Xen may take to say its version.
const VERSION_WALL: Duration = Duration::from_secs(60);

/// Xen's own lines that are shown when something went wrong.
const LAST_LINES: usize = 6;

/// Why a boot of Xen told nothing.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The files for it could not be made.
    #[error("failed to prepare Xen's boot in {place}: {source}")]
    Prepare {
        /// The folder.
        place: String,
        /// What the system says.
        source: io::Error,
    },
    /// The image with the memory map could not be made.
    #[error(transparent)]
    Shim(#[from] ShimError),
    /// QEMU could not be run to its end.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A boot ended in none of the ways it can.
    #[error("QEMU ended with {status}, and the guest told no end; its last line: {last}")]
    NoEnd {
        /// How.
        status: ExitStatus,
        /// What the guest printed last.
        last: String,
    },
    /// The guest gave up.
    #[error("the guest stopped: {0}")]
    Stopped(String),
    /// Xen still held something behind a scenario.
    #[error("the guest could not clean up behind scenario {number}: {answer}")]
    NotClean {
        /// The scenario, counted from 0.
        number: usize,
        /// What was answered.
        answer: Answer,
    },
    /// Something else ended.
    #[error("QEMU ended with {status} and {n_answers} of {n_records} answers; the last lines: {last}")]
    Ended {
        /// How.
        status: ExitStatus,
        /// How many answers came.
        n_answers: usize,
        /// How many should have.
        n_records: usize,
        /// What was printed last.
        last: String,
    },
}

/// The programs: QEMU and Xen.
#[derive(Clone, Debug)]
pub struct Machine {
    qemu: Qemu,
    xen: PathBuf,
    /// RAM of the machine; of the guest, where the machine has a memory map of its own.
    memory_mib: u64,
    /// Whether QEMU has the old board.
    has_old_board: bool,
    /// The memory map that Xen is to find, if it is not QEMU's own.
    firmware: Option<Firmware>,
}

/// What one boot told.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The answers to the requests of each scenario.
    pub answers: Vec<Vec<Answer>>,
    /// How many frames the guest has to give away.
    pub n_frames: u32,
    /// The machine's memory map, as Xen tells it to the guest.
    pub memory_map: Vec<E820Entry>,
    /// What Xen says of itself.
    pub xen: String,
    /// How long it took.
    pub wall: Duration,
}

/// What one boot printed.
#[derive(Clone, Debug)]
pub(super) struct Console {
    /// The guest's lines.
    pub(super) lines: Vec<String>,
    /// The machine's memory map, as Xen tells it to the guest.
    pub(super) memory_map: Vec<E820Entry>,
    /// How QEMU ended.
    pub(super) status: ExitStatus,
    /// How long it took.
    pub(super) wall: Duration,
    /// What Xen says of itself.
    xen: String,
    /// The last lines, whoever printed them.
    last: String,
}

impl Machine {
    /// Finds QEMU, and the newest Xen under the folders that engines are unpacked to or in `/boot`.
    ///
    /// # Errors
    /// One of them is missing.
    pub fn find() -> Result<Self, Unavailable> {
        let qemu = Qemu::find()?;
        let xen = engine::newest_boot_image("xen-", "-amd64.gz").ok_or_else(|| Unavailable {
            what: "Xen",
            why: format!("no xen-*-amd64.gz in /boot or {}", engine::ENGINES),
            hint: "`just engines` unpacks it, or install a xen-hypervisor",
        })?;
        // One that cannot be asked is asked for nothing that it may lack.
        let has_old_board = qemu.has_board(Board::OF_2013).unwrap_or_default();
        Ok(Self { qemu, xen, memory_mib: 512, has_old_board, firmware: None })
    }

    /// The same with other RAM.
    #[must_use]
    pub const fn with_memory(mut self, mib: u64) -> Self {
        self.memory_mib = mib;
        self
    }

    /// The same with a layout's memory map, as far as the machine can have it; the guest's memory is what it was, or
    /// what there is of it.
    #[must_use]
    pub fn with_map(&self, e820: &E820Map) -> Self {
        let firmware = Firmware::new(e820, self.has_old_board);
        let ram = firmware.ram_bytes();
        let for_guest = ram.saturating_sub(XEN_BYTES + ram / XEN_SHARE) >> 20;
        Self { memory_mib: self.memory_mib.min(for_guest), firmware: Some(firmware), ..self.clone() }
    }

    /// The same with a layout's memory map and a domain of this size, for which RAM is added behind the layout's where
    /// that is too little; none where there is no room.
    #[must_use]
    pub fn with_domain(&self, e820: &E820Map, domain_bytes: u64) -> Option<Self> {
        let mib = domain_bytes.div_ceil(1 << 20);
        let mut firmware = Firmware::new(e820, self.has_old_board);
        let lacks = |ram: u64, of: u64| (of + XEN_BYTES + (of + ram) / XEN_SHARE).saturating_sub(ram);
        firmware.add(lacks(firmware.ram_bytes(), mib << 20))?;
        Some(Self { memory_mib: mib, firmware: Some(firmware), ..self.clone() })
    }

    /// The memory map that Xen is to find, if it is not QEMU's own.
    #[must_use]
    pub const fn firmware(&self) -> Option<&Firmware> {
        self.firmware.as_ref()
    }

    /// How many frames a guest of this machine may be asked to use; it has some more.
    #[must_use]
    pub const fn most_frames(&self) -> u64 {
        // Xen, the guest's own map and a module that holds the records take the rest.
        (self.memory_mib << 8) / 2
    }

    /// QEMU.
    #[must_use]
    pub const fn qemu(&self) -> &Qemu {
        &self.qemu
    }

    /// Xen's image.
    #[must_use]
    pub fn xen(&self) -> &Path {
        &self.xen
    }

    /// What Xen and QEMU say of themselves.
    ///
    /// # Errors
    /// One of them cannot be run.
    pub fn versions(&self) -> Result<String, MachineError> {
        let xen = self.ask(&[], VERSION_WALL)?.xen;
        Ok(format!("Xen {xen}, {}", self.qemu.version()?))
    }

    /// Puts scenarios to Xen, one after the other in one boot; each finds a guest of which nothing is mapped or typed.
    /// Gives the answers of each.
    ///
    /// # Errors
    /// As [`MachineError`] says; there must be an end within `wall`.
    pub fn ask(&self, scenarios: &[Vec<Request>], wall: Duration) -> Result<Asked, MachineError> {
        let one = |scenario: &Vec<Request>| scenario.iter().map(encode::record).chain([RESET]).collect::<Vec<Record>>();
        let records: Vec<Record> = scenarios.iter().flat_map(one).collect();
        let console = self.console(&module(&records), wall)?;
        let (all, n_frames) = read_answers(&console, records.len())?;
        let mut rest = all.as_slice();
        let mut answers = Vec::with_capacity(scenarios.len());
        for (number, scenario) in scenarios.iter().enumerate() {
            let (own, behind) = rest.split_at(scenario.len());
            let (reset, next) = behind.split_at(1);
            if reset != [Answer::Done] {
                return Err(MachineError::NotClean { number, answer: reset[0] });
            }
            answers.push(own.to_vec());
            rest = next;
        }
        let Console { memory_map, xen, wall, .. } = console;
        Ok(Asked { answers, n_frames, memory_map, xen, wall })
    }

    /// Boots Xen with the guest, which reads this module, and gives what they printed.
    ///
    /// # Errors
    /// QEMU could not be started, or did not end within `wall`, or the guest stopped.
    pub(super) fn console(&self, module: &[u8], wall: Duration) -> Result<Console, MachineError> {
        let start = Instant::now();
        let prepare = |place: &Path, source| MachineError::Prepare { place: place.display().to_string(), source };
        let folder = tempfile::tempdir().map_err(|source| prepare(&env::temp_dir(), source))?;
        let place = |name: &str| folder.path().join(name);
        let mut xen = self.unpacked_xen()?;
        if let Some(firmware) = &self.firmware {
            xen = shim::image(&xen, firmware)?;
        }
        let written = fs::write(place("xen"), xen)
            .and_then(|()| fs::write(place("guest"), GUEST))
            .and_then(|()| fs::write(place("records"), module));
        written.map_err(|source| prepare(folder.path(), source))?;
        let ended = engine::run(&self.boot(folder.path()), wall)?;
        let log = fs::read(place("log")).map_err(|source| prepare(folder.path(), source))?;
        read_log(&String::from_utf8_lossy(&log), ended.status, start)
    }

    /// Xen is a 32-bit image to a boot loader, and packed; QEMU takes it only unpacked.
    pub(crate) fn unpacked_xen(&self) -> Result<Vec<u8>, MachineError> {
        let cannot = |source| MachineError::Prepare { place: self.xen.display().to_string(), source };
        let unpacked = Command::new("gzip").arg("-dc").arg(&self.xen).stdin(Stdio::null()).output().map_err(cannot)?;
        match unpacked.status {
            status if status.success() => Ok(unpacked.stdout),
            status => Err(cannot(io::Error::other(format!("gzip ended with {status}")))),
        }
    }

    fn boot(&self, folder: &Path) -> Command {
        let mut command = self.qemu.command();
        // Without `sync_console`, for which Xen counts to three.
        let mut told = "console=com1 com1=115200,8n1 loglvl=warning guest_loglvl=all".to_owned();
        match &self.firmware {
            None => {
                command.args(["-machine", "pc", "-cpu", "max", "-m", &self.memory_mib.to_string()]);
            }
            Some(firmware) => {
                let (memory, low_end) = firmware.memory();
                let board = firmware.board;
                // Memory that nobody touches costs nothing; without `reserve` the system does not ask whether it has it.
                command
                    .args(["-object", &format!("memory-backend-ram,id=ram,size={memory},reserve=off")])
                    .args(["-machine", &format!("{},memory-backend=ram,max-ram-below-4g={low_end}", board.name())])
                    .args(["-cpu", board.cpu(), "-m", &format!("{}M", memory >> 20)]);
                // The map of the firmware would count, were it asked in real mode.
                told += &format!(" no-real-mode dom0_mem={}M", self.memory_mib);
            }
        }
        command
            .args(["-nodefaults", "-display", "none", "-no-reboot", "-accel", "tcg", "-smp", "1"])
            .args(["-kernel", "xen", "-initrd", "guest,records", "-append", &told])
            .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-serial", "file:log"])
            .current_dir(folder);
        command
    }
}

/// The records as the guest reads them.
fn module(records: &[Record]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend((records.len() as u64).to_le_bytes());
    bytes.extend(records.iter().flat_map(|record| record.to_bytes()));
    bytes
}

/// `START BYTES TYPE`; none of a type that a layout cannot have, which the layout then does not equal.
fn read_range(text: &str) -> Option<E820Entry> {
    let mut words = text.split(' ');
    let mut address = || u64::from_str_radix(words.next()?, 16).ok();
    let (start, bytes) = (address()?, address()?);
    let kind = E820Type::from_number(words.next()?.parse().ok()?)?;
    Some(E820Entry { range: PhysRange::from_numbers(start, start.checked_add(bytes)?), kind })
}

/// What Xen says of itself in a line of its log, without who built it.
pub(crate) fn version_in(line: &str) -> Option<String> {
    let (_, version) = line.split_once("(XEN) Xen version ")?;
    Some(version.trim_end().split(" (").take(2).collect::<Vec<_>>().join(" ("))
}

fn read_log(log: &str, status: ExitStatus, start: Instant) -> Result<Console, MachineError> {
    let (mut lines, mut memory_map, mut xen) = (Vec::new(), Vec::new(), String::new());
    for line in log.lines().map(str::trim_end) {
        xen = version_in(line).unwrap_or(xen);
        // Xen's own text may stand before the guest's on the line.
        let Some((_, said)) = line.split_once(PREFIX) else { continue };
        if let Some(range) = said.strip_prefix("e820 ") {
            memory_map.extend(read_range(range));
        } else if let Some(why) = said.strip_prefix("stopped ") {
            return Err(MachineError::Stopped(why.to_owned()));
        } else {
            lines.push(said.to_owned());
        }
    }
    let all: Vec<&str> = log.lines().collect();
    let last = all[all.len().saturating_sub(LAST_LINES)..].join(" / ");
    Ok(Console { lines, memory_map, status, wall: start.elapsed(), xen, last })
}

/// The answers to so many records, and how many frames the guest has to give away.
fn read_answers(console: &Console, n_records: usize) -> Result<(Vec<Answer>, u32), MachineError> {
    let (mut answers, mut n_frames, mut is_whole) = (Vec::new(), 0, false);
    for said in &console.lines {
        if let Some(more) = said.strip_prefix("= ").and_then(answer::parse) {
            answers.extend(more);
        } else if let Some(n) = said.strip_prefix("hello pool ").and_then(|n| n.parse().ok()) {
            n_frames = n;
        } else if let Some(n) = said.strip_prefix("done ").and_then(|n| n.parse::<usize>().ok()) {
            is_whole = n == n_records && answers.len() == n;
        }
    }
    if is_whole && console.status.code() == Some(STATUS_DONE) {
        return Ok((answers, n_frames));
    }
    let (status, last, n_answers) = (console.status, console.last.clone(), answers.len());
    Err(MachineError::Ended { status, n_answers, n_records, last })
}
