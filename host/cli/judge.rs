// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be typed of judges.

use super::{BackendArg, RecordFormat};
use crate::judge::linux::guest::Guest;
use crate::judge::mmu::engines::Choice;
use crate::options::Settings;
use crate::whatif::WhatIf;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

const EXIT_CODES: &str = "\
Exit status:
  0  the judge agrees
  1  it differs, or a control that must differ does not
  2  bad input, an engine that PGTLAB_REQUIRE names is missing, or pgtlab or the engine failed
  3  the judge is not to be had on this machine";

/// The judges.
#[derive(Clone, Debug, Subcommand)]
pub enum Judge {
    /// A processor: try every run of the direct map that a cell left under a real memory-management unit
    ///
    /// The finished tables lie in a virtual machine's memory exactly as they were built, with write protection and
    /// no-execute on. At the edges of every run, around it, and in every table, pages are read, written and executed;
    /// page faults, their error codes and addresses, and the frames that are read are compared with what the walker
    /// reads from the tables.
    ///
    /// The processor is this machine's through KVM, or one that QEMU emulates (TCG; `just engines` unpacks it): the
    /// guest and its memory are the same. Where KVM has no two levels of address translation it reads the tables itself
    /// and has the processor walk a shadow of them; the report says which it is. KVM costs some ten microseconds for
    /// each fault then, so that for large cells TCG is the faster one.
    #[command(after_help = EXIT_CODES)]
    Mmu(JudgeMmu),
    /// The real Xen: replay what cells do to the MMU as the hypercalls of a PV guest
    ///
    /// Debian's Xen boots in QEMU under emulation, without root and without KVM (`just engines` unpacks both), with a
    /// guest of ours as its dom0. Every entry, pin, link and permission change of a cell is a request to it, and every
    /// write of a consumer a write; the answers are compared with those that the model predicts, and the first one that
    /// differs is shown with what was done to the page before.
    ///
    /// Xen finds the layout's own e820, as far as the emulated machine can have it; the report says what of it was left
    /// out. The map that Xen tells its dom0 of is compared with it.
    ///
    /// With --boot, the guest is the cell: it builds the cell's direct map for itself by hypercalls, in frames of the
    /// cell's own numbers and at its own addresses, runs on it, and writes where the consumers would. The first request
    /// that Xen refuses and the first access that faults end it, and the end is compared with the model's. The domain
    /// has all frames of the layout; for what Xen and the guest need besides, RAM is added to the e820. Consumers write
    /// once a page.
    ///
    /// With --random, requests drawn at random are put to Xen instead, and what the model gets wrong is shrunk to the
    /// fewest of them.
    #[command(after_help = EXIT_CODES)]
    Xen(JudgeXen),
    /// Linux 6.1 itself: what Debian's kernel does when it builds its direct map
    ///
    /// The kernel boots in QEMU, natively or as Xen's dom0, and is stopped when `init_mem_mapping` begins and when it has
    /// returned. The ranges it mapped, in order, the pages that became tables, memblock's lists and every run of the
    /// direct map are compared with what the strategy does on the layout that is made of the boot's own log.
    /// `just engines linux` unpacks the kernel, 70 MB, which nothing else needs. Boots that were kept are compared
    /// without it: --recorded.
    #[command(after_help = EXIT_CODES)]
    Linux(JudgeLinux),
}

/// Cells to put before a judge, and where to report.
#[derive(Clone, Debug, Args)]
pub struct Cells {
    /// A strategy, then machines; only machines where --strategy is given [default: every cell]
    #[arg(value_name = "S L")]
    names: Vec<String>,
    /// A strategy: name, alias, pattern, or a plugin's path; can be repeated
    #[arg(long = "strategy", short, value_name = "S")]
    strategies: Vec<String>,
    /// How to report
    #[arg(long, short, default_value = "text")]
    pub format: RecordFormat,
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

impl Cells {
    /// The strategies and the machines that are meant: the first name is a strategy's where none is named otherwise.
    #[must_use]
    pub fn named(&self) -> (Vec<String>, Vec<String>) {
        match self.names.split_first() {
            Some((strategy, layouts)) if self.strategies.is_empty() => (vec![strategy.clone()], layouts.to_vec()),
            _ => (self.strategies.clone(), self.names.clone()),
        }
    }
}

/// Which processor cells are put before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineArg {
    /// Those that PGTLAB_REQUIRE names, or else kvm where it can be used, or else tcg
    Auto,
    /// This machine's, through KVM
    Kvm,
    /// QEMU's emulated one
    Tcg,
    /// Each of these that can be had
    All,
}

impl EngineArg {
    /// What is meant by it.
    #[must_use]
    pub const fn choice(self) -> Choice {
        match self {
            Self::Auto => Choice::Auto,
            Self::Kvm => Choice::Kvm,
            Self::Tcg => Choice::Tcg,
            Self::All => Choice::All,
        }
    }
}

/// Cells to put before a processor.
#[derive(Clone, Debug, Args)]
pub struct JudgeMmu {
    /// The cells.
    #[command(flatten)]
    pub cells: Cells,
    /// Which processor
    #[arg(long, short, value_name = "E", default_value = "auto")]
    pub engine: EngineArg,
    /// Only this back end; asked for xen, native layout files are put under Xen too
    #[arg(long, short, value_name = "B")]
    pub backend: Option<BackendArg>,
    /// List every cell that was not judged, however many
    #[arg(long)]
    pub all: bool,
}

/// Cells, or requests drawn at random, to put before Xen.
#[derive(Clone, Debug, Args)]
pub struct JudgeXen {
    /// The cells.
    #[command(flatten)]
    pub cells: Cells,
    /// Boot the cells instead: each is a kernel that runs on the tables it builds, until it dies
    #[arg(long)]
    pub boot: bool,
    /// Draw requests at random instead
    #[arg(long, conflicts_with_all = ["boot", "names", "strategies", "format", "output", "WhatIf", "Settings"])]
    pub random: bool,
    /// What they are drawn from, to find them again [default: another each time]
    #[arg(long, value_name = "SEED", requires = "random")]
    pub seed: Option<u64>,
    /// How many scenarios of some eighty requests are drawn
    #[arg(long, value_name = "N", default_value_t = 4000, requires = "random")]
    pub cases: u64,
    /// Write the fewest requests on which model and Xen differ into this file
    #[arg(long, value_name = "FILE", requires = "random")]
    pub write: Option<PathBuf>,
}

/// Machines to boot Linux on, and what is held to it.
#[derive(Clone, Debug, Args)]
pub struct JudgeLinux {
    /// A strategy, then machines of QEMU's, as in pc-1024, q35-3072-no1g-initrd32, pc-2560-below1024 or pc-1024-xen512;
    /// only machines where --strategy is given [default: linux-6-1 on 14 machines]
    #[arg(value_name = "S GUEST")]
    names: Vec<String>,
    /// The strategy: name, alias, or a plugin's path
    #[arg(long, short, value_name = "S")]
    strategy: Option<String>,
    /// Compare with boots that were kept; needs neither QEMU nor a kernel
    #[arg(long)]
    pub recorded: bool,
    /// Keep what the kernel did: a file for each machine in this folder
    #[arg(long, value_name = "DIR", conflicts_with = "recorded")]
    pub record: Option<PathBuf>,
    /// How to report
    #[arg(long, short, default_value = "text")]
    pub format: RecordFormat,
    /// Write the report to a file
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Options of strategies.
    #[command(flatten)]
    pub settings: Settings,
}

impl JudgeLinux {
    /// The strategy, if one is named, and the machines: the first name is a strategy's where it names no machine.
    #[must_use]
    pub fn named(&self) -> (Option<&str>, &[String]) {
        match self.names.split_first() {
            Some((first, rest)) if self.strategy.is_none() && first.parse::<Guest>().is_err() => (Some(first), rest),
            _ => (self.strategy.as_deref(), &self.names),
        }
    }
}
