// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boots Xen and the guest in QEMU, without KVM and without root, and reads what the guest prints.

use super::answer::{self, Answer};
use super::encode::{self, RESET};
use super::wire::{MAGIC, PREFIX, Record};
use pgtlab_core::mmu::guest::Request;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io};

/// The guest, as the build script made it.
const GUEST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/guest.elf"));

/// The status QEMU ends with when the guest has answered everything.
const STATUS_DONE: i32 = 0x10 << 1 | 1;

/// Xen's own lines that are shown when something went wrong.
const LAST_LINES: usize = 6;

/// Why Xen cannot be had here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// There is no QEMU.
    #[error(
        "qemu-system-x86_64 is not here; `just engines` unpacks it under target/engines, or install qemu-system-x86"
    )]
    NoQemu,
    /// There is no Xen.
    #[error(
        "no xen-*-amd64.gz is in /boot; `just engines` unpacks it under target/engines, or install a xen-hypervisor"
    )]
    NoXen,
}

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
    /// A program could not be run.
    #[error("failed to run {program}: {source}")]
    Run {
        /// The program.
        program: String,
        /// What the system says.
        source: io::Error,
    },
    /// It came to no end.
    #[error("no end of Xen's boot after {} s", .0.as_secs())]
    Overdue(Duration),
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
    qemu: PathBuf,
    /// Where QEMU's packages were unpacked, if they are not installed.
    unpacked: Option<PathBuf>,
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
    /// Finds the programs: under the folder that `PGTLAB_ENGINES` names, under a folder `engines` beside one of those
    /// the program lies in, or where the system has them.
    ///
    /// # Errors
    /// One of them is missing.
    pub fn find() -> Result<Self, Unavailable> {
        let named = env::var_os("PGTLAB_ENGINES").map(PathBuf::from);
        let program = env::current_exe().unwrap_or_default();
        let unpacked = named.into_iter().chain(program.ancestors().skip(1).map(|folder| folder.join("engines")));
        let roots: Vec<PathBuf> = unpacked.filter(|root| root.is_dir()).collect();
        let in_root = |root: &PathBuf| Some((root.join("usr/bin/qemu-system-x86_64"), Some(root.clone())));
        let path = env::var_os("PATH").unwrap_or_default();
        let in_path = env::split_paths(&path).map(|folder| (folder.join("qemu-system-x86_64"), None));
        let mut qemus = roots.iter().filter_map(in_root).chain(in_path);
        let (qemu, unpacked) = qemus.find(|(qemu, _)| qemu.is_file()).ok_or(Unavailable::NoQemu)?;
        let mut boots = roots.iter().map(|root| root.join("boot")).chain([PathBuf::from("/boot")]);
        let xen = boots.find_map(|boot| newest_xen(&boot)).ok_or(Unavailable::NoXen)?;
        Ok(Self { qemu, unpacked, xen, memory_mib: 512 })
    }

    /// The same with other RAM.
    #[must_use]
    pub const fn with_memory(mut self, mib: u64) -> Self {
        self.memory_mib = mib;
        self
    }

    /// What QEMU says of itself.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn qemu_version(&self) -> Result<String, MachineError> {
        let output = self.qemu().arg("--version").output().map_err(|source| self.cannot_run(source))?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
    }

    /// Where Xen lies.
    #[must_use]
    pub fn xen(&self) -> &Path {
        &self.xen
    }

    fn qemu(&self) -> Command {
        let mut command = Command::new(&self.qemu);
        if let Some(root) = &self.unpacked {
            let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].map(|folder| root.join(folder));
            if let Ok(libraries) = env::join_paths(libraries) {
                command.env("LD_LIBRARY_PATH", libraries);
            }
            for folder in ["usr/share/qemu", "usr/share/seabios"] {
                command.arg("-L").arg(root.join(folder));
            }
        }
        command
    }

    fn cannot_run(&self, source: io::Error) -> MachineError {
        MachineError::Run { program: self.qemu.display().to_string(), source }
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
        let child = self.boot(folder.path()).spawn().map_err(|source| self.cannot_run(source))?;
        let status = wait(child, wall).map_err(|source| self.cannot_run(source))?;
        let log = fs::read(place("log")).map_err(|source| prepare(folder.path(), source))?;
        let Some(status) = status else { return Err(MachineError::Overdue(wall)) };
        let log = String::from_utf8_lossy(&log);
        read_log(&log, status, records.len(), start)
    }

    /// Xen is a 32-bit image to a boot loader, and packed; QEMU takes it only unpacked.
    fn unpack_xen(&self, to: &Path) -> Result<(), MachineError> {
        let cannot = |source| MachineError::Run { program: "gzip".to_owned(), source };
        let image = fs::File::create(to).map_err(cannot)?;
        let status = Command::new("gzip").arg("-dc").arg(&self.xen).stdin(Stdio::null()).stdout(image).status();
        match status.map_err(cannot)? {
            status if status.success() => Ok(()),
            status => Err(cannot(io::Error::other(format!("{status} for {}", self.xen.display())))),
        }
    }

    fn boot(&self, folder: &Path) -> Command {
        let mut command = self.qemu();
        let memory = self.memory_mib.to_string();
        command
            .args(["-nodefaults", "-display", "none", "-no-reboot", "-machine", "pc", "-accel", "tcg", "-cpu", "max"])
            .args(["-smp", "1", "-m", &memory, "-kernel", "xen", "-initrd", "guest,records"])
            // Without `sync_console`, for which Xen counts to three.
            .args(["-append", "console=com1 com1=115200,8n1 loglvl=warning guest_loglvl=all"])
            .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-serial", "file:log"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
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

/// Waits for the child, and kills it if it takes too long; `None` then.
fn wait(mut child: Child, wall: Duration) -> io::Result<Option<ExitStatus>> {
    let ended = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).map_err(io::Error::from).and_then(|exit| {
        let start = Instant::now();
        loop {
            let left = Timespec::try_from(wall.saturating_sub(start.elapsed())).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&exit, PollFlags::IN)], Some(&left)) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(n) => return Ok(0 < n),
                Err(error) => return Err(error.into()),
            }
        }
    });
    if !matches!(ended, Ok(true)) {
        child.kill()?;
    }
    let status = child.wait()?;
    ended.map(|has_ended| has_ended.then_some(status))
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
