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

/// A kind of engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Kvm,
    Tcg,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Kvm, Self::Tcg];

    const fn name(self) -> &'static str {
        match self {
            Self::Kvm => kvm::NAME,
            Self::Tcg => tcg::NAME,
        }
    }

    fn find(self) -> Result<Engine, Unavailable> {
        match self {
            Self::Kvm => Kvm::find().map(Engine::Kvm),
            Self::Tcg => Tcg::find().map(Engine::Tcg),
        }
    }
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meant {
    /// Each of these.
    Each(Vec<Kind>),
    /// The first of these that can be had.
    First(Vec<Kind>),
}

impl Choice {
    /// The engines that are meant, as far as they can be had; `told` is told the name of each that cannot, and why.
    ///
    /// # Errors
    /// One that is meant cannot be had, and `PGTLAB_REQUIRE` names it.
    pub fn engines(self, told: impl Fn(&'static str, &Unavailable)) -> Result<Vec<Engine>, Unavailable> {
        let find = |kind: Kind| unless_required(kind.find(), kind.name(), |why| told(kind.name(), why)).transpose();
        match self.meant(is_required) {
            Meant::Each(kinds) => kinds.into_iter().filter_map(find).collect(),
            Meant::First(kinds) => kinds.into_iter().find_map(find).into_iter().collect(),
        }
    }

    fn meant(self, is_required: impl Fn(&str) -> bool) -> Meant {
        match self {
            Self::Kvm => Meant::Each(vec![Kind::Kvm]),
            Self::Tcg => Meant::Each(vec![Kind::Tcg]),
            Self::All => Meant::Each(Kind::ALL.to_vec()),
            Self::Auto => {
                let required: Vec<_> = Kind::ALL.into_iter().filter(|kind| is_required(kind.name())).collect();
                if required.is_empty() { Meant::First(Kind::ALL.to_vec()) } else { Meant::Each(required) }
            }
        }
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
        check(Choice::Auto, &[], Meant::First(Kind::ALL.to_vec()));
        check(Choice::Auto, &["xen"], Meant::First(Kind::ALL.to_vec()));
    }

    #[test]
    fn one_that_must_be_there_is_not_replaced_by_another() {
        check(Choice::Auto, &["tcg", "xen"], Meant::Each(vec![Kind::Tcg]));
        check(Choice::Auto, &["kvm"], Meant::Each(vec![Kind::Kvm]));
        check(Choice::Auto, &["tcg", "kvm"], Meant::Each(Kind::ALL.to_vec()));
    }

    #[test]
    fn one_that_is_named_is_the_one_that_is_meant() {
        check(Choice::Kvm, &["tcg"], Meant::Each(vec![Kind::Kvm]));
        check(Choice::Tcg, &["kvm"], Meant::Each(vec![Kind::Tcg]));
        check(Choice::All, &[], Meant::Each(Kind::ALL.to_vec()));
    }
}
