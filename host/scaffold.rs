// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab new NAME`: a strategy's crate that builds, is found and passes its test at once.
//!
//! [`new_strategy`] is the way in. `name` says what a strategy may be called, `taken` who is called so
//! already, `manifest` registers the crate with the root package, and the templates in `host/templates/`
//! are what is written.
//!
//! Everything is made aside and moved into place at the end, so that an error leaves the tree as it was.

mod manifest;
mod name;
mod taken;

pub use manifest::ManifestError;
pub use name::{NameError, StrategyName};

use minijinja::UndefinedBehavior;
use minijinja::syntax::SyntaxConfig;
use std::path::{Path, PathBuf};
use std::{env, fmt, fs, io};

/// The files of a new crate: path and template.
const FILES: [(&str, &str); 2] = [
    ("Cargo.toml", include_str!("templates/strategy/Cargo.toml.jinja")),
    ("src/lib.rs", include_str!("templates/strategy/lib.rs.jinja")),
];

/// Where strategies live in a workspace.
const STRATEGIES: &str = "strategies";

/// Why no strategy was made. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// A strategy cannot be called so.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The name means something already.
    #[error("the name {name} is taken: {by}")]
    Taken {
        /// The name.
        name: StrategyName,
        /// What is called so.
        by: String,
    },
    /// There is no workspace to put it in.
    #[error("no workspace with a folder {STRATEGIES}/ in {} or above", start.display())]
    NoWorkspace {
        /// Where the search began.
        start: PathBuf,
    },
    /// A file or folder cannot be read or written.
    #[error("failed to {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The root manifest cannot be added to.
    #[error("failed to register the crate in {}: {source}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// A template of ours is wrong.
    #[error("failed to fill in the template of {file}: {source}")]
    Template {
        /// The file it is for.
        file: &'static str,
        /// What is wrong with it.
        source: minijinja::Error,
    },
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The strategy.
    pub name: StrategyName,
    /// The files that are new, seen from the workspace's root.
    pub files: Vec<PathBuf>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in &self.files {
            writeln!(f, "new      {}", file.display())?;
        }
        writeln!(f, "changed  Cargo.toml (dev-dependency {})", self.name)?;
        writeln!(f, "its test:      cargo nextest run -p {}", self.name)?;
        writeln!(f, "what it does:  just compare --strategy {}", self.name)?;
        write!(f, "its snapshots: just bless")
    }
}

/// The root of the workspace around `start`: the nearest folder upward that has a manifest with
/// `[workspace]` and a folder `strategies/`.
///
/// # Errors
/// [`ScaffoldError::NoWorkspace`].
pub fn find_workspace(start: &Path) -> Result<PathBuf, ScaffoldError> {
    let is_root = |folder: &&Path| {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        folder.join(STRATEGIES).is_dir() && manifest.lines().any(|line| line.trim() == "[workspace]")
    };
    let start = if start.as_os_str().is_empty() { Path::new(".") } else { start };
    let absolute = env::current_dir().map_err(failed("find", start))?.join(start);
    let found = absolute.ancestors().find(is_root).map(Path::to_path_buf);
    found.ok_or(ScaffoldError::NoWorkspace { start: absolute })
}

/// Makes the crate `strategies/NAME` in the workspace at `root` and registers it.
///
/// # Errors
/// A name that cannot be or is taken; files that cannot be read or written. Nothing has changed then.
pub fn new_strategy(name: &str, root: &Path) -> Result<Report, ScaffoldError> {
    let name = StrategyName::parse(name)?;
    let strategies = root.join(STRATEGIES);
    let folder = strategies.join(name.as_str());
    if let Some(by) = taken::by(&name, root)? {
        return Err(ScaffoldError::Taken { name, by });
    }
    let path = root.join("Cargo.toml");
    let manifest = fs::read_to_string(&path).map_err(failed("read", &path))?;
    let manifest =
        manifest::with_strategy(&manifest, &name).map_err(|source| ScaffoldError::Manifest { path, source })?;

    let draft = write_crate(&name, &strategies)?;
    let manifest = write_beside(&root.join("Cargo.toml"), &manifest)?;
    let draft = draft.keep();
    fs::rename(&draft, &folder).map_err(|source| {
        remove(&draft);
        failed("make", &folder)(source)
    })?;
    manifest.persist(root.join("Cargo.toml")).map_err(|error| {
        remove(&folder);
        failed("write", &root.join("Cargo.toml"))(error.error)
    })?;

    let files = FILES.map(|(file, _)| Path::new(STRATEGIES).join(name.as_str()).join(file));
    Ok(Report { name, files: files.to_vec() })
}

/// The crate, in a folder beside the place it is meant for.
fn write_crate(name: &StrategyName, strategies: &Path) -> Result<tempfile::TempDir, ScaffoldError> {
    let permissions = folder_permissions(strategies)?;
    let draft = tempfile::Builder::new().prefix(".new-").permissions(permissions).tempdir_in(strategies);
    let draft = draft.map_err(failed("write to", strategies))?;
    for (file, template) in FILES {
        let text = fill_in(template, name).map_err(|source| ScaffoldError::Template { file, source })?;
        let path = draft.path().join(file);
        let folder = path.parent().unwrap_or_else(|| draft.path());
        fs::create_dir_all(folder).map_err(failed("make", folder))?;
        fs::write(&path, text).map_err(failed("write", &path))?;
    }
    Ok(draft)
}

fn fill_in(template: &str, name: &StrategyName) -> Result<String, minijinja::Error> {
    let mut templates = minijinja::Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).build()?);
    let values = minijinja::context! { name => name.as_str(), type_name => name.type_name() };
    templates.render_str(template, values)
}

/// The text in a new file that can take the place of the one at `path`, with its permissions.
fn write_beside(path: &Path, text: &str) -> Result<tempfile::NamedTempFile, ScaffoldError> {
    let permissions = fs::metadata(path).map_err(failed("read", path))?.permissions();
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let file = tempfile::NamedTempFile::new_in(folder).map_err(failed("write to", folder))?;
    fs::write(file.path(), text).map_err(failed("write", file.path()))?;
    fs::set_permissions(file.path(), permissions).map_err(failed("write", file.path()))?;
    Ok(file)
}

/// Those of the folder that the new one goes into; a temporary folder's are its owner's alone.
fn folder_permissions(folder: &Path) -> Result<fs::Permissions, ScaffoldError> {
    Ok(fs::metadata(folder).map_err(failed("read", folder))?.permissions())
}

/// Takes back what was made; if that fails as well, the first failure is the one worth telling.
fn remove(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
}

fn failed(what: &'static str, path: &Path) -> impl Fn(io::Error) -> ScaffoldError {
    let path = path.to_path_buf();
    move |source| ScaffoldError::Io { what, path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const ROOT: &str = "[workspace]\nmembers = [\"strategies/*\"]\n\n[dev-dependencies]\ninsta = \"1\"\n";
    const OLDER: &str = "pgtlab_core::export_strategy!(Older, summary = \"s\", aliases = [\"old\"]);\n";

    fn workspace(manifest: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(root.path().join("strategies/older/src")).expect("a folder");
        fs::write(root.path().join("strategies/older/src/lib.rs"), OLDER).expect("a file");
        fs::write(root.path().join("Cargo.lock"), "[[package]]\nname = \"serde\"\n").expect("a file");
        fs::write(root.path().join("Cargo.toml"), manifest).expect("a file");
        root
    }

    fn tree(folder: &Path) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                found.insert(path.clone(), String::new());
                found.append(&mut tree(&path));
            } else {
                found.insert(path.clone(), fs::read_to_string(&path).expect("text"));
            }
        }
        found
    }

    #[track_caller]
    fn refuses(manifest: &str, name: &str, text: &str) {
        let root = workspace(manifest);
        let before = tree(root.path());
        let error = new_strategy(name, root.path()).expect_err("refused");
        let shown = error.to_string().replace(&root.path().display().to_string(), "ROOT");
        assert!(shown.starts_with(text), "{shown}");
        assert_eq!(tree(root.path()), before);
    }

    #[test]
    fn an_error_leaves_the_tree_as_it_was() {
        refuses(ROOT, "older", "the name older is taken: strategies/older");
        refuses(ROOT, "old", "the name old is taken: an alias of strategies/older");
        refuses(ROOT, "serde", "the name serde is taken: a package in Cargo.lock");
        refuses(ROOT, "Newer", "\"Newer\" cannot name a strategy: ");
        refuses("[workspace\n", "newer", "failed to register the crate in ROOT/Cargo.toml: TOML parse error");
        refuses("dev-dependencies = 1\n", "newer", "failed to register the crate in ROOT/Cargo.toml: dev-dep");
    }

    #[test]
    fn a_new_strategy_adds_two_files_and_a_line() {
        let root = workspace(ROOT);
        let report = new_strategy("newer", root.path()).expect("made");
        let expected = ["strategies/newer/Cargo.toml", "strategies/newer/src/lib.rs"].map(PathBuf::from);
        assert_eq!(report.files, expected);
        let after = tree(root.path());
        let manifest = &after[&root.path().join("Cargo.toml")];
        assert_eq!(*manifest, format!("{ROOT}newer = {{ path = \"strategies/newer\" }}\n"));
        let made: Vec<&Path> = after.keys().filter_map(|path| path.strip_prefix(root.path()).ok()).collect();
        let made: Vec<&Path> = made.into_iter().filter(|path| path.starts_with("strategies")).collect();
        let folders = ["", "/newer", "/newer/Cargo.toml", "/newer/src", "/newer/src/lib.rs"];
        let expected = folders.map(|path| PathBuf::from(format!("strategies{path}")));
        assert!(expected.iter().all(|path| made.contains(&path.as_path())), "{made:?}");
        assert!(after[&root.path().join("strategies/newer/src/lib.rs")].contains("pub struct Newer;"));
    }

    #[test]
    fn the_workspace_is_found_from_below() {
        let root = workspace(ROOT);
        let root = root.path().canonicalize().expect("a path");
        assert_eq!(find_workspace(&root.join("strategies/older/src")).expect("found"), root);
        let outside = root.parent().expect("a parent");
        assert!(matches!(find_workspace(outside), Err(ScaffoldError::NoWorkspace { .. })));
    }
}
