// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines of a log beside the predicted ones.
//!
//! Lines of a kind are paired in their order; table space by the end it is for and tables that were reserved by
//! their start, since logs may lack the lines of a call.

use super::line::{Kind, Line};

/// A line of the log and the predicted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The log's, and its number from 1; `None` if it is only predicted.
    pub log: Option<(usize, Line)>,
    /// The model's; `None` if it predicts none.
    pub model: Option<Line>,
    /// Whether it stands between the same mapping calls.
    pub is_in_place: bool,
}

impl Row {
    /// Whether the two say the same.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.is_in_place && self.log.map(|(_, line)| line) == self.model
    }

    /// The kind of the line.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.log.map(|(_, line)| line.kind()).or_else(|| self.model.map(|line| line.kind()))
    }
}

/// A line and how many mapping calls come before it.
type Placed<T> = (T, usize);

fn placed<T: Copy>(lines: impl Iterator<Item = T>, is_call: impl Fn(T) -> bool) -> Vec<Placed<T>> {
    let mut n_calls = 0;
    let count = |line| {
        n_calls += usize::from(is_call(line));
        (line, n_calls)
    };
    lines.map(count).collect()
}

/// Pairs the lines of the kinds that are predicted. Predicted lines that the log lacks are told if it has
/// others of their kind, unless it is an excerpt; a fault is told always.
pub(super) fn rows(log: &[(usize, Line)], model: &[Line], is_excerpt: bool) -> Vec<Row> {
    let log = placed(log.iter().copied(), |(_, line)| line.kind() == Kind::Call);
    let mut model: Vec<Option<Placed<Line>>> =
        placed(model.iter().copied(), |line| line.kind() == Kind::Call).into_iter().map(Some).collect();
    let prints_calls = log.iter().any(|((_, line), _)| line.kind() == Kind::Call);
    let mut rows: Vec<Row> = Vec::with_capacity(log.len());
    // Where the row of the last predicted line stands, so that those only predicted come behind it.
    let mut row_of: Vec<Option<usize>> = vec![None; model.len()];
    for ((number, line), n_calls) in &log {
        let is_partner = |candidate: &Line| match (line, candidate) {
            (Line::Tables { end, .. }, Line::Tables { end: other, .. }) => end == other,
            _ => line.kind() == candidate.kind(),
        };
        let find = |is_it: &dyn Fn(&Line) -> bool| {
            model.iter().position(|slot| slot.as_ref().is_some_and(|(candidate, _)| is_it(candidate)))
        };
        // Of reserved tables the line of an earlier call may be missing too.
        let starts_alike = |candidate: &Line| match (line, candidate) {
            (Line::Reserved(range), Line::Reserved(other)) => range.start == other.start,
            _ => false,
        };
        let found = find(&starts_alike).or_else(|| find(&is_partner));
        let partner = found.and_then(|at| {
            row_of[at] = Some(rows.len());
            model[at].take()
        });
        // What is found after the build belongs to no call.
        let is_of_call = prints_calls && matches!(line.kind(), Kind::Piece | Kind::Tables | Kind::Pool | Kind::SetRw);
        let is_in_place = !is_of_call || partner.is_none_or(|(_, other)| other == *n_calls);
        rows.push(Row { log: Some((*number, *line)), model: partner.map(|(line, _)| line), is_in_place });
    }
    if is_excerpt {
        return rows;
    }
    let printed: Vec<Kind> = log.iter().map(|((_, line), _)| line.kind()).collect();
    let mut after: Vec<(usize, Row)> = Vec::new();
    let mut at_row = 0;
    for (slot, row) in model.iter().zip(&row_of) {
        at_row = row.map_or(at_row, |row| row + 1);
        if let Some((line, _)) = slot.filter(|(line, _)| line.kind() == Kind::Fault || printed.contains(&line.kind())) {
            after.push((at_row, Row { log: None, model: Some(line), is_in_place: true }));
        }
    }
    for (at, row) in after.into_iter().rev() {
        rows.insert(at, row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::{PhysAddr, PhysRange};

    fn range(n: u64) -> PhysRange {
        PhysRange::from_numbers(n << 12, (n + 1) << 12)
    }

    fn tables(end: u64, at: u64) -> Line {
        Line::Tables { end: PhysAddr::new(end), space: range(at) }
    }

    #[track_caller]
    fn check(log: &[Line], model: &[Line], expected: &[&str]) {
        let numbered: Vec<(usize, Line)> = log.iter().copied().enumerate().collect();
        let shown: Vec<String> = rows(&numbered, model, false)
            .iter()
            .map(|row| {
                let log = row.log.map_or_else(|| "-".to_owned(), |(number, _)| number.to_string());
                let model = row.model.map_or_else(|| "-".to_owned(), |line| line.to_string());
                format!("{log} {model} {}", if row.is_equal() { "=" } else { "!" })
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn lines_of_a_kind_are_paired_in_order() {
        let [a, b] = [range(1), range(2)];
        check(&[Line::Call(a), Line::Call(b)], &[Line::Call(b), Line::Call(b)], &["0 2000-3000 !", "1 2000-3000 ="]);
    }

    #[test]
    fn table_space_is_paired_by_its_end() {
        check(&[tables(9, 5)], &[tables(3, 4), tables(9, 5)], &["- 4000-5000 !", "0 5000-6000 ="]);
        check(&[tables(8, 5)], &[], &["0 - !"]);
    }

    #[test]
    fn a_line_between_other_calls_differs() {
        let [a, pool] = [Line::Call(range(1)), Line::Pool(range(9))];
        check(&[a, pool], &[pool, a], &["0 1000-2000 =", "1 9000-a000 !"]);
        check(&[pool], &[a, pool], &["0 9000-a000 ="]);
    }

    #[test]
    fn what_is_only_predicted_stands_behind_what_comes_before_it() {
        let [a, b, c] = [1, 2, 3].map(|n| Line::Pool(range(n)));
        check(&[a], &[a, b, c], &["0 1000-2000 =", "- 2000-3000 !", "- 3000-4000 !"]);
        check(&[a], &[a, Line::NodeData(range(4))], &["0 1000-2000 ="]);
    }
}
