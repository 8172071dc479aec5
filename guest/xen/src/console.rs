// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines on the console, each given to Xen in one piece so that nothing comes between.

use crate::hypercall;
use crate::wire::PREFIX;
use core::fmt::{self, Write};

/// The longest line; Xen takes what is longer in several pieces.
const LINE_BYTES: usize = 120;

/// A line under construction; what does not fit is cut off.
pub(crate) struct Line {
    bytes: [u8; LINE_BYTES],
    len: usize,
}

impl Line {
    /// A line with the prefix and nothing behind it.
    pub(crate) fn new() -> Self {
        let mut line = Self { bytes: [0; LINE_BYTES], len: 0 };
        let _ = line.write_str(PREFIX);
        line
    }

    /// Whether `n` more bytes fit.
    pub(crate) fn has_room(&self, n: usize) -> bool {
        self.len + n < LINE_BYTES
    }

    /// Prints it.
    pub(crate) fn print(mut self) {
        self.bytes[self.len] = b'\n';
        hypercall::print(&self.bytes[..=self.len]);
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.len + 1 < LINE_BYTES {
                self.bytes[self.len] = byte;
                self.len += 1;
            }
        }
        Ok(())
    }
}

/// Prints one line.
pub(crate) fn say(text: fmt::Arguments<'_>) {
    let mut line = Line::new();
    let _ = line.write_fmt(text);
    line.print();
}
