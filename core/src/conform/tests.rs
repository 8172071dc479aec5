// SPDX-License-Identifier: MIT OR Apache-2.0
//! Strategies that each fall short in one way, and one that does not.

use super::*;
use crate::addr::{Pfn, PfnRange, PhysRange};
use crate::strategy::{Boot, Context, Options, Plan, Range, RangeDone, TableSpace, merge_pieces};
use std::sync::atomic::{AtomicU64, Ordering};

/// The checks in which a strategy falls short, and what is said of the first.
fn shortfalls<S: Strategy + Default + 'static>(options: &[OptionSpec]) -> (Vec<&'static str>, String) {
    let report = examine::<S>(options);
    let short = Check::ALL.into_iter().filter(|check| report.standing(*check) == Standing::FallsShort);
    (short.map(Check::name).collect(), report.to_string())
}

#[track_caller]
fn check_short<S: Strategy + Default + 'static>(check: &str, said: &str) {
    let (short, report) = shortfalls::<S>(&[]);
    assert_eq!(short, [check], "{report}");
    assert!(report.contains(said), "{report}");
    assert!(report.contains("falls short in 1 of 13 checks"), "{report}");
}

#[derive(Default)]
struct Defaults;

impl Strategy for Defaults {}

#[test]
fn the_defaults_conform_and_answer_no_stage_by_themselves() {
    check::<Defaults>();
    let report = examine::<Defaults>(&[]).to_string();
    assert!(report.contains("answers by itself: none; not asked: page; it declares none"), "{report}");
    assert!(report.ends_with("boots 5 of 5 cells native, 5 of 5 cells xen\nDefaults conforms\n"), "{report}");
}

/// Gives another answer to each boot.
#[derive(Default)]
struct Restless;

impl Strategy for Restless {
    fn boot(&mut self, cx: &mut Context<'_>) -> Boot {
        static N: AtomicU64 = AtomicU64::new(0);
        cx.printk(&format!("boot {}", N.fetch_add(1, Ordering::Relaxed)));
        Boot::new(cx.facts())
    }
}

#[test]
fn an_answer_that_depends_on_earlier_boots_is_seen() {
    check_short::<Restless>("repetition", "01-native-6g@native: differs the second time: line 3 was `dmesg: boot ");
}

/// Looks at memory again and again.
#[derive(Default)]
struct Curious;

impl Strategy for Curious {
    fn boot(&mut self, cx: &mut Context<'_>) -> Boot {
        let n_looks = crate::plugin::Budget::steps_of(&hard()[0]).max(4_000_000);
        (0..n_looks).for_each(|_| assert!(!cx.memory().is_empty()));
        Boot::new(cx.facts())
    }
}

#[test]
fn more_steps_than_a_machine_allows_are_seen() {
    let (short, report) = shortfalls::<Curious>(&[]);
    assert!(short.contains(&"end"), "{report}");
    assert!(report.contains("steps, of "), "{report}");
}

/// Gives back the kernel.
#[derive(Default)]
struct Generous;

impl Strategy for Generous {
    fn build_done(&mut self, cx: &mut Context<'_>) {
        let kernel = cx.facts().kernel;
        cx.free(kernel);
    }
}

#[test]
fn freeing_what_is_not_its_own_is_seen() {
    let said = "01-native-6g@native: frees bytes that are not its own: [1000000, 2000000), at stage build done";
    check_short::<Generous>("ownership", said);
}

/// Reserves the kernel, which does not make it its own.
#[derive(Default)]
struct Greedy;

impl Strategy for Greedy {
    fn build_done(&mut self, cx: &mut Context<'_>) {
        let kernel = cx.facts().kernel;
        let around = PhysRange::new(kernel.start.saturating_sub(0x1000), kernel.end);
        cx.reserve(around, "MINE");
        cx.free(PhysRange::new(around.start, kernel.start));
        cx.set_ro(PfnRange::from_numbers(0, 1));
    }
}

#[test]
fn protecting_what_is_not_its_own_is_seen_and_freeing_what_it_reserved_is_not() {
    check_short::<Greedy>("ownership", "makes pages read-only that are not its own: pages [0, 1), at stage build done");
}

/// Unwraps what a machine may lack.
#[derive(Default)]
struct Confident;

impl Strategy for Confident {
    fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> TableSpace {
        let pages = cx.find_mapped_pages(cx.tables_needed(range)).expect("there is room");
        cx.reserve_pages(pages, "PGTABLE");
        TableSpace::Buffer(pages)
    }
}

#[test]
fn a_panic_where_there_is_no_room_is_seen() {
    check_short::<Confident>("hard machines", "at stage table space: the plugin panicked: there is room");
}

/// Chooses one range for ever.
#[derive(Default)]
struct Endless;

impl Strategy for Endless {
    fn plan(&mut self, _: &mut Context<'_>) -> Plan {
        Plan::Map(Range::new(PfnRange::default(), merge_pieces(Vec::new())))
    }
}

#[test]
fn a_plan_without_end_is_seen() {
    check_short::<Endless>("end", "01-native-6g@native: at stage plan: no end of the plan after 65536 ranges");
}

/// Prints what is no line.
#[derive(Default)]
struct Loud;

impl Strategy for Loud {
    fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) {
        cx.printk("two\nlines");
        cx.reserve_pages(done.buf.used(), "PGTABLE");
        cx.set_max_pfn_mapped(done.last_mapped);
    }
}

#[test]
fn control_characters_in_the_log_are_seen() {
    check_short::<Loud>("log", "prints a control character ('\\n') in \"two\\nlines\", at stage range done");
}

/// Does not go quietly.
#[derive(Default)]
struct Clinging;

impl Strategy for Clinging {}

impl Drop for Clinging {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "not without a fight");
    }
}

#[test]
fn a_panic_in_drop_is_seen() {
    check_short::<Clinging>("drop", "the plugin panicked: not without a fight");
}

/// Adds to its option.
#[derive(Default)]
struct Sums(u64);

impl Strategy for Sums {
    fn configure(&mut self, options: &Options) {
        self.0 = options.number("spare");
    }

    fn boot(&mut self, cx: &mut Context<'_>) -> Boot {
        let spare = self.0.checked_add(1).expect("a small number");
        cx.set_max_pfn_mapped(Pfn::new(spare));
        Boot::new(cx.facts())
    }
}

#[test]
fn an_option_that_may_not_be_large_is_seen() {
    let options = [OptionSpec::number("spare", "1", "pages")];
    let (short, report) = shortfalls::<Sums>(&options);
    assert_eq!(short, ["options"], "{report}");
    assert!(report.contains("with spare=18446744073709551615: at stage boot: the plugin panicked"), "{report}");
}

#[test]
#[should_panic(expected = "FALLS SHORT  ownership")]
fn check_panics_with_the_report() {
    check::<Generous>();
}

#[test]
fn a_declaration_is_held_against_what_was_answered() {
    use crate::strategy::Stage;
    let check = |declared: &[Stage], said: &str| {
        let mut report = examine::<Confident>(&[]);
        report.declare(declared.iter().copied().collect());
        let said_so = report.to_string().contains(said);
        assert!(said_so, "{report}");
    };
    check(&[Stage::TableSpace], "ok           stages");
    check(&[], "FALLS SHORT  stages           expected: is asked at every stage");
    check(&[Stage::TableSpace, Stage::Boot], "declares, and answers as by default on every machine: boot");
}
