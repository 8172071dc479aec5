// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boots Xen and the guest in QEMU, without KVM and without root, and reads what the guest prints.

use super::answer::{self, Answer};
use super::encode::{self, RESET};
use super::wire::{MAGIC, PREFIX, Record};
use crate::judge::engine::{self, EngineError, Qemu, Unavailable};
use pgtlab_core::mmu::guest::Request;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io};

/// The guest, as the build script made it.
const GUEST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/guest-xen.elf"));

/// The status QEMU ends with when the guest has answered everything.
const STATUS_DONE: i32 = 0x10 << 1 | 1;

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
    /// QEMU could not be run to its end.
    #[error(transparent)]
    Engine(#[from] EngineError),
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
    /// RAM of the machine.
    memory_mib: u64,
}

/// What one boot told.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The answers to the requests of each scenario.
    pub answers: Vec<Vec<Answer>>,
    /// How many frames the guest has to give away.
    pub n_frames: u32,
    /// What Xen says of itself.
    pub xen: String,
    /// How long it took.
    pub wall: Duration,
}

/// The same, before the scenarios are told apart.
struct Told {
    answers: Vec<Answer>,
    n_frames: u32,
    xen: String,
    wall: Duration,
}

impl Machine {
    /// Finds QEMU, and the newest Xen under the folders that engines are unpacked to or in `/boot`.
    ///
    /// # Errors
    /// One of them is missing.
    pub fn find() -> Result<Self, Unavailable> {
        let qemu = Qemu::find()?;
        let mut boots = engine::roots().map(|root| root.join("boot")).chain([PathBuf::from("/boot")]);
        let xen = boots.find_map(|boot| newest_xen(&boot)).ok_or_else(|| Unavailable {
            what: "Xen",
            why: format!("no xen-*-amd64.gz in /boot or {}", engine::ENGINES),
            hint: "`just engines` unpacks it, or install a xen-hypervisor",
        })?;
        Ok(Self { qemu, xen, memory_mib: 512 })
    }

    /// The same with other RAM.
    #[must_use]
    pub const fn with_memory(mut self, mib: u64) -> Self {
        self.memory_mib = mib;
        self
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
        let told = self.replay(&records, wall)?;
        let mut rest = told.answers.as_slice();
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
        Ok(Asked { answers, n_frames: told.n_frames, xen: told.xen, wall: told.wall })
    }

    /// Boots Xen with the guest, has it do what the records say, and gives the answers.
    ///
    /// # Errors
    /// QEMU could not be started, did not end within `wall`, or the guest did not answer everything.
    fn replay(&self, records: &[Record], wall: Duration) -> Result<Told, MachineError> {
        let start = Instant::now();
        let prepare = |place: &Path, source| MachineError::Prepare { place: place.display().to_string(), source };
        let folder = tempfile::tempdir().map_err(|source| prepare(&env::temp_dir(), source))?;
        let place = |name: &str| folder.path().join(name);
        self.unpack_xen(&place("xen"))?;
        let module = module(records);
        let written = fs::write(place("guest"), GUEST).and_then(|()| fs::write(place("records"), module));
        written.map_err(|source| prepare(folder.path(), source))?;
        let ended = engine::run(&self.boot(folder.path()), wall)?;
        let log = fs::read(place("log")).map_err(|source| prepare(folder.path(), source))?;
        read_log(&String::from_utf8_lossy(&log), ended.status, records.len(), start)
    }

    /// Xen is a 32-bit image to a boot loader, and packed; QEMU takes it only unpacked.
    pub(crate) fn unpack_xen(&self, to: &Path) -> Result<(), MachineError> {
        let cannot = |source| MachineError::Prepare { place: self.xen.display().to_string(), source };
        let image = fs::File::create(to).map_err(cannot)?;
        let status = Command::new("gzip").arg("-dc").arg(&self.xen).stdin(Stdio::null()).stdout(image).status();
        match status.map_err(cannot)? {
            status if status.success() => Ok(()),
            status => Err(cannot(io::Error::other(format!("gzip ended with {status}")))),
        }
    }

    fn boot(&self, folder: &Path) -> Command {
        let mut command = self.qemu.command();
        let memory = self.memory_mib.to_string();
        command
            .args(["-nodefaults", "-display", "none", "-no-reboot", "-machine", "pc", "-accel", "tcg", "-cpu", "max"])
            .args(["-smp", "1", "-m", &memory, "-kernel", "xen", "-initrd", "guest,records"])
            // Without `sync_console`, for which Xen counts to three.
            .args(["-append", "console=com1 com1=115200,8n1 loglvl=warning guest_loglvl=all"])
            .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-serial", "file:log"])
            .current_dir(folder);
        command
    }
}

/// The newest Xen in a folder, by the version in its name.
fn newest_xen(boot: &Path) -> Option<PathBuf> {
    let version = |path: &Path| -> Option<Vec<u32>> {
        let name = path.file_name()?.to_str()?;
        let numbers = name.strip_prefix("xen-")?.strip_suffix("-amd64.gz")?.split('.');
        numbers.map(|number| number.parse().ok()).collect()
    };
    let files = fs::read_dir(boot).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    files.filter_map(|path| Some((version(&path)?, path))).max().map(|(_, path)| path)
}

/// The records as the guest reads them.
fn module(records: &[Record]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend((records.len() as u64).to_le_bytes());
    bytes.extend(records.iter().flat_map(|record| record.to_bytes()));
    bytes
}

fn read_log(log: &str, status: ExitStatus, n_records: usize, start: Instant) -> Result<Told, MachineError> {
    let mut told = Told { answers: Vec::new(), n_frames: 0, xen: String::new(), wall: Duration::ZERO };
    let mut is_whole = false;
    for line in log.lines().map(str::trim_end) {
        if let Some(version) = line.strip_prefix("(XEN) Xen version ") {
            version.split(" (").take(2).collect::<Vec<_>>().join(" (").clone_into(&mut told.xen);
        }
        // Xen's own text may stand before the guest's on the line.
        let Some((_, said)) = line.split_once(PREFIX) else { continue };
        if let Some(answers) = said.strip_prefix("= ").and_then(answer::parse) {
            told.answers.extend(answers);
        } else if let Some(n) = said.strip_prefix("hello pool ").and_then(|n| n.parse().ok()) {
            told.n_frames = n;
        } else if let Some(why) = said.strip_prefix("stopped ") {
            return Err(MachineError::Stopped(why.to_owned()));
        } else if let Some(n) = said.strip_prefix("done ").and_then(|n| n.parse::<usize>().ok()) {
            is_whole = n == n_records && told.answers.len() == n;
        }
    }
    if !is_whole || status.code() != Some(STATUS_DONE) {
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join(" / ");
        let n_answers = told.answers.len();
        return Err(MachineError::Ended { status, n_answers, n_records, last });
    }
    told.wall = start.elapsed();
    Ok(told)
}
