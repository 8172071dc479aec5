// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel did beside what a strategy does: a table for a terminal, or a record a line.

use super::compare::{Comparison, Difference};
use super::observed::Observed;
use crate::report::{count, json, written};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::time::Duration;

/// Differences of one machine that are shown.
const MOST_DIFFERENCES: usize = 12;

/// What became of one machine.
#[derive(Clone, Debug)]
pub enum Standing {
    /// The kernel's boot was compared.
    Judged(Box<(Observed, Comparison)>),
    /// We failed, or QEMU or the kernel did.
    Failed(String),
}

/// A machine and what became of it.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The machine's name.
    pub guest: String,
    /// What became of it.
    pub standing: Standing,
}

/// What is reported.
#[derive(Clone, Copy, Debug)]
pub struct Report<'j> {
    /// The strategy, with what was chosen for it.
    pub strategy: &'j str,
    /// The machines, in the order in which they were named.
    pub judgements: &'j [Judgement],
    /// How long it took; nothing for boots that were kept.
    pub elapsed: Option<Duration>,
}

#[derive(Serialize)]
struct Record<'j> {
    schema: u32,
    strategy: &'j str,
    guest: &'j str,
    backend: Option<&'static str>,
    judge: &'static str,
    finding: &'static str,
    text: Option<&'j str>,
    differences: &'j [Difference],
    boot_pages: Option<u64>,
    engines: BTreeMap<&'j str, &'j str>,
}

impl Report<'_> {
    fn judged(&self) -> impl Iterator<Item = (&Judgement, &Observed, &Comparison)> {
        self.judgements.iter().filter_map(|judgement| match &judgement.standing {
            Standing::Judged(judged) => Some((judgement, &judged.0, &judged.1)),
            Standing::Failed(_) => None,
        })
    }

    /// Whether the kernel did on every machine what the strategy does; none if one could not be booted, or none was.
    #[must_use]
    pub fn agrees(&self) -> Option<bool> {
        if self.judged().any(|(_, _, comparison)| !comparison.differences.is_empty()) {
            return Some(false);
        }
        let n_judged = self.judged().count();
        (0 < n_judged && n_judged == self.judgements.len()).then_some(true)
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        written(|out| self.write(out))
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let engines: BTreeSet<&(String, String)> =
            self.judged().flat_map(|(_, observed, _)| &observed.engines).collect();
        for (name, version) in engines {
            writeln!(out, "{name:<5} {version}")?;
        }
        let n = count(self.judgements.len(), "machine", "machines");
        match self.elapsed {
            Some(elapsed) => writeln!(out, "\n{} on {n}, {:.1} s\n", self.strategy, elapsed.as_secs_f64())?,
            None => writeln!(out, "\n{} on {n}, from boots that were kept\n", self.strategy)?,
        }
        self.write_rows(out)?;
        for (judgement, _, comparison) in self.judged().filter(|(_, _, it)| !it.differences.is_empty()) {
            writeln!(out, "\n{}:", judgement.guest)?;
            for difference in comparison.differences.iter().take(MOST_DIFFERENCES) {
                writeln!(out, "  {difference}")?;
            }
            if let Some(n) = comparison.differences.len().checked_sub(MOST_DIFFERENCES).filter(|n| 0 < *n) {
                writeln!(out, "  ... {n} more")?;
            }
        }
        self.write_end(out)
    }

    fn write_rows(&self, out: &mut String) -> fmt::Result {
        let width = self.judgements.iter().map(|it| it.guest.chars().count()).max().unwrap_or(0).max("machine".len());
        writeln!(out, "{:width$}  ranges  tables    BRK   pages of 4K    of 2M  of 1G  reserved", "machine")?;
        for judgement in self.judgements {
            match &judgement.standing {
                Standing::Failed(why) => writeln!(out, "{:width$}  failed: {why}", judgement.guest)?,
                Standing::Judged(judged) => {
                    let (observed, comparison) = &**judged;
                    let used = observed.pool.next.offset_from(observed.pool.start);
                    let [k4, m2, g1] = sizes(observed);
                    writeln!(
                        out,
                        "{:width$}  {:6}  {:6}  {used:>2}/{:2}  {k4:12}  {m2:7}  {g1:5}  {:8}  {}",
                        judgement.guest,
                        observed.ranges.len(),
                        observed.new_tables().len(),
                        observed.pool.pages().len(),
                        observed.reserved.len(),
                        match comparison.differences.len() {
                            0 => "agrees".to_owned(),
                            n => format!("differs ({n})"),
                        },
                    )?;
                }
            }
        }
        Ok(())
    }

    fn write_end(&self, out: &mut String) -> fmt::Result {
        let n_boot_pages: u64 = self.judged().map(|(_, _, comparison)| comparison.n_boot_pages).sum();
        if 0 < n_boot_pages {
            writeln!(
                out,
                "\nUnder Xen {n_boot_pages} pages of the kernel's image and of Xen's boot objects, which the build left\n\
                 alone, are mapped otherwise by the boot code than a layout's convention has it; they are not compared."
            )?;
        }
        let n_differ = self.judged().filter(|(_, _, it)| !it.differences.is_empty()).count();
        let n_failed = self.judgements.len() - self.judged().count();
        match (n_differ, n_failed) {
            (0, 0) => writeln!(
                out,
                "\nmemory, ranges in order, pool, every table's page and level, memblock and the direct map's sizes and\n\
                 permissions are those of the kernel on every machine"
            ),
            (0, n) => writeln!(out, "\n{} could not be booted", count(n, "machine", "machines")),
            (n, _) => writeln!(out, "\nthe kernel does otherwise on {}", count(n, "machine", "machines")),
        }
    }

    /// One record a line.
    ///
    /// # Errors
    /// A record cannot be written as JSON.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        json::lines(self.judgements.iter().map(|judgement| {
            let (mut record, finding) = match &judgement.standing {
                Standing::Failed(why) => (self.record(judgement), ("failed", Some(&**why))),
                Standing::Judged(judged) => {
                    let (observed, comparison) = &**judged;
                    let mut record = self.record(judgement);
                    record.backend = observed.layout.as_ref().map(|layout| layout.backend.name());
                    record.differences = &comparison.differences;
                    record.boot_pages = Some(comparison.n_boot_pages);
                    record.engines = observed.engines.iter().map(|(name, version)| (&**name, &**version)).collect();
                    let finding = if comparison.differences.is_empty() { "agrees" } else { "differs" };
                    (record, (finding, None))
                }
            };
            (record.finding, record.text) = finding;
            record
        }))
    }

    fn record<'j>(&'j self, judgement: &'j Judgement) -> Record<'j> {
        Record {
            schema: 1,
            strategy: self.strategy,
            guest: &judgement.guest,
            backend: None,
            judge: "linux",
            finding: "failed",
            text: None,
            differences: &[],
            boot_pages: None,
            engines: BTreeMap::new(),
        }
    }
}

/// How many leaves of each size there are.
fn sizes(observed: &Observed) -> [u64; 3] {
    [("4K", 1), ("2M", 512), ("1G", 512 * 512)].map(|(size, n)| {
        let runs = observed.after.runs.iter().filter(|run| run.text.starts_with(size));
        runs.map(|run| run.pages.len() / n).sum()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed() -> Judgement {
        Judgement { guest: "pc-1024".to_owned(), standing: Standing::Failed("QEMU ended".to_owned()) }
    }

    fn judged(differences: Vec<Difference>) -> Judgement {
        let comparison = Comparison { differences, n_boot_pages: 0 };
        let standing = Standing::Judged(Box::new((Observed::default(), comparison)));
        Judgement { guest: "pc-2048".to_owned(), standing }
    }

    fn difference() -> Difference {
        let (place, predicted, found) = ("2".to_owned(), "0-1".to_owned(), "0-2".to_owned());
        Difference { what: "range", place, predicted, found }
    }

    #[track_caller]
    fn check(judgements: &[Judgement], agrees: Option<bool>, end: &str) {
        let report = Report { strategy: "linux-6-1", judgements, elapsed: None };
        assert_eq!(report.agrees(), agrees);
        let text = report.text();
        assert!(text.ends_with(&format!("\n{end}\n")), "{text}");
        assert_eq!(report.json().map(|json| json.lines().count()).ok(), Some(judgements.len()));
    }

    #[test]
    fn a_machine_that_could_not_be_booted_leaves_no_verdict_but_a_difference_is_one() {
        check(&[failed()], None, "1 machine could not be booted");
        check(&[failed(), judged(Vec::new())], None, "1 machine could not be booted");
        check(&[failed(), judged(vec![difference()])], Some(false), "the kernel does otherwise on 1 machine");
        check(&[judged(Vec::new())], Some(true), "permissions are those of the kernel on every machine");
    }

    #[test]
    fn a_difference_is_shown_with_both_sides() {
        let judgements = [judged(vec![difference()])];
        let report = Report { strategy: "linux-6-1", judgements: &judgements, elapsed: None };
        assert!(report.text().contains("pc-2048:\n  range 2: predicted 0-1, the kernel 0-2\n"), "{}", report.text());
        let json = report.json().expect("JSON");
        let expected = r#""differences":[{"what":"range","place":"2","predicted":"0-1","found":"0-2"}]"#;
        assert!(json.contains(expected), "{json}");
    }
}
