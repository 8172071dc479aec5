// SPDX-License-Identifier: MIT OR Apache-2.0
//! The loop with a builder and a matrix that are made up.

use super::*;
use crate::load::{LoadError, LoadErrorKind};
use crate::record::Verdict;
use std::sync::mpsc::{TryRecvError, channel};

/// What the loop tells of these builds; the run of a plugin is one cell that ends as its file's name says. A
/// build's error, if it ended so, is told last.
fn told(builds: Vec<Result<Built, WatchError>>) -> Vec<String> {
    let (sender, notices) = channel();
    let mut said = Vec::new();
    let mut builds = builds.into_iter();
    let stop = AtomicBool::new(false);
    let ended = Watch {
        build: &mut || match builds.next() {
            Some(build) => {
                // The next change comes while this build goes on.
                sender.send(Notice::Changed).expect("the loop listens");
                build
            }
            None => Ok(Built::Stopped),
        },
        run: &|plugin| match plugin.to_str() {
            Some("bad") => {
                let kind = LoadErrorKind::NotAFile("a directory");
                Err(RunError::Load(LoadError { path: plugin.to_owned(), kind }).into())
            }
            name => {
                let verdict = if name == Some("boots") { Verdict::Boots } else { Verdict::Panics };
                Ok(vec![CellRecord::without_boot("s", "l", "xen", verdict, "text".to_owned())])
            }
        },
        tell: &mut |text| {
            said.push(text.to_owned());
            Ok(())
        },
        stop: &stop,
    }
    .run(&notices);
    if let Err(error) = ended {
        said.push(error.to_string());
    }
    said.retain(|text| !text.is_empty());
    said
}

fn plugin(name: &str) -> Result<Built, WatchError> {
    Ok(Built::Plugin(PathBuf::from(name), String::new()))
}

#[test]
fn what_moved_is_told_against_the_last_build_that_ran() {
    let failed = Ok(Built::Failed("error: no\n".to_owned()));
    let said = told(vec![plugin("panics"), failed, plugin("boots"), Ok(Built::Same), plugin("bad"), plugin("boots")]);
    let expected = [
        "1 cell: 1 PANIC\n",
        "error: no\nthe build failed; waiting for a change\n",
        "against the last build: 1 cell changed, 0 added, 0 gone, 0 as before\ns/l@xen: PANIC -> ok\n",
        "is a directory; expected a strategy's shared library\nwaiting for a change\n",
        "against the last build: 0 cells changed, 0 added, 0 gone, 1 as before\n",
    ];
    assert_eq!(said, expected);
}

#[test]
fn a_cargo_that_cannot_be_run_ends_the_watch() {
    let said = told(vec![Err(WatchError::Cargo(io::Error::from(io::ErrorKind::NotFound))), plugin("boots")]);
    assert_eq!(said, ["failed to run cargo: entity not found"]);
}

#[test]
fn a_stop_ends_the_wait_and_many_changes_are_one() {
    let (sender, notices) = channel();
    for notice in [Notice::Changed, Notice::Changed, Notice::Changed] {
        sender.send(notice).expect("sent");
    }
    assert!(wait(&notices));
    assert_eq!(notices.try_recv(), Err(TryRecvError::Empty));
    for notice in [Notice::Changed, Notice::Stop] {
        sender.send(notice).expect("sent");
    }
    assert!(!wait(&notices));
    drop(sender);
    assert!(!wait(&notices));
}

#[test]
fn a_source_that_is_written_is_noticed_and_one_that_is_read_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("lib.rs");
    std::fs::write(&file, "a").expect("a file");
    let (sender, notices) = channel();
    let _sources = Sources::watch(&[folder.path()], sender).expect("it is watched");
    assert_eq!(std::fs::read(&file).expect("read"), b"a");
    assert_eq!(notices.recv_timeout(3 * QUIET), Err(RecvTimeoutError::Timeout));
    std::fs::write(&file, "b").expect("written");
    assert_eq!(notices.recv_timeout(Duration::from_secs(10)), Ok(Notice::Changed));
}
