// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a log's lines probably differ from the predicted ones: whatever makes them equal when it is changed, else
//! what the first difference looks like.

use super::compare::Row;
use super::era::{Builder, ERAS, Era};
use super::line::Line;
use super::machine::Twist;
use super::run::{Asked, Outcome};
use crate::addr::PhysRange;
use crate::bootlog::Fact;

/// With more memory a run takes too long for some twenty of them.
const MAX_SEARCHED_BYTES: u64 = 2 << 40;

/// The likely causes, each a clause; none if nothing differs.
pub(super) fn likely(asked: &Asked<'_>, era: &Era, twist: Twist, outcome: &Outcome) -> Vec<String> {
    if outcome.n_differing() == 0 {
        return Vec::new();
    }
    if outcome.layout.e820.ram_bytes() <= MAX_SEARCHED_BYTES {
        let explained = by_a_twist(asked, era, twist, outcome).or_else(|| by_another_era(asked, era, twist, outcome));
        if let Some(cause) = explained {
            return vec![cause];
        }
    }
    let mut causes: Vec<String> = Vec::new();
    for row in outcome.rows.iter().filter(|row| !row.is_equal()) {
        let cause = of_row(row, outcome);
        if !causes.contains(&cause) {
            causes.push(cause);
        }
    }
    causes
}

fn is_equal_if(asked: &Asked<'_>, era: &Era, twist: Twist) -> bool {
    asked.run(era, twist).is_ok_and(|outcome| outcome.n_differing() == 0)
}

/// What the log does not say and the replay took to be otherwise.
fn by_a_twist(asked: &Asked<'_>, era: &Era, twist: Twist, outcome: &Outcome) -> Option<String> {
    let switches = outcome.layout.switches;
    let random = if outcome.is_random {
        "the direct map was not at a random address (no KASLR)"
    } else {
        "the direct map was at a random address (KASLR)"
    };
    let mut twists = Vec::new();
    if matches!(era.builder, Builder::Paged(_)) {
        twists.push((Twist { is_random: Some(!outcome.is_random), ..twist }, random));
    }
    // Where the log says which pages are used, there is nothing to try.
    let says_pages = |fact: &Fact| matches!(fact, Fact::Piece { .. } | Fact::GbPages);
    if !asked.log.facts().iter().any(|taken| says_pages(&taken.fact)) {
        let small = "all memory was mapped in 4K pages (no PSE, or debug_pagealloc)";
        twists.push((Twist { gbpages: Some(!switches.gbpages), ..twist }, gb_pages(!switches.gbpages)));
        twists.push((Twist { pse: Some(false), gbpages: Some(false), ..twist }, small));
        twists.push((Twist { pse: Some(true), ..twist }, "memory was mapped in 2M pages"));
    }
    let mut matching = twists.into_iter().filter(|(twist, _)| is_equal_if(asked, era, *twist));
    matching.next().map(|(_, words)| format!("every line is as predicted if {words}"))
}

const fn gb_pages(are_used: bool) -> &'static str {
    if are_used { "1G pages were used" } else { "1G pages were not used" }
}

/// Rules of other kernels, carried back or forward.
fn by_another_era(asked: &Asked<'_>, era: &Era, twist: Twist, outcome: &Outcome) -> Option<String> {
    // One that predicts fewer of the lines explains nothing.
    let explains = |other: &&Era| {
        let replayed = asked.run(other, twist);
        replayed.is_ok_and(|it| it.n_differing() == 0 && it.unpredicted.len() <= outcome.unpredicted.len())
    };
    let other = ERAS.iter().filter(|other| other.name != era.name).find(explains)?;
    Some(format!("every line is as predicted by the rules of {} (carried into this kernel?)", other.name))
}

fn of_row(row: &Row, outcome: &Outcome) -> String {
    match (row.log, row.model) {
        (Some((_, log)), Some(model)) => of_pair(&log, &model, row, outcome),
        (Some(_), None) => {
            "the kernel went on where the model was done: it had more memory, or smaller pages".to_owned()
        }
        (None, Some(Line::Fault(_))) => {
            "the log was cut before the kernel died, or the kernel lived: another one's rules".to_owned()
        }
        (None, _) => match &outcome.death {
            Some(_) => "the model's boot died before".to_owned(),
            None => "the log lacks lines, or the kernel came to an end before".to_owned(),
        },
    }
}

fn of_pair(log: &Line, model: &Line, row: &Row, outcome: &Outcome) -> String {
    let (Some(found), Some(expected)) = (log.range(), model.range()) else {
        return "the kernel died at another place than the model's boot".to_owned();
    };
    if found == expected && !row.is_in_place {
        return "the same, but between other mapping calls: tables were needed earlier or later".to_owned();
    }
    match log {
        Line::Call(_) | Line::Piece(..) => {
            "the kernel saw another memory map than the one printed, or what it reserved is not in the log".to_owned()
        }
        Line::Fault(_) => "the kernel died at another place than the model's boot".to_owned(),
        Line::Reserved(_) | Line::SetRw(_) if found.start == expected.start || found.end == expected.end => {
            "the kernel used another number of tables: parts of memory were mapped before, or in other pages".to_owned()
        }
        Line::Tables { .. } if found.len() != expected.len() => {
            let pages = |range: PhysRange| range.len() >> outcome.layout.geometry.page_shift;
            format!(
                "the kernel counted {} pages of tables where the model counts {}: other page sizes, or rules of \
                 another version",
                pages(found),
                pages(expected)
            )
        }
        _ => elsewhere(found, expected, outcome),
    }
}

/// The right size at another place.
fn elsewhere(found: PhysRange, expected: PhysRange, outcome: &Outcome) -> String {
    let layout = &outcome.layout;
    if layout.e820.ram().all(|ram| !ram.covers(found)) {
        return "the log's line lies outside the RAM of its map".to_owned();
    }
    if let Some(taken) = layout.reservations.iter().find(|reservation| reservation.range.overlaps(found)) {
        return format!("the log's line lies where {} is by the log", taken.name);
    }
    if expected.end <= found.start {
        return "it lies above where the model looks for a place: more was mapped by then, or other rules held"
            .to_owned();
    }
    let between = PhysRange::new(found.end.min(expected.end), found.end.max(expected.end));
    let n = between.len() >> layout.geometry.page_shift;
    let pages = if n == 1 { "page" } else { "pages" };
    if found.end < expected.end {
        format!("something that no line names was reserved in the {n} {pages} below {:x}", expected.end)
    } else {
        format!("the {n} {pages} below {:x} were free, though the model has them taken", found.end)
    }
}
