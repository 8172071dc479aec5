// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab watch`: what moves in the matrix while a strategy is being written.

use super::{CommandError, DONE, jobs, limits, output, progress};
use crate::cli::{self, Global};
use crate::corpus;
use crate::matrix::{self, Contestant, Place};
use crate::protocol::{Reply, Request};
use crate::record::{CellRecord, Verdict};
use crate::scaffold::find_workspace;
use crate::spawn::{RunError, run_cell};
use crate::watch::{Cargo, Sources, Watch, WatchError, find_package, stop_on_signals};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

pub(super) fn watch(global: &Global, asked: &cli::Watch) -> Result<u8, CommandError> {
    let here = std::env::current_dir().map_err(CommandError::NoFolder)?;
    let root = find_workspace(&here)?;
    let package = find_package(&root, &asked.strategy)?;
    let places = matrix::places(&corpus::select(&asked.layouts)?, None, &asked.what_if);

    let stop = Arc::new(AtomicBool::new(false));
    let (sender, notices) = channel();
    stop_on_signals(Arc::clone(&stop), sender.clone())
        .map_err(|source| WatchError::Io { what: "listen for signals", source })?;
    let manifest = root.join("Cargo.toml");
    let folders = [root.join("strategies"), root.join("core")];
    let _sources = Sources::watch(&[&folders[0], &folders[1], &manifest], sender)?;

    let has_color = anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never;
    let mut cargo = Cargo::new(&root, &package, has_color)?;
    if !global.quiet {
        anstream::eprintln!("watching {package} in {}; Ctrl-C ends it", root.display());
    }
    Watch {
        build: &mut || cargo.build(&stop),
        run: &|plugin| run(global, &package, plugin, &places, &stop),
        tell: &mut |text| {
            let told = output::print(text);
            told.map_err(|error| WatchError::Io { what: "print", source: std::io::Error::other(error) })
        },
        stop: &stop,
    }
    .run(&notices)?;
    Ok(DONE)
}

/// Runs every cell; the rest is left out once the watch is over.
fn run(
    global: &Global,
    package: &str,
    plugin: &Path,
    places: &[Place],
    stop: &AtomicBool,
) -> Result<Vec<CellRecord>, WatchError> {
    let contestant = Contestant {
        name: package.to_owned(),
        short: package.to_owned(),
        typed: package.to_owned(),
        plugin: plugin.to_owned(),
        ..Contestant::default()
    };
    let limits = limits(global);
    let bar = progress::bar(places.len() as u64, "cells", global.quiet);
    let failure: Mutex<Option<RunError>> = Mutex::new(None);
    let has_failed = || failure.lock().is_ok_and(|failure| failure.is_some());
    let run_one = |request: &Request| -> Reply {
        let left_out = |text: String| {
            let record = CellRecord::without_boot(&request.strategy, "", "", Verdict::Error, text);
            Reply { record, text: String::new(), n_steps: 0 }
        };
        if stop.load(Ordering::Relaxed) || has_failed() {
            return left_out("left out".to_owned());
        }
        run_cell(request, &limits).unwrap_or_else(|error| {
            let text = error.to_string();
            if let Ok(mut failure) = failure.lock() {
                failure.get_or_insert(error);
            }
            left_out(text)
        })
    };
    let records = matrix::run(&[contestant], places, jobs(global), &run_one, &|| bar.inc(1))?;
    bar.finish_and_clear();
    match failure.into_inner() {
        Ok(Some(error)) => Err(error.into()),
        _ => Ok(records),
    }
}
