// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plugin files: [`inspect`] looks at one without running any of it, [`load`] opens it.
//!
//! A file is looked at first, always: `dlopen` of a truncated library dies of `SIGBUS`, and a library's
//! constructors run before anything else could refuse it. Loading happens in a worker process only
//! ([`crate::worker`]).
#![expect(unsafe_code, reason = "abi_stable compares types as for a newer plugin only, so it is done here")]

mod description;
mod differences;
mod options;

pub use description::{Description, Next, OptionDescription, check_interface};
pub use options::{defaults, values};

use object::read::ReadCache;
use object::{Architecture, Object, ObjectKind, ObjectSection, ObjectSegment, ObjectSymbol};
use pgtlab_core::plugin::abi_stable::library::{LibraryError, RootModuleError, lib_header_from_path};
use pgtlab_core::plugin::{DESCRIPTION_SECTION, HEADER_SYMBOL, INTERFACE, StrategyModuleRef};
use pgtlab_core::strategy::Options;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A file that cannot be used as a plugin.
#[derive(Debug, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub struct LoadError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub kind: LoadErrorKind,
}

/// What is wrong with a plugin file.
#[derive(Debug, thiserror::Error)]
pub enum LoadErrorKind {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// It is no file.
    #[error("is {0}; expected a strategy's shared library")]
    NotAFile(&'static str),
    /// It is no ELF file.
    #[error("is no shared library; expected an ELF file, found {0}")]
    NotElf(String),
    /// It ends before what its headers name.
    #[error("is truncated: its headers name {need_bytes} bytes, the file has {have_bytes}")]
    Truncated {
        /// Where the last segment or section ends.
        need_bytes: u64,
        /// The file's length.
        have_bytes: u64,
    },
    /// Its headers make no sense.
    #[error("is damaged: {0}")]
    Damaged(object::Error),
    /// It is for another processor.
    #[error("is for {found}; expected x86-64")]
    OtherMachine {
        /// The processor, as the file says.
        found: String,
    },
    /// It is an ELF file of another kind.
    #[error("is {0}; expected a shared library (crate-type = [\"cdylib\"])")]
    NotShared(&'static str),
    /// It exports no strategy.
    #[error("exports no strategy (no symbol {HEADER_SYMBOL}){hint}")]
    NoHeader {
        /// What may be missing.
        hint: &'static str,
    },
    /// It has no description.
    #[error("has no description (section {DESCRIPTION_SECTION}); expected one made by `pgtlab_core::export_strategy!`")]
    NoDescription,
    /// Its description makes no sense.
    #[error("has a description (section {DESCRIPTION_SECTION}) that makes no sense: {0}")]
    BadDescription(serde_json::Error),
    /// It was built against an interface with other types or other meanings.
    #[error("was built against {found}, this host has {INTERFACE}: {difference}\n{next}")]
    OtherInterface {
        /// The version it was built against.
        found: String,
        /// The first difference.
        difference: String,
        /// What to do about it.
        next: Next,
    },
    /// It declares an option with a kind or a default that cannot be.
    #[error("declares an option that makes no sense: {key}: {text}")]
    BadOption {
        /// The option.
        key: String,
        /// What is wrong with it.
        text: String,
    },
    /// The dynamic loader refused it.
    #[error("cannot be loaded: {0}")]
    Refused(String),
    /// A worker could not load it, for this reason.
    #[error("{0}")]
    InWorker(String),
}

/// A plugin that was opened in this process.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// What it says of itself.
    pub description: Description,
    /// What it exports.
    pub module: StrategyModuleRef,
    /// The values of its options: the defaults.
    pub options: Options,
}

/// Looks at a plugin file without running any of it.
///
/// # Errors
/// The first reason why it is no plugin, in words that name what was expected. A plugin of another version
/// is none of them; see [`check_interface`].
pub fn inspect(path: &Path) -> Result<Description, LoadError> {
    inspect_kind(path).map_err(|kind| LoadError { path: path.to_owned(), kind })
}

/// Opens a plugin in this process, after a look at the file.
///
/// # Errors
/// All of [`inspect`] and [`check_interface`]; a library that the dynamic loader refuses, or whose types are
/// not laid out as they are here.
pub fn load(path: &Path) -> Result<Plugin, LoadError> {
    let description = inspect(path)?;
    check_interface(path, &description)?;
    let refused = |kind| LoadError { path: path.to_owned(), kind };
    let options = defaults(&description).map_err(refused)?;
    let module = open(path).map_err(refused)?;
    Ok(Plugin { description, module, options })
}

fn open(path: &Path) -> Result<StrategyModuleRef, LoadErrorKind> {
    // A bare file name would be looked for along the library path.
    let path = path.canonicalize().map_err(LoadErrorKind::Unreadable)?;
    // Not `RootModule::load_from_file`: that one caches per type, so the second plugin would be the first.
    let header = lib_header_from_path(&path).map_err(|error| refused(&error))?;
    let other = || LoadErrorKind::OtherInterface {
        found: format!("pgtlab-core {}", header.version_strings().version.as_str()),
        difference: differences::first(header),
        next: Next::Rebuild,
    };
    if !differences::has_all(header) {
        return Err(other());
    }
    // SAFETY: the types were compared a line above: all that the plugin was built with is here, at the same
    // places. What this host has beyond it stands at the ends of prefix types, whose values say how far they
    // go, and is looked up there.
    let module = unsafe { header.init_root_module_with_unchecked_layout::<StrategyModuleRef>() };
    module.map_err(|error| match &error {
        LibraryError::IncompatibleVersionNumber { .. } => other(),
        LibraryError::RootModule { err: RootModuleError::Unwound, .. } => {
            LoadErrorKind::Refused("its root module panicked".to_owned())
        }
        _ => refused(&error),
    })
}

/// The loader's own words, which may be many lines.
fn refused(error: &LibraryError) -> LoadErrorKind {
    let text = match error {
        LibraryError::OpenError { err, .. } => {
            // libloading keeps the reason in the source.
            let mut text = err.to_string();
            let mut source = std::error::Error::source(err);
            while let Some(error) = source {
                text = error.to_string();
                source = error.source();
            }
            text
        }
        LibraryError::InvalidAbiHeader(_) => "its header is not that of abi_stable 0.11".to_owned(),
        _ => error.to_string(),
    };
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(2).collect();
    LoadErrorKind::Refused(lines.join(" "))
}

fn inspect_kind(path: &Path) -> Result<Description, LoadErrorKind> {
    let metadata = std::fs::metadata(path).map_err(LoadErrorKind::Unreadable)?;
    if metadata.is_dir() {
        return Err(LoadErrorKind::NotAFile("a directory"));
    }
    if !metadata.is_file() {
        return Err(LoadErrorKind::NotAFile("no regular file"));
    }
    let mut file = File::open(path).map_err(LoadErrorKind::Unreadable)?;
    check_magic(&mut file)?;
    let have_bytes = metadata.len();
    let cache = ReadCache::new(&file);
    let elf = match object::File::parse(&cache) {
        Ok(elf) => elf,
        Err(error) => return Err(truncated_header(&file, have_bytes).unwrap_or(LoadErrorKind::Damaged(error))),
    };
    if elf.architecture() != Architecture::X86_64 {
        return Err(LoadErrorKind::OtherMachine { found: format!("{:?}", elf.architecture()) });
    }
    match elf.kind() {
        ObjectKind::Dynamic => {}
        ObjectKind::Executable => return Err(LoadErrorKind::NotShared("a program")),
        ObjectKind::Relocatable => return Err(LoadErrorKind::NotShared("an object file")),
        _ => return Err(LoadErrorKind::NotShared("an ELF file of another kind")),
    }
    let segments = elf.segments().map(|segment| segment.file_range());
    let sections = elf.sections().filter_map(|section| section.file_range());
    let ends = segments.chain(sections).map(|(start, len)| start.saturating_add(len));
    let need_bytes = ends.max().unwrap_or_default();
    if have_bytes < need_bytes {
        return Err(LoadErrorKind::Truncated { need_bytes, have_bytes });
    }
    let is_header = |symbol: &object::Symbol<'_, '_, _>| {
        symbol.is_definition() && symbol.name_bytes().is_ok_and(|name| name == HEADER_SYMBOL.as_bytes())
    };
    let section = elf.section_by_name(DESCRIPTION_SECTION);
    if !elf.dynamic_symbols().any(|symbol| is_header(&symbol)) {
        return Err(LoadErrorKind::NoHeader { hint: hint(&elf) });
    }
    let section = section.ok_or(LoadErrorKind::NoDescription)?;
    let json = section.data().map_err(LoadErrorKind::Damaged)?;
    let description: Description = serde_json::from_slice(json).map_err(LoadErrorKind::BadDescription)?;
    Ok(Description { size_bytes: have_bytes, ..description })
}

fn check_magic(file: &mut File) -> Result<(), LoadErrorKind> {
    let mut start = Vec::new();
    file.take(16).read_to_end(&mut start).map_err(LoadErrorKind::Unreadable)?;
    if start.starts_with(b"\x7fELF") {
        return Ok(());
    }
    Err(LoadErrorKind::NotElf(match start.as_slice() {
        [] => "an empty file".to_owned(),
        text if text.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) => {
            format!("text that starts with {:?}", String::from_utf8_lossy(text))
        }
        bytes => format!("bytes that start with {:02x?}", &bytes[..bytes.len().min(4)]),
    }))
}

/// Whether headers cannot be read because the file ends before them: the section table stands at the end.
fn truncated_header(mut file: &File, have_bytes: u64) -> Option<LoadErrorKind> {
    use std::io::{Seek, SeekFrom};
    let mut header = [0_u8; 64];
    file.seek(SeekFrom::Start(0)).ok()?;
    if file.read_exact(&mut header).is_err() {
        return Some(LoadErrorKind::Truncated { need_bytes: 64, have_bytes });
    }
    // ELF-64 file header: e_shoff at 0x28, e_shentsize at 0x3a, e_shnum at 0x3c.
    let offset = u64::from_le_bytes(header[0x28..0x30].try_into().ok()?);
    let entry = u64::from(u16::from_le_bytes(header[0x3a..0x3c].try_into().ok()?));
    let n = u64::from(u16::from_le_bytes(header[0x3c..0x3e].try_into().ok()?));
    let need_bytes = offset.checked_add(entry.checked_mul(n)?)?;
    (have_bytes < need_bytes).then_some(LoadErrorKind::Truncated { need_bytes, have_bytes })
}

fn hint<'d>(elf: &impl Object<'d>) -> &'static str {
    let comment = elf.section_by_name(".comment").and_then(|section| section.data().ok());
    let is_rust = comment.is_some_and(|text| text.windows(5).any(|word| word == b"rustc"));
    if is_rust {
        "; it is Rust, so `pgtlab_core::export_strategy!(..)` is missing or the crate is no strategy"
    } else {
        "; expected a crate that calls `pgtlab_core::export_strategy!(..)`"
    }
}
