// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's emulated processor (TCG) as the engine, in a process of its own.
//!
//! The machine is QEMU's `none`: a processor and memory from address 0 on, without firmware, devices or holes, so that
//! every frame of a layout can be what it is there. The processor starts at the reset vector as a real one does. The
//! memory is ours, given by the descriptor's path under /proc; what the guest found is read from it afterwards.

use super::Processor;
use super::image::Image;
use crate::judge::engine::{self, EngineError, Qemu, Unavailable};
use rustix::process::getpid;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Its name in `PGTLAB_REQUIRE` and in records.
pub const NAME: &str = "tcg";

/// The processor that it emulates; the width of addresses is that of every model.
pub(super) const PROCESSOR: Processor = Processor { address_bits: 40, has_gib_pages: true };

/// The processor: all that is emulated, but for five levels of tables and for the guards of user pages, which the
/// kernel's own accesses must not meet; with a number, which boards give it otherwise.
const CPU: &str = "max,-la57,-smap,-smep,-apic,apic-id=0";

/// How long a cell may take: a hundred times what the dearest does.
const WALL: Duration = Duration::from_secs(120);

/// QEMU, without hardware virtualisation.
#[derive(Clone, Debug)]
pub struct Tcg {
    qemu: Qemu,
    description: String,
}

impl Tcg {
    /// Finds it.
    ///
    /// # Errors
    /// It is not there, or does not run.
    pub fn find() -> Result<Self, Unavailable> {
        let qemu = Qemu::find()?;
        match qemu.version() {
            Ok(version) => Ok(Self { description: format!("{version}, TCG, processor `{CPU}`"), qemu }),
            Err(error) => {
                Err(Unavailable { what: "QEMU", why: error.to_string(), hint: "`just engines` unpacks another" })
            }
        }
    }

    /// What it is, with its version.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Runs the guest of an image to its end.
    pub(super) fn run(&self, image: &Image) -> Result<(), EngineError> {
        let memory = format!("/proc/{}/fd/{}", getpid(), image.file().as_raw_fd());
        let bytes = image.bytes();
        let mut command = self.qemu.command();
        command
            .args(["-nodefaults", "-display", "none", "-no-reboot", "-accel", "tcg", "-smp", "1", "-cpu", CPU])
            .args(["-machine", "none,memory-backend=ram", "-m", &format!("{bytes}B")])
            .args(["-object", &format!("memory-backend-file,id=ram,size={bytes}B,mem-path={memory},share=on")]);
        let ended = engine::run(&command, WALL)?;
        // It ends by a triple fault, which is no failure.
        if ended.status.success() {
            return Ok(());
        }
        let program = self.qemu.program().to_owned();
        Err(EngineError::Ended { program, status: ended.status, said: ended.said })
    }
}
