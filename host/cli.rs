// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line: what can be typed. What it does is in [`crate::command`].

mod help;
pub mod judge;
mod values;

use crate::options::Settings;
use crate::whatif::WhatIf;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use help::{
    COMPARE_EXIT_CODES, CONFORM_EXIT_CODES, DONE_EXIT_CODES, EXAMPLES, EXIT_CODES, INSPECT_EXIT_CODES, LONG_VERSION,
    PLACES, PROVE_EXIT_CODES, REPLAY_EXIT_CODES, REPORT_EXIT_CODES,
};
use pgtlab_core::bootlog::Stage;
use pgtlab_core::layout::Backend;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use values::{address, seconds};

/// Which fix of early page-table building boots on which machine, natively and under Xen, and what it
/// leaves behind.
#[derive(Debug, Parser)]
#[command(name = "pgtlab", version, long_version = LONG_VERSION.as_str(), about, max_term_width = 100, after_help = format!("{EXIT_CODES}\n\n{PLACES}\n\n{EXAMPLES}"))]
pub struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Copy, Debug, Args)]
pub struct Global {
    /// How many cells run at once, where cells are run [default: one per core]
    #[arg(long, short, global = true, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// The longest one cell may take: seconds, or with a unit as 2m [default: 60 by the clock, 10 of computing]
    #[arg(long, global = true, value_name = "TIME", value_parser = seconds, allow_negative_numbers = true)]
    pub timeout: Option<f64>,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// No progress bar, no remarks
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run strategies on machines and report which boots where
    ///
    /// A layout file is one machine on one back end. A boot log of a machine is run natively and as Xen's
    /// dom0, a log of a Xen guest under Xen.
    #[command(after_help = COMPARE_EXIT_CODES)]
    Compare(Compare),
    /// Print what one strategy does on one machine, event by event
    #[command(after_help = REPORT_EXIT_CODES)]
    Trace(Cell),
    /// Print what one strategy had done to the MMU, operation by operation: what judges are given
    ///
    /// The machine as the strategy found it (frames, boot tables), then each entry written, table pinned and
    /// linked, permission changed and address written to, with what the model says came of it. The format is
    /// told in the documentation of `pgtlab_core::ops`.
    #[command(after_help = REPORT_EXIT_CODES)]
    Ops {
        /// Write into a file
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// The cell.
        #[command(flatten)]
        cell: Cell,
    },
    /// Print the page permissions one strategy leaves, as Linux's page_tables dump
    ///
    /// The last line on standard error is the kernel's verdict on memory that is writable and executable.
    #[command(after_help = REPORT_EXIT_CODES)]
    Dump {
        /// Add a column of physical addresses (machine addresses under Xen)
        #[arg(long)]
        phys: bool,
        /// The cell.
        #[command(flatten)]
        cell: Cell,
    },
    /// Say how one boot ended and why, and tell it in order
    ///
    /// Pages are hexadecimal frame numbers, ranges half open; a line with `!` is a rule, told where it broke
    /// first. A death ends in the words the kernel or Xen prints.
    #[command(after_help = REPORT_EXIT_CODES)]
    Explain(Explain),
    /// Show what changed between two direct maps
    ///
    /// A and B are cells, written STRATEGY/LAYOUT or STRATEGY/LAYOUT@BACKEND, or files: page_tables dumps
    /// of `pgtlab dump` or of a kernel (/sys/kernel/debug/page_tables/kernel). What is the path of a file is taken as
    /// a dump. With --layout, A and B are two strategies; with --strategy, two layouts, and a path is a layout's.
    #[command(after_help = REPORT_EXIT_CODES)]
    Diff(Diff),
    /// Show what a plugin's file says of it, without running any of it
    ///
    /// Name, version, interface, compiler, target, profile, stages and options come from a section of the file;
    /// nothing of the file is loaded or executed, so it may be any file.
    #[command(after_help = INSPECT_EXIT_CODES)]
    Inspect {
        /// A plugin's file, or the name of a strategy
        #[arg(value_name = "PLUGIN")]
        plugin: String,
    },
    /// Hold a built plugin to what the builder expects of every strategy
    ///
    /// Runs it in worker processes on every machine of the corpus and each back end, on machines with next to no
    /// memory and on a small family, more than once, and prints a line a check: ok, FALLS SHORT or not asked, and
    /// below each failure what to do about it and the command that shows it. A boot that dies or breaks a rule is
    /// a result of the strategy and no failure.
    #[command(after_help = CONFORM_EXIT_CODES)]
    Conform(Conform),
    /// Put cells before a judge that is not ours
    #[command(subcommand)]
    Judge(judge::Judge),
    /// Say what holds plugins in on this machine, and what the machine lacks
    ///
    /// A worker tries what a plugin must not do: open files, use the network, start processes. A line a row;
    /// `no` is something that this machine does not have, and what is lost by it.
    #[command(after_help = REPORT_EXIT_CODES)]
    Doctor,
    /// List the strategies and the machines
    #[command(after_help = REPORT_EXIT_CODES)]
    List,
    /// Turn a boot log into a layout file
    ///
    /// The layout is the cell that other commands make of the log. It goes to standard output, what was understood
    /// of the log to standard error: which lines were taken (memory map, kernel, nodes, reservations, switches, Xen's
    /// boot objects), what was assumed since no line says it, and which lines look like memory and were not understood.
    #[command(after_help = REPORT_EXIT_CODES)]
    Import(Import),
    /// Put a boot log's lines about early page tables beside what the model says the kernel printed
    ///
    /// The kernel's era is told from the log, and its machine is built by the rules of that era: table space,
    /// the order of mapping calls and their pieces, BRK tables, PGTABLE reservations, NODE_DATA, `setting RW`
    /// under Xen, the address of a fault. Ranges are hexadecimal and half open; a line with `!` differs.
    #[command(after_help = REPLAY_EXIT_CODES)]
    Replay(Replay),
    /// Draw physical memory: RAM, holes, kernel, initrd, page tables and what was left read-only
    ///
    /// A range's length grows with the logarithm of its size, so that a page can be seen beside terabytes.
    #[command(after_help = REPORT_EXIT_CODES)]
    Map(Map),
    /// Look for a machine on which a strategy fails
    ///
    /// Runs the strategy on every machine of a small family, with tables of four entries so that a few frames
    /// bring every level into play, or on full-size machines drawn at random. The machines are counted, and so
    /// is what fails on them; the smallest on which something fails is shown. Machines of the family are
    /// layouts of the name tiny-FRAMES/NUMBER.
    #[command(after_help = PROVE_EXIT_CODES)]
    Prove(Prove),
    /// Make a new strategy's crate: it builds, is compared and passes its test at once
    ///
    /// It goes into the workspace one stands in, or with --out into a repository of its own, which needs nothing
    /// but cargo. Nothing that is there is overwritten.
    #[command(after_help = DONE_EXIT_CODES)]
    New {
        /// Its name, in words joined by hyphens
        #[arg(value_name = "NAME")]
        name: String,
        /// Make a repository of its own in this folder, which may be there or not
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Start from the source of this strategy
        #[arg(long, value_name = "STRATEGY")]
        like: Option<String>,
    },
    /// Put this program and the strategies it was built with under a prefix
    ///
    /// PREFIX/bin/pgtlab and PREFIX/lib/pgtlab/: it then runs from any folder, and needs no source tree.
    #[command(after_help = DONE_EXIT_CODES)]
    Install {
        /// The prefix; made if it is not there
        #[arg(value_name = "PREFIX")]
        prefix: PathBuf,
    },
    /// Build a strategy of this workspace whenever a source changes, and print what moved since the last build
    ///
    /// A build that fails shows the compiler's words, and the watch goes on. Ctrl-C ends it.
    #[command(after_help = DONE_EXIT_CODES)]
    Watch(Watch),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
    /// Run one cell; what pgtlab starts for each
    #[command(hide = true)]
    Worker,
    /// Run a guest under KVM to its end; what `judge mmu` starts for each cell
    #[command(hide = true)]
    Vm {
        /// The file that is its memory
        memory: PathBuf,
        /// How many bytes of it
        bytes: u64,
        /// The physical address of the tables that it comes up under
        boot_root: u64,
    },
    /// Become another program that does not outlive PARENT; what pgtlab starts a judge's engine by
    #[command(hide = true)]
    Launch {
        /// The process
        parent: i32,
        /// The program
        #[arg(last = true, required = true)]
        program: Vec<OsString>,
    },
}

/// What to compare, and how to report it.
#[derive(Clone, Debug, Args)]
pub struct Compare {
    /// A strategy: name, alias, pattern, or a plugin's path; can be repeated [default: all that `list` shows]
    #[arg(long = "strategy", short, value_name = "S")]
    pub strategies: Vec<String>,
    /// A machine: name, pattern, the path of a layout file or boot log, or - for standard input; can be repeated
    /// [default: all]
    #[arg(long = "layout", short, value_name = "L")]
    pub layouts: Vec<String>,
    /// Only this back end; asked for xen, native layout files are put under Xen too
    #[arg(long, short, value_name = "B")]
    pub backend: Option<BackendArg>,
    /// How to report
    #[arg(long, short, default_value = "text")]
    pub format: Format,
    /// The JSON of an earlier run: show which cells changed, and exit with 1 if any did
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Put the cells before the judges that this machine has too: a processor (`judge mmu`) and Xen (`judge xen`)
    #[arg(long)]
    pub judged: bool,
    /// Which processor that is
    #[arg(long, value_name = "E", default_value = "auto", requires = "judged")]
    pub engine: judge::EngineArg,
    /// List every cell where boots fail, however many
    #[arg(long)]
    pub all: bool,
    /// Write the report to a file
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Changes to the machines.
    #[command(flatten)]
    pub what_if: WhatIf,
    /// Options of strategies.
    #[command(flatten)]
    pub settings: Settings,
}

/// A plugin to hold to the kit.
#[derive(Clone, Debug, Args)]
pub struct Conform {
    /// A plugin's file, or the name of a strategy
    #[arg(value_name = "PLUGIN")]
    pub plugin: String,
    /// A machine besides the hard ones: name, pattern, or path; can be repeated [default: all]
    #[arg(long = "layout", short, value_name = "L")]
    pub layouts: Vec<String>,
    /// The form of the report
    #[arg(long, short, value_enum, value_name = "F", default_value_t = RecordFormat::Text)]
    pub format: RecordFormat,
}

/// The form of a report that is no matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RecordFormat {
    /// For a terminal
    Text,
    /// JSON lines: one for each check, cell, or line of the log that the text tells of, with keys that stay
    Json,
}

/// A strategy to watch.
#[derive(Clone, Debug, Args)]
pub struct Watch {
    /// The strategy: the name of its crate in the workspace's folder strategies/
    #[arg(value_name = "STRATEGY")]
    pub strategy: String,
    /// A machine: name, pattern, the path of a layout file or boot log, or - for standard input; can be repeated
    /// [default: all]
    #[arg(long = "layout", short, value_name = "L")]
    pub layouts: Vec<String>,
    /// Changes to the machines.
    #[command(flatten)]
    pub what_if: WhatIf,
}

/// A search for a counterexample.
#[derive(Clone, Debug, Args)]
pub struct Prove {
    /// The strategy: name, alias, or a plugin's path
    #[arg(value_name = "S")]
    pub strategy: String,
    /// Frames that each machine of the family has of its own; one more makes the family three times as large
    #[arg(long, value_name = "N", default_value_t = 7, conflicts_with = "random")]
    pub frames: u32,
    /// Draw full-size machines at random instead
    #[arg(long)]
    pub random: bool,
    /// What they are drawn from, to find one again [default: another each time]
    #[arg(long, value_name = "SEED", requires = "random")]
    pub seed: Option<u64>,
    /// How many are drawn
    #[arg(long, value_name = "N", default_value_t = 2000, requires = "random", value_parser = clap::value_parser!(u64).range(1..))]
    pub cases: u64,
    /// Draw for so long instead: seconds, or with a unit as 5m
    #[arg(long = "for", value_name = "TIME", requires = "random", conflicts_with = "cases", value_parser = seconds)]
    pub duration: Option<f64>,
    /// Write the smallest machine on which it fails into this layout file
    #[arg(long, short, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Options of strategies.
    #[command(flatten)]
    pub settings: Settings,
}

/// One strategy on one machine.
#[derive(Clone, Debug, Args)]
pub struct Cell {
    /// The strategy: name, alias, or a plugin's path
    #[arg(value_name = "S")]
    pub strategy: String,
    /// The machine: name, the path of a layout file or boot log, or - for standard input
    #[arg(value_name = "L")]
    pub layout: String,
    /// The back end [default: native where the machine has it]
    #[arg(long, short, value_name = "B")]
    pub backend: Option<BackendArg>,
    /// Changes to the machine.
    #[command(flatten)]
    pub what_if: WhatIf,
    /// Options of strategies.
    #[command(flatten)]
    pub settings: Settings,
}

/// One boot to explain.
#[derive(Clone, Debug, Args)]
pub struct Explain {
    /// Follow one page: owner, permission, aliases, broken rules, and the entries that map it. ADDR is
    /// hexadecimal, physical or in the direct map
    #[arg(long, value_name = "ADDR", value_parser = address, conflicts_with = "reserved")]
    pub at: Option<u64>,
    /// List memblock's reservations: whose they are, and at which stage they were made
    #[arg(long)]
    pub reserved: bool,
    /// The cell.
    #[command(flatten)]
    pub cell: Cell,
}

/// A boot log to turn into a layout.
#[derive(Clone, Debug, Args)]
pub struct Import {
    /// The back end [default: native, or Xen if the log is a Xen guest's]
    #[arg(long, short, value_name = "B", conflicts_with = "xen")]
    pub backend: Option<BackendArg>,
    /// By fixed rules: the first map, the ramdisk and the page sizes, whatever else the log says
    #[arg(long)]
    pub plain: bool,
    /// By fixed rules under Xen: as dom0, or as domU if the log is one's; short for --plain --backend xen
    #[arg(long)]
    pub xen: bool,
    /// The map as it was at this stage
    #[arg(long, value_name = "STAGE", default_value = "last", conflicts_with_all = ["plain", "xen"])]
    pub stage: StageArg,
    /// The machine this runs on, from /proc and /sys
    #[arg(long, conflicts_with = "log")]
    pub live: bool,
    /// A boot log, /proc/iomem, /sys/firmware/memmap, the JSON of `lsmem -J`, the name of a machine, or - for
    /// standard input
    #[arg(value_name = "LOG", required_unless_present = "live")]
    pub log: Option<String>,
    /// Changes to the machine.
    #[command(flatten)]
    pub what_if: WhatIf,
}

/// A boot log to replay.
#[derive(Clone, Debug, Args)]
pub struct Replay {
    /// A boot log, the name of a machine, or - for standard input
    #[arg(value_name = "LOG")]
    pub log: String,
    /// The form of the report
    #[arg(long, short, value_enum, value_name = "F", default_value_t = RecordFormat::Text)]
    pub format: RecordFormat,
}

/// A stage of the memory map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StageArg {
    /// As the firmware gave it.
    Firmware,
    /// After mem= and memmap=.
    User,
    /// After all that the kernel changed.
    Last,
}

impl From<StageArg> for Stage {
    fn from(typed: StageArg) -> Self {
        match typed {
            StageArg::Firmware => Self::Firmware,
            StageArg::User => Self::User,
            StageArg::Last => Self::Last,
        }
    }
}

/// A picture.
#[derive(Clone, Debug, Args)]
pub struct Map {
    /// The machine: name, the path of a layout file or boot log, or - for standard input
    #[arg(value_name = "L")]
    pub layout: String,
    /// Draw what this strategy left
    #[arg(long, short, value_name = "S")]
    pub strategy: Option<String>,
    /// The back end [default: native where the machine has it]
    #[arg(long, short, value_name = "B")]
    pub backend: Option<BackendArg>,
    /// Draw an SVG image into this file instead
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Changes to the machine.
    #[command(flatten)]
    pub what_if: WhatIf,
    /// Options of strategies.
    #[command(flatten)]
    pub settings: Settings,
}

/// Two direct maps.
#[derive(Clone, Debug, Args)]
pub struct Diff {
    /// The one side: a cell, a file, or with one of the options below a strategy or layout
    #[arg(value_name = "A")]
    pub a: String,
    /// The other side
    #[arg(value_name = "B")]
    pub b: String,
    /// A and B are layouts, and this is the strategy of both
    #[arg(long, short, value_name = "S", conflicts_with = "layout")]
    pub strategy: Option<String>,
    /// A and B are strategies, and this is the layout of both
    #[arg(long, short, value_name = "L")]
    pub layout: Option<String>,
    /// The back end of cells that do not name one [default: native where the machine has it]
    #[arg(long, short, value_name = "B")]
    pub backend: Option<BackendArg>,
    /// Changes to the machines of both sides.
    #[command(flatten)]
    pub what_if: WhatIf,
    /// Options of strategies.
    #[command(flatten)]
    pub settings: Settings,
}

/// A back end as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BackendArg {
    /// The kernel's own MMU.
    Native,
    /// Xen PV.
    Xen,
}

impl From<BackendArg> for Backend {
    fn from(typed: BackendArg) -> Self {
        match typed {
            BackendArg::Native => Self::Native,
            BackendArg::Xen => Self::Xen,
        }
    }
}

/// How a comparison is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables for a terminal.
    Text,
    /// One record a line.
    Json,
    /// GitHub tables.
    Markdown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
