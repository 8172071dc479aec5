// SPDX-License-Identifier: MIT OR Apache-2.0
//! What stands below the help of commands: exit codes, where strategies are looked for, examples.

use pgtlab_core::plugin::{INTERFACE, PROFILE, RUSTC, TARGET, VERSION};
use std::sync::LazyLock;

pub(super) const EXIT_CODES: &str = "\
Exit status:
  0  reported, whatever the report says
  1  compare: the cells differ from the baseline, or a judge differs (--judged);
     prove: a counterexample was found;
     conform: the plugin falls short; inspect: the plugin cannot be loaded;
     replay: a line differs; judge: the judge differs
  2  bad input, a judge's engine that PGTLAB_REQUIRE names is missing, or pgtlab itself or
     an engine failed; compare leaves out files that are no plugins and reports the rest
  3  judge: the judge is not to be had on this machine";

pub(super) const REPORT_EXIT_CODES: &str = "\
Exit status:
  0  reported; a boot that dies is no failure
  2  bad input, or pgtlab itself failed";

pub(super) const COMPARE_EXIT_CODES: &str = "\
Exit status:
  0  reported; boots that die are no failure
  1  the cells differ from the baseline, or with --judged a judge differs
  2  bad input, or pgtlab itself failed; files that are no plugins are left out, and the rest is
     reported all the same";

pub(super) const DONE_EXIT_CODES: &str = "\
Exit status:
  0  done
  2  bad input, or pgtlab itself failed; nothing is left half-written";

pub(super) const PROVE_EXIT_CODES: &str = "\
Exit status:
  0  nothing fails
  1  a counterexample was found
  2  bad input, or pgtlab itself failed";

pub(super) const REPLAY_EXIT_CODES: &str = "\
Exit status:
  0  every line is as predicted
  1  a line differs
  2  bad input, nothing in the log to predict, or pgtlab itself failed";

pub(super) const INSPECT_EXIT_CODES: &str = "\
Exit status:
  0  the plugin can be loaded by this pgtlab
  1  it cannot; the last line says why
  2  no such file or strategy, or pgtlab itself failed";

pub(super) const CONFORM_EXIT_CODES: &str = "\
Exit status:
  0  the plugin conforms
  1  it falls short
  2  bad input, or pgtlab itself failed";

pub(super) const PLACES: &str = "\
Strategies are found by name among those that came with pgtlab, in the files and folders of
PGTLAB_STRATEGY_PATH (separated by colons), and in ~/.local/share/pgtlab/strategies
(XDG_DATA_HOME); `pgtlab list` shows where each is from. Two of one name are an error.";

pub(super) const EXAMPLES: &str = "\
Examples:
  pgtlab compare                                   every strategy on every machine
  pgtlab compare --strategy 'rev*' --layout dmesg.txt
  pgtlab explain unfixed 05-xen-ec2-7680m          why that boot died
  pgtlab dump reserve-hook dmesg.txt --backend xen
  pgtlab diff unfixed hook --layout 05-xen-ec2-7680m
  pgtlab compare --layout dmesg.txt --mem 2G --nodes 2
  dmesg | pgtlab import - > machine.layout
  dmesg | pgtlab replay -                          its own lines, beside the predicted ones";

/// What `--version` says: what a plugin must fit.
pub(super) static LONG_VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{VERSION}\nstrategy interface {INTERFACE}\n{RUSTC}, {TARGET}, {PROFILE}"));
