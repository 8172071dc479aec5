// SPDX-License-Identifier: MIT OR Apache-2.0
//! What wrote a log: a kernel on the machine itself, in a virtual machine, or a Xen PV guest. The corpus
//! says it in a comment; other logs show it in their lines.

use super::lines::split_quotes;
use super::map_line::HYPERVISOR;
use super::{LogMap, MapStage};
use crate::addr::{PhysAddr, PhysRange};
use crate::e820::E820Type;
use memchr::memmem;
use std::fmt;

/// Where a log's kernel ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogKind {
    /// On the machine itself.
    Native,
    /// In a virtual machine whose hypervisor leaves the page tables to it.
    Vm,
    /// As Xen's privileged PV domain, with the machine's own memory map.
    Dom0,
    /// As an ordinary PV domain of Xen.
    DomU,
}

impl LogKind {
    /// Whether the log's machine can be run natively too: a PV guest's memory is Xen's making.
    #[must_use]
    pub const fn has_native_cell(self) -> bool {
        matches!(self, Self::Native | Self::Vm)
    }

    fn from_comment(word: &str) -> Option<Self> {
        match word {
            "native" => Some(Self::Native),
            "vm" => Some(Self::Vm),
            "xen-dom0" | "dom0" => Some(Self::Dom0),
            "xen-domU" | "domU" => Some(Self::DomU),
            _ => None,
        }
    }
}

impl fmt::Display for LogKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Vm => "vm",
            Self::Dom0 => "dom0",
            Self::DomU => "domU",
        })
    }
}

/// Of these words, each line has one that says where its kernel ran, or how wide that was.
pub(super) const WORDS: [&str; 9] = [
    "kind:",
    "32-bit",
    DETECTED,
    PARAVIRTUALIZED,
    "HIGHMEM available.",
    "LOWMEM available.",
    "max_arch_pfn = 0x100000",
    "max_arch_pfn = 0x1000000",
    "HighMem ",
];

const DETECTED: &str = "Hypervisor detected: ";
const PARAVIRTUALIZED: &str = "Booting paravirtualized kernel on ";

/// What the lines say about the kernel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evidence {
    stated: Option<LogKind>,
    /// Xen itself was printing: its console is the machine's, so this is no ordinary guest's log.
    is_xen_console: bool,
    is_xen_pv: bool,
    is_vm: bool,
    /// The first line that only a 32-bit kernel prints.
    pub(super) line_of_32_bit: Option<usize>,
}

impl Evidence {
    /// Takes in a comment (without its `#`).
    pub(super) fn read_comment(&mut self, comment: &str, number: usize) {
        if let Some(kind) = comment.strip_prefix("kind:") {
            self.stated = self.stated.or_else(|| LogKind::from_comment(kind.trim()));
        }
        if comment.strip_prefix("kernel:").is_some_and(|kernel| kernel.contains("32-bit")) {
            self.line_of_32_bit.get_or_insert(number);
        }
    }

    /// Takes in a log as a whole.
    pub(super) fn read_text(&mut self, text: &[u8]) {
        /// A log has some comments at its beginning, and perhaps some text about it.
        const MAX_COMMENTS: usize = 1000;
        let is_comment = |at: usize| {
            let start = memchr::memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1);
            split_quotes(&text[start..at]).1.starts_with(b"#")
        };
        let mut found = memmem::find_iter(text, HYPERVISOR).take(MAX_COMMENTS);
        self.is_xen_console = found.any(|at| !is_comment(at));
    }

    /// Takes in a line of the log.
    pub(super) fn read_line(&mut self, line: &str, number: usize) {
        if let Some((_, hypervisor)) = line.split_once(DETECTED) {
            // `Xen` alone was printed by PV and by HVM guests.
            match hypervisor.trim() {
                "Xen PV" => self.is_xen_pv = true,
                _ => self.is_vm = true,
            }
        }
        if let Some((_, platform)) = line.split_once(PARAVIRTUALIZED) {
            match platform.trim() {
                "Xen" => self.is_xen_pv = true,
                "bare hardware" => {}
                _ => self.is_vm = true,
            }
        }
        if is_32_bit(line) {
            self.line_of_32_bit.get_or_insert(number);
        }
    }

    /// The kind of the log, and whether it says so itself.
    pub(super) fn kind(&self, maps: &[LogMap]) -> (LogKind, bool) {
        if let Some(stated) = self.stated {
            return (stated, true);
        }
        let kind = match maps.iter().find(|map| map.stage == MapStage::Xen) {
            None if !self.is_xen_pv => {
                if self.is_vm {
                    LogKind::Vm
                } else {
                    LogKind::Native
                }
            }
            Some(map) if self.is_xen_console || is_of_machine(map) => LogKind::Dom0,
            None if self.is_xen_console => LogKind::Dom0,
            Some(_) | None => LogKind::DomU,
        };
        (kind, false)
    }
}

/// Whether a PV guest's map has what only a machine has: firmware tables, or the local APIC's page. Xen
/// gives an ordinary guest nothing but RAM and holes in it.
fn is_of_machine(map: &LogMap) -> bool {
    let local_apic = PhysAddr::new(0xfee0_0000);
    let is_firmware = |kind, range: PhysRange| match kind {
        E820Type::Ram | E820Type::ReservedKern => false,
        E820Type::Reserved => range.contains(local_apic),
        E820Type::AcpiData | E820Type::AcpiNvs | E820Type::Unusable => true,
    };
    map.entries.iter().any(|entry| is_firmware(entry.kind, entry.range))
}

/// Lines about high memory, and the frame limits of 32-bit kernels without and with PAE.
fn is_32_bit(line: &str) -> bool {
    const ENDS: [&str; 4] =
        ["HIGHMEM available.", "LOWMEM available.", "max_arch_pfn = 0x100000", "max_arch_pfn = 0x1000000"];
    let line = line.trim_end();
    let is_zone = |(_, range): (&str, &str)| range.trim_start().starts_with(['[', '0']);
    ENDS.iter().any(|end| line.ends_with(end)) || line.split_once("HighMem ").is_some_and(is_zone)
}
