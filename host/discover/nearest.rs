// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may have been meant by a name that nothing has.

/// The words for it, behind the name that was typed.
pub(crate) fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!(" (did you mean {name}?)"))
}

/// The known name that is nearest to what was typed, if it is near at all.
pub(crate) fn nearest<'k>(known: impl Iterator<Item = &'k str>, typed: &str) -> Option<String> {
    let near = known.map(|name| (distance(name, typed), name)).min()?;
    let is_near = near.0 <= typed.chars().count().div_ceil(3) || near.1.contains(typed);
    is_near.then(|| near.1.to_owned())
}

/// How many characters must be put in, taken out or changed (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_what_must_be_changed() {
        assert_eq!(distance("hook", "hook"), 0);
        assert_eq!(distance("hook", "hok"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
