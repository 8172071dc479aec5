// SPDX-License-Identifier: MIT OR Apache-2.0
//! What holds a plugin in on this machine, and what the machine lacks: `pgtlab doctor`.
//!
//! What is in force is asked of a worker, which tries it ([`probe`]); it is not guessed from the kernel's version.
//! A check that is added is one more [`Row`] in `rows`.

use crate::confine::{self, Fences};
use crate::judge::engine::{Qemu, Unavailable};
use crate::judge::linux::machine::Machine as Linux;
use crate::judge::mmu::kvm::Kvm;
use crate::judge::xen::machine::Machine;
use crate::spawn::{FILE_BYTES, Limits, N_FILES, RunError, run_probe};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{PidfdFlags, getpid, getppid, pidfd_open, test_kill_process};
use rustix::system::uname;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::TcpListener;
use std::process::Command;

/// What a worker found that it can and cannot do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// The kernel's fences.
    pub fences: Fences,
    /// What was tried, and whether it was refused.
    pub tried: Vec<(String, bool)>,
}

/// Tries what a plugin must not do. To be called in a worker, behind its fences.
#[must_use]
pub fn probe(fences: Fences) -> Probed {
    let write = || OpenOptions::new().write(true).create(true).truncate(true).open("/dev/null").map(drop);
    let read = |path: &str| File::open(path).map(drop);
    // The one file is none that the loader needs, the other is.
    let before = read("/proc/self/environ");
    confine::close_files();
    let signal = || getppid().map_or(Ok(()), test_kill_process).map_err(io::Error::from);
    let tries: [(&str, io::Result<()>); 6] = [
        ("read a file while it is loaded", before),
        ("read a file", read("/lib64/ld-linux-x86-64.so.2")),
        ("write a file", write()),
        ("use the network", TcpListener::bind("127.0.0.1:0").map(drop)),
        ("start a process", Command::new("/bin/true").spawn().and_then(|mut child| child.wait()).map(drop)),
        ("signal its parent", signal()),
    ];
    let tried = tries.map(|(what, outcome)| {
        (what.to_owned(), outcome.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied))
    });
    Probed { fences, tried: tried.into() }
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is there, or in force.
    Yes,
    /// It is not, and something is lost by it.
    No,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What was looked for.
    pub what: String,
    /// How it ended.
    pub state: State,
    /// What was found, or what is lost.
    pub text: String,
}

impl Row {
    /// A row that says `found`, or without it what is lost.
    fn of(what: &str, found: Option<String>, lost: &str) -> Self {
        let state = if found.is_some() { State::Yes } else { State::No };
        Self { what: what.to_owned(), state, text: found.unwrap_or_else(|| lost.to_owned()) }
    }
}

/// All checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report(pub Vec<Row>);

/// Looks at this machine, with a worker of these limits.
///
/// # Errors
/// No worker can be started: then no strategy runs here at all.
pub fn report(limits: &Limits) -> Result<Report, RunError> {
    Ok(Report(rows(limits, &run_probe(limits)?)))
}

fn rows(limits: &Limits, probed: &Probed) -> Vec<Row> {
    let mut rows = vec![
        Row::of("kernel", kernel(), ""),
        Row::of("limits", Some(bounds(limits)), ""),
        Row::of("no-new-privs", Some("in force".to_owned()), ""),
        fence(
            "seccomp",
            probed.fences.seccomp.as_ref().map(|()| "in force"),
            "a plugin can open files and start processes",
        ),
        fence("Landlock", probed.fences.landlock.as_deref(), "a library's constructor can read any file"),
    ];
    rows.extend(probed.tried.iter().map(|(what, is_refused)| {
        let (state, text) = if *is_refused { (State::Yes, "refused") } else { (State::No, "possible") };
        Row { what: format!("plugin tries to {what}"), state, text: text.to_owned() }
    }));
    let memfd = memfd_create("pgtlab-doctor", MemfdFlags::CLOEXEC).is_ok();
    let pidfd = pidfd_open(getpid(), PidfdFlags::empty()).is_ok();
    rows.extend([
        Row::of("memfd", memfd.then(|| "yes".to_owned()), "no worker can be started"),
        Row::of("pidfd", pidfd.then(|| "yes".to_owned()), "no worker can be watched"),
        kvm(),
        qemu(),
        xen(),
        linux(),
        Row::of("cargo", version("cargo"), "strategies cannot be built here"),
        Row::of("C linker (cc)", version("cc"), "strategies cannot be built here"),
    ]);
    rows
}

fn kernel() -> Option<String> {
    let name = uname();
    Some(format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy()))
}

fn bounds(limits: &Limits) -> String {
    format!(
        "{} MiB of memory, {} s of processor time, {} s on the wall, files of {} MiB, {N_FILES} descriptors",
        limits.memory_bytes >> 20,
        limits.cpu.as_secs(),
        limits.wall.as_secs_f64(),
        FILE_BYTES >> 20,
    )
}

fn fence(what: &str, outcome: Result<&str, &String>, lost: &str) -> Row {
    match outcome {
        Ok(text) => Row::of(what, Some(text.to_owned()), ""),
        Err(why) => Row::of(what, None, &format!("{why}; {lost}")),
    }
}

/// What judges borrow this machine's processor by.
fn kvm() -> Row {
    match Kvm::find() {
        Ok(kvm) => Row::of("KVM", Some(format!("{}; {}", kvm.description(), kvm.walk().text())), ""),
        Err(missing) => {
            let lost = "no judge by this machine's processor";
            Row::of("KVM", None, &format!("{}; {}; {lost}", missing.why, missing.hint))
        }
    }
}

/// What judges emulate a processor with.
fn qemu() -> Row {
    let found = Qemu::find().map_err(|missing| format!("{}; {}", missing.why, missing.hint));
    let version: Result<String, String> = found.and_then(|qemu| {
        let version = qemu.version().map_err(|error| error.to_string())?;
        Ok(format!("{version}, {}", qemu.program().display()))
    });
    match version {
        Ok(text) => Row::of("QEMU", Some(text), ""),
        Err(why) => Row::of("QEMU", None, &format!("{why}; no judge by an emulated processor")),
    }
}

/// What else `judge xen` needs. Its version is known only once it boots.
fn xen() -> Row {
    match Machine::find() {
        Ok(machine) => Row::of("Xen", Some(machine.xen().display().to_string()), ""),
        Err(missing) => Row::of("Xen", None, &format!("{}; {}; no judge by the real Xen", missing.why, missing.hint)),
    }
}

/// What else `judge linux` needs.
fn linux() -> Row {
    let lost = |missing: Unavailable| format!("{}; {}; no judge by the kernel itself", missing.why, missing.hint);
    match Linux::find() {
        Ok((_, kernel)) => Row::of("Linux 6.1", Some(kernel.display().to_string()), ""),
        Err(missing) => Row::of("Linux 6.1", None, &lost(missing)),
    }
}

/// The first line that a program says of itself.
fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok().filter(|output| output.status.success())?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
}

impl fmt::Display for Report {
    /// A line a row: what, `ok` or `no`, and the text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|row| row.what.chars().count()).max().unwrap_or(0);
        for Row { what, state, text } in &self.0 {
            let word = match state {
                State::Yes => "ok",
                State::No => "no",
            };
            writeln!(f, "{what:<width$}  {word}  {text}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_said_with_the_reason() {
        let fences = Fences { seccomp: Err("no such call".to_owned()), landlock: Ok("all of it".to_owned()) };
        let tried = vec![("write a file".to_owned(), false), ("use the network".to_owned(), true)];
        let report = Report(rows(&Limits::default(), &Probed { fences, tried })).to_string();
        for line in [
            "seccomp                          no  no such call; a plugin can open files and start processes",
            "Landlock                         ok  all of it",
            "plugin tries to write a file     no  possible",
            "plugin tries to use the network  ok  refused",
        ] {
            assert!(report.lines().any(|found| found == line), "no line {line:?} in\n{report}");
        }
    }
}
