// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which processors cells are put before.

use super::Engine;
use super::kvm::{self, Kvm};
use super::tcg::{self, Tcg};
use crate::judge::engine::{Unavailable, is_required, unless_required};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Those that `PGTLAB_REQUIRE` names. If it names none, KVM where it can be used: this is the processor that a kernel
    /// would meet here, and nothing has to be unpacked. Otherwise QEMU.
    Auto,
    /// KVM alone.
    Kvm,
    /// QEMU alone.
    Tcg,
    /// Each that can be had.
    All,
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meant {
    /// Each of these names.
    Each(Vec<&'static str>),
    /// The first of these names that can be had.
    First(Vec<&'static str>),
}

impl Choice {
    /// The engines that are meant, as far as they can be had; `told` is told the name of each that cannot, and why.
    ///
    /// # Errors
    /// One that is meant cannot be had, and `PGTLAB_REQUIRE` names it.
    pub fn engines(self, told: impl Fn(&'static str, &Unavailable)) -> Result<Vec<Engine>, Unavailable> {
        let find = |name: &&'static str| unless_required(find(name), name, |why| told(name, why)).transpose();
        match self.meant(is_required) {
            Meant::Each(names) => names.iter().filter_map(find).collect(),
            Meant::First(names) => names.iter().find_map(find).into_iter().collect(),
        }
    }

    fn meant(self, is_required: impl Fn(&str) -> bool) -> Meant {
        match self {
            Self::Kvm => Meant::Each(vec![kvm::NAME]),
            Self::Tcg => Meant::Each(vec![tcg::NAME]),
            Self::All => Meant::Each(vec![kvm::NAME, tcg::NAME]),
            Self::Auto => {
                let required: Vec<_> = [kvm::NAME, tcg::NAME].into_iter().filter(|name| is_required(name)).collect();
                if required.is_empty() { Meant::First(vec![kvm::NAME, tcg::NAME]) } else { Meant::Each(required) }
            }
        }
    }
}

fn find(name: &str) -> Result<Engine, Unavailable> {
    match name {
        kvm::NAME => Kvm::find().map(Engine::Kvm),
        _ => Tcg::find().map(Engine::Tcg),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(choice: Choice, required: &[&str], meant: Meant) {
        assert_eq!(choice.meant(|name| required.contains(&name)), meant);
    }

    #[test]
    fn of_itself_it_is_kvm_and_otherwise_qemu() {
        check(Choice::Auto, &[], Meant::First(vec!["kvm", "tcg"]));
        check(Choice::Auto, &["xen"], Meant::First(vec!["kvm", "tcg"]));
    }

    #[test]
    fn one_that_must_be_there_is_not_replaced_by_another() {
        check(Choice::Auto, &["tcg", "xen"], Meant::Each(vec!["tcg"]));
        check(Choice::Auto, &["kvm"], Meant::Each(vec!["kvm"]));
        check(Choice::Auto, &["tcg", "kvm"], Meant::Each(vec!["kvm", "tcg"]));
    }

    #[test]
    fn one_that_is_named_is_the_one_that_is_meant() {
        check(Choice::Kvm, &["tcg"], Meant::Each(vec!["kvm"]));
        check(Choice::Tcg, &["kvm"], Meant::Each(vec!["tcg"]));
        check(Choice::All, &[], Meant::Each(vec!["kvm", "tcg"]));
    }
}
