// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs that judges run on: found, started with an end in sight, and never left behind.
//!
//! An engine is looked for under the folder that `PGTLAB_ENGINES` names, or else under a folder `engines` beside one of
//! those that this program lies in (`just engines` fills `target/engines`); then where the system has it. One that is not
//! there is *unavailable*, which is no failure unless `PGTLAB_REQUIRE` names it (`PGTLAB_REQUIRE=tcg,xen`).
//!
//! **Nothing that is started here outlives its caller**: it is the child of a process group of its own, which is killed
//! when the wait for it ends in whatever way, and the kernel kills it when this program dies ([`launch`]).

use crate::spawn::worker_program;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, getppid, kill_process_group, pidfd_open, set_parent_process_death_signal,
};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, fmt, fs};

/// The variable that names the engines that must be there.
pub const REQUIRE: &str = "PGTLAB_REQUIRE";
/// The variable that names a folder of unpacked packages.
pub const ENGINES: &str = "PGTLAB_ENGINES";

/// How long a program may take to say its version.
const VERSION_WALL: Duration = Duration::from_secs(20);

/// How much of what an engine prints is kept.
const PRINTED_BYTES: u64 = 64 << 10;

/// Whether an engine must be there.
#[must_use]
pub(crate) fn is_required(name: &str) -> bool {
    env::var(REQUIRE).is_ok_and(|names| names.split(',').any(|required| required.trim() == name))
}

/// An engine, or nothing if it is missing and may be, which `told` is told.
///
/// # Errors
/// It is missing and [`REQUIRE`] names it.
pub fn unless_required<E>(
    found: Result<E, Unavailable>,
    name: &str,
    told: impl FnOnce(&Unavailable),
) -> Result<Option<E>, Unavailable> {
    match found {
        Ok(engine) => Ok(Some(engine)),
        Err(missing) if is_required(name) => Err(missing),
        Err(missing) => {
            told(&missing);
            Ok(None)
        }
    }
}

/// An engine that is not to be had on this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is unavailable: {why}; {hint}")]
pub struct Unavailable {
    /// What it is.
    pub what: &'static str,
    /// Why.
    pub why: String,
    /// What to do about it.
    pub hint: &'static str,
}

/// An engine that failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It could not be run.
    #[error("failed to run {}: {source}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It came to no end.
    #[error("no end of {} after {} s{said}", program.display(), wall.as_secs())]
    Overdue {
        /// The program.
        program: PathBuf,
        /// How long it was waited for.
        wall: Duration,
        /// What it printed last.
        said: Said,
    },
    /// It ended in another way than it should.
    #[error("{} ended with {status}{said}", program.display())]
    Ended {
        /// The program.
        program: PathBuf,
        /// How.
        status: ExitStatus,
        /// What it printed last.
        said: Said,
    },
}

/// What a program printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said(pub String);

impl fmt::Display for Said {
    /// The last line, behind a colon; nothing if there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.0.lines().rev().find(|line| !line.trim().is_empty());
        last.map_or(Ok(()), |line| write!(f, ": {line}"))
    }
}

/// Folders that packages may be unpacked under, in the order they are looked into.
pub fn roots() -> impl Iterator<Item = PathBuf> {
    let roots = match env::var_os(ENGINES) {
        Some(named) => vec![PathBuf::from(named)],
        None => {
            let program = env::current_exe().unwrap_or_default();
            program.ancestors().skip(1).map(|folder| folder.join("engines")).collect()
        }
    };
    roots.into_iter().filter(|root| root.is_dir())
}

/// The newest image `PREFIX..SUFFIX` to boot, by the numbers between the two: under the folders that packages were
/// unpacked to, or in `/boot`.
pub fn newest_boot_image(prefix: &str, suffix: &str) -> Option<PathBuf> {
    let mut folders = roots().map(|root| root.join("boot")).chain([PathBuf::from("/boot")]);
    let version = |path: &Path| -> Option<Vec<u32>> {
        let numbers = path.file_name()?.to_str()?.strip_prefix(prefix)?.strip_suffix(suffix)?;
        numbers.split(['.', '-']).map(|number| number.parse().ok()).collect()
    };
    folders.find_map(|folder| {
        let files = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        files.filter_map(|path| Some((version(&path)?, path))).max().map(|(_, path)| path)
    })
}

/// QEMU for x86-64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qemu {
    program: PathBuf,
    /// Where its packages were unpacked, if they are not installed.
    unpacked: Option<PathBuf>,
}

const QEMU: &str = "qemu-system-x86_64";

impl Qemu {
    /// Finds it.
    ///
    /// # Errors
    /// It is nowhere.
    pub fn find() -> Result<Self, Unavailable> {
        let path = env::var_os("PATH").unwrap_or_default();
        let unpacked = roots().map(|root| (root.join("usr/bin").join(QEMU), Some(root)));
        let installed = env::split_paths(&path).map(|folder| (folder.join(QEMU), None));
        let found = unpacked.chain(installed).find(|(program, _)| program.is_file());
        let (program, unpacked) = found.ok_or_else(|| Unavailable {
            what: "QEMU",
            why: format!("no {QEMU} in PATH or {ENGINES}"),
            hint: "`just engines` unpacks it, or install qemu-system-x86",
        })?;
        Ok(Self { program, unpacked })
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// What it says of itself: `QEMU emulator version 7.2.22 (Debian ..)`.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn version(&self) -> Result<String, EngineError> {
        let ended = run(self.command().arg("--version"), VERSION_WALL)?;
        let first = ended.said.0.lines().next().map(str::to_owned);
        match first.filter(|_| ended.status.success()) {
            Some(version) => Ok(version),
            None => Err(EngineError::Ended { program: self.program.clone(), status: ended.status, said: ended.said }),
        }
    }

    /// Whether it has a board of this name.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn has_board(&self, name: &str) -> Result<bool, EngineError> {
        let ended = run(self.command().args(["-machine", "help"]), VERSION_WALL)?;
        Ok(ended.said.0.lines().any(|line| line.split_whitespace().next() == Some(name)))
    }

    /// A command that runs it and finds its libraries and firmware.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
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
}

/// A program that came to its end.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// What it printed, on either output, up to a cap.
    pub said: Said,
    /// How long it took.
    pub wall: Duration,
}

/// Runs a program to its end, without input, in a process group of its own; after `wall` it is killed.
///
/// # Errors
/// It cannot be started, or does not end in time.
pub fn run(command: &Command, wall: Duration) -> Result<Ended, EngineError> {
    let program = PathBuf::from(command.get_program());
    let failed = |source| EngineError::Run { program: program.clone(), source };
    let mut printed = File::from(memfd_create("pgtlab-engine", MemfdFlags::CLOEXEC).map_err(|e| failed(e.into()))?);
    let started = Instant::now();
    let mut running = start(command, &printed).map_err(failed)?;
    let has_ended = running.wait(wall).map_err(failed)?;
    let status = running.end().map_err(failed)?;
    let mut said = Vec::new();
    let read = printed.seek(SeekFrom::Start(0)).and_then(|_| printed.take(PRINTED_BYTES).read_to_end(&mut said));
    read.map_err(failed)?;
    let said = Said(String::from_utf8_lossy(&said).into_owned());
    if !has_ended {
        return Err(EngineError::Overdue { program, wall, said });
    }
    Ok(Ended { status, said, wall: started.elapsed() })
}

/// Starts a program without input, in a process group of its own; what it prints goes to the file.
///
/// # Errors
/// It cannot be started.
pub fn start(command: &Command, printed: &File) -> io::Result<Running> {
    let mut launched = Command::new(worker_program());
    launched.arg0("pgtlab").arg("launch").arg(getpid().to_string()).arg("--");
    launched.arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => launched.env(key, value),
            None => launched.env_remove(key),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        launched.current_dir(folder);
    }
    launched.stdin(Stdio::null()).stdout(printed.try_clone()?).stderr(printed.try_clone()?).process_group(0);
    Ok(Running { child: launched.spawn()?, is_reaped: false })
}

/// A program that runs. Dropped, it is killed with its group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    is_reaped: bool,
}

impl Running {
    /// A descriptor that can be read from once it has ended.
    ///
    /// # Errors
    /// Those of making a descriptor.
    pub fn exit(&self) -> io::Result<OwnedFd> {
        Ok(pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty())?)
    }

    /// Whether it ends by itself in this time.
    fn wait(&self, wall: Duration) -> io::Result<bool> {
        let exit = self.exit()?;
        let start = Instant::now();
        loop {
            let left = Timespec::try_from(wall.saturating_sub(start.elapsed())).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&exit, PollFlags::IN)], Some(&left)) {
                Err(Errno::INTR) => {}
                Ok(n) => return Ok(0 < n),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Kills what is left of its group, and reaps it.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn end(&mut self) -> io::Result<ExitStatus> {
        // The group's number cannot be anyone else's before the child is waited for; the one failure is that nobody is
        // left in it.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let status = self.child.wait()?;
        self.is_reaped = true;
        Ok(status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_reaped {
            let _ = self.end();
        }
    }
}

/// Becomes the program, bound to the life of `parent`: what `pgtlab launch` does. The bond outlives the change, so an
/// engine needs no code of ours in it, and starting one no unsafe code.
///
/// # Errors
/// Always: why it did not become the program.
#[must_use]
pub fn launch(parent: i32, program: &OsString, args: &[OsString]) -> io::Error {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    // After the bond to it was made, which says nothing of a parent that is gone.
    if getppid() != Pid::from_raw(parent) {
        return io::Error::other("the parent is gone");
    }
    Command::new(program).args(args).exec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_a_program_prints_and_how_it_ends_is_told() {
        let ended = run(&shell("echo one; echo two >&2; exit 7"), Duration::from_secs(20)).expect("it runs");
        assert_eq!((ended.status.code(), &*ended.said.0), (Some(7), "one\ntwo\n"));
        assert_eq!(ended.said.to_string(), ": two");
    }

    #[test]
    fn a_program_without_an_end_is_killed_with_its_children() {
        let error = run(&shell("sleep 100 & echo $!; wait"), Duration::from_secs(1)).expect_err("it has no end");
        let EngineError::Overdue { said, .. } = &error else { panic!("{error}") };
        let child: i32 = said.0.trim().parse().expect("the child's number");
        // It dies as soon as it is its turn, which is long before its 100 seconds are over.
        let is_alive = || {
            let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            !(stat.is_empty() || stat.contains(") Z "))
        };
        let start = Instant::now();
        while is_alive() {
            assert!(start.elapsed() < Duration::from_secs(50), "{child} lives");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run(&Command::new("/none/such"), Duration::from_secs(20));
        let text = error.map_or_else(|error| error.to_string(), |ended| format!("{}{}", ended.status, ended.said));
        assert!(text.contains("/none/such"), "{text}");
    }
}
