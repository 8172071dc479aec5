// SPDX-License-Identifier: MIT OR Apache-2.0
//! The story of a boot in words: what was mapped before, each mapping call, what came after, and the last
//! words. Pages are frame numbers and ranges half open, both hexadecimal; a line with `!` is a broken rule,
//! told where it broke first.
//!
//! Calls are told in full where they have room on a screen. Where not, the call to blame and the one before
//! it are; the others have a line each, and many such lines in a row are added up.

use super::digest::{Change, Digest, change, merged};
use super::last_words::last_words;
use super::line;
use crate::report::conclusion::title;
use crate::report::{count, thousands, wrapped};
use crate::why::story::{Call, Story};
use crate::why::{page_of, pages as pages_text, shown};
use pgtlab_core::addr::{Pfn, PfnRange, PhysRange};
use pgtlab_core::build::{Built, End};
use pgtlab_core::event::{Consumer, Event, Noted};
use pgtlab_core::layout::{Backend, Layout};
use pgtlab_core::rules::{Finding, Rule};
use pgtlab_core::strategy::{Stage, TableSpace};
use std::fmt::Write;

/// So many lines about calls have room on a screen.
const MOST_LINES: usize = 30;
/// So many calls in a row have a line of their own; more are added up.
const MOST_ALONE: usize = 3;
/// So many ranges of a list are named.
const MOST_RANGES: usize = 2;

/// The story; empty where nothing was noted.
pub(super) fn boot(layout: &Layout, built: &Built) -> String {
    let teller = Teller { story: Story::new(layout, built), digests: digests(built) };
    let mut out = String::new();
    if built.events.is_empty() {
        return out;
    }
    teller.before(&mut out);
    teller.calls(&mut out);
    teller.after(&mut out);
    let words = last_words(&teller.story);
    if !words.is_empty() {
        out.push_str("what the machine prints\n");
        words.iter().for_each(|word| {
            let _ = writeln!(out, "  {word}");
        });
    }
    if built.findings.is_empty() && !matches!(built.end, End::StrategyFailed(_)) {
        out.push_str("no rule is broken\n");
    }
    out
}

fn digests(built: &Built) -> Vec<Digest> {
    let calls = built.events.chunk_by(|one, next| one.range == next.range).filter(|events| 0 < events[0].range);
    calls.map(|events| Digest::new(events[0].range, events)).filter(|digest| digest.pages.is_some()).collect()
}

struct Teller<'b> {
    story: Story<'b>,
    digests: Vec<Digest>,
}

impl Teller<'_> {
    fn built(&self) -> &Built {
        self.story.built
    }

    fn pages_of(&self, range: PhysRange) -> PfnRange {
        self.story.layout.geometry.touched_pages(range)
    }

    /// What is mapped when the first call begins.
    fn before(&self, out: &mut String) {
        let layout = self.story.layout;
        let mapped = merged(&self.mapped_before());
        let by = match layout.backend {
            Backend::Native if mapped.is_empty() => "nothing, but a fault maps what is touched",
            Backend::Native => "the boot code",
            Backend::Xen if 0 < self.built().boot.identity_tables => "Xen's builder, and BRK tables",
            Backend::Xen => "Xen's builder",
        };
        let mapped = if mapped.is_empty() { by.to_owned() } else { format!("{} ({by})", ranges(&mapped)) };
        let text = format!("before: RAM up to {:x}; mapped: {mapped}", layout.max_pfn());
        let _ = writeln!(out, "{}", wrapped(&text, 0, 8));
    }

    fn mapped_before(&self) -> Vec<PfnRange> {
        let mappings = self.built().map_before.as_ref().map_or(&[][..], |map| map.mappings());
        mappings.iter().map(|mapping| mapping.pages).collect()
    }

    fn calls(&self, out: &mut String) {
        let mut all = String::new();
        self.digests.iter().for_each(|digest| self.call(&mut all, digest));
        if all.lines().count() <= MOST_LINES {
            out.push_str(&all);
            return;
        }
        let blamed = crate::why::call_to_blame(self.story.layout, self.built());
        let is_full =
            |digest: &Digest| blamed.is_some_and(|blamed| digest.number == blamed || digest.number + 1 == blamed);
        for run in self.digests.chunk_by(|one, next| !is_full(one) && !is_full(next)) {
            match run {
                [digest] if is_full(digest) => self.call(out, digest),
                few if few.len() <= MOST_ALONE => few.chunks(1).for_each(|one| self.brief(out, one)),
                many => self.brief(out, many),
            }
        }
    }

    /// One call in full.
    fn call(&self, out: &mut String, digest: &Digest) {
        let Some(pages) = digest.pages else { return };
        let sizes = digest.sizes(&self.story.layout.geometry);
        let _ = writeln!(out, "call {}: map {} in {sizes}", digest.number, shown(pages));
        self.space(out, digest, pages);
        changes(out, "set_pte", digest.changes.iter().filter(|change| change.at.is_some()));
        self.taken(out, digest);
        self.findings(out, |finding| {
            finding.range == digest.number && finding.stage != Stage::RangeDone && finding.rule != Rule::Progress
        });
        self.mapped(out, digest);
        for (range, name) in merged_names(&digest.reserved) {
            line(out, ' ', "reserved", &format!("{} ({name})", shown(self.pages_of(range))));
        }
        if !digest.freed.is_empty() {
            let freed: Vec<PfnRange> = digest.freed.iter().map(|range| self.pages_of(*range)).collect();
            line(out, ' ', "freed", &ranges(&merged(&freed)));
        }
        changes(out, "given back", digest.changes.iter().filter(|change| change.at.is_none()));
        self.spare(out, digest);
        self.findings(out, |finding| finding.range == digest.number && finding.stage == Stage::RangeDone);
        if let Some(last) = digest.memtest.last() {
            let died = self.story.fault().is_some_and(|fault| fault.by == Consumer::Memtest);
            let how = if died && !self.is_after(digest) { ": page fault in the last one" } else { "" };
            let n = count(digest.memtest.len(), "free block", "free blocks");
            line(out, ' ', "memtest", &format!("writes {n}, up to {}{how}", shown(self.pages_of(*last))));
        }
    }

    /// Whether there are calls after this one.
    fn is_after(&self, digest: &Digest) -> bool {
        self.digests.last().is_some_and(|last| last.number != digest.number)
    }

    fn space(&self, out: &mut String, digest: &Digest, range: PfnRange) {
        match &digest.space {
            Some(TableSpace::Buffer(buffer)) if buffer.is_empty() => line(out, ' ', "set aside", "nothing"),
            Some(TableSpace::Buffer(buffer)) => {
                let text = format!(
                    "buffer {}, {}{}",
                    shown(*buffer),
                    pages_text(buffer.len()),
                    self.place(digest.number, range, *buffer)
                );
                line(out, ' ', "set aside", &text);
            }
            Some(TableSpace::PageByPage { uses_pool, window }) => {
                let window = (!window.is_empty()).then(|| format!("free pages of {}", shown(*window)));
                let pool = uses_pool.then(|| "the BRK pool".to_owned());
                let places: Vec<String> = pool.into_iter().chain(window).collect();
                line(out, ' ', "tables from", &format!("{}, page by page", places.join(", then ")));
            }
            Some(TableSpace::Panic(text)) => line(out, ' ', "gave up", text),
            None => {}
        }
        self.findings(out, |finding| finding.range == digest.number && finding.rule == Rule::Progress);
    }

    /// Where a buffer lies: mapped already, or in what this call is about to map.
    fn place(&self, number: u64, range: PfnRange, buffer: PfnRange) -> String {
        let mut mapped = self.mapped_before();
        for earlier in self.digests.iter().filter(|earlier| earlier.number < number) {
            mapped.extend(&earlier.mapped);
        }
        let n_mapped: u64 = merged(&mapped).iter().map(|mapped| mapped.intersect(buffer).len()).sum();
        let own = if range.covers(buffer) { " of this range" } else { "" };
        match n_mapped {
            0 => format!("{own}, not mapped yet"),
            all if all == buffer.len() => ", mapped already".to_owned(),
            some => format!("{own}, {} of them mapped already", thousands(some)),
        }
    }

    fn taken(&self, out: &mut String, digest: &Digest) {
        if digest.taken.is_empty() {
            return;
        }
        let pages: Vec<PfnRange> =
            digest.taken.iter().map(|page| PfnRange::new(*page, page.saturating_add(1))).collect();
        let mut text = format!("{} in {}", count(pages.len(), "table", "tables"), ranges(&merged(&pages)));
        if digest.n_reserved_at_once == digest.taken.len() {
            text += ", reserved one by one";
        }
        if digest.uses_fixmap {
            text += ", filled through the fixmap";
        }
        if digest.n_linked < digest.taken.len() {
            let _ = write!(text, "; only {} of them linked", thousands(digest.n_linked as u64));
        }
        line(out, ' ', "taken", &text);
    }

    fn mapped(&self, out: &mut String, digest: &Digest) {
        if matches!(digest.space, Some(TableSpace::Panic(_))) {
            return;
        }
        let mut text = if digest.mapped.is_empty() { "nothing new".to_owned() } else { ranges(&digest.mapped) };
        if !digest.read_only.is_empty() {
            let _ = write!(text, "; of it read-only: {}", ranges(&digest.read_only));
        }
        if 0 < digest.n_cleared {
            let n = usize::try_from(digest.n_cleared).unwrap_or(usize::MAX);
            let _ = write!(text, "; {} zeroed", count(n, "entry", "entries"));
        }
        if !digest.is_done && self.story.fault().is_none_or(|fault| fault.by != Consumer::Memtest) {
            text += "; not finished";
        }
        line(out, ' ', "mapped", &text);
    }

    /// What of the buffer was not used, and what became of it.
    fn spare(&self, out: &mut String, digest: &Digest) {
        let Some(call) = self.call_of(digest.number).filter(|_| digest.is_done) else { return };
        let Some(spare) = self.story.spare(call).filter(|spare| !spare.is_empty()) else { return };
        let broken = self.built().findings.iter().any(|finding| {
            finding.range == digest.number && finding.stage == Stage::RangeDone && finding.rule == Rule::Return
        });
        let fate = if broken { "" } else { ", ordinary free memory again" };
        line(out, ' ', "not used", &format!("{}, {}{fate}", shown(spare), pages_text(spare.len())));
    }

    fn call_of(&self, number: u64) -> Option<&Call> {
        self.story.calls.iter().find(|call| call.number == number)
    }

    /// Calls in a line.
    fn brief(&self, out: &mut String, run: &[Digest]) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return };
        let spans: Vec<PfnRange> = merged(&run.iter().filter_map(|digest| digest.pages).collect::<Vec<_>>());
        let n_tables: usize = run.iter().map(|digest| digest.taken.len()).sum();
        let name = if first.number == last.number {
            format!("call {}", first.number)
        } else {
            format!("calls {} to {}", first.number, last.number)
        };
        let n_at_once: usize = run.iter().map(|digest| digest.n_reserved_at_once).sum();
        let how = if 0 < n_tables && n_at_once == n_tables { ", reserved one by one" } else { "" };
        let mut text = format!("{name}: map {}, {}{how}", ranges(&spans), count(n_tables, "table", "tables"));
        let n_mended: u64 = run.iter().flat_map(|digest| &digest.changes).map(|change| change.n_changed).sum();
        if 0 < n_mended {
            let _ = write!(text, ", {} made writable", pages_text(n_mended));
        }
        let _ = writeln!(out, "{}", wrapped(&text, 0, 4));
        for rule in Rule::ALL {
            let in_run = |finding: &&Finding| {
                finding.rule == rule && first.number <= finding.range && finding.range <= last.number
            };
            let broken: Vec<&Finding> = self.built().findings.iter().filter(in_run).collect();
            let Some(one) = broken.first() else { continue };
            let also = match broken.len() {
                1 => String::new(),
                n => format!("; in {n} of these calls"),
            };
            self.finding(out, one, &also);
        }
    }

    /// Rules that broke, where they did.
    fn findings(&self, out: &mut String, is_meant: impl Fn(&Finding) -> bool) {
        for finding in self.built().findings.iter().filter(|finding| is_meant(finding)) {
            self.finding(out, finding, "");
        }
    }

    fn finding(&self, out: &mut String, finding: &Finding, also: &str) {
        let Finding { rule, page, n_pages, expected, got, .. } = finding;
        let more = if 1 < *n_pages { format!(" and {} more", thousands(n_pages - 1)) } else { String::new() };
        let text = match rule {
            Rule::Progress => format!("needs {expected}, has {got}{also}"),
            Rule::Reach => format!("{page:x}{more}: {got} when taken{also}"),
            Rule::Guard => match self.hidden_leaf(finding) {
                Some(how) => format!("{page:x}{more}: {how}{also}"),
                None => format!("{page:x}{more}: {got}; expected {expected}{also}"),
            },
            Rule::Claim | Rule::Return | Rule::Cover | Rule::Least => format!("{page:x}{more}: {got}{also}"),
        };
        line(out, '!', &title(rule.name()), &text);
    }

    /// How a page that is handed out comes to be mapped writable where no walk from the root finds it.
    fn hidden_leaf(&self, finding: &Finding) -> Option<String> {
        if finding.stage != Stage::Page {
            return None;
        }
        let taken_at = usize::try_from(finding.n_events).ok()?;
        let events = &self.built().events;
        let (table, leaves) = events.get(..taken_at)?.iter().rev().find_map(|noted| match &noted.event {
            Event::LeavesWritten { table, pages, .. } if pages.contains(finding.page) => Some((*table, *pages)),
            _ => None,
        })?;
        let mut below = table;
        while let Some(parent) = parent_of(&events[..taken_at], below) {
            below = parent;
        }
        let under = if below == table { String::new() } else { format!(", below {below:x}") };
        let later = match &self.built().end {
            End::Died { text, .. } if page_of(text) == Some(finding.page) => {
                let steps = events.len().saturating_sub(taken_at + 1);
                format!("; {} later, at the pin, Xen refuses", count(steps, "step", "steps"))
            }
            _ => String::new(),
        };
        Some(format!(
            "handed out, but mapped writable a moment ago (leaves {} in table {table:x}{under}). No live table links \
             {below:x} yet: a walk from the root does not find that leaf, so nobody can make it read-only{later}",
            shown(leaves)
        ))
    }

    /// What came after the build.
    fn after(&self, out: &mut String) {
        let events = &self.built().events;
        let from = events.iter().rposition(|noted| 0 < noted.range).map_or(events.len(), |last| last + 1);
        let later = &events[from..];
        let mut told = String::new();
        let mut has_set = false;
        for (at, noted) in later.iter().enumerate() {
            self.event_after(&mut told, noted, &later[at + 1..], &mut has_set);
        }
        self.findings(&mut told, |finding| finding.range == 0);
        if !told.is_empty() {
            out.push_str("after the last call\n");
            out.push_str(&told);
        }
    }

    fn event_after(&self, out: &mut String, noted: &Noted, later: &[Noted], has_set: &mut bool) {
        match &noted.event {
            Event::Protected { pages, is_writable, n_changed } => {
                if let Some(change) = change(*pages, *is_writable, *n_changed, later) {
                    let label = if change.at.is_some() { "set_pte" } else { noted.stage.name() };
                    *has_set |= change.at.is_some();
                    line(out, ' ', label, &change_text(&change));
                }
            }
            Event::AcpiMapped(page) => {
                if !*has_set {
                    let text = format!("for the ACPI table at {page:x} (early_ioremap): nothing is done at it");
                    line(out, ' ', "set_pte", &text);
                }
                *has_set = true;
            }
            Event::Written { by, range, fault } => {
                if !*has_set {
                    self.no_set_pte(out);
                    *has_set = true;
                }
                self.written(out, *by, *range, *fault);
            }
            Event::Reserved { range, name } => {
                line(out, ' ', "reserved", &format!("{} ({name})", shown(self.pages_of(*range))));
            }
            Event::Freed(range) => line(out, ' ', "freed", &shown(self.pages_of(*range))),
            _ => {}
        }
    }

    /// What did not happen: a strategy that acts when entries are set was not asked again.
    fn no_set_pte(&self, out: &mut String) {
        let acts = self.story.layout.backend == Backend::Xen && !self.built().declined.contains(&Stage::Write);
        let (true, Some(last)) = (acts, self.story.calls.last()) else { return };
        let left = self.story.unused_read_only(last);
        let Some(left) = left else { return };
        let text = format!(
            "none comes after call {}'s reserve. The strategy acts at the next one, so {} stays read-only",
            last.number,
            shown(left)
        );
        line(out, ' ', "set_pte", &text);
    }

    fn written(&self, out: &mut String, by: Consumer, range: PhysRange, fault: Option<Pfn>) {
        let (label, what) = match by {
            Consumer::Memtest => ("memtest", "writes"),
            Consumer::NodeData => ("NODE_DATA", "is put at"),
            Consumer::RangeArray => ("range array", "is put at"),
        };
        let pages = self.pages_of(range);
        let mut text = format!("{what} {}", shown(pages));
        if let Some(call) = self.story.promise_of(pages.start).filter(|_| !self.story.is_taken(pages.start)) {
            let _ = write!(text, ", set aside by call {} and not used", call.number);
        }
        match fault {
            Some(page) => {
                let is_mapped = self.built().fault.last().is_some_and(|step| step.entry.is_present());
                let how = if is_mapped { "read-only" } else { "not mapped" };
                let _ = write!(text, "; the write to {page:x} faults: {how}");
            }
            None => text += ", and written",
        }
        line(out, ' ', label, &text);
    }
}

/// The first changes of permission, and how many more there are.
fn changes<'d>(out: &mut String, label: &str, all: impl Iterator<Item = &'d Change> + Clone) {
    all.clone().take(MOST_RANGES).for_each(|change| line(out, ' ', label, &change_text(change)));
    let rest = all.skip(MOST_RANGES);
    let n_pages: u64 = rest.clone().map(|change| change.n_changed).sum();
    if 0 < n_pages {
        let n = count(rest.count(), "more such change", "more such changes");
        line(out, ' ', "", &format!("and {n}, {}", pages_text(n_pages)));
    }
}

fn change_text(change: &Change) -> String {
    let Change { pages, is_writable, n_changed, at } = change;
    let n =
        if *n_changed == pages.len() { pages_text(*n_changed) } else { format!("{} of them", thousands(*n_changed)) };
    let to = if *is_writable { "writable" } else { "read-only" };
    let made = format!("{} made {to}, {n}", shown(*pages));
    match at {
        Some(Event::AcpiMapped(page)) => format!("for the ACPI table at {page:x} (early_ioremap): before it, {made}"),
        Some(Event::FixmapMapped { page, .. }) => format!("for the fixmap slot of {page:x}: before it, {made}"),
        Some(Event::LeavesWritten { pages, .. }) => format!("for {}: before it, {made}", shown(*pages)),
        _ => made,
    }
}

/// The table that links a table, by the events.
fn parent_of(events: &[Noted], table: Pfn) -> Option<Pfn> {
    events.iter().rev().find_map(|noted| match noted.event {
        Event::Attached { parent, child, .. } if child == table => Some(parent),
        _ => None,
    })
}

fn merged_names(reserved: &[(PhysRange, String)]) -> Vec<(PhysRange, &str)> {
    reserved.iter().take(MOST_RANGES).map(|(range, name)| (*range, name.as_str())).collect()
}

/// The first of the ranges, and how many more there are.
fn ranges(ranges: &[PfnRange]) -> String {
    let named: Vec<String> = ranges.iter().take(MOST_RANGES).map(|range| shown(*range)).collect();
    match ranges.len().saturating_sub(MOST_RANGES) {
        0 => named.join(" and "),
        n => format!("{} and {n} more ranges up to {:x}", named.join(", "), ranges[ranges.len() - 1].end),
    }
}
