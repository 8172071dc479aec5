// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a worker is, in one word of memory that it shares with its parent.
//!
//! The worker stores the word before and after each question; the parent reads it when the worker is dead.
//! A pipe or a file would cost a system call a question, and there is a question for every table page and
//! every run of leaves; a store costs nothing that can be measured. The job comes
//! in the same file: one descriptor carries both, and the worker cuts the job off when it has read it.
use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::decide::{Decider, StrategyFault};
use pgtlab_core::strategy::{
    Access, Boot, Context, LeafQuestion, Page, PageQuestion, PgtBuf, Plan, Range, RangeDone, Stage, TableSpace,
    WriteQuestion,
};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, Ordering};
use vm_memory::{FileOffset, MmapRegion, VolatileMemory};

/// Where a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nothing of the plugin was run yet.
    BeforeLoading,
    /// The plugin is being loaded, its constructors run.
    Loading,
    /// The strategy of the boot is being made.
    Creating,
    /// A question was put to the plugin.
    Asking(Stage),
    /// The plugin has answered this stage, and the builder is at work.
    Answered(Stage),
    /// It took more steps at this stage than its budget holds.
    OutOfSteps(Stage),
    /// The author's value is being dropped.
    Finishing,
    /// The plugin is done with.
    Finished,
    /// The worker's message could not be written.
    Unheard,
}

const LOADING: u32 = 1;
const CREATING: u32 = 2;
const FINISHING: u32 = 3;
const FINISHED: u32 = 4;
const UNHEARD: u32 = 5;
/// Added to a stage's number when it was answered.
const ANSWERED: u32 = 1 << 16;
/// Added to a stage's number when the budget was spent there.
const OUT_OF_STEPS: u32 = 1 << 17;

impl Place {
    const fn number(self) -> u32 {
        match self {
            Self::BeforeLoading => 0,
            Self::Loading => LOADING,
            Self::Creating => CREATING,
            Self::Asking(stage) => stage.number(),
            Self::Answered(stage) => stage.number() | ANSWERED,
            Self::OutOfSteps(stage) => stage.number() | OUT_OF_STEPS,
            Self::Finishing => FINISHING,
            Self::Finished => FINISHED,
            Self::Unheard => UNHEARD,
        }
    }

    /// What the number says; one that a plugin scribbled there says nothing.
    fn from_number(number: u32) -> Self {
        let stage = Stage::from_number(number & !(ANSWERED | OUT_OF_STEPS));
        match (number, stage) {
            (LOADING, _) => Self::Loading,
            (CREATING, _) => Self::Creating,
            (FINISHING, _) => Self::Finishing,
            (FINISHED, _) => Self::Finished,
            (UNHEARD, _) => Self::Unheard,
            (n, Some(stage)) => match n & (ANSWERED | OUT_OF_STEPS) {
                0 => Self::Asking(stage),
                ANSWERED => Self::Answered(stage),
                OUT_OF_STEPS => Self::OutOfSteps(stage),
                _ => Self::BeforeLoading,
            },
            _ => Self::BeforeLoading,
        }
    }
}

/// Where the job starts in the file whose first word says where the worker is. The page before it is all that
/// stays of the file once the job is read.
const JOB_AT: u64 = 4096;

/// The parent's end.
#[derive(Debug)]
pub struct StageReader(File);

impl StageReader {
    /// A fresh word in memory of its own, and behind it the job. A file and not a pipe, so that writing never
    /// waits for the worker.
    ///
    /// # Errors
    /// The system has no memory or no descriptor left.
    pub fn new(job: &[u8]) -> io::Result<Self> {
        let mut file = File::from(memfd_create("pgtlab-job", MemfdFlags::CLOEXEC)?);
        ftruncate(&file, JOB_AT)?;
        file.write_all_at(job, JOB_AT)?;
        file.seek(SeekFrom::Start(JOB_AT))?;
        Ok(Self(file))
    }

    /// Another descriptor of it, for the worker, which reads the job from where it stands.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn to_worker(&self) -> io::Result<OwnedFd> {
        self.0.as_fd().try_clone_to_owned()
    }

    /// Where the worker is, or was when it died.
    #[must_use]
    pub fn read(&self) -> Place {
        let mut bytes = [0; 4];
        match self.0.read_exact_at(&mut bytes, 0) {
            Ok(()) => Place::from_number(u32::from_le_bytes(bytes)),
            // A plugin that shortened the file.
            Err(_) => Place::BeforeLoading,
        }
    }
}

/// The worker's end. The mapping lives as long as the process.
#[derive(Clone, Copy, Debug)]
pub struct StageWriter(&'static AtomicU32);

impl StageWriter {
    /// Maps the word. The rest of the file is cut off: what was in it was read.
    ///
    /// # Errors
    /// The file is none of [`StageReader`]'s, or cannot be mapped.
    pub fn map(file: OwnedFd) -> io::Result<Self> {
        ftruncate(&file, JOB_AT)?;
        let page = usize::try_from(JOB_AT).map_err(io::Error::other)?;
        let region = MmapRegion::<()>::from_file(FileOffset::new(File::from(file), 0), page);
        // Never unmapped: the worker may say where it is to its end.
        let region = Box::leak(Box::new(region.map_err(io::Error::other)?));
        region.get_atomic_ref(0).map(Self).map_err(io::Error::other)
    }

    /// Says where the worker is.
    #[inline]
    pub fn set(self, place: Place) {
        // To little endian, as it is read; nothing but the word itself is passed, so no ordering is needed.
        self.0.store(place.number().to_le(), Ordering::Relaxed);
    }
}

/// A decider that says where it is.
#[derive(Debug)]
pub struct Watched<D> {
    decider: D,
    cell: StageWriter,
}

impl<D: Decider> Watched<D> {
    /// Watches a decider.
    pub const fn new(decider: D, cell: StageWriter) -> Self {
        Self { decider, cell }
    }

    /// The decider.
    pub fn into_inner(self) -> D {
        self.decider
    }

    #[inline]
    fn ask<T>(&mut self, stage: Stage, question: impl FnOnce(&mut D) -> T) -> T {
        self.cell.set(Place::Asking(stage));
        let answer = question(&mut self.decider);
        self.cell.set(Place::Answered(stage));
        answer
    }
}

impl<D: Decider> Decider for Watched<D> {
    fn boot(&mut self, cx: &mut Context<'_>) -> Result<Boot, StrategyFault> {
        self.ask(Stage::Boot, |decider| decider.boot(cx))
    }

    fn plan(&mut self, cx: &mut Context<'_>) -> Result<Plan, StrategyFault> {
        self.ask(Stage::Plan, |decider| decider.plan(cx))
    }

    fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> Result<TableSpace, StrategyFault> {
        self.ask(Stage::TableSpace, |decider| decider.table_space(cx, range))
    }

    fn page(&mut self, cx: &mut Context<'_>, question: &PageQuestion) -> Result<Page, StrategyFault> {
        self.ask(Stage::Page, |decider| decider.page(cx, question))
    }

    fn access(&mut self, cx: &Context<'_>, table: Pfn, is_new: bool, buf: &PgtBuf) -> Result<Access, StrategyFault> {
        self.ask(Stage::Access, |decider| decider.access(cx, table, is_new, buf))
    }

    fn leaf(&mut self, cx: &Context<'_>, question: &LeafQuestion) -> Result<Option<PfnRange>, StrategyFault> {
        self.ask(Stage::Leaf, |decider| decider.leaf(cx, question))
    }

    fn write(&mut self, cx: &mut Context<'_>, question: &WriteQuestion) -> Result<(), StrategyFault> {
        self.ask(Stage::Write, |decider| decider.write(cx, question))
    }

    fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) -> Result<(), StrategyFault> {
        self.ask(Stage::RangeDone, |decider| decider.range_done(cx, done))
    }

    fn build_done(&mut self, cx: &mut Context<'_>) -> Result<(), StrategyFault> {
        self.ask(Stage::BuildDone, |decider| decider.build_done(cx))
    }

    fn allocator_up(&mut self, cx: &mut Context<'_>) -> Result<(), StrategyFault> {
        self.ask(Stage::AllocatorUp, |decider| decider.allocator_up(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_the_worker_writes_is_what_its_parent_reads() -> io::Result<()> {
        let reader = StageReader::new(b"a job")?;
        assert_eq!(reader.read(), Place::BeforeLoading);
        let mut job = String::new();
        File::from(reader.to_worker()?).read_to_string(&mut job)?;
        assert_eq!(job, "a job");
        let writer = StageWriter::map(reader.to_worker()?)?;
        let mut places = vec![Place::Loading, Place::Creating, Place::Finishing, Place::Finished, Place::Unheard];
        let at = |stage| [Place::Asking(stage), Place::Answered(stage), Place::OutOfSteps(stage)];
        places.extend(Stage::ALL.into_iter().flat_map(at));
        for place in places {
            writer.set(place);
            assert_eq!(reader.read(), place);
        }
        Ok(())
    }

    #[test]
    fn a_scribbled_word_says_nothing() {
        assert_eq!(Place::from_number(0xdead_beef), Place::BeforeLoading);
    }
}
