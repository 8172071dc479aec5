// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine's nodes: as the kernel set them up, else as the firmware's table has them.

use super::{Assumed, Import};
use crate::addr::PhysRange;
use crate::bootlog::fact::Fact;
use crate::layout::{Layout, Node};
use std::collections::BTreeMap;

/// Gives the layout its nodes, each one range. The kernel's own word counts more than the firmware's.
pub(super) fn take(import: &mut Import<'_>, layout: &mut Layout) {
    let set_up = import.all(|fact| match fact {
        Fact::SetUpNode { id, range } => Some((*id, *range)),
        _ => None,
    });
    let has_one = import.first(|fact| matches!(fact, Fact::OneNode).then_some(())).is_some();
    let nodes = if set_up.is_empty() && !has_one {
        let srat = import.all(|fact| match fact {
            Fact::SratNode { id, range, is_hotplug } => Some((*id, *range, *is_hotplug)),
            _ => None,
        });
        if srat.iter().any(|(.., is_hotplug)| *is_hotplug) {
            import.assumed.push(Assumed::HotplugLeftOut);
        }
        srat.into_iter().filter(|(.., is_hotplug)| !is_hotplug).map(|(id, range, _)| (id, range)).collect()
    } else {
        set_up
    };
    let (nodes, is_cut) = spans(&nodes);
    if is_cut {
        import.assumed.push(Assumed::NodesCut);
    }
    // One node over all is what a layout without nodes means, but for its number.
    let is_all = |node: &Node| node.id == 0 && layout.e820.ram().all(|ram| node.range.covers(ram));
    match nodes.as_slice() {
        [] => {
            if !has_one {
                import.assumed.push(Assumed::OneNode);
            }
        }
        [one] if is_all(one) => {}
        _ => layout.nodes = nodes,
    }
    layout.drop_nodes_without_ram();
}

/// For each node the range from its first byte to its last, ascending; where two lie over each other the
/// higher one is cut, and that is told.
///
/// ```text
/// printed   |0--|     |0----|1-----|
/// span      |0--------------|1-----|
/// ```
fn spans(ranges: &[(u32, PhysRange)]) -> (Vec<Node>, bool) {
    let mut by_id: BTreeMap<u32, PhysRange> = BTreeMap::new();
    for (id, range) in ranges {
        let span = by_id.entry(*id).or_insert(*range);
        *span = PhysRange::new(span.start.min(range.start), span.end.max(range.end));
    }
    let mut nodes: Vec<Node> = by_id.into_iter().map(|(id, range)| Node { id, range }).collect();
    nodes.sort_by_key(|node| (node.range.start, node.range.end));
    let mut is_cut = false;
    let mut kept: Vec<Node> = Vec::new();
    for mut node in nodes {
        if let Some(last) = kept.last().filter(|last| node.range.start < last.range.end) {
            node.range.start = last.range.end;
            is_cut = true;
        }
        if !node.range.is_empty() {
            kept.push(node);
        }
    }
    (kept, is_cut)
}
