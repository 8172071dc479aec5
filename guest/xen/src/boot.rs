// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest as a kernel that boots: it runs on the tables that the records build, in frames of the boot's own numbers,
//! and writes through the direct map that they make.
//!
//! What a boot calls a frame (pseudo-physical) is one of the domain's for every frame that it has: the guest's image, its
//! module and the tables it came up on lie in others, and so does nothing of the boot's. Nothing is caught: a refused
//! request is where a kernel says BUG(), and a page fault where it says that it is unable to handle it.

use crate::console::say;
use crate::hypercall::{flush_tlb, mmu_update, pin, unpin, update_va_mapping, use_root};
use crate::pool::{OWN_WINDOW, Pool};
use crate::wire::{FRAME_BITS, FrameRun, OWN, Op, Record};
use crate::{EXIT_DIED, leave, stop};
use core::sync::atomic::{AtomicU64, Ordering};

/// The record that is done, counted from 0; [`NONE`] where none is.
static RECORD: AtomicU64 = AtomicU64::new(NONE);
const NONE: u64 = u64::MAX;
/// The machine frame of the root that the boot runs on; 0 before it does.
static ROOT: AtomicU64 = AtomicU64::new(0);

const PAGE_BYTES: u64 = 4096;
/// Present, accessed, dirty, never executed; and writable.
const READ_ONLY: u64 = 0x61 | 1 << 63;
const WRITABLE: u64 = READ_ONLY | 2;
/// The slot of a root that maps the guest's image.
const IMAGE_SLOT: u64 = 511;
const PRESENT: u64 = 1;
const LARGE: u64 = 1 << 7;

/// The most runs of frames a boot may have.
const MOST_RUNS: usize = 4096;

struct Boot {
    runs: &'static [[u8; FrameRun::BYTES]],
    /// For each run the place of its first frame among the domain's.
    places: [u32; MOST_RUNS],
    machine_frames: &'static [u64],
    /// The run that was found last.
    found: usize,
    /// The address of the tables the guest came up on.
    pt_base: u64,
}

impl Boot {
    /// The machine frame of a frame of the boot's.
    fn frame(&mut self, frame: u64) -> u64 {
        for at in (self.found..self.runs.len()).chain(0..self.found) {
            let run = FrameRun::from_bytes(&self.runs[at]);
            let Some(behind) = frame.checked_sub(run.first).filter(|behind| *behind < run.n) else { continue };
            self.found = at;
            return match run.machine {
                OWN => self.machine_frames[(u64::from(self.places[at]) + behind) as usize],
                machine => machine + behind,
            };
        }
        stop(format_args!("a record names frame {frame:x}, which the boot has not"))
    }

    /// An entry of the boot's as the machine is to have it, `behind` frames further on.
    fn entry(&mut self, entry: u64, behind: u64) -> u64 {
        if entry & PRESENT == 0 {
            return entry;
        }
        self.frame(((entry & FRAME_BITS) >> 12) + behind) << 12 | entry & !FRAME_BITS
    }

    /// Does what a record says. What Xen returned; it is negative where it refused.
    fn act(&mut self, record: &Record) -> i64 {
        let Record { op, level, slot, number, address, entry } = *record;
        let pages = |end: u64| {
            let next = (address / PAGE_BYTES + 1) * PAGE_BYTES;
            core::iter::once(address).chain((next..end).step_by(PAGE_BYTES as usize))
        };
        match op {
            Op::MapAddress => update_va_mapping(address, self.entry(entry, 0)),
            Op::MapRun => {
                for page in 0..u64::from(number) {
                    let refused = update_va_mapping(address + page * PAGE_BYTES, self.entry(entry, page));
                    if refused != 0 {
                        return refused;
                    }
                }
                0
            }
            Op::Store | Op::StoreRun => {
                for at in 0..u64::from(number) {
                    let behind = if op == Op::StoreRun { at } else { 0 };
                    let entry = self.entry(entry, behind);
                    store(address + (u64::from(slot) + at) * 8, entry);
                }
                0
            }
            Op::Pin => pin(level, self.frame(u64::from(number))),
            Op::Unpin => unpin(self.frame(u64::from(number))),
            Op::SetEntry => {
                let (table, entry) = (self.frame(u64::from(number)), self.entry(entry, 0));
                mmu_update(table << 12 | u64::from(slot % 512) * 8, entry)
            }
            Op::WriteRange => {
                flush_tlb();
                pages(entry).for_each(|address| store(address, 0));
                0
            }
            Op::ReadRange => {
                flush_tlb();
                pages(entry).for_each(|address| {
                    load(address);
                });
                0
            }
            Op::UseRoot => self.use_root(u64::from(number)),
            Op::Reset | Op::SetRoot | Op::Write | Op::Read => {
                stop(format_args!("a record of a boot asks for operation {}", op as u8))
            }
        }
    }

    fn use_root(&mut self, frame: u64) -> i64 {
        let root = self.frame(frame);
        let image = load(self.pt_base + IMAGE_SLOT * 8);
        let mut refused = update_va_mapping(OWN_WINDOW, root << 12 | WRITABLE);
        if refused == 0 {
            store(OWN_WINDOW + IMAGE_SLOT * 8, image);
            refused = update_va_mapping(OWN_WINDOW, 0);
        }
        if refused == 0 {
            refused = pin(4, root);
        }
        if refused == 0 {
            refused = use_root(root);
        }
        if refused == 0 {
            ROOT.store(root, Ordering::Relaxed);
        }
        refused
    }
}

/// Writes 8 bytes; a fault ends the boot.
fn store(address: u64, value: u64) {
    // SAFETY: the host names addresses of windows and of the boot's direct map alone, and behind those lie frames of the
    // boot's, none of which holds anything of the guest's; what may not be written faults, which ends the guest.
    unsafe { (address as *mut u64).write_volatile(value) };
}

/// Reads 8 bytes; a fault ends the boot.
fn load(address: u64) -> u64 {
    // SAFETY: reading has no effect, and what cannot be read faults, which ends the guest.
    unsafe { (address as *const u64).read_volatile() }
}

/// The first 8 bytes of a module's rest, and what is behind.
fn number(bytes: &'static [u8]) -> (u64, &'static [u8]) {
    match bytes.split_first_chunk() {
        Some((number, rest)) => (u64::from_le_bytes(*number), rest),
        None => stop(format_args!("the module of a boot ends early")),
    }
}

/// As many pieces as the number before them says, and what is behind.
fn pieces<const N: usize>(bytes: &'static [u8]) -> (&'static [[u8; N]], &'static [u8]) {
    let (n, rest) = number(bytes);
    match rest.split_at_checked((n as usize).saturating_mul(N)) {
        Some((pieces, rest)) => (pieces.as_chunks().0, rest),
        None => stop(format_args!("the module of a boot holds less than {n} pieces")),
    }
}

/// Boots. `module` is what follows the magic, `pt_base` the address of the root that the guest came up on.
pub(crate) fn run(pool: &Pool, pt_base: u64, module: &'static [u8]) {
    let (runs, rest) = pieces::<{ FrameRun::BYTES }>(module);
    let (records, _) = pieces::<{ Record::BYTES }>(rest);
    let machine_frames = pool.all();
    let mut places = [0; MOST_RUNS];
    if places.len() < runs.len() {
        stop(format_args!("a boot of {} runs of frames", runs.len()));
    }
    let mut n_own = 0u64;
    for (place, run) in places.iter_mut().zip(runs) {
        let run = FrameRun::from_bytes(run);
        *place = n_own as u32;
        n_own += if run.machine == OWN { run.n } else { 0 };
    }
    if (machine_frames.len() as u64) < n_own {
        stop(format_args!("a boot of {n_own} frames, the domain has {}", machine_frames.len()));
    }
    say(format_args!("hello pool {}", machine_frames.len()));
    let mut boot = Boot { runs, places, machine_frames, found: 0, pt_base };
    for (at, bytes) in (0..).zip(records) {
        let Some(record) = Record::from_bytes(bytes) else { stop(format_args!("a record of no operation")) };
        RECORD.store(at, Ordering::Relaxed);
        let refused = boot.act(&record);
        if refused != 0 {
            say(format_args!("kernel BUG: Xen refused a request: {refused}"));
            say(format_args!("refused {at} {refused}"));
            leave(EXIT_DIED)
        }
    }
    RECORD.store(NONE, Ordering::Relaxed);
    say(format_args!("booted {}", records.len()));
}

/// Ends a boot that met a page fault, in the words of the kernel that meets one (`show_fault_oops`). Returns if there
/// is no boot.
pub(crate) fn meet_fault(code: u64, rip: u64, address: u64) {
    let record = RECORD.swap(NONE, Ordering::Relaxed);
    if record == NONE {
        return;
    }
    say(format_args!("BUG: unable to handle kernel paging request at {address:016x}"));
    say(format_args!("IP: [<{rip:016x}>]"));
    let mut entries = [0; 4];
    let mut table = ROOT.load(Ordering::Relaxed);
    for (at, entry) in entries.iter_mut().enumerate() {
        if update_va_mapping(OWN_WINDOW, table << 12 | READ_ONLY) != 0 {
            break;
        }
        *entry = load(OWN_WINDOW + (address >> (39 - 9 * at) & 511) * 8);
        table = (*entry & FRAME_BITS) >> 12;
        if *entry & PRESENT == 0 || *entry & LARGE != 0 {
            break;
        }
    }
    let [pgd, pud, pmd, pte] = entries;
    say(format_args!("PGD {pgd:x} PUD {pud:x} PMD {pmd:x} PTE {pte:x}"));
    say(format_args!("Oops: {code:04x} [#1]"));
    say(format_args!("fault {record} {code:x} {address:x}"));
    leave(EXIT_DIED)
}
