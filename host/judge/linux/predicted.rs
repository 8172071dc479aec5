// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a strategy does on the machine that a kernel was booted on, from its cell's trace and events.

use super::observed::Observed;
use super::tables::{Run, push};
use crate::matrix::Contestant;
use crate::protocol::{Request, Want};
use crate::spawn::{Limits, run_cell};
use pgtlab_core::addr::{Pfn, PfnRange, PhysRange};
use pgtlab_core::geometry::Level;
use pgtlab_core::layout::Backend;

/// The options that say where the p2m list is, for a strategy that has them.
const P2M_OPTIONS: [&str; 2] = ["first_p2m_pfn", "nr_p2m_frames"];

/// What a strategy does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Predicted {
    /// How the boot ends before the direct map is built, if it does.
    pub dies: Option<String>,
    /// The ranges that are mapped, in order.
    pub ranges: Vec<PhysRange>,
    /// The next page of the pool; none without one.
    pub pool_next: Option<Pfn>,
    /// Pages that became tables, ascending.
    pub tables: Vec<(Pfn, Level)>,
    /// Memblock's reserved list after the build.
    pub reserved: Vec<PhysRange>,
    /// The direct map.
    pub map: Vec<Run>,
}

impl Predicted {
    /// Runs a strategy in a worker, on the machine of a boot.
    ///
    /// # Errors
    /// It cannot be run, or leaves nothing to be read.
    pub fn of(
        contestant: &Contestant,
        options: &[String],
        observed: &Observed,
        limits: &Limits,
    ) -> Result<Self, String> {
        let layout = observed.layout.as_ref().ok_or("the boot has no machine")?;
        let mut request = contestant.request(layout.render(), Want::Trace);
        let p2m = [observed.p2m.start.get(), observed.p2m.len()];
        for (key, value) in P2M_OPTIONS.into_iter().zip(p2m).filter(|(key, _)| options.iter().any(|it| it == key)) {
            if !observed.p2m.is_empty() && request.options.iter().all(|(chosen, _)| chosen != key) {
                request.options.push((key.to_owned(), value.to_string()));
            }
        }
        let trace = run(&request, limits)?;
        request.want = Want::Events;
        let events = run(&request, limits)?;
        Ok(Self::read(&trace, &events, layout.backend))
    }

    fn read(trace: &str, events: &str, backend: Backend) -> Self {
        let mut predicted = Self::default();
        for line in trace.lines() {
            let Some((key, rest)) = line.split_once(' ') else { continue };
            match key {
                "call" => {
                    let mut range = after(rest, "range ");
                    if let (Some(start), Some(end)) = (range.next(), range.next()) {
                        predicted.ranges.push(PhysRange::from_numbers(start, end));
                    }
                    predicted.pool_next = after(rest, "brk_end ").next().filter(|next| *next != 0).map(Pfn::new);
                }
                "reserved" => predicted.reserved.extend(two(rest).map(|(a, b)| PhysRange::from_numbers(a, b))),
                "map" => {
                    if let Some(run) = run_of(rest, backend) {
                        push(&mut predicted.map, run);
                    }
                }
                "result" if rest.starts_with("FAIL stage init_memory_mapping") => {
                    predicted.dies = Some(rest.trim_start_matches("FAIL stage ").to_owned());
                }
                _ => {}
            }
        }
        predicted.tables = events.lines().filter_map(taken).collect();
        predicted.tables.sort_unstable();
        predicted
    }
}

fn run(request: &Request, limits: &Limits) -> Result<String, String> {
    let reply = run_cell(request, limits).map_err(|error| error.to_string())?;
    if reply.text.is_empty() {
        let why = reply.record.text.unwrap_or_default();
        return Err(format!("{} leaves nothing to compare: {why}", request.strategy));
    }
    Ok(reply.text)
}

/// The numbers that follow a word of a line.
fn after<'l>(line: &'l str, word: &str) -> impl Iterator<Item = u64> + 'l {
    let rest = line.split_once(word).map_or("", |(_, rest)| rest);
    rest.split(' ').map_while(hex)
}

fn hex(word: &str) -> Option<u64> {
    u64::from_str_radix(word, 16).ok()
}

fn two(text: &str) -> Option<(u64, u64)> {
    let (first, second) = text.split_once(' ')?;
    Some((hex(first)?, hex(second)?))
}

/// `range 2 page: taken 1df0f3 (L1)`.
fn taken(line: &str) -> Option<(Pfn, Level)> {
    let (page, level) = line.split_once(": taken ")?.1.split_once(" (L")?;
    Some((Pfn::new(hex(page)?), Level::new(level.strip_suffix(')')?.parse().ok()?)))
}

/// `100 200 4K RW NX G`; none if nothing is mapped there. Under Xen without the bits that Xen sets of its own accord,
/// and the one that kernels of the time no longer set.
fn run_of(text: &str, backend: Backend) -> Option<Run> {
    let mut words = text.split(' ');
    let pages = PfnRange::from_numbers(hex(words.next()?)?, hex(words.next()?)?);
    let words = words.filter(|word| backend == Backend::Native || !matches!(*word, "G" | "U" | "IO"));
    let words: Vec<&str> = words.collect();
    (words.first() != Some(&"-")).then(|| Run { pages, text: words.join(" ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "strategy linux-6-1
layout x
dmesg: last_pfn = 0x3ffe0 max_arch_pfn = 0x400000000
call 1 range 0 100000 brk_end 4404 min_pfn_mapped 0 max_pfn_mapped 100 ret_pfn 100
call 2 range 3fc00000 3fe00000 brk_end 4405 min_pfn_mapped 3fe00 max_pfn_mapped 3fe00 ret_pfn 3fe00
reserved 0 100000
map 0 100 4K RW NX U
map 100 200 4K RW NX IO
map 200 fffff - absent
result OK
";

    #[test]
    fn a_trace_and_events_are_read() {
        let events = "range 1 page: taken 4402 (L2)\nrange 1 page: taken 4401 (L3)\nrange 1 write: x\n";
        let predicted = Predicted::read(TRACE, events, Backend::Xen);
        assert_eq!(predicted.ranges.len(), 2);
        assert_eq!(predicted.pool_next, Some(Pfn::new(0x4405)));
        assert_eq!(predicted.tables, [(Pfn::new(0x4401), Level::L3), (Pfn::new(0x4402), Level::L2)]);
        assert_eq!(predicted.reserved, [PhysRange::from_numbers(0, 0x10_0000)]);
        let whole = Run { pages: PfnRange::from_numbers(0, 0x200), text: "4K RW NX".to_owned() };
        assert_eq!(predicted.map, [whole]);
        assert_eq!(predicted.dies, None);
    }

    #[test]
    fn a_death_in_the_build_is_told_and_a_later_one_is_not() {
        let died = |line: &str| Predicted::read(line, "", Backend::Native).dies;
        let text = "init_memory_mapping: PANIC: alloc_low_pages: can not alloc memory";
        assert_eq!(died(&format!("result FAIL stage {text}")).as_deref(), Some(text));
        assert_eq!(died("result FAIL stage numa: CRASH: NODE_DATA writes"), None);
    }
}
