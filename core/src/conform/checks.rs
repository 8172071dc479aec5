// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is checked, what that means, and what to do about a failure: the words of every report.

use crate::strategy::Stage;

/// A check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// What the plugin's file says of it; not asked of a strategy in its own test.
    File,
    /// The plugin is loaded and makes its strategy.
    Loading,
    /// The stages it was asked at, and whether it answers those that it declares.
    Stages,
    /// On the corpus.
    Answers,
    /// On machines on which little or nothing can be built.
    HardMachines,
    /// On every machine of a small family; not asked of a strategy in its own test.
    TinyMachines,
    /// Time and steps.
    End,
    /// The same again.
    Repetition,
    /// What it reserves, frees and protects.
    Ownership,
    /// What it prints.
    Log,
    /// Numbers of a newer or broken host.
    UnknownNumbers,
    /// The options it declares.
    Options,
    /// Its end.
    Drop,
}

impl Check {
    /// Every check, in the order of a report.
    pub const ALL: [Self; 13] = [
        Self::File,
        Self::Loading,
        Self::Stages,
        Self::Answers,
        Self::HardMachines,
        Self::TinyMachines,
        Self::End,
        Self::Repetition,
        Self::Ownership,
        Self::Log,
        Self::UnknownNumbers,
        Self::Options,
        Self::Drop,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Loading => "loading",
            Self::Stages => "stages",
            Self::Answers => "answers",
            Self::HardMachines => "hard machines",
            Self::TinyMachines => "tiny machines",
            Self::End => "end",
            Self::Repetition => "repetition",
            Self::Ownership => "ownership",
            Self::Log => "log",
            Self::UnknownNumbers => "unknown numbers",
            Self::Options => "options",
            Self::Drop => "drop",
        }
    }

    /// The check of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|check| check.name() == name)
    }

    /// What it expects.
    #[must_use]
    pub const fn expects(self) -> &'static str {
        match self {
            Self::File => "describes a strategy that this host can load",
            Self::Loading => "is loaded, and makes a strategy for each boot",
            Self::Stages => "is asked at every stage, and answers those that it declares",
            Self::Answers => "answers every question with something that makes sense",
            Self::HardMachines => "answers where there is next to no memory, or none that helps",
            Self::TinyMachines => "answers on every machine of a family with tables of four entries",
            Self::End => "comes to an end, within time and steps",
            Self::Repetition => "gives one record and one trace, however often and wherever it is run",
            Self::Ownership => "frees and protects only pages that it reserved or promised",
            Self::Log => "prints lines of printable text",
            Self::UnknownNumbers => "fails cleanly when it is asked with numbers that it does not know",
            Self::Options => "takes every value of the kind that it declares",
            Self::Drop => "is dropped without a panic",
        }
    }

    /// What an author does about a failure.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::File => {
                "rebuild it against this host's pgtlab-core, as a crate with crate-type = [\"cdylib\"] that calls \
                 pgtlab_core::export_strategy!(..); a default must be a value of its option's kind"
            }
            Self::Loading => "its Default must not panic, and nothing may run when the library is opened",
            Self::Stages => "make export_strategy!(.., stages = [..]) name the stages that it answers by itself",
            Self::Answers => {
                "never unwrap what a machine may lack: answer TableSpace::Panic or Page::Panic, with the words the \
                 kernel dies with; keep ranges ascending and inside the machine"
            }
            Self::HardMachines | Self::TinyMachines => {
                "a search may find nothing and a range may be empty: answer TableSpace::Panic or Page::Panic there, \
                 and compute addresses with saturating or checked arithmetic"
            }
            Self::End => "make every plan move on: answer Plan::Done once nothing is left, and bound every loop",
            Self::Repetition => {
                "keep all state in the strategy's own value: no statics, no clock, no randomness, no order of a HashMap"
            }
            Self::Ownership => {
                "free, set_rw and set_ro only what this boot's strategy reserved, promised at table space, or took"
            }
            Self::Log => "print one line at a time, without control characters; the host ends the line",
            Self::UnknownNumbers => "build it with export_strategy!, whose code refuses numbers that it does not know",
            Self::Options => "a value of the right kind may be 0, the largest number or an empty text: clamp it",
            Self::Drop => "its Drop must not panic, nor wait for anything",
        }
    }

    /// The command that shows a failure on a cell: of `plugin`, as it is typed.
    #[must_use]
    pub fn command(self, plugin: &str, cell: Option<(&str, &str)>) -> String {
        match (self, cell) {
            (Self::File | Self::Loading | Self::Stages | Self::Options, _) | (_, None) => {
                format!("pgtlab inspect {plugin}")
            }
            (Self::Repetition | Self::Ownership | Self::Log, Some((layout, backend))) => {
                format!("pgtlab trace {plugin} {layout} --backend {backend}")
            }
            (_, Some((layout, backend))) => format!("pgtlab explain {plugin} {layout} --backend {backend}"),
        }
    }
}

/// A set of stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages(u32);

impl Stages {
    /// The set that these bits are: bit 1 is stage 10.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The set as bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Adds a stage.
    pub const fn insert(&mut self, stage: Stage) {
        self.0 |= bit(stage);
    }

    /// Adds all of another set.
    pub const fn extend(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether a stage is in it.
    #[must_use]
    pub const fn contains(self, stage: Stage) -> bool {
        self.0 & bit(stage) != 0
    }

    /// The names of its stages, in the order of a boot.
    #[must_use]
    pub fn names(self) -> String {
        let names: Vec<&str> = Stage::ALL.into_iter().filter(|stage| self.contains(*stage)).map(Stage::name).collect();
        names.join(", ")
    }

    /// The stages that are not in it.
    #[must_use]
    pub fn missing(self) -> Self {
        Stage::ALL.into_iter().collect::<Self>().without(self)
    }

    /// Those of its stages that are not in another set.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Those of its stages that are in another set too.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether no stage is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Stage> for Stages {
    fn from_iter<I: IntoIterator<Item = Stage>>(stages: I) -> Self {
        let mut set = Self::default();
        stages.into_iter().for_each(|stage| set.insert(stage));
        set
    }
}

const fn bit(stage: Stage) -> u32 {
    1 << (stage.number() / 10)
}
