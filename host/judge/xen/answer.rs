// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Xen, or the processor it runs on, answered to one operation.

use super::wire::{ELSEWHERE, FAULT};
use std::fmt;

/// The answer to one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// It was done.
    Done,
    /// Xen refused it, with this error number (positive).
    Refused(u16),
    /// It met a page fault at the address it names, with this error code.
    Fault(u8),
    /// It met a page fault somewhere else, with this error code.
    FaultElsewhere(u8),
}

/// Where the faults end and the refusals begin.
const FAULTS_END: u16 = 0xa000;

impl Answer {
    /// The answer that the guest writes as this number.
    #[must_use]
    pub const fn from_number(number: u16) -> Self {
        let [_, code] = number.to_be_bytes();
        match number {
            0 => Self::Done,
            FAULT..ELSEWHERE => Self::Fault(code),
            ELSEWHERE..FAULTS_END => Self::FaultElsewhere(code),
            // What a hypercall returns is negative where it refuses.
            number => Self::Refused(number.wrapping_neg()),
        }
    }
}

/// The names of the error numbers that Xen's memory management answers with (`errno.h` of its public headers).
const NAMES: [(u16, &str); 7] =
    [(1, "EPERM"), (2, "ENOENT"), (4, "EINTR"), (12, "ENOMEM"), (14, "EFAULT"), (16, "EBUSY"), (22, "EINVAL")];

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Refused(number) => match NAMES.iter().find(|(known, _)| known == number) {
                Some((_, name)) => write!(f, "refused -{number} {name}"),
                None => write!(f, "refused -{number}"),
            },
            Self::Fault(code) => write!(f, "page fault, error code {code}"),
            Self::FaultElsewhere(code) => write!(f, "page fault at another address, error code {code}"),
        }
    }
}

/// Reads the answers of one of the guest's lines: `NNNN`, or `NNNN*COUNT` for as many equal ones.
#[must_use]
pub fn parse(line: &str) -> Option<Vec<Answer>> {
    let mut answers = Vec::new();
    for word in line.split_whitespace() {
        let (number, count) = word.split_once('*').unwrap_or((word, "1"));
        let answer = Answer::from_number(u16::from_str_radix(number, 16).ok()?);
        answers.extend(std::iter::repeat_n(answer, count.parse().ok()?));
    }
    Some(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_answers_and_how_often_each_came() {
        let answers = parse("0000*2 ffea fff0 8003 9002").expect("a line of the guest's");
        let texts: Vec<String> = answers.iter().map(Answer::to_string).collect();
        let expected = [
            "done",
            "done",
            "refused -22 EINVAL",
            "refused -16 EBUSY",
            "page fault, error code 3",
            "page fault at another address, error code 2",
        ];
        assert_eq!(texts, expected);
        assert_eq!(parse("0000 nothing"), None);
    }
}
