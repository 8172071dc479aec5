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
}
