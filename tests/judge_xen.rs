// SPDX-License-Identifier: MIT OR Apache-2.0
//! The model's Xen against recorded answers, and against a real one where it can be had.
//!
//! Where QEMU or Xen is missing the tests that need them say so and pass; with `xen` in `PGTLAB_REQUIRE` they fail.

#[cfg(test)]
mod tests {
    use pgtlab::judge::engine::unless_required;
    use pgtlab::judge::standing::Standing;
    use pgtlab::judge::xen::answer::Answer;
    use pgtlab::judge::xen::boot::{Boot, Booted};
    use pgtlab::judge::xen::cells::{Case, Finding, judge};
    use pgtlab::judge::xen::machine::Machine;
    use pgtlab::judge::xen::random::{Divergence, scenario};
    use pgtlab::judge::xen::recorded::{Scenario, parse, predict};
    use pgtlab::judge::xen::session::run;
    use pgtlab::options::Chosen;
    use pgtlab::spawn::Limits;
    use pgtlab::whatif::WhatIf;
    use pgtlab::{corpus, matrix};
    use pgtlab_core::e820::E820Map;
    use pgtlab_core::layout::Layout;
    use pgtlab_core::ops::{Act, Ops, OpsEnd};
    use std::fs;
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    /// A boot takes seconds; this ends one that hangs, however busy the machine is.
    const WALL: Duration = Duration::from_secs(300);

    /// The machine, if it is there.
    #[track_caller]
    fn machine() -> Option<Machine> {
        let found = unless_required(Machine::find(), "xen", |why| eprintln!("{why}"));
        found.unwrap_or_else(|why| panic!("PGTLAB_REQUIRE names xen: {why}"))
    }

    /// Every scenario under tests/xen.
    fn recorded() -> Vec<Scenario> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/xen");
        let mut paths: Vec<_> =
            fs::read_dir(folder).expect("it is there").filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        let read = |path| parse(&fs::read_to_string(path).expect("readable")).expect("scenarios");
        let scenarios: Vec<Scenario> = paths.into_iter().flat_map(read).collect();
        assert!(!scenarios.is_empty() && scenarios.iter().all(|it| it.requests.len() == it.replies.len()));
        scenarios
    }

    fn lines(scenario: &Scenario, answers: impl Iterator<Item = Answer>) -> String {
        let line = |(request, answer)| format!("{request} -> {answer}\n");
        scenario.requests.iter().zip(answers).map(line).collect()
    }

    #[test]
    fn the_model_answers_as_xen_did() {
        for scenario in recorded() {
            let told = lines(&scenario, predict(&scenario.requests).into_iter().map(Answer::from));
            let expected = lines(&scenario, scenario.replies.iter().copied().map(Answer::from));
            assert_eq!(told, expected, "{}", scenario.name);
        }
    }

    #[test]
    fn xen_answers_as_it_did() {
        let Some(machine) = machine() else { return };
        let scenarios = recorded();
        let requests: Vec<_> = scenarios.iter().map(|scenario| scenario.requests.clone()).collect();
        let asked = machine.ask(&requests, WALL).expect("Xen boots");
        assert_eq!(asked.answers.len(), scenarios.len());
        for (scenario, answers) in scenarios.iter().zip(asked.answers) {
            let told = lines(scenario, answers.into_iter());
            let expected = lines(scenario, scenario.replies.iter().copied().map(Answer::from));
            assert_eq!(told, expected, "{}: {}", asked.xen, scenario.name);
        }
    }

    /// More of them with `pgtlab judge xen --random`.
    #[test]
    fn the_model_answers_as_xen_on_scenarios_drawn_at_random() {
        let Some(machine) = machine() else { return };
        let scenarios: Vec<_> = (0..2000).map(|number| scenario(2011, number)).collect();
        let asked = machine.ask(&scenarios, WALL).expect("Xen boots");
        assert_eq!(asked.answers.len(), scenarios.len());
        let found =
            scenarios.iter().zip(&asked.answers).find_map(|(requests, answers)| Divergence::of(requests, answers));
        assert_eq!(found, None, "{}", asked.xen);
    }

    /// How the kernel's own source ends on these machines, as the golden traces have it.
    const ENDS: [(&str, [&str; 3]); 4] = [
        (
            "unfixed",
            [
                "NODE_DATA writes pfn 1dfffb of [1dfffb000,1e0000000): direct map not writable",
                "NODE_DATA writes pfn 7fffb of [7fffb000,80000000): direct map not writable",
                "NODE_DATA writes pfn 7fffb of [7fffb000,80000000): direct map not writable",
            ],
        ),
        (
            "linux-2-6-39-rc5",
            [
                "BUG() in pin_pagetable_pfn (Bad type: pfn 1df7f3 wanted as L1 table but has 1 writable mapping(s))",
                "",
                "",
            ],
        ),
        ("reserve-hook", [""; 3]),
        ("semantic-builder", [""; 3]),
    ];

    #[test]
    fn xen_lets_boot_and_kills_whom_the_kernels_source_does() {
        let Some(machine) = machine() else { return };
        let names = ENDS.map(|(strategy, _)| strategy.to_owned());
        let layouts = ["05-xen-ec2-7680m", "07-xen-2g-extra", "08-xen-2g-noextra"];
        let sources = corpus::select(&layouts.map(str::to_owned)).expect("golden layouts");
        let contestants = matrix::contestants(&names, &Chosen::default()).expect("strategies of the tree");
        let places = matrix::places(&sources, None, &WhatIf::default());
        let limits = Limits::default();
        let cells = run(&machine.with_memory(1024), &contestants, &places, (2, &limits), &|| {}).expect("threads");
        assert_eq!(cells.len(), names.len() * layouts.len());
        for (strategy, ends) in ENDS {
            for (layout, end) in layouts.into_iter().zip(ends) {
                let cell = cells.iter().find(|cell| cell.strategy == strategy && cell.layout == layout);
                let Some(Standing::Judged(judged)) = cell.map(|cell| &cell.standing) else {
                    panic!("{strategy}/{layout}: {cell:?}")
                };
                assert_eq!(judged.finding, Finding::Agrees, "{strategy}/{layout}: {:?}", judged.scale);
                let told = match &judged.end {
                    OpsEnd::Completed => "",
                    OpsEnd::Broken { text, .. } => text,
                };
                assert_eq!(told, end, "{strategy}/{layout}");
            }
        }
    }

    fn printed(arguments: [&str; 3]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_pgtlab")).args(arguments).output().expect("the program starts");
        String::from_utf8(output.stdout).expect("text")
    }

    fn operations(strategy: &str, layout: &str) -> Ops {
        Ops::parse(&printed(["ops", strategy, layout])).expect("an operation trace")
    }

    fn layout(name: &str) -> Layout {
        let path = format!("core/tests/golden/{name}.layout");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        Layout::parse(&fs::read_to_string(path).expect("readable"), name).expect("a layout")
    }

    /// The control is another map: one whose RAM ends a page earlier.
    #[test]
    fn xen_finds_the_layouts_own_e820_and_another_one_is_told_apart() {
        let Some(machine) = machine() else { return };
        let e820 = layout("10-xen-512m").e820;
        let mut shorter = e820.entries().to_vec();
        let last = shorter.last_mut().expect("RAM");
        last.range.end = last.range.end.saturating_sub(0x1000);
        let shorter = E820Map::overlaid(&shorter);
        let machine = machine.with_map(&shorter);
        let told = machine.ask(&[], WALL).expect("Xen boots").memory_map;
        let difference = |e820| machine.with_map(e820).firmware().map(|firmware| firmware.difference(&told));
        assert_eq!(difference(&shorter), Some(None));
        let found = difference(&e820).flatten().expect("RAM ends elsewhere").to_string();
        assert_eq!(found, "put before Xen: e820 100000 20000000 1; told by Xen: e820 100000 1ffff000 1");
    }

    fn boot(machine: &Machine, ops: Ops, name: &str) -> Booted {
        let boot = Boot::new(ops).expect("the guest can be it");
        let machine = machine.with_domain(&layout(name).e820, boot.domain_bytes()).expect("there is room");
        let booted = boot.run(&machine, WALL).expect("an end");
        assert_eq!(booted.other_map, None);
        booted
    }

    /// The machine of the oops in the message of Linux 92bdaef7b2c5, and the boots that its golden traces tell of.
    const BOOTS: [(&str, &str); 4] = [
        ("unfixed", "dies at ffff8801dfffb000: store node_data ffff8801dfffb000 ffff8801e0000000: error code 3"),
        (
            "xen-mmu-rw-fixup",
            "dies at ffff8801dfffb000: store node_data ffff8801dfffb000 ffff8801e0000000: error code 3",
        ),
        ("linux-2-6-39-rc5", "BUG: pin 1df7f3 1: refused -22 EINVAL"),
        ("reserve-hook", "boots"),
    ];

    #[test]
    fn a_guest_that_is_the_boot_dies_where_the_kernel_did() {
        let Some(machine) = machine() else { return };
        for (strategy, end) in BOOTS {
            let booted = boot(&machine, operations(strategy, "05-xen-ec2-7680m"), "05-xen-ec2-7680m");
            assert_eq!(booted.ended, end, "{strategy}: {:?}", booted.lines);
            assert!(booted.is_as_predicted(), "{strategy}: {}", booted.foretold);
            let oops = "BUG: unable to handle kernel paging request at ffff8801dfffb000";
            assert_eq!(booted.lines.iter().any(|line| line == oops), end.starts_with("dies"), "{:?}", booted.lines);
        }
    }

    /// The control: without what gives the spare part back, the hook's boot dies though the trace says that it does not.
    #[test]
    fn a_guest_dies_whatever_its_trace_says() {
        let Some(machine) = machine() else { return };
        let mut ops = operations("hook", "10-xen-512m");
        ops.ops.retain(|op| !matches!(op.act, Act::Protect { is_writable: true, .. }));
        let booted = boot(&machine, ops, "10-xen-512m");
        assert!(booted.ended.starts_with("dies at ffff88001fff"), "{}", booted.ended);
        assert_eq!((&*booted.foretold, booted.is_as_predicted()), ("boots", false));
    }

    /// The control: Xen must not agree with a hook that does not give the spare part back, which node data is put into.
    #[test]
    fn xen_parts_from_a_hook_that_leaves_its_spare_part_read_only() {
        let Some(machine) = machine() else { return };
        let machine = machine.with_memory(1024);
        let mut ops = operations("hook", "05-xen-ec2-7680m");
        let n_ops = ops.ops.len();
        ops.ops.retain(|op| !matches!(op.act, Act::Protect { is_writable: true, .. }));
        assert_eq!(n_ops - ops.ops.len(), 2, "each of the two ranges has a spare part");
        let case = Case::new(ops, &machine).expect("it fits");
        let judged = judge(&machine, vec![case], WALL).expect("Xen boots").remove(0);
        let Finding::Parts(parting) = judged.finding else { panic!("Xen does not see it") };
        let told = (parting.op.map(|(_, op)| op), parting.answered.to_string());
        let write = "store node_data ffff8801dfffb000 ffff8801e0000000".to_owned();
        assert_eq!(told, (Some(write), "page fault, error code 3".to_owned()));
    }
}
