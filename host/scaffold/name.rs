// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a strategy may be called.

use std::fmt;

/// Names stand in tables of 80 columns.
const MAX_BYTES: usize = 32;

/// Words that no crate can be called. The Rust Reference, "Keywords": strict and reserved ones. Weak
/// keywords are allowed; the standard library's crates are not.
const NOT_A_CRATE: [&str; 56] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// Types that the template names, or that the prelude brings: a strategy's type is called otherwise.
const USED_TYPES: [&str; 19] = [
    "Box",
    "Clone",
    "Context",
    "Copy",
    "Debug",
    "Default",
    "Drop",
    "End",
    "Eq",
    "Err",
    "Layout",
    "None",
    "Ok",
    "Option",
    "Range",
    "Some",
    "Strategy",
    "TableSpace",
    "Watch",
];

/// A strategy's name: lower-case ASCII words and digits joined by single hyphens, a letter first, at most
/// 32 bytes, that can name a crate. It may be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrategyName(String);

/// Why a strategy cannot be called so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} cannot name a strategy: {reason}")]
pub struct NameError {
    /// The name.
    pub name: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl StrategyName {
    /// Checks a name.
    ///
    /// # Errors
    /// Which part of the form it does not have.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        match objection(name) {
            Some(reason) => Err(NameError { name: name.to_owned(), reason }),
            None => Ok(Self(name.to_owned())),
        }
    }

    /// The name as it stands in `Cargo.toml`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the strategy's type: `my-fix` is `MyFix`.
    #[must_use]
    pub fn type_name(&self) -> String {
        let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
        let name: String = self.0.split('-').map(capital).collect();
        if USED_TYPES.contains(&name.as_str()) { name + "Fix" } else { name }
    }
}

impl fmt::Display for StrategyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn objection(name: &str) -> Option<&'static str> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() {
        Some("it is empty")
    } else if !name.bytes().all(is_allowed) {
        Some("expected lower-case ASCII letters, digits and hyphens, as in my-fix")
    } else if !name.as_bytes()[0].is_ascii_lowercase() {
        Some("expected a letter first")
    } else if name.split('-').any(str::is_empty) {
        Some("expected a word on either side of each hyphen")
    } else if MAX_BYTES < name.len() {
        Some("it is longer than 32 bytes")
    } else if name == "linux" {
        Some("strategies/linux is the library that strategies share")
    } else if NOT_A_CRATE.contains(&name) {
        Some("Rust means something else by it")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Result<&str, &str>) {
        let found = StrategyName::parse(name);
        let found = found.as_ref().map(StrategyName::type_name).map_err(|error| error.reason);
        assert!(
            match (&found, expected) {
                (Ok(found), Ok(expected)) => found == expected,
                (Err(found), Err(expected)) => found.contains(expected),
                _ => false,
            },
            "{name:?}: {found:?}"
        );
    }

    #[test]
    fn a_name_is_kebab_case_and_can_be_a_crate() {
        check("my-fix", Ok("MyFix"));
        check("unfixed", Ok("Unfixed"));
        check("v2", Ok("V2"));
        check("fix-2m-pages", Ok("Fix2mPages"));
        check("table-space", Ok("TableSpaceFix"));
        check("default", Ok("DefaultFix"));
        check("a123456789-123456789-123456789-1", Ok("A1234567891234567891234567891"));
        check("a123456789-123456789-123456789-12", Err("longer"));
        check("", Err("empty"));
        check("My-Fix", Err("lower-case"));
        check("my_fix", Err("lower-case"));
        check("../fix", Err("lower-case"));
        check("f\u{fc}r", Err("lower-case"));
        check("my fix", Err("lower-case"));
        check("2m", Err("a letter first"));
        check("-fix", Err("a letter first"));
        check("fix-", Err("either side"));
        check("my--fix", Err("either side"));
        check("linux", Err("share"));
        check("fn", Err("Rust"));
        check("gen", Err("Rust"));
        check("test", Err("Rust"));
        check("proc-macro", Err("Rust"));
    }
}
