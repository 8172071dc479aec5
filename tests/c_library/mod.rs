// SPDX-License-Identifier: MIT OR Apache-2.0
//! A library of C that shows whether it was opened.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds one whose constructor makes a file: the library, and the file. None where no C compiler is.
pub(crate) fn with_constructor(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let at = |name: &str| folder.join(name);
    let (source, library, mark) = (at("c.c"), at("libc_plugin.so"), at("executed"));
    let code = format!(
        "#include <stdio.h>\n__attribute__((constructor)) static void at_load(void) {{ fclose(fopen({:?}, \"w\")); }}\n",
        mark.display().to_string()
    );
    fs::write(&source, code).expect("a file");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    built.is_ok_and(|status| status.success()).then_some((library, mark))
}
