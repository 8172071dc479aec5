//! Stand-in for the tests.
use std::process::ExitCode;
fn main() -> ExitCode {
    pgtlab::worker::main()
}
