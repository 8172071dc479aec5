// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cells that the guest *is*: it builds the cell's direct map under the root it runs on, in frames of the boot's own
//! numbers, and then writes where the consumers would, until Xen refuses a request or a page fault ends it.
//!
//! [`session`] boots cells and [`report`] tells how they ended; `plan` makes a boot of an operation trace. Nothing is
//! compared on the way: [`End`] is how it ended, before Xen and in the model.

mod plan;
pub mod report;
pub mod session;

use super::answer::Answer;
use super::machine::{Console, Machine, MachineError};
use super::plan::NotJudged;
use pgtlab_core::ops::{Op, Ops, OpsEnd, Outcome};
use plan::BootPlan;
use std::time::Duration;

/// How a boot ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every request was done and every access landed.
    Through,
    /// Xen refused a request.
    Refused {
        /// The operation that it was part of; none if it was among the boot tables.
        op: Option<usize>,
        /// Xen's error number, positive.
        errno: u16,
    },
    /// An access met a page fault.
    Fault {
        /// The operation that it was part of; none if it was among the boot tables.
        op: Option<usize>,
        /// The error code.
        code: u8,
        /// The address; none if it is not told.
        address: Option<u64>,
    },
}

impl End {
    /// How a trace says that it ends.
    #[must_use]
    pub fn predicted(ops: &Ops) -> Self {
        let ends = ops.ops.iter().enumerate().find_map(|(number, op)| match &op.outcome {
            Outcome::Done => None,
            Outcome::Refused { errno, .. } => {
                Some(Self::Refused { op: Some(number), errno: u16::try_from(*errno).unwrap_or(u16::MAX) })
            }
            Outcome::Fault { error, address } => {
                let code = u8::try_from(*error).unwrap_or(u8::MAX);
                Some(Self::Fault { op: Some(number), code, address: address.map(|address| address.get()) })
            }
        });
        ends.unwrap_or(Self::Through)
    }

    /// Whether both are the same; an address that is not told is any.
    #[must_use]
    pub fn is_as(self, other: Self) -> bool {
        match (self, other) {
            (Self::Fault { op, code, address }, Self::Fault { op: other_op, code: other_code, address: other }) => {
                let may_be =
                    |one: Option<u64>, other: Option<u64>| one.zip(other).is_none_or(|(one, other)| one == other);
                (op, code) == (other_op, other_code) && may_be(address, other)
            }
            (one, other) => one == other,
        }
    }
}

/// A cell that the guest was.
#[derive(Clone, Debug)]
pub struct Booted {
    /// How it ended.
    pub end: End,
    /// The same in words, which the kernel's own end is part of.
    pub ended: String,
    /// How the model says that it ends.
    pub predicted: End,
    /// The same in words.
    pub foretold: String,
    /// How the machine's memory map was scaled, in words.
    pub map: String,
    /// Where the map that Xen told of is another, if it is.
    pub other_map: Option<String>,
    /// What the guest printed.
    pub lines: Vec<String>,
    /// How many requests it could make.
    pub n_requests: usize,
    /// How long it took.
    pub wall: Duration,
}

impl Booted {
    /// Whether the boot ended as the model's, on the machine that it should have.
    #[must_use]
    pub fn is_as_predicted(&self) -> bool {
        self.end.is_as(self.predicted) && self.other_map.is_none()
    }
}

/// A cell that the guest is to be.
#[derive(Clone, Debug)]
pub struct Boot {
    ops: Ops,
    plan: BootPlan,
}

impl Boot {
    /// The boot of a trace.
    ///
    /// # Errors
    /// It is none for Xen, or the guest cannot be it.
    pub fn new(ops: Ops) -> Result<Self, NotJudged> {
        let plan = plan::plan(&ops)?;
        Ok(Self { ops, plan })
    }

    /// How much memory its domain needs, in bytes.
    #[must_use]
    pub fn domain_bytes(&self) -> u64 {
        self.plan.domain_bytes()
    }

    /// Boots it on a machine that was made for it.
    ///
    /// # Errors
    /// As [`MachineError`] says; there must be an end within `wall`.
    pub fn run(self, machine: &Machine, wall: Duration) -> Result<Booted, MachineError> {
        let Console { lines, memory_map, status, wall, .. } = machine.console(&self.plan.module(), wall)?;
        let end = lines.iter().rev().find_map(|line| self.end(line));
        let end = end.ok_or_else(|| MachineError::NoEnd { status, last: lines.last().cloned().unwrap_or_default() })?;
        let predicted = End::predicted(&self.ops);
        let other_map = machine.firmware().and_then(|firmware| firmware.difference(&memory_map));
        Ok(Booted {
            end,
            ended: self.words(end),
            predicted,
            foretold: self.words(predicted),
            map: machine.firmware().map(ToString::to_string).unwrap_or_default(),
            other_map: other_map.map(|difference| difference.to_string()),
            lines,
            n_requests: self.plan.n_records(),
            wall,
        })
    }

    /// The end that one of the guest's lines tells of: `booted N`, `refused RECORD ANSWER`, `fault RECORD CODE ADDRESS`.
    fn end(&self, line: &str) -> Option<End> {
        let words: Vec<&str> = line.split(' ').collect();
        let op = |record: &str| record.parse().ok().map(|record| self.plan.op(record));
        match *words {
            ["booted", n] => (n.parse() == Ok(self.plan.n_records())).then_some(End::Through),
            ["refused", record, answer] => {
                let returned: i16 = answer.parse().ok()?;
                Some(End::Refused { op: op(record)?, errno: returned.unsigned_abs() })
            }
            ["fault", record, code, address] => {
                let address = u64::from_str_radix(address, 16).ok()?;
                Some(End::Fault { op: op(record)?, code: u8::from_str_radix(code, 16).ok()?, address: Some(address) })
            }
            _ => None,
        }
    }

    fn words(&self, end: End) -> String {
        let op = |number: Option<usize>| match number.and_then(|number| self.ops.ops.get(number)) {
            Some(Op { act, .. }) => Op { act: act.clone(), outcome: Outcome::Done }.to_string(),
            None => "the boot tables".to_owned(),
        };
        match (end, &self.ops.end) {
            (End::Refused { op: number, errno }, _) => format!("BUG: {}: {}", op(number), Answer::Refused(errno)),
            (End::Fault { op: number, code, address }, _) => {
                let address = address.map_or_else(|| "a fixmap slot".to_owned(), |address| format!("{address:x}"));
                format!("dies at {address}: {}: error code {code}", op(number))
            }
            // What ended the model's boot is then no doing of Xen's or of the processor's.
            (End::Through, OpsEnd::Broken { text, .. }) if End::predicted(&self.ops) == End::Through => {
                format!("ends by itself: {text}")
            }
            (End::Through, _) => "boots".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine of four pages, of which the last is a root that maps nothing.
    fn trace(backend: &str, operations: &str) -> Ops {
        let text = format!(
            "pgtlab-ops 1\nstrategy s\nlayout l\nbackend {backend}\ngeometry x86-64\ndirect_map ffff880000000000\n\
             e820 0 4000 1\nframes 0 4 0 guest\nroot 3\ntable 3 4 pinned\nbegin\n{operations}"
        );
        Ops::parse(&text).expect("a trace")
    }

    #[test]
    fn a_native_trace_is_no_boot_of_the_guests() {
        let refused = Boot::new(trace("native", "built\nend completed\n")).expect_err("it is native");
        assert_eq!(refused, NotJudged::Native);
    }

    #[test]
    fn the_guests_last_line_is_the_end_by_operation() {
        let boot = Boot::new(trace("xen", "pin 2 1\nbuilt\nend completed\n")).expect("a boot");
        let n = boot.plan.n_records();
        let told = |line: String| boot.end(&line).map(|end| (end.is_as(End::predicted(&boot.ops)), boot.words(end)));
        assert_eq!(told(format!("booted {n}")), Some((true, "boots".to_owned())));
        assert_eq!(told(format!("booted {}", n - 1)), None);
        let refused = "BUG: pin 2 1: refused -22 EINVAL".to_owned();
        assert_eq!(told(format!("refused {} -22", n - 1)), Some((false, refused)));
        let fault = "dies at ffff880000002000: the boot tables: error code 3".to_owned();
        assert_eq!(told("fault 0 3 ffff880000002000".to_owned()), Some((false, fault)));
        assert_eq!(told("PGD 1 PUD 2 PMD 3 PTE 4".to_owned()), None);
    }

    #[test]
    fn an_end_is_the_models_if_operation_and_answer_are() {
        let fault = |op, code, address| End::Fault { op: Some(op), code, address };
        assert!(fault(7, 3, Some(0x1000)).is_as(fault(7, 3, None)));
        assert!(!fault(7, 3, Some(0x1000)).is_as(fault(7, 3, Some(0x2000))));
        assert!(!fault(7, 3, None).is_as(fault(8, 3, None)));
        assert!(!fault(7, 3, None).is_as(fault(7, 2, None)));
        assert!(!End::Refused { op: Some(7), errno: 22 }.is_as(End::Refused { op: Some(7), errno: 16 }));
        assert!(End::Through.is_as(End::Through));
    }
}
