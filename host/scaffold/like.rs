// SPDX-License-Identifier: MIT OR Apache-2.0
//! A crate started from a strategy of this tree: its source under another name.

use super::sources;
use toml_edit::{DocumentMut, Item};

/// rustfmt.toml's `max_width`.
const WIDTH: usize = 120;

/// The files of a strategy's `src/`, path and text. The aliases stay with the strategy they belong to.
pub(super) fn files(folder: &str) -> Vec<(String, String)> {
    let files = sources::below(&format!("strategies/{folder}"));
    let files = files.filter(|(path, _)| path.starts_with("src/"));
    files.map(|(path, text)| (path.to_owned(), without_aliases(text))).collect()
}

/// Of which of our packages it is made, ascending.
pub(super) fn packages(folder: &str) -> Vec<String> {
    let manifest: DocumentMut = sources::text(&format!("strategies/{folder}/Cargo.toml")).parse().unwrap_or_default();
    let dependencies = manifest.get("dependencies").and_then(Item::as_table_like);
    dependencies.map(|table| table.iter().map(|(name, _)| name.to_owned()).collect()).unwrap_or_default()
}

fn without_aliases(source: &str) -> String {
    let Some((before, call)) = source.split_once("export_strategy!(") else { return source.to_owned() };
    let Some((arguments, after)) = call.split_once(");") else { return source.to_owned() };
    let Some((first, rest)) = arguments.split_once("aliases = [") else { return source.to_owned() };
    let rest = rest.split_once(']').map_or(rest, |(_, rest)| rest);
    let arguments = format!("{}{rest}", first.trim_end().trim_end_matches(','));
    let words: Vec<&str> = arguments.trim().trim_end_matches(',').lines().map(str::trim).collect();
    let line = before.lines().last().unwrap_or_default();
    let joined = words.join(" ");
    // As rustfmt has it: on one line if there is room.
    let arguments = if line.len() + "export_strategy!(".len() + joined.len() + 2 <= WIDTH { joined } else { arguments };
    format!("{before}export_strategy!({arguments});{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: &str) {
        assert_eq!(without_aliases(source), expected);
    }

    #[test]
    fn aliases_are_left_out_and_the_rest_is_as_it_was() {
        check("a::export_strategy!(A, summary = \"s\");\n", "a::export_strategy!(A, summary = \"s\");\n");
        check(
            "x\na::export_strategy!(A, summary = \"s\", aliases = [\"b\"]);\n",
            "x\na::export_strategy!(A, summary = \"s\");\n",
        );
        check(
            "export_strategy!(\n    A,\n    summary = \"s\",\n    aliases = [\"b\"]\n);\n",
            "export_strategy!(A, summary = \"s\");\n",
        );
        let long = "s".repeat(90);
        check(
            &format!(
                "export_strategy!(\n    A,\n    summary = \"{long}\",\n    aliases = [\"b\"],\n    stages = [Plan],\n);\n"
            ),
            &format!("export_strategy!(\n    A,\n    summary = \"{long}\",\n    stages = [Plan],\n);\n"),
        );
    }

    #[test]
    fn a_strategy_is_made_of_our_packages_only() {
        for name in sources::names() {
            let packages = packages(name);
            assert!(packages.iter().all(|package| package.starts_with("pgtlab-")), "{name}: {packages:?}");
        }
    }
}
