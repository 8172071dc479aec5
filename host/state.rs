// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a boot left, as data: the direct map and the owners of memory. It passes from the worker to the
//! program as JSON.

use crate::owner::{Owned, Owners};
use pgtlab_core::build::Built;
use pgtlab_core::layout::Layout;
use pgtlab_core::ptdump;
use serde::{Deserialize, Serialize};

/// What a boot left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The direct map, as ptdump text; of a boot that died in the build, as it stood then.
    pub dump: String,
    /// Who has which memory.
    pub owners: Vec<Owned>,
}

impl State {
    /// Of a boot with its events; `None` if it left no tables.
    #[must_use]
    pub fn of(layout: &Layout, built: &Built) -> Option<Self> {
        let map = built.map.as_ref().or(built.map_at_death.as_ref())?;
        let dump = ptdump::render(layout, map, false);
        Some(Self { dump, owners: Owners::new(layout, Some(built)).ranges() })
    }
}
