// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does what the records say, one after the other, and prints the answers.

use crate::console::Line;
use crate::hypercall::{self, mmu_update, pin, unpin, update_va_mapping};
use crate::pool::Pool;
use crate::trap::{self, Fault};
use crate::wire::{ELSEWHERE, FAULT, FIRST_ROOT_SLOT, MAGIC, N_ROOT_SLOTS, N_WINDOWS, Op, Record, WINDOWS};
use crate::{console, stop};
use core::fmt::Write;

/// Equal answers that follow one another, and the line they will stand on.
struct Answers {
    line: Option<Line>,
    answer: u16,
    n: u32,
}

impl Answers {
    fn push(&mut self, answer: u16) {
        if answer != self.answer {
            self.flush();
            self.answer = answer;
        }
        self.n += 1;
    }

    fn flush(&mut self) {
        if self.n == 0 {
            return;
        }
        // ` 0123*4294967295`
        if self.line.as_ref().is_some_and(|line| !line.has_room(16)) {
            self.end_line();
        }
        let line = self.line.get_or_insert_with(|| {
            let mut line = Line::new();
            let _ = line.write_str("=");
            line
        });
        let _ = match self.n {
            1 => write!(line, " {:04x}", self.answer),
            n => write!(line, " {:04x}*{n}", self.answer),
        };
        self.n = 0;
    }

    fn end_line(&mut self) {
        if let Some(line) = self.line.take() {
            line.print();
        }
    }
}

/// Who does it: the pool, the root, and what must be taken back.
struct Replay {
    pool: Pool,
    /// The machine address of the live root.
    root: u64,
    is_window_used: [bool; N_WINDOWS as usize],
    is_root_slot_used: [bool; N_ROOT_SLOTS as usize],
}

/// The 16 bits that stand for a hypercall's return.
const fn returned(code: i64) -> u16 {
    code as u16
}

/// The 16 bits that stand for an access to `address`.
fn accessed(fault: Option<Fault>, address: u64) -> u16 {
    match fault {
        None => 0,
        Some(Fault { code, address: at }) if at == address => FAULT | u16::from(code),
        Some(Fault { code, .. }) => ELSEWHERE | u16::from(code),
    }
}

impl Replay {
    fn act(&mut self, record: &Record) -> u16 {
        let Record { op, level, slot, number, address, entry } = *record;
        match op {
            Op::Reset => self.reset(),
            Op::MapAddress => {
                if let Some(window) = window_at(address) {
                    self.is_window_used[window] = true;
                }
                let entry = self.pool.entry(entry);
                returned(update_va_mapping(address, entry))
            }
            Op::Store => {
                if window_at(address).is_none() {
                    hypercall::flush_tlb();
                }
                let entry = self.pool.entry(entry);
                let first = address + u64::from(slot) * 8;
                let stored = |at| accessed(trap::write(first + u64::from(at) * 8, entry), first + u64::from(at) * 8);
                (0..number).map(stored).find(|answer| *answer != 0).unwrap_or(0)
            }
            Op::Pin => {
                let code = pin(level, self.pool.frame(number));
                if code == 0 {
                    self.pool.note_pin(number, true);
                }
                returned(code)
            }
            Op::Unpin => {
                let code = unpin(self.pool.frame(number));
                if code == 0 {
                    self.pool.note_pin(number, false);
                }
                returned(code)
            }
            Op::SetEntry => {
                let (table, entry) = (self.pool.frame(number), self.pool.entry(entry));
                returned(mmu_update(table << 12 | u64::from(slot % 512) * 8, entry))
            }
            Op::SetRoot => {
                let Some(used) = slot.checked_sub(FIRST_ROOT_SLOT).filter(|at| *at < N_ROOT_SLOTS) else {
                    stop(format_args!("a record names slot {slot} of the root"))
                };
                self.is_root_slot_used[usize::from(used)] = true;
                let entry = self.pool.entry(entry);
                returned(mmu_update(self.root | u64::from(slot) * 8, entry))
            }
            Op::Write => {
                hypercall::flush_tlb();
                accessed(trap::write(address, 0), address)
            }
            Op::Read => {
                hypercall::flush_tlb();
                accessed(trap::read(address), address)
            }
            Op::StoreRun | Op::MapRun | Op::WriteRange | Op::ReadRange | Op::UseRoot => {
                stop(format_args!("a record asks for operation {}, which is one of boots", op as u8))
            }
        }
    }

    /// Takes back whatever maps or holds a frame of the pool. The last refusal is the answer; there should be none.
    fn reset(&mut self) -> u16 {
        let mut answer = 0;
        let mut note = |code| {
            if code != 0 {
                answer = returned(code);
            }
        };
        for (is_used, slot) in self.is_root_slot_used.iter_mut().zip(u64::from(FIRST_ROOT_SLOT)..) {
            if core::mem::take(is_used) {
                note(mmu_update(self.root | slot * 8, 0));
            }
        }
        for (is_used, window) in self.is_window_used.iter_mut().zip(0..) {
            if core::mem::take(is_used) {
                note(update_va_mapping(WINDOWS + window * 4096, 0));
            }
        }
        self.pool.reset(|machine_frame| note(unpin(machine_frame)));
        note(hypercall::flush_tlb());
        answer
    }
}

fn window_at(address: u64) -> Option<usize> {
    let window = address.checked_sub(WINDOWS)? >> 12;
    (window < N_WINDOWS - 1).then_some(window as usize)
}

/// Does what the module says.
pub(crate) fn run(pool: Pool, root: u64, module: &[u8]) {
    let Some((head, rest)) = module.split_first_chunk::<16>() else {
        stop(format_args!("a module of {} bytes", module.len()))
    };
    let (magic, n) = head.split_at(8);
    let n = n.first_chunk().map_or(0, |n| u64::from_le_bytes(*n));
    let (records, _) = rest.as_chunks::<{ Record::BYTES }>();
    if magic != MAGIC || (records.len() as u64) < n {
        stop(format_args!("a module of {n} records, of which {} are there", records.len()));
    }
    console::say(format_args!("hello pool {}", pool.n_frames()));
    let is_window_used = [false; N_WINDOWS as usize];
    let mut replay = Replay { pool, root, is_window_used, is_root_slot_used: [false; N_ROOT_SLOTS as usize] };
    let mut answers = Answers { line: None, answer: 0, n: 0 };
    for bytes in &records[..n as usize] {
        let Some(record) = Record::from_bytes(bytes) else { stop(format_args!("a record of no operation")) };
        answers.push(replay.act(&record));
    }
    answers.flush();
    answers.end_line();
    console::say(format_args!("done {n}"));
}
