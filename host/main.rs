// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program `pgtlab`: which early page-table fix boots on which machine.

use std::process::ExitCode;

fn main() -> ExitCode {
    pgtlab::command::main()
}
