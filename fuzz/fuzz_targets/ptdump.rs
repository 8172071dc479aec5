// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any text as a page_tables dump: what is read and written once stays as it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgtlab_core::ptdump::Dump;

fuzz_target!(|text: &str| {
    match Dump::parse(text) {
        Ok(dump) => assert_eq!(Dump::parse(&dump.render()).as_ref().map(Dump::render), Ok(dump.render())),
        Err(error) => assert!(0 < error.line, "{error:?}"),
    }
});
