// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scenarios drawn at random: what the model says of each against what Xen says, and the smallest on which they
//! differ.
//!
//! A scenario is about ten frames: two of memory, four that are mostly meant to be tables of level 1, two of level 2,
//! two of level 3. Half of the scenarios begin with a tree that is in order. Entries that link a table of their own
//! level (Xen's linear page tables) are left out: no kernel that builds its direct map makes them.

use super::answer::Answer;
use super::recorded::predict;
use fastrand::Rng;
use pgtlab_core::addr::Pfn;
use pgtlab_core::entry::{Entry, EntryFlags};
use pgtlab_core::geometry::Level;
use pgtlab_core::mmu::guest::{Place, Request};

/// Frames that scenarios are about. Frame N is mapped at window N.
const N_FRAMES: u64 = 10;
/// A window besides, through which any frame may be mapped.
const ALIAS: u16 = 16;
/// Slots that entries are put into.
const N_SLOTS: u16 = 4;
/// A slot that holds no entry.
const FREE_SLOT: u16 = 511;
/// Requests after the beginning.
const N_REQUESTS: usize = 60;

/// Which level a frame is meant for; 0 for memory.
const fn meant(frame: u64) -> u8 {
    match frame {
        0 | 1 => 0,
        2..=5 => 1,
        6 | 7 => 2,
        _ => 3,
    }
}

/// One scenario in the making.
struct Draw {
    rng: Rng,
    requests: Vec<Request>,
}

impl Draw {
    fn one_in(&mut self, n: u32) -> bool {
        self.rng.u32(0..n) == 0
    }

    fn any_frame(&mut self) -> u64 {
        self.rng.u64(0..N_FRAMES)
    }

    fn frame_of(&mut self, level: u8) -> u64 {
        match level {
            1 => self.rng.u64(2..6),
            2 => self.rng.u64(6..8),
            3 => self.rng.u64(8..N_FRAMES),
            _ => self.any_frame(),
        }
    }

    /// An entry for a table that is meant to be of this level.
    fn entry(&mut self, level: u8) -> Entry {
        if self.one_in(8) {
            return Entry::ABSENT;
        }
        let target = if level < 2 { self.any_frame() } else { self.frame_of(level - 1) };
        let mut flags = EntryFlags::PRESENT | EntryFlags::ACCESSED | EntryFlags::DIRTY;
        flags.set(EntryFlags::WRITABLE, !self.one_in(4));
        flags.set(EntryFlags::USER, self.one_in(3));
        flags.set(EntryFlags::NO_EXECUTE, level < 2 && self.one_in(2));
        flags.set(EntryFlags::GLOBAL, self.one_in(24));
        flags.set(EntryFlags::IO, level < 2 && self.one_in(16));
        Entry::new(target, flags)
    }

    fn mapping(frame: u64, is_writable: bool) -> Entry {
        let mut flags = EntryFlags::PRESENT | EntryFlags::ACCESSED | EntryFlags::DIRTY;
        flags.set(EntryFlags::WRITABLE, is_writable);
        Entry::new(frame, flags)
    }

    fn window(frame: u64) -> Place {
        Place::Window(u16::try_from(frame).unwrap_or(ALIAS))
    }

    /// A page of the direct map that the trees of scenarios may map: below two entries of level 3 and of level 2 each.
    fn direct(&mut self) -> Place {
        let (upper, middle) = (u64::from(self.one_in(4)), self.rng.u64(0..2));
        Place::Direct(Pfn::new(upper << 18 | middle << 9 | self.rng.u64(0..u64::from(N_SLOTS))))
    }

    fn begin(&mut self) {
        for frame in 0..N_FRAMES {
            let entry = Self::mapping(frame, true);
            self.requests.push(Request::Map { place: Self::window(frame), entry });
        }
    }

    /// Two tables of level 1 below one of level 2 below one of level 3 below the root, in order, and probed.
    fn tree(&mut self) {
        let table = |frame| Entry::new(frame, EntryFlags::TABLE);
        let store = |frame, slot, entry| Request::Store { place: Self::window(frame), slot, n: 1, entry };
        self.requests.extend([store(8, 0, table(6)), store(6, 0, table(2)), store(6, 1, table(3))]);
        for frame in [2, 3] {
            for slot in 0..N_SLOTS {
                let target = self.any_frame();
                // Mostly, tables are mapped read-only and memory is not.
                let is_table = target == 8 || target == 6 || target == 2 || target == 3;
                let is_writable = if is_table { self.one_in(64) } else { !self.one_in(3) };
                self.requests.push(store(frame, slot, Self::mapping(target, is_writable)));
            }
        }
        for frame in [2, 3, 6, 8] {
            self.requests.push(Request::Map { place: Self::window(frame), entry: Self::mapping(frame, false) });
        }
        self.requests.push(Request::SetRoot { slot: 0, entry: table(8) });
        for page in (0..2).flat_map(|middle| (0..u64::from(N_SLOTS)).map(move |low| middle << 9 | low)) {
            self.requests.push(Request::Write { place: Place::Direct(Pfn::new(page)), slot: FREE_SLOT });
        }
    }

    fn request(&mut self) -> Request {
        let frame = self.any_frame();
        let level = meant(frame);
        match self.rng.u32(0..20) {
            0..=4 if 0 < level => {
                let (slot, entry) = (self.rng.u16(0..N_SLOTS), self.entry(level));
                let n = if self.one_in(6) { self.rng.u16(1..=N_SLOTS - slot) } else { 1 };
                let place = if self.one_in(8) { self.direct() } else { Self::window(frame) };
                // What a direct mapping leads to is not known here: only what does no harm in any table.
                let entry = if matches!(place, Place::Direct(_)) { Entry::ABSENT } else { entry };
                Request::Store { place, slot, n, entry }
            }
            0..=8 => {
                let alias = self.one_in(6);
                let place = if alias { Place::Window(ALIAS) } else { Self::window(frame) };
                let is_writable = self.one_in(4);
                let entry = if self.one_in(12) { Entry::ABSENT } else { Self::mapping(frame, is_writable) };
                Request::Map { place, entry }
            }
            9..=10 => {
                let level = if level < 2 || self.one_in(8) { 1 } else { level };
                Request::Pin { frame: Pfn::new(frame), level: Level::new(level) }
            }
            11 => Request::Unpin(Pfn::new(frame)),
            12..=13 => {
                let target = self.frame_of(3);
                let is_absent = self.one_in(6);
                let mut flags = EntryFlags::TABLE;
                flags.set(EntryFlags::GLOBAL, self.one_in(24));
                let entry = if is_absent { Entry::ABSENT } else { Entry::new(target, flags) };
                Request::SetRoot { slot: u16::from(self.one_in(8)), entry }
            }
            14..=15 => {
                let (slot, entry) = (self.rng.u16(0..N_SLOTS), self.entry(level));
                Request::SetEntry { frame: Pfn::new(frame), slot, entry }
            }
            16 => Request::Map { place: self.direct(), entry: self.entry(1) },
            17..=18 => {
                let place = if self.one_in(4) { Self::window(frame) } else { self.direct() };
                Request::Write { place, slot: FREE_SLOT }
            }
            _ => Request::Read { place: self.direct(), slot: FREE_SLOT },
        }
    }
}

/// The scenario of this number that a seed gives.
#[must_use]
pub fn scenario(seed: u64, number: u64) -> Vec<Request> {
    let mut draw = Draw { rng: Rng::with_seed(seed.rotate_left(32) ^ number), requests: Vec::new() };
    draw.begin();
    if draw.rng.bool() {
        draw.tree();
    }
    for _ in 0..N_REQUESTS {
        let request = draw.request();
        draw.requests.push(request);
    }
    draw.requests
}

/// Where model and Xen differ first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The requests, the last of which they differ on.
    pub requests: Vec<Request>,
    /// What the model says of it.
    pub predicted: Answer,
    /// What Xen answered.
    pub answered: Answer,
}

impl Divergence {
    /// Where the answers to the requests differ from what the model says, if they do.
    #[must_use]
    pub fn of(requests: &[Request], answers: &[Answer]) -> Option<Self> {
        let predicted = predict(requests).into_iter().map(Answer::from);
        let differs = |(at, (predicted, answered)): (usize, (Answer, &Answer))| {
            let requests = requests[..=at].to_vec();
            (predicted != *answered).then_some(Self { requests, predicted, answered: *answered })
        };
        predicted.zip(answers).enumerate().find_map(differs)
    }

    /// The shortest scenario without which the difference goes: requests are left out, half of them at a time, then
    /// less, for as long as some difference stays. `ask` puts scenarios to Xen.
    ///
    /// # Errors
    /// Those of `ask`.
    pub fn shrink<E>(mut self, mut ask: impl FnMut(&[Vec<Request>]) -> Result<Vec<Vec<Answer>>, E>) -> Result<Self, E> {
        let mut n_left_out = self.requests.len() / 2;
        while 0 < n_left_out {
            // The last request is the one that shows it.
            let starts = (0..self.requests.len() - 1).step_by(n_left_out);
            let without = |start: usize| {
                let end = (start + n_left_out).min(self.requests.len() - 1);
                [&self.requests[..start], &self.requests[end..]].concat()
            };
            let shorter: Vec<Vec<Request>> = starts.map(without).collect();
            let answers = ask(&shorter)?;
            let found = shorter.iter().zip(&answers).find_map(|(requests, answers)| Self::of(requests, answers));
            match found {
                Some(found) => {
                    self = found;
                    n_left_out = n_left_out.min(self.requests.len() / 2).max(1);
                    if self.requests.len() == 1 {
                        break;
                    }
                }
                None => n_left_out /= 2,
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn a_seed_gives_the_same_scenarios_and_another_others() {
        assert_eq!(scenario(7, 3), scenario(7, 3));
        assert_ne!(scenario(7, 3), scenario(7, 4));
        assert_ne!(scenario(7, 3), scenario(8, 3));
    }

    /// An oracle that answers as the model, but refuses to unpin what is no longer mapped writable.
    fn answers(requests: &[Request]) -> Vec<Answer> {
        let mut has_pinned = false;
        let told = predict(requests).into_iter().zip(requests).map(|(reply, request)| match request {
            Request::Pin { .. } if reply == pgtlab_core::mmu::guest::Reply::Done => {
                has_pinned = true;
                Answer::Done
            }
            Request::SetRoot { .. } if has_pinned => Answer::Refused(1),
            _ => reply.into(),
        });
        told.collect()
    }

    #[test]
    fn a_difference_is_shrunk_to_what_shows_it() {
        let found = (0..).find_map(|number| {
            let requests = scenario(1, number);
            Divergence::of(&requests, &answers(&requests))
        });
        let found = found.expect("some scenario pins and sets the root");
        assert!(5 < found.requests.len());
        let shrunk = found
            .shrink(|scenarios| Ok::<_, Infallible>(scenarios.iter().map(|requests| answers(requests)).collect()))
            .expect("the oracle never fails");
        assert!(matches!(shrunk.requests.as_slice(), [Request::Pin { .. }, Request::SetRoot { .. }]), "{shrunk:?}");
        assert_eq!(shrunk.answered, Answer::Refused(1));
    }
}
