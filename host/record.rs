// SPDX-License-Identifier: MIT OR Apache-2.0
//! The record of a cell: what `compare --format json` prints, one object a line.
//!
//! The schema is versioned by its first key. Keys are never renamed or reordered within a version; more
//! may follow.

use pgtlab_core::build::{Built, Death, End};
use pgtlab_core::layout::Layout;
use pgtlab_core::measure::Measures;
use pgtlab_core::rules::Finding;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the schema.
pub const SCHEMA: u32 = 1;

/// How a cell ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The boot came through.
    Boots,
    /// The kernel gave up itself.
    Panics,
    /// Xen said no, and the kernel hit its `BUG()`.
    Refused,
    /// A write met a read-only or absent page.
    Faults,
    /// The plugin died.
    Crashed,
    /// The plugin did not come to an end.
    Timeout,
    /// The cell cannot exist; its text says why.
    Skipped,
    /// Our own failure.
    Error,
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingRecord {
    /// The rule's name.
    pub rule: String,
    /// The stage at which it broke.
    pub stage: String,
    /// The first page, how many more, and the range.
    pub place: String,
    /// What the rule expects there.
    pub expected: String,
    /// What was found.
    pub got: String,
    /// For how many pages.
    pub n_pages: u64,
}

impl From<&Finding> for FindingRecord {
    fn from(finding: &Finding) -> Self {
        Self {
            rule: finding.rule.name().to_owned(),
            stage: finding.stage.name().to_owned(),
            place: finding.place(),
            expected: finding.expected.clone(),
            got: finding.got.clone(),
            n_pages: finding.n_pages,
        }
    }
}

/// What a completed build cost and left behind; see [`Measures`] for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is documented by its namesake in `Measures`")]
pub struct MeasuresRecord {
    pub table_pages: u64,
    pub spare_pages: u64,
    pub left_read_only: u64,
    pub reserved_bytes: u64,
    pub crashkernel_room_bytes: u64,
    pub wx_pages: u64,
    pub table_bytes: u64,
    pub largest_request_bytes: u64,
}

impl From<Measures> for MeasuresRecord {
    fn from(measures: Measures) -> Self {
        Self {
            table_pages: measures.table_pages,
            spare_pages: measures.spare_pages,
            left_read_only: measures.left_read_only,
            reserved_bytes: measures.reserved_bytes,
            crashkernel_room_bytes: measures.crashkernel_room_bytes,
            wx_pages: measures.wx_pages,
            table_bytes: measures.table_bytes,
            largest_request_bytes: measures.largest_request_bytes,
        }
    }
}

/// One cell: one strategy on one layout on one back end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellRecord {
    /// The version of the schema.
    pub schema: u32,
    /// The strategy's crate.
    pub strategy: String,
    /// The layout's name.
    pub layout: String,
    /// `native` or `xen`.
    pub backend: String,
    /// How it ended.
    pub verdict: Verdict,
    /// The part of the boot it died in, or the stage the plugin was in.
    pub stage: Option<String>,
    /// What the kernel said, or why there is no verdict.
    pub text: Option<String>,
    /// The rules it broke.
    pub findings: Vec<FindingRecord>,
    /// The measures of a completed build.
    pub measures: Option<MeasuresRecord>,
    /// The values of the strategy's options that are not the defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, serde_json::Value>,
}

impl CellRecord {
    /// The record of a boot.
    #[must_use]
    pub fn of(strategy: &str, layout: &Layout, built: &Built) -> Self {
        let (verdict, stage, text) = match &built.end {
            End::Completed => (Verdict::Boots, None, None),
            End::Died { death, stage, text } => {
                let verdict = match death {
                    Death::Panic => Verdict::Panics,
                    Death::Bug => Verdict::Refused,
                    Death::Crash => Verdict::Faults,
                };
                (verdict, Some((*stage).to_owned()), Some(text.clone()))
            }
            End::StrategyFailed(fault) => {
                (Verdict::Crashed, Some(fault.stage.name().to_owned()), Some(fault.text.clone()))
            }
        };
        Self {
            schema: SCHEMA,
            strategy: strategy.to_owned(),
            layout: layout.name.clone(),
            backend: layout.backend.name().to_owned(),
            verdict,
            stage,
            text,
            findings: built.findings.iter().map(FindingRecord::from).collect(),
            measures: built.measures.map(MeasuresRecord::from),
            options: BTreeMap::new(),
        }
    }

    /// The record of a cell that no boot was made of.
    #[must_use]
    pub fn without_boot(strategy: &str, layout: &str, backend: &str, verdict: Verdict, text: String) -> Self {
        Self {
            schema: SCHEMA,
            strategy: strategy.to_owned(),
            layout: layout.to_owned(),
            backend: backend.to_owned(),
            verdict,
            stage: None,
            text: Some(text),
            findings: Vec::new(),
            measures: None,
            options: BTreeMap::new(),
        }
    }
}
