// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a boot ended as it did, in a sentence made from its events.
//!
//! The kernel's own last words name a page; what a reader wants to know is how that page came to be what
//! it is. [`why`] looks it up: who promised it, whether it was used, and what did not happen afterwards.
//! Pages and ranges are written as the trace does: pages as frame numbers, addresses in bytes, both
//! hexadecimal.

pub(crate) mod story;

use crate::report::conclusion::title;
use crate::report::{count, listed, thousands};
use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::build::{Built, Death, End};
use pgtlab_core::event::{Consumer, Event};
use pgtlab_core::layout::Layout;
use pgtlab_core::rules::{Finding, Rule};
use pgtlab_core::strategy::Stage;
use story::{Call, Story};

/// The sentence, without a full stop. `built` must have its events, and its rules checked.
#[must_use]
pub fn why(layout: &Layout, built: &Built) -> String {
    let story = Story::new(layout, built);
    match &built.end {
        End::Completed => boots(&story),
        End::StrategyFailed(fault) => format!("the strategy failed {fault}"),
        End::Died { death, text, .. } => match death {
            Death::Crash => faults(&story).unwrap_or_else(|| text.clone()),
            Death::Bug => refused(&story, text).unwrap_or_else(|| text.clone()),
            Death::Panic => panics(&story, text),
        },
    }
}

/// The call in which a boot went wrong: the one that is to blame for the page it died of, else the last.
/// `None` if it came through.
#[must_use]
pub fn call_to_blame(layout: &Layout, built: &Built) -> Option<u64> {
    let story = Story::new(layout, built);
    let End::Died { text, .. } = &built.end else { return None };
    let page = story.fault().map(|fault| fault.page).or_else(|| page_of(text));
    let replaced = page.and_then(|page| {
        let leaves = story.last_leaves(page, built.events.len())?;
        story.replaced(page, &leaves).map(|(call, _)| call)
    });
    let blamed = page.and_then(|page| story.promise_of(page).or_else(|| story.covering(page)));
    replaced.or_else(|| blamed.or_else(|| story.calls.last()).map(|call| call.number))
}

fn boots(story: &Story<'_>) -> String {
    let mut told = vec![story.mended_by_acpi().map_or_else(
        || "boots".to_owned(),
        |(page, pages)| {
            format!("boots: the ACPI table at {page:x} was mapped in time, and made {} writable again", shown(pages))
        },
    )];
    let left = story.built.measures.map_or(0, |measures| measures.left_read_only);
    if 0 < left {
        let mut places: Vec<String> = Vec::new();
        for call in &story.calls {
            places
                .extend(story.unused_read_only(call).map(|pages| format!("{} of call {}", shown(pages), call.number)));
        }
        let places = if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) };
        let pages = if left == 1 { "page" } else { "pages" };
        told.push(format!("but leaves {} {pages} read-only that are no tables{places}", thousands(left)));
    }
    let mut rules: Vec<String> = story.built.findings.iter().map(|finding| title(finding.rule.name())).collect();
    rules.dedup();
    if !rules.is_empty() {
        let listed = listed(&rules.iter().map(String::as_str).collect::<Vec<_>>());
        told.push(format!("{} breaks {listed}, which this boot does not meet", if 0 < left { "and" } else { "but" }));
    }
    told.join(", ").replace(", and ", " and ")
}

fn faults(story: &Story<'_>) -> Option<String> {
    let fault = story.fault()?;
    let who = match fault.by {
        Consumer::Memtest => "memtest",
        Consumer::NodeData => "NODE_DATA",
        Consumer::RangeArray => "find_range_array",
    };
    let wrote = format!("{who} wrote {:x}", story.layout.geometry.addr(fault.page));
    let is_mapped = story.map().is_some_and(|map| map.at(fault.page).is_some());
    let promise = story.promise_of(fault.page);
    Some(match promise {
        Some(call) if is_mapped && story.is_taken(fault.page) => {
            format!("{wrote}, a live page table of call {} that nobody reserved", call.number)
        }
        Some(call) if is_mapped => {
            let pages = call.buffer.map(shown).unwrap_or_default();
            let used = story.used(call).map_or_else(String::new, |used| format!(", used up to {:x}", used.end));
            let after = after_call(story, call, fault.at);
            format!(
                "{wrote}, left read-only: promised as table space of call {} ({pages}{used}), never used, {after}",
                call.number
            )
        }
        _ if is_mapped => format!("{wrote}, which is mapped read-only and was never table space"),
        _ => format!("{wrote}, which is not mapped: {}", unmapped(story, fault.page)),
    })
}

/// What did not happen, or did not help, between a call and the write that died.
fn after_call(story: &Story<'_>, call: &Call, until: usize) -> String {
    let number = call.number;
    if story.built.declined.contains(&Stage::Write) {
        return "and nothing made it writable again".to_owned();
    }
    // The strategy acts when entries are written, so that is what would have helped.
    let from = call.done_at.unwrap_or(until);
    if story.built.events[from..until].iter().any(|noted| sets_entry(&noted.event)) {
        format!("and no set_pte after call {number}'s reserve made it writable again")
    } else {
        format!("and no set_pte came after call {number}'s reserve")
    }
}

/// Whether it is a `set_pte` at which a strategy may act.
pub(crate) const fn sets_entry(event: &Event) -> bool {
    matches!(event, Event::LeavesWritten { .. } | Event::FixmapMapped { .. } | Event::AcpiMapped(_))
}

fn unmapped(story: &Story<'_>, page: Pfn) -> String {
    let written = story.last_leaves(page, story.built.events.len());
    match (written, story.covering(page)) {
        (Some(leaves), _) => match story.replaced(page, &leaves) {
            Some((call, table)) => format!(
                "call {} mapped it in a large leaf, in whose place call {call} put table {table:x}, which leaves it out",
                leaves.call
            ),
            None => format!("call {} mapped it, and a later step took that away", leaves.call),
        },
        (None, Some(call)) => format!("call {} ({}) covers it and left it out", call.number, shown(call.pages)),
        (None, None) => "no call covers it".to_owned(),
    }
}

/// The page a message is about: `Bad type: pfn P wanted ..`, `memtest writes pfn P`.
pub(crate) fn page_of(text: &str) -> Option<Pfn> {
    let (_, rest) = text.split_once(" pfn ")?;
    let number = rest.split(|c: char| !c.is_ascii_hexdigit()).next()?;
    u64::from_str_radix(number, 16).ok().map(Pfn::new)
}

fn refused(story: &Story<'_>, text: &str) -> Option<String> {
    let page = page_of(text)?;
    let taken = story.taken(page);
    if text.contains("wanted writable") {
        let whose = match taken {
            Some((_, call)) => format!("a live page table, handed out in call {call}"),
            None => "a live page table of the boot's".to_owned(),
        };
        return Some(format!("Xen refused a writable mapping of {page:x}: it is {whose}"));
    }
    let (taken_at, taken_in) = taken?;
    let tried = format!("Xen refused to take {page:x} as a table, handed out in call {taken_in}");
    let Some(leaves) = story.writable_leaves(page) else {
        return Some(format!("{tried}: a writable mapping of it is left from the boot tables"));
    };
    let when = if leaves.at < taken_at { "before it was handed out" } else { "after it was handed out" };
    let (call, pages) = (leaves.call, shown(leaves.pages));
    Some(format!("{tried}: call {call} had mapped it writable (leaves {pages}) {when}, and nothing took that back"))
}

fn panics(story: &Story<'_>, text: &str) -> String {
    let Some(call) = story.calls.last() else { return format!("the kernel gave up: {text}") };
    let place = format!("call {} ({})", call.number, shown(call.pages));
    let is_here = |finding: &&Finding| finding.rule == Rule::Progress && finding.range == call.number;
    let lacks = match story.built.findings.iter().find(is_here) {
        Some(finding) => format!(": it needs {} and has {}", finding.expected, finding.got),
        None => String::new(),
    };
    let space = match call.buffer {
        Some(buffer) => format!("; its buffer {} has {}", shown(buffer), pages(buffer.len())),
        None => String::new(),
    };
    format!("{text} in {place}{lacks}{space}")
}

pub(crate) fn pages(n: u64) -> String {
    usize::try_from(n).map_or_else(|_| format!("{n} pages"), |n| count(n, "page", "pages"))
}

/// Pages as the sentence writes them: `1df0f3-1e0000`.
pub(crate) fn shown(pages: PfnRange) -> String {
    format!("{:x}-{:x}", pages.start, pages.end)
}

#[cfg(test)]
mod tests;
