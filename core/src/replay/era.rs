// SPDX-License-Identifier: MIT OR Apache-2.0
//! The eras of the x86-64 direct-map builder, as data: which kernels, what they print of it, and by which rules
//! they choose ranges, count tables and place them. [`ERAS`] is the table.
//!
//! Source: `arch/x86/mm/init.c`, `init_64.c` and `arch/x86/xen/mmu.c` of each version; the commit that ended an
//! era stands at the one after it.

use super::evidence::Evidence;
use super::line::{Kind, Line};
use super::release::{Release, Releases};
use crate::strategy::top_down::{Growth, Probe};

/// How a kernel writes a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `S-E`, the end exclusive: up to 3.4.
    Exclusive,
    /// `[mem S-L]`, the last byte: from 3.5 on.
    Inclusive,
}

/// What a kernel prints of the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prints {
    /// How it writes ranges.
    pub form: Form,
    /// `init_memory_mapping: ..` with numbers.
    pub calls: bool,
    /// A line for each piece of a range, cut as the model cuts it.
    pub pieces: bool,
    /// `kernel direct mapping tables up to ..`.
    pub tables: bool,
    /// `BRK [..] PGTABLE`.
    pub pool: bool,
}

/// Which ranges are mapped, in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// All in one, by 2 MiB leaves alone.
    One,
    /// Low memory, then all from 4 GiB on.
    LowThenHigh,
    /// Low memory, then each region above 4 GiB.
    LowThenRegions,
}

/// How many pages the table buffer of a range gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// For the tables of large leaves of `[0, end)`.
    ForLarge,
    /// For all tables of `[0, end)`.
    FromZero,
    /// The same, and once more in 4K pages for the first piece of a range from 0.
    FromZeroAndHead,
    /// For each piece by its length.
    ByPiece,
    /// The same, and a page for each piece across 512 GiB.
    ByPieceAndRoot,
}

/// Where the table buffer of a range is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// As low as it fits from 0x8000 on, below the end of the range.
    UpToEnd {
        /// Also not where it would end at a reservation.
        shuns_touching: bool,
    },
    /// As low as it fits from 0x8000 on, below what is mapped.
    UpToMapped,
    /// As high as it fits below what is mapped, not below 0x8000.
    BelowMappedFrom8000,
    /// As high as it fits below what is mapped.
    BelowMapped,
    /// As high as it fits below the end of the range.
    BelowEnd,
}

impl Place {
    /// Whether it is looked for from the bottom up: as long as early reservations were a table, and printed.
    const fn is_upward(self) -> bool {
        match self {
            Self::UpToEnd { .. } | Self::UpToMapped => true,
            Self::BelowMappedFrom8000 | Self::BelowMapped | Self::BelowEnd => false,
        }
    }
}

/// One table buffer a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffered {
    /// The ranges.
    pub calls: Calls,
    /// The buffer's size.
    pub count: Count,
    /// The buffer's place.
    pub place: Place,
    /// How a PV guest's tables become read-only.
    pub guarding: Guarding,
}

/// How the tables of a PV guest become read-only, and what is not used of their buffer writable again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarding {
    /// The used part of the buffer is mapped read-only; only new tables are written through the fixmap.
    UsedPart,
    /// The same, but every table is written through the fixmap.
    UsedPartInFixmap,
    /// The buffer is mapped read-only; the spare part becomes writable with some entry that is written later
    /// (a38647837a41).
    FixUp,
    /// The buffer is mapped read-only; the spare part becomes writable when the range is done (279b706bf800).
    Hook,
}

/// Tables page by page: from a pool in BRK, then from what is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paged {
    /// When the blocks grow.
    pub growth: Growth,
    /// Where the first block may lie.
    pub probe: Probe,
    /// Whether pieces may use larger leaves before neighbours are joined.
    pub raises_first: bool,
    /// Pages of the pool.
    pub pool_pages: u64,
    /// Pages of the pool where the address of the direct map can be random.
    pub random_pool_pages: u64,
    /// Whether it is, where the log does not show it.
    pub is_random: bool,
}

/// How tables are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builder {
    /// One table buffer a range.
    Buffered(Buffered),
    /// Page by page.
    Paged(Paged),
}

/// Where the data of nodes is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeRule {
    /// As low as it fits in the node.
    Lowest,
    /// In the first region of the node above 16 MiB that has room, as high as it fits.
    FirstRegion,
    /// In the last region of the node that has room, as high as it fits.
    LastRegion,
    /// As high as it fits in the node.
    Highest,
}

/// Kernels that build alike.
#[derive(Debug, PartialEq, Eq)]
pub struct Era {
    /// The versions in words.
    pub name: &'static str,
    /// The versions.
    pub releases: Releases,
    /// Stable versions of other series into which the rules were carried back.
    pub also: &'static [Releases],
    /// What the era's rules are, in half a line.
    pub rule: &'static str,
    /// What they print.
    pub prints: Prints,
    /// How they build.
    pub builder: Builder,
    /// Where node data goes.
    pub node_data: NodeRule,
}

impl Era {
    /// Whether the kernel is one of them.
    #[must_use]
    pub fn has(&self, release: Release) -> bool {
        self.releases.have(release) || self.also.iter().any(|releases| releases.have(release))
    }

    /// Whether the kernel is a stable version of another series, beyond doubt, that took the rules over.
    fn has_taken_back(&self, release: Release) -> bool {
        release.is_known() && self.also.iter().any(|releases| releases.have(release))
    }
}

const OLD: Prints = Prints { form: Form::Exclusive, calls: true, pieces: true, tables: true, pool: false };
const MEM: Prints = Prints { form: Form::Inclusive, ..OLD };
const PAGED: Prints = Prints { tables: false, pool: true, ..MEM };

const STABLE_3_2: Releases = Releases::from_until(Release::new(3, 2, 71), Release::new(3, 3, 0));

const LOW: Buffered =
    Buffered { calls: Calls::LowThenHigh, count: Count::FromZero, place: Place::BelowMapped, guarding: Guarding::Hook };
const LOWEST: Buffered =
    Buffered { place: Place::UpToEnd { shuns_touching: false }, guarding: Guarding::UsedPart, ..LOW };
const ONE_CALL: Buffered = Buffered { calls: Calls::One, count: Count::ForLarge, ..LOWEST };
const TOP_DOWN: Paged = Paged {
    growth: Growth::PastAllBefore,
    probe: Probe::WholeLeaf,
    raises_first: true,
    pool_pages: 6,
    random_pool_pages: 12,
    is_random: false,
};

/// Every era whose kernels print something that can be predicted, oldest first, but a version before its
/// candidates: of those that explain a log alike the first is taken.
pub static ERAS: [Era; 19] = [
    Era {
        name: "up to 2.6.25",
        releases: Releases::from_until(Release::new(2, 6, 0), Release::new(2, 6, 26)),
        also: &[],
        rule: "one call; buffer for 2M leaves, lowest fit from 0x8000",
        prints: Prints { calls: false, pieces: false, ..OLD },
        builder: Builder::Buffered(Buffered { place: Place::UpToEnd { shuns_touching: true }, ..ONE_CALL }),
        node_data: NodeRule::Lowest,
    },
    Era {
        name: "2.6.26",
        releases: Releases::from_until(Release::new(2, 6, 26), Release::new(2, 6, 27)),
        also: &[],
        rule: "one call; buffer for large leaves, lowest fit from 0x8000",
        prints: Prints { calls: false, pieces: false, ..OLD },
        builder: Builder::Buffered(ONE_CALL),
        node_data: NodeRule::Lowest,
    },
    // d86623a0d55: its pieces end at whole GiBs of the range's end, and one is not joined.
    Era {
        name: "2.6.27",
        releases: Releases::from_until(Release::new(2, 6, 27), Release::new(2, 6, 28)),
        also: &[],
        rule: "low, then high; buffer counted from 0, lowest fit from 0x8000",
        prints: Prints { calls: false, pieces: false, ..OLD },
        builder: Builder::Buffered(LOWEST),
        node_data: NodeRule::Lowest,
    },
    Era {
        name: "2.6.28 - 2.6.30",
        releases: Releases::from_until(Release::new(2, 6, 28), Release::new(2, 6, 31)),
        also: &[],
        rule: "low, then high; buffer counted from 0, lowest fit from 0x8000",
        prints: OLD,
        builder: Builder::Buffered(LOWEST),
        node_data: NodeRule::Lowest,
    },
    // 80989ce0643: below what is mapped.
    Era {
        name: "2.6.31 - 2.6.36",
        releases: Releases::from_until(Release::new(2, 6, 31), Release::new(2, 6, 37)),
        also: &[],
        rule: "low, then high; buffer counted from 0, lowest fit from 0x8000",
        prints: OLD,
        builder: Builder::Buffered(Buffered { place: Place::UpToMapped, ..LOWEST }),
        node_data: NodeRule::Lowest,
    },
    // a9ce6bc1510: memblock.
    Era {
        name: "2.6.37 - 2.6.38",
        releases: Releases::from_until(Release::new(2, 6, 37), Release::new(2, 6, 39)),
        also: &[],
        rule: "low, then high; buffer counted from 0, highest fit in what is mapped",
        prints: OLD,
        builder: Builder::Buffered(Buffered { place: Place::BelowMappedFrom8000, guarding: Guarding::UsedPart, ..LOW }),
        node_data: NodeRule::FirstRegion,
    },
    // 4b239f458c22: put early page table high; 279b706bf800: the hook.
    Era {
        name: "2.6.39 - 3.1",
        releases: Releases::between(Release::new(2, 6, 39), Release::new(3, 1, 1)),
        also: &[],
        rule: "low, then high; buffer counted from 0, highest fit below the range's end",
        prints: OLD,
        builder: Builder::Buffered(Buffered { place: Place::BelowEnd, ..LOW }),
        node_data: NodeRule::LastRegion,
    },
    Era {
        name: "2.6.39-rc1 - rc5",
        releases: Releases::between(Release::new(2, 6, 39).candidate(0), Release::new(2, 6, 39).candidate(6)),
        also: &[],
        rule: "low, then high; buffer counted from 0, highest fit below the range's end",
        prints: OLD,
        builder: Builder::Buffered(Buffered { place: Place::BelowEnd, guarding: Guarding::UsedPartInFixmap, ..LOW }),
        node_data: NodeRule::LastRegion,
    },
    // b9269dc7bfdf and a38647837a41: the fix-up in Xen's MMU code.
    Era {
        name: "2.6.39-rc6 - rc7",
        releases: Releases::between(Release::new(2, 6, 39).candidate(6), Release::new(2, 6, 39)),
        also: &[],
        rule: "low, then high; buffer counted from 0, highest fit below the range's end",
        prints: OLD,
        builder: Builder::Buffered(Buffered { place: Place::BelowEnd, guarding: Guarding::FixUp, ..LOW }),
        node_data: NodeRule::LastRegion,
    },
    // The fix of S4: low again; carried back to 3.0.9 and 3.1.1.
    Era {
        name: "3.2 - 3.4",
        releases: Releases::from_until(Release::new(3, 2, 0), Release::new(3, 5, 0)),
        also: &[
            Releases::from_until(Release::new(3, 0, 9), Release::new(3, 1, 0)),
            Releases::from_until(Release::new(3, 1, 1), Release::new(3, 2, 0)),
        ],
        rule: "low, then high; buffer counted from 0, highest fit in what is mapped",
        prints: OLD,
        builder: Builder::Buffered(LOW),
        node_data: NodeRule::Highest,
    },
    // The exact size and the page for 512 GiB, carried back from 3.8.
    Era {
        name: "3.2.71 and later of 3.2",
        releases: STABLE_3_2,
        also: &[STABLE_3_2],
        rule: "low, then each region; buffer counted by piece, highest fit in what is mapped",
        prints: OLD,
        builder: Builder::Buffered(Buffered { calls: Calls::LowThenRegions, count: Count::ByPieceAndRoot, ..LOW }),
        node_data: NodeRule::Highest,
    },
    // 722bc6b16771: the first piece counts in 4K pages.
    Era {
        name: "3.5 - 3.6.4",
        releases: Releases::from_until(Release::new(3, 5, 0), Release::new(3, 6, 5)),
        also: &[],
        rule: "low, then high; the first piece counted in 4K pages too, low buffer",
        prints: MEM,
        builder: Builder::Buffered(Buffered { count: Count::FromZeroAndHead, ..LOW }),
        node_data: NodeRule::Highest,
    },
    // 844ab6f993b1: the exact size of each range.
    Era {
        name: "3.6.5 - 3.7",
        releases: Releases::from_until(Release::new(3, 6, 5), Release::new(3, 8, 0)),
        also: &[],
        rule: "low, then each region; buffer counted by piece, highest fit in what is mapped",
        prints: MEM,
        builder: Builder::Buffered(Buffered { calls: Calls::LowThenRegions, count: Count::ByPiece, ..LOW }),
        node_data: NodeRule::Highest,
    },
    Era {
        name: "3.8",
        releases: Releases::from_until(Release::new(3, 8, 0), Release::new(3, 9, 0)),
        also: &[],
        rule: "low, then each region; buffer counted by piece, highest fit in what is mapped",
        prints: MEM,
        builder: Builder::Buffered(Buffered { calls: Calls::LowThenRegions, count: Count::ByPieceAndRoot, ..LOW }),
        node_data: NodeRule::Highest,
    },
    // 8d57470d8f85: page by page.
    Era {
        name: "3.9",
        releases: Releases::between(Release::new(3, 9, 0), Release::new(3, 10, 0).candidate(0)),
        also: &[],
        rule: "top down in steps times 32; tables page by page, 5 from BRK",
        prints: PAGED,
        builder: Builder::Paged(Paged { raises_first: false, pool_pages: 5, ..TOP_DOWN }),
        node_data: NodeRule::Highest,
    },
    // Until 98e7a98997.
    Era {
        name: "3.9-rc1",
        releases: Releases::between(Release::new(3, 9, 0).candidate(0), Release::new(3, 9, 0)),
        also: &[],
        rule: "top down from the highest 2M at any page; tables page by page",
        prints: PAGED,
        builder: Builder::Paged(Paged { probe: Probe::AnyPage, raises_first: false, pool_pages: 5, ..TOP_DOWN }),
        node_data: NodeRule::Highest,
    },
    Era {
        name: "3.10 - 3.18",
        releases: Releases::from_until(Release::new(3, 10, 0), Release::new(3, 19, 0)),
        also: &[],
        rule: "top down in steps times 32; tables page by page, 6 from BRK",
        prints: PAGED,
        builder: Builder::Paged(TOP_DOWN),
        node_data: NodeRule::Highest,
    },
    // 132978b94e66: steps that the tables of which find room.
    Era {
        name: "3.19 - 4.7",
        releases: Releases::from_until(Release::new(3, 19, 0), Release::new(4, 8, 0)),
        also: &[],
        rule: "top down in steps times 256; tables page by page, 6 from BRK",
        prints: PAGED,
        builder: Builder::Paged(Paged { growth: Growth::PastTheStep, ..TOP_DOWN }),
        node_data: NodeRule::Highest,
    },
    // 67d631b7c05e ends it: 5.8 prints nothing of the build.
    Era {
        name: "4.8 - 5.7",
        releases: Releases::from_until(Release::new(4, 8, 0), Release::new(5, 8, 0)),
        also: &[],
        rule: "top down in steps times 256; tables page by page, 12 from BRK",
        prints: Prints { calls: false, pieces: false, ..PAGED },
        builder: Builder::Paged(Paged { growth: Growth::PastTheStep, is_random: true, ..TOP_DOWN }),
        node_data: NodeRule::Highest,
    },
];

/// The eras that a log may be of, the likeliest first: those of its version, of the others those that print what
/// it has.
pub(super) fn candidates(evidence: &Evidence, lines: &[(usize, Line)]) -> Vec<&'static Era> {
    let has = |kind: Kind| lines.iter().any(|(_, line)| line.kind() == kind);
    let can_print = |era: &&Era| {
        // Early reservations have names as long as they are a table; later `memblock=debug` tells who made one.
        let has_reserved = matches!(era.builder, Builder::Buffered(Buffered { place, .. })
            if place.is_upward() || !evidence.reserved.is_empty());
        let form = |kind: Kind| !has(kind) || evidence.form.is_none_or(|form| form == era.prints.form);
        (!has(Kind::Tables) || era.prints.tables)
            && (!has(Kind::Call) || era.prints.calls)
            && (!has(Kind::Pool) || era.prints.pool)
            && (!has(Kind::Reserved) || has_reserved)
            && form(Kind::Tables)
            && form(Kind::Call)
    };
    let printing: Vec<&Era> = ERAS.iter().filter(can_print).collect();
    let Some(release) = evidence.release else { return printing };
    // Whose stable version is known, and had the rules of a later one.
    let of_stable: Vec<&Era> = printing.iter().copied().filter(|era| era.has_taken_back(release)).collect();
    if evidence.is_exact && !of_stable.is_empty() {
        return of_stable;
    }
    let of_version: Vec<&Era> = printing.iter().copied().filter(|era| era.has(release)).collect();
    if evidence.is_exact && !of_version.is_empty() {
        return of_version;
    }
    // A version that prints other lines, or a guess of one: the nearest first, and later ones before earlier.
    let (after, before): (Vec<&Era>, Vec<&Era>) =
        printing.into_iter().filter(|era| !era.has(release)).partition(|era| era.releases.are_after(release));
    of_version.into_iter().chain(after).chain(before.into_iter().rev()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let log = crate::bootlog::BootLog::parse(text);
        let evidence = Evidence::read(text);
        let lines = super::super::line::of_log(&log, &evidence);
        let names: Vec<&str> = candidates(&evidence, &lines).iter().map(|era| era.name).collect();
        assert_eq!(names, expected, "{text}");
    }

    const OLD_TABLES: &str = "kernel direct mapping tables up to db000000 @ 1fffb000-20000000\n";
    const NEW_TABLES: &str = "kernel direct mapping tables up to 0xcffaffff @ [mem 0x1fffd000-0x1fffffff]\n";

    #[test]
    fn a_version_is_of_one_era() {
        check(&format!("Linux version 2.6.38-8-generic\n{OLD_TABLES}"), &["2.6.37 - 2.6.38"]);
        check(&format!("Linux version 3.0.101\n{OLD_TABLES}"), &["3.2 - 3.4"]);
        check(&format!("Linux version 3.0.4\n{OLD_TABLES}"), &["2.6.39 - 3.1"]);
        check(&format!("Linux version 3.2.80\n{OLD_TABLES}"), &["3.2.71 and later of 3.2"]);
        check(&format!("Linux version 3.2.14\n{OLD_TABLES}"), &["3.2 - 3.4"]);
        check(&format!("Linux version 2.6.39-rc7+\n{OLD_TABLES}"), &["2.6.39-rc6 - rc7"]);
        check("Linux version 5.4.0\nBRK [0x01cd2000, 0x01cd2fff] PGTABLE\n", &["4.8 - 5.7"]);
    }

    #[test]
    fn a_distributors_version_may_be_of_two() {
        check(&format!("Linux version 3.0.0-13-generic\n{OLD_TABLES}"), &["2.6.39 - 3.1", "3.2 - 3.4"]);
        check(&format!("Linux version 3.2.0-54-virtual\n{OLD_TABLES}"), &["3.2 - 3.4", "3.2.71 and later of 3.2"]);
    }

    #[test]
    fn without_a_version_the_forms_tell() {
        check(NEW_TABLES, &["3.5 - 3.6.4", "3.6.5 - 3.7", "3.8"]);
        check(&format!("# kernel: 3.7-era\n{NEW_TABLES}"), &["3.6.5 - 3.7", "3.8", "3.5 - 3.6.4"]);
    }

    #[test]
    fn a_state_between_versions_is_of_the_era_that_prints_its_lines() {
        let text = "Linux version 3.8.0upstream-06471\nBRK [0x01cd2000, 0x01cd2fff] PGTABLE\n";
        check(text, &["3.9", "3.9-rc1", "3.10 - 3.18", "3.19 - 4.7", "4.8 - 5.7"]);
    }
}
