// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rest of a matrix in which one plugin is bad.

use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pgtlab");

const MACHINES: [(&str, &str); 2] = [
    ("small", "e820 0 9f000 1\ne820 9f000 100000 2\ne820 100000 80000000 1\nkernel 1000000 1800000\n"),
    (
        "small-pv",
        "e820 0 9f000 1\ne820 9f000 100000 2\ne820 100000 20000000 1\nkernel 1000000 1800000\n\
         xen_mfn_list 1800000\nxen_pt 1900000 20\nxen_mapped 1c00000\nxen 1\n",
    ),
];

/// What becomes of a plugin in a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    /// It is refused before any of its cells: it has no records.
    Refused,
    /// It has records that say what it did.
    Run,
    /// The same, and only a clock ends it. The time is one that the good ones do not need on the busiest machine.
    RunWithoutEnd,
}

/// A matrix of two strategies of the tree, and what it says.
pub(crate) struct Matrix {
    folder: TempDir,
    alone: String,
}

impl Matrix {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in MACHINES {
            fs::write(folder.path().join(format!("{name}.layout")), format!("name {name}\n{text}")).expect("a file");
        }
        let mut matrix = Self { folder, alone: String::new() };
        let (status, alone, errors) = matrix.run(None, Bad::Run);
        assert_eq!((status, &*errors), (0, ""));
        assert_eq!(records(&alone).len(), 4, "{alone}");
        matrix.alone = alone;
        matrix
    }

    /// Runs it with a bad plugin between the good ones: their part is the same to the byte.
    #[track_caller]
    pub(crate) fn check(&self, bad: &Path, kind: Bad) {
        let (status, stdout, errors) = self.run(Some(bad), kind);
        let what = bad.display();
        match kind {
            Bad::Refused => {
                assert_eq!((status, &*stdout), (2, &*self.alone), "{what}: {errors}");
                assert!(errors.starts_with(&format!("error: {what}: ")), "{errors}");
                assert!(errors.ends_with("the report is of the other strategies\n"), "{errors}");
            }
            Bad::Run | Bad::RunWithoutEnd => {
                assert_eq!((status, &*errors), (0, ""), "{what}: {stdout}");
                let (good, bad): (Vec<_>, Vec<_>) = records(&stdout).into_iter().partition(|record| is_of_tree(record));
                assert_eq!(bad.len(), MACHINES.len(), "{what}: {stdout}");
                assert_eq!(good, records(&self.alone), "{what}");
            }
        }
    }

    fn run(&self, bad: Option<&Path>, kind: Bad) -> (i32, String, String) {
        let mut command = Command::new(PROGRAM);
        command.current_dir(self.folder.path()).env_remove("PGTLAB_STRATEGY_PATH").env("XDG_DATA_HOME", "/none");
        command.args(["--quiet", "--jobs", "3"]);
        if kind == Bad::RunWithoutEnd {
            command.args(["--timeout", "10"]);
        }
        command.args(["compare", "--format", "json", "--strategy", "reserve-hook"]);
        bad.into_iter().for_each(|bad| {
            command.arg("--strategy").arg(bad);
        });
        command.args(["--strategy", "unfixed"]);
        for (name, _) in MACHINES {
            command.arg("--layout").arg(format!("./{name}.layout"));
        }
        let output = command.output().expect("the program starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program writes UTF-8");
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }
}

/// The records, as each is a line.
fn records(text: &str) -> Vec<&str> {
    text.lines().collect()
}

fn is_of_tree(record: &str) -> bool {
    [r#""strategy":"reserve-hook""#, r#""strategy":"unfixed""#].iter().any(|strategy| record.contains(strategy))
}
