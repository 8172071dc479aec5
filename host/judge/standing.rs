// SPDX-License-Identifier: MIT OR Apache-2.0
//! A cell that was to be put before a judge, and what became of it.

use crate::matrix::{Contestant, Place};
use crate::protocol::Want;
use crate::record::Verdict;
use crate::spawn::{Limits, run_cell};
use pgtlab_core::layout::Backend;
use pgtlab_core::ops::Ops;

/// What became of one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing<J> {
    /// It was judged.
    Judged(Box<J>),
    /// It was not, and why.
    NotJudged(String),
    /// We failed, or the judge's machine did.
    Failed(String),
}

/// A cell and what became of it.
#[derive(Clone, Debug)]
pub struct Cell<J> {
    /// The strategy, with what was chosen for it.
    pub strategy: String,
    /// The layout.
    pub layout: String,
    /// The back end.
    pub backend: Backend,
    /// What became of it.
    pub standing: Standing<J>,
}

impl<J> Cell<J> {
    /// A strategy's cell at a place.
    pub(super) fn new(contestant: &Contestant, place: &Place, standing: Standing<J>) -> Self {
        Self { strategy: contestant.label(), layout: place.layout.clone(), backend: place.backend, standing }
    }

    /// The cell's name.
    pub(super) fn name(&self) -> String {
        format!("{}/{}@{}", self.strategy, self.layout, self.backend.name())
    }

    /// What the judge said, if it was asked.
    pub(super) fn judged(&self) -> Option<&J> {
        match &self.standing {
            Standing::Judged(judged) => Some(judged),
            Standing::NotJudged(_) | Standing::Failed(_) => None,
        }
    }

    /// Whether we failed.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.standing, Standing::Failed(_))
    }
}

/// By layout, then by back end, then by strategy, as records are.
pub(super) fn sort<J>(cells: &mut [Cell<J>]) {
    let key = |cell: &Cell<J>| (cell.layout.clone(), cell.backend.name(), cell.strategy.clone());
    cells.sort_by_cached_key(key);
}

/// A cell's operations, from a worker.
///
/// # Errors
/// There is no such cell, its strategy failed, or we did.
pub(super) fn operations<J>(contestant: &Contestant, place: &Place, limits: &Limits) -> Result<Ops, Standing<J>> {
    let text = place.text.as_ref().map_err(|why| Standing::NotJudged(why.clone()))?;
    let request = contestant.request(text.clone(), Want::Ops);
    let reply = run_cell(&request, limits).map_err(|error| Standing::Failed(error.to_string()))?;
    if reply.text.is_empty() {
        let text = reply.record.text.clone().unwrap_or_default();
        return Err(match reply.record.verdict {
            Verdict::Error => Standing::Failed(text),
            _ => Standing::NotJudged(format!("the strategy left no operations: {text}")),
        });
    }
    Ops::parse(&reply.text).map_err(|error| Standing::Failed(error.to_string()))
}
