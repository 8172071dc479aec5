// SPDX-License-Identifier: MIT OR Apache-2.0
//! The golden layouts, and how a strategy fares on each.

use pgtlab_core::build::{Built, Watch, boot};
use pgtlab_core::decide::Decider;
use pgtlab_core::layout::Layout;
use std::fs;
use std::path::Path;

/// Boots every golden layout, in the order of the files' names.
pub(crate) fn boots(strategy: impl Fn() -> Box<dyn Decider>) -> Vec<(Layout, Built)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut paths: Vec<_> = fs::read_dir(dir)
        .expect("the goldens are there")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "layout"))
        .collect();
    paths.sort();
    let run = |path: &std::path::PathBuf| {
        let text = fs::read_to_string(path).expect("readable");
        let layout = Layout::parse(&text, "golden").expect("a layout");
        let built = boot(&layout, strategy().as_mut(), Watch { ops: true, ..Watch::RULES })
            .expect("golden layouts hold together");
        (layout, built)
    };
    paths.iter().map(run).collect()
}
