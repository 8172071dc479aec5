// SPDX-License-Identifier: MIT OR Apache-2.0
//! The worker process: runs one cell, and is the only place where a plugin is loaded.
//!
//! The parent ([`crate::spawn`]) starts this program again as `pgtlab worker`. The worker reads a [`Job`]
//! from standard input, binds itself to limits, loads the plugin, boots, and writes one [`Message`] to a
//! descriptor of its own. Standard output is the plugin's to scribble on.

use crate::answer;
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
use pgtlab_core::plugin::{PluginFault, PluginStrategy};
use pgtlab_core::strategy::{OptionKind, Options};
use rustix::process::{Pid, Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setrlimit};
use rustix::thread::set_no_new_privs;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Mutex;

/// The descriptor to which a worker writes its [`Message`].
pub const MESSAGE_FD: i32 = 3;

/// The descriptor of the word that says where a worker is.
pub const STAGE_FD: i32 = 4;

/// What a worker binds itself to before it loads a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Address space.
    pub memory_bytes: u64,
    /// Processor time, after which the kernel ends it.
    pub cpu_seconds: u64,
    /// The largest file it may write.
    pub file_bytes: u64,
    /// Open descriptors.
    pub n_files: u64,
}

/// What a worker is started with, as JSON on its standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// What to do.
    pub work: Work,
    /// The limits.
    pub bounds: Bounds,
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
    // By way of /proc, since taking over a bare descriptor is unsafe.
    let open = |fd: i32| OpenOptions::new().read(fd == STAGE_FD).write(true).open(format!("/proc/self/fd/{fd}"));
    let mut out = open(MESSAGE_FD)?;
    let cell = StageWriter::map(&open(STAGE_FD)?)?;
    bind(&job)?;
    let message = match &job.work {
        Work::Cell(request) => answer(request, cell),
        Work::Prove(trial) => prove(trial, cell),
        Work::Examine(examination) => examine(examination, cell),
    };
    cell.set(Place::Finished);
    send(&mut out, &message)
}

fn send(out: &mut File, message: &Message) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    // The newline tells a whole message from one that was cut off.
    line.push(b'\n');
    out.write_all(&line)
}

fn bind(job: &Job) -> io::Result<()> {
    set_no_new_privs(true)?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Pid::from_raw(job.parent) {
        return Err(io::Error::other("the parent is gone"));
    }
    let bounds = job.bounds;
    let limit = |current: u64, maximum: u64| Rlimit { current: Some(current), maximum: Some(maximum) };
    let cpu = limit(bounds.cpu_seconds, bounds.cpu_seconds.saturating_add(1));
    setrlimit(Resource::Cpu, cpu)?;
    setrlimit(Resource::Core, limit(0, 0))?;
    setrlimit(Resource::As, limit(bounds.memory_bytes, bounds.memory_bytes))?;
    setrlimit(Resource::Fsize, limit(bounds.file_bytes, bounds.file_bytes))?;
    setrlimit(Resource::Nofile, limit(bounds.n_files, bounds.n_files))?;
    Ok(())
}

fn answer(request: &Request, cell: StageWriter) -> Message {
    let layout = match Layout::parse(&request.layout, "layout") {
        Ok(layout) => layout,
        Err(error) => return ours(request, "", "", format!("the layout is not one: {error}")),
    };
    cell.set(Place::Loading);
    let plugin = match load::load(&request.plugin) {
        Ok(plugin) => plugin,
        Err(error) => return Message::NotLoaded(error.kind.to_string()),
    };
    keep_last_panic();
    let backend = layout.backend.name();
    match panic::catch_unwind(AssertUnwindSafe(|| run_cell(request, &layout, &plugin, cell))) {
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
fn prove(trial: &Trial, cell: StageWriter) -> Message {
    cell.set(Place::Loading);
    let plugin = match load::load(&trial.plugin) {
        Ok(plugin) => plugin,
        Err(error) => return Message::NotLoaded(error.kind.to_string()),
    };
    cell.set(Place::Creating);
    let options = match load::values(&plugin.description, &trial.options) {
        Ok(options) => options,
        Err(kind) => return Message::NotLoaded(kind.to_string()),
    };
    let make = || configured(&plugin, &options).map(|strategy| Watched::new(strategy, cell));
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

/// Does a part of the conformance kit.
fn examine(examination: &Examination, cell: StageWriter) -> Message {
    cell.set(Place::Loading);
    let plugin = match load::load(&examination.plugin) {
        Ok(plugin) => plugin,
        Err(error) => return Message::NotLoaded(error.kind.to_string()),
    };
    cell.set(Place::Creating);
    let make = || PluginStrategy::create(plugin.module);
    let options = plugin.description.options.iter();
    let options = options
        .filter_map(|option| Some((option.key.clone(), OptionKind::from_name(&option.kind)?, option.default.clone())));
    let exam = Exam::with(&make, options.collect());
    let watch = |strategy| Watched::new(strategy, cell);
    let finish = |watched: Watched<PluginStrategy>| {
        cell.set(Place::Finishing);
        watched.into_inner()
    };
    let layout = |text: &str| Layout::parse(text, "layout").map_err(|error| Message::NotExamined(error.to_string()));
    let seen = match &examination.exercise {
        Exercise::Look { check, layout: text } => match (Check::named(check), layout(text)) {
            (Some(check), Ok(layout)) => exam.look_watched(check, &layout, watch, finish),
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
    Message::Done(Box::new(Reply { record, text: String::new() }))
}

fn run_cell(request: &Request, layout: &Layout, plugin: &Plugin, cell: StageWriter) -> Message {
    let backend = layout.backend.name();
    let crashed = |text: String| {
        let record = CellRecord::without_boot(&request.strategy, &layout.name, backend, Verdict::Crashed, text);
        Message::Done(Box::new(Reply { record, text: String::new() }))
    };
    cell.set(Place::Creating);
    let options = match load::values(&plugin.description, &request.options) {
        Ok(options) => options,
        Err(kind) => return Message::NotLoaded(kind.to_string()),
    };
    let strategy = match configured(plugin, &options) {
        Ok(strategy) => strategy,
        Err(fault) => return crashed(fault.to_string()),
    };
    let mut watched = Watched::new(strategy, cell);
    let built = match build::boot(layout, &mut watched, answer::watch(request.want, layout)) {
        Ok(built) => built,
        Err(conflict) => return ours(request, &layout.name, backend, conflict.to_string()),
    };
    cell.set(Place::Finishing);
    if let Err(fault) = watched.into_inner().finish() {
        return crashed(format!("{fault}, while it was dropped"));
    }
    cell.set(Place::Finished);
    let record = CellRecord::of(&request.strategy, layout, &built);
    let text = answer::text(request.want, &request.label(), layout, &built);
    Message::Done(Box::new(Reply { record, text }))
}
