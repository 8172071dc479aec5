// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the records of a matrix add up to: the part that all reports share.
//!
//! [`Summary::new`] counts per strategy, finds the cells where not all strategies boot, and joins those
//! on which each strategy does alike.

use crate::record::{CellRecord, Verdict};
use pgtlab_core::rules::Rule;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How a cell ended, as the one word the reports use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word {
    /// It boots.
    Ok,
    /// A write met a page that is read-only or absent.
    Fault,
    /// Xen refused a request.
    Bug,
    /// The kernel gave up itself.
    Panic,
    /// The plugin died.
    Plugin,
    /// It did not come to an end.
    Time,
    /// The cell cannot exist.
    Skip,
    /// Our own failure.
    Error,
}

impl Word {
    /// Every word.
    pub const ALL: [Self; 8] =
        [Self::Ok, Self::Fault, Self::Bug, Self::Panic, Self::Plugin, Self::Time, Self::Skip, Self::Error];

    /// The word of a verdict.
    #[must_use]
    pub const fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Boots => Self::Ok,
            Verdict::Panics => Self::Panic,
            Verdict::Refused => Self::Bug,
            Verdict::Faults => Self::Fault,
            Verdict::Crashed => Self::Plugin,
            Verdict::Timeout => Self::Time,
            Verdict::Skipped => Self::Skip,
            Verdict::Error => Self::Error,
        }
    }

    /// As it is printed.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Fault => "FAULT",
            Self::Bug => "BUG",
            Self::Panic => "PANIC",
            Self::Plugin => "PLUGIN",
            Self::Time => "TIME",
            Self::Skip => "skip",
            Self::Error => "ERROR",
        }
    }

    /// What it means.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "boots",
            Self::Fault => "a write met a page that is read-only or not mapped",
            Self::Bug => "Xen refused a request, and the kernel stopped",
            Self::Panic => "the kernel gave up itself",
            Self::Plugin => "the strategy itself failed; this is no verdict on its fix",
            Self::Time => "the strategy did not come to an end",
            Self::Skip => "this machine cannot be put on this back end",
            Self::Error => "pgtlab failed; this is no verdict",
        }
    }

    /// Whether the kernel died.
    #[must_use]
    pub const fn is_death(self) -> bool {
        matches!(self, Self::Fault | Self::Bug | Self::Panic)
    }

    /// Whether there is no verdict although there should be one.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Plugin | Self::Time | Self::Error)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

/// Cells of one strategy on one back end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// They boot.
    pub boots: usize,
    /// The kernel died.
    pub dies: usize,
    /// There is no verdict: the plugin died, ran out of time, or we failed.
    pub failed: usize,
    /// They cannot exist.
    pub skipped: usize,
}

impl Counts {
    fn add(&mut self, word: Word) {
        match word {
            Word::Ok => self.boots += 1,
            Word::Fault | Word::Bug | Word::Panic => self.dies += 1,
            Word::Plugin | Word::Time | Word::Error => self.failed += 1,
            Word::Skip => self.skipped += 1,
        }
    }

    /// All cells that were run.
    #[must_use]
    pub const fn run(&self) -> usize {
        self.boots + self.dies + self.failed
    }
}

/// One strategy over all its cells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The strategy.
    pub strategy: String,
    /// Natively.
    pub native: Counts,
    /// Under Xen.
    pub xen: Counts,
    /// The most pages left read-only in one cell.
    pub most_left_read_only: Option<u64>,
    /// By how many bytes its room for a crash kernel falls at the most short of what another strategy leaves
    /// in the same place.
    pub most_room_lost_bytes: Option<u64>,
    /// In how many cells each rule is broken.
    pub broken: BTreeMap<String, usize>,
}

impl Line {
    /// Whether it boots wherever it was run.
    #[must_use]
    pub const fn boots_everywhere(&self) -> bool {
        0 < self.boots() && self.boots() == self.native.run() + self.xen.run()
    }

    const fn boots(&self) -> usize {
        self.native.boots + self.xen.boots
    }

    fn n_broken(&self) -> usize {
        self.broken.values().sum()
    }
}

/// A layout on a back end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The layout's name.
    pub layout: String,
    /// The back end's name.
    pub backend: String,
}

/// Rows on which not every strategy boots, and each strategy does alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// By strategy, in the order of the lines; `None` where it has no such cell.
    pub words: Vec<Option<Word>>,
    /// The rows, sorted.
    pub rows: Vec<Row>,
}

/// What a set of records adds up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// By strategy: the one that boots least first.
    pub lines: Vec<Line>,
    /// The rules, in their order; ones this program does not know last.
    pub rules: Vec<String>,
    /// How many layouts there are.
    pub n_layouts: usize,
    /// Native places that were run.
    pub n_native: usize,
    /// Xen places that were run.
    pub n_xen: usize,
    /// Places that cannot exist, by reason.
    pub skipped: BTreeMap<String, BTreeSet<Row>>,
    /// Where not all boot: first where most strategies do not.
    pub groups: Vec<Group>,
    /// For each word that is not a boot: what was said, and how often.
    pub reasons: BTreeMap<Word, Vec<(String, usize)>>,
}

impl Group {
    fn n_not_ok(&self) -> usize {
        self.words.iter().flatten().filter(|word| word.is_death() || word.is_failure()).count()
    }

    /// Whether the strategies do differ here, and not all die alike.
    #[must_use]
    pub fn is_mixed(&self) -> bool {
        let mut known = self.words.iter().flatten();
        known.next().is_some_and(|first| known.any(|word| word != first))
    }
}

impl Summary {
    /// Adds up records, which are sorted.
    #[must_use]
    pub fn new(records: &[CellRecord]) -> Self {
        let lines = lines(records);
        let index: BTreeMap<&str, usize> = lines.iter().enumerate().map(|(at, line)| (&*line.strategy, at)).collect();
        let mut rows: BTreeMap<Row, Vec<Option<Word>>> = BTreeMap::new();
        let mut skipped: BTreeMap<String, BTreeSet<Row>> = BTreeMap::new();
        for record in records {
            let row = Row { layout: record.layout.clone(), backend: record.backend.clone() };
            if record.verdict == Verdict::Skipped {
                skipped.entry(record.text.clone().unwrap_or_default()).or_default().insert(row.clone());
            }
            let words = rows.entry(row).or_insert_with(|| vec![None; lines.len()]);
            words[index[&*record.strategy]] = Some(Word::of(record.verdict));
        }
        let n_run = |backend: &str| {
            let is_run = |words: &[Option<Word>]| words.iter().flatten().any(|word| *word != Word::Skip);
            rows.iter().filter(|(row, words)| row.backend == backend && is_run(words)).count()
        };
        Self {
            rules: rules(records),
            n_layouts: rows.keys().map(|row| &row.layout).collect::<BTreeSet<_>>().len(),
            n_native: n_run("native"),
            n_xen: n_run("xen"),
            skipped,
            groups: groups(&rows),
            reasons: reasons(records),
            lines,
        }
    }

    /// The strategies that boot wherever they were run.
    #[must_use]
    pub fn winners(&self) -> Vec<&Line> {
        self.lines.iter().filter(|line| line.boots_everywhere()).collect()
    }

    /// The first cell that died, as the groups and lines have them.
    #[must_use]
    pub fn first_death(&self) -> Option<(&str, &Row)> {
        self.groups.iter().find_map(|group| {
            let at = group.words.iter().position(|word| word.is_some_and(Word::is_death))?;
            Some((&*self.lines[at].strategy, group.rows.first()?))
        })
    }
}

fn lines(records: &[CellRecord]) -> Vec<Line> {
    let room = |record: &CellRecord| record.measures.map(|measures| measures.crashkernel_room_bytes);
    let mut best_room: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for record in records {
        let best = best_room.entry((&record.layout, &record.backend)).or_default();
        *best = room(record).unwrap_or(0).max(*best);
    }
    let has_several = records.iter().any(|record| record.strategy != records[0].strategy);
    let mut lines: BTreeMap<&str, Line> = BTreeMap::new();
    for record in records {
        let line = lines.entry(&record.strategy).or_default();
        line.strategy.clone_from(&record.strategy);
        let counts = if record.backend == "xen" { &mut line.xen } else { &mut line.native };
        counts.add(Word::of(record.verdict));
        if let Some(measures) = record.measures {
            line.most_left_read_only = line.most_left_read_only.max(Some(measures.left_read_only));
            let lost = best_room[&(&*record.layout, &*record.backend)] - measures.crashkernel_room_bytes;
            // Where one strategy ran alone there is nothing to fall short of.
            line.most_room_lost_bytes = line.most_room_lost_bytes.max(has_several.then_some(lost));
        }
        let broken: BTreeSet<&str> = record.findings.iter().map(|finding| &*finding.rule).collect();
        for rule in broken {
            *line.broken.entry(rule.to_owned()).or_default() += 1;
        }
    }
    let mut lines: Vec<Line> = lines.into_values().collect();
    // The worst first, so that a column of words gets better from left to right.
    lines.sort_by_key(|line| (line.boots(), Reverse(line.n_broken())));
    lines
}

fn rules(records: &[CellRecord]) -> Vec<String> {
    let mut rules: Vec<String> = Rule::ALL.iter().map(|rule| rule.name().to_owned()).collect();
    let others: BTreeSet<&String> =
        records.iter().flat_map(|record| &record.findings).map(|finding| &finding.rule).collect();
    let others: Vec<String> = others.into_iter().filter(|rule| !rules.contains(rule)).cloned().collect();
    rules.extend(others);
    rules
}

fn groups(rows: &BTreeMap<Row, Vec<Option<Word>>>) -> Vec<Group> {
    let mut groups: BTreeMap<(&str, &[Option<Word>]), Vec<Row>> = BTreeMap::new();
    for (row, words) in rows {
        if words.iter().flatten().any(|word| *word != Word::Ok && *word != Word::Skip) {
            groups.entry((&row.backend, words)).or_default().push(row.clone());
        }
    }
    let mut groups: Vec<Group> =
        groups.into_iter().map(|((_, words), rows)| Group { words: words.to_vec(), rows }).collect();
    // The worst first: where most strategies die, and of these where most machines are alike.
    groups.sort_by(|a, b| {
        let order = |group: &Group| Reverse((group.n_not_ok(), group.rows.len()));
        order(a).cmp(&order(b)).then_with(|| a.rows.cmp(&b.rows))
    });
    groups
}

/// What was said at deaths and failures, without the numbers that differ from machine to machine.
fn reasons(records: &[CellRecord]) -> BTreeMap<Word, Vec<(String, usize)>> {
    let mut counts: BTreeMap<Word, BTreeMap<String, usize>> = BTreeMap::new();
    for record in records {
        let word = Word::of(record.verdict);
        if word.is_death() || word.is_failure() {
            let reason = reason(word, record.text.as_deref().unwrap_or_default());
            *counts.entry(word).or_default().entry(reason).or_default() += 1;
        }
    }
    let by_count = |reasons: BTreeMap<String, usize>| {
        let mut reasons: Vec<(String, usize)> = reasons.into_iter().collect();
        reasons.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        reasons
    };
    counts.into_iter().map(|(word, reasons)| (word, by_count(reasons))).collect()
}

/// `NODE_DATA writes pfn 1dfffb of [..): direct map not writable` happened in `NODE_DATA`; of other texts
/// the part before the numbers in brackets is kept.
fn reason(word: Word, text: &str) -> String {
    let cut = match word {
        Word::Fault => text.split(" writes ").next(),
        _ => text.split(" (").next(),
    };
    let line = cut.unwrap_or(text).lines().next().unwrap_or_default();
    line.chars().take(60).collect()
}
