// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a command's output goes.

use super::CommandError;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Writes to standard output. A reader that has gone away is no error.
pub(super) fn print(text: &str) -> Result<(), CommandError> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError::Output { place: "standard output".to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

/// A place for a report, opened before the work begins so that a wrong path is told at once.
#[derive(Debug)]
pub(super) enum Output {
    Stdout,
    /// A file that is replaced as a whole when the report is there.
    Replaced(PathBuf),
    /// A pipe or a device.
    Stream(File, PathBuf),
}

impl Output {
    pub(super) fn open(path: Option<&Path>) -> Result<Self, CommandError> {
        let Some(path) = path else { return Ok(Self::Stdout) };
        let failed = |source| CommandError::Output { place: path.display().to_string(), source };
        match path.metadata() {
            Ok(found) if found.is_dir() => Err(failed(io::Error::from(io::ErrorKind::IsADirectory))),
            Ok(found) if !found.is_file() => {
                let file = OpenOptions::new().write(true).open(path).map_err(failed)?;
                Ok(Self::Stream(file, path.to_owned()))
            }
            found => {
                if found.is_ok() {
                    // A file that may not be written to is not replaced either.
                    OpenOptions::new().write(true).open(path).map_err(failed)?;
                }
                // Made to see that it can be, and gone at once: a run that is interrupted leaves nothing.
                drop(draft_beside(path).map_err(failed)?);
                Ok(Self::Replaced(path.to_owned()))
            }
        }
    }

    /// Writes the report. Only a terminal gets colours.
    pub(super) fn write(self, text: &str) -> Result<(), CommandError> {
        let plain = anstream::adapter::strip_str(text);
        match self {
            Self::Stdout => print(text),
            Self::Replaced(path) => {
                let failed = |source| CommandError::Output { place: path.display().to_string(), source };
                let mut file = draft_beside(&path).map_err(failed)?;
                write!(file, "{plain}").and_then(|()| file.flush()).map_err(failed)?;
                file.persist(&path).map_err(|error| failed(error.error))?;
                Ok(())
            }
            Self::Stream(mut file, path) => write!(file, "{plain}").or_else(|source| {
                let place = path.display().to_string();
                if source.kind() == io::ErrorKind::BrokenPipe {
                    Ok(())
                } else {
                    Err(CommandError::Output { place, source })
                }
            }),
        }
    }
}

/// A file that is to take the place of this one.
fn draft_beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    folder.metadata()?;
    let mut builder = tempfile::Builder::new();
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    // Only the kind: the error's text names the temporary file.
    builder.tempfile_in(folder).map_err(|error| error.kind().into())
}
