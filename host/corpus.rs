// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machines: those inside the program, and files. [`select`] turns what a person typed into
//! [`Source`]s.

mod files;

use crate::input::{self, InputError, Machine, stem_of};
use crate::prove::family::Member;
use globset::{GlobBuilder, GlobMatcher};
use miette::Diagnostic;
use pgtlab_core::conform::hard_named;
use pgtlab_core::layout::Layout;
use std::collections::BTreeMap;
use std::io::stdin;
use std::path::{Path, PathBuf};

/// What stands for standard input where a file is named, how errors call it, and what a machine read from it is called.
const STANDARD_INPUT: &str = "-";
const STANDARD_INPUT_PLACE: &str = "standard input";
const STANDARD_INPUT_STEM: &str = "stdin";

/// A machine inside the program.
#[derive(Clone, Copy, Debug)]
pub struct Embedded {
    /// The layout's name.
    pub name: &'static str,
    /// Its folder, and what its golden is called; most often the same.
    pub stem: &'static str,
    /// Where it stands in the workspace.
    pub file: &'static str,
    /// The file's text.
    pub text: &'static str,
}

/// The corpus, by name.
pub static EMBEDDED: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/corpus.rs"));

/// A machine, and where it was found.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file, or the place in the workspace of one that is inside the program.
    pub place: String,
    /// Its file's stem, or its folder in the corpus: the machine's other name.
    pub stem: String,
    /// How it is called on the command line.
    pub typed: String,
    /// The machine.
    pub machine: Machine,
}

/// Why what was typed names no machines.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// Neither a name nor a file.
    #[error(
        "unknown layout `{typed}`: no layout of that name, and no such file{}; `pgtlab list` shows the names",
        nearest.map(|name| format!(" (nearest name: {name})")).unwrap_or_default()
    )]
    Unknown {
        /// What was typed.
        typed: String,
        /// A name like it.
        nearest: Option<&'static str>,
    },
    /// A pattern that matches nothing.
    #[error("no layout's name and no file matches `{typed}`; `pgtlab list` shows the names")]
    NoMatch {
        /// What was typed.
        typed: String,
    },
    /// A pattern that is none.
    #[error("`{typed}` is no pattern: {source}")]
    Pattern {
        /// What was typed.
        typed: String,
        /// What is wrong with it.
        source: globset::Error,
    },
    /// A folder could not be read.
    #[error("cannot read the folder {}: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Two machines of one name.
    #[error("two layouts are named `{name}`: {first} and {second}")]
    SameName {
        /// The name.
        name: String,
        /// The place of one.
        first: String,
        /// The place of the other.
        second: String,
    },
    /// A file that holds no machine.
    #[error(transparent)]
    Input(#[from] InputError),
}

impl Diagnostic for CorpusError {
    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        match self {
            Self::Input(error) => error.source_code(),
            _ => None,
        }
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        match self {
            Self::Input(error) => error.labels(),
            _ => None,
        }
    }
}

/// The machines that were typed, each once, in the order of their names; all inside the program if nothing
/// was.
///
/// # Errors
/// If a word names nothing, a file holds no machine, or two machines have one name.
pub fn select(typed: &[String]) -> Result<Vec<Source>, CorpusError> {
    let mut embedded: Vec<&'static Embedded> = Vec::new();
    let mut layouts: Vec<Layout> = Vec::new();
    let mut files: Vec<PathBuf> = Vec::new();
    if typed.is_empty() {
        embedded.extend(EMBEDDED);
    }
    let (standard_input, named): (Vec<&String>, Vec<&String>) = typed.iter().partition(|word| *word == STANDARD_INPUT);
    for word in named {
        find(word, &mut embedded, &mut layouts, &mut files)?;
    }
    let mut sources = Vec::new();
    if let Some(word) = standard_input.first() {
        let (place, stem) = (STANDARD_INPUT_PLACE, STANDARD_INPUT_STEM);
        let machine = Machine::from_reader(stdin().lock(), place, stem)?;
        sources.push(Source { place: place.to_owned(), stem: stem.to_owned(), typed: (*word).clone(), machine });
    }
    embedded.sort_by_key(|machine| machine.name);
    embedded.dedup_by_key(|machine| machine.name);
    for machine in embedded {
        sources.push(machine.read()?);
    }
    for layout in layouts {
        let name = layout.name.clone();
        let machine = Machine::from_bytes(layout.render().as_bytes(), &name, &name)?;
        sources.push(Source { place: name.clone(), stem: name.clone(), typed: name, machine });
    }
    let mut seen = std::collections::BTreeSet::new();
    for path in files {
        if seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
            let place = path.display().to_string();
            sources.push(Source { stem: stem_of(&path), typed: place.clone(), place, machine: Machine::read(&path)? });
        }
    }
    let mut by_name: BTreeMap<String, Source> = BTreeMap::new();
    for source in sources {
        let name = source.machine.name().to_owned();
        if let Some(first) = by_name.get(&name) {
            let (first, second) = (first.place.clone(), source.place);
            return Err(CorpusError::SameName { name, first, second });
        }
        by_name.insert(name, source);
    }
    Ok(by_name.into_values().collect())
}

/// The name and text of the boot log that was typed: of a machine inside the program, or of a file.
///
/// # Errors
/// If the word names nothing, or no log.
pub fn log_text(typed: &str) -> Result<(String, String), CorpusError> {
    if typed == STANDARD_INPUT {
        let text = input::read_log_text_from(stdin().lock(), STANDARD_INPUT_PLACE)?;
        return Ok((STANDARD_INPUT_STEM.to_owned(), text));
    }
    if let Some(machine) = EMBEDDED.iter().find(|machine| machine.is_called(|name| name == typed)) {
        return Ok((machine.name.to_owned(), input::log_text(machine.text.as_bytes(), machine.file)?));
    }
    let path = Path::new(typed);
    if !path.exists() && !typed.contains('/') {
        let nearest = nearest(typed, EMBEDDED.iter().map(|machine| machine.name));
        return Err(CorpusError::Unknown { typed: typed.to_owned(), nearest });
    }
    Ok((stem_of(path), input::read_log_text(path)?))
}

impl Embedded {
    /// Reads the machine.
    ///
    /// # Errors
    /// None, as long as the tests pass.
    pub fn read(&self) -> Result<Source, InputError> {
        let machine = Machine::from_bytes(self.text.as_bytes(), self.file, self.name)?;
        Ok(Source { place: self.file.to_owned(), stem: self.stem.to_owned(), typed: self.name.to_owned(), machine })
    }

    fn is_called(&self, is_match: impl Fn(&str) -> bool) -> bool {
        is_match(self.name) || is_match(self.stem)
    }
}

/// The machine of this name that is made when it is asked for: one of a small family, or a hard one of the
/// conformance kit.
fn made(name: &str) -> Option<Layout> {
    Member::named(name).map(Member::layout).or_else(|| hard_named(name))
}

/// Names come first, then files; a pattern is one of names unless it has a slash.
fn find(
    word: &str,
    embedded: &mut Vec<&'static Embedded>,
    layouts: &mut Vec<Layout>,
    files: &mut Vec<PathBuf>,
) -> Result<(), CorpusError> {
    let before = (embedded.len(), files.len());
    embedded.extend(EMBEDDED.iter().filter(|machine| machine.is_called(|name| name == word)));
    if before.0 < embedded.len() {
        return Ok(());
    }
    if let Some(layout) = made(word) {
        layouts.push(layout);
        return Ok(());
    }
    let path = Path::new(word);
    if path.exists() || (word.contains('/') && !is_pattern(word)) {
        files.push(path.to_owned());
        return Ok(());
    }
    if !is_pattern(word) {
        let nearest = nearest(word, EMBEDDED.iter().map(|machine| machine.name));
        return Err(CorpusError::Unknown { typed: word.to_owned(), nearest });
    }
    let matcher = matcher(word)?;
    if !word.contains('/') {
        embedded.extend(EMBEDDED.iter().filter(|machine| machine.is_called(|name| matcher.is_match(name))));
    }
    if before.0 == embedded.len() {
        files::matching(word, &matcher, files)?;
    }
    if before == (embedded.len(), files.len()) {
        return Err(CorpusError::NoMatch { typed: word.to_owned() });
    }
    Ok(())
}

/// Whether a word has a character that stands for others.
#[must_use]
pub fn is_pattern(word: &str) -> bool {
    word.contains(['*', '?', '[', '{'])
}

fn matcher(word: &str) -> Result<GlobMatcher, CorpusError> {
    let glob = GlobBuilder::new(word).literal_separator(true).build();
    Ok(glob.map_err(|source| CorpusError::Pattern { typed: word.to_owned(), source })?.compile_matcher())
}

/// The name most like the word, if one is like it at all.
#[must_use]
pub fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let word = word.to_lowercase();
    let likeness = |name: &str| {
        let name = name.to_lowercase();
        let shared = word.chars().zip(name.chars()).take_while(|(a, b)| a == b).count();
        if name.contains(&word) || word.contains(&name) { shared.max(word.len().min(name.len())) } else { shared }
    };
    let best = names.max_by_key(|name| (likeness(name), std::cmp::Reverse(name.len())))?;
    (3 <= likeness(best)).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(typed: &[&str]) -> Vec<String> {
        let typed: Vec<String> = typed.iter().map(|&word| word.to_owned()).collect();
        let sources = select(&typed).unwrap_or_else(|error| panic!("{typed:?}: {error}"));
        sources.iter().map(|source| source.machine.name().to_owned()).collect()
    }

    #[test]
    fn the_corpus_holds_77_machines_in_the_order_of_their_names() {
        let all = names(&[]);
        assert_eq!(all.len(), 77);
        assert!(all.iter().zip(EMBEDDED).all(|(name, machine)| name == machine.name));
    }

    #[test]
    fn a_layout_is_found_by_name_by_its_stem_and_by_pattern_and_only_once() {
        assert_eq!(names(&["05-xen-ec2-7680m"]), ["05-xen-ec2-7680m"]);
        assert_eq!(names(&["06-xen-ec2-acpi"]), ["06-xen-dom0-acpi-7680m"]);
        assert_eq!(names(&["0[1-3]-*", "02-*", "03-native-64g-gb"]).len(), 3);
    }

    #[test]
    fn what_names_nothing_is_an_error() {
        let error = |word: &str| select(&[word.to_owned()]).expect_err("names nothing").to_string();
        assert!(error("05-xen-ec2").contains("nearest name: 05-xen-ec2-7680m"), "{}", error("05-xen-ec2"));
        assert!(error("no-*-such").contains("matches `no-*-such`"));
        assert!(error("[").contains("is no pattern"));
    }
}
