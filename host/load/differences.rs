// SPDX-License-Identifier: MIT OR Apache-2.0
//! What differs between two interfaces, in a line. abi_stable's own text has 1,300 to 4,400 of them.
//!
//! abi_stable compares what a host expects with what a library implements, and takes a library that has more
//! than the host for a newer one. Here it is the host that may have more: a plugin was built before it. So
//! the sides change places: the plugin's types are what is expected, and this host's must have them all.

use pgtlab_core::plugin::StrategyModuleRef;
use pgtlab_core::plugin::abi_stable::StableAbi;
use pgtlab_core::plugin::abi_stable::abi_stability::abi_checking::{
    AbiInstability, AbiInstabilityError, check_layout_compatibility,
};
use pgtlab_core::plugin::abi_stable::library::LibHeader;
use pgtlab_core::plugin::abi_stable::type_layout::{TLFieldOrFunction, TypeLayout};
use std::collections::BTreeSet;

/// The longest text of a difference that has no words of its own here, in characters.
const LONGEST: usize = 120;

/// Whether this host has all that the plugin was built with.
pub(super) fn has_all(header: &'static LibHeader) -> bool {
    header.layout().is_some_and(|theirs| check_layout_compatibility(theirs, OURS).is_ok())
}

const OURS: &TypeLayout = <StrategyModuleRef as StableAbi>::LAYOUT;

/// The first difference between the interface a plugin was built against and this one, and how many more.
pub(super) fn first(header: &'static LibHeader) -> String {
    let Some(found) = header.layout() else { return "it tells nothing of its types".to_owned() };
    let Err(errors) = check_layout_compatibility(found, OURS) else {
        return "its version is not compatible".to_owned();
    };
    let mut seen = BTreeSet::new();
    let mut first = None;
    for at in &errors.errors {
        let place = place(at);
        for difference in &at.errs {
            let text = format!("{place}{}", describe(difference));
            if seen.insert(text.clone()) {
                first.get_or_insert(text);
            }
        }
    }
    let first = first.unwrap_or_else(|| "its types are laid out differently".to_owned());
    match seen.len() {
        0 | 1 => first,
        n => format!("{first}, and {} more", n - 1),
    }
}

/// `TYPE: `, the innermost type in which the difference lies.
fn place(at: &AbiInstabilityError) -> String {
    let innermost = at.stack_trace.iter().rev().find_map(|step| match step.expected {
        TLFieldOrFunction::Field(field) => Some(field.layout().name()),
        TLFieldOrFunction::Function(_) => None,
    });
    innermost.map_or_else(String::new, |name| format!("{name}: "))
}

/// The host is what is expected in the text, and what abi_stable found.
fn describe(difference: &AbiInstability) -> String {
    match difference {
        AbiInstability::UnexpectedField(fields) => format!(
            "expected field `{}: {}`, found `{}: {}`",
            fields.found.name(),
            fields.found.layout().name(),
            fields.expected.name(),
            fields.expected.layout().name()
        ),
        AbiInstability::Size(sizes) => format!("expected {} bytes, found {}", sizes.found, sizes.expected),
        AbiInstability::FieldCountMismatch(counts) => {
            format!("expected {} fields, found {}", counts.found, counts.expected)
        }
        AbiInstability::PackageVersion(versions) => {
            format!("expected the types of version {}, found {}", versions.found, versions.expected)
        }
        AbiInstability::MismatchedPrimitive(types) => {
            format!("expected {:?}, found {:?}", types.found, types.expected)
        }
        AbiInstability::Name(names) => format!("expected type {}, found {}", names.found, names.expected),
        AbiInstability::TagError { .. } => "its numbers mean other things".to_owned(),
        other => format!("{other:?}").split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect(),
    }
}
