// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any text as a layout file: what is read comes back from what is written, and an error names a place in the
//! text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgtlab_core::bootlog::derive_xen;
use pgtlab_core::layout::{Layout, looks_like_layout};

fuzz_target!(|text: &str| {
    let _ = looks_like_layout(text);
    match Layout::parse(text, "stem") {
        Ok(layout) => {
            assert_eq!(Layout::parse(&layout.render(), "other").as_ref(), Ok(&layout));
            if let Ok(xen) = derive_xen(&layout) {
                assert_eq!(Layout::parse(&xen.render(), "other"), Ok(xen));
            }
        }
        Err(error) => {
            assert!(text.get(error.span.clone()).is_some(), "{error:?}");
            assert!(!error.to_string().contains(|c: char| c.is_control()), "{error:?}");
        }
    }
});
