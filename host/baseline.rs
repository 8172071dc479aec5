// SPDX-License-Identifier: MIT OR Apache-2.0
//! An earlier run to compare with: its JSON lines, and which cells are not as they were.

mod change;

pub use change::{Change, Difference};

use crate::matrix::key;
use crate::record::{CellRecord, SCHEMA};
use crate::report::count;
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::fs;
use std::io;
use std::path::Path;

/// Changed cells that are shown unless all are asked for.
const MOST_SHOWN: usize = 20;

/// The records of an earlier run.
#[derive(Clone, Debug)]
pub struct Baseline {
    place: String,
    records: Vec<CellRecord>,
}

/// Why a file is no baseline.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// The file could not be read.
    #[error("cannot read the baseline {place}: {source}")]
    Unreadable {
        /// The file.
        place: String,
        /// What the system says.
        source: io::Error,
    },
    /// A line is no record.
    #[error("{place}: line {line}: {source}; expected the output of `pgtlab compare --format json`")]
    Malformed {
        /// The file.
        place: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A line is a record of another version.
    #[error("{place}: line {line}: schema {found}; expected {SCHEMA}")]
    Schema {
        /// The file.
        place: String,
        /// The line, from 1.
        line: usize,
        /// The version found.
        found: u32,
    },
    /// Two lines are about one cell.
    #[error("{place}: line {line}: a second record of {cell}; the first is line {first}")]
    Repeated {
        /// The file.
        place: String,
        /// The line, from 1.
        line: usize,
        /// The cell.
        cell: String,
        /// The line of the first.
        first: usize,
    },
    /// There are no lines.
    #[error("{place} holds no record; expected the output of `pgtlab compare --format json`")]
    Empty {
        /// The file.
        place: String,
    },
}

/// A baseline has a line a cell: more than this is something else.
const MAX_BYTES: u64 = 1 << 30;

/// The bytes of a file that has an end: a pipe or a device may have none.
fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    if !metadata.is_file() || MAX_BYTES < metadata.len() {
        let why = format!("it is no regular file of at most {MAX_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    fs::read(path)
}

impl Baseline {
    /// Reads a file of JSON lines.
    ///
    /// # Errors
    /// If the file cannot be read or a line of it is no record; see [`BaselineError`].
    pub fn read(path: &Path) -> Result<Self, BaselineError> {
        let place = path.display().to_string();
        let text = read_whole(path).map_err(|source| BaselineError::Unreadable { place: place.clone(), source })?;
        Self::parse(&String::from_utf8_lossy(&text), place)
    }

    /// Takes the records of a run of this process; `place` says which.
    #[must_use]
    pub fn of(place: &str, records: Vec<CellRecord>) -> Self {
        Self { place: place.to_owned(), records }
    }

    /// Takes the text of such a file.
    ///
    /// # Errors
    /// If a line of it is no record; see [`BaselineError`].
    pub fn parse(text: &str, place: String) -> Result<Self, BaselineError> {
        let mut records: Vec<CellRecord> = Vec::new();
        let mut lines: BTreeMap<(String, String, String), usize> = BTreeMap::new();
        for (at, text) in text.lines().enumerate() {
            let line = at + 1;
            if text.trim().is_empty() {
                continue;
            }
            if let Some(found) = schema(text).filter(|found| *found != SCHEMA) {
                return Err(BaselineError::Schema { place, line, found });
            }
            let record: CellRecord = match serde_json::from_str(text) {
                Ok(record) => record,
                Err(source) => return Err(BaselineError::Malformed { place, line, source }),
            };
            let (layout, backend, strategy) = key(&record);
            let owned = (layout.to_owned(), backend.to_owned(), strategy.to_owned());
            if let Some(first) = lines.insert(owned, line) {
                return Err(BaselineError::Repeated { place, line, cell: cell_name(&record), first });
            }
            records.push(record);
        }
        if records.is_empty() {
            return Err(BaselineError::Empty { place });
        }
        Ok(Self { place, records })
    }

    /// Compares a run with it. Cells for which `is_in_scope` is false were not asked for, so that they are
    /// missing is no difference.
    #[must_use]
    pub fn compare(&self, records: &[CellRecord], is_in_scope: impl Fn(&CellRecord) -> bool) -> Comparison {
        let before: BTreeMap<_, &CellRecord> = self.records.iter().map(|record| (key(record), record)).collect();
        let after: BTreeMap<_, &CellRecord> = records.iter().map(|record| (key(record), record)).collect();
        let mut comparison = Comparison { place: self.place.clone(), changes: Vec::new(), n_same: 0 };
        for (key, is) in &after {
            match before.get(key).map(|was| Change::between(was, is)) {
                None => comparison.changes.push(Change::added(is)),
                Some(Some(change)) => comparison.changes.push(change),
                Some(None) => comparison.n_same += 1,
            }
        }
        let gone = before.iter().filter(|(key, was)| !after.contains_key(*key) && is_in_scope(was));
        comparison.changes.extend(gone.map(|(_, was)| Change::gone(was)));
        comparison
    }
}

/// The version of a record, also of one that has other keys otherwise.
fn schema(text: &str) -> Option<u32> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    u32::try_from(value.get("schema")?.as_u64()?).ok()
}

/// A cell's name: `STRATEGY/LAYOUT@BACKEND`, and `STRATEGY[KEY=VALUE]/..` with options that are not the defaults.
#[must_use]
pub fn cell_name(record: &CellRecord) -> String {
    let options: Vec<String> = record.options.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let options = if options.is_empty() { String::new() } else { format!("[{}]", options.join(" ")) };
    format!("{}{options}/{}@{}", record.strategy, record.layout, record.backend)
}

/// How a run differs from a baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The baseline's file.
    pub place: String,
    /// The cells that are not as they were: changed and added ones by layout, then those that are gone.
    pub changes: Vec<Change>,
    /// How many cells are as they were.
    pub n_same: usize,
}

impl Comparison {
    /// Whether any cell is not as it was.
    #[must_use]
    pub fn is_different(&self) -> bool {
        !self.changes.is_empty()
    }

    /// `2 cells changed, 1 added, 0 gone; 4 as before`.
    #[must_use]
    pub fn headline(&self) -> String {
        let n =
            |wanted: fn(&Difference) -> bool| self.changes.iter().filter(|change| wanted(&change.difference)).count();
        format!(
            "against {}: {} changed, {} added, {} gone, {} as before",
            self.place,
            count(n(|difference| matches!(difference, Difference::Changed { .. })), "cell", "cells"),
            n(|difference| matches!(difference, Difference::Added(_))),
            n(|difference| matches!(difference, Difference::Gone(_))),
            self.n_same,
        )
    }

    /// Writes what is different for a person.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write_text(&self, out: &mut String, shows_all: bool) -> fmt::Result {
        writeln!(out, "{}", self.headline())?;
        let n = if shows_all { self.changes.len() } else { self.changes.len().min(MOST_SHOWN) };
        for change in &self.changes[..n] {
            writeln!(out, "{}: {}", change.cell, change.difference)?;
            for detail in &change.details {
                writeln!(out, "    {detail}")?;
            }
        }
        if n < self.changes.len() {
            writeln!(out, "... {} more (--all)", self.changes.len() - n)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
