// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report: a line a check, and below each failure where it was seen, what to do, and how to see it.

use super::checks::{Check, Stages};
use super::exam::{Ending, Seen, Shortfall};
use std::collections::BTreeMap;
use std::fmt;

/// How a strategy stands in a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does what is expected.
    Ok,
    /// It does not.
    FallsShort,
    /// There was nothing to see it by.
    NotAsked,
}

impl Standing {
    /// Its word in a report.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::FallsShort => "FALLS SHORT",
            Self::NotAsked => "not asked",
        }
    }
}

/// A cell: layout and back end.
type Cell = (String, &'static str);

/// What came of all checks.
#[derive(Clone, Debug)]
pub struct Report {
    name: String,
    /// How the plugin is typed in commands.
    typed: String,
    asked: Stages,
    own: Stages,
    declared: Option<Stages>,
    /// How many cells of a back end boot, and how many there are.
    boots: BTreeMap<&'static str, (u64, u64)>,
    /// How many occasions there were for a check, and how many of them boot.
    occasions: BTreeMap<Check, (u64, u64)>,
    /// The boot that took most of the steps it may: how many, of how many, and which it was.
    most_steps: Option<(u64, u64, Cell)>,
    failures: BTreeMap<Check, Vec<(Option<Cell>, String)>>,
    notes: BTreeMap<Check, String>,
}

/// How many failures of a check are shown.
const MOST_SHOWN: usize = 3;

impl Report {
    /// An empty report on a strategy, whose plugin is typed so in commands.
    #[must_use]
    pub fn new(name: &str, typed: &str) -> Self {
        Self {
            name: name.to_owned(),
            typed: typed.to_owned(),
            asked: Stages::default(),
            own: Stages::default(),
            declared: None,
            boots: BTreeMap::new(),
            occasions: BTreeMap::new(),
            most_steps: None,
            failures: BTreeMap::new(),
            notes: BTreeMap::new(),
        }
    }

    /// Says which stages it declares to answer by itself.
    pub const fn declare(&mut self, stages: Stages) {
        self.declared = Some(stages);
    }

    /// Says something of a check that went well, in place of what is expected.
    pub fn note(&mut self, check: Check, note: impl Into<String>) {
        self.occasions.entry(check).or_insert((1, 0));
        self.notes.insert(check, note.into());
    }

    /// Says why a check is not asked.
    pub fn leave_out(&mut self, check: Check, why: impl Into<String>) {
        self.notes.insert(check, why.into());
    }

    /// Adds a failure.
    pub fn fail(&mut self, check: Check, cell: Option<Cell>, text: impl Into<String>) {
        self.failures.entry(check).or_default().push((cell, text.into()));
    }

    /// Whether boots have no end, so that more of them would take time and tell nothing.
    #[must_use]
    pub fn is_endless(&self) -> bool {
        const ENOUGH: usize = 2;
        self.failures.get(&Check::End).is_some_and(|failures| ENOUGH <= failures.len())
    }

    /// Adds what was seen.
    pub fn add(&mut self, seen: Seen) {
        let Seen { check, cell, ending, asked, own, n_steps, most_steps, fingerprint: _, shortfalls } = seen;
        self.asked.extend(asked);
        self.own.extend(own);
        let n_boots = u64::from(ending == Some(Ending::Boots));
        let mut count = |check: Check| {
            let occasion = self.occasions.entry(check).or_default();
            *occasion = (occasion.0 + 1, occasion.1 + n_boots);
        };
        count(check);
        if ending.is_some() {
            let of_every_boot = [Check::Loading, Check::Stages, Check::End, Check::Ownership, Check::Log, Check::Drop];
            of_every_boot.into_iter().for_each(count);
        }
        if let (Some(cell), Some(_)) = (&cell, ending) {
            if check == Check::Answers {
                let boots = self.boots.entry(cell.1).or_default();
                *boots = (boots.0 + n_boots, boots.1 + 1);
            }
            // As fractions, without rounding.
            let is_more =
                |n: u64, of: u64| u128::from(n) * u128::from(most_steps) < u128::from(n_steps) * u128::from(of);
            if self.most_steps.as_ref().is_none_or(|(n, of, _)| is_more(*n, *of)) {
                self.most_steps = Some((n_steps, most_steps, cell.clone()));
            }
        }
        for Shortfall { check, text } in shortfalls {
            self.fail(check, cell.clone(), text);
        }
    }

    /// Judges the stages once everything was seen.
    fn stage_failures(&self) -> Vec<String> {
        let Some(declared) = self.declared else { return Vec::new() };
        let mut failures = Vec::new();
        let undeclared = self.own.without(declared);
        if !undeclared.is_empty() {
            failures.push(format!("answers by itself, and does not declare: {}", undeclared.names()));
        }
        let idle = declared.and(self.asked).without(self.own);
        if !idle.is_empty() {
            failures.push(format!("declares, and answers as by default on every machine: {}", idle.names()));
        }
        failures
    }

    fn failures(&self, check: Check) -> Vec<(Option<Cell>, String)> {
        let mut failures = self.failures.get(&check).cloned().unwrap_or_default();
        if check == Check::Stages {
            failures.extend(self.stage_failures().into_iter().map(|text| (None, text)));
        }
        failures
    }

    /// How it stands in a check.
    #[must_use]
    pub fn standing(&self, check: Check) -> Standing {
        if !self.failures(check).is_empty() {
            Standing::FallsShort
        } else if self.occasions.contains_key(&check) {
            Standing::Ok
        } else {
            Standing::NotAsked
        }
    }

    /// Whether it falls short in any check.
    #[must_use]
    pub fn falls_short(&self) -> bool {
        self.n_short() != 0
    }

    fn n_short(&self) -> usize {
        Check::ALL.into_iter().filter(|check| self.standing(*check) == Standing::FallsShort).count()
    }

    /// What stands behind a check's name.
    fn line(&self, check: Check) -> String {
        let standing = self.standing(check);
        if let (Standing::Ok | Standing::NotAsked, Some(note)) = (standing, self.notes.get(&check)) {
            return note.clone();
        }
        let (n, n_boots) = self.occasions.get(&check).copied().unwrap_or_default();
        let expects = check.expects();
        match (standing, check) {
            (Standing::FallsShort, _) => format!("expected: {expects}"),
            (Standing::NotAsked, Check::Options) => "it declares none".to_owned(),
            (Standing::NotAsked, _) => "no boot came so far".to_owned(),
            (Standing::Ok, Check::Stages) => self.stages_line(),
            (Standing::Ok, Check::Answers | Check::HardMachines | Check::TinyMachines) => {
                format!("{expects} ({n} cells, {n_boots} boot)")
            }
            (Standing::Ok, Check::Repetition) => format!("{expects} ({n} cells)"),
            (Standing::Ok, Check::End) => match &self.most_steps {
                Some((n, of, (layout, backend))) => {
                    format!("{expects} (at most {n} of {of} steps, on {layout}@{backend})")
                }
                None => expects.to_owned(),
            },
            (Standing::Ok, _) => expects.to_owned(),
        }
    }

    fn stages_line(&self) -> String {
        let own = if self.own.is_empty() { "none".to_owned() } else { self.own.names() };
        let missing = self.asked.missing();
        let missing =
            if missing.is_empty() { "all were asked".to_owned() } else { format!("not asked: {}", missing.names()) };
        let declared = if self.declared.is_some() { "" } else { "; it declares none" };
        format!("answers by itself: {own}; {missing}{declared}")
    }
}

const WORDS: usize = 13;
const NAMES: usize = 17;

impl Report {
    /// What there is to say of each check, in order.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let entry = |check: Check| {
            let failures = self.failures(check);
            let next = failures.first().map(|(cell, _)| {
                let cell = cell.as_ref().map(|(layout, backend)| (layout.as_str(), *backend));
                (check.advice(), check.command(&self.typed, cell))
            });
            Entry { check, standing: self.standing(check), line: self.line(check), failures, next }
        };
        Check::ALL.into_iter().map(entry).collect()
    }
}

/// What a report says of one check.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The check.
    pub check: Check,
    /// How the strategy stands in it.
    pub standing: Standing,
    /// What was seen, or what is expected if it falls short.
    pub line: String,
    /// Where it falls short, if it is known: layout and back end; and what was seen.
    pub failures: Vec<(Option<(String, &'static str)>, String)>,
    /// If it falls short: what to do, and the command that shows it.
    pub next: Option<(&'static str, String)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Entry { check, standing, line, failures, next } in self.entries() {
            writeln!(f, "{:WORDS$}{:NAMES$}{line}", standing.word(), check.name())?;
            for (cell, text) in failures.iter().take(MOST_SHOWN) {
                let place = cell.as_ref().map_or_else(String::new, |(layout, backend)| format!("{layout}@{backend}: "));
                writeln!(f, "{:WORDS$}- {place}{}", "", text.replace(char::is_control, " "))?;
            }
            if MOST_SHOWN < failures.len() {
                writeln!(f, "{:WORDS$}- {} more", "", failures.len() - MOST_SHOWN)?;
            }
            if let Some((advice, command)) = next {
                writeln!(f, "{:WORDS$}what to do: {advice}", "")?;
                writeln!(f, "{:WORDS$}shown by: {command}", "")?;
            }
        }
        writeln!(f)?;
        if !self.boots.is_empty() {
            let boots: Vec<String> =
                self.boots.iter().map(|(backend, (n, of))| format!("{n} of {of} cells {backend}")).collect();
            writeln!(f, "boots {}", boots.join(", "))?;
        }
        match self.n_short() {
            0 => writeln!(f, "{} conforms", self.name),
            n => writeln!(f, "{} falls short in {n} of {} checks", self.name, Check::ALL.len()),
        }
    }
}
