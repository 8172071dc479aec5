// SPDX-License-Identifier: MIT OR Apache-2.0
//! One page through a boot: who had it, what the tables granted, which aliases it had and which rule broke on
//! it, wherever one of these changed; and the chain of entries that maps it in the end.

use super::last_words::{direct_map, level_name};
use super::line;
use crate::owner::Owners;
use crate::report::conclusion::title;
use crate::report::{count, wrapped};
use crate::why::shown;
use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::build::{Built, End};
use pgtlab_core::entry::{Entry, EntryFlags, Grants};
use pgtlab_core::event::{Consumer, Event, Noted};
use pgtlab_core::follow::{Glimpse, Step};
use pgtlab_core::geometry::{Geometry, KERNEL_MAP, KERNEL_MAP_BYTES, Level};
use pgtlab_core::layout::{Backend, Layout, Machine};
use pgtlab_core::permission::size_name;
use pgtlab_core::ptdump::BASE;
use pgtlab_core::rules::Finding;
use pgtlab_core::strategy::TableSpace;
use std::fmt::Write;

/// What happened to the page. `built` must have followed it, with its events and rules.
#[must_use]
pub fn page(layout: &Layout, built: &Built, page: Pfn) -> String {
    let owner = Owners::new(layout, None).at(layout.geometry.addr(page)).to_string();
    let mut follower =
        Follower { layout, built, page, owner, told: String::new(), n_fixmap: 0, has_fixmap: [false; 2] };
    let mut out = follower.heading();
    follower.events(&mut out);
    follower.chain(&mut out);
    follower.aliases(&mut out);
    let first = built.findings_on_page.first();
    let text = match first {
        Some(finding) => format!(
            "the rule that broke first on it: {} ({}stage {}): {}; expected {}",
            title(finding.rule.name()),
            if 0 < finding.range { format!("call {}, ", finding.range) } else { String::new() },
            finding.stage.name(),
            finding.got,
            finding.expected
        ),
        None => "no rule is broken on it".to_owned(),
    };
    let _ = writeln!(out, "{}", wrapped(&text, 0, 2));
    out
}

struct Follower<'b> {
    layout: &'b Layout,
    built: &'b Built,
    page: Pfn,
    owner: String,
    /// What was said last of owner and permission.
    told: String,
    n_fixmap: usize,
    /// Whether a read-only, and a writable slot of the fixmap were told.
    has_fixmap: [bool; 2],
}

impl Follower<'_> {
    fn heading(&self) -> String {
        let geometry = &self.layout.geometry;
        let mut text = format!(
            "page {:x}: physical {:x}, direct map {:016x}",
            self.page,
            geometry.addr(self.page),
            direct_map(geometry, self.page)
        );
        let one = PfnRange::new(self.page, self.page.saturating_add(1));
        if self.layout.backend == Backend::Xen {
            match self.layout.p2m.runs(one).next().map(|run| run.machine) {
                Some(Machine::Frame(mfn)) => {
                    let _ = write!(text, ", machine frame {mfn:x}");
                }
                Some(Machine::Identity(mfn)) => {
                    let _ = write!(text, ", machine frame {mfn:x} (1:1)");
                }
                Some(Machine::Invalid) | None => text += ", no machine frame",
            }
        }
        let node = self.layout.nodes.iter().find(|node| node.range.contains(geometry.addr(self.page)));
        if let Some(node) = node {
            let _ = write!(text, ", node {}", node.id);
        }
        wrapped(&text, 0, 2) + "\n"
    }

    fn events(&mut self, out: &mut String) {
        let built = self.built;
        let mut seen = built.seen.iter().peekable();
        let mut now = seen.next();
        line(out, ' ', "boot", "as the boot code left it");
        self.state(out, now);
        for (at, noted) in (1u64..).zip(&built.events) {
            let is_taken = matches!(noted.event, Event::Taken { page, .. } if page == self.page);
            if !is_taken {
                self.findings(out, at - 1);
            }
            let before = now;
            if let Some(glimpse) = seen.next_if(|glimpse| glimpse.n_events <= at) {
                now = Some(glimpse);
            }
            let what = self.happened(noted);
            let what = what.or_else(|| is_told(before, now).then(|| noted.event.to_string()));
            if let Some(what) = what {
                let when =
                    if 0 < noted.range { format!("call {}", noted.range) } else { noted.stage.name().to_owned() };
                line(out, ' ', &when, &what);
            }
            self.state(out, now);
            if is_taken {
                self.findings(out, at - 1);
            }
        }
        self.findings(out, built.events.len() as u64);
        if 1 < self.n_fixmap {
            line(out, ' ', "", &format!("{} of the fixmap mapped it in all", count(self.n_fixmap, "slot", "slots")));
        }
    }

    /// Owner and permission, if they are not what was told last.
    fn state(&mut self, out: &mut String, now: Option<&Glimpse>) {
        let Some(glimpse) = now else { return };
        let is_reserved = if glimpse.is_reserved { "reserved" } else { "not reserved" };
        let state = format!("{}, {is_reserved}; direct map: {}", self.owner, self.permission(glimpse));
        if state != self.told {
            line(out, ' ', "", &format!("=> {state}"));
            self.told = state;
        }
    }

    fn findings(&self, out: &mut String, n_events: u64) {
        for Finding { rule, got, expected, .. } in
            self.built.findings_on_page.iter().filter(|finding| finding.n_events == n_events)
        {
            line(out, '!', &title(rule.name()), &format!("{got}; expected {expected}"));
        }
    }

    /// What an event did with the page, if it is about it.
    fn happened(&mut self, noted: &Noted) -> Option<String> {
        let page = self.page;
        let call = noted.range;
        let holds = |range| self.layout.geometry.touched_pages(range).contains(page);
        match &noted.event {
            Event::SpaceChosen(TableSpace::Buffer(buffer)) if buffer.contains(page) => {
                self.owner = format!("table space of call {call}");
                Some(format!("set aside in the buffer {}", shown(*buffer)))
            }
            Event::Taken { page: taken, level, .. } if *taken == page => {
                self.owner = format!("table of call {call} (L{}), not linked yet", level.get());
                Some(format!("handed out to become a table (L{})", level.get()))
            }
            Event::Attached { child, level, .. } if *child == page => {
                self.owner = format!("live table of call {call} (L{})", level.get());
                Some(noted.event.to_string())
            }
            Event::FixmapMapped { page: mapped, is_writable } if *mapped == page => {
                self.n_fixmap += 1;
                let is_first = !std::mem::replace(&mut self.has_fixmap[usize::from(*is_writable)], true);
                is_first.then(|| noted.event.to_string())
            }
            Event::LeavesWritten { table, slot, pages, flags, read_only } if pages.contains(page) => {
                let is_masked = read_only.is_some_and(|masked| masked.contains(page));
                let is_writable = flags.contains(EntryFlags::WRITABLE) && !is_masked;
                let how = if is_writable { "writable" } else { "read-only" };
                let at = slot + page.offset_from(pages.start);
                let at = if flags.contains(EntryFlags::LARGE) { String::new() } else { format!(" at slot {at}") };
                Some(format!("a leaf for it, {how}, written to table {table:x}{at}"))
            }
            Event::Protected { pages, is_writable, .. } if pages.contains(page) => {
                let to = if *is_writable { "writable" } else { "read-only" };
                Some(format!("{} made {to}", shown(*pages)))
            }
            Event::Reserved { range, name } if holds(*range) => {
                if !self.owner.contains("table of call") {
                    self.owner.clone_from(name);
                }
                Some(noted.event.to_string())
            }
            Event::Freed(range) if holds(*range) => {
                "free".clone_into(&mut self.owner);
                Some(noted.event.to_string())
            }
            Event::RangeDone { .. } if self.owner == format!("table space of call {call}") => {
                self.owner = format!("free (set aside by call {call} and not used)");
                Some("the call is done and did not use it".to_owned())
            }
            Event::AcpiMapped(mapped) if *mapped == page => Some(noted.event.to_string()),
            Event::Written { by, range, fault } if holds(*range) => {
                match by {
                    Consumer::Memtest => {}
                    Consumer::NodeData => "NODE_DATA".clone_into(&mut self.owner),
                    Consumer::RangeArray => "range array".clone_into(&mut self.owner),
                }
                Some(match fault {
                    Some(at) if *at == page => format!("{} writes to it: page fault", by.name()),
                    _ => noted.event.to_string(),
                })
            }
            Event::Died(text) => Some(format!("the boot dies: {text}")),
            _ => None,
        }
    }

    fn permission(&self, glimpse: &Glimpse) -> String {
        let mut text = match glimpse.leaf() {
            Some(leaf) => {
                let size = size_name(&self.layout.geometry, leaf.level);
                format!("{size} {}", words(glimpse.grants(), leaf.entry))
            }
            None => "not mapped".to_owned(),
        };
        for step in &glimpse.hidden {
            let _ = write!(
                text,
                "; {} in table {:x}, which no walk from the root reaches",
                words(step.entry.grants(), step.entry),
                step.table
            );
        }
        text
    }

    /// The last chain, as Xen prints a page-table walk.
    fn chain(&self, out: &mut String) {
        let Some(last) = self.built.seen.last() else { return };
        let _ = writeln!(out, "Pagetable walk from {:016x}, at the end:", direct_map(&self.layout.geometry, self.page));
        last.chain.iter().for_each(|step| write_step(out, &self.layout.geometry, step));
    }

    fn aliases(&self, out: &mut String) {
        let Some(last) = self.built.seen.last() else { return };
        for step in &last.hidden {
            let _ = writeln!(out, "not reached by that walk:");
            write_step(out, &self.layout.geometry, step);
        }
        let mut others = Vec::new();
        let address = self.layout.geometry.addr(self.page).get();
        let is_shared = self.layout.backend == Backend::Xen
            && self.layout.xen.is_some_and(|xen| address < xen.mapped_end.get())
            && address < KERNEL_MAP_BYTES;
        if is_shared {
            others.push(format!(
                "kernel mapping {:016x}, through the same level 1 table and so with the same permission",
                KERNEL_MAP.get() + address
            ));
        }
        if let Some(is_writable) = last.fixmap {
            others.push(format!("a slot of the fixmap, {}", if is_writable { "writable" } else { "read-only" }));
        }
        if others.is_empty() {
            let is_mapped = last.leaf().is_some() || !last.hidden.is_empty();
            others.push(if is_mapped { "none".to_owned() } else { "no mapping at all".to_owned() });
        }
        let died = if matches!(self.built.end, End::Died { .. }) { " when the boot died" } else { "" };
        let _ = writeln!(out, "{}", wrapped(&format!("other aliases{died}: {}", others.join("; ")), 0, 2));
    }
}

/// Whether a change is one to tell on its own: slots of the fixmap come and go.
fn is_told(before: Option<&Glimpse>, now: Option<&Glimpse>) -> bool {
    match (before, now) {
        (Some(before), Some(now)) => {
            (&before.chain, &before.hidden, before.is_reserved) != (&now.chain, &now.hidden, now.is_reserved)
        }
        _ => true,
    }
}

fn words(grants: Grants, entry: Entry) -> String {
    let flags = entry.flags();
    let mut words = vec![if grants.contains(Grants::WRITE) { "RW" } else { "RO" }];
    words.push(if grants.contains(Grants::EXECUTE) { "X" } else { "NX" });
    let shown = [(EntryFlags::GLOBAL, "G"), (EntryFlags::IO, "IO"), (EntryFlags::USER, "U")];
    words.extend(shown.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, word)| *word));
    words.join(" ")
}

/// ` L1[0x1fb] = ENTRY FRAME`, and what the kernel calls it.
fn write_step(out: &mut String, geometry: &Geometry, step: &Step) {
    let Step { level, table, slot, entry } = step;
    let is_root = *level == geometry.root_level();
    // The direct map does not begin at the root's first slot on a real machine.
    let first = if is_root && *geometry == Geometry::X86_64 {
        geometry.slot(Level::L4, Pfn::new(BASE.get() >> geometry.page_shift))
    } else {
        0
    };
    let _ = writeln!(
        out,
        " L{}[0x{:03x}] = {:016x} {:016x}  {} in table {table:x}",
        level.get(),
        slot + first,
        entry.bits(),
        entry.frame(),
        level_name(step)
    );
}
