// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line: what can be typed. What it does is in [`crate::command`].

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use pgtlab_core::layout::Backend;
use std::num::NonZeroUsize;
use std::path::PathBuf;

const EXIT_CODES: &str = "\
Exit status:
  0  reported, whatever the report says
  1  compare: the cells differ from the baseline
  2  bad input, or pgtlab itself failed";

const EXAMPLES: &str = "\
Examples:
  pgtlab compare                                   every strategy on every machine
  pgtlab compare --strategy 'rev*' --layout dmesg.txt
  pgtlab explain unfixed 05-xen-ec2-7680m          why that boot died
  pgtlab dump reserve-hook dmesg.txt --backend xen
  dmesg | pgtlab import - > machine.layout";

/// Which fix of early page-table building boots on which machine, natively and under Xen, and what it
/// leaves behind.
#[derive(Debug, Parser)]
#[command(name = "pgtlab", version, about, max_term_width = 100, after_help = format!("{EXIT_CODES}\n\n{EXAMPLES}"))]
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
    /// How many cells run at once [default: one per core]
    #[arg(long, short, global = true, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// How long one cell may take [default: 60, 10 of them computing]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
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
    #[command(after_help = EXIT_CODES)]
    Compare(Compare),
    /// Print what one strategy does on one machine, event by event
    #[command(after_help = EXIT_CODES)]
    Trace(Cell),
    /// Print the page permissions one strategy leaves, as Linux's page_tables dump
    ///
    /// The last line on standard error is the kernel's verdict on memory that is writable and executable.
    #[command(after_help = EXIT_CODES)]
    Dump {
        /// The cell.
        #[command(flatten)]
        cell: Cell,
        /// Add a column of physical addresses (machine addresses under Xen)
        #[arg(long)]
        phys: bool,
    },
    /// Say how one boot ended and why
    #[command(after_help = EXIT_CODES)]
    Explain(Cell),
    /// List the strategies and the machines
    #[command(after_help = EXIT_CODES)]
    List,
    /// Turn a boot log into a layout file
    ///
    /// The layout goes to standard output, what was understood of the log to standard error.
    #[command(after_help = EXIT_CODES)]
    Import {
        /// The machine as Xen's guest: as dom0, or as domU if the log is one's
        #[arg(long)]
        xen: bool,
        /// A boot log, the name of a machine, or - for standard input
        #[arg(value_name = "LOG")]
        log: String,
    },
    /// Make a new strategy's crate in the workspace: it builds, is compared and passes its test at once
    #[command(after_help = EXIT_CODES)]
    New {
        /// Its name, in words joined by hyphens
        #[arg(value_name = "NAME")]
        name: String,
    },
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
}

/// What to compare, and how to report it.
#[derive(Clone, Debug, Args)]
pub struct Compare {
    /// A strategy: name, alias, pattern, or a plugin's path; can be repeated [default: all of this tree]
    #[arg(long = "strategy", short, value_name = "S")]
    pub strategies: Vec<String>,
    /// A machine: name, pattern, or the path of a layout file or boot log; can be repeated [default: all]
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
    /// List every cell where boots fail, however many
    #[arg(long)]
    pub all: bool,
    /// Write the report to a file
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// One strategy on one machine.
#[derive(Clone, Debug, Args)]
pub struct Cell {
    /// The strategy: name, alias, or a plugin's path
    #[arg(value_name = "S")]
    pub strategy: String,
    /// The machine: name, or the path of a layout file or boot log
    #[arg(value_name = "L")]
    pub layout: String,
    /// The back end [default: native where the machine has it]
    #[arg(long, short, value_name = "B")]
    pub backend: Option<BackendArg>,
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

fn seconds(typed: &str) -> Result<f64, String> {
    let expected = || "expected a number of seconds above 0, at most 86400".to_owned();
    let seconds: f64 = typed.parse().map_err(|_| expected())?;
    if 0.0 < seconds && seconds <= 86_400.0 { Ok(seconds) } else { Err(expected()) }
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
