// SPDX-License-Identifier: MIT OR Apache-2.0
//! Patterns over paths.

use super::{CorpusError, is_pattern};
use globset::GlobMatcher;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Adds the files below the pattern's fixed folders that match it, sorted.
pub(super) fn matching(pattern: &str, matcher: &GlobMatcher, files: &mut Vec<PathBuf>) -> Result<(), CorpusError> {
    let parts: Vec<Component<'_>> = Path::new(pattern).components().collect();
    let is_fixed = |part: &&Component<'_>| !is_pattern(&part.as_os_str().to_string_lossy());
    let fixed: PathBuf = parts.iter().take_while(is_fixed).collect();
    let depth = if pattern.contains("**") { usize::MAX } else { parts.len() - fixed.components().count() };
    let first = files.len();
    walk(&fixed, depth, matcher, files)?;
    files[first..].sort();
    Ok(())
}

fn walk(folder: &Path, depth: usize, matcher: &GlobMatcher, files: &mut Vec<PathBuf>) -> Result<(), CorpusError> {
    let at = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = match fs::read_dir(at) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(CorpusError::Folder { folder: at.to_owned(), source }),
    };
    for entry in entries {
        let entry = entry.map_err(|source| CorpusError::Folder { folder: at.to_owned(), source })?;
        let path = folder.join(entry.file_name());
        // Links to folders are not followed: a pattern with `**` would not come to an end.
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && 1 < depth {
            walk(&path, depth - 1, matcher, files)?;
        } else if !path.is_dir() && matcher.is_match(&path) {
            files.push(path);
        }
    }
    Ok(())
}
