// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kernel did beside what a strategy does on the same machine: [`compare`].

use super::observed::Observed;
use super::predicted::Predicted;
use super::tables::{Run, joined};
use pgtlab_core::addr::{Pfn, PfnRange, PhysRange};
use pgtlab_core::geometry::Level;
use pgtlab_core::layout::{Backend, Layout};
use pgtlab_core::memblock::Memblock;
use serde::Serialize;
use std::fmt;

/// Something that is not as it was predicted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What.
    pub what: &'static str,
    /// Where.
    pub place: String,
    /// What the strategy does.
    pub predicted: String,
    /// What the kernel did.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: predicted {}, the kernel {}", self.what, self.place, self.predicted, self.found)
    }
}

/// What came of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// All that is not as predicted.
    pub differences: Vec<Difference>,
    /// Pages of the kernel's image and of Xen's boot objects that the build did not touch and that the boot code maps
    /// otherwise than the layout's convention has it.
    pub n_boot_pages: u64,
}

const NOTHING: &str = "nothing";

/// Compares them, part by part.
#[must_use]
pub fn compare(predicted: &Predicted, observed: &Observed) -> Comparison {
    let mut differences = Vec::new();
    if let Some(text) = &predicted.dies {
        differences.push(Difference {
            what: "the boot",
            place: "in init_mem_mapping".to_owned(),
            predicted: text.clone(),
            found: "comes through".to_owned(),
        });
    }
    if let Some(layout) = &observed.layout {
        differences.extend(lists("memory", &memory(layout), &observed.memory));
    }
    differences.extend(lists("range", &predicted.ranges, &observed.ranges));
    if predicted.pool_next != Some(observed.pool.next) {
        differences.push(Difference {
            what: "the pool",
            place: format!("of {:x}-{:x}", observed.pool.start, observed.pool.end),
            predicted: predicted.pool_next.map_or_else(|| "has none".to_owned(), |next| format!("goes on at {next:x}")),
            found: format!("goes on at {:x}", observed.pool.next),
        });
    }
    tables(&mut differences, &predicted.tables, &observed.new_tables());
    differences.extend(lists("reserved", &predicted.reserved, &observed.reserved));
    let n_boot_pages = map(&mut differences, predicted, observed);
    if let Some((page, frame)) = observed.after.astray {
        differences.push(Difference {
            what: "page",
            place: format!("{page:x}"),
            predicted: "is mapped to itself".to_owned(),
            found: format!("maps frame {frame:x}"),
        });
    }
    Comparison { differences, n_boot_pages }
}

fn memory(layout: &Layout) -> Vec<PhysRange> {
    let mut memblock = Memblock::new(layout.geometry.page_bytes());
    memblock.fill(&layout.e820);
    let whole = |region: &PhysRange| layout.geometry.bytes(layout.geometry.whole_pages(*region));
    memblock.memory().iter().map(whole).filter(|region| !region.is_empty()).collect()
}

/// Two lists, place by place.
fn lists<'l>(
    what: &'static str,
    predicted: &'l [PhysRange],
    found: &'l [PhysRange],
) -> impl Iterator<Item = Difference> + 'l {
    let shown = |range: Option<&PhysRange>| {
        range.map_or_else(|| NOTHING.to_owned(), |range| format!("{:x}-{:x}", range.start, range.end))
    };
    (0..predicted.len().max(found.len())).filter(|at| predicted.get(*at) != found.get(*at)).map(move |at| Difference {
        what,
        place: (at + 1).to_string(),
        predicted: shown(predicted.get(at)),
        found: shown(found.get(at)),
    })
}

fn tables(differences: &mut Vec<Difference>, predicted: &[(Pfn, Level)], found: &[(Pfn, Level)]) {
    let mut all: Vec<(Pfn, Level)> = predicted.iter().chain(found).copied().collect();
    all.sort_unstable();
    all.dedup();
    let differing = all.into_iter().filter_map(|table| {
        let is_predicted = predicted.binary_search(&table).is_ok();
        let (page, level) = table;
        let pages = PfnRange::new(page, page.saturating_add(1));
        (is_predicted != found.binary_search(&table).is_ok()).then_some((pages, (level, is_predicted)))
    });
    let word = |is_there: bool| if is_there { "is one".to_owned() } else { "is none".to_owned() };
    differences.extend(joined(differing).into_iter().map(|(pages, (level, is_predicted))| Difference {
        what: "table",
        place: format!("{:x}-{:x} (L{})", pages.start, pages.end, level.get()),
        predicted: word(is_predicted),
        found: word(!is_predicted),
    }));
}

/// What a page is mapped as.
fn at(runs: &[Run], page: Pfn) -> &str {
    let next = runs.partition_point(|run| run.pages.end <= page);
    runs.get(next).filter(|run| run.pages.start <= page).map_or("absent", |run| &*run.text)
}

/// The two maps, run by run; gives how many pages are the boot code's affair.
fn map(differences: &mut Vec<Difference>, predicted: &Predicted, observed: &Observed) -> u64 {
    let own: Vec<PfnRange> = observed.layout.iter().flat_map(of_the_boot_code).collect();
    let sides = [&predicted.map, &observed.after.runs, &observed.before.runs];
    let runs = sides.into_iter().flat_map(|runs| runs.iter().map(|run| run.pages));
    let edges = runs.chain(own.iter().copied()).flat_map(|pages| [pages.start, pages.end]);
    let mut edges: Vec<Pfn> = edges.collect();
    edges.sort_unstable();
    edges.dedup();
    let mut n_boot_pages = 0;
    let differing = edges.windows(2).filter_map(|edge| {
        let pages = PfnRange::new(edge[0], edge[1]);
        let [expected, found, before] = sides.map(|runs| at(runs, pages.start));
        if expected == found {
            return None;
        }
        if before == found && own.iter().any(|own| own.covers(pages)) {
            n_boot_pages += pages.len();
            return None;
        }
        Some((pages, (expected, found)))
    });
    differences.extend(joined(differing).into_iter().map(|(pages, (predicted, found))| Difference {
        what: "pages",
        place: format!("{:x}-{:x}", pages.start, pages.end),
        predicted: predicted.to_owned(),
        found: found.to_owned(),
    }));
    n_boot_pages
}

/// Under Xen the image and the boot objects: which of their pages are static tables, or roots that were given back, a
/// layout has only a convention for.
fn of_the_boot_code(layout: &Layout) -> Vec<PfnRange> {
    let geometry = &layout.geometry;
    match layout.xen.filter(|_| layout.backend == Backend::Xen) {
        None => Vec::new(),
        Some(xen) => {
            let tables = xen.pt_base.saturating_add(xen.pt_frames << geometry.page_shift);
            [layout.kernel, PhysRange::new(xen.mfn_list, tables)].map(|bytes| geometry.touched_pages(bytes)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::linux::observed::parse;

    const RECORD: &str = "guest pc-1024-xen512
layout e820 1000 9f000 1
layout e820 100000 20000000 1
layout kernel 1000000 4401000
layout xen 1
layout xen_mapped 4c00000
layout xen_pt 4a01000 41
layout xen_mfn_list 4a00000
memory 1000 9f000
memory 100000 20000000
before 0 4c00 4K RW X
range 0 100000
pool 4401 4403 4411
table 4401 4403 L1
reserved 0 100000
map 0 4c00 4K RW X
map 4c00 20000 4K RW NX
";

    fn predicted() -> Predicted {
        let observed = parse(RECORD).expect("a record");
        Predicted {
            dies: None,
            ranges: observed.ranges.clone(),
            pool_next: Some(observed.pool.next),
            tables: observed.new_tables(),
            reserved: observed.reserved.clone(),
            map: observed.after.runs,
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Predicted), expected: &[&str]) -> u64 {
        let mut predicted = predicted();
        change(&mut predicted);
        let comparison = compare(&predicted, &parse(RECORD).expect("a record"));
        let told: Vec<String> = comparison.differences.iter().map(ToString::to_string).collect();
        assert_eq!(told, expected);
        comparison.n_boot_pages
    }

    #[test]
    fn what_is_alike_differs_nowhere() {
        assert_eq!(check(|_| {}, &[]), 0);
    }

    #[test]
    fn each_part_is_compared_and_told_with_both_sides() {
        check(
            |it| it.dies = Some("PANIC".to_owned()),
            &["the boot in init_mem_mapping: predicted PANIC, the kernel comes through"],
        );
        check(|it| it.ranges.clear(), &["range 1: predicted nothing, the kernel 0-100000"]);
        check(
            |it| it.pool_next = Some(Pfn::new(0x4404)),
            &["the pool of 4401-4411: predicted goes on at 4404, the kernel goes on at 4403"],
        );
        check(|it| it.pool_next = None, &["the pool of 4401-4411: predicted has none, the kernel goes on at 4403"]);
        check(
            |it| it.tables = vec![(Pfn::new(0x4402), Level::L1), (Pfn::new(0x4403), Level::L1)],
            &[
                "table 4401-4402 (L1): predicted is none, the kernel is one",
                "table 4403-4404 (L1): predicted is one, the kernel is none",
            ],
        );
        check(|it| it.reserved.push(PhysRange::from_numbers(1, 2)), &["reserved 2: predicted 1-2, the kernel nothing"]);
        check(
            |it| it.map[1].text = "4K RO NX".to_owned(),
            &["pages 4c00-20000: predicted 4K RO NX, the kernel 4K RW NX"],
        );
        check(|it| it.map.truncate(1), &["pages 4c00-20000: predicted absent, the kernel 4K RW NX"]);
    }

    #[test]
    fn the_boot_codes_own_pages_are_counted_where_the_build_left_them_alone() {
        let n = check(
            |it| it.map[0].text = "4K RO X".to_owned(),
            &[
                "pages 0-1000: predicted 4K RO X, the kernel 4K RW X",
                "pages 4401-4a00: predicted 4K RO X, the kernel 4K RW X",
                "pages 4a2a-4c00: predicted 4K RO X, the kernel 4K RW X",
            ],
        );
        assert_eq!(n, 0x3401 + 0x2a);
    }
}
