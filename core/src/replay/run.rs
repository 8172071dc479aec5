// SPDX-License-Identifier: MIT OR Apache-2.0
//! One run: a log's machine, built as the kernels of an era build it.

use super::ReplayError;
use super::compare::{Row, rows};
use super::era::{Builder, Era, NodeRule};
use super::evidence::Evidence;
use super::line::{Kind, Line};
use super::machine::{Assumption, Ground, Twist};
use super::strategy::{Fits, OfEra};
use crate::addr::{PhysAddr, PhysRange};
use crate::bootlog::BootLog;
use crate::build::{self, Built, Death, End, Record, Watch};
use crate::event::Event;
use crate::layout::{Layout, Node};
use crate::memblock::Memblock;
use crate::ptdump::BASE;

/// What a replay is asked about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'l> {
    pub(super) log: &'l BootLog,
    pub(super) evidence: &'l Evidence,
    /// The lines to be predicted.
    pub(super) lines: &'l [(usize, Line)],
}

/// What came of a run.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) is_random: bool,
    pub(super) layout: Layout,
    pub(super) assumed: Vec<Assumption>,
    pub(super) rows: Vec<Row>,
    pub(super) unpredicted: Vec<(usize, Line)>,
    pub(super) death: Option<String>,
}

impl Outcome {
    pub(super) fn n_differing(&self) -> usize {
        self.rows.iter().filter(|row| !row.is_equal()).count()
    }
}

impl Asked<'_> {
    /// # Errors
    /// If no machine can be made of the log.
    pub(super) fn run(&self, era: &Era, twist: Twist) -> Result<Outcome, ReplayError> {
        let ground = Ground::new(self.log, self.evidence, self.lines, era, twist)?;
        let layout = &ground.layout;
        let boot = |events| {
            let brk = layout.geometry.pfn_down(layout.brk);
            let mut strategy = OfEra::new(era, brk, ground.is_random, twist.has_root_border);
            let watch = Watch { map: true, events, ..Watch::default() };
            let built = build::boot(layout, &mut strategy, watch).map_err(ReplayError::Conflict)?;
            Ok((strategy, built))
        };
        let (mut strategy, mut built) = boot(false)?;
        if matches!(built.end, End::Died { death: Death::Crash, .. }) {
            // Once more, to see which write it was; all events of a boot that goes well are not worth their room.
            (strategy, built) = boot(true)?;
        }
        let mut model = strategy.lines;
        let death = match &built.end {
            End::Completed => None,
            End::Died { text, .. } => Some(text.clone()),
            End::StrategyFailed(fault) => Some(fault.to_string()),
        };
        // Logs often end before what is printed late.
        let n_set_rw = |kinds: &mut dyn Iterator<Item = Kind>| kinds.filter(|kind| *kind == Kind::SetRw).count();
        let n_printed = n_set_rw(&mut self.lines.iter().map(|(_, line)| line.kind()));
        if n_set_rw(&mut model.iter().map(Line::kind)) < n_printed {
            model.extend(strategy.late);
        }
        model.extend(node_data(era, layout, &built));
        model.extend(fault(layout, &built));
        let is_predicted = |line: &Line| {
            let prints = &era.prints;
            match line.kind() {
                Kind::Call => prints.calls,
                Kind::Piece => prints.pieces,
                Kind::Tables => prints.tables,
                Kind::Pool => prints.pool,
                // Where the model's boot does not die there is no fault that it predicts.
                Kind::Fault => model.iter().any(|line| line.kind() == Kind::Fault),
                Kind::Reserved => matches!(era.builder, Builder::Buffered(_)),
                Kind::SetRw | Kind::NodeData => true,
            }
        };
        let (lines, unpredicted): (Vec<_>, Vec<_>) = self.lines.iter().partition(|(_, line)| is_predicted(line));
        let rows = rows(&lines, &model, ground.is_excerpt);
        Ok(Outcome {
            is_random: ground.is_random,
            assumed: ground.assumed,
            layout: ground.layout,
            rows,
            unpredicted,
            death,
        })
    }
}

/// The address of the write that the boot died of.
fn fault(layout: &Layout, built: &Built) -> Option<Line> {
    let End::Died { .. } = built.end else { return None };
    built.events.iter().rev().find_map(|noted| match &noted.event {
        Event::Written { fault: Some(page), .. } => {
            Some(Line::Fault(BASE.saturating_add(layout.geometry.addr(*page).get())))
        }
        _ => None,
    })
}

/// Where the data of each node is put after the build.
fn node_data(era: &Era, layout: &Layout, built: &Built) -> Vec<Line> {
    if built.map.is_none() {
        return Vec::new();
    }
    if layout.switches.numa {
        let placed = |record: &Record| match record {
            Record::NodeData { range, .. } => Some(Line::NodeData(*range)),
            _ => None,
        };
        return built.records.iter().filter_map(placed).collect();
    }
    let geometry = layout.geometry;
    let mut memblock = Memblock::new(geometry.page_bytes());
    memblock.fill(&layout.e820);
    built.reserved.iter().for_each(|range| memblock.reserve(*range));
    let all = Node { id: 0, range: PhysRange::new(PhysAddr::default(), geometry.addr(layout.max_pfn())) };
    let nodes = if layout.nodes.is_empty() { vec![all] } else { layout.nodes.clone() };
    if era.node_data == NodeRule::Highest && 1 < nodes.len() {
        // The table of distances between them comes first (`numa_alloc_distance`).
        let page = geometry.page_bytes();
        if let Some(base) = memblock.find_in_range(all.range, page, page) {
            memblock.reserve(PhysRange::new(base, base.saturating_add(page)));
        }
    }
    let mut lines = Vec::new();
    for node in nodes {
        let bytes = geometry.node_data_bytes;
        let base = if era.node_data == NodeRule::Lowest {
            let next = |at| memblock.next_free(at, geometry.page_bytes());
            Fits { window: node.range, bytes, shuns: None }.lowest(next)
        } else {
            memblock.find_in_range(node.range, bytes, geometry.node_data_align)
        };
        if let Some(base) = base {
            let range = PhysRange::new(base, base.saturating_add(bytes));
            memblock.reserve(range);
            lines.push(Line::NodeData(range));
        }
    }
    lines
}
