// SPDX-License-Identifier: MIT OR Apache-2.0
//! A value for each page frame, stored once for each run of 512 frames that agree.
//!
//! Tables map memory in runs, so most questions asked of a frame have the same answer as for its
//! neighbours. A chunk becomes an array only when its frames differ.

use crate::addr::{Pfn, PfnRange, index};
use rustc_hash::FxHashMap;

/// Frames per chunk. Independent of the geometry: it decides the speed, never an answer.
const CHUNK: u64 = 512;
/// Chunks per directory.
const DIRECTORY: u64 = 512;

#[derive(Clone, Debug)]
enum Chunk<T> {
    Same(T),
    Each(Box<[T]>),
}

/// Directories that are found by their number alone: those of the first 64 TiB of 4 KiB frames.
const NEAR: u64 = 1 << 16;

/// A value of type `T` for every frame, `T::default()` where none was set.
#[derive(Clone, Debug)]
pub(crate) struct FrameMap<T> {
    directories: Vec<Box<[Chunk<T>]>>,
    /// For each near directory its place, counted from 1; 0 where there is none.
    near: Vec<u32>,
    far: FxHashMap<u64, u32>,
}

impl<T: Copy + Default + PartialEq> FrameMap<T> {
    pub(crate) fn new() -> Self {
        Self { directories: Vec::new(), near: Vec::new(), far: FxHashMap::default() }
    }

    #[inline]
    fn directory(&self, number: u64) -> Option<usize> {
        let place = match self.near.get(index(number)) {
            Some(place) => *place,
            None => *self.far.get(&number)?,
        };
        place.checked_sub(1).map(|at| at as usize)
    }

    #[cold]
    fn add_directory(&mut self, number: u64) -> usize {
        let at = self.directories.len();
        self.directories.push(vec![Chunk::Same(T::default()); index(DIRECTORY)].into_boxed_slice());
        let place = u32::try_from(at + 1).unwrap_or(u32::MAX);
        if number < NEAR {
            if self.near.len() <= index(number) {
                self.near.resize(index(number) + 1, 0);
            }
            self.near[index(number)] = place;
        } else {
            self.far.insert(number, place);
        }
        at
    }

    #[inline]
    fn chunk_mut(&mut self, chunk: u64) -> &mut Chunk<T> {
        let number = chunk / DIRECTORY;
        let at = match self.directory(number) {
            Some(at) => at,
            None => self.add_directory(number),
        };
        &mut self.directories[at][index(chunk % DIRECTORY)]
    }

    /// The value of one frame, to be changed. An array is made of its chunk.
    #[inline]
    pub(crate) fn get_mut(&mut self, pfn: Pfn) -> &mut T {
        let (first, values) = self.neighbours_mut(pfn);
        &mut values[index(pfn.offset_from(first))]
    }

    /// The values of a frame and of those stored beside it, to be changed, with the first frame among them.
    #[inline]
    pub(crate) fn neighbours_mut(&mut self, pfn: Pfn) -> (Pfn, &mut [T]) {
        let chunk = self.chunk_mut(pfn.get() / CHUNK);
        if let Chunk::Same(same) = *chunk {
            *chunk = Chunk::Each(vec![same; index(CHUNK)].into_boxed_slice());
        }
        let Chunk::Each(values) = chunk else { unreachable!("made an array just above") };
        (pfn.align_down(CHUNK), values)
    }

    #[inline]
    pub(crate) fn get(&self, pfn: Pfn) -> T {
        let chunk = pfn.get() / CHUNK;
        match self.directory(chunk / DIRECTORY).map(|at| &self.directories[at][index(chunk % DIRECTORY)]) {
            None => T::default(),
            Some(Chunk::Same(value)) => *value,
            Some(Chunk::Each(values)) => values[index(pfn.get() % CHUNK)],
        }
    }

    #[inline]
    pub(crate) fn set(&mut self, pfn: Pfn, value: T) {
        let at = index(pfn.get() % CHUNK);
        let chunk = self.chunk_mut(pfn.get() / CHUNK);
        match chunk {
            Chunk::Each(values) => values[at] = value,
            Chunk::Same(same) => {
                if *same != value {
                    let mut values = vec![*same; index(CHUNK)].into_boxed_slice();
                    values[at] = value;
                    *chunk = Chunk::Each(values);
                }
            }
        }
    }

    /// Replaces the value of each frame of the range by what `change` makes of it. `change` must answer
    /// the same for the same value: it is asked once for frames that agree.
    ///
    /// Stops at the first frame for which `change` fails, all frames before it changed, and gives that
    /// frame and the error.
    pub(crate) fn try_update<E>(
        &mut self,
        range: PfnRange,
        mut change: impl FnMut(T) -> Result<T, E>,
    ) -> Result<(), (Pfn, E)> {
        let mut pfn = range.start;
        while pfn < range.end {
            let chunk_start = pfn.align_down(CHUNK);
            let end = chunk_start.saturating_add(CHUNK).min(range.end);
            let is_whole = pfn == chunk_start && end.offset_from(pfn) == CHUNK;
            let chunk = self.chunk_mut(pfn.get() / CHUNK);
            if let (Chunk::Same(same), true) = (&mut *chunk, is_whole) {
                *same = change(*same).map_err(|error| (pfn, error))?;
            } else {
                if let Chunk::Same(same) = *chunk {
                    *chunk = Chunk::Each(vec![same; index(CHUNK)].into_boxed_slice());
                }
                let Chunk::Each(values) = chunk else { unreachable!("made an array just above") };
                let first = index(pfn.offset_from(chunk_start));
                let n = index(end.offset_from(pfn));
                for (value, at) in values[first..first + n].iter_mut().zip(0..) {
                    *value = change(*value).map_err(|error| (pfn.saturating_add(at), error))?;
                }
            }
            pfn = end;
        }
        Ok(())
    }

    /// The first frame of the range whose value is wanted.
    pub(crate) fn find(&self, range: PfnRange, wanted: impl Fn(T) -> bool) -> Option<Pfn> {
        let mut pfn = range.start;
        while pfn < range.end {
            let chunk = pfn.get() / CHUNK;
            let end = pfn.align_down(CHUNK).saturating_add(CHUNK).min(range.end);
            match self.directory(chunk / DIRECTORY).map(|at| &self.directories[at][index(chunk % DIRECTORY)]) {
                Some(Chunk::Each(values)) => {
                    let first = index(pfn.get() % CHUNK);
                    let n = index(end.offset_from(pfn));
                    if let Some(at) = values[first..first + n].iter().position(|&value| wanted(value)) {
                        return Some(pfn.saturating_add(at as u64));
                    }
                }
                Some(Chunk::Same(value)) if wanted(*value) => return Some(pfn),
                Some(Chunk::Same(_)) => {}
                None if wanted(T::default()) => return Some(pfn),
                None => {}
            }
            pfn = end;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_answers_like_a_plain_map(steps in prop::collection::vec((0u64..3000, 0u64..1500, 0u8..4), 0..30)) {
            let mut map = FrameMap::<u8>::new();
            let mut plain = BTreeMap::<u64, u8>::new();
            for (start, len, value) in steps {
                if len < 2 {
                    map.set(Pfn::new(start), value);
                    plain.insert(start, value);
                } else {
                    let range = PfnRange::from_numbers(start, start + len);
                    map.try_update(range, |old| Ok::<_, ()>(old.wrapping_add(value))).expect("never fails");
                    for pfn in start..start + len {
                        let new = plain.get(&pfn).copied().unwrap_or_default().wrapping_add(value);
                        plain.insert(pfn, new);
                    }
                }
            }
            for pfn in 0..5000 {
                prop_assert_eq!(map.get(Pfn::new(pfn)), plain.get(&pfn).copied().unwrap_or_default());
            }
            let expected = (0..5000).find(|pfn| plain.get(pfn).copied().unwrap_or_default() == 3);
            prop_assert_eq!(map.find(PfnRange::from_numbers(0, 5000), |value| value == 3), expected.map(Pfn::new));
        }
    }
}
