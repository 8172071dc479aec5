// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machines of QEMU's that Linux is booted on: a [`Guest`], and the word it is called by.
//!
//! ```text
//! pc-1024                1 GiB of RAM, the board "pc"
//! q35-3072-no1g          3 GiB, the board "q35" (which leaves 2 GiB below 4 GiB), no pages of 1 GiB
//! pc-2560-below1024      2.5 GiB, of which 1 GiB lies below 4 GiB
//! pc-1024-initrd32       with an initial ramdisk of 32 MiB
//! pc-1024-xen512         as Xen's dom0, with 512 MiB of it
//! ```

use std::fmt;
use std::str::FromStr;

/// RAM that Linux and a ramdisk can be booted with, in MiB.
const MIB: std::ops::RangeInclusive<u64> = 256..=65536;

/// The board that QEMU emulates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Board {
    /// i440FX.
    #[default]
    Pc,
    /// Q35.
    Q35,
}

impl Board {
    /// Its name in QEMU.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pc => "pc",
            Self::Q35 => "q35",
        }
    }
}

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guest {
    /// The board.
    pub board: Board,
    /// RAM, in MiB.
    pub memory_mib: u64,
    /// Whether the processor has pages of 1 GiB.
    pub has_1g: bool,
    /// How much RAM lies below 4 GiB at the most, in MiB; else as the board has it.
    pub below_4g_mib: Option<u64>,
    /// The size of the initial ramdisk, in MiB, if there is one.
    pub initrd_mib: Option<u64>,
    /// Under Xen, the memory of dom0 in MiB.
    pub dom0_mib: Option<u64>,
}

/// The machines that are booted when none is named, and whose results are kept.
pub const USUAL: [&str; 14] = [
    "pc-1024",
    "pc-1024-initrd32",
    "pc-2048",
    "pc-3072",
    "pc-3072-no1g",
    "pc-4096",
    "pc-4096-no1g",
    "pc-8192",
    "pc-2560-below1024",
    "q35-3072",
    "q35-3072-no1g",
    "pc-1024-xen512",
    "pc-2048-xen1024",
    "q35-3072-xen2560",
];

/// A word that names no machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{word:?} is no machine of QEMU's: {why}; expected pc or q35, MiB of RAM and what differs, as in {}",
    example()
)]
pub struct GuestError {
    /// The word.
    word: String,
    /// What is wrong with it.
    why: String,
}

fn example() -> String {
    "q35-3072-no1g-initrd32 or pc-1024-xen512".to_owned()
}

impl FromStr for Guest {
    type Err = GuestError;

    fn from_str(word: &str) -> Result<Self, GuestError> {
        let wrong = |why: String| GuestError { word: word.to_owned(), why };
        let mut parts = word.split('-');
        let board = match parts.next() {
            Some("pc") => Board::Pc,
            Some("q35") => Board::Q35,
            _ => return Err(wrong("it begins with no board".to_owned())),
        };
        let mib = |text: &str| {
            let mib = text.parse().map_err(|_| wrong(format!("{text:?} is no number of MiB")))?;
            Ok(Some(mib))
        };
        let memory = mib(parts.next().unwrap_or_default())?;
        let memory_mib = memory.filter(|mib| MIB.contains(mib));
        let memory_mib =
            memory_mib.ok_or_else(|| wrong(format!("Linux takes {} to {} MiB here", MIB.start(), MIB.end())))?;
        let mut guest = Self { board, memory_mib, has_1g: true, ..Self::default() };
        for part in parts {
            if part == "no1g" {
                guest.has_1g = false;
            } else if let Some(text) = part.strip_prefix("below") {
                guest.below_4g_mib = mib(text)?;
            } else if let Some(text) = part.strip_prefix("initrd") {
                guest.initrd_mib = mib(text)?;
            } else if let Some(text) = part.strip_prefix("xen") {
                guest.dom0_mib = mib(text)?;
            } else {
                return Err(wrong(format!("{part:?} is unknown")));
            }
        }
        let parts = [guest.below_4g_mib, guest.initrd_mib, guest.dom0_mib];
        if parts.into_iter().flatten().any(|mib| mib == 0 || guest.memory_mib < mib) {
            return Err(wrong("a part of the memory is nothing, or larger than all of it".to_owned()));
        }
        match (guest.dom0_mib, guest.initrd_mib) {
            (Some(_), Some(_)) => Err(wrong("under Xen there is no ramdisk here".to_owned())),
            _ => Ok(guest),
        }
    }
}

impl fmt::Display for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.board.name(), self.memory_mib)?;
        if let Some(mib) = self.below_4g_mib {
            write!(f, "-below{mib}")?;
        }
        if !self.has_1g {
            f.write_str("-no1g")?;
        }
        if let Some(mib) = self.initrd_mib {
            write!(f, "-initrd{mib}")?;
        }
        match self.dom0_mib {
            Some(mib) => write!(f, "-xen{mib}"),
            None => Ok(()),
        }
    }
}

impl Guest {
    /// QEMU's arguments for the machine: board, processor and memory.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let below = self.below_4g_mib.map(|mib| format!(",max-ram-below-4g={mib}M")).unwrap_or_default();
        let board = format!("{}{below}", self.board.name());
        // With SMAP the kernel dies under Xen, which QEMU 7.2 does not emulate well enough; five levels of tables are
        // another kernel's rules.
        let processor = format!("max,-smap,-la57{}", if self.has_1g { "" } else { ",-pdpe1gb" });
        let memory = self.memory_mib.to_string();
        ["-machine", &*board, "-cpu", &*processor, "-m", &*memory, "-smp", "1", "-accel", "tcg"]
            .map(str::to_owned)
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_names_a_machine_and_is_its_name() {
        for word in USUAL {
            let guest: Guest = word.parse().expect("a machine");
            assert_eq!(guest.to_string(), word);
        }
        let guest: Guest = "q35-3072-initrd64-no1g-below1024".parse().expect("in any order");
        assert_eq!(guest.to_string(), "q35-3072-below1024-no1g-initrd64");
        let arguments = guest.arguments().join(" ");
        let expected = "-machine q35,max-ram-below-4g=1024M -cpu max,-smap,-la57,-pdpe1gb -m 3072 -smp 1 -accel tcg";
        assert_eq!(arguments, expected);
    }

    #[test]
    fn what_names_none_says_why() {
        for (word, why) in [
            ("microvm-1024", "it begins with no board"),
            ("pc", "\"\" is no number of MiB"),
            ("pc-1G", "\"1G\" is no number of MiB"),
            ("pc-16", "Linux takes 256 to 65536 MiB here"),
            ("pc-1024-numa", "\"numa\" is unknown"),
            ("pc-1024-xen2048", "a part of the memory is nothing, or larger than all of it"),
            ("pc-1024-xen512-initrd32", "under Xen there is no ramdisk here"),
        ] {
            let error = word.parse::<Guest>().expect_err("no machine");
            assert_eq!(error.why, why, "{word}");
            assert!(error.to_string().starts_with(&format!("{word:?} is no machine of QEMU's: ")), "{error}");
        }
    }
}
