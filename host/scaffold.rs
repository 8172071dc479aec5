// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pgtlab new NAME`: a strategy's crate that builds, is found and passes its test at once.
//!
//! [`new_strategy`] makes one in a workspace, [`new_repository`] one that stands for itself. `name` says what a
//! strategy may be called, `taken` who is called so already, `manifest` registers the crate with the root
//! package, `like` starts from a strategy that is there, `vendor` copies what the crate is built on, from the
//! `sources` inside the program. The templates in `host/templates/` are what is written.
//!
//! Everything is made aside and moved into place at the end, so that an error leaves all as it was.

mod like;
mod manifest;
mod name;
mod repository;
mod sources;
mod taken;
mod vendor;

pub use manifest::ManifestError;
pub use name::{NameError, StrategyName};

use crate::discover::{did_you_mean, nearest};
use minijinja::UndefinedBehavior;
use minijinja::syntax::SyntaxConfig;
use std::path::{Path, PathBuf};
use std::{env, fmt, fs, io};

const MANIFEST: &str = include_str!("templates/strategy/Cargo.toml.jinja");
const LIBRARY: &str = include_str!("templates/strategy/lib.rs.jinja");

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
    /// There is no strategy to start from.
    #[error("no strategy is called {name}{}; there are {}", did_you_mean(suggestion.as_deref()), sources::names().join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// The nearest name.
        suggestion: Option<String>,
    },
    /// Something stands where it is meant to go.
    #[error("{} exists; nothing was written", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// There is no workspace to put it in.
    #[error(
        "no workspace of pgtlab, with core/ and {STRATEGIES}/, in {} or above; --out DIR makes a repository of its own",
        start.display()
    )]
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
    /// What is new: files seen from the workspace's root, or the files and folders of a repository.
    pub files: Vec<PathBuf>,
    /// The repository's folder, if it is one.
    pub repository: Option<PathBuf>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.repository.as_deref().filter(|folder| *folder != Path::new("."));
        let folder = folder.unwrap_or_else(|| Path::new(""));
        for file in &self.files {
            writeln!(f, "new      {}", folder.join(file).display())?;
        }
        if self.repository.is_none() {
            writeln!(f, "changed  Cargo.toml (dev-dependency {})", self.name)?;
            writeln!(f, "its test:      cargo nextest run -p {}", self.name)?;
            writeln!(f, "what it does:  just compare --strategy {}", self.name)?;
            return write!(f, "its snapshots: just bless");
        }
        if folder != Path::new("") {
            writeln!(f, "go there:      cd {}", folder.display())?;
        }
        let library = self.name.as_str().replace('-', "_");
        writeln!(f, "its test:      cargo test")?;
        writeln!(f, "build it:      cargo build --release")?;
        writeln!(f, "what it does:  pgtlab compare --strategy ./target/release/lib{library}.so")?;
        writeln!(f, "what it says:  pgtlab inspect ./target/release/lib{library}.so")?;
        write!(f, "whether it is sound, on every machine: pgtlab conform ./target/release/lib{library}.so")
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
        let core = fs::read_to_string(folder.join("core/Cargo.toml")).unwrap_or_default();
        let is_ours = core.lines().any(|line| line.trim() == r#"name = "pgtlab-core""#);
        is_ours && folder.join(STRATEGIES).is_dir() && manifest.lines().any(|line| line.trim() == "[workspace]")
    };
    let start = if start.as_os_str().is_empty() { Path::new(".") } else { start };
    let absolute = env::current_dir().map_err(failed("find", start))?.join(start);
    let found = absolute.ancestors().find(is_root).map(Path::to_path_buf);
    found.ok_or(ScaffoldError::NoWorkspace { start: absolute })
}

/// Makes the crate `strategies/NAME` in the workspace at `root` and registers it; started from the strategy
/// `like`, if one is named.
///
/// # Errors
/// A name that cannot be or is taken; files that cannot be read or written. Nothing has changed then.
pub fn new_strategy(name: &str, root: &Path, like: Option<&str>) -> Result<Report, ScaffoldError> {
    let name = StrategyName::parse(name)?;
    let like = like.map(started_from).transpose()?;
    let strategies = root.join(STRATEGIES);
    let folder = strategies.join(name.as_str());
    if let Some(by) = taken::by(&name, root)? {
        return Err(ScaffoldError::Taken { name, by });
    }
    let path = root.join("Cargo.toml");
    let manifest = fs::read_to_string(&path).map_err(failed("read", &path))?;
    let manifest =
        manifest::with_strategy(&manifest, &name).map_err(|source| ScaffoldError::Manifest { path, source })?;

    let packages = like.map_or_else(|| vec!["pgtlab-core".to_owned()], like::packages);
    let values = minijinja::context! { name => name.as_str(), packages };
    let manifest_of_crate =
        fill_in(MANIFEST, &values).map_err(|source| ScaffoldError::Template { file: "Cargo.toml", source })?;
    let mut files = vec![("Cargo.toml".to_owned(), manifest_of_crate)];
    files.extend(sources_of(&name, like)?);
    let permissions = folder_permissions(&strategies)?;
    let draft = tempfile::Builder::new().prefix(".new-").permissions(permissions).tempdir_in(&strategies);
    let draft = draft.map_err(failed("write to", &strategies))?;
    write_files(&files, draft.path())?;
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

    let files = files.iter().map(|(file, _)| Path::new(STRATEGIES).join(name.as_str()).join(file)).collect();
    Ok(Report { name, files, repository: None })
}

/// Makes a repository of its own in the folder `out`, which may be there or not.
///
/// # Errors
/// As [`new_strategy`], and if anything that would be written is there already.
pub fn new_repository(name: &str, out: &Path, like: Option<&str>) -> Result<Report, ScaffoldError> {
    let name = StrategyName::parse(name)?;
    let like = like.map(started_from).transpose()?;
    let files = repository::make(&name, out, like)?;
    Ok(Report { name, files, repository: Some(out.to_owned()) })
}

/// The folder of the strategy that is meant.
fn started_from(typed: &str) -> Result<&'static str, ScaffoldError> {
    sources::strategy(typed).ok_or_else(|| {
        let known = sources::strategies().flat_map(|(folder, text)| [vec![folder], taken::aliases(text)].concat());
        ScaffoldError::Unknown { name: typed.to_owned(), suggestion: nearest(known, typed) }
    })
}

/// The sources of the crate, path and text.
fn sources_of(name: &StrategyName, like: Option<&'static str>) -> Result<Vec<(String, String)>, ScaffoldError> {
    const FILE: &str = "src/lib.rs";
    if let Some(folder) = like {
        return Ok(like::files(folder));
    }
    let values = minijinja::context! { name => name.as_str(), type_name => name.type_name() };
    let text = fill_in(LIBRARY, &values).map_err(|source| ScaffoldError::Template { file: FILE, source })?;
    Ok(vec![(FILE.to_owned(), text)])
}

fn write_files(files: &[(String, String)], root: &Path) -> Result<(), ScaffoldError> {
    for (file, text) in files {
        let path = root.join(file);
        let folder = path.parent().unwrap_or(root);
        fs::create_dir_all(folder).map_err(failed("make", folder))?;
        fs::write(&path, text).map_err(failed("write", &path))?;
    }
    Ok(())
}

fn fill_in(template: &str, values: &minijinja::Value) -> Result<String, minijinja::Error> {
    let mut templates = minijinja::Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).build()?);
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
fn remove(path: &Path) {
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
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
        fs::create_dir_all(root.path().join("core")).expect("a folder");
        fs::write(root.path().join("core/Cargo.toml"), "[package]\nname = \"pgtlab-core\"\n").expect("a file");
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
        let error = new_strategy(name, root.path(), None).expect_err("refused");
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
        let report = new_strategy("newer", root.path(), None).expect("made");
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
