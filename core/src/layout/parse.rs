// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a layout file: [`Layout::parse`], and the [`LayoutError`] it answers with. The format is one
//! fact a line, so each line is read by itself; what needs several lines is judged at the end.

mod error;
mod key;
mod words;

pub(crate) use error::before_or_at_start;
pub use error::{Excerpt, LayoutError, LayoutErrorKind};
use key::Key;
use words::{Place, Word, Words};

use super::{Backend, Layout, Node, P2m, Reservation, Switches, XenBoot};
use crate::addr::{PfnRange, PhysAddr, PhysRange};
use crate::e820::{E820Entry, E820Map, E820Type};
use crate::geometry::Geometry;

/// A layout file above this size (in bytes) is not read. The largest real one has 3 KiB.
pub const MAX_LAYOUT_BYTES: usize = 16 << 20;

/// `boot_mapped` of a layout that does not name it: what `head_64.S` maps before the kernel's own tables.
pub(crate) const BOOT_MAPPED: PhysAddr = PhysAddr::new(0x2000_0000);

/// Whether a text is meant as a layout file (and not, say, as a boot log): its first word outside
/// comments is a key of the format.
#[must_use]
pub fn looks_like_layout(text: &str) -> bool {
    match words::lines(text).find_map(|mut line| line.next().transpose()) {
        Some(Ok(word)) => Key::find(word.text).is_some(),
        Some(Err(_)) | None => false,
    }
}

impl Layout {
    /// Reads a layout file. `stem` is the file's name without directory and extension: the layout's name
    /// unless the text has another. Addresses in the text are bytes, ranges half open.
    ///
    /// # Errors
    /// The first fault in the order of the lines; then those of the file as a whole, in the order
    /// `kernel` line, RAM, kernel in RAM, kernel's end, Xen's lines.
    pub fn parse(text: &str, stem: &str) -> Result<Self, LayoutError> {
        let mut reader = Reader::new(text);
        for line in words::lines(text) {
            reader.read_line(line)?;
        }
        reader.finish(stem)
    }
}

/// What the lines said so far.
struct Reader<'t> {
    text: &'t str,
    geometry: Geometry,
    /// By key: the place of the first line.
    seen: [Option<Place>; Key::ALL.len()],
    name: Option<&'t str>,
    e820: E820Map,
    last_e820_line: usize,
    kernel: Option<(PhysRange, Place)>,
    brk: Option<PhysAddr>,
    reservations: Vec<Reservation>,
    boot_mapped: PhysAddr,
    switches: Switches,
    xen: bool,
    nodes: Vec<Node>,
    last_node_line: usize,
    acpi: Option<PhysAddr>,
    xen_mapped: Option<PhysAddr>,
    xen_pt: Option<(PhysAddr, u64)>,
    xen_mfn_list: Option<PhysAddr>,
    invalid: Vec<PfnRange>,
    identity: Vec<PfnRange>,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            geometry: Geometry::X86_64,
            seen: [None; Key::ALL.len()],
            name: None,
            e820: E820Map::new(),
            last_e820_line: 0,
            kernel: None,
            brk: None,
            reservations: Vec::new(),
            boot_mapped: BOOT_MAPPED,
            switches: Switches::DEFAULT,
            xen: false,
            nodes: Vec::new(),
            last_node_line: 0,
            acpi: None,
            xen_mapped: None,
            xen_pt: None,
            xen_mfn_list: None,
            invalid: Vec::new(),
            identity: Vec::new(),
        }
    }

    fn read_line(&mut self, mut words: Words<'t>) -> Result<(), LayoutError> {
        let Some(first) = words.next()? else { return Ok(()) };
        let Some(key) = Key::find(first.text) else {
            return Err(self.error(first.at, LayoutErrorKind::UnknownKey { found: Excerpt::new(first.text) }));
        };
        let seen = &mut self.seen[key as usize];
        match seen {
            Some(place) if !key.repeats() => {
                let kind = LayoutErrorKind::Repeated { key: key.name(), first_line: place.line };
                return Err(self.error(first.at, kind));
            }
            Some(_) => {}
            None => *seen = Some(first.at),
        }
        self.read_fact(key, first.at.line, &mut words)?;
        match words.next()? {
            None => Ok(()),
            Some(extra) => {
                let kind = LayoutErrorKind::ExtraWord { found: Excerpt::new(extra.text), key: key.name() };
                Err(self.error(extra.at, kind))
            }
        }
    }

    fn read_fact(&mut self, key: Key, line: usize, words: &mut Words<'t>) -> Result<(), LayoutError> {
        match key {
            Key::Name => self.name = Some(words.expect("NAME")?.text),
            Key::Geometry => self.read_geometry(words)?,
            Key::E820 => self.read_e820(line, words)?,
            Key::Kernel => self.kernel = Some(self.range(words)?),
            Key::Brk => self.brk = Some(self.address(words, "START, a hex address")?),
            Key::Reserve => {
                let (range, _) = self.range(words)?;
                let name = words.expect("NAME")?.text.to_owned();
                self.reservations.push(Reservation { range, name });
            }
            Key::BootMapped => self.boot_mapped = self.address(words, "END, a hex address")?,
            Key::Pse => self.switches.pse = self.switch(words)?,
            Key::Gbpages => self.switches.gbpages = self.switch(words)?,
            Key::Nx => self.switches.nx = self.switch(words)?,
            Key::Pge => self.switches.pge = self.switch(words)?,
            Key::Trampoline => self.switches.trampoline = self.switch(words)?,
            Key::Numa => self.switches.numa = self.switch(words)?,
            Key::Memtest => self.switches.memtest = self.switch(words)?,
            Key::Dom0 => self.switches.dom0 = self.switch(words)?,
            Key::Xen => self.xen = self.switch(words)?,
            Key::Node => self.read_node(line, words)?,
            Key::Acpi => self.acpi = Some(self.address(words, "ADDR, a hex address")?),
            Key::XenMapped => self.xen_mapped = Some(self.address(words, "END, a hex address")?),
            Key::XenPt => {
                let base = self.address(words, "BASE, a hex address")?;
                let frames = self.number(words, 10, "NFRAMES, a decimal number", self.geometry.phys_end.get())?.0;
                self.xen_pt = Some((base, frames));
            }
            Key::XenMfnList => self.xen_mfn_list = Some(self.address(words, "ADDR, a hex address")?),
            Key::P2m => self.read_p2m(words)?,
        }
        Ok(())
    }

    /// What addresses may be depends on it, so it stands before them.
    fn read_geometry(&mut self, words: &mut Words<'t>) -> Result<(), LayoutError> {
        const EXPECTED: &str = "`x86-64` or `tiny`, before the first address";
        let word = words.expect(EXPECTED)?;
        let has_address = self.seen.iter().zip(Key::ALL).any(|(seen, (key, _))| seen.is_some() && key.has_address());
        let geometry = Geometry::named(word.text).filter(|_| !has_address);
        self.geometry = geometry.ok_or_else(|| self.wrong(word, EXPECTED))?;
        Ok(())
    }

    fn read_e820(&mut self, line: usize, words: &mut Words<'t>) -> Result<(), LayoutError> {
        const EXPECTED: &str = "TYPE: 1 RAM, 2 reserved, 3 ACPI data, 4 ACPI NVS, 5 unusable or 128 kernel-reserved";
        let (range, at) = self.range(words)?;
        let word = words.expect(EXPECTED)?;
        let kind = parse_digits(word.text, 10).and_then(|number| E820Type::from_number(number.unwrap_or(u64::MAX)));
        let kind = kind.ok_or_else(|| self.wrong(word, EXPECTED))?;
        if let Err(last) = self.e820.push(E820Entry { range, kind }) {
            return Err(self.not_ascending(at, range, last.range, self.last_e820_line));
        }
        self.last_e820_line = line;
        Ok(())
    }

    fn read_node(&mut self, line: usize, words: &mut Words<'t>) -> Result<(), LayoutError> {
        const EXPECTED: &str = "NID, a decimal number";
        let (number, word) = self.number(words, 10, EXPECTED, u64::from(u32::MAX))?;
        let id = u32::try_from(number).map_err(|_| self.wrong(word, EXPECTED))?;
        let (range, at) = self.range(words)?;
        if let Some(last) = self.nodes.last().filter(|last| range.start < last.range.end) {
            return Err(self.not_ascending(at, range, last.range, self.last_node_line));
        }
        self.nodes.push(Node { id, range });
        self.last_node_line = line;
        Ok(())
    }

    /// A frame that the range touches but does not hold whole has an ordinary part, so it stays ordinary.
    fn read_p2m(&mut self, words: &mut Words<'t>) -> Result<(), LayoutError> {
        const EXPECTED: &str = "`invalid` or `identity`";
        let word = words.expect(EXPECTED)?;
        let is_invalid = match word.text {
            "invalid" => true,
            "identity" => false,
            _ => return Err(self.wrong(word, EXPECTED)),
        };
        let frames = self.geometry.whole_pages(self.range(words)?.0);
        if is_invalid {
            self.invalid.push(frames)
        } else {
            self.identity.push(frames)
        }
        Ok(())
    }

    /// `START END` and the place of both.
    fn range(&self, words: &mut Words<'t>) -> Result<(PhysRange, Place), LayoutError> {
        let largest = self.geometry.phys_end.get();
        let (start, first) = self.number(words, 16, "START, a hex address", largest)?;
        let (end, last) = self.number(words, 16, "END, a hex address", largest)?;
        let range = PhysRange::from_numbers(start, end);
        let at = first.at.to(last.at);
        if range.is_empty() { Err(self.error(at, LayoutErrorKind::EmptyRange { range })) } else { Ok((range, at)) }
    }

    fn address(&self, words: &mut Words<'t>, expected: &'static str) -> Result<PhysAddr, LayoutError> {
        self.number(words, 16, expected, self.geometry.phys_end.get()).map(|(number, _)| PhysAddr::new(number))
    }

    fn switch(&self, words: &mut Words<'t>) -> Result<bool, LayoutError> {
        let word = words.expect("0 or 1")?;
        match word.text {
            "0" => Ok(false),
            "1" => Ok(true),
            _ => Err(self.wrong(word, "0 or 1")),
        }
    }

    fn number(
        &self,
        words: &mut Words<'t>,
        radix: u32,
        expected: &'static str,
        largest: u64,
    ) -> Result<(u64, Word<'t>), LayoutError> {
        let word = words.expect(expected)?;
        match parse_digits(word.text, radix) {
            Some(Some(number)) if number <= largest => Ok((number, word)),
            Some(_) => {
                let found = Excerpt::new(word.text);
                Err(self.error(word.at, LayoutErrorKind::TooLarge { found, expected, largest }))
            }
            None => Err(self.wrong(word, expected)),
        }
    }

    fn finish(self, stem: &str) -> Result<Layout, LayoutError> {
        let end = Place::end_of(self.text);
        let (kernel, at) = self.kernel.ok_or_else(|| self.error(end, LayoutErrorKind::NoKernel))?;
        if self.e820.ram().next().is_none() {
            return Err(self.error(end, LayoutErrorKind::NoRam));
        }
        if !memory_holds(&self.e820, kernel) {
            return Err(self.error(at, LayoutErrorKind::KernelOutsideRam { kernel }));
        }
        let least = PhysAddr::new(self.geometry.static_table_pages * self.geometry.page_bytes());
        if kernel.end < least {
            return Err(self.error(at, LayoutErrorKind::KernelTooLow { end: kernel.end, least }));
        }
        let xen = self.xen_boot();
        if self.xen {
            let at = self.seen[Key::Xen as usize].unwrap_or(end);
            xen.map_err(|missing| self.error(at, LayoutErrorKind::XenIncomplete { missing }))?;
        }
        Ok(Layout {
            name: self.name.unwrap_or(stem).to_owned(),
            geometry: self.geometry,
            e820: self.e820,
            kernel,
            brk: self.brk.unwrap_or(kernel.end),
            reservations: self.reservations,
            boot_mapped: self.boot_mapped,
            switches: self.switches,
            nodes: self.nodes,
            acpi: self.acpi,
            backend: if self.xen { Backend::Xen } else { Backend::Native },
            xen: xen.ok(),
            p2m: P2m::new(&self.invalid, &self.identity),
        })
    }

    /// The three lines of the domain builder, or the first that is missing.
    fn xen_boot(&self) -> Result<XenBoot, &'static str> {
        let mapped_end = self.xen_mapped.ok_or("xen_mapped END")?;
        let (pt_base, pt_frames) = self.xen_pt.ok_or("xen_pt BASE NFRAMES")?;
        let mfn_list = self.xen_mfn_list.ok_or("xen_mfn_list ADDR")?;
        Ok(XenBoot { mapped_end, pt_base, pt_frames, mfn_list })
    }

    fn error(&self, at: Place, kind: LayoutErrorKind) -> LayoutError {
        at.error(self.text, kind)
    }

    fn wrong(&self, word: Word<'_>, expected: &'static str) -> LayoutError {
        self.error(word.at, LayoutErrorKind::WrongWord { found: Excerpt::new(word.text), expected })
    }

    fn not_ascending(&self, at: Place, range: PhysRange, last: PhysRange, last_line: usize) -> LayoutError {
        let kind = LayoutErrorKind::NotAscending { start: range.start, last_end: last.end, last_line };
        self.error(at, kind)
    }
}

/// The number a word of digits stands for: `None` if it is no such word, `Some(None)` past 2^64. Hex
/// digits may follow `0x`.
fn parse_digits(word: &str, radix: u32) -> Option<Option<u64>> {
    let digits = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) if radix == 16 => digits,
        _ => word,
    };
    let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    is_number.then(|| u64::from_str_radix(digits, radix).ok())
}

/// Whether memory holds the whole range, be it in several entries that touch: memblock merges them.
///
/// ```text
/// e820     |--RAM--|--RAM--|   |--RAM--|
/// range        |------|                      held
/// range                 |-------|            not held
/// ```
fn memory_holds(e820: &E820Map, range: PhysRange) -> bool {
    let mut reached = range.start;
    for entry in e820.entries().iter().filter(|entry| entry.kind.is_memory()) {
        if entry.range.contains(reached) {
            reached = entry.range.end;
        }
    }
    range.end <= reached
}
