// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a comparison comes to, in a sentence, and the command to type next.

use super::{Report, count, listed, quoted};
use crate::matrix::{Contestant, Place};
use crate::record::{CellRecord, Verdict};
use crate::summary::{Line, Summary};

/// More strategies than this are counted and not named.
const MOST_NAMED: usize = 4;

/// The sentence.
#[must_use]
pub fn sentence(summary: &Summary) -> String {
    let winners = summary.winners();
    match (summary.lines.as_slice(), winners.as_slice()) {
        ([], _) => "No cell was run.".to_owned(),
        ([only], _) => alone(only, &summary.rules),
        (_, []) => nobody(summary),
        (lines, winners) => {
            let who = match winners {
                all if all.len() == lines.len() => format!("All {} strategies boot", lines.len()),
                few if few.len() <= MOST_NAMED => {
                    let names: Vec<&str> = few.iter().map(|line| &*line.strategy).collect();
                    format!("Only {} {}", listed(&names), if few.len() == 1 { "boots" } else { "boot" })
                }
                many => format!("{} of {} strategies boot", many.len(), lines.len()),
            };
            format!("{who} every machine here; {}.", rules(winners, &summary.rules))
        }
    }
}

fn alone(line: &Line, rules: &[String]) -> String {
    let run = line.native.run() + line.xen.run();
    let boots = line.native.boots + line.xen.boots;
    let failed = line.native.failed + line.xen.failed;
    let broken = if line.broken.is_empty() { "breaks no rule".to_owned() } else { broken(line, rules) };
    match (boots, run) {
        (_, 0) => format!("{} has no cell here that can be run.", line.strategy),
        (1, 1) => format!("{} boots this machine and {broken}.", line.strategy),
        (_, run) if run == failed => format!("There is no verdict on {} here.", line.strategy),
        (0, 1) => format!("{} does not boot this machine and {broken}.", line.strategy),
        (boots, run) if boots == run => format!("{} boots all {run} cells and {broken}.", line.strategy),
        _ => format!("{} boots {boots} of {run} cells and {broken}.", line.strategy),
    }
}

fn nobody(summary: &Summary) -> String {
    let best = summary.lines.last().filter(|line| 0 < line.native.boots + line.xen.boots);
    match best {
        Some(best) => {
            let boots = best.native.boots + best.xen.boots;
            let run = best.native.run() + best.xen.run();
            format!(
                "No strategy boots every machine here; {} comes nearest with {boots} of {run} cells.",
                best.strategy
            )
        }
        None => "No strategy boots any machine here.".to_owned(),
    }
}

/// What the strategies that boot everywhere leave to be desired.
fn rules(winners: &[&Line], rules: &[String]) -> String {
    let (clean, others): (Vec<&Line>, Vec<&Line>) = winners.iter().copied().partition(|line| line.broken.is_empty());
    let names: Vec<&str> = clean.iter().map(|line| &*line.strategy).collect();
    let clean = match names.as_slice() {
        [] => None,
        [_] if others.is_empty() => return "it breaks no rule".to_owned(),
        _ if others.is_empty() => return "they break no rule".to_owned(),
        few if few.len() <= MOST_NAMED => {
            Some(format!("{} {} no rule", listed(few), if few.len() == 1 { "breaks" } else { "break" }))
        }
        many => Some(format!("{} of them break no rule", many.len())),
    };
    // Those that break the same rules are named together.
    let mut told: Vec<(String, Vec<&str>)> = Vec::new();
    for line in others {
        let broken = broken(line, rules);
        match told.iter_mut().find(|(known, _)| *known == broken) {
            Some((_, names)) => names.push(&line.strategy),
            None => told.push((broken, vec![&line.strategy])),
        }
    }
    let told = told.into_iter().map(|(broken, names)| match names.as_slice() {
        [one] => format!("{one} {broken}"),
        many => format!("{} {}", listed(many), broken.replacen("breaks", "break", 1)),
    });
    told.chain(clean).collect::<Vec<_>>().join("; ")
}

/// The rules it breaks, in their order.
fn broken(line: &Line, rules: &[String]) -> String {
    let names: Vec<String> =
        rules.iter().filter(|rule| line.broken.contains_key(*rule)).map(|rule| title(rule)).collect();
    let listed = listed(&names.iter().map(String::as_str).collect::<Vec<_>>());
    match line.broken.values().next() {
        Some(n) if names.len() == 1 => format!("breaks only {listed}, in {}", count(*n, "cell", "cells")),
        _ => format!("breaks {listed}"),
    }
}

/// A rule's name as a name.
#[must_use]
pub fn title(rule: &str) -> String {
    let mut letters = rule.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// What to type to learn more: about the first cell that died, or what the last strategy left.
#[must_use]
pub fn next_command(report: &Report<'_>) -> Option<(&'static str, String)> {
    if let Some((strategy, row)) = report.summary.first_death() {
        return Some(("Why a cell died", command(report, "explain", strategy, &row.layout, &row.backend)));
    }
    let line = report.summary.lines.last()?;
    let is_boot = |record: &&CellRecord| record.strategy == line.strategy && record.verdict == Verdict::Boots;
    let record = report.records.iter().find(is_boot)?;
    let command = command(report, "dump", &record.strategy, &record.layout, &record.backend);
    Some(("What a cell's tables allow", command))
}

fn command(report: &Report<'_>, name: &str, strategy: &str, layout: &str, backend: &str) -> String {
    let contestant = report.contestants.iter().find(|contestant| contestant.name == strategy);
    let strategy = contestant.map_or_else(|| quoted(strategy), Contestant::command);
    let is_it = |place: &&Place| place.layout == layout && place.backend.name() == backend;
    let place = report.places.iter().find(is_it);
    let layout = place.map_or(layout, |place| &place.typed);
    let option = match place {
        Some(place) if place.is_first => String::new(),
        _ => format!(" --backend {backend}"),
    };
    format!("pgtlab {name} {strategy} {}{option}", quoted(layout))
}
