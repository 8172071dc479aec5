// SPDX-License-Identifier: MIT OR Apache-2.0
//! What passes between the program and the worker process that runs one cell.

use crate::options::{Changed, shown};
use crate::record::CellRecord;
use pgtlab_core::conform::{Check, Ending, Seen, Shortfall, Stages};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a worker is asked for besides the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Want {
    /// Nothing.
    Record,
    /// The trace.
    Trace,
    /// The permission map as ptdump text, and the kernel's verdict on it as one more line.
    Dump,
    /// The same with a column of physical addresses.
    DumpPhysical,
    /// The permission map as the trace's `map` lines.
    Map,
    /// The events, a line each.
    Events,
    /// The operation trace.
    Ops,
    /// Why it ended so, and the story of the boot.
    Explain,
    /// What became of the page that holds this physical address.
    Page(u64),
    /// Memblock's reservations, with who made each.
    Reserved,
    /// The direct map and the owners of memory, as the JSON of a [`crate::state::State`].
    State,
}

/// What a worker does; written to its standard input as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// One cell.
    Cell(Request),
    /// Many machines, of which only what fails is wanted.
    Prove(Trial),
    /// A part of the conformance kit.
    Examine(Examination),
    /// Try what a worker can do, without a plugin.
    Probe,
}

impl Work {
    /// The plugin, if there is one.
    #[must_use]
    pub fn plugin(&self) -> Option<&Path> {
        match self {
            Self::Cell(request) => Some(&request.plugin),
            Self::Prove(trial) => Some(&trial.plugin),
            Self::Examine(examination) => Some(&examination.plugin),
            Self::Probe => None,
        }
    }
}

/// A strategy to be run on many machines.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trial {
    /// The plugin.
    pub plugin: PathBuf,
    /// The values of its options that are not the defaults.
    pub options: Changed,
    /// The machines.
    pub machines: Machines,
}

/// Many machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Machines {
    /// Members `[from, to)` of a family.
    Family {
        /// Frames of their own.
        n_frames: u32,
        /// The first.
        from: u64,
        /// The one behind the last.
        to: u64,
    },
    /// Machines drawn at random: those numbered `[from, to)` of a seed.
    Random {
        /// The seed.
        seed: u64,
        /// The first.
        from: u64,
        /// The one behind the last.
        to: u64,
    },
}

/// A strategy to be held to a part of the conformance kit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Examination {
    /// The plugin.
    pub plugin: PathBuf,
    /// What is done with it.
    pub exercise: Exercise,
}

/// A part of the conformance kit: a method of [`pgtlab_core::conform::Exam`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exercise {
    /// One boot that is seen.
    Look {
        /// The check that is the occasion, by name.
        check: String,
        /// The layout, as the text of a layout file.
        layout: String,
    },
    /// The same boot several times.
    Repeat {
        /// The layout.
        layout: String,
        /// The machine that is booted in between.
        before: String,
    },
    /// Questions that no sound host asks.
    Strain,
}

/// What was seen in one examination; see [`pgtlab_core::conform::Seen`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is documented by its namesake in `Seen`")]
pub struct SeenRecord {
    pub check: String,
    pub ending: Option<String>,
    pub asked: u32,
    pub own: u32,
    pub n_steps: u64,
    pub most_steps: u64,
    /// As text: numbers of JSON end at 2^53.
    pub fingerprint: Option<String>,
    /// Checks by name, and what was seen.
    pub shortfalls: Vec<(String, String)>,
}

impl From<&Seen> for SeenRecord {
    fn from(seen: &Seen) -> Self {
        let shortfalls = seen.shortfalls.iter();
        Self {
            check: seen.check.name().to_owned(),
            ending: seen.ending.map(|ending| ending.word().to_owned()),
            asked: seen.asked.bits(),
            own: seen.own.bits(),
            n_steps: seen.n_steps,
            most_steps: seen.most_steps,
            fingerprint: seen.fingerprint.map(|fingerprint| format!("{fingerprint:x}")),
            shortfalls: shortfalls.map(|it| (it.check.name().to_owned(), it.text.clone())).collect(),
        }
    }
}

impl TryFrom<&SeenRecord> for Seen {
    type Error = String;

    /// Without a cell, which is the parent's to know.
    fn try_from(record: &SeenRecord) -> Result<Self, String> {
        let check = |name: &str| Check::named(name).ok_or_else(|| format!("a worker spoke of a check {name:?}"));
        let ending = |word: &str| Ending::of_word(word).ok_or_else(|| format!("a worker spoke of an end {word:?}"));
        let number = |text: &str| u64::from_str_radix(text, 16).map_err(|error| format!("{text:?}: {error}"));
        let shortfall = |(name, text): &(String, String)| Ok(Shortfall { check: check(name)?, text: text.clone() });
        Ok(Self {
            ending: record.ending.as_deref().map(ending).transpose()?,
            asked: Stages::from_bits(record.asked),
            own: Stages::from_bits(record.own),
            n_steps: record.n_steps,
            most_steps: record.most_steps,
            fingerprint: record.fingerprint.as_deref().map(number).transpose()?,
            shortfalls: record.shortfalls.iter().map(shortfall).collect::<Result<_, String>>()?,
            ..Self::nothing(check(&record.check)?, None)
        })
    }
}

/// One cell to run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The plugin.
    pub plugin: PathBuf,
    /// The strategy's name.
    pub strategy: String,
    /// The values of its options that are not the defaults.
    pub options: Changed,
    /// The layout, as the text of a layout file.
    pub layout: String,
    /// What is wanted.
    pub want: Want,
}

impl Request {
    /// The strategy as a trace names it: with what was chosen for it.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} {}", self.strategy, shown(&self.options)).trim_end().to_owned()
    }
}

/// What came of it; read from the worker's own descriptor as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reply {
    /// The record.
    pub record: CellRecord,
    /// The text that was wanted (see [`crate::answer`]); empty for [`Want::Record`], for a cell without a
    /// boot, and for [`Want::Map`] where the build was not completed.
    pub text: String,
    /// How many steps of its budget the plugin took (see [`pgtlab_core::plugin::Budget`]); 0 if it died.
    pub n_steps: u64,
}
