// SPDX-License-Identifier: MIT OR Apache-2.0
//! What passes between the program and the worker process that runs one cell.

use crate::options::{Changed, shown};
use crate::record::CellRecord;
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
    /// Why it ended so, and the events of the range that died.
    Explain,
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
}

impl Work {
    /// The plugin.
    #[must_use]
    pub fn plugin(&self) -> &Path {
        match self {
            Self::Cell(request) => &request.plugin,
            Self::Prove(trial) => &trial.plugin,
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
}
