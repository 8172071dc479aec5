// SPDX-License-Identifier: MIT OR Apache-2.0
//! The operation trace: its text comes back, it rebuilds the tables the builder made, and recording it changes
//! nothing.
#![expect(clippy::tests_outside_test_module, reason = "an integration test is a test module")]

mod golden_layouts;

use golden_layouts::boots;
use pgtlab_core::addr::{Mfn, Pfn, PfnRange, PhysRange, VirtAddr};
use pgtlab_core::build::{Death, End, Watch, boot};
use pgtlab_core::decide::Decider;
use pgtlab_core::e820::{E820Entry, E820Type};
use pgtlab_core::entry::Entry;
use pgtlab_core::event::Consumer;
use pgtlab_core::geometry::{Geometry, Level};
use pgtlab_core::layout::{Backend, Layout};
use pgtlab_core::ops::{
    Accessor, Act, BootState, BootTable, Break, FixmapAccess, FrameRun, Op, Ops, OpsEnd, Outcome, Via,
};
use pgtlab_core::permission::PermissionMap;
use pgtlab_core::strategy::Strategy as Answers;
use pgtlab_core::table::EntryRun;
use pgtlab_core::trace;
use proptest::prelude::*;

/// Every default: the build of 2.6.39 with its tables low.
struct Plain;

impl Answers for Plain {}

fn ops(text: &str) -> Ops {
    let layout = Layout::parse(text, "machine").expect("the layout is sound");
    let built = boot(&layout, &mut Plain, Watch { ops: true, ..Watch::RULES }).expect("the layout holds together");
    Ops::of("plain", &layout, &built).expect("operations were watched")
}

const SMALL: &str = "e820 0 9f000 1\ne820 100000 40000000 1\nkernel 1000000 2000000\n";
const GUEST: &str = "e820 0 a0000 1\ne820 100000 2a000000 1\nkernel 1000000 2000000\nxen_mfn_list 2100000\n\
                     xen_pt 2200000 30\nxen_mapped 2800000\nxen 1\n";

#[test]
fn a_native_boot_is_a_few_lines() {
    let text = ops(SMALL).to_string();
    let lines: Vec<&str> = text.lines().collect();
    let expected = [
        "pgtlab-ops 1",
        "strategy plain",
        "layout machine",
        "backend native",
        "geometry x86-64",
        "direct_map ffff880000000000",
        "e820 0 9f000 1",
        "e820 100000 40000000 1",
        "frames 0 40000 0 guest",
        "root 1ff8",
        "table 1ff8 4",
        "entries 0 1 1ff9067 0",
        "table 1ff9 3",
        "entries 0 1 1ffb067 0",
        "table 1ffb 2",
        "entries 0 512 1e3 200000",
        "begin",
        "built",
        "store node_data ffff88003fffb000 ffff880040000000",
        "store range_array ffff88003fffaf80 ffff88003fffb000",
        "end completed",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_new_table_under_xen_is_filled_guarded_pinned_and_linked() {
    let text = ops(GUEST).to_string();
    let (_, operations) = text.split_once("begin\n").expect("the strategy begins");
    let first: Vec<&str> = operations.lines().take(6).collect();
    let expected = [
        "new 2ec8 1 direct",
        "write 2ec8 1 0 512 8000000003000063 1000",
        "protect 2ec8 1 ro",
        "pin 2ec8 1",
        "link 1ffb 2 24 2ec8067",
        "new 2ec9 1 direct",
    ];
    assert_eq!(first, expected);
    assert!(text.contains("table 1ff8 4 pinned\nentries 0 1 1ff9067 0\n"), "{text}");
    assert!(text.contains("table 1ffb 2\nentries 0 20 2203067 1000\nentries 20 4 2000067 1000\n"), "{text}");
}

/// The tables that the operations rebuild are those the builder made, on every golden layout; its text comes back.
#[track_caller]
fn check_rebuilt(strategy: impl Fn() -> Box<dyn Decider>) {
    let mut n_built = 0;
    for (layout, built) in boots(strategy) {
        let ops = Ops::of("a strategy", &layout, &built).expect("operations were watched");
        let (tables, root) = ops.tables().unwrap_or_else(|error| panic!("{}: {error}", layout.name));
        let rebuilt = PermissionMap::read(&tables, root, trace::map_end(&layout));
        let expected = built.map.as_ref().or(built.map_at_death.as_ref());
        assert_eq!(Some(&rebuilt), expected, "{}", layout.name);
        assert_eq!(ops.is_built(), built.map.is_some(), "{}", layout.name);
        check_end(&layout, &ops, &built.end);
        let text = ops.to_string();
        let read = Ops::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", layout.name));
        assert!(read == ops && read.to_string() == text, "{}: another trace came back", layout.name);
        n_built += u32::from(ops.is_built());
    }
    assert!(0 < n_built);
}

/// A boot that Xen refused, or whose write faulted, ends in that operation.
#[track_caller]
fn check_end(layout: &Layout, ops: &Ops, end: &End) {
    let broken = ops.ops.iter().filter(|op| op.outcome != Outcome::Done).count();
    let last = ops.ops.iter().rfind(|op| op.act != Act::Built).map(|op| &op.outcome);
    match end {
        End::Died { death: Death::Bug, text, .. } => {
            let Some(Outcome::Refused { function, text: why, .. }) = last else {
                panic!("{}: {text}, after {last:?}", layout.name)
            };
            assert_eq!(*text, format!("BUG() in {function} ({why})"), "{}", layout.name);
        }
        End::Died { death: Death::Crash, text, .. } if !text.contains("table already") => {
            assert!(matches!(last, Some(Outcome::Fault { .. })), "{}: {text}, after {last:?}", layout.name);
        }
        _ => {}
    }
    let died_by_it =
        matches!(end, End::Died { death: Death::Bug | Death::Crash, text, .. } if !text.contains("table already"));
    assert_eq!(broken, usize::from(died_by_it), "{}: {end:?}", layout.name);
}

#[test]
fn the_tables_of_unfixed_are_rebuilt() {
    check_rebuilt(|| Box::new(unfixed::Unfixed::default()));
}

#[test]
fn the_tables_of_the_fixup_are_rebuilt() {
    check_rebuilt(|| Box::new(xen_mmu_rw_fixup::XenMmuRwFixup::default()));
}

#[test]
fn the_tables_of_rc5_are_rebuilt() {
    check_rebuilt(|| Box::new(linux_2_6_39_rc5::Linux2_6_39Rc5::default()));
}

#[test]
fn the_tables_of_3_9_are_rebuilt() {
    check_rebuilt(|| Box::new(linux_3_9::Linux3_9::default()));
}

#[test]
fn the_tables_of_the_semantic_builder_are_rebuilt() {
    check_rebuilt(|| Box::new(semantic_builder::SemanticBuilder::default()));
}

#[test]
fn a_boot_is_the_same_whether_its_operations_are_recorded_or_not() {
    for text in [SMALL, GUEST] {
        let layout = Layout::parse(text, "machine").expect("the layout is sound");
        let run = |watch| boot(&layout, &mut Plain, watch).expect("the layout holds together");
        let (with, without) = (run(Watch { ops: true, ..Watch::RULES }), run(Watch::RULES));
        assert_eq!(trace::render("plain", &layout, &with), trace::render("plain", &layout, &without));
        assert_eq!((with.map, with.findings), (without.map, without.findings));
        assert!(with.ops.is_some() && without.ops.is_none());
    }
}

#[test]
fn a_text_that_is_none_is_refused_with_its_line() {
    let text = ops(SMALL).to_string();
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let refused = Ops::parse(text).map(|_| ()).map_err(|error| error.to_string());
        assert_eq!(refused, Err(expected.to_owned()));
    }
    check("", "line 1: found ``; expected `pgtlab-ops 1`");
    check(&text.replace("pgtlab-ops 1", "pgtlab-ops 2"), "line 1: found `pgtlab-ops 2`; expected `pgtlab-ops 1`");
    check(&text.replace("backend native", "backend amd"), "line 4: found `backend amd`; expected one of native, xen");
    check(
        &text.replace("e820 0 9f000 1", "e820 0 9F000 1"),
        "line 7: found `e820 0 9F000 1`; expected `e820 0 9f000 1`",
    );
    check(
        &text.replace("\nbuilt\n", "\nbuild\n"),
        "line 18: found `build`; expected an operation (fixmap, unfixmap, new, write, protect, pin, unpin, link, \
         store, load, built) or `end ..`",
    );
    check(
        text.trim_end(),
        &format!("line {}: found ``; expected the end of the text, after a line feed", text.lines().count() + 1),
    );
    check(
        &format!("{text}more\n"),
        &format!("line {}: found `more`; expected the end of the text, after a line feed", text.lines().count() + 1),
    );
}

fn pfn() -> impl Strategy<Value = Pfn> {
    (0u64..1 << 40).prop_map(Pfn::new)
}

fn level() -> impl Strategy<Value = Level> {
    (1u8..=4).prop_map(Level::new)
}

fn run() -> impl Strategy<Value = EntryRun> {
    (0u64..512, 1u64..=512, any::<u64>(), any::<u64>()).prop_map(|(slot, n, first, step)| EntryRun {
        slot,
        n,
        first: Entry::from_bits(first),
        step,
    })
}

fn address() -> impl Strategy<Value = VirtAddr> {
    any::<u64>().prop_map(VirtAddr::new)
}

fn act() -> impl Strategy<Value = Act> {
    let access = prop::sample::select(vec![FixmapAccess::Writable, FixmapAccess::ReadOnly, FixmapAccess::Io]);
    let via = prop::sample::select(vec![Via::Fixmap, Via::Direct, Via::Demand]);
    let by = prop::sample::select(vec![
        Accessor::SetPte,
        Accessor::Consumer(Consumer::Memtest),
        Accessor::Consumer(Consumer::NodeData),
        Accessor::Consumer(Consumer::RangeArray),
        Accessor::Probe,
    ]);
    prop_oneof![
        (pfn(), access).prop_map(|(frame, access)| Act::Fixmap { frame, access }),
        pfn().prop_map(Act::Unfixmap),
        (pfn(), level(), via).prop_map(|(table, level, via)| Act::New { table, level, via }),
        (pfn(), level(), run()).prop_map(|(table, level, run)| Act::Write { table, level, run }),
        (pfn(), 1u64..1 << 30, any::<bool>()).prop_map(|(start, n, is_writable)| Act::Protect {
            pages: PfnRange::new(start, start.saturating_add(n)),
            is_writable
        }),
        (pfn(), level()).prop_map(|(table, level)| Act::Pin { table, level }),
        pfn().prop_map(Act::Unpin),
        (pfn(), level(), 0u64..512, any::<u64>()).prop_map(|(parent, level, slot, bits)| Act::Link {
            parent,
            level,
            slot,
            entry: Entry::from_bits(bits)
        }),
        (by, address(), address(), any::<bool>()).prop_map(|(by, start, end, is_store)| Act::Access {
            by,
            start,
            end,
            is_store
        }),
        Just(Act::Built),
    ]
}

/// What may stand behind a colon.
const TEXT: &str = "[ -~]{0,30}";

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Done),
        1 => (any::<u32>(), "[a-z_]{1,12}", TEXT)
            .prop_map(|(errno, function, text)| Outcome::Refused { errno, function, text }),
        1 => (0u32..32, prop::option::of(address())).prop_map(|(error, address)| Outcome::Fault { error, address }),
    ]
}

fn boot_state() -> impl Strategy<Value = BootState> {
    let frames = (pfn(), pfn(), any::<bool>()).prop_map(|(start, mfn, is_identity)| FrameRun {
        pages: PfnRange::new(start, start.saturating_add(5)),
        mfn: Mfn::new(mfn.get()),
        is_identity,
    });
    let table = (pfn(), level(), any::<bool>(), prop::collection::vec(run(), 0..4))
        .prop_map(|(frame, level, is_pinned, entries)| BootTable { frame, level, is_pinned, entries });
    (prop::collection::vec(frames, 0..4), pfn(), prop::collection::vec(table, 0..4))
        .prop_map(|(frames, root, tables)| BootState { frames, root, tables })
}

fn end() -> impl Strategy<Value = OpsEnd> {
    let how = prop::sample::select(vec![
        Break::Died(Death::Panic),
        Break::Died(Death::Bug),
        Break::Died(Death::Crash),
        Break::Failed,
    ]);
    let stage = prop::sample::select(vec!["numa", "init_memory_mapping", "table space"]);
    prop_oneof![
        Just(OpsEnd::Completed),
        (how, stage, TEXT).prop_map(|(how, stage, text)| OpsEnd::Broken { how, stage: stage.to_owned(), text }),
    ]
}

fn any_ops() -> impl Strategy<Value = Ops> {
    let backend = prop::sample::select(vec![Backend::Native, Backend::Xen]);
    let geometry = prop::sample::select(vec![Geometry::X86_64, Geometry::TINY]);
    let ops = (act(), outcome()).prop_map(|(act, outcome)| Op { act, outcome });
    let e820 = (0u64..1 << 40, 0usize..6).prop_map(|(start, kind)| E820Entry {
        range: PhysRange::from_numbers(start, start + 0x1000),
        kind: E820Type::ALL[kind],
    });
    let lists = (prop::collection::vec(e820, 0..4), boot_state(), prop::collection::vec(ops, 0..12));
    (TEXT, TEXT, backend, geometry, address(), lists, end()).prop_map(
        |(strategy, layout, backend, geometry, direct_map, (e820, boot, ops), end)| Ops {
            strategy,
            layout,
            backend,
            geometry,
            direct_map,
            e820,
            boot,
            ops,
            end,
        },
    )
}

proptest! {
    #[test]
    fn what_is_printed_is_read_as_it_was(ops in any_ops()) {
        let text = ops.to_string();
        let read = Ops::parse(&text);
        prop_assert_eq!(read.as_ref(), Ok(&ops));
        prop_assert_eq!(read.map(|ops| ops.to_string()), Ok(text));
    }

    #[test]
    fn a_text_with_one_line_changed_is_refused_or_comes_back(ops in any_ops(), at in 0usize..40, junk in "[ -~]{0,20}") {
        let text = ops.to_string();
        let mut lines: Vec<&str> = text.split('\n').collect();
        let at = at % lines.len();
        lines[at] = &junk;
        let changed = lines.join("\n");
        if let Ok(read) = Ops::parse(&changed) {
            prop_assert_eq!(read.to_string(), changed);
        }
    }
}
