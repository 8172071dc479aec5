// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the commands do. [`main`] is the program: it reads the command line, does what it says, and turns
//! every error into one message and an exit status.

mod cell;
mod compare;
mod conform;
mod diff;
mod doctor;
mod import;
mod inspect;
mod install;
mod judge;
mod judges;
mod list;
mod map;
mod new;
mod output;
mod progress;
mod prove;
mod replay;
mod shell;
mod watch;
mod what_if;

use crate::baseline::BaselineError;
use crate::cli::{Cli, Color, Command, Global};
use crate::conform::ConformError;
use crate::corpus::{CorpusError, EMBEDDED, Source};
use crate::discover::DiscoverError;
use crate::input::{InputError, Machine};
use crate::install::InstallError;
use crate::judge::engine::{self, EngineError, Unavailable};
use crate::judge::linux::guest::GuestError;
use crate::judge::linux::machine::BootError;
use crate::judge::linux::observed::RecordError;
use crate::judge::mmu::kvm;
use crate::judge::xen::machine::MachineError;
use crate::options::OptionError;
use crate::report::count;
use crate::scaffold::ScaffoldError;
use crate::spawn::{Limits, RunError};
use crate::watch::WatchError;
use crate::worker;
use clap::Parser;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use pgtlab_core::bootlog::Note;
use pgtlab_core::layout::Backend;
use pgtlab_core::replay::ReplayError;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

/// Reported.
const DONE: u8 = 0;
/// The cells differ from the baseline, or a judge from the model.
const DIFFERENT: u8 = 1;
/// Bad input, or our own failure.
const FAILED: u8 = 2;

/// What was asked for cannot be done on this machine.
const UNAVAILABLE: u8 = 3;

/// Warnings about one log that are printed before its cells are run.
const MOST_WARNINGS: usize = 5;

/// Why a command came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// What was typed for a layout names none, or a file holds none.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// An option of a strategy makes no sense.
    #[error(transparent)]
    Options(#[from] OptionError),
    /// A file holds no machine.
    #[error(transparent)]
    Input(#[from] InputError),
    /// What was typed for a strategy names none, or a plugin is none.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// A plugin could not be loaded, or no worker be started.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A judge's engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// An engine that must be there is not.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// A guest came to no end.
    #[error(transparent)]
    Kvm(#[from] kvm::MachineError),
    /// Xen could not be asked.
    #[error(transparent)]
    Xen(#[from] MachineError),
    /// A word names no machine of QEMU's.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// Linux could not be booted.
    #[error(transparent)]
    Linux(#[from] BootError),
    /// No boot of a machine was kept.
    #[error("no boot of {guest} was kept; there are {kept}")]
    NotKept {
        /// The machine.
        guest: String,
        /// Those that are there.
        kept: String,
    },
    /// A boot that was kept cannot be read.
    #[error("{guest}: {error}")]
    Kept {
        /// The machine.
        guest: String,
        /// Why.
        error: RecordError,
    },
    /// A plugin could not be examined.
    #[error(transparent)]
    Conform(#[from] ConformError),
    /// A watch cannot begin or go on.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// The baseline is none.
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    /// More than one thing was named where one is meant.
    #[error("`{typed}` names {} {what}: {}; expected one", names.len(), names.join(", "))]
    TooMany {
        /// What was typed.
        typed: String,
        /// What it names.
        what: &'static str,
        /// Their names.
        names: Vec<String>,
    },
    /// A family that would be too large.
    #[error("a machine of the family has at most {most} frames of its own")]
    Frames {
        /// The most.
        most: u32,
    },
    /// The cell that was asked for cannot exist.
    #[error("{layout} has no cell on the {backend} back end: {why}")]
    NoCell {
        /// The layout.
        layout: String,
        /// The back end.
        backend: &'static str,
        /// Why.
        why: String,
    },
    /// An address that no table of the machine can map.
    #[error("{address:#x} lies outside the direct map; expected an address below {end:#x}")]
    NoPage {
        /// The physical address.
        address: u64,
        /// The first one that cannot be mapped.
        end: u64,
    },
    /// Nothing is left to run.
    #[error("no cell to run: {} without one on the {backend} back end", count(*n_layouts, "layout", "layouts"))]
    NoCells {
        /// How many layouts were named.
        n_layouts: usize,
        /// The back end that was asked for.
        backend: &'static str,
    },
    /// A boot log cannot be replayed.
    #[error("{place}: {fault}")]
    Replay {
        /// The log.
        place: String,
        /// Why.
        fault: ReplayError,
    },
    /// The strategy died before there was anything to print.
    #[error("no {what} of {cell}: the strategy {verdict}: {text}")]
    NothingToShow {
        /// What was wanted.
        what: &'static str,
        /// The cell.
        cell: String,
        /// How it ended.
        verdict: &'static str,
        /// What is known of it.
        text: String,
    },
    /// What was typed is neither a cell nor a file.
    #[error(
        "`{typed}` is neither a file nor a cell; expected the file of a page_tables dump, or STRATEGY/LAYOUT or \
         STRATEGY/LAYOUT@BACKEND"
    )]
    NoSide {
        /// What was typed.
        typed: String,
    },
    /// A file holds no dump.
    #[error("{place}: {why}")]
    Dump {
        /// The file.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// We failed while running a cell.
    #[error("failed to run {cell}: {text}")]
    Ours {
        /// The cell.
        cell: String,
        /// What happened.
        text: String,
    },
    /// The threads could not be started.
    #[error("failed to start the threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// No strategy was made.
    #[error(transparent)]
    Scaffold(#[from] ScaffoldError),
    /// The program could not be installed.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The current folder is not known.
    #[error("failed to find the current folder: {0}")]
    NoFolder(io::Error),
    /// The output could not be written.
    #[error("cannot write to {place}: {source}")]
    Output {
        /// The file, or standard output.
        place: String,
        /// What the system says.
        source: io::Error,
    },
    /// The records could not be turned into JSON.
    #[error("failed to write a record as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Diagnostic for CommandError {
    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.inner()?.source_code()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        self.inner()?.labels()
    }
}

impl CommandError {
    fn no_cell(layout: &str, backend: Backend, why: impl fmt::Display) -> Self {
        Self::NoCell { layout: layout.to_owned(), backend: backend.name(), why: why.to_string() }
    }

    fn inner(&self) -> Option<&dyn Diagnostic> {
        match self {
            Self::Corpus(error) => Some(error),
            Self::Input(error) => Some(error),
            Self::Options(error) => Some(error),
            _ => None,
        }
    }
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come here too; a reader that went away is no failure.
            return match error.print() {
                Err(lost) if lost.kind() != io::ErrorKind::BrokenPipe => ExitCode::from(FAILED),
                _ => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(FAILED)),
            };
        }
    };
    match cli.global.color {
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
    match run(&cli) {
        Ok(code) => code,
        Err(error) => {
            print_error(&error);
            ExitCode::from(FAILED)
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode, CommandError> {
    let global = &cli.global;
    let code = match &cli.command {
        Command::Compare(compare) => compare::compare(global, compare)?,
        Command::Trace(cell) => cell::trace(global, cell)?,
        Command::Ops { cell, output } => cell::ops(global, cell, output.as_deref())?,
        Command::Dump { cell, phys } => cell::dump(global, cell, *phys)?,
        Command::Explain(asked) => cell::explain(global, asked)?,
        Command::Diff(asked) => diff::diff(global, asked)?,
        Command::Conform(asked) => conform::conform(global, asked)?,
        Command::Inspect { plugin } => inspect::inspect(plugin)?,
        Command::Doctor => doctor::doctor(global)?,
        Command::List => list::list()?,
        Command::Import(asked) => import::import(global, asked)?,
        Command::Map(asked) => map::map(global, asked)?,
        Command::Replay(asked) => replay::replay(global, asked)?,
        Command::Prove(asked) => prove::prove(global, asked)?,
        Command::New { name, out, like } => new::new(name, out.as_deref(), like.as_deref())?,
        Command::Install { prefix } => install::install(prefix)?,
        Command::Watch(asked) => watch::watch(global, asked)?,
        Command::Completions { shell } => shell::completions(*shell)?,
        Command::Man => shell::manual_page()?,
        Command::Judge(asked) => judge::judge(global, asked)?,
        Command::Vm { memory, bytes, boot_root } => {
            kvm::run(memory, *bytes, *boot_root)?;
            DONE
        }
        Command::Launch { parent, program } => return Err(launch(*parent, program)),
        Command::Worker => return Ok(worker::main()),
    };
    Ok(ExitCode::from(code))
}

/// Becomes the program; comes back only if that failed.
fn launch(parent: i32, program: &[OsString]) -> CommandError {
    let Some((program, args)) = program.split_first() else { unreachable!("the command line asks for a program") };
    let source = engine::launch(parent, program, args);
    EngineError::Run { program: program.into(), source }.into()
}

/// How many workers run at once.
fn jobs(global: &Global) -> usize {
    match global.jobs {
        Some(jobs) => jobs.get(),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// What a cell may take.
fn limits(global: &Global) -> Limits {
    let mut limits = Limits::default();
    if let Some(seconds) = global.timeout {
        limits.wall = Duration::from_secs_f64(seconds);
        limits.cpu = Duration::from_secs_f64(seconds.ceil());
    }
    limits
}

/// Says what of the boot logs that were given was not understood. The corpus has been looked at.
fn warn(global: &Global, sources: &[Source]) {
    let is_embedded = |source: &&Source| EMBEDDED.iter().any(|machine| machine.file == source.place);
    for source in sources.iter().filter(|source| !global.quiet && !is_embedded(source)) {
        let Machine::Log { log, .. } = &source.machine else { continue };
        let doubts: Vec<&Note> = log.notes().iter().filter(|note| note.kind.is_doubt()).collect();
        for doubt in doubts.iter().take(MOST_WARNINGS) {
            anstream::eprintln!("warning: {}: {doubt}", source.place);
        }
        if MOST_WARNINGS < doubts.len() {
            let n = doubts.len() - MOST_WARNINGS;
            anstream::eprintln!("warning: {}: {n} more; `pgtlab import` shows all", source.place);
        }
    }
}

fn print_error(error: &CommandError) {
    let is_colored = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    let mut theme = if is_colored { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    "error:".clone_into(&mut theme.characters.error);
    let handler =
        GraphicalReportHandler::new_themed(theme).without_cause_chain().with_wrap_lines(false).with_context_lines(0);
    let mut text = String::new();
    if handler.render_report(&mut text, error).is_err() {
        text = format!("error: {error}");
    }
    // Where standard error cannot be written to there is nobody to tell; the exit status still says it.
    let _ = writeln!(anstream::stderr().lock(), "{}", text.trim());
}
