// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every strategy leaves behind, under review: one small file a cell for the layouts that each show
//! something, one line a cell for all.
//!
//! Each cell is a test of its own (`cell::LAYOUT::STRATEGY@BACKEND`), so a change of one strategy shows as
//! its own cells and nothing else. `just review` opens the differences, `just bless` takes them over.

use insta::Settings;
use libtest_mimic::{Arguments, Failed, Trial};
use pgtlab::corpus::{self, Source};
use pgtlab::matrix::{self, Contestant, Place};
use pgtlab::overview;
use pgtlab::protocol::{Reply, Request, Want};
use pgtlab::record::{CellRecord, Verdict};
use pgtlab::report::{Report, text};
use pgtlab::spawn::{Limits, run_cell};
use pgtlab::summary::Summary;
use pgtlab::whatif::WhatIf;
use pgtlab_core::layout::Layout;
use pgtlab_core::plugin::Budget;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The layouts whose cells are kept in full, and what each shows. Folders of `snapshots/`.
const SHOWN: [(&str, &str); 24] = [
    ("01-native-6g", "an ordinary PC"),
    ("02-native-130g-4b239f", "the machine for whose crash kernel the tables were moved high"),
    ("04-native-nopse-8g", "4K pages natively: every leaf of the boot map is split"),
    ("05-xen-ec2-7680m", "the guest whose oops took the fix-up back"),
    ("06-xen-ec2-acpi", "the same with an ACPI mapping, which is all the fix-up needs"),
    ("07-xen-2g-extra", "a second buffer in memory that is mapped already"),
    ("08-xen-2g-noextra", "one range only"),
    ("09-xen-dom0-16g-holes", "a dom0 with holes mapped one to one"),
    ("12-xen-step-bug", "192 GiB in one block, 4K pages"),
    ("13-native-step-bug", "the same natively"),
    ("14-native-1g-hole-unaligned", "a hole whose ends are not aligned"),
    ("15-xen-memtest-3g", "memtest writes to the spare part at once"),
    ("17-native-2g-gb-lost", "a large page that must not be split"),
    ("18-native-256g-low1g-4k", "little low memory for many tables"),
    ("20-xen-2nodes-12g", "two nodes"),
    ("dom0-3.8+-h61m-8g-init_mem_mapping-regression", "a dom0 that died in 2013"),
    ("dom0-5.16-msi890fx-8g-mem2048M-remap-bug", "a dom0 cut by mem="),
    ("domU-2.6.27-4g-initrd-hole", "a guest whose kernel lies at 2 MiB: next to no low memory"),
    ("domU-3.2-2g", "a small guest"),
    ("nat-2.6.37-x220-4g", "a laptop with holes below 1 GiB"),
    ("nat-3.2-p8z68-32g-crashkernel", "a desktop with a crash kernel"),
    ("nat-4.19-8node-1t-ht-hole", "1 TiB on eight nodes"),
    ("vm-5.17-kvm-ram-from-2m-4g", "RAM that starts again at 2 MiB"),
    ("vm-6.12-kvm-921g", "a large guest"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots")
}

fn run(request: &Request) -> Reply {
    let reply = run_cell(request, &Limits::default()).expect("strategies of the tree load");
    let layout = Layout::parse(&request.layout, "layout").expect("the corpus is sound");
    let n_steps = Budget::steps_of(&layout);
    // Room for a strategy that asks much more than these do.
    assert!(
        reply.n_steps < n_steps / 4,
        "{} on {}: {} of {n_steps} steps",
        request.strategy,
        layout.name,
        reply.n_steps
    );
    reply
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let contestants = matrix::in_tree().expect("the strategies of the tree were built");
    let sources = corpus::select(&[]).expect("the corpus is sound");
    let places = matrix::places(&sources, None, &WhatIf::default());
    let folders: Vec<(String, &Place)> = sources.iter().flat_map(|source| folder_places(source, &places)).collect();

    let mut trials = Vec::new();
    for (folder, place) in &folders {
        let Ok(layout) = &place.text else { continue };
        if !SHOWN.iter().any(|(shown, _)| shown == folder) {
            continue;
        }
        for contestant in &contestants {
            let name = format!("{}@{}", contestant.name, place.backend.name());
            let (contestant, folder, layout) = (contestant.clone(), folder.clone(), layout.clone());
            let trial = format!("cell::{folder}::{name}");
            trials.push(Trial::test(trial, move || check_cell(&contestant, &folder, &name, layout)));
        }
    }
    for contestant in &contestants {
        let (contestant, places) = (contestant.clone(), places.clone());
        trials.push(Trial::test(format!("matrix::{}", contestant.name), move || check_matrix(&contestant, &places)));
    }
    let expected = expected_files(&contestants, &folders);
    trials.push(Trial::test("meta::no_snapshot_is_stale", move || check_stale(&expected)));
    let (all, all_places) = (contestants.clone(), places.clone());
    let shown: Vec<(String, String)> =
        SHOWN.iter().map(|(folder, what)| ((*folder).to_owned(), (*what).to_owned())).collect();
    let links: Vec<(String, String)> =
        folders.iter().map(|(folder, place)| (folder.clone(), place.layout.clone())).collect();
    trials.push(Trial::test("meta::the_overview_is_up_to_date", move || {
        check_generated(&root().join("README.md"), &overview::page(&records(&all, &all_places), &shown, &links))
    }));
    let (all, all_places) = (contestants.clone(), places.clone());
    trials.push(Trial::test("meta::the_rules_say_which_version_breaks_which", move || {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("core/src/rules/versions.md");
        check_generated(&path, &versions(&Summary::new(&records(&all, &all_places))))
    }));
    let n_32_bit = sources.iter().filter(|source| source.machine.is_32_bit()).count();
    trials
        .push(Trial::test("meta::the_readme_shows_the_result", move || check_readme(&contestants, &places, n_32_bit)));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The places of one source, under the folder its layout is kept in.
fn folder_places<'p>(source: &Source, places: &'p [Place]) -> Vec<(String, &'p Place)> {
    let name = source.machine.name();
    places.iter().filter(|place| place.layout == name).map(|place| (source.stem.clone(), place)).collect()
}

fn records(contestants: &[Contestant], places: &[Place]) -> Vec<CellRecord> {
    let jobs = std::thread::available_parallelism().map_or(2, Into::into);
    matrix::run(contestants, places, jobs, &run, &|| {}).expect("threads start")
}

fn settings(folder: &Path, description: String) -> Settings {
    let mut settings = Settings::clone_current();
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(description);
    settings
}

fn check_cell(contestant: &Contestant, folder: &str, name: &str, layout: String) -> Result<(), Failed> {
    let (plugin, strategy) = (contestant.plugin.clone(), contestant.name.clone());
    let request = Request { plugin, strategy, options: Vec::new(), layout, want: Want::Map };
    let reply = run(&request);
    let text = cell_text(&reply.record, &reply.text);
    let description = format!("{} on {folder}", name.replace('@', ", "));
    settings(&root().join(folder), description).bind(|| insta::assert_snapshot!(name, text));
    Ok(())
}

fn cell_text(record: &CellRecord, map: &str) -> String {
    let mut out = String::new();
    let mut line = |key: &str, value: &str| writeln!(out, "{key:<24} {value}").expect("a string takes all");
    line("verdict", verdict(record.verdict));
    if let (Some(stage), Some(text)) = (&record.stage, &record.text) {
        line(stage, text);
    }
    for finding in &record.findings {
        let what =
            format!("{}: {}; expected {}; stage {}", finding.place, finding.got, finding.expected, finding.stage);
        line(&format!("breaks {}", finding.rule), &what);
    }
    if let Some(measures) = &record.measures {
        line("table pages", &measures.table_pages.to_string());
        line("spare pages", &measures.spare_pages.to_string());
        line("left read-only", &measures.left_read_only.to_string());
        line("reserved bytes", &measures.reserved_bytes.to_string());
        line("crash kernel room, bytes", &measures.crashkernel_room_bytes.to_string());
        line("W+X pages", &measures.wx_pages.to_string());
        line("largest request, bytes", &measures.largest_request_bytes.to_string());
    }
    out + map
}

const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Boots => "boots",
        Verdict::Panics => "panics",
        Verdict::Refused => "refused",
        Verdict::Faults => "faults",
        Verdict::Crashed => "crashed",
        Verdict::Timeout => "timeout",
        Verdict::Skipped => "skipped",
        Verdict::Error => "error",
    }
}

fn check_matrix(contestant: &Contestant, places: &[Place]) -> Result<(), Failed> {
    let mut text = String::new();
    for record in records(std::slice::from_ref(contestant), places) {
        let cell = format!("{}@{}", record.layout, record.backend);
        write!(text, "{cell:<64} {:<8}", verdict(record.verdict)).expect("a string takes all");
        if let Some(measures) = &record.measures {
            let room = measures.crashkernel_room_bytes >> 20;
            let (tables, spare, left) = (measures.table_pages, measures.spare_pages, measures.left_read_only);
            write!(text, " tables {tables} spare {spare} left-ro {left} room {room}M").expect("a string takes all");
        }
        let mut rules: Vec<&str> = record.findings.iter().map(|finding| finding.rule.as_str()).collect();
        rules.dedup();
        if !rules.is_empty() {
            write!(text, " breaks {}", rules.join(",")).expect("a string takes all");
        }
        if let Some(why) = &record.text {
            write!(text, " | {why}").expect("a string takes all");
        }
        text.push('\n');
    }
    let description = format!("{} on all layouts", contestant.name);
    settings(&root().join("matrix"), description).bind(|| insta::assert_snapshot!(contestant.name.as_str(), text));
    Ok(())
}

fn expected_files(contestants: &[Contestant], folders: &[(String, &Place)]) -> BTreeSet<PathBuf> {
    let mut expected = BTreeSet::new();
    for contestant in contestants {
        expected.insert(Path::new("matrix").join(format!("{}.snap", contestant.name)));
        // Made by tests/prove.rs.
        expected.insert(Path::new("prove").join(format!("{}.snap", contestant.name)));
        for (folder, place) in folders {
            if place.text.is_ok() && SHOWN.iter().any(|(shown, _)| shown == folder) {
                let file = format!("{}@{}.snap", contestant.name, place.backend.name());
                expected.insert(Path::new(folder).join(file));
            }
        }
    }
    expected
}

fn check_stale(expected: &BTreeSet<PathBuf>) -> Result<(), Failed> {
    let mut stale = Vec::new();
    for folder in fs::read_dir(root())?.filter_map(Result::ok).filter(|entry| entry.path().is_dir()) {
        for file in fs::read_dir(folder.path())?.filter_map(Result::ok) {
            let path = Path::new(&folder.file_name()).join(file.file_name());
            if path.extension().is_some_and(|extension| extension == "snap") && !expected.contains(&path) {
                stale.push(path.display().to_string());
            }
        }
    }
    if stale.is_empty() { Ok(()) } else { Err(format!("no cell makes these snapshots: {}", stale.join(", ")).into()) }
}

/// A table of strategies and rules, for the rules' own page.
fn versions(summary: &Summary) -> String {
    let cells = summary.n_native + summary.n_xen;
    let mut page = format!("In how many of {cells} cells of the corpus each rule is broken:\n\n| strategy |");
    let mut line = |text: &str| page.push_str(text);
    summary.rules.iter().for_each(|rule| line(&format!(" {rule} |")));
    line("\n|---|");
    summary.rules.iter().for_each(|_| line("--:|"));
    for strategy in &summary.lines {
        line(&format!("\n| {} |", strategy.strategy));
        for rule in &summary.rules {
            line(&strategy.broken.get(rule).map_or_else(|| " - |".to_owned(), |n| format!(" {n} |")));
        }
    }
    page + "\n"
}

/// The first screen of the project's page is what `pgtlab compare` prints.
fn check_readme(contestants: &[Contestant], places: &[Place], n_32_bit: usize) -> Result<(), Failed> {
    let records = records(contestants, places);
    let report = Report {
        records: &records,
        summary: &Summary::new(&records),
        contestants,
        places,
        n_32_bit,
        comparison: None,
        judged: None,
        shows_all: false,
        elapsed: None,
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let page = fs::read_to_string(&path)?;
    let (before, rest) = page.split_once("kept true by a test -->\n").ok_or("the page has no place for the result")?;
    let (_, after) = rest.split_once("<!-- end of result -->").ok_or("the result on the page has no end")?;
    let shown = anstream::adapter::strip_str(&text::render(&report)).to_string();
    let expected = format!(
        "{before}kept true by a test -->\n```\n$ just compare\n{}\n```\n<!-- end of result -->{after}",
        shown.trim_end()
    );
    check_generated(&path, &expected)
}

/// Compares a generated file with what it should be, or writes it when snapshots are taken over.
fn check_generated(path: &Path, expected: &str) -> Result<(), Failed> {
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        fs::write(path, expected)?;
        return Ok(());
    }
    let got = fs::read_to_string(path).unwrap_or_default();
    if got == expected { Ok(()) } else { Err(format!("{} is not up to date: just bless", path.display()).into()) }
}
