// SPDX-License-Identifier: MIT OR Apache-2.0
//! The values of a plugin's options, checked before the plugin sees them.

use super::{Description, LoadErrorKind};
use pgtlab_core::strategy::{OptionKind, Options};

/// The options that a plugin declares, each with its default.
///
/// # Errors
/// [`LoadErrorKind::BadOption`]: a kind that this host does not know, or a default that is not of its kind.
pub fn defaults(description: &Description) -> Result<Options, LoadErrorKind> {
    let mut values = Vec::new();
    for option in &description.options {
        let refuse = |text: String| LoadErrorKind::BadOption { key: option.key.clone(), text };
        let Some(kind) = OptionKind::from_name(&option.kind) else {
            return Err(refuse(format!("its kind is {:?}; expected number, flag or text", option.kind)));
        };
        if !kind.accepts(&option.default) {
            return Err(refuse(format!("its default is {:?}; expected {}", option.default, kind.expected())));
        }
        values.push((option.key.clone(), option.default.clone()));
    }
    Ok(Options::new(values))
}

/// The same with other values for some of them.
///
/// # Errors
/// [`LoadErrorKind::BadOption`] too for a key that is not declared, or a value that is not of its kind.
pub fn values(description: &Description, changed: &[(String, String)]) -> Result<Options, LoadErrorKind> {
    let mut description = description.clone();
    for (key, value) in changed {
        let option = description.options.iter_mut().find(|option| option.key == *key);
        let refuse = |text: &str| LoadErrorKind::BadOption { key: key.clone(), text: text.to_owned() };
        let option = option.ok_or_else(|| refuse("it was given a value and is not declared"))?;
        if !OptionKind::from_name(&option.kind).is_some_and(|kind| kind.accepts(value)) {
            return Err(refuse(&format!("it was given {value:?}, which is no {}", option.kind)));
        }
        option.default.clone_from(value);
    }
    defaults(&description)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::OptionDescription;

    #[track_caller]
    fn check(kind: &str, default: &str, expected: Result<&str, &str>) {
        let option = OptionDescription {
            key: "n".to_owned(),
            kind: kind.to_owned(),
            default: default.to_owned(),
            help: String::new(),
        };
        let description = Description { options: vec![option], ..Description::default() };
        let found = defaults(&description).map(|options| options.to_string()).map_err(|error| error.to_string());
        assert_eq!(found.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn a_default_is_of_its_kind() {
        check("number", "0x10", Ok("n=0x10"));
        check("flag", "true", Ok("n=true"));
        let text = "declares an option that makes no sense: n: its default is \"many\"; expected a number, decimal or \
                    hexadecimal with 0x";
        check("number", "many", Err(text));
        let text = "declares an option that makes no sense: n: its kind is \"colour\"; expected number, flag or text";
        check("colour", "red", Err(text));
    }

    #[test]
    fn a_changed_value_takes_the_place_of_the_default() {
        let option = |key: &str| OptionDescription {
            key: key.to_owned(),
            kind: "number".to_owned(),
            default: "1".to_owned(),
            help: String::new(),
        };
        let description = Description { options: vec![option("m"), option("n")], ..Description::default() };
        let given = |key: &str, value: &str| {
            let found = values(&description, &[(key.to_owned(), value.to_owned())]);
            found.map(|options| options.to_string()).map_err(|error| error.to_string())
        };
        assert_eq!(given("m", "2").as_deref(), Ok("m=2 n=1"));
        assert!(given("m", "two").is_err_and(|text| text.ends_with("m: it was given \"two\", which is no number")));
        assert!(given("k", "2").is_err_and(|text| text.ends_with("k: it was given a value and is not declared")));
    }
}
