// SPDX-License-Identifier: MIT OR Apache-2.0
//! This machine's own processor as the engine, through KVM.
//!
//! The guest and its memory are the same as for [`super::tcg`]. The machine is `pgtlab vm` ([`run()`]), a process of its
//! own that is ended by a clock as QEMU is: a guest that does not leave the processor cannot keep this one.
//!
//! Whose tables the processor walks depends on the KVM (`kind`): with two levels of address translation those of the
//! guest; without, a shadow of them that KVM makes by reading them. What is judged then is KVM's reading, and the
//! processor's of what KVM wrote.

mod kind;
mod machine;
mod run;
mod slots;

pub use machine::MachineError;
pub use run::run;

use super::image::Image;
use super::{Processor, Walk};
use crate::judge::engine::{self, EngineError, Unavailable};
use crate::spawn::worker_program;
use kind::Kind;
use kvm_bindings::{KVM_API_VERSION, KVM_MAX_CPUID_ENTRIES};
use rustix::process::getpid;
use rustix::system::uname;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Its name in `PGTLAB_REQUIRE` and in records.
pub const NAME: &str = "kvm";

/// How long a cell may take. A page costs a tenth of a millisecond where the processor walks a shadow, and the largest
/// cells have hundreds of thousands of them; a busy machine takes some times as long.
const WALL: Duration = Duration::from_secs(1800);
/// How long the trial may take, of a machine that has nothing to do.
const TRIAL_WALL: Duration = Duration::from_secs(20);

/// Leaves of CPUID. Intel SDM vol. 2A, "CPUID".
mod leaf {
    /// Whether there are pages of 1 GiB: bit 26 of EDX.
    pub(super) const FEATURES: u32 = 0x8000_0001;
    /// The width of physical addresses: the lowest byte of EAX.
    pub(super) const ADDRESS_SIZES: u32 = 0x8000_0008;
}
const GIB_PAGES: u32 = 1 << 26;
/// The width where a processor does not say it.
const LEAST_ADDRESS_BITS: u32 = 36;

const NO_DEVICE: &str =
    "load kvm_intel or kvm_amd, or let this virtual machine have nested ones; `--engine tcg` needs neither";
const NOT_PERMITTED: &str = "join the group that owns it, often `kvm`, or be root; `--engine tcg` needs neither";
const NOT_USABLE: &str = "`--engine tcg` does without it";

/// KVM, with a processor that was seen to run the guest.
#[derive(Clone, Debug)]
pub struct Kvm {
    kind: Kind,
    description: String,
    processor: Processor,
}

impl Kvm {
    /// Finds it, and has it run the guest once with nothing to do.
    ///
    /// # Errors
    /// It is not there, may not be used, or does not run the guest.
    pub fn find() -> Result<Self, Unavailable> {
        let kvm = kvm_ioctls::Kvm::new().map_err(|error| not_opened(&error.into()))?;
        let version = kvm.get_api_version();
        if u32::try_from(version) != Ok(KVM_API_VERSION) {
            return Err(not_usable(format!("its interface is version {version}; expected {KVM_API_VERSION}")));
        }
        let features = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES);
        let features = features.map_err(|error| not_usable(format!("it does not say what processors can: {error}")))?;
        let find = |function| features.as_slice().iter().find(move |leaf| leaf.function == function);
        let processor = Processor {
            address_bits: find(leaf::ADDRESS_SIZES).map_or(LEAST_ADDRESS_BITS, |sizes| sizes.eax & 0xff),
            has_gib_pages: find(leaf::FEATURES).is_some_and(|features| features.edx & GIB_PAGES != 0),
        };
        let kind = Kind::of_this_machine();
        let release = uname().release().to_string_lossy().into_owned();
        let found = Self { description: format!("KVM of Linux {release}, {}", kind.name), kind, processor };
        let image = Image::without_probes().map_err(|error| not_usable(error.to_string()))?;
        found.run_for(&image, TRIAL_WALL).map_err(|error| not_usable(error.to_string()))?;
        match image.is_done() {
            Ok(true) => Ok(found),
            Ok(false) => Err(not_usable("its machine ended before the guest was done".to_owned())),
            Err(error) => Err(not_usable(error.to_string())),
        }
    }

    /// What it is: `KVM of Linux 6.12.9, kvm_intel with EPT`.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Whose tables the processor walks.
    #[must_use]
    pub const fn walk(&self) -> Walk {
        self.kind.walk
    }

    /// How that is known.
    #[must_use]
    pub fn evidence(&self) -> &str {
        &self.kind.evidence
    }

    /// What its processor can.
    pub(super) const fn processor(&self) -> Processor {
        self.processor
    }

    /// Runs the guest of an image to its end.
    pub(super) fn run(&self, image: &Image) -> Result<(), EngineError> {
        self.run_for(image, WALL)
    }

    fn run_for(&self, image: &Image, wall: Duration) -> Result<(), EngineError> {
        let memory = format!("/proc/{}/fd/{}", getpid(), image.file().as_raw_fd());
        let mut command = Command::new(worker_program());
        command.args(["vm", &memory, &image.bytes().to_string(), &image.boot_root().to_string()]);
        let program = || PathBuf::from("pgtlab vm");
        match engine::run(&command, wall) {
            Ok(ended) if ended.status.success() => Ok(()),
            Ok(ended) => Err(EngineError::Ended { program: program(), status: ended.status, said: ended.said }),
            // The program is known by another name than the one it was started by.
            Err(EngineError::Overdue { wall, said, .. }) => {
                Err(EngineError::Overdue { program: program(), wall, said })
            }
            Err(other) => Err(other),
        }
    }
}

fn not_opened(error: &io::Error) -> Unavailable {
    let (why, hint) = match error.kind() {
        io::ErrorKind::NotFound => ("there is no /dev/kvm".to_owned(), NO_DEVICE),
        io::ErrorKind::PermissionDenied => (format!("/dev/kvm may not be opened: {error}"), NOT_PERMITTED),
        _ => (format!("/dev/kvm cannot be opened: {error}"), NO_DEVICE),
    };
    Unavailable { what: "KVM", why, hint }
}

const fn not_usable(why: String) -> Unavailable {
    Unavailable { what: "KVM", why, hint: NOT_USABLE }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn what_is_missing_is_told_apart_from_what_is_forbidden() {
        let said = |errno: i32| not_opened(&io::Error::from_raw_os_error(errno)).to_string();
        assert_eq!(
            said(libc::ENOENT),
            "KVM is unavailable: there is no /dev/kvm; load kvm_intel or kvm_amd, or let this virtual machine have \
             nested ones; `--engine tcg` needs neither"
        );
        assert_eq!(
            said(libc::EACCES),
            "KVM is unavailable: /dev/kvm may not be opened: Permission denied (os error 13); join the group that \
             owns it, often `kvm`, or be root; `--engine tcg` needs neither"
        );
        assert!(said(libc::ENODEV).starts_with("KVM is unavailable: /dev/kvm cannot be opened: No such device"));
    }

    /// Runs a guest of these instructions for at most a second; none where there is no KVM.
    fn end_of(code: &[u8]) -> Option<(Result<(), EngineError>, bool)> {
        let kvm = Kvm::find().map_err(|why| eprintln!("{why}")).ok()?;
        let image = Image::without_probes().expect("the guest's memory");
        // The window begins behind the reset vector.
        image.file().write_all_at(code, 1 << 32).expect("the code is written");
        let ended = kvm.run_for(&image, Duration::from_secs(1));
        Some((ended, image.is_done().expect("the guest's memory")))
    }

    #[test]
    fn a_guest_that_does_not_leave_the_processor_is_ended() {
        let Some((ended, is_done)) = end_of(&[0xeb, 0xfe]) else { return };
        let error = ended.expect_err("a jump to itself has no end");
        assert_eq!((&*error.to_string(), is_done), ("no end of pgtlab vm after 1 s", false));
    }

    #[test]
    fn a_guest_that_ends_otherwise_is_a_failure() {
        let Some((ended, is_done)) = end_of(&[0xf4]) else { return };
        let error = ended.expect_err("it halts").to_string();
        let expected = "pgtlab vm ended with exit status: 2: error: the guest ended by Hlt at 0xffffffff80000001";
        assert_eq!((&*error, is_done), (expected, false));
    }

    #[test]
    fn a_guest_that_dies_early_is_not_done() {
        let Some((ended, is_done)) = end_of(&[0x0f, 0x0b]) else { return };
        assert!(ended.is_ok() && !is_done, "{ended:?}");
    }
}
