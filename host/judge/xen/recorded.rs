// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scenarios as files: `scenario NAME`, then a request and its reply a line; `#` begins a comment.

use pgtlab_core::mmu::guest::{Guest, LineError, Reply, Request, parse_line};
use std::fmt;

/// Requests to a guest of which nothing is mapped or typed, and the replies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// What it shows.
    pub name: String,
    /// The requests, in order.
    pub requests: Vec<Request>,
    /// What came of each.
    pub replies: Vec<Reply>,
}

/// A file that holds no scenarios.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// A line is none.
    #[error("line {line}: {source}")]
    Line {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        source: LineError,
    },
    /// A request stands before the first scenario.
    #[error("line {line}: a request before any scenario; expected `scenario NAME`")]
    NoScenario {
        /// The line, counted from 1.
        line: usize,
    },
}

/// Frames, windows and root slots of the guests that scenarios are put to.
const GUEST: (u32, u16, u16) = (64, 64, 8);

/// What the model says comes of requests.
#[must_use]
pub fn predict(requests: &[Request]) -> Vec<Reply> {
    let (n_frames, n_windows, n_root_slots) = GUEST;
    let mut guest = Guest::new(n_frames, n_windows, n_root_slots);
    requests.iter().map(|request| guest.ask(request)).collect()
}

impl Scenario {
    /// A scenario with the model's replies.
    #[must_use]
    pub fn predicted(name: String, requests: Vec<Request>) -> Self {
        let replies = predict(&requests);
        Self { name, requests, replies }
    }
}

/// Reads a file's scenarios.
///
/// # Errors
/// A line is neither a scenario's beginning nor a request.
pub fn parse(text: &str) -> Result<Vec<Scenario>, ScenarioError> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.split('#').next().unwrap_or_default().trim();
        if let Some(name) = text.strip_prefix("scenario ") {
            let name = name.trim().to_owned();
            scenarios.push(Scenario { name, requests: Vec::new(), replies: Vec::new() });
        } else if !text.is_empty() {
            let (request, reply) = parse_line(text).map_err(|source| ScenarioError::Line { line, source })?;
            let scenario = scenarios.last_mut().ok_or(ScenarioError::NoScenario { line })?;
            scenario.requests.push(request);
            scenario.replies.push(reply);
        }
    }
    Ok(scenarios)
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "scenario {}", self.name)?;
        self.requests.iter().zip(&self.replies).try_for_each(|(request, reply)| writeln!(f, "{request} -> {reply}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_read_as_they_are_printed() {
        let text = "scenario one\npin 1 1 -> done\nunpin 1 -> done\nscenario two\nread direct 0 0 -> fault 0\n";
        let scenarios = parse(text).expect("two scenarios");
        assert_eq!(scenarios.iter().map(Scenario::to_string).collect::<String>(), text);
        for scenario in scenarios {
            assert_eq!(Scenario::predicted(scenario.name.clone(), scenario.requests.clone()), scenario);
        }
    }

    #[test]
    fn the_line_that_is_wrong_is_named() {
        let refused = |text: &str| parse(text).expect_err("it is wrong").to_string();
        assert_eq!(
            refused("# none\nunpin 1 -> done\n"),
            "line 2: a request before any scenario; expected `scenario NAME`"
        );
        assert_eq!(refused("scenario one\n\nunpin 1\n"), "line 3: found ``; expected `->`");
    }
}
