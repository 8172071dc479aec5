// SPDX-License-Identifier: MIT OR Apache-2.0
//! One cell that is not as it was, and how.

use super::cell_name;
use crate::record::{CellRecord, FindingRecord, MeasuresRecord};
use crate::report::thousands;
use crate::summary::Word;
use std::fmt;

/// Findings that are told of one cell; the others are counted.
const MOST_FINDINGS: usize = 6;

/// In what way a cell is not as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It was there, and is otherwise now.
    Changed {
        /// How it ended.
        was: Word,
        /// How it ends.
        is: Word,
    },
    /// It was not there.
    Added(Word),
    /// It is not there any more.
    Gone(Word),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { was, is } if was == is => write!(f, "{is} as before, but"),
            Self::Changed { was, is } => write!(f, "{was} -> {is}"),
            Self::Added(is) => write!(f, "new: {is}"),
            Self::Gone(was) => write!(f, "gone: was {was}"),
        }
    }
}

/// A cell that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The cell's name.
    pub cell: String,
    /// What became of it.
    pub difference: Difference,
    /// What is otherwise, in words.
    pub details: Vec<String>,
}

impl Change {
    /// How a cell changed; `None` if it did not.
    #[must_use]
    pub(super) fn between(was: &CellRecord, is: &CellRecord) -> Option<Self> {
        // With which options is not what came of it: to see what an option changes is what one may want.
        if *was == (CellRecord { options: was.options.clone(), ..is.clone() }) {
            return None;
        }
        let mut details = Vec::new();
        if (&was.stage, &was.text) != (&is.stage, &is.text) {
            details.extend(end(was).map(|end| format!("was: {end}")));
            details.extend(end(is).map(|end| format!("is:  {end}")));
        }
        findings(&mut details, was, is);
        measures(&mut details, was.measures.as_ref(), is.measures.as_ref());
        let difference = Difference::Changed { was: Word::of(was.verdict), is: Word::of(is.verdict) };
        Some(Self { cell: cell_name(is), difference, details })
    }

    pub(super) fn added(is: &CellRecord) -> Self {
        let details = end(is).into_iter().collect();
        Self { cell: cell_name(is), difference: Difference::Added(Word::of(is.verdict)), details }
    }

    pub(super) fn gone(was: &CellRecord) -> Self {
        Self { cell: cell_name(was), difference: Difference::Gone(Word::of(was.verdict)), details: Vec::new() }
    }
}

fn end(record: &CellRecord) -> Option<String> {
    let text = record.text.as_deref()?.replace('\n', " ");
    Some(match &record.stage {
        Some(stage) => format!("{stage}: {text}"),
        None => text,
    })
}

fn findings(details: &mut Vec<String>, was: &CellRecord, is: &CellRecord) {
    let told = |finding: &FindingRecord| {
        let FindingRecord { rule, stage, place, expected, got, .. } = finding;
        format!("{rule}: {place}: {got}; expected {expected}; stage {stage}")
    };
    let only = |these: &[FindingRecord], those: &[FindingRecord]| -> Vec<String> {
        these.iter().filter(|finding| !those.contains(finding)).map(told).collect()
    };
    let gone = only(&was.findings, &is.findings).into_iter().map(|finding| format!("no more: {finding}"));
    let new = only(&is.findings, &was.findings).into_iter().map(|finding| format!("new:     {finding}"));
    let all: Vec<String> = gone.chain(new).collect();
    let n_more = all.len().saturating_sub(MOST_FINDINGS);
    details.extend(all.into_iter().take(MOST_FINDINGS));
    if 0 < n_more {
        details.push(format!("and {n_more} more findings"));
    }
}

fn measures(details: &mut Vec<String>, was: Option<&MeasuresRecord>, is: Option<&MeasuresRecord>) {
    let (Some(was), Some(is)) = (was, is) else {
        match (was, is) {
            (Some(_), None) => details.push("no measures any more: the build does not come to its end".to_owned()),
            (None, Some(_)) => details.push("measures for the first time: the build comes to its end".to_owned()),
            _ => {}
        }
        return;
    };
    let pairs = named(was).into_iter().zip(named(is));
    let moved = pairs.filter(|((_, was), (_, is))| was != is);
    details.extend(moved.map(|((name, was), (_, is))| format!("{name} {} -> {}", thousands(was), thousands(is))));
}

fn named(measures: &MeasuresRecord) -> [(&'static str, u64); 8] {
    let MeasuresRecord {
        table_pages,
        spare_pages,
        left_read_only,
        reserved_bytes,
        crashkernel_room_bytes,
        wx_pages,
        table_bytes,
        largest_request_bytes,
    } = *measures;
    [
        ("table_pages", table_pages),
        ("spare_pages", spare_pages),
        ("left_read_only", left_read_only),
        ("reserved_bytes", reserved_bytes),
        ("crashkernel_room_bytes", crashkernel_room_bytes),
        ("wx_pages", wx_pages),
        ("table_bytes", table_bytes),
        ("largest_request_bytes", largest_request_bytes),
    ]
}
