// SPDX-License-Identifier: MIT OR Apache-2.0
//! The model's Xen against recorded answers, and against a real one where it can be had.
//!
//! Where QEMU or Xen is missing the tests that need them say so and pass; with `xen` in `PGTLAB_REQUIRE` they fail.

#[cfg(test)]
mod tests {
    use pgtlab::judge::xen::answer::Answer;
    use pgtlab::judge::xen::machine::Machine;
    use pgtlab::judge::xen::recorded::{Scenario, parse, predict};
    use std::path::Path;
    use std::time::Duration;
    use std::{env, fs};

    const WALL: Duration = Duration::from_secs(60);

    /// The machine, if it is there.
    #[track_caller]
    fn machine() -> Option<Machine> {
        let is_required = env::var("PGTLAB_REQUIRE").is_ok_and(|names| names.split(',').any(|name| name == "xen"));
        match Machine::find() {
            Ok(machine) => Some(machine),
            Err(why) => {
                assert!(!is_required, "PGTLAB_REQUIRE names xen: {why}");
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
}
