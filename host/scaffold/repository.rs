// SPDX-License-Identifier: MIT OR Apache-2.0
//! A strategy's crate as a repository of its own: it builds with nothing but cargo, wherever it stands.
//!
//! `pgtlab-core` is in no registry, so a copy of it lies in the repository. It is no member of the crate's
//! workspace: neither formatted nor linted nor tested with it.

use super::{ScaffoldError, StrategyName, failed, fill_in, like, remove, sources, taken, vendor};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The files that are written from a template; the crate's own come besides.
const FILES: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("../templates/repository/Cargo.toml.jinja")),
    ("README.md", include_str!("../templates/repository/README.md.jinja")),
    (".github/workflows/ci.yml", include_str!("../templates/repository/ci.yml.jinja")),
    (".gitignore", include_str!("../templates/repository/gitignore.jinja")),
];

/// The files that are as they are here.
const COPIES: [&str; 4] = ["LICENSE-APACHE", "LICENSE-MIT", "rust-toolchain.toml", "rustfmt.toml"];

/// A file that is to be written: path and text.
type New = (String, String);

/// Makes the repository in the folder `out`, which is made if it is not there. Gives what is new in it, by the
/// first word of each path.
pub(super) fn make(
    name: &StrategyName,
    out: &Path,
    folder: Option<&'static str>,
) -> Result<Vec<PathBuf>, ScaffoldError> {
    if let Some(by) = taken::by_us(name) {
        return Err(ScaffoldError::Taken { name: name.clone(), by });
    }
    let files = files(name, folder)?;
    let tops: BTreeSet<PathBuf> =
        files.iter().filter_map(|(path, _)| Path::new(path).iter().next()).map(PathBuf::from).collect();
    if let Some(path) = tops.iter().map(|top| out.join(top)).find(|path| path.symlink_metadata().is_ok()) {
        return Err(ScaffoldError::Exists { path });
    }
    let is_new = !out.exists();
    fs::create_dir_all(out).map_err(failed("make", out))?;
    let made = write(&files, out).and_then(|draft| move_into(draft.path(), out, &tops));
    if made.is_err() && is_new {
        // Only if it is empty again.
        let _ = fs::remove_dir(out);
    }
    made.map(|()| tops.into_iter().collect())
}

fn files(name: &StrategyName, folder: Option<&'static str>) -> Result<Vec<New>, ScaffoldError> {
    let packages = folder.map_or_else(|| vec!["pgtlab-core".to_owned()], like::packages);
    let ours = vendor::closure(&packages);
    let dependencies: Vec<String> =
        packages.iter().map(|package| format!("{package} = {{ path = \"{package}\" }}")).collect();
    let exclude: Vec<String> = ours.iter().map(|package| format!("\"{package}\"")).collect();
    let (lints, dependencies, exclude) = (vendor::lints(), dependencies.join("\n"), exclude.join(", "));
    let [edition, rust_version, license] = ["edition", "rust-version", "license"].map(vendor::package_value);
    let values = minijinja::context! {
        name => name.as_str(), library => name.as_str().replace('-', "_"), like => folder,
        core => pgtlab_core::plugin::VERSION, interface => pgtlab_core::plugin::INTERFACE.to_string(),
        ours => &ours, dependencies, exclude, lints, edition, rust_version, license,
    };
    let mut files = super::sources_of(name, folder)?;
    for (file, template) in FILES {
        files.push((
            file.to_owned(),
            fill_in(template, &values).map_err(|source| ScaffoldError::Template { file, source })?,
        ));
    }
    files.extend(COPIES.map(|file| (file.to_owned(), sources::text(file).to_owned())));
    files.push(("Cargo.lock".to_owned(), vendor::lock(&ours)));
    files.extend(ours.iter().flat_map(|package| vendor::files(package)));
    Ok(files)
}

/// All of it, in a folder of its own inside `out`.
fn write(files: &[New], out: &Path) -> Result<tempfile::TempDir, ScaffoldError> {
    let draft = tempfile::Builder::new().prefix(".new-").tempdir_in(out).map_err(failed("write to", out))?;
    super::write_files(files, draft.path())?;
    Ok(draft)
}

/// Moves what was written to where it is meant; on a failure what was moved is taken back.
fn move_into(draft: &Path, out: &Path, tops: &BTreeSet<PathBuf>) -> Result<(), ScaffoldError> {
    let mut moved: Vec<PathBuf> = Vec::new();
    for top in tops {
        let to = out.join(top);
        if let Err(source) = fs::rename(draft.join(top), &to) {
            moved.iter().for_each(|path| remove(path));
            return Err(failed("make", &to)(source));
        }
        moved.push(to);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaffold::new_repository;

    #[track_caller]
    fn refuses(name: &str, like: Option<&str>, there: &str, expected: &str) {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(there), "mine").expect("a file");
        let error = new_repository(name, folder.path(), like).expect_err("refused").to_string();
        assert!(error.replace(&folder.path().display().to_string(), "OUT").starts_with(expected), "{error}");
        let left: Vec<_> =
            fs::read_dir(folder.path()).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, [there]);
        assert_eq!(fs::read_to_string(folder.path().join(there)).expect("a file"), "mine");
    }

    #[test]
    fn an_error_leaves_the_folder_as_it_was() {
        refuses("my-fix", None, "README.md", "OUT/README.md exists; nothing was written");
        refuses("my-fix", None, "pgtlab-core", "OUT/pgtlab-core exists; nothing was written");
        refuses("unfixed", None, "notes", "the name unfixed is taken: a strategy of pgtlab");
        refuses("hook", None, "notes", "the name hook is taken: an alias of pgtlab's reserve-hook");
        refuses("serde", None, "notes", "the name serde is taken: a package");
        refuses("My", None, "notes", "\"My\" cannot name a strategy");
        refuses("my-fix", Some("hok"), "notes", "no strategy is called hok (did you mean hook?); there are exact-size");
    }

    #[test]
    fn a_repository_is_made_in_the_folder_or_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("deep/my-fix");
        let report = new_repository("my-fix", &out, Some("hook")).expect("made");
        assert!(report.files.contains(&PathBuf::from("pgtlab-linux")), "{report:?}");
        let left: Vec<_> = fs::read_dir(&out).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left.len(), report.files.len());
        let text = |file: &str| fs::read_to_string(out.join(file)).expect("a file");
        assert!(text("src/lib.rs").contains("export_strategy!(ReserveHook, summary"));
        assert!(text("Cargo.toml").contains("pgtlab-linux = { path = \"pgtlab-linux\" }"));
        assert!(text("README.md").contains("./target/release/libmy_fix.so"));
    }
}
