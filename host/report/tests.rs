// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the reports look like, from records made up here.

use super::*;
use crate::baseline::Baseline;
use crate::judge::engine::Unavailable;
use crate::judged::{Judge, Opinion};
use crate::record::{FindingRecord, MeasuresRecord, Verdict};
use pgtlab_core::layout::Backend;
use std::path::PathBuf;

fn contestant(name: &str, short: &str) -> Contestant {
    let plugin = PathBuf::from(format!("lib{name}.so"));
    Contestant {
        name: name.to_owned(),
        short: short.to_owned(),
        typed: name.to_owned(),
        plugin,
        ..Contestant::default()
    }
}

fn record(strategy: &str, layout: &str, backend: Backend, verdict: Verdict) -> CellRecord {
    let text = match verdict {
        Verdict::Faults => "NODE_DATA writes pfn 1dfffb of [1dfffb000,1e0000000): direct map not writable",
        Verdict::Panics => "Cannot find space for the kernel page tables",
        Verdict::Refused => "BUG() in pin_pagetable_pfn (Bad type: pfn fff7f7 wanted as L1 table)",
        Verdict::Crashed => "killed by signal 11 at stage leaf",
        Verdict::Skipped => "no room for Xen's boot objects",
        Verdict::Boots | Verdict::Timeout | Verdict::Error => "",
    };
    let mut record = CellRecord::without_boot(strategy, layout, backend.name(), verdict, text.to_owned());
    record.text = record.text.filter(|text| !text.is_empty());
    if verdict == Verdict::Boots || verdict == Verdict::Faults {
        record.measures = Some(MeasuresRecord {
            table_pages: 3817,
            spare_pages: 2089,
            left_read_only: if verdict == Verdict::Faults { 2089 } else { 0 },
            reserved_bytes: 15_634_432,
            crashkernel_room_bytes: if strategy.starts_with("revert") { 442 << 20 } else { 834 << 20 },
            wx_pages: 17_000,
            table_bytes: 15_634_432,
            largest_request_bytes: 15_781_888,
        });
    }
    record
}

fn broken(mut record: CellRecord, rule: &str) -> CellRecord {
    record.findings.push(FindingRecord {
        rule: rule.to_owned(),
        stage: "page".to_owned(),
        place: "pfn ff7fb and 2016 more, range 1".to_owned(),
        expected: "mapped by live tables when taken".to_owned(),
        got: "not mapped".to_owned(),
        n_pages: 2017,
    });
    record
}

/// Three strategies on a few machines.
fn few() -> (Vec<Contestant>, Vec<CellRecord>) {
    use Backend::{Native, Xen};
    use Verdict::{Boots, Faults, Panics, Skipped};
    let contestants = vec![
        contestant("unfixed", "unfixed"),
        contestant("revert-high-placement", "revert"),
        contestant("semantic-builder", "semantic"),
    ];
    let mut records = Vec::new();
    let mut row = |layout: &str, backend, verdicts: [Verdict; 3]| {
        for (contestant, verdict) in contestants.iter().zip(verdicts) {
            let record = record(&contestant.name, layout, backend, verdict);
            let breaks_rules = contestant.name != "semantic-builder" && verdict != Skipped;
            records.push(if breaks_rules { broken(record, "claim") } else { record });
        }
    };
    row("05-xen-ec2-7680m", Xen, [Faults, Boots, Boots]);
    row("10-xen-512m", Xen, [Faults, Boots, Boots]);
    row("18-native-256g-low1g-4k", Native, [Boots, Panics, Boots]);
    row("dom0-3.8+-h61m-8g-init_mem_mapping-regression", Xen, [Faults, Boots, Boots]);
    row("nat-2.6.37-x220-4g", Native, [Boots, Boots, Boots]);
    row("nat-2.6.37-x220-4g", Xen, [Skipped, Skipped, Skipped]);
    records.sort_by(|a, b| crate::matrix::key(a).cmp(&crate::matrix::key(b)));
    (contestants, records)
}

/// A processor that agrees on all it was asked, a Xen that differs once, and a judge that is not there.
fn judged() -> Judged {
    let description = "KVM of Linux 6.12.9, kvm_intel with EPT; the processor walks these tables";
    let mut mmu = Judge::new("MMU/KVM".to_owned(), Ok(description.to_owned()));
    let mut xen = Judge::new("Xen".to_owned(), Ok("4.17.7, QEMU emulator version 7.2.22".to_owned()));
    let (contestants, records) = few();
    for record in &records {
        let place = (&*record.layout, &*record.backend);
        let opinion = match record.verdict {
            Verdict::Panics => Opinion::NotJudged("the boot died before its tables were finished".to_owned()),
            Verdict::Skipped => Opinion::NotJudged("no room for Xen's boot objects".to_owned()),
            _ => Opinion::Agrees,
        };
        mmu.say(&record.strategy, place, opinion.clone());
        if record.backend == "xen" {
            let differs = record.layout == "10-xen-512m" && record.strategy == contestants[1].name;
            let text = "pin 1f40 L1: predicted 0, Xen answers -22".to_owned();
            xen.say(&record.strategy, place, if differs { Opinion::Differs(text) } else { opinion });
        }
    }
    let missing =
        Unavailable { what: "QEMU", why: "no qemu-system-x86_64".to_owned(), hint: "`just engines` unpacks it" };
    Judged(vec![mmu, Judge::unavailable("MMU/TCG", &missing), xen])
}

fn rendered(
    contestants: &[Contestant],
    records: &[CellRecord],
    shows_all: bool,
    render: impl Fn(&Report<'_>) -> String,
) -> String {
    let report = Report {
        records,
        summary: &Summary::new(records),
        contestants,
        places: &[],
        n_32_bit: 1,
        comparison: None,
        judged: None,
        shows_all,
        elapsed: None,
    };
    let text = render(&report);
    assert!(text.lines().all(|line| !line.ends_with(' ')), "no line ends in blanks");
    anstream::adapter::strip_str(&text).to_string()
}

#[track_caller]
fn fits(text: &str) {
    // A command is not cut: it is there to be copied.
    let is_wide = |line: &&str| WIDTH < line.chars().count() && !line.starts_with("  pgtlab ");
    let wide: Vec<&str> = text.lines().filter(is_wide).collect();
    assert!(wide.is_empty(), "wider than {WIDTH} columns:\n{}", wide.join("\n"));
}

#[test]
fn a_person_sees_who_dies_where_and_why() {
    let (contestants, records) = few();
    let text = rendered(&contestants, &records, false, text::render);
    fits(&text);
    insta::assert_snapshot!(text, @"
    5 layouts, 3 strategies: 2 native and 3 Xen cells each
    1 cell is skipped: no room for Xen's boot objects
    1 machine with a 32-bit kernel, run as 64-bit

                                native          Xen most pages  most crash
    strategy               boots  dies  boots  dies    left RO   room lost
    unfixed                    2     0      0     3      2,089       0 MiB
    revert-high-placement      1     1      3     0          0     392 MiB
    semantic-builder           2     0      3     0          0       0 MiB

    rules broken, in cells  Reach  Guard  Claim Return  Cover Progress  Least
    unfixed                     -      -      5      -      -        -      -
    revert-high-placement       -      -      5      -      -        -      -
    semantic-builder            -      -      -      -      -        -      -

    where they differ                                     unfixed revert semantic
    05-xen-ec2-7680m                              Xen     FAULT   ok     ok
    10-xen-512m                                   Xen     FAULT   ok     ok
    dom0-3.8+-h61m-8g-init_mem_mapping-regression Xen     FAULT   ok     ok
    18-native-256g-low1g-4k                       native  ok      PANIC  ok

    FAULT   a write met a page that is read-only or not mapped: NODE_DATA (3)
    PANIC   the kernel gave up itself: Cannot find space for the kernel page tables
            (1)

    Only semantic-builder boots every machine here; it breaks no rule.
    Why a cell died: pgtlab explain unfixed 05-xen-ec2-7680m --backend xen
    ");
}

#[test]
fn one_strategy_on_one_machine_is_reported_too() {
    let (contestants, records) = few();
    let text = rendered(&contestants[..1], &records[..1], false, text::render);
    insta::assert_snapshot!(text, @"
    1 layout, 1 strategy: 1 Xen cell
    1 machine with a 32-bit kernel, run as 64-bit

                                native          Xen most pages  most crash
    strategy               boots  dies  boots  dies    left RO   room lost
    revert-high-placement      -     -      1     0          0           -

    rules broken, in cells  Reach  Guard  Claim Return  Cover Progress  Least
    revert-high-placement       -      -      1      -      -        -      -

    revert-high-placement boots this machine and breaks only Claim, in 1 cell.
    What a cell's tables allow:
      pgtlab dump revert-high-placement 05-xen-ec2-7680m --backend xen
    ");
}

#[test]
fn a_strategy_that_comes_to_no_end_has_no_verdict() {
    let contestants = [contestant("loops", "loops")];
    let records = ["a", "b"].map(|layout| record("loops", layout, Backend::Xen, Verdict::Timeout));
    let text = rendered(&contestants, &records, false, text::render);
    assert!(text.contains("There is no verdict on loops here."), "{text}");
    let records = [Verdict::Timeout, Verdict::Boots].map(|verdict| record("loops", "a", Backend::Xen, verdict));
    let text = rendered(&contestants, &records, false, text::render);
    assert!(text.contains("loops boots 1 of 2 cells and breaks no rule."), "{text}");
}

/// Thirteen strategies, no two alike, on thirty machines.
fn many() -> (Vec<Contestant>, Vec<CellRecord>) {
    let contestants: Vec<Contestant> =
        (0..13).map(|n| contestant(&format!("strategy-with-a-name-{n:02}"), &format!("strategy-{n:02}"))).collect();
    let mut records = Vec::new();
    for machine in 0..30 {
        let layout = format!("nat-6.{machine:02}-a-machine-with-a-rather-long-name-{}g", 1 << (machine % 7));
        for (n, contestant) in contestants.iter().enumerate() {
            let verdict = match (machine * 7 + n * 5) % 13 {
                0 if n < 12 => Verdict::Faults,
                1 if n < 12 => Verdict::Refused,
                2 if n == 4 => Verdict::Crashed,
                _ => Verdict::Boots,
            };
            records.push(record(&contestant.name, &layout, Backend::Xen, verdict));
        }
    }
    (contestants, records)
}

#[test]
fn thirteen_strategies_fit_80_columns() {
    let (contestants, records) = many();
    let text = rendered(&contestants, &records, false, text::render);
    fits(&text);
    insta::assert_snapshot!(text, @"
    30 layouts, 13 strategies: 30 Xen cells each
    1 machine with a 32-bit kernel, run as 64-bit

                                  native          Xen      no most pages  most crash
    strategy                 boots  dies  boots  dies verdict    left RO   room lost
    strategy-with-a-name-04      -     -     22     5       3      2,089       0 MiB
    strategy-with-a-name-00      -     -     24     6       0      2,089       0 MiB
    strategy-with-a-name-09      -     -     24     6       0      2,089       0 MiB
    strategy-with-a-name-01      -     -     25     5       0      2,089       0 MiB
    strategy-with-a-name-05      -     -     25     5       0      2,089       0 MiB
    strategy-with-a-name-08      -     -     25     5       0      2,089       0 MiB
    strategy-with-a-name-02      -     -     26     4       0      2,089       0 MiB
    strategy-with-a-name-03      -     -     26     4       0      2,089       0 MiB
    strategy-with-a-name-06      -     -     26     4       0      2,089       0 MiB
    strategy-with-a-name-07      -     -     26     4       0      2,089       0 MiB
    strategy-with-a-name-10      -     -     26     4       0      2,089       0 MiB
    strategy-with-a-name-11      -     -     26     4       0      2,089       0 MiB
    strategy-with-a-name-12      -     -     30     0       0          0       0 MiB

    where they differ       A      B      C      D      E      F      G      H
    strategy-with-a-name-04 PLUGIN ok     BUG    ok     ok     ok     ok     ok
    strategy-with-a-name-00 ok     FAULT  ok     BUG    ok     ok     ok     ok
    strategy-with-a-name-09 BUG    ok     FAULT  ok     ok     ok     ok     ok
    strategy-with-a-name-01 FAULT  ok     ok     ok     ok     BUG    ok     ok
    strategy-with-a-name-05 ok     ok     ok     FAULT  BUG    ok     ok     ok
    strategy-with-a-name-08 ok     BUG    ok     ok     ok     ok     ok     ok
    strategy-with-a-name-02 ok     ok     ok     ok     ok     ok     FAULT  ok
    strategy-with-a-name-03 ok     ok     ok     ok     ok     ok     ok     ok
    strategy-with-a-name-06 ok     ok     ok     ok     ok     FAULT  ok     BUG
    strategy-with-a-name-07 ok     ok     ok     ok     ok     ok     ok     ok
    strategy-with-a-name-10 ok     ok     ok     ok     FAULT  ok     BUG    ok
    strategy-with-a-name-11 ok     ok     ok     ok     ok     ok     ok     FAULT
    strategy-with-a-name-12 ok     ok     ok     ok     ok     ok     ok     ok

    A    3 Xen     nat-6.03-a-machine-with-a-rather-long-name-8g ..
    B    3 Xen     nat-6.00-a-machine-with-a-rather-long-name-1g ..
    C    3 Xen     nat-6.01-a-machine-with-a-rather-long-name-2g ..
    D    3 Xen     nat-6.02-a-machine-with-a-rather-long-name-4g ..
    E    2 Xen     nat-6.04-a-machine-with-a-rather-long-name-16g ..
    F    2 Xen     nat-6.05-a-machine-with-a-rather-long-name-32g ..
    G    2 Xen     nat-6.06-a-machine-with-a-rather-long-name-64g ..
    H    2 Xen     nat-6.07-a-machine-with-a-rather-long-name-1g ..
    ... 10 more cells of other kinds (--all lists every cell)

    FAULT   a write met a page that is read-only or not mapped: NODE_DATA (28)
    BUG     Xen refused a request, and the kernel stopped: BUG() in
            pin_pagetable_pfn (28)
    PLUGIN  the strategy itself failed; this is no verdict on its fix: killed by
            signal 11 at stage leaf (3)

    Only strategy-with-a-name-12 boots every machine here; it breaks no rule.
    Why a cell died:
      pgtlab explain strategy-with-a-name-09 nat-6.03-a-machine-with-a-rather-long-name-8g --backend xen
    ");
    fits(&rendered(&contestants, &records, true, text::render));
}

#[test]
fn all_rows_are_listed_when_asked_for_and_fourteen_otherwise() {
    let contestants = [contestant("unfixed", "unfixed"), contestant("reserve-hook", "hook")];
    let mut records = Vec::new();
    for machine in 0..40 {
        let layout = format!("machine-{machine:02}");
        for (contestant, verdict) in contestants.iter().zip([Verdict::Faults, Verdict::Boots]) {
            records.push(record(&contestant.name, &layout, Backend::Xen, verdict));
        }
    }
    let n_rows = |text: &str| text.lines().filter(|line| line.starts_with("machine-")).count();
    let short = rendered(&contestants, &records, false, text::render);
    assert_eq!(n_rows(&short), 3);
    assert!(short.contains("... 37 more like these\n(--all lists every cell)\n"), "{short}");
    assert_eq!(n_rows(&rendered(&contestants, &records, true, text::render)), 40);
}

#[test]
fn markdown_says_the_same_with_the_differences() {
    let (contestants, records) = few();
    let before: Vec<CellRecord> = records.iter().skip(1).cloned().collect();
    let text = json::render(&before).expect("records are JSON");
    let baseline = Baseline::parse(&text, "main.json".to_owned()).expect("what is written is read again");
    let comparison = baseline.compare(&records, |_| true);
    let text = rendered(&contestants, &records, false, |report| {
        let comparison = Some(&comparison);
        markdown::render(&Report { comparison, ..*report })
    });
    insta::assert_snapshot!(text, @r#"
    ## pgtlab: which fix boots on which machine

    **Only semantic-builder boots every machine here; it breaks no rule.**

    5 layouts, 3 strategies: 2 native and 3 Xen cells each.
    1 cell is skipped: no room for Xen's boot objects.
    1 machine with a 32-bit kernel, run as 64-bit.

    ### Differences

    against main.json: 0 cells changed, 1 added, 0 gone, 17 as before

    | cell | | what changed |
    |---|---|---|
    | revert-high-placement/05-xen-ec2-7680m@xen | new: ok |  |

    ### Strategies

    | strategy | native: boots | dies | Xen: boots | dies | no verdict | most left read-only | most room for a crash kernel lost |
    |---|--:|--:|--:|--:|--:|--:|--:|
    | unfixed | 2 | 0 | 0 | 3 | 0 | 2,089 pages | 0 MiB |
    | revert-high-placement | 1 | 1 | 3 | 0 | 0 | 0 pages | 392 MiB |
    | semantic-builder | 2 | 0 | 3 | 0 | 0 | 0 pages | 0 MiB |

    ### Rules broken, in cells

    | strategy | Reach | Guard | Claim | Return | Cover | Progress | Least |
    |---|--:|--:|--:|--:|--:|--:|--:|
    | unfixed | - | - | 5 | - | - | - | - |
    | revert-high-placement | - | - | 5 | - | - | - | - |
    | semantic-builder | - | - | - | - | - | - | - |

    ### Where not all boot

    | cells | layout | unfixed | revert | semantic |
    |--:|---|---|---|---|
    | 3 | 05-xen-ec2-7680m@xen<br>10-xen-512m@xen<br>dom0-3.8+-h61m-8g-init\_mem\_mapping-regression@xen | FAULT | ok | ok |
    | 1 | 18-native-256g-low1g-4k@native | ok | PANIC | ok |

    - `FAULT`: a write met a page that is read-only or not mapped: NODE\_DATA (3)
    - `PANIC`: the kernel gave up itself: Cannot find space for the kernel page tables (1)
    "#);
}

#[test]
fn judges_have_a_column_each_and_a_mark_behind_each_word() {
    let (contestants, records) = few();
    let judged = judged();
    let text = |report: &Report<'_>| text::render(&Report { judged: Some(&judged), ..*report });
    let text = rendered(&contestants, &records, false, text);
    fits(&text);
    let plain = rendered(&contestants, &records, false, text::render);
    let (above, _) = plain.split_once("where they differ").expect("they differ");
    let text = text.strip_prefix(above).expect("what stands above is the same without judges");
    insta::assert_snapshot!(text, @"
    where they differ                                     unfixed revert semantic
    05-xen-ec2-7680m                              Xen     FAULT+  ok+    ok+
    10-xen-512m                                   Xen     FAULT+  ok!    ok+
    dom0-3.8+-h61m-8g-init_mem_mapping-regression Xen     FAULT+  ok+    ok+
    18-native-256g-low1g-4k                       native  ok+     PANIC  ok+

    FAULT   a write met a page that is read-only or not mapped: NODE_DATA (3)
    PANIC   the kernel gave up itself: Cannot find space for the kernel page tables
            (1)
    + behind a word: every judge that was asked of the cell agrees; !: one differs

    judged, in cells                 MMU/KVM            MMU/TCG                Xen
    strategy              agrees differs not agrees differs not agrees differs not
    unfixed                    5       0   1      -       -   -      3       0   1
    revert-high-placement      4       0   2      -       -   -      2       1   1
    semantic-builder           5       0   1      -       -   -      3       0   1

    MMU/KVM: KVM of Linux 6.12.9, kvm_intel with EPT; the processor walks these
      tables
      not judged: no room for Xen's boot objects (3); the boot died before its
        tables were finished (1)
    MMU/TCG: not to be had here: no qemu-system-x86_64; `just engines` unpacks it
    Xen: 4.17.7, QEMU emulator version 7.2.22
      not judged: no room for Xen's boot objects (3)
      differs on revert-high-placement/10-xen-512m@xen: pin 1f40 L1: predicted 0,
        Xen answers -22

    Only semantic-builder boots every machine here; it breaks no rule.
    Why a cell died: pgtlab explain unfixed 05-xen-ec2-7680m --backend xen
    ");
    let markdown = |report: &Report<'_>| markdown::render(&Report { judged: Some(&judged), ..*report });
    let markdown = rendered(&contestants, &records, false, markdown);
    let from = markdown.find("### Judged").unwrap_or_default();
    insta::assert_snapshot!(&markdown[from..], @r"
    ### Judged, in cells

    | strategy | MMU/KVM: agrees | differs | not judged | MMU/TCG: agrees | differs | not judged | Xen: agrees | differs | not judged |
    |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
    | unfixed | 5 | 0 | 1 | - | - | - | 3 | 0 | 1 |
    | revert-high-placement | 4 | 0 | 2 | - | - | - | 2 | 1 | 1 |
    | semantic-builder | 5 | 0 | 1 | - | - | - | 3 | 0 | 1 |

    - MMU/KVM: KVM of Linux 6.12.9, kvm\_intel with EPT; the processor walks these tables
      - not judged: 3 cells: no room for Xen's boot objects
      - not judged: 1 cell: the boot died before its tables were finished
    - MMU/TCG is not to be had here: no qemu-system-x86\_64; \`just engines\` unpacks it
    - Xen: 4.17.7, QEMU emulator version 7.2.22
      - not judged: 3 cells: no room for Xen's boot objects
      - differs on revert-high-placement/10-xen-512m@xen: pin 1f40 L1: predicted 0, Xen answers -22

    ### Where not all boot

    | cells | layout | unfixed | revert | semantic |
    |--:|---|---|---|---|
    | 3 | 05-xen-ec2-7680m@xen<br>10-xen-512m@xen<br>dom0-3.8+-h61m-8g-init\_mem\_mapping-regression@xen | FAULT+ | ok! | ok+ |
    | 1 | 18-native-256g-low1g-4k@native | ok+ | PANIC | ok+ |

    - `FAULT`: a write met a page that is read-only or not mapped: NODE\_DATA (3)
    - `PANIC`: the kernel gave up itself: Cannot find space for the kernel page tables (1)
    - + behind a word: every judge that was asked of the cell agrees; !: one differs
    ");
}

#[test]
fn thirteen_strategies_before_three_judges_fit_80_columns() {
    let (contestants, records) = many();
    let judged = judged();
    fits(&rendered(&contestants, &records, false, |report| text::render(&Report { judged: Some(&judged), ..*report })));
}

#[test]
fn a_control_that_agrees_is_told_with_its_judge() {
    let (contestants, records) = few();
    let mut judged = judged();
    let fault = "unfixed/10-xen-512m@xen agrees with write protection off: nothing was judged at all";
    judged.0[0].fault = Some(fault.to_owned());
    let text =
        rendered(&contestants, &records, false, |report| text::render(&Report { judged: Some(&judged), ..*report }));
    assert!(text.replace("\n    ", " ").contains(fault), "{text}");
    let line = judged.0[0].to_string();
    assert_eq!(line, format!("MMU/KVM: agrees on 14 cells, differs on 0, 4 not judged, 0 failed; {fault}"));
}

#[test]
fn a_record_has_what_each_judge_says_of_its_cell() {
    let (_, records) = few();
    let text = json::render_judged(&records, &judged()).expect("records are JSON");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect();
    assert_eq!(lines.len(), records.len());
    let of = |strategy: &str, layout: &str| {
        let is_it = |line: &&serde_json::Value| line["strategy"] == strategy && line["layout"] == layout;
        lines.iter().find(is_it).map(|line| line["judgements"].to_string()).unwrap_or_default()
    };
    let missing =
        r#"{"judge":"mmu/tcg","judgement":"unavailable","text":"no qemu-system-x86_64; `just engines` unpacks it"}"#;
    assert_eq!(
        of("revert-high-placement", "10-xen-512m"),
        format!(
            r#"[{{"judge":"mmu/kvm","judgement":"agrees","text":null}},{missing},{{"judge":"xen","judgement":"differs","text":"pin 1f40 L1: predicted 0, Xen answers -22"}}]"#
        )
    );
    assert_eq!(
        of("revert-high-placement", "18-native-256g-low1g-4k"),
        format!(
            r#"[{{"judge":"mmu/kvm","judgement":"not-judged","text":"the boot died before its tables were finished"}},{missing}]"#
        )
    );
    // What is written with judgements is a baseline too.
    let baseline = Baseline::parse(&text, "judged.json".to_owned()).expect("what is written is read again");
    assert!(!baseline.compare(&records, |_| true).is_different());
}

#[test]
fn a_record_is_a_line_with_its_keys_in_order() {
    let (_, records) = few();
    let text = json::render(&records[..1]).expect("records are JSON");
    insta::assert_snapshot!(text.trim_end(), @r#"{"schema":1,"strategy":"revert-high-placement","layout":"05-xen-ec2-7680m","backend":"xen","verdict":"boots","stage":null,"text":null,"findings":[{"rule":"claim","stage":"page","place":"pfn ff7fb and 2016 more, range 1","expected":"mapped by live tables when taken","got":"not mapped","n_pages":2017}],"measures":{"table_pages":3817,"spare_pages":2089,"left_read_only":0,"reserved_bytes":15634432,"crashkernel_room_bytes":463470592,"wx_pages":17000,"table_bytes":15634432,"largest_request_bytes":15781888}}"#);
}

#[test]
fn numbers_and_lists_read_well() {
    assert_eq!(thousands(1_234_567), "1,234,567");
    assert_eq!(count(1, "cell", "cells"), "1 cell");
    assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
    assert_eq!(wrapped(&"word ".repeat(20), 0, 2).lines().map(str::len).max(), Some(79));
}
