// SPDX-License-Identifier: MIT OR Apache-2.0
//! The model's Xen against recorded answers, and against a real one where it can be had.
//!
//! Where QEMU or Xen is missing the tests that need them say so and pass; with `xen` in `PGTLAB_REQUIRE` they fail.

#[cfg(test)]
mod tests {
    use pgtlab::judge::engine::is_required;
    use pgtlab::judge::xen::answer::Answer;
    use pgtlab::judge::xen::cells::Finding;
    use pgtlab::judge::xen::machine::Machine;
    use pgtlab::judge::xen::random::{Divergence, scenario};
    use pgtlab::judge::xen::recorded::{Scenario, parse, predict};
    use pgtlab::judge::xen::session::{Standing, run};
    use pgtlab::options::Chosen;
    use pgtlab::spawn::Limits;
    use pgtlab::whatif::WhatIf;
    use pgtlab::{corpus, matrix};
    use pgtlab_core::ops::OpsEnd;
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    const WALL: Duration = Duration::from_secs(60);

    /// The machine, if it is there.
    #[track_caller]
    fn machine() -> Option<Machine> {
        match Machine::find() {
            Ok(machine) => Some(machine),
            Err(why) => {
                assert!(!is_required("xen"), "PGTLAB_REQUIRE names xen: {why}");
                eprintln!("unavailable: {why}");
                None
            }
        }
    }

    /// Every scenario under tests/xen.
    fn recorded() -> Vec<Scenario> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/xen");
        let mut paths: Vec<_> =
            fs::read_dir(folder).expect("it is there").filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        let read = |path| parse(&fs::read_to_string(path).expect("readable")).expect("scenarios");
        paths.into_iter().flat_map(read).collect()
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
        let found =
            scenarios.iter().zip(&asked.answers).find_map(|(requests, answers)| Divergence::of(requests, answers));
        assert_eq!(found, None, "{}", asked.xen);
    }

    /// The control strategy dies of a page fault, rc5 of a refused pin; the hook and what the rules ask for come through.
    #[test]
    fn xen_lets_boot_and_kills_whom_the_model_does() {
        let Some(machine) = machine() else { return };
        let names = ["unfixed", "rc5", "hook", "semantic-builder"].map(str::to_owned);
        let layouts = ["05-xen-ec2-7680m", "07-xen-2g-extra", "08-xen-2g-noextra"].map(str::to_owned);
        let contestants = matrix::contestants(&names, &Chosen::default()).expect("strategies of the tree");
        let places = matrix::places(&corpus::select(&layouts).expect("golden layouts"), None, &WhatIf::default());
        let limits = Limits::default();
        let cells = run(&machine.with_memory(1024), &contestants, &places, (2, &limits), &|| {}).expect("threads");
        assert_eq!(cells.len(), names.len() * layouts.len());
        for cell in &cells {
            let Standing::Judged(judged) = &cell.standing else {
                panic!("{}/{}: {:?}", cell.strategy, cell.layout, cell.standing)
            };
            assert_eq!(judged.finding, Finding::Agrees, "{}/{}: {:?}", cell.strategy, cell.layout, judged.scale);
            let boots = judged.end == OpsEnd::Completed;
            let is_fixed = ["reserve-hook", "semantic-builder"].contains(&&*cell.strategy);
            assert!(boots == is_fixed || cell.strategy == "linux-2-6-39-rc5", "{}/{}", cell.strategy, cell.layout);
        }
    }
}
