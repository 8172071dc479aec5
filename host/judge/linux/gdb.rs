// SPDX-License-Identifier: MIT OR Apache-2.0
//! The debugger's side of QEMU's stub: [`Gdb`] stops the guest where it is to be looked at, and looks.
//!
//! QEMU connects to a socket of ours, so nobody waits for a file to appear; every wait ends at the deadline, and when
//! QEMU ends. Of the protocol there is what is used: registers (`g`), memory by virtual or physical address
//! (`m`, `Qqemu.PhyMemMode`), breakpoints by hardware (`Z1`), going on (`c`, `s`) and the end (`k`).
//!
//! Source: "Debugging with GDB", appendix "GDB Remote Serial Protocol"; QEMU's documentation, "GDB usage".

use crate::judge::engine::Running;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// As much memory as a packet of QEMU's holds, in hexadecimal.
const MOST_READ: u64 = 0x7c0;
/// Where registers stand in the answer to `g`: the general ones first, each 8 bytes.
const RIP: usize = 16 * 8;
/// Behind the flags, six segments and three bases.
const CONTROL: usize = RIP + 8 + 4 + 6 * 4 + 3 * 8;

/// Why the guest cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum GdbError {
    /// The socket failed.
    #[error("failed to talk to QEMU's debugger stub: {0}")]
    Socket(#[from] io::Error),
    /// QEMU ended.
    #[error("QEMU ended before the kernel came to where it was to be stopped")]
    Ended,
    /// The guest did not come to where it was to be stopped.
    #[error("the kernel did not come to where it was to be stopped within {} s", .0.as_secs())]
    Overdue(Duration),
    /// Memory cannot be read.
    #[error("QEMU cannot read {len} bytes at {address:#x}: {answer:?}")]
    Memory {
        /// From where.
        address: u64,
        /// How many.
        len: u64,
        /// What it said.
        answer: String,
    },
    /// An answer that means nothing here.
    #[error("QEMU's debugger stub answered {answer:?} to {request:?}")]
    Answer {
        /// What was asked.
        request: String,
        /// What it said.
        answer: String,
    },
}

/// How memory is addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// As the processor does at the moment.
    Virtual,
    /// By the machine's own addresses.
    Physical,
}

/// The registers that are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// The next instruction.
    pub rip: u64,
    /// The stack.
    pub rsp: u64,
    /// The first argument of a function.
    pub rdi: u64,
    /// The second.
    pub rsi: u64,
    /// The root of the page tables.
    pub cr3: u64,
}

/// The place where QEMU's stub connects to.
#[derive(Debug)]
pub struct Listener(UnixListener);

impl Listener {
    /// At this path.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn at(path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    /// Waits for QEMU.
    ///
    /// # Errors
    /// It ends, or does not connect in time.
    pub fn accept(&self, running: &Running, wall: Duration) -> Result<Gdb, GdbError> {
        let exit = running.exit()?;
        let (start, mut is_ended) = (Instant::now(), false);
        loop {
            match self.0.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    return Ok(Gdb { stream, read: Vec::new(), space: Space::Virtual, deadline: start + wall, wall });
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error.into()),
                Err(_) if is_ended => return Err(GdbError::Ended),
                Err(_) => {}
            }
            let left = wall.checked_sub(start.elapsed()).ok_or(GdbError::Overdue(wall))?;
            let left = Timespec::try_from(left).map_err(io::Error::other)?;
            let mut waited = [PollFd::new(&self.0, PollFlags::IN), PollFd::new(&exit, PollFlags::IN)];
            match poll(&mut waited, Some(&left)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
            is_ended = !waited[1].revents().is_empty();
        }
    }
}

/// A guest that is stopped, or runs.
#[derive(Debug)]
pub struct Gdb {
    stream: UnixStream,
    /// What was received and is no whole packet yet.
    read: Vec<u8>,
    /// How the stub takes addresses at the moment.
    space: Space,
    deadline: Instant,
    wall: Duration,
}

impl Gdb {
    /// Lets the guest run until it comes to one of these addresses, each the first byte of an instruction; says which.
    ///
    /// # Errors
    /// It does not come there, or QEMU ends.
    pub fn run_to(&mut self, places: &[u64]) -> Result<Registers, GdbError> {
        // Stopped at one of them, it would stop there again at once.
        self.ask("s")?;
        for place in places {
            self.expect_ok(&format!("Z1,{place:x},1"))?;
        }
        let stopped = self.ask("c")?;
        if !stopped.starts_with('T') && !stopped.starts_with('S') {
            return Err(GdbError::Answer { request: "c".to_owned(), answer: stopped });
        }
        for place in places {
            self.expect_ok(&format!("z1,{place:x},1"))?;
        }
        let registers = self.registers()?;
        if places.contains(&registers.rip) {
            return Ok(registers);
        }
        Err(GdbError::Answer { request: "c".to_owned(), answer: format!("{stopped} at {:#x}", registers.rip) })
    }

    /// The registers.
    ///
    /// # Errors
    /// QEMU ends, or does not answer with them.
    pub fn registers(&mut self) -> Result<Registers, GdbError> {
        let answer = self.ask("g")?;
        let bytes = from_hex(&answer);
        let word = |at: usize| {
            let word = bytes.as_ref().and_then(|bytes| bytes.get(at..at + 8)?.try_into().ok());
            word.map(u64::from_le_bytes)
                .ok_or_else(|| GdbError::Answer { request: "g".to_owned(), answer: answer.clone() })
        };
        let [rdi, rsi, rsp, cr3] = [5 * 8, 4 * 8, 7 * 8, CONTROL + 2 * 8].map(word);
        Ok(Registers { rip: word(RIP)?, rsp: rsp?, rdi: rdi?, rsi: rsi?, cr3: cr3? })
    }

    /// Memory of the guest.
    ///
    /// # Errors
    /// There is none, or QEMU ends.
    pub fn read(&mut self, space: Space, address: u64, len: u64) -> Result<Vec<u8>, GdbError> {
        if self.space != space {
            self.expect_ok(match space {
                Space::Virtual => "Qqemu.PhyMemMode:0",
                Space::Physical => "Qqemu.PhyMemMode:1",
            })?;
            self.space = space;
        }
        let mut bytes = Vec::new();
        let mut at = 0;
        while at < len {
            let n = MOST_READ.min(len - at);
            let answer = self.ask(&format!("m{:x},{n:x}", address.wrapping_add(at)))?;
            match from_hex(&answer).filter(|read| read.len() as u64 == n) {
                Some(read) => bytes.extend(read),
                None => return Err(GdbError::Memory { address, len, answer }),
            }
            at += n;
        }
        Ok(bytes)
    }

    /// Numbers of 64 bits, one after the other.
    ///
    /// # Errors
    /// As [`Gdb::read`].
    pub fn words(&mut self, space: Space, address: u64, n: u64) -> Result<Vec<u64>, GdbError> {
        let bytes = self.read(space, address, n * 8)?;
        Ok(bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect())
    }

    /// One number of 64 bits at an address of the kernel's.
    ///
    /// # Errors
    /// As [`Gdb::read`].
    pub fn word(&mut self, address: u64) -> Result<u64, GdbError> {
        Ok(self.words(Space::Virtual, address, 1)?.first().copied().unwrap_or_default())
    }

    fn expect_ok(&mut self, request: &str) -> Result<(), GdbError> {
        match self.ask(request)? {
            answer if answer == "OK" => Ok(()),
            answer => Err(GdbError::Answer { request: request.to_owned(), answer }),
        }
    }

    fn ask(&mut self, request: &str) -> Result<String, GdbError> {
        let sum = request.bytes().fold(0_u8, u8::wrapping_add);
        let sent = self.stream.write_all(format!("${request}#{sum:02x}").as_bytes());
        sent.map_err(|error| self.failed(error))?;
        loop {
            if let Some((answer, end)) = packet(&self.read) {
                self.read.drain(..end);
                // Somebody who is gone by now is met by the next request.
                let _ = self.stream.write_all(b"+");
                return Ok(answer);
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(GdbError::Overdue(self.wall));
            }
            self.stream.set_read_timeout(Some(left))?;
            let mut bytes = [0; 0x2000];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(GdbError::Ended),
                Ok(n) => self.read.extend(&bytes[..n]),
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    fn failed(&self, error: io::Error) -> GdbError {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => GdbError::Overdue(self.wall),
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => GdbError::Ended,
            _ => error.into(),
        }
    }
}

/// The first packet, and where it ends.
fn packet(read: &[u8]) -> Option<(String, usize)> {
    let start = memchr::memchr(b'$', read)? + 1;
    let end = start + memchr::memchr(b'#', &read[start..])?;
    // Behind it stands a sum, which a local socket needs not be held to.
    let whole = end + 3;
    (whole <= read.len()).then(|| (String::from_utf8_lossy(&read[start..end]).into_owned(), whole))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c.to_digit(16)?).ok()).collect();
    let digits = digits?;
    digits
        .len()
        .is_multiple_of(2)
        .then(|| digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::engine;

    #[test]
    fn packets_are_told_from_what_stands_around_them() {
        assert_eq!(packet(b"+$OK#9a"), Some(("OK".to_owned(), 7)));
        assert_eq!(packet(b"++$T05thread:01;#07$x#78"), Some(("T05thread:01;".to_owned(), 19)));
        for cut in [&b""[..], b"+", b"+$OK", b"+$OK#9"] {
            assert_eq!(packet(cut), None);
        }
    }

    const WALL: Duration = Duration::from_secs(20);

    /// A program that runs for as long as it is wanted, or ends at once, in QEMU's place.
    fn running(script: &str) -> Running {
        let mut command = std::process::Command::new("/bin/sh");
        command.args(["-c", script]);
        engine::start(&command, &tempfile::tempfile().expect("a file")).expect("it starts")
    }

    /// A stub that expects these requests and gives these answers, and what is made of it.
    fn with_stub<T>(talk: &[(&str, &str)], look: impl FnOnce(&mut Gdb) -> T) -> T {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("gdb");
        let listener = Listener::at(&path).expect("a socket");
        let qemu = running("sleep 100");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut stub = UnixStream::connect(&path).expect("somebody listens");
                for (request, answer) in talk {
                    let mut read = Vec::new();
                    let asked = loop {
                        let mut byte = [0];
                        if stub.read(&mut byte).expect("a request") == 0 {
                            return;
                        }
                        read.push(byte[0]);
                        if let Some((asked, _)) = packet(&read) {
                            break asked;
                        }
                    };
                    assert_eq!(asked, *request);
                    // In two parts, as it may arrive.
                    stub.write_all(format!("+${answer}").as_bytes()).expect("it is read");
                    stub.write_all(b"#00").expect("it is read");
                }
            });
            look(&mut listener.accept(&qemu, WALL).expect("it connects"))
        })
    }

    /// The answer to `g` where the guest is stopped at an address.
    fn registers_at(rip: u64) -> String {
        let mut bytes = vec![0; CONTROL + 5 * 8];
        bytes[RIP..RIP + 8].copy_from_slice(&rip.to_le_bytes());
        bytes[CONTROL + 16..CONTROL + 24].copy_from_slice(&0x32a1_0000_u64.to_le_bytes());
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_guest_runs_to_a_place_and_is_read_there() {
        let (here, elsewhere) = (registers_at(0x1000), registers_at(0x2000));
        let run = [("s", "T05"), ("Z1,1000,1", "OK"), ("c", "T05thread:01;"), ("z1,1000,1", "OK")];
        let stopped = |registers| run.into_iter().chain([("g", registers)]).collect::<Vec<_>>();
        let mut talk = stopped(&*here);
        talk.extend([("m8,8", "0100000000000000"), ("Qqemu.PhyMemMode:1", "OK"), ("m10,4", "E14")]);
        with_stub(&talk, |gdb| {
            let registers = gdb.run_to(&[0x1000]).expect("it comes there");
            assert_eq!((registers.rip, registers.cr3), (0x1000, 0x32a1_0000));
            assert_eq!(gdb.word(8).ok(), Some(1));
            let error = gdb.read(Space::Physical, 0x10, 4).expect_err("there is nothing");
            assert_eq!(error.to_string(), "QEMU cannot read 4 bytes at 0x10: \"E14\"");
        });
        let error = with_stub(&stopped(&*elsewhere), |gdb| gdb.run_to(&[0x1000])).expect_err("it is elsewhere");
        assert_eq!(error.to_string(), "QEMU's debugger stub answered \"T05thread:01; at 0x2000\" to \"c\"");
    }

    #[test]
    fn an_end_of_qemu_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = Listener::at(&folder.path().join("gdb")).expect("a socket");
        assert!(matches!(listener.accept(&running("exit 1"), WALL), Err(GdbError::Ended)));
        assert!(matches!(listener.accept(&running("sleep 100"), Duration::ZERO), Err(GdbError::Overdue(_))));
        let error = with_stub(&[("g", "")], |gdb| (gdb.registers().expect_err("no registers"), gdb.word(0)));
        assert_eq!(error.0.to_string(), "QEMU's debugger stub answered \"\" to \"g\"");
        assert!(matches!(error.1, Err(GdbError::Ended)));
    }

    #[test]
    fn only_pairs_of_digits_are_bytes() {
        assert_eq!(from_hex("00ff1D"), Some(vec![0, 0xff, 0x1d]));
        assert_eq!(from_hex("E14"), None);
        assert_eq!(from_hex("xx"), None);
    }
}
