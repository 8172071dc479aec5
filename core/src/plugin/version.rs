// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interface's version, by which a host says of a plugin whether they can speak to one another.

use std::fmt;

/// A version of the plugin interface. See "Versions" in [`crate::plugin`] for what each part promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceVersion {
    /// Rises when a plugin that was built before cannot be understood any more.
    pub major: u32,
    /// Rises when something was added at an end, which plugins that were built before do without.
    pub minor: u32,
}

/// The version of this interface.
pub const INTERFACE: InterfaceVersion = InterfaceVersion { major: 1, minor: 1 };

impl InterfaceVersion {
    /// The version that this text says: `MAJOR.MINOR`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        Some(Self { major: number(major)?, minor: number(minor)? })
    }
}

impl fmt::Display for InterfaceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_it_is_written() {
        assert_eq!(InterfaceVersion::parse(&INTERFACE.to_string()), Some(INTERFACE));
        assert_eq!(InterfaceVersion::parse("12.3"), Some(InterfaceVersion { major: 12, minor: 3 }));
        for wrong in ["", "1", "1.", ".1", "1.2.3", "0.1.0", "+1.2", "a.b", "99999999999.0"] {
            assert_eq!(InterfaceVersion::parse(wrong), None, "{wrong:?}");
        }
    }
}
