// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running cells in worker processes, and telling what became of a worker that died.
//!
//! ```text
//!   this process                              worker (`pgtlab worker`, its own process group)
//!   memfd  Job as JSON, and one word ─ stdin ─► reads the job and cuts it off, maps the word,
//!          read after its death                 which says where it is
//!   pipe   ◄─────────────────────────── stdout ─ moved to a number of its own: secret, Message, newline
//!   pipe   ◄─────────────────────────── stderr ─ what the plugin prints to stdout and stderr, up to a cap
//! ```
//!
//! **A cell is a success only if a whole message arrived**; an exit status proves nothing. **Nothing here
//! waits without a limit**: a process that a plugin left behind may hold the pipes open for ever. All of
//! this is per worker, so cells can be run from many threads at once.
//!
//! # How far a record can be trusted
//!
//! A message counts from behind a secret of 128 random bits, which each worker has of its own and reads before
//! it loads the plugin; what was written to the descriptor before the secret is dropped as it comes. So a
//! plugin that writes to every descriptor, that closes them, that exits early or forges a record makes no
//! record: it is found out as crashed, or its own message still arrives. It takes malice to do more: the plugin
//! shares its worker's memory, where it could look for the secret or change the host's code. Whoever runs the
//! plugins of strangers does so in a machine of its own.

mod leftovers;
mod watch;

use crate::confine::Bounds;
use crate::doctor::Probed;
use crate::load::{LoadError, LoadErrorKind};
use crate::protocol::{Examination, Reply, Request, SeenRecord, Trial, Work};
use crate::prove::tally::Tally;
use crate::record::{CellRecord, Verdict};
use crate::stage_cell::{Place, StageReader};
use crate::worker::{Job, Message};
use pgtlab_core::layout::Layout;
use pgtlab_core::plugin::Budget;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, getpid};
use rustix::rand::{GetRandomFlags, getrandom};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;
use watch::Watched;

/// What a worker may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time on the wall. Generous, since a machine may be busy: an endless loop meets `cpu` first.
    pub wall: Duration,
    /// Processor time, in whole seconds.
    pub cpu: Duration,
    /// Address space.
    pub memory_bytes: u64,
    /// Steps of the plugin in one boot; if it is not said, as many as the machine allows
    /// ([`Budget::steps_of`]).
    pub n_steps: Option<u64>,
}

impl Default for Limits {
    /// The clocks are a net for what asks nothing of the host: whoever asks without an end is stopped by its
    /// steps, on a busy machine as on an idle one. Of the machines in the corpus the dearest takes a second, 21 MiB for its record and 245 MiB for its
    /// events.
    fn default() -> Self {
        Self { wall: Duration::from_secs(60), cpu: Duration::from_secs(10), memory_bytes: 2 << 30, n_steps: None }
    }
}

/// The largest file a worker may write.
pub(crate) const FILE_BYTES: u64 = 16 << 20;

/// How many descriptors a worker may have.
pub(crate) const N_FILES: u64 = 64;

/// A cell that was not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The plugin could not be loaded: bad input, and no verdict on the strategy.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// No worker could be started.
    #[error("failed to start a worker ({}): {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Runs a cell in a worker process of its own.
///
/// # Errors
/// The plugin could not be loaded, or no worker be started. Whatever happens after the plugin was loaded is
/// part of the reply.
pub fn run_cell(request: &Request, limits: &Limits) -> Result<Reply, RunError> {
    let (outcome, message) = run(Work::Cell(request.clone()), limits)?;
    match message {
        Some(Message::Done(reply)) => Ok(*reply),
        _ => Ok(Reply { record: dead(request, limits, &outcome), text: String::new(), n_steps: 0 }),
    }
}

/// Runs a strategy on many machines in one worker process. Inside, what became of a worker that died.
///
/// # Errors
/// The plugin could not be loaded, or no worker be started.
pub fn run_trial(trial: &Trial, limits: &Limits) -> Result<Result<Tally, String>, RunError> {
    let (outcome, message) = run(Work::Prove(trial.clone()), limits)?;
    match message {
        Some(Message::Tallied(tally)) => Ok(Ok(*tally)),
        _ => Ok(Err(cause(limits, limits.n_steps, &outcome).1)),
    }
}

/// What a worker of these limits can and cannot do.
///
/// # Errors
/// No worker can be started, or it says nothing.
pub fn run_probe(limits: &Limits) -> Result<Probed, RunError> {
    let (outcome, message) = run(Work::Probe, limits)?;
    match message {
        Some(Message::Probed(probed)) => Ok(*probed),
        _ => {
            let source = io::Error::other(cause(limits, None, &outcome).1);
            Err(RunError::Start { program: worker_program(), source })
        }
    }
}

/// How a worker died, as far as its parent can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// Where it was.
    pub place: Place,
    /// Whether its time was over.
    pub is_overdue: bool,
    /// What became of it: `was killed by SIGSEGV`.
    pub what: String,
    /// The same as a sentence, with the place.
    pub text: String,
}

/// Does a part of the conformance kit in a worker process. Inside, what became of a worker that died.
///
/// # Errors
/// The plugin could not be loaded, or no worker be started.
pub fn run_examination(examination: &Examination, limits: &Limits) -> Result<Result<SeenRecord, Death>, RunError> {
    let (outcome, message) = run(Work::Examine(examination.clone()), limits)?;
    match message {
        Some(Message::Examined(seen)) => Ok(Ok(*seen)),
        Some(Message::NotExamined(text)) => {
            Ok(Err(Death { place: Place::BeforeLoading, is_overdue: false, what: text.clone(), text }))
        }
        _ => {
            let (verdict, text) = cause(limits, limits.n_steps, &outcome);
            let is_overdue = verdict == Verdict::Timeout;
            let what = if is_overdue { text.clone() } else { end_of(&outcome.status) };
            Ok(Err(Death { place: outcome.place, is_overdue, what, text }))
        }
    }
}

fn run(work: Work, limits: &Limits) -> Result<(Outcome, Option<Message>), RunError> {
    let program = worker_program();
    let path = work.plugin().map(Path::to_owned).unwrap_or_default();
    let outcome = run_worker(&program, work, limits).map_err(|source| RunError::Start { program, source })?;
    match outcome.message() {
        Some(Message::NotLoaded(text)) => Err(LoadError { path, kind: LoadErrorKind::InWorker(text) }.into()),
        message => Ok((outcome, message)),
    }
}

/// The program to start as a worker: this one, or the one beside it if this is a test or a bench.
pub(crate) fn worker_program() -> PathBuf {
    let this = PathBuf::from("/proc/self/exe");
    let Ok(path) = std::env::current_exe() else { return this };
    match path.parent() {
        Some(folder) if folder.ends_with("deps") || folder.ends_with("examples") => folder.with_file_name("pgtlab"),
        // Not by its path, where a newer build may lie by now.
        _ => this,
    }
}

/// What was seen of a worker.
struct Outcome {
    watched: Watched,
    status: ExitStatus,
    place: Place,
}

impl Outcome {
    /// The worker's message, if all of it arrived.
    fn message(&self) -> Option<Message> {
        serde_json::from_slice(&self.watched.message).ok()
    }
}

fn run_worker(program: &PathBuf, work: Work, limits: &Limits) -> io::Result<Outcome> {
    let marker = leftovers::Marker::new();
    let job = job(work, limits)?;
    let stage = StageReader::new(&serde_json::to_vec(&job)?)?;
    let (mut child, message, printed) = start(program, &marker, &stage)?;
    let pid = Pid::from_child(&child);
    let watched = watch::watch(pid, message, &job.secret, printed, limits.wall);
    // The group's number cannot be anyone else's before the child is waited for.
    leftovers::kill_group(pid);
    let status = child.wait()?;
    leftovers::kill_marked(&marker);
    Ok(Outcome { watched: watched?, status, place: stage.read() })
}

fn start(program: &PathBuf, marker: &leftovers::Marker, stage: &StageReader) -> io::Result<(Child, OwnedFd, OwnedFd)> {
    let (message_in, message_out) = pipe_with(PipeFlags::CLOEXEC)?;
    let (printed_in, printed_out) = pipe_with(PipeFlags::CLOEXEC)?;
    let mut command = Command::new(program);
    command
        .arg0("pgtlab")
        .arg("worker")
        .env_clear()
        // A symbol that is missing in a plugin is found when it is loaded, not in the middle of a boot.
        .env("LD_BIND_NOW", "1")
        .env(leftovers::MARKER_VARIABLE, marker.value())
        .stdin(stage.to_worker()?)
        .stdout(message_out)
        .stderr(printed_out)
        .process_group(0);
    // The command holds the worker's ends of the pipes: it goes before they are read.
    let child = command.spawn()?;
    Ok((child, message_in, printed_in))
}

fn job(work: Work, limits: &Limits) -> io::Result<Job> {
    let bounds = Bounds {
        memory_bytes: limits.memory_bytes,
        cpu_seconds: limits.cpu.as_secs().max(1),
        file_bytes: FILE_BYTES,
        n_files: N_FILES,
    };
    let mut secret = [0; 16];
    getrandom(&mut secret, GetRandomFlags::empty())?;
    let secret = format!("{:032x}", u128::from_ne_bytes(secret));
    Ok(Job { work, bounds, n_steps: limits.n_steps, secret, parent: getpid().as_raw_nonzero().get() })
}

/// The record of a worker that died without a message.
fn dead(request: &Request, limits: &Limits, outcome: &Outcome) -> CellRecord {
    let layout = Layout::parse(&request.layout, "layout").ok();
    let n_steps = limits.n_steps.or_else(|| layout.as_ref().map(Budget::steps_of));
    let (layout, backend) = layout.map_or_else(Default::default, |layout| (layout.name, layout.backend.name()));
    let (verdict, text) = cause(limits, n_steps, outcome);
    let stage = match outcome.place {
        Place::Asking(stage) | Place::Answered(stage) | Place::OutOfSteps(stage) => Some(stage.name().to_owned()),
        _ => None,
    };
    let record = CellRecord::without_boot(&request.strategy, &layout, backend, verdict, text);
    CellRecord { stage, ..record }
}

/// SIGXCPU and SIGKILL by their numbers on Linux on x86-64.
const SIGXCPU: i32 = rustix::process::Signal::XCPU.as_raw();
const SIGKILL: i32 = rustix::process::Signal::KILL.as_raw();

fn cause(limits: &Limits, n_steps: Option<u64>, outcome: &Outcome) -> (Verdict, String) {
    if let Place::OutOfSteps(_) = outcome.place {
        let within = || "no end within the steps that the machine allows".to_owned();
        return (Verdict::Timeout, n_steps.map_or_else(within, |n| format!("no end after {n} steps of the plugin")));
    }
    if outcome.watched.is_overdue {
        return (Verdict::Timeout, no_end(limits.wall));
    }
    let signal = outcome.status.signal();
    // Beyond the hard limit, a second after the soft one, the kernel kills what does not heed SIGXCPU.
    if signal == Some(SIGXCPU) || signal == Some(SIGKILL) && limits.cpu <= outcome.watched.wall {
        return (Verdict::Timeout, no_end(limits.cpu));
    }
    let what = end_of(&outcome.status);
    match outcome.place {
        Place::BeforeLoading => {
            let said = outcome.watched.last_line();
            (Verdict::Error, format!("the worker {what}, before it loaded the plugin{said}"))
        }
        Place::Unheard => (Verdict::Crashed, "the plugin closed the descriptor its record goes to".to_owned()),
        Place::Finished => (Verdict::Error, format!("the worker {what}, after the plugin was done")),
        Place::Loading => (Verdict::Crashed, format!("the plugin {what}, while it was loaded")),
        Place::Creating => (Verdict::Crashed, format!("the plugin {what}, while its strategy was made")),
        Place::Finishing => (Verdict::Crashed, format!("the plugin {what}, while it was dropped")),
        Place::Asking(_) | Place::OutOfSteps(_) => (Verdict::Crashed, format!("the plugin {what}")),
        Place::Answered(_) => (Verdict::Crashed, format!("the plugin {what}, after it had answered")),
    }
}

fn end_of(status: &ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was killed by {}", signal_name(signal)),
        (None, Some(code)) => format!("exited with code {code} before it was done"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

fn no_end(after: Duration) -> String {
    match after.subsec_millis() {
        0 => format!("no end after {} s", after.as_secs()),
        _ => format!("no end after {:.1} s", after.as_secs_f64()),
    }
}

fn signal_name(signal: i32) -> String {
    use rustix::process::Signal;
    let names = [
        (Signal::ABORT, "SIGABRT"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::BUS, "SIGBUS"),
        (Signal::ILL, "SIGILL"),
        (Signal::FPE, "SIGFPE"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::KILL, "SIGKILL"),
        (Signal::TERM, "SIGTERM"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::SYS, "SIGSYS"),
        (Signal::XFSZ, "SIGXFSZ"),
        (Signal::ALARM, "SIGALRM"),
    ];
    let name = names.iter().find(|(known, _)| known.as_raw() == signal);
    name.map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).to_owned())
}
