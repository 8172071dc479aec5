// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as a boot log: every layout made of them can be written to a file and read back, and printed as
//! a log again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgtlab_core::bootlog::{BootLog, Stage, Style, print};
use pgtlab_core::layout::{Backend, Layout};

fuzz_target!(|bytes: &[u8]| {
    let log = BootLog::from_bytes(bytes);
    for note in log.notes() {
        assert!(!note.to_string().contains(|c: char| c.is_control()), "{note:?}");
    }
    for layout in [log.native("name"), log.xen("name")].into_iter().flatten() {
        check(&layout);
    }
    for backend in [Backend::Native, Backend::Xen] {
        for stage in [Stage::Firmware, Stage::User, Stage::Last] {
            match log.import("name", backend, stage) {
                Ok(imported) => {
                    check(&imported.layout);
                    for assumed in &imported.assumed {
                        assert!(!assumed.to_string().contains(|c: char| c.is_control()), "{assumed:?}");
                    }
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
});

fn check(layout: &Layout) {
    assert_eq!(Layout::parse(&layout.render(), "stem").as_ref(), Ok(layout));
    for style in Style::ALL {
        let printed = BootLog::parse(&print(layout, style));
        assert!(printed.import("name", layout.backend, Stage::Last).is_ok());
    }
}
