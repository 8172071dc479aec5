// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel's version, as logs print it.

use std::fmt;

/// A version: of `3.0.6` the three numbers; of `3.0.0-13-generic` the last is the distributor's and unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    major: u32,
    minor: u32,
    /// `None` where a distributor counts on its own.
    patch: Option<u32>,
    /// Which candidate of it; the largest number is the version itself.
    candidate: u32,
}

/// The version itself, after all its candidates.
const RELEASED: u32 = u32::MAX;

impl Release {
    /// A version that was released.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch: Some(patch), candidate: RELEASED }
    }

    /// The candidate of the version with this number; 0 comes before all of them.
    #[must_use]
    pub const fn candidate(self, n: u32) -> Self {
        Self { candidate: n, ..self }
    }

    /// Reads the version at the start of a text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_start();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (numbers, rest) = text.split_at(end);
        let mut numbers = numbers.split('.').map(|number| number.parse::<u32>().ok());
        let (major, minor) = (numbers.next()??, numbers.next()??);
        // A series alone, as in `3.5-rc2`, is its first version.
        let patch = numbers.next().flatten();
        // Before 3.0, distributors kept the third number, which is the series.
        let is_series = major < 3;
        let is_vendors = !is_series && patch == Some(0) && rest.starts_with(['-', '_']) && !rest.starts_with("-rc");
        let candidate = rest.trim_start_matches(['-', '_', '.']).strip_prefix("rc");
        let digits = |text: &str| text[..text.bytes().take_while(u8::is_ascii_digit).count()].parse().unwrap_or(1);
        let known = if is_vendors { None } else { Some(patch.unwrap_or(0)) };
        Some(Self { major, minor, patch: known, candidate: candidate.map_or(RELEASED, digits) })
    }

    /// Whether all its numbers are known.
    #[must_use]
    pub const fn is_known(self) -> bool {
        self.patch.is_some()
    }

    /// Whether it comes before another one.
    #[must_use]
    pub fn is_before(self, other: Self) -> bool {
        self.key() < other.key()
    }

    /// For the order: an unknown number counts as the first.
    const fn key(self) -> (u32, u32, u32, u32) {
        let patch = match self.patch {
            Some(patch) => patch,
            None => 0,
        };
        (self.major, self.minor, patch, self.candidate)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.patch {
            Some(0) | None if 3 <= self.major => write!(f, "{}.{}", self.major, self.minor)?,
            Some(patch) => write!(f, "{}.{}.{patch}", self.major, self.minor)?,
            None => write!(f, "{}.{}", self.major, self.minor)?,
        }
        if self.candidate == RELEASED { Ok(()) } else { write!(f, "-rc{}", self.candidate) }
    }
}

/// Versions from one up to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Releases {
    from: Release,
    until: Release,
}

impl Releases {
    /// From one version on, before another; each with its candidates.
    #[must_use]
    pub const fn from_until(from: Release, until: Release) -> Self {
        Self { from: from.candidate(0), until: until.candidate(0) }
    }

    /// From one version or candidate on, before another.
    #[must_use]
    pub const fn between(from: Release, until: Release) -> Self {
        Self { from, until }
    }

    /// Whether a version is or may be one of them.
    #[must_use]
    pub fn have(&self, release: Release) -> bool {
        let first = release.key();
        let last = match release.patch {
            Some(_) => first,
            None => (release.major, release.minor, u32::MAX, RELEASED),
        };
        first < self.until.key() && self.from.key() <= last
    }

    /// Whether all of them come after a version.
    #[must_use]
    pub fn are_after(&self, release: Release) -> bool {
        release.key() < self.from.key()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        Release::parse(text).map(|release| release.to_string())
    }

    #[test]
    fn versions_are_read_with_whatever_follows_them() {
        let rows = [
            ("2.6.31-era x86_64", "2.6.31"),
            ("2.6.38-8-generic (x86_64, 2.6.38.2)", "2.6.38"),
            ("3.0.0-13-generic", "3.0"),
            ("3.0.6", "3.0.6"),
            ("3.5-rc2-next (x86_64)", "3.5-rc2"),
            ("3.9.0-rc1", "3.9-rc1"),
            ("2.6.39-rc7", "2.6.39-rc7"),
            ("5.4.0-s76+", "5.4"),
            ("3.8.0upstream-06471-g2ef14f4-dirty", "3.8"),
        ];
        for (text, expected) in rows {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(["", "x86", "6", "next"].map(shown), [const { None }; 4]);
    }

    #[test]
    fn candidates_come_before_their_version_and_belong_to_it() {
        let all = Releases::from_until(Release::new(3, 5, 0), Release::new(3, 6, 0));
        let late = Releases::between(Release::new(3, 5, 0).candidate(6), Release::new(3, 5, 0));
        let rows =
            [("3.5-rc2", true, false), ("3.5-rc7", true, true), ("3.5.0", true, false), ("3.6-rc1", false, false)];
        for (text, is_one, is_late) in rows {
            let release = Release::parse(text).expect("a version");
            assert_eq!((all.have(release), late.have(release)), (is_one, is_late), "{text}");
        }
    }

    #[test]
    fn a_distributors_number_hides_the_stable_version() {
        let late = Releases::from_until(Release::new(3, 0, 9), Release::new(3, 1, 0));
        let may_be = ["3.0.0-13-generic", "3.0.9", "3.0.101"];
        let is_not = ["3.0.8", "3.0.0", "3.1.0-1-generic", "2.6.39", "3.0-rc7"];
        assert!(may_be.iter().all(|text| late.have(Release::parse(text).expect("a version"))));
        assert!(is_not.iter().all(|text| !late.have(Release::parse(text).expect("a version"))));
    }
}
