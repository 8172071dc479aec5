// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading one machine from a file: a layout file or a boot log, told apart by what is in it.

use crate::live::{self, LiveError};
use miette::{Diagnostic, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};
use pgtlab_core::bootlog::{BootLog, BootLogError, IomemError, LogKind, Stage, derive_xen, looks_like_iomem};
use pgtlab_core::e820::E820Type;
use pgtlab_core::layout::{Backend, Layout, LayoutError, MAX_LAYOUT_BYTES, looks_like_layout};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// A boot log above this size (in bytes) is not read. It leaves room for a whole system log.
pub const MAX_LOG_BYTES: u64 = 256 << 20;

/// How much of a file is looked at to tell a layout file from a boot log, in bytes.
const SNIFFED_BYTES: usize = 64 << 10;

/// Lines longer than this (in bytes) are not shown with an error.
const MAX_SHOWN_LINE: usize = 160;

/// A machine as it was read.
#[derive(Clone, Debug)]
pub enum Machine {
    /// From a layout file: one machine on one back end.
    Layout(Box<Layout>),
    /// From a boot log: a machine that can be put on more than one.
    Log {
        /// The log.
        log: Box<BootLog>,
        /// The name its layouts get.
        name: String,
    },
}

/// Why there is no cell of a machine on a back end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCell {
    /// The machine is one that the back end does not have.
    #[error("{0}")]
    OtherBackend(String),
    /// It cannot exist: the reason stands in the report.
    #[error("{0}")]
    Skipped(String),
}

/// Why a machine could not be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file could not be opened or read.
    #[error("cannot read {place}: {source}")]
    Unreadable {
        /// The file.
        place: String,
        /// What the system says.
        source: io::Error,
    },
    /// The file is larger than anything of its kind.
    #[error("{place} is too large: it has more than {most} bytes, the most for {kind}")]
    TooLarge {
        /// The file.
        place: String,
        /// The most bytes.
        most: u64,
        /// What the file seems to be.
        kind: &'static str,
    },
    /// The file holds nothing.
    #[error("{place} is empty; expected a layout file or a boot log")]
    Empty {
        /// The file.
        place: String,
    },
    /// The file does not hold text.
    #[error("{place} is no text file; expected a layout file or a boot log")]
    NotText {
        /// The file.
        place: String,
    },
    /// The file is a layout file, where a boot log is needed.
    #[error("{place} is a layout file; expected a boot log")]
    NoLog {
        /// The file.
        place: String,
    },
    /// Something is wrong with a line of a layout file, or with the layout as a whole.
    #[error("{place}: {fault}")]
    Layout {
        /// The file.
        place: String,
        /// What is wrong.
        fault: Box<LayoutError>,
        /// The line, if it is fit to be shown.
        shown: Option<Box<Shown>>,
    },
    /// A description of a running machine is none.
    #[error("{place}: {fault}")]
    Live {
        /// The file, folder or machine.
        place: String,
        /// What is wrong.
        fault: LiveError,
    },
    /// `/proc/iomem` shows nothing.
    #[error("{place}: {fault}")]
    Iomem {
        /// The file.
        place: String,
        /// What is wrong.
        fault: IomemError,
    },
    /// No machine can be made of a boot log.
    #[error("{place}: {fault}{}", hint(fault))]
    Log {
        /// The file.
        place: String,
        /// What is wrong.
        fault: BootLogError,
        /// The line, if it is fit to be shown.
        shown: Option<Box<Shown>>,
    },
}

const fn hint(fault: &BootLogError) -> &'static str {
    match fault {
        BootLogError::NoE820 => {
            "; expected a boot log with lines like `BIOS-e820: [mem 0x0-0x9fbff] usable`, or a layout file whose first \
             word is a key such as `name` or `e820`"
        }
        _ => "",
    }
}

/// A line of the input and the place in it that an error is about.
#[derive(Clone, Debug)]
pub struct Shown {
    place: String,
    text: String,
    /// The line's number, from 1.
    line: usize,
    /// Where the line starts, in bytes of the whole text.
    start: usize,
    span: SourceSpan,
}

impl Shown {
    /// The bytes `start..end` of a text, in their line; `None` if the line is not fit to be shown.
    pub(crate) fn new(place: &str, text: &str, start: usize, end: usize) -> Option<Self> {
        let before = text.get(..start)?;
        let from = before.rfind('\n').map_or(0, |at| at + 1);
        let line = text.get(from..)?.lines().next()?;
        let is_fit = line.len() <= MAX_SHOWN_LINE && !line.chars().any(|c| c.is_control() && c != '\t');
        let span = (start, end.min(from + line.len()).saturating_sub(start)).into();
        let number = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        is_fit.then(|| Self { place: place.to_owned(), text: line.to_owned(), line: number, start: from, span })
    }

    /// The place, as a mark under the line.
    pub(crate) fn label(&self) -> LabeledSpan {
        LabeledSpan::new_with_span(None, self.span)
    }

    /// A whole line, counted from 1.
    fn line(place: &str, text: &[u8], number: usize) -> Option<Self> {
        let bytes = text.split(|byte| *byte == b'\n').nth(number.checked_sub(1)?)?;
        let line = String::from_utf8_lossy(bytes);
        let line = line.strip_suffix('\r').unwrap_or(&line);
        Some(Self { line: number, ..Self::new(place, line, 0, line.len())? })
    }
}

impl SourceCode for Shown {
    fn read_span<'a>(
        &'a self,
        _span: &SourceSpan,
        _n_lines_before: usize,
        _n_lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let whole = (self.start, self.text.len()).into();
        let name = self.place.clone();
        let column = self.text.get(..self.span.offset() - self.start).map_or(0, |before| before.chars().count());
        Ok(Box::new(MietteSpanContents::new_named(name, self.text.as_bytes(), whole, self.line - 1, column, 1)))
    }
}

impl Diagnostic for InputError {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.shown().map(|shown| shown as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let shown = self.shown()?;
        Some(Box::new(std::iter::once(shown.label())))
    }
}

impl InputError {
    fn shown(&self) -> Option<&Shown> {
        match self {
            Self::Layout { shown, .. } | Self::Log { shown, .. } => shown.as_deref(),
            Self::Unreadable { .. }
            | Self::TooLarge { .. }
            | Self::Empty { .. }
            | Self::NotText { .. }
            | Self::NoLog { .. }
            | Self::Live { .. }
            | Self::Iomem { .. } => None,
        }
    }
}

impl Machine {
    /// Reads a file.
    ///
    /// # Errors
    /// If the file cannot be read, is too large, or holds no machine; see [`InputError`].
    pub fn read(path: &Path) -> Result<Self, InputError> {
        let place = path.display().to_string();
        if live::is_memmap(path) {
            let text = live::read_memmap(path).map_err(|fault| InputError::Live { place: place.clone(), fault })?;
            return Self::from_bytes(text.as_bytes(), &place, &stem_of(path));
        }
        Self::from_reader(open(path)?, &place, &stem_of(path))
    }

    /// Reads from an open file. `place` is how errors call it, `stem` what the machine is called unless it
    /// names itself.
    ///
    /// # Errors
    /// As [`Machine::read`].
    pub fn from_reader(reader: impl Read, place: &str, stem: &str) -> Result<Self, InputError> {
        Self::from_bytes(&read_bytes(reader, place)?, place, stem)
    }

    /// Takes the text of a file.
    ///
    /// # Errors
    /// If it holds no machine; see [`InputError`].
    pub fn from_bytes(bytes: &[u8], place: &str, stem: &str) -> Result<Self, InputError> {
        if bytes.trim_ascii().is_empty() {
            return Err(InputError::Empty { place: place.to_owned() });
        }
        // What is larger than any layout file is a log, whatever it begins with.
        let as_layout = (bytes.len() <= MAX_LAYOUT_BYTES).then(|| String::from_utf8_lossy(bytes));
        if let Some(text) = as_layout.filter(|text| looks_like_layout(text)) {
            return match Layout::parse(&text, stem) {
                Ok(layout) => Ok(Self::Layout(Box::new(layout))),
                Err(fault) => {
                    let shown = Shown::new(place, &text, fault.span.start, fault.span.end);
                    Err(InputError::Layout {
                        place: place.to_owned(),
                        fault: Box::new(fault),
                        shown: shown.map(Box::new),
                    })
                }
            };
        }
        let log = read_log(bytes, place)?;
        let checked = if log.kind().has_native_cell() { log.native(stem) } else { log.xen(stem) };
        match checked {
            Err(fault) if !fault.is_skipped_cell() => {
                let shown = line_of(&fault).and_then(|line| Shown::line(place, bytes, line));
                Err(InputError::Log { place: place.to_owned(), fault, shown: shown.map(Box::new) })
            }
            _ => Ok(Self::Log { log: Box::new(log), name: stem.to_owned() }),
        }
    }

    /// The name of the machine's layouts.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Layout(layout) => &layout.name,
            Self::Log { name, .. } => name,
        }
    }

    /// How much RAM its map has, in bytes, whether or not a cell can be made of it.
    #[must_use]
    pub fn ram_bytes(&self) -> u64 {
        match self {
            Self::Layout(layout) => layout.e820.ram_bytes(),
            Self::Log { log, .. } => {
                let entries = log.map_of(Stage::Last).map_or(&[][..], |map| &map.entries);
                entries.iter().filter(|entry| entry.kind == E820Type::Ram).map(|entry| entry.range.len()).sum()
            }
        }
    }

    /// Whether its kernel was a 32-bit one; it is run as 64-bit.
    #[must_use]
    pub fn is_32_bit(&self) -> bool {
        matches!(self, Self::Log { log, .. } if log.is_32_bit())
    }

    /// The back ends it makes cells of unless one is asked for, natively first.
    #[must_use]
    pub fn backends(&self) -> &'static [Backend] {
        match self {
            Self::Layout(layout) => match layout.backend {
                Backend::Native => &[Backend::Native],
                Backend::Xen => &[Backend::Xen],
            },
            Self::Log { log, .. } => match log.kind() {
                LogKind::Native | LogKind::Vm => &[Backend::Native, Backend::Xen],
                LogKind::Dom0 | LogKind::DomU => &[Backend::Xen],
            },
        }
    }

    /// The machine on a back end, made of all that its log says. A native layout file is put under Xen by the rules
    /// that a native log is.
    ///
    /// # Errors
    /// If the machine is a Xen guest's and the back end native, or if the cell cannot exist.
    pub fn on(&self, backend: Backend) -> Result<Layout, NoCell> {
        match self {
            Self::Layout(layout) => layout_on(layout, backend),
            Self::Log { log, name } => {
                log.import(name, backend, Stage::Last).map(|imported| imported.layout).map_err(no_cell)
            }
        }
    }

    /// The machine on a back end by fixed rules: of a log the first map, the ramdisk and the page sizes, and under Xen
    /// the map alone.
    ///
    /// # Errors
    /// As [`Machine::on`].
    pub fn by_rules_on(&self, backend: Backend) -> Result<Layout, NoCell> {
        match self {
            Self::Layout(layout) => layout_on(layout, backend),
            Self::Log { log, name } => match backend {
                Backend::Native => log.native(name),
                Backend::Xen => log.xen(name),
            }
            .map_err(no_cell),
        }
    }
}

fn layout_on(layout: &Layout, backend: Backend) -> Result<Layout, NoCell> {
    match (layout.backend, backend) {
        (Backend::Xen, Backend::Native) => Err(NoCell::OtherBackend("it is a machine under Xen".to_owned())),
        (_, Backend::Native) => Ok(layout.clone()),
        (_, Backend::Xen) => derive_xen(layout).map_err(no_cell),
    }
}

/// Opens a file.
fn open(path: &Path) -> Result<File, InputError> {
    let unreadable = |source| InputError::Unreadable { place: path.display().to_string(), source };
    // Without waiting for a writer: a FIFO that nobody writes to would hold us for ever.
    let mut options = File::options();
    options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    let file = options.open(path).map_err(unreadable)?;
    let kind = file.metadata().map_err(unreadable)?.file_type();
    if kind.is_dir() {
        return Err(unreadable(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    if kind.is_fifo() {
        let why = "it is a pipe; expected a file (`pgtlab import -` reads standard input)";
        return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, why)));
    }
    Ok(file)
}

/// Reads all that a layout file or a boot log may hold.
fn read_bytes(mut reader: impl Read, place: &str) -> Result<Vec<u8>, InputError> {
    let unreadable = |source| InputError::Unreadable { place: place.to_owned(), source };
    let mut bytes = Vec::new();
    reader.by_ref().take(SNIFFED_BYTES as u64).read_to_end(&mut bytes).map_err(unreadable)?;
    if is_binary(&bytes) {
        return Err(InputError::NotText { place: place.to_owned() });
    }
    let is_layout = looks_like_layout(&String::from_utf8_lossy(&bytes));
    let (most, kind) =
        if is_layout { (MAX_LAYOUT_BYTES as u64, "a layout file") } else { (MAX_LOG_BYTES, "a boot log") };
    let room = most + 1 - bytes.len() as u64;
    reader.take(room).read_to_end(&mut bytes).map_err(unreadable)?;
    if most < bytes.len() as u64 {
        return Err(InputError::TooLarge { place: place.to_owned(), most, kind });
    }
    Ok(bytes)
}

/// The text of a boot log, whatever machine it makes.
///
/// # Errors
/// If there is no text, or that of a layout file.
pub fn log_text(bytes: &[u8], place: &str) -> Result<String, InputError> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    if text.trim().is_empty() {
        return Err(InputError::Empty { place: place.to_owned() });
    }
    // A log may begin like a layout file: both know lines that begin with `kernel`.
    if looks_like_layout(&text) && Layout::parse(&text, place).is_ok() {
        return Err(InputError::NoLog { place: place.to_owned() });
    }
    Ok(text)
}

/// Reads the text of a boot log from a file.
///
/// # Errors
/// If the file cannot be read, is too large, or holds no log.
pub fn read_log_text(path: &Path) -> Result<String, InputError> {
    read_log_text_from(open(path)?, &path.display().to_string())
}

/// Reads the text of a boot log from an open file.
///
/// # Errors
/// As [`read_log_text`].
pub fn read_log_text_from(reader: impl Read, place: &str) -> Result<String, InputError> {
    log_text(&read_bytes(reader, place)?, place)
}

/// Reads a boot log, or one of the other forms in which a kernel tells its map.
fn read_log(bytes: &[u8], place: &str) -> Result<BootLog, InputError> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(SNIFFED_BYTES)]);
    if looks_like_iomem(&head) {
        let text = String::from_utf8_lossy(bytes);
        return BootLog::from_iomem(&text).map_err(|fault| InputError::Iomem { place: place.to_owned(), fault });
    }
    if head.trim_start().starts_with('{') {
        let text = live::read_lsmem(bytes).map_err(|fault| InputError::Live { place: place.to_owned(), fault })?;
        return Ok(BootLog::parse(&text));
    }
    Ok(BootLog::from_bytes(bytes))
}

/// What it means that a layout cannot be made.
#[must_use]
pub fn no_cell(fault: BootLogError) -> NoCell {
    match fault {
        BootLogError::NotNative { .. } => NoCell::OtherBackend(fault.to_string()),
        _ => NoCell::Skipped(fault.to_string()),
    }
}

/// Whether more than half of what a file begins with is no text. Logs from a serial line hold some junk,
/// and the tail of a log that was cut short may be zeros.
fn is_binary(bytes: &[u8]) -> bool {
    let is_text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~');
    2 * bytes.iter().filter(|byte| is_text(byte)).count() < bytes.len()
}

const fn line_of(fault: &BootLogError) -> Option<usize> {
    match fault {
        BootLogError::NoRam { line }
        | BootLogError::EmptyRange { line, .. }
        | BootLogError::Overlap { line, .. }
        | BootLogError::TooHigh { line, .. } => Some(*line),
        BootLogError::NoE820
        | BootLogError::NoRoomForKernel
        | BootLogError::NoRoomForXen
        | BootLogError::NotNative { .. } => None,
    }
}

/// What a file's machine is called: the file's stem, or its folder for `machine.txt` and `machine.layout`,
/// as the corpus has them.
#[must_use]
pub fn stem_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    let folder = path.parent().and_then(Path::file_name).filter(|_| stem == "machine");
    folder.unwrap_or(stem).to_string_lossy().into_owned()
}
