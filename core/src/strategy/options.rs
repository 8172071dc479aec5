// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a strategy can be told before a boot: options, declared by its author and checked by the host.

use std::fmt;

/// What the value of an option may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionKind {
    /// A number of up to 64 bits: decimal, or hexadecimal with `0x`.
    Number,
    /// `true` or `false`.
    Flag,
    /// Any text of one line.
    Text,
}

impl OptionKind {
    /// Its name in a plugin's description.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Flag => "flag",
            Self::Text => "text",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Number, Self::Flag, Self::Text].into_iter().find(|kind| kind.name() == name)
    }

    /// What a value of it looks like.
    #[must_use]
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Number => "a number, decimal or hexadecimal with 0x",
            Self::Flag => "true or false",
            Self::Text => "one line of text",
        }
    }

    /// The number that a value is, if it is one.
    #[must_use]
    pub fn as_number(value: &str) -> Option<u64> {
        number(value)
    }

    /// Whether two values of it mean the same.
    #[must_use]
    pub fn is_same(self, one: &str, other: &str) -> bool {
        one == other || (self == Self::Number && number(one).is_some() && number(one) == number(other))
    }

    /// Whether this is a value of it.
    #[must_use]
    pub fn accepts(self, value: &str) -> bool {
        match self {
            Self::Number => number(value).is_some(),
            Self::Flag => flag(value).is_some(),
            Self::Text => !value.chars().any(char::is_control),
        }
    }
}

fn number(value: &str) -> Option<u64> {
    let (digits, radix) = value.strip_prefix("0x").map_or((value, 10), |digits| (digits, 16));
    if digits.starts_with('+') { None } else { u64::from_str_radix(digits, radix).ok() }
}

fn flag(value: &str) -> Option<bool> {
    value.parse().ok()
}

/// An option that a strategy takes; stands in its `export_strategy!` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionSpec {
    /// What it is called: lower-case ASCII words joined by underscores.
    pub key: &'static str,
    /// What its value may be.
    pub kind: OptionKind,
    /// The value it has if nobody says otherwise.
    pub default: &'static str,
    /// What it does, in a line.
    pub help: &'static str,
}

impl OptionSpec {
    /// An option whose value is a number.
    #[must_use]
    pub const fn number(key: &'static str, default: &'static str, help: &'static str) -> Self {
        Self { key, kind: OptionKind::Number, default, help }
    }

    /// An option whose value is `true` or `false`.
    #[must_use]
    pub const fn flag(key: &'static str, default: &'static str, help: &'static str) -> Self {
        Self { key, kind: OptionKind::Flag, default, help }
    }

    /// An option whose value is a line of text.
    #[must_use]
    pub const fn text(key: &'static str, default: &'static str, help: &'static str) -> Self {
        Self { key, kind: OptionKind::Text, default, help }
    }
}

/// The values of a strategy's options: all that it declares, each with a value of its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    values: Vec<(String, String)>,
}

impl Options {
    /// Options with these values.
    #[must_use]
    pub const fn new(values: Vec<(String, String)>) -> Self {
        Self { values }
    }

    /// The options of a declaration with their defaults, for a strategy's own tests.
    #[must_use]
    pub fn defaults(specs: &[OptionSpec]) -> Self {
        Self { values: specs.iter().map(|spec| (spec.key.to_owned(), spec.default.to_owned())).collect() }
    }

    /// The same with another value for one of them.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.values.retain(|(known, _)| known != key);
        self.values.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The value of an option as text.
    ///
    /// # Panics
    /// It was not declared: a mistake of the strategy's, which its cell tells with this place.
    #[must_use]
    #[track_caller]
    pub fn text(&self, key: &str) -> &str {
        match self.iter().find(|(known, _)| *known == key) {
            Some((_, value)) => value,
            None => panic!("the option {key} is not declared; declare it in export_strategy!(.., options = [..])"),
        }
    }

    /// The value of an option that is a number.
    ///
    /// # Panics
    /// It was not declared as one.
    #[must_use]
    #[track_caller]
    pub fn number(&self, key: &str) -> u64 {
        let value = self.text(key);
        number(value).unwrap_or_else(|| panic!("the option {key} is not declared as a number: {value:?}"))
    }

    /// The value of an option that is `true` or `false`.
    ///
    /// # Panics
    /// It was not declared as one.
    #[must_use]
    #[track_caller]
    pub fn flag(&self, key: &str) -> bool {
        let value = self.text(key);
        flag(value).unwrap_or_else(|| panic!("the option {key} is not declared as a flag: {value:?}"))
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (key, value)) in self.iter().enumerate() {
            write!(f, "{}{key}={value}", if at == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: OptionKind, right: &[&str], wrong: &[&str]) {
        assert_eq!(OptionKind::from_name(kind.name()), Some(kind));
        assert!(right.iter().all(|value| kind.accepts(value)), "{right:?}");
        assert!(!wrong.iter().any(|value| kind.accepts(value)), "{wrong:?}");
    }

    #[test]
    fn a_value_is_of_its_kind_or_refused() {
        let wrong = ["", "-1", "+1", "0x", "0x+1", "1k", "18446744073709551616", " 1"];
        check(OptionKind::Number, &["0", "007", "0x10", "18446744073709551615"], &wrong);
        check(OptionKind::Flag, &["true", "false"], &["", "1", "yes", "True"]);
        check(OptionKind::Text, &["", "any text = at all"], &["two\nlines", "\0"]);
    }

    #[test]
    fn numbers_are_the_same_however_they_are_written() {
        assert!(OptionKind::Number.is_same("16", "0x10"));
        assert!(!OptionKind::Number.is_same("16", "0x16"));
        assert!(!OptionKind::Text.is_same("16", "0x10"));
        assert_eq!(OptionKind::as_number("0x10"), Some(16));
    }

    #[test]
    fn options_are_read_by_their_kinds() {
        let specs = [OptionSpec::number("n", "16", ""), OptionSpec::flag("is_low", "false", "")];
        let options = Options::defaults(&specs).with("n", "0x20");
        assert_eq!((options.number("n"), options.flag("is_low"), options.text("is_low")), (32, false, "false"));
        assert_eq!(options.to_string(), "is_low=false n=0x20");
    }
}
