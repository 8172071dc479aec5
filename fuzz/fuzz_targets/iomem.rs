// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any text as `/proc/iomem`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgtlab_core::bootlog::{BootLog, Stage, looks_like_iomem};
use pgtlab_core::layout::{Backend, Layout};

fuzz_target!(|text: &str| {
    let Ok(log) = BootLog::from_iomem(text) else { return };
    if looks_like_iomem(text) {
        assert!(log.facts().iter().all(|taken| 0 < taken.line));
    }
    for backend in [Backend::Native, Backend::Xen] {
        if let Ok(imported) = log.import("name", backend, Stage::Last) {
            assert_eq!(Layout::parse(&imported.layout.render(), "stem"), Ok(imported.layout));
        }
    }
});
