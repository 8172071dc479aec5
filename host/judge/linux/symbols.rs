// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a kernel's functions and variables lie, read from its image: [`Symbols::of_image`].
//!
//! ```text
//!  bzImage   boot sector | set-up code | decompressor .. xz payload ..
//!                                               │
//!  vmlinux   .. num, names, markers, [order,] token table, token index ..        tables of kallsyms
//! ```
//! Distributors strip the symbol table of the ELF file; what the kernel itself prints in `/proc/kallsyms` stays.
//! Names are strings of tokens, and the tables' own redundancy proves that they were found: the token index holds
//! the offset of each token, the markers that of each 256th name.
//!
//! Source: the kernel's documentation, "The Linux/x86 Boot Protocol" (`setup_sects`, `payload_offset`), and the
//! tables themselves.

use lzma_rust2::XzReader;
use memchr::memmem;
use pgtlab_core::geometry::KERNEL_MAP;
use std::collections::HashMap;
use std::io::Read;

/// The header of a bzImage: field offsets of the boot protocol.
mod header {
    pub(super) const SETUP_SECTORS: usize = 0x1f1;
    pub(super) const MAGIC: usize = 0x202;
    pub(super) const PAYLOAD_OFFSET: usize = 0x248;
    pub(super) const PAYLOAD_BYTES: usize = 0x24c;
}

const SECTOR: usize = 512;
const XZ_MAGIC: &[u8] = b"\xfd7zXZ\0";
/// A kernel is not larger, unpacked.
const MOST_BYTES: u64 = 256 << 20;
const N_TOKENS: usize = 256;
/// A marker is kept for each so many names.
const PER_MARKER: usize = 256;
/// The token that is the digit 0, and those that follow.
const DIGITS: &[u8] = b"0\x001\x002\x003\x004\x005\x006\x007\x008\x009\x00";
const FIRST_DIGIT: usize = 0x30;
/// Fewer or more names has no kernel.
const N_NAMES: std::ops::Range<u64> = 1000..1_000_000;

/// Why an image tells no symbols.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SymbolError {
    /// It is no bzImage.
    #[error("no bzImage: expected \"HdrS\" at offset 0x202")]
    NoImage,
    /// Its payload is packed otherwise, or lies outside.
    #[error("the kernel inside is not packed with xz")]
    NotXz,
    /// It does not unpack.
    #[error("failed to unpack the kernel inside: {0}")]
    Unpack(String),
    /// The tables are not found.
    #[error("no table of symbols in the kernel inside")]
    NoTable,
    /// A symbol is not in them.
    #[error("the kernel has no symbol {0}")]
    Missing(&'static str),
}

/// Addresses by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbols(HashMap<String, u64>);

impl Symbols {
    /// Of a bzImage, as distributors ship it.
    ///
    /// # Errors
    /// It is none, is not packed with xz, or has no such tables.
    pub fn of_image(image: &[u8]) -> Result<Self, SymbolError> {
        let kernel = unpack(payload(image)?)?;
        Self::of_kernel(&kernel).ok_or(SymbolError::NoTable)
    }

    /// The address of a symbol.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn get(&self, name: &'static str) -> Result<u64, SymbolError> {
        self.0.get(name).copied().ok_or(SymbolError::Missing(name))
    }

    fn of_kernel(kernel: &[u8]) -> Option<Self> {
        let tables = memmem::find_iter(kernel, DIGITS).find_map(|digits| Tokens::around(kernel, digits))?;
        let words = kernel.get(..tables.start)?.len() / 8;
        (2..words).rev().find_map(|word| names(kernel, word * 8, &tables)).map(Self)
    }
}

/// The packed kernel in a bzImage.
fn payload(image: &[u8]) -> Result<&[u8], SymbolError> {
    if image.get(header::MAGIC..header::MAGIC + 4) != Some(b"HdrS") {
        return Err(SymbolError::NoImage);
    }
    let number = |at: usize| read::<4>(image, at).map(|bytes| u32::from_le_bytes(bytes) as usize);
    let sectors = match image.get(header::SETUP_SECTORS) {
        None | Some(0) => 4,
        Some(n) => usize::from(*n),
    };
    let found = || {
        let start = (sectors + 1) * SECTOR + number(header::PAYLOAD_OFFSET)?;
        let payload = image.get(start..start.checked_add(number(header::PAYLOAD_BYTES)?)?)?;
        payload.starts_with(XZ_MAGIC).then_some(payload)
    };
    found().ok_or(SymbolError::NotXz)
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, SymbolError> {
    let mut kernel = Vec::new();
    let read = XzReader::new(packed, false).take(MOST_BYTES).read_to_end(&mut kernel);
    read.map_err(|error| SymbolError::Unpack(error.to_string()))?;
    Ok(kernel)
}

fn read<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    read(bytes, at).map(u64::from_le_bytes)
}

/// The token table: what the bytes of a name stand for.
struct Tokens<'k> {
    start: usize,
    tokens: Vec<&'k [u8]>,
}

impl<'k> Tokens<'k> {
    /// The table whose digits stand here, if its index follows it.
    fn around(kernel: &'k [u8], digits: usize) -> Option<Self> {
        // Before the digits stand as many strings; before these, padding or the last byte of a small number.
        let mut start = digits;
        for _ in 0..=FIRST_DIGIT {
            start = memchr::memrchr(0, kernel.get(..start)?)?;
        }
        start += 1;
        let (mut at, mut tokens, mut index) = (start, Vec::with_capacity(N_TOKENS), Vec::new());
        for _ in 0..N_TOKENS {
            let rest = kernel.get(at..)?;
            let token = &rest[..memchr::memchr(0, rest)?];
            index.extend(u16::try_from(at - start).ok()?.to_le_bytes());
            tokens.push(token);
            at += token.len() + 1;
        }
        let is_followed = (at..at + 16).any(|place| kernel.get(place..).is_some_and(|rest| rest.starts_with(&index)));
        is_followed.then_some(Self { start, tokens })
    }
}

/// The names whose count stands at `at`, if what lies around it proves that they are.
fn names(kernel: &[u8], at: usize, tokens: &Tokens<'_>) -> Option<HashMap<String, u64>> {
    let base = read_u64(kernel, at - 8)?;
    let n = read_u64(kernel, at)?;
    if base < KERNEL_MAP.get() || !N_NAMES.contains(&n) {
        return None;
    }
    let n = usize::try_from(n).ok()?;
    let first = at + 8;
    let (mut next, mut markers, mut found) = (first, Vec::new(), Vec::with_capacity(n));
    for number in 0..n {
        if number % PER_MARKER == 0 {
            markers.extend(u32::try_from(next - first).ok()?.to_le_bytes());
        }
        let mut len = usize::from(*kernel.get(next)?);
        next += 1;
        if len & 0x80 != 0 {
            len = len & 0x7f | usize::from(*kernel.get(next)?) << 7;
            next += 1;
        }
        found.push(kernel.get(next..next + len)?);
        next += len;
        if tokens.start < next {
            return None;
        }
    }
    if !kernel[next.next_multiple_of(8)..].starts_with(&markers) {
        return None;
    }
    let offsets = (at - 8).checked_sub((n * 4).next_multiple_of(8))?;
    let mut symbols = HashMap::with_capacity(n);
    for (number, name) in found.into_iter().enumerate() {
        let text: Vec<u8> = name.iter().flat_map(|byte| tokens.tokens[usize::from(*byte)]).copied().collect();
        let offset = i32::from_le_bytes(read(kernel, offsets + number * 4)?);
        // Those of variables that each processor has are small numbers as they are, others count down from the base.
        let address = match u64::try_from(offset) {
            Ok(absolute) => absolute,
            Err(_) => base.wrapping_add(u64::from(!offset.cast_unsigned())),
        };
        // The first letter tells the kind of the symbol.
        let text = String::from_utf8_lossy(text.get(1..)?).into_owned();
        symbols.entry(text).or_insert(address);
    }
    Some(symbols)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel's tables, with these names and offsets from the base.
    fn kernel(names: &[(&str, i32)]) -> Vec<u8> {
        // Every token is a letter, as the format allows; the unused ones stand for something else.
        let token = |byte: u8| if byte.is_ascii_graphic() { vec![byte] } else { format!("<{byte}>").into_bytes() };
        let mut out = vec![0xaa; 64];
        out.extend(names.iter().flat_map(|(_, offset)| offset.to_le_bytes()));
        out.resize(out.len().next_multiple_of(8), 0);
        out.extend(0xffff_ffff_8100_0000_u64.to_le_bytes());
        out.extend((names.len() as u64).to_le_bytes());
        let (first, mut markers) = (out.len(), Vec::new());
        for (number, (name, _)) in names.iter().enumerate() {
            if number % PER_MARKER == 0 {
                markers.extend(u32::try_from(out.len() - first).expect("small").to_le_bytes());
            }
            let len = name.len() + 1;
            if len < 0x80 {
                out.push(u8::try_from(len).expect("small"));
            } else {
                out.extend([u8::try_from(len & 0x7f | 0x80).expect("small"), u8::try_from(len >> 7).expect("small")]);
            }
            out.extend(b"T".iter().chain(name.as_bytes()));
        }
        out.resize(out.len().next_multiple_of(8), 0);
        out.extend(markers);
        // What later versions put between.
        out.extend([0, 0, 1, 2, 3, 0]);
        out.resize(out.len().next_multiple_of(8), 0);
        let mut index = Vec::new();
        let start = out.len();
        for byte in 0..=u8::MAX {
            index.extend(u16::try_from(out.len() - start).expect("small").to_le_bytes());
            out.extend(token(byte));
            out.push(0);
        }
        out.resize(out.len().next_multiple_of(8), 0);
        out.extend(index);
        out
    }

    fn many() -> Vec<(String, i32)> {
        let mut names: Vec<(String, i32)> = (0..1500).map(|n| (format!("symbol_{n}"), -1 - n * 16)).collect();
        names.push(("x".repeat(300), -0x5001));
        names.push(("per_cpu".to_owned(), 0x1c0));
        names
    }

    #[test]
    fn names_and_addresses_are_read_from_the_tables() {
        let names = many();
        let borrowed: Vec<(&str, i32)> = names.iter().map(|(name, offset)| (&**name, *offset)).collect();
        let symbols = Symbols::of_kernel(&kernel(&borrowed)).expect("the tables are found");
        assert_eq!(symbols.0.len(), names.len());
        assert_eq!(symbols.get("symbol_0"), Ok(0xffff_ffff_8100_0000));
        assert_eq!(symbols.get("symbol_1400"), Ok(0xffff_ffff_8100_0000 + 1400 * 16));
        assert_eq!(symbols.0.get(&"x".repeat(300)), Some(&0xffff_ffff_8100_5000));
        assert_eq!(symbols.get("per_cpu"), Ok(0x1c0));
        assert_eq!(symbols.get("nothing"), Err(SymbolError::Missing("nothing")));
    }

    #[test]
    fn tables_that_do_not_agree_are_none() {
        let names = many();
        let borrowed: Vec<(&str, i32)> = names.iter().map(|(name, offset)| (&**name, *offset)).collect();
        let whole = kernel(&borrowed);
        let first_name = 64 + (names.len() * 4).next_multiple_of(8) + 16;
        // An offset of a token that is another's, and a name of another length, behind which no marker is right.
        for (at, byte) in [(whole.len() - 100, 0xff), (first_name, 3)] {
            let mut broken = whole.clone();
            broken[at] = byte;
            assert_eq!(Symbols::of_kernel(&broken), None, "{at:#x}");
        }
    }

    #[test]
    fn an_image_that_is_none_says_what_is_wrong_with_it() {
        let mut image = vec![0; 0x1000];
        assert_eq!(Symbols::of_image(&image), Err(SymbolError::NoImage));
        assert_eq!(Symbols::of_image(b""), Err(SymbolError::NoImage));
        image[header::MAGIC..header::MAGIC + 4].copy_from_slice(b"HdrS");
        assert_eq!(Symbols::of_image(&image), Err(SymbolError::NotXz));
        image[header::PAYLOAD_BYTES] = 16;
        image[5 * SECTOR..5 * SECTOR + 6].copy_from_slice(XZ_MAGIC);
        assert!(matches!(Symbols::of_image(&image), Err(SymbolError::Unpack(_))));
    }
}
