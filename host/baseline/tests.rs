// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which differences from an earlier run are told, and how.

use super::*;
use crate::record::{FindingRecord, MeasuresRecord, Verdict};
use crate::report::json;

fn record(strategy: &str, layout: &str, verdict: Verdict, left_read_only: u64) -> CellRecord {
    let mut record = CellRecord::without_boot(strategy, layout, "xen", verdict, String::new());
    record.text = None;
    record.measures = Some(MeasuresRecord {
        table_pages: 10,
        spare_pages: 0,
        left_read_only,
        reserved_bytes: 40960,
        crashkernel_room_bytes: 1 << 29,
        wx_pages: 0,
        table_bytes: 40960,
        largest_request_bytes: 40960,
    });
    record
}

fn baseline(records: &[CellRecord]) -> Baseline {
    let text = json::render(records).expect("records are JSON");
    Baseline::parse(&text, "old.json".to_owned()).expect("what is written is read again")
}

#[track_caller]
fn told(before: &[CellRecord], after: &[CellRecord]) -> String {
    let comparison = baseline(before).compare(after, |_| true);
    let mut out = String::new();
    comparison.write_text(&mut out, false).expect("writing to a string never fails");
    out
}

#[test]
fn equal_runs_do_not_differ() {
    let records = [record("hook", "a", Verdict::Boots, 0)];
    let comparison = baseline(&records).compare(&records, |_| true);
    assert!(!comparison.is_different());
    assert_eq!(comparison.headline(), "against old.json: 0 cells changed, 0 added, 0 gone, 1 as before");
}

#[test]
fn changed_added_and_gone_cells_are_told_with_what_changed() {
    let before = [record("hook", "a", Verdict::Boots, 0), record("hook", "b", Verdict::Boots, 0)];
    let mut after = [record("hook", "a", Verdict::Faults, 2053), record("hook", "c", Verdict::Boots, 0)];
    after[0].stage = Some("numa".to_owned());
    after[0].text = Some("NODE_DATA writes pfn 1dfffb".to_owned());
    after[0].findings.push(FindingRecord {
        rule: "return".to_owned(),
        stage: "range done".to_owned(),
        place: "pfn 1df7fb and 2052 more, range 2".to_owned(),
        expected: "writable and free".to_owned(),
        got: "left read-only".to_owned(),
        n_pages: 2053,
    });
    insta::assert_snapshot!(told(&before, &after), @"
    against old.json: 1 cell changed, 1 added, 1 gone, 0 as before
    hook/a@xen: ok -> FAULT
        is:  numa: NODE_DATA writes pfn 1dfffb
        new:     return: pfn 1df7fb and 2052 more, range 2: left read-only; expected writable and free; stage range done
        left_read_only 0 -> 2,053
    hook/c@xen: new: ok
    hook/b@xen: gone: was ok
    ");
}

#[test]
fn cells_out_of_scope_are_not_missed() {
    let before = [record("hook", "a", Verdict::Boots, 0), record("revert", "a", Verdict::Boots, 0)];
    let comparison = baseline(&before).compare(&before[..1], |record| record.strategy == "hook");
    assert!(!comparison.is_different());
}

#[track_caller]
fn refused(text: &str) -> String {
    Baseline::parse(text, "old.json".to_owned()).expect_err("this is no baseline").to_string()
}

#[test]
fn a_malformed_baseline_is_refused_with_its_line() {
    let good = json::render(&[record("hook", "a", Verdict::Boots, 0)]).expect("records are JSON");
    insta::assert_snapshot!(refused(&format!("{good}not json\n")), @"old.json: line 2: expected ident at line 1 column 2; expected the output of `pgtlab compare --format json`");
    insta::assert_snapshot!(refused(&format!("{good}{good}")), @"old.json: line 2: a second record of hook/a@xen; the first is line 1");
    insta::assert_snapshot!(refused(&good.replace("\"schema\":1", "\"schema\":2")), @"old.json: line 1: schema 2; expected 1");
    insta::assert_snapshot!(refused("\n"), @"old.json holds no record; expected the output of `pgtlab compare --format json`");
}
