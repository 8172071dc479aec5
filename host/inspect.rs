// SPDX-License-Identifier: MIT OR Apache-2.0
//! What there is to know of a plugin's file without loading it, as a page of text.
//!
//! [`Inspection::of`] reads the file and nothing of it is executed: `dlopen` would run its constructors.

use crate::load::{self, Description, LoadError, LoadErrorKind, OptionDescription};
use crate::report::wrapped;
use pgtlab_core::plugin;
use sha2::{Digest, Sha256};
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A plugin's file as it was found.
#[derive(Debug)]
pub struct Inspection {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub size_bytes: u64,
    /// The SHA-256 of its bytes, as 64 hexadecimal digits.
    pub sha256: String,
    /// What it says of itself, if it can be read.
    pub description: Option<Description>,
    /// Why it cannot be loaded, if it cannot.
    pub refusal: Option<LoadErrorKind>,
}

impl Inspection {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read at all. A file that is no plugin is none.
    pub fn of(path: &Path) -> Result<Self, LoadError> {
        let (description, refusal) = match load::inspect(path) {
            Ok(description) => {
                let refusal = load::check_interface(path, &description).err().map(|error| error.kind);
                let refusal = refusal.or_else(|| load::defaults(&description).err());
                (Some(description), refusal)
            }
            Err(LoadError { path, kind: kind @ (LoadErrorKind::Unreadable(_) | LoadErrorKind::NotAFile(_)) }) => {
                return Err(LoadError { path, kind });
            }
            Err(error) => (None, Some(error.kind)),
        };
        let (sha256, size_bytes) = digest(path)
            .map_err(|error| LoadError { path: path.to_owned(), kind: LoadErrorKind::Unreadable(error) })?;
        Ok(Self { path: path.to_owned(), size_bytes, sha256, description, refusal })
    }
}

fn digest(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut n_bytes = 0;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        n_bytes += n as u64;
        hash.update(&buffer[..n]);
    }
    let mut digits = String::new();
    for byte in hash.finalize() {
        let _ = write!(digits, "{byte:02x}");
    }
    Ok((digits, n_bytes))
}

/// The width of the column of words.
const WORDS: usize = 12;

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |word: &str, text: &str| writeln!(f, "{word:WORDS$}{}", text.trim_end());
        line("file", &self.path.display().to_string())?;
        line("size", &format!("{} bytes", grouped(self.size_bytes)))?;
        line("sha256", &self.sha256)?;
        if let Some(description) = &self.description {
            let Description { name, version, aliases, .. } = description;
            let aliases = if aliases.is_empty() { String::new() } else { format!(" ({})", aliases.join(", ")) };
            line("strategy", &format!("{name} {version}{aliases}"))?;
            line("", &wrapped(&description.summary, WORDS, WORDS))?;
            let stages = match &description.stages {
                None => "not declared (export_strategy!(.., stages = [..]))".to_owned(),
                Some(stages) if stages.is_empty() => "none: all are left at their defaults".to_owned(),
                Some(stages) => stages.join(", "),
            };
            line("stages", &wrapped(&stages, WORDS, WORDS))?;
            if description.options.is_empty() {
                line("options", "none")?;
            }
            for (at, option) in description.options.iter().enumerate() {
                line(if at == 0 { "options" } else { "" }, &option.to_string())?;
            }
            line("interface", &interface(description))?;
            line("compiler", &compiler(description))?;
            line("target", &description.target)?;
            let abort = if description.panic == "abort" { ": a panic ends its worker without an answer" } else { "" };
            line("profile", &format!("{}, panic = {}{abort}", description.profile, description.panic))?;
        }
        match &self.refusal {
            None => line("loads", "yes"),
            Some(kind) => line("loads", &format!("no: {}", kind.to_string().replace('\n', &indent()))),
        }
    }
}

impl fmt::Display for OptionDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = if self.kind == "text" { format!("{:?}", self.default) } else { self.default.clone() };
        write!(f, "{} ({}, default {default}): {}", self.key, self.kind, self.help)
    }
}

fn indent() -> String {
    format!("\n{:WORDS$}", "")
}

fn interface(description: &Description) -> String {
    let Description { interface, core, .. } = description;
    match description.format {
        1 => format!("unversioned (pgtlab-core {interface}); this pgtlab has {}", plugin::INTERFACE),
        _ => format!("{interface} (pgtlab-core {core}); this pgtlab has {}", plugin::INTERFACE),
    }
}

fn compiler(description: &Description) -> String {
    if description.rustc == plugin::RUSTC {
        description.rustc.clone()
    } else {
        format!("{}{}this pgtlab: {}; they need not be the same", description.rustc, indent(), plugin::RUSTC)
    }
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if 0 < at && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
