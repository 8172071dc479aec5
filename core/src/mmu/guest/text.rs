// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests and replies as text, one request a line:
//!
//! ```text
//! map window 0 1063 -> done
//! pin 1 1 -> refused 22
//! write direct 5 511 -> fault 3
//! ```
//!
//! Frames and entries are hexadecimal, slots, counts, levels, windows and codes decimal.

use super::{Place, Reply, Request};
use crate::addr::Pfn;
use crate::entry::Entry;
use crate::geometry::Level;
use std::fmt;
use std::str::SplitWhitespace;

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window(window) => write!(f, "window {window}"),
            Self::Direct(page) => write!(f, "direct {page:x}"),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map { place, entry } => write!(f, "map {place} {:x}", entry.bits()),
            Self::Store { place, slot, n, entry } => write!(f, "store {place} {slot} {n} {:x}", entry.bits()),
            Self::Pin { frame, level } => write!(f, "pin {frame:x} {}", level.get()),
            Self::Unpin(frame) => write!(f, "unpin {frame:x}"),
            Self::SetEntry { frame, slot, entry } => write!(f, "set {frame:x} {slot} {:x}", entry.bits()),
            Self::SetRoot { slot, entry } => write!(f, "root {slot} {:x}", entry.bits()),
            Self::Write { place, slot } => write!(f, "write {place} {slot}"),
            Self::Read { place, slot } => write!(f, "read {place} {slot}"),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Refused(number) => write!(f, "refused {number}"),
            Self::Fault(code) => write!(f, "fault {code}"),
        }
    }
}

/// A line that is no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found `{found}`; expected {expected}")]
pub struct LineError {
    /// The word; empty at the end of the line.
    pub found: String,
    /// What should stand there.
    pub expected: &'static str,
}

/// The words of a line.
struct Words<'t>(SplitWhitespace<'t>);

impl Words<'_> {
    fn take<T>(&mut self, expected: &'static str, read: impl Fn(&str) -> Option<T>) -> Result<T, LineError> {
        let word = self.0.next().unwrap_or_default();
        read(word).ok_or_else(|| LineError { found: word.to_owned(), expected })
    }

    fn decimal<T: std::str::FromStr>(&mut self, expected: &'static str) -> Result<T, LineError> {
        self.take(expected, |word| word.parse().ok())
    }

    fn frame(&mut self) -> Result<Pfn, LineError> {
        self.take("a frame", |word| u64::from_str_radix(word, 16).ok().map(Pfn::new))
    }

    fn entry(&mut self) -> Result<Entry, LineError> {
        self.take("an entry", |word| u64::from_str_radix(word, 16).ok().map(Entry::from_bits))
    }

    fn slot(&mut self) -> Result<u16, LineError> {
        self.take("a slot from 0 to 511", |word| word.parse().ok().filter(|slot| *slot < 512))
    }

    fn place(&mut self) -> Result<Place, LineError> {
        match self.take("`window` or `direct`", |word| ["window", "direct"].into_iter().find(|known| *known == word))? {
            "window" => Ok(Place::Window(self.decimal("a window")?)),
            _ => Ok(Place::Direct(self.frame()?)),
        }
    }

    fn request(&mut self) -> Result<Request, LineError> {
        const KINDS: [&str; 8] = ["map", "store", "pin", "unpin", "set", "root", "write", "read"];
        let kind = self.take("map, store, pin, unpin, set, root, write or read", |word| {
            KINDS.into_iter().find(|known| *known == word)
        })?;
        Ok(match kind {
            "map" => Request::Map { place: self.place()?, entry: self.entry()? },
            "store" => {
                let (place, slot) = (self.place()?, self.slot()?);
                Request::Store { place, slot, n: self.decimal("a count")?, entry: self.entry()? }
            }
            "pin" => {
                let frame = self.frame()?;
                let is_level = |level: &u8| (1..=4).contains(level);
                let level = self.take("a level from 1 to 4", |word| word.parse().ok().filter(is_level))?;
                Request::Pin { frame, level: Level::new(level) }
            }
            "unpin" => Request::Unpin(self.frame()?),
            "set" => Request::SetEntry { frame: self.frame()?, slot: self.slot()?, entry: self.entry()? },
            "root" => Request::SetRoot { slot: self.slot()?, entry: self.entry()? },
            "write" => Request::Write { place: self.place()?, slot: self.slot()? },
            _ => Request::Read { place: self.place()?, slot: self.slot()? },
        })
    }

    fn reply(&mut self) -> Result<Reply, LineError> {
        let kind = self.take("done, refused or fault", |word| {
            ["done", "refused", "fault"].into_iter().find(|known| *known == word)
        })?;
        Ok(match kind {
            "done" => Reply::Done,
            "refused" => Reply::Refused(self.decimal("an error number")?),
            _ => Reply::Fault(self.decimal("an error code")?),
        })
    }
}

/// Reads a line: a request, and what came of it.
///
/// # Errors
/// It is not one.
pub fn parse_line(line: &str) -> Result<(Request, Reply), LineError> {
    let mut words = Words(line.split_whitespace());
    let request = words.request()?;
    words.take("`->`", |word| (word == "->").then_some(()))?;
    let reply = words.reply()?;
    words.take("the end of the line", |word| word.is_empty().then_some(()))?;
    Ok((request, reply))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_is_printed() {
        for line in [
            "map window 3 1063 -> done",
            "map direct 1f 0 -> refused 22",
            "store window 0 4 500 8000000000009063 -> fault 3",
            "pin a 2 -> refused 16",
            "unpin a -> done",
            "set b 511 1067 -> done",
            "root 1 c067 -> done",
            "write direct 200 511 -> fault 2",
            "read window 7 0 -> done",
        ] {
            let (request, reply) = parse_line(line).expect("a line");
            assert_eq!(format!("{request} -> {reply}"), line);
        }
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        let refused = |line: &str| parse_line(line).expect_err("it is wrong").to_string();
        assert_eq!(refused("pin a 5 -> done"), "found `5`; expected a level from 1 to 4");
        assert_eq!(refused("write direct 1 512 -> done"), "found `512`; expected a slot from 0 to 511");
        assert_eq!(refused("unpin a"), "found ``; expected `->`");
        assert_eq!(refused("unpin a -> done now"), "found `now`; expected the end of the line");
    }
}
