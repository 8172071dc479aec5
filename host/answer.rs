// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a worker answers besides the record: the text that was wanted of a boot.

use crate::explain;
use crate::protocol::Want;
use crate::state::State;
use pgtlab_core::addr::PhysAddr;
use pgtlab_core::build::{Built, End, Watch};
use pgtlab_core::layout::Layout;
use pgtlab_core::ops::Ops;
use pgtlab_core::{ptdump, trace};

/// What must be watched during a boot to give this answer.
#[must_use]
pub const fn watch(want: Want, layout: &Layout) -> Watch {
    match want {
        Want::Record | Want::Trace | Want::Dump | Want::DumpPhysical | Want::Map => Watch::RULES,
        Want::Events | Want::Explain | Want::Reserved | Want::State => Watch::ALL,
        Want::Ops => Watch { ops: true, ..Watch::RULES },
        Want::Page(address) => {
            let page = layout.geometry.pfn_down(PhysAddr::new(address));
            Watch { page: Some(page), ..Watch::ALL }
        }
    }
}

/// The text. A dump's last line is the kernel's verdict on writable and executable memory; where a boot
/// died in the build, the dump shows its tables as they stood then.
#[must_use]
pub fn text(want: Want, strategy: &str, layout: &Layout, built: &Built) -> String {
    match want {
        Want::Record => String::new(),
        // A trace has words for how a kernel ends, and none for a strategy that failed.
        Want::Trace if matches!(built.end, End::StrategyFailed(_)) => String::new(),
        Want::Trace => trace::render(strategy, layout, built),
        Want::Dump => dump(layout, built, false),
        Want::DumpPhysical => dump(layout, built, true),
        Want::Map => built.map.as_ref().map_or_else(String::new, |map| lines(trace::map_lines(layout, map))),
        Want::Events => lines(built.events.iter().map(ToString::to_string).collect()),
        Want::Ops => Ops::of(strategy, layout, built).map_or_else(String::new, |ops| ops.to_string()),
        Want::Explain => explain::story(layout, built),
        Want::Page(address) => explain::page(layout, built, layout.geometry.pfn_down(PhysAddr::new(address))),
        Want::Reserved => explain::reserved(layout, built),
        Want::State => state(layout, built),
    }
}

fn state(layout: &Layout, built: &Built) -> String {
    let state = State::of(layout, built).map(|state| serde_json::to_string(&state));
    // Text and numbers always make JSON.
    state.and_then(Result::ok).unwrap_or_default()
}

fn dump(layout: &Layout, built: &Built, physical: bool) -> String {
    let Some(map) = built.map.as_ref().or(built.map_at_death.as_ref()) else { return String::new() };
    ptdump::render(layout, map, physical) + &ptdump::wx_verdict(map) + "\n"
}

fn lines(lines: Vec<String>) -> String {
    lines.into_iter().map(|line| line + "\n").collect()
}
