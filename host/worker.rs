// SPDX-License-Identifier: MIT OR Apache-2.0
//! The worker process: runs one cell, and is the only place where a plugin is loaded.
//!
//! The parent ([`crate::spawn`]) starts this program again as `pgtlab worker`. The worker reads a [`Job`]
//! from standard input, binds itself ([`crate::confine`]), loads the plugin, boots, and writes one [`Message`] to
//! a descriptor of its own. Standard output is the plugin's to scribble on.

use crate::answer;
use crate::confine::{self, Bounds};
use crate::doctor::{self, Probed};
use crate::load::{self, Plugin};
use crate::protocol::{Examination, Exercise, Machines, Reply, Request, SeenRecord, Trial, Work};
use crate::prove::family::Family;
use crate::prove::random::Drawn;
use crate::prove::tally::Tally;
use crate::record::{CellRecord, Verdict};
use crate::stage_cell::{Place, StageWriter, Watched};
use pgtlab_core::build;
use pgtlab_core::conform::{Check, Exam};
use pgtlab_core::layout::Layout;
use pgtlab_core::plugin::{Budget, PluginFault, PluginStrategy};
use pgtlab_core::strategy::{OptionKind, Options};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Pid, getppid};
use rustix::stdio::{dup2_stdin, dup2_stdout};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Mutex;

/// The least number of the descriptor for the message: above those that a worker may open, so that whoever
/// closes all it can think of does not close this one.
const MESSAGE_FD: i32 = 900;

/// What a worker is started with, as JSON on its standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// What to do.
    pub work: Work,
    /// The limits.
    pub bounds: Bounds,
    /// Steps of the plugin in a boot; if it is not said, as many as the machine allows.
    pub n_steps: Option<u64>,
    /// What the message starts with. No plugin is told.
    pub secret: String,
    /// The process that waits for the answer; the worker does not outlive it.
    pub parent: i32,
}

/// What a worker answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// The cell was run.
    Done(Box<Reply>),
    /// The machines were run.
    Tallied(Box<Tally>),
    /// The strategy was examined.
    Examined(Box<SeenRecord>),
    /// There was nothing to examine it by: a failure of ours.
    NotExamined(String),
    /// The plugin could not be loaded; why, without the file's name.
    NotLoaded(String),
    /// What a worker can and cannot do.
    Probed(Box<Probed>),
}

/// Runs the worker: what `pgtlab worker` does.
#[must_use]
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pgtlab worker: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> io::Result<()> {
    let job: Job = serde_json::from_reader(io::stdin().lock())?;
    let cell = StageWriter::map(io::stdin().as_fd().try_clone_to_owned()?)?;
    let message = fcntl_dupfd_cloexec(io::stdout(), MESSAGE_FD).or_else(|_| fcntl_dupfd_cloexec(io::stdout(), 3))?;
    dup2_stdin(File::open("/dev/null")?)?;
    dup2_stdout(io::stderr())?;
    let mut out = File::from(message);
    let fences = confine::bind(&job.bounds, out.as_raw_fd(), job.work.plugin())?;
    // After the bond to it was made, which says nothing of a parent that is gone.
    if getppid() != Pid::from_raw(job.parent) {
        return Err(io::Error::other("the parent is gone"));
    }
    let message = match &job.work {
        Work::Cell(request) => answer(request, job.n_steps, cell),
        Work::Prove(trial) => prove(trial, job.n_steps, cell),
        Work::Examine(examination) => examine(examination, job.n_steps, cell),
        Work::Probe => Message::Probed(Box::new(doctor::probe(fences))),
    };
    cell.set(Place::Finished);
    let sent = send(&mut out, &job.secret, &message);
    if sent.is_err() {
        cell.set(Place::Unheard);
    }
    sent
}

/// The parent passes over all that comes before the secret; the newline tells a whole message from one that was
/// cut off.
fn send(out: &mut File, secret: &str, message: &Message) -> io::Result<()> {
    let mut line = secret.as_bytes().to_vec();
    serde_json::to_writer(&mut line, message)?;
    line.push(b'\n');
    out.write_all(&line)
}

fn answer(request: &Request, n_steps: Option<u64>, cell: StageWriter) -> Message {
    let layout = match Layout::parse(&request.layout, "layout") {
        Ok(layout) => layout,
        Err(error) => return ours(request, "", "", format!("the layout is not one: {error}")),
    };
    cell.set(Place::Loading);
    let plugin = match load::load(&request.plugin) {
        Ok(plugin) => plugin,
        Err(error) => return Message::NotLoaded(error.kind.to_string()),
    };
    confine::close_files();
    keep_last_panic();
    let backend = layout.backend.name();
    match panic::catch_unwind(AssertUnwindSafe(|| run_cell(request, &layout, &plugin, n_steps, cell))) {
        Ok(message) => message,
        Err(payload) => {
            // Ours: a panic of the plugin's never comes here, it crosses as an answer.
            std::mem::forget(payload);
            let text = LAST_PANIC.lock().map(|text| text.clone()).unwrap_or_default();
            ours(request, &layout.name, backend, format!("pgtlab panicked: {text}"))
        }
    }
}

/// Runs many machines with one load of the plugin.
fn prove(trial: &Trial, n_steps: Option<u64>, cell: StageWriter) -> Message {
    cell.set(Place::Loading);
    let plugin = match load::load(&trial.plugin) {
        Ok(plugin) => plugin,
        Err(error) => return Message::NotLoaded(error.kind.to_string()),
    };
    confine::close_files();
    cell.set(Place::Creating);
    let options = match load::values(&plugin.description, &trial.options) {
        Ok(options) => options,
        Err(kind) => return Message::NotLoaded(kind.to_string()),
    };
    let make = |layout: &Layout| {
        let strategy = configured(&plugin, &options)?.with_budget(budget(layout, n_steps, cell));
        Ok::<_, PluginFault>(Watched::new(strategy, cell))
    };
    let tally = match trial.machines {
        Machines::Family { n_frames, from, to } => match Family::new(n_frames) {
            Some(family) => Tally::of((from..to).filter_map(|index| family.member(index)), make),
            None => Tally::default(),
        },
        Machines::Random { seed, from, to } => Tally::of((from..to).map(|number| Drawn { seed, number }), make),
    };
    cell.set(Place::Finished);
    Message::Tallied(Box::new(tally))
}

fn configured(plugin: &Plugin, options: &Options) -> Result<PluginStrategy, PluginFault> {
    let mut strategy = PluginStrategy::create(plugin.module)?;
    strategy.configure(options)?;
    Ok(strategy)
}

/// The steps of one boot. When they are spent the worker dies where it stands: the question may never return, and
/// nothing can unwind out of a plugin.
fn budget(layout: &Layout, n_steps: Option<u64>, cell: StageWriter) -> Budget {
    let out_of_steps = Box::new(move |stage| {
        cell.set(Place::OutOfSteps(stage));
        std::process::abort()
    });
    Budget::new(n_steps.unwrap_or_else(|| Budget::steps_of(layout)), out_of_steps)
}

/// Does a part of the conformance kit.
fn examine(examination: &Examination, n_steps: Option<u64>, cell: StageWriter) -> Message {
    cell.set(Place::Loading);
    let plugin = match load::load(&examination.plugin) {
        Ok(plugin) => plugin,
        Err(error) => return Message::NotLoaded(error.kind.to_string()),
    };
    confine::close_files();
    cell.set(Place::Creating);
    let make = || PluginStrategy::create(plugin.module);
    let options = plugin.description.options.iter();
    let options = options
        .filter_map(|option| Some((option.key.clone(), OptionKind::from_name(&option.kind)?, option.default.clone())));
    let exam = Exam::with(&make, options.collect());
    let finish = |watched: Watched<PluginStrategy>| {
        cell.set(Place::Finishing);
        watched.into_inner()
    };
    let layout = |text: &str| Layout::parse(text, "layout").map_err(|error| Message::NotExamined(error.to_string()));
    let seen = match &examination.exercise {
        Exercise::Look { check, layout: text } => match (Check::named(check), layout(text)) {
            (Some(check), Ok(layout)) => {
                let steps = budget(&layout, n_steps, cell);
                let watch = |strategy: PluginStrategy| Watched::new(strategy.with_budget(steps), cell);
                exam.look_watched(check, &layout, watch, finish)
            }
            (None, _) => return Message::NotExamined(format!("no check is called {check:?}")),
            (_, Err(message)) => return message,
        },
        Exercise::Repeat { layout: text, before } => match (layout(text), layout(before)) {
            (Ok(layout), Ok(before)) => exam.repeat(&layout, Some(&before)),
            (Err(message), _) | (_, Err(message)) => return message,
        },
        Exercise::Strain => exam.strain(),
    };
    cell.set(Place::Finished);
    Message::Examined(Box::new(SeenRecord::from(&seen)))
}

static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

fn keep_last_panic() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
        let text = format!("{}{place}", info.payload_as_str().unwrap_or("(a panic without text)"));
        eprintln!("pgtlab worker: panicked: {text}");
        if let Ok(mut last) = LAST_PANIC.lock() {
            *last = text;
        }
    }));
}

/// A record of our own failure.
fn ours(request: &Request, layout: &str, backend: &str, text: String) -> Message {
    let record = CellRecord::without_boot(&request.strategy, layout, backend, Verdict::Error, text);
    Message::Done(Box::new(Reply { record, text: String::new(), n_steps: 0 }))
}

fn run_cell(request: &Request, layout: &Layout, plugin: &Plugin, n_steps: Option<u64>, cell: StageWriter) -> Message {
    let backend = layout.backend.name();
    let crashed = |text: String| {
        let record = CellRecord::without_boot(&request.strategy, &layout.name, backend, Verdict::Crashed, text);
        Message::Done(Box::new(Reply { record, text: String::new(), n_steps: 0 }))
    };
    cell.set(Place::Creating);
    let options = match load::values(&plugin.description, &request.options) {
        Ok(options) => options,
        Err(kind) => return Message::NotLoaded(kind.to_string()),
    };
    let strategy = match configured(plugin, &options) {
        Ok(strategy) => strategy.with_budget(budget(layout, n_steps, cell)),
        Err(fault) => return crashed(fault.to_string()),
    };
    let mut watched = Watched::new(strategy, cell);
    let built = match build::boot(layout, &mut watched, answer::watch(request.want, layout)) {
        Ok(built) => built,
        Err(conflict) => return ours(request, &layout.name, backend, conflict.to_string()),
    };
    cell.set(Place::Finishing);
    let strategy = watched.into_inner();
    let n_steps = strategy.n_steps();
    if let Err(fault) = strategy.finish() {
        return crashed(format!("{fault}, while it was dropped"));
    }
    cell.set(Place::Finished);
    let record = CellRecord::of(&request.strategy, layout, &built);
    let text = answer::text(request.want, &request.label(), layout, &built);
    Message::Done(Box::new(Reply { record, text, n_steps }))
}
