// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any text as the kernel's `mem=`, `memmap=` and `crashkernel=`, alone and in a command line of a log.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgtlab_core::bootlog::{BootLog, Stage};
use pgtlab_core::cmdline::{MapOption, apply, parse_crashkernel, parse_mem, parse_memmap};
use pgtlab_core::layout::{Backend, Layout};

const MAP: &str = "BIOS-e820: [mem 0x1000-0x9fbff] usable\nBIOS-e820: [mem 0x100000-0x7fffffff] usable\n\
                   BIOS-e820: [mem 0xfec00000-0xfec00fff] reserved\n";

fuzz_target!(|text: &str| {
    let machine = BootLog::parse(MAP).native("machine").expect("the map is good");
    let mut options: Vec<MapOption> = parse_mem(text).into_iter().collect();
    options.extend(parse_memmap(text).into_iter().flatten());
    let map = apply(&machine.e820, &options);
    assert!(map.entries().windows(2).all(|pair| pair[0].range.end <= pair[1].range.start));
    if let Ok(crash) = parse_crashkernel(text) {
        let _ = crash.bytes(machine.e820.ram_bytes());
    }
    let log = BootLog::parse(&format!("Command line: {text}\n{MAP}"));
    if let Ok(imported) = log.import("machine", Backend::Native, Stage::Last) {
        assert_eq!(Layout::parse(&imported.layout.render(), "stem"), Ok(imported.layout));
    }
});
