// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a plugin's file can be cut.

use object::{Object, ObjectSection};
use std::collections::BTreeSet;

/// The borders of its sections and of its header, ascending; each is less than the whole.
pub(crate) fn borders(whole: &[u8]) -> Vec<usize> {
    let elf = object::File::parse(whole).expect("a whole plugin");
    let ranges = elf.sections().filter_map(|section| section.file_range());
    let ends = ranges.flat_map(|(start, len)| [start, start + len]);
    let mut borders: BTreeSet<usize> = ends.map(|end| usize::try_from(end).expect("a small file")).collect();
    borders.extend([0, 1, 4, 16, 63, 64, 65, whole.len() - 1]);
    borders.into_iter().filter(|border| *border < whole.len()).collect()
}
