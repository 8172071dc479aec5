// SPDX-License-Identifier: MIT OR Apache-2.0
//! What judges say of the cells of a matrix, in one form whichever judge it is: what `compare --judged` reports.
//!
//! ```text
//!  judge::mmu::session ─► Sitting ─┐
//!  judge::xen::session ─► Cell ..  ├─► Judge { opinions, by cell } ─► Judged ─► reports
//!  an engine that is missing ──────┘
//! ```

use crate::judge::engine::Unavailable;
use crate::judge::mmu::report as processors;
use crate::judge::mmu::session::Sitting;
use crate::judge::standing::{Cell, Standing};
use crate::judge::xen::cells::{Finding, Judged as Judgement};
use crate::matrix::Contestant;
use crate::record::CellRecord;
use crate::report::count;
use std::collections::BTreeMap;
use std::fmt;

/// What a judge says of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// What the model says is so.
    Agrees,
    /// It is not, and the first thing that is otherwise.
    Differs(String),
    /// It was not asked, and why.
    NotJudged(String),
    /// It could not be asked, by a failure of ours or of what it runs on.
    Failed(String),
}

impl Opinion {
    /// As records have it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Differs(_) => "differs",
            Self::NotJudged(_) => "not-judged",
            Self::Failed(_) => "failed",
        }
    }

    /// What is told with it.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Agrees => None,
            Self::Differs(text) | Self::NotJudged(text) | Self::Failed(text) => Some(text),
        }
    }
}

/// The cells of a strategy before a judge, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// It agrees.
    pub agrees: usize,
    /// It differs.
    pub differs: usize,
    /// They were not judged.
    pub not_judged: usize,
    /// It could not be asked.
    pub failed: usize,
}

/// A judge, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judge {
    /// What it is called: `MMU/KVM`, `Xen`.
    pub name: String,
    /// What it is, with versions, or why it is not to be had here.
    pub seated: Result<String, String>,
    /// What is wrong with it as a whole: a control that must differ and did not.
    pub fault: Option<String>,
    /// By layout, back end and strategy.
    opinions: BTreeMap<(String, String, String), Opinion>,
}

impl Judge {
    /// One that is not to be had on this machine.
    #[must_use]
    pub fn unavailable(name: &str, missing: &Unavailable) -> Self {
        Self::new(name.to_owned(), Err(format!("{}; {}", missing.why, missing.hint)))
    }

    pub(crate) const fn new(name: String, seated: Result<String, String>) -> Self {
        Self { name, seated, fault: None, opinions: BTreeMap::new() }
    }

    /// A processor's memory-management unit.
    #[must_use]
    pub fn of_processor(sitting: &Sitting<'_>, contestants: &[Contestant]) -> Self {
        let engine = sitting.engine;
        let seated = format!("{}; {}", engine.description(), engine.walk().text());
        let mut judge = Self::new(format!("MMU/{}", engine.name().to_uppercase()), Ok(seated));
        judge.fault = sitting.control.as_ref().and_then(processors::Control::fault);
        for cell in &sitting.cells {
            judge.hear(contestants, cell, |judged| match judged.differences.first() {
                None => Opinion::Agrees,
                Some(first) => Opinion::Differs(first.to_string()),
            });
        }
        judge
    }

    /// The real Xen. `versions` is what it and its machine say of themselves.
    #[must_use]
    pub fn of_xen(cells: &[Cell<Judgement>], versions: &str, contestants: &[Contestant]) -> Self {
        let seated = versions.strip_prefix("Xen ").unwrap_or(versions).to_owned();
        let mut judge = Self::new("Xen".to_owned(), Ok(seated));
        for cell in cells {
            judge.hear(contestants, cell, |judged| match &judged.finding {
                Finding::Agrees => Opinion::Agrees,
                Finding::Parts(parting) => {
                    let place = parting.op.as_ref().map_or("among the boot tables", |(_, op)| op);
                    let (predicted, answered) = (parting.predicted, parting.answered);
                    Opinion::Differs(format!("{place}: predicted {predicted}, Xen answers {answered}"))
                }
                Finding::OtherMap(difference) => Opinion::Differs(format!("the e820 {difference}")),
            });
        }
        judge
    }

    /// Takes down what it says of a cell. Judges know strategies with what was chosen for them, records by name.
    fn hear<J>(&mut self, contestants: &[Contestant], cell: &Cell<J>, of: impl FnOnce(&J) -> Opinion) {
        let opinion = match &cell.standing {
            Standing::Judged(judged) => of(judged),
            Standing::NotJudged(why) => Opinion::NotJudged(why.clone()),
            Standing::Failed(why) => Opinion::Failed(why.clone()),
        };
        let contestant = contestants.iter().find(|contestant| contestant.label() == cell.strategy);
        let strategy = contestant.map_or(&cell.strategy, |contestant| &contestant.name);
        self.say(strategy, (&cell.layout, cell.backend.name()), opinion);
    }

    pub(crate) fn say(&mut self, strategy: &str, (layout, backend): (&str, &str), opinion: Opinion) {
        self.opinions.insert((layout.to_owned(), backend.to_owned(), strategy.to_owned()), opinion);
    }

    /// What it says of a cell; none if it is no judge of such.
    #[must_use]
    pub fn opinion(&self, strategy: &str, layout: &str, backend: &str) -> Option<&Opinion> {
        self.opinions.get(&(layout.to_owned(), backend.to_owned(), strategy.to_owned()))
    }

    /// A strategy's cells; none if it was not there to judge them.
    #[must_use]
    pub fn tally(&self, strategy: &str) -> Option<Tally> {
        self.seated.as_ref().ok()?;
        Some(tally(self.opinions.iter().filter(|((_, _, of), _)| of == strategy).map(|(_, opinion)| opinion)))
    }

    /// All cells.
    #[must_use]
    pub fn total(&self) -> Tally {
        tally(self.opinions.values())
    }

    /// Why cells were not judged, or could not be: each reason with the number of cells, most of them first.
    #[must_use]
    pub fn reasons(&self) -> Vec<(&str, usize)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for opinion in self.opinions.values() {
            if let Opinion::NotJudged(why) | Opinion::Failed(why) = opinion {
                *counts.entry(why).or_default() += 1;
            }
        }
        let mut reasons: Vec<_> = counts.into_iter().collect();
        reasons.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        reasons
    }

    /// The cells on which it differs, and what is otherwise.
    pub fn differing(&self) -> impl Iterator<Item = (String, &str)> {
        self.opinions.iter().filter_map(|((layout, backend, strategy), opinion)| match opinion {
            Opinion::Differs(text) => Some((format!("{strategy}/{layout}@{backend}"), &**text)),
            _ => None,
        })
    }
}

impl fmt::Display for Judge {
    /// In a line: on how many cells it agrees and differs, or why it is not to be had.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { agrees, differs, not_judged, failed } = self.total();
        match &self.seated {
            Ok(_) => {
                write!(f, "{}: agrees on {}, differs on {differs}", self.name, count(agrees, "cell", "cells"))?;
                write!(f, ", {not_judged} not judged, {failed} failed")?;
                self.fault.as_ref().map_or(Ok(()), |fault| write!(f, "; {fault}"))
            }
            Err(why) => write!(f, "{}: not to be had here: {why}", self.name),
        }
    }
}

fn tally<'o>(opinions: impl Iterator<Item = &'o Opinion>) -> Tally {
    let mut tally = Tally::default();
    for opinion in opinions {
        *match opinion {
            Opinion::Agrees => &mut tally.agrees,
            Opinion::Differs(_) => &mut tally.differs,
            Opinion::NotJudged(_) => &mut tally.not_judged,
            Opinion::Failed(_) => &mut tally.failed,
        } += 1;
    }
    tally
}

/// What stands behind a cell's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A judge agrees, and none differs.
    Agrees,
    /// A judge differs.
    Differs,
    /// No judge was asked.
    None,
}

impl Mark {
    /// As it is printed.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Agrees => "+",
            Self::Differs => "!",
            Self::None => "",
        }
    }
}

/// What the marks mean.
pub const LEGEND: &str = "+ behind a word: every judge that was asked of the cell agrees; !: one differs";

/// All judges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged(pub Vec<Judge>);

impl Judged {
    /// Whether a judge differs on any cell, or on the control that it must differ on.
    #[must_use]
    pub fn is_different(&self) -> bool {
        self.0.iter().any(|judge| 0 < judge.total().differs || judge.fault.is_some())
    }

    /// Whether a judge that is there could not be asked of a cell.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.0.iter().any(|judge| 0 < judge.total().failed)
    }

    /// What stands behind the word of cells that are shown as one.
    #[must_use]
    pub fn mark<'c>(&self, strategy: &str, places: impl Iterator<Item = (&'c str, &'c str)>) -> Mark {
        let mut mark = None;
        for (layout, backend) in places {
            let opinions = || self.0.iter().filter_map(|judge| judge.opinion(strategy, layout, backend));
            if opinions().any(|opinion| matches!(opinion, Opinion::Differs(_))) {
                return Mark::Differs;
            }
            let is_judged = opinions().any(|opinion| *opinion == Opinion::Agrees);
            mark = Some(if is_judged && mark != Some(Mark::None) { Mark::Agrees } else { Mark::None });
        }
        mark.unwrap_or(Mark::None)
    }

    /// What each judge says of a record's cell, or why it is not to be had.
    pub fn of<'j>(
        &'j self,
        record: &'j CellRecord,
    ) -> impl Iterator<Item = (&'j Judge, &'static str, Option<&'j str>)> {
        self.0.iter().filter_map(move |judge| match &judge.seated {
            Err(why) => Some((judge, "unavailable", Some(&**why))),
            Ok(_) => {
                let opinion = judge.opinion(&record.strategy, &record.layout, &record.backend)?;
                Some((judge, opinion.word(), opinion.text()))
            }
        })
    }
}
