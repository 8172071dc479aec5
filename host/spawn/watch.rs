// SPDX-License-Identifier: MIT OR Apache-2.0
//! Watching one worker from its start to its end: one loop, no threads, and a deadline.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{Errno, read};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// The longest message that is taken: the events of the largest machine are some 10 MiB.
const MESSAGE_BYTES: usize = 1 << 30;

/// How much of what a worker prints is kept.
const PRINTED_BYTES: usize = 64 << 10;

/// What was seen of a worker.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Its message, with the newline behind it; empty if not all of it came.
    pub(super) message: Vec<u8>,
    /// The start of what it printed.
    printed: Vec<u8>,
    /// Whether it did not end in time.
    pub(super) is_overdue: bool,
    /// How long it was watched.
    pub(super) wall: Duration,
}

impl Watched {
    /// The last line it printed, as `: LINE`; empty if it printed none.
    pub(super) fn last_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.printed);
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        last.map_or_else(String::new, |line| format!(": {line}"))
    }
}

/// A pipe of the worker's, and what came out of it.
struct Pipe {
    end: OwnedFd,
    is_open: bool,
    kept: Vec<u8>,
    most_bytes: usize,
    /// What comes before the first byte that is kept, until it came.
    mark: Option<Vec<u8>>,
}

impl Pipe {
    fn new(end: OwnedFd, most_bytes: usize, mark: Option<Vec<u8>>) -> io::Result<Self> {
        fcntl_setfl(&end, OFlags::NONBLOCK)?;
        Ok(Self { end, is_open: true, kept: Vec::new(), most_bytes, mark })
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.most_bytes.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let Some(mark) = &self.mark else { return };
        match self.kept.windows(mark.len()).position(|window| window == mark) {
            Some(at) => {
                self.kept.drain(..at + mark.len());
                self.mark = None;
            }
            // Of what is not the message no more is kept than may be the start of its mark.
            None => {
                let rest = self.kept.len().saturating_sub(mark.len() - 1);
                self.kept.drain(..rest);
            }
        }
    }

    /// Whether a line has come to its end behind the mark.
    fn is_whole(&self) -> bool {
        self.mark.is_none() && self.kept.ends_with(b"\n")
    }

    /// Takes what is there now; past the cap it is read and dropped, so that the worker is not held up.
    fn drain(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        // As many rounds as the largest pipe has buffers: a plugin that never stops printing must not keep
        // this loop from looking at the clock.
        for _ in 0..MOST_ROUNDS {
            match read(&self.end, &mut *buffer) {
                Ok(0) => {
                    self.is_open = false;
                    return Ok(());
                }
                Ok(n) => self.keep(&buffer[..n]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

const BUFFER_BYTES: usize = 64 << 10;
const MOST_ROUNDS: usize = 16;

/// Watches until the worker has said its message or ended, or the time is over. Does not end it and does not
/// reap it. The message starts behind the secret.
pub(super) fn watch(pid: Pid, message: OwnedFd, secret: &str, printed: OwnedFd, wall: Duration) -> io::Result<Watched> {
    let start = Instant::now();
    let exit = pidfd_open(pid, PidfdFlags::empty())?;
    let mark = Some(secret.as_bytes().to_vec());
    let mut pipes = [Pipe::new(message, MESSAGE_BYTES, mark)?, Pipe::new(printed, PRINTED_BYTES, None)?];
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut is_overdue = false;
    loop {
        let left = wall.saturating_sub(start.elapsed());
        if left.is_zero() {
            is_overdue = true;
            break;
        }
        let has_ended = wait(&exit, &pipes, left)?;
        for pipe in pipes.iter_mut().filter(|pipe| pipe.is_open) {
            pipe.drain(&mut buffer)?;
        }
        // What the worker wrote before it ended was in the pipe, which holds no more than one round takes;
        // whoever else holds the other end is not waited for.
        if has_ended || pipes[0].is_whole() {
            break;
        }
    }
    let [message, printed] = pipes;
    // A whole message, or nothing: what came before it is none.
    let message = if message.is_whole() { message.kept } else { Vec::new() };
    Ok(Watched { message, printed: printed.kept, is_overdue, wall: start.elapsed() })
}

/// Waits until there is something to read or the worker has ended; says whether it has.
fn wait(exit: &OwnedFd, pipes: &[Pipe; 2], left: Duration) -> io::Result<bool> {
    let mut waited = vec![PollFd::new(exit, PollFlags::IN)];
    waited.extend(pipes.iter().filter(|pipe| pipe.is_open).map(|pipe| PollFd::new(&pipe.end, PollFlags::IN)));
    let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
    match poll(&mut waited, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(!waited[0].revents().is_empty()),
        Err(error) => Err(error.into()),
    }
}
