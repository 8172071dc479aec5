// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does one of the acts of `acts.rs`: the one whose number the layout's kernel shows. Where an act may be refused
//! by the kernel, it prints what came of it.
#![expect(unsafe_code, reason = "descriptors and processes are taken by their numbers")]

#[path = "acts.rs"]
mod acts;

use acts::{ACTS, FIRST, STEP};
use pgtlab_core::addr::{Pfn, PfnRange};
use pgtlab_core::export_strategy;
use pgtlab_core::strategy::{
    Access, Alias, Boot, Context, LeafQuestion, Page, PageQuestion, PageSizes, PgtBuf, Piece, Plan, Range, RangeDone,
    Stage, Strategy, TableSpace, WriteQuestion, next_range,
};
use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::net::TcpListener;

#[derive(Default)]
struct Misbehaves;

fn act(cx: &Context<'_>) -> &'static str {
    let number = (cx.facts().kernel.start.get() - FIRST) / STEP;
    usize::try_from(number).ok().and_then(|number| ACTS.get(number)).copied().unwrap_or("nothing")
}

/// Panics, if that is the act and this its stage.
fn at(stage: Stage, cx: &Context<'_>) {
    assert!(act(cx).strip_prefix("panics at ") != Some(stage.name()), "at {}", stage.name());
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("once more");
    }
}

fn deeper(depth: u64) -> u64 {
    let room = black_box([depth; 512]);
    if depth == u64::MAX { 0 } else { deeper(depth + 1) + room[0] }
}

fn write_everywhere(text: &[u8]) {
    for fd in 0..1024 {
        // SAFETY: the text is as long as it says; whose descriptor it is does not matter to memory.
        unsafe { libc::write(fd, text.as_ptr().cast(), text.len()) };
    }
}

fn close(fds: std::ops::Range<i32>) {
    for fd in fds {
        // SAFETY: none that a strategy could give: the descriptors are others'. It is what is tested.
        unsafe { libc::close(fd) };
    }
}

fn exit() -> ! {
    // SAFETY: this thread goes no further, and there is no other.
    unsafe { libc::_exit(0) }
}

/// Whether a child was made, which waits for ever.
fn fork() -> bool {
    // SAFETY: the child does nothing but wait.
    match unsafe { libc::fork() } {
        0 => loop {
            // SAFETY: it has no arguments, and no memory is touched.
            unsafe { libc::setsid() };
            // SAFETY: as above.
            unsafe { libc::pause() };
        },
        pid => 0 < pid,
    }
}

fn said(came: bool) -> &'static str {
    if came { "possible" } else { "refused" }
}

impl Misbehaves {
    fn perform(&mut self, cx: &mut Context<'_>) -> Option<Plan> {
        let piece = |start: u64, end: u64, sizes: PageSizes| Piece { pages: PfnRange::from_numbers(start, end), sizes };
        let plan = |start: u64, end: u64, pieces: Vec<Piece>| {
            Some(Plan::Map(Range::new(PfnRange::from_numbers(start, end), pieces)))
        };
        match act(cx) {
            "panics twice" => {
                let _bomb = Bomb;
                panic!("once");
            }
            "overflows the stack" => {
                black_box(deeper(0));
            }
            "plans without end" => {
                let end = cx.facts().max_pfn.get();
                return plan(0, end, vec![piece(0, end, PageSizes::all())]);
            }
            "prints without end" => loop {
                cx.printk("once more");
            },
            "prints long lines without end" => {
                let line = "long ".repeat(20_000);
                loop {
                    cx.printk(&line);
                }
            }
            "writes to stdout without end" => loop {
                let _ = std::io::stdout().write_all(&[b'x'; 4096]);
            },
            "closes 64 descriptors" => close(0..64),
            "closes every descriptor" => close(0..4096),
            "writes garbage to every descriptor" => {
                write_everywhere(b"\x00garbage {\n");
                exit();
            }
            "writes a forged record to every descriptor" => {
                let record =
                    r#"{"strategy":"misbehaves","layout":"it","backend":"native","verdict":"boots","findings":[]}"#;
                let message = format!("{{\"done\":{{\"record\":{record},\"text\":\"\",\"n_steps\":1}}}}\n");
                write_everywhere(message.as_bytes());
                exit();
            }
            "forks without end" => {
                let came = (0..500).filter(|_| fork()).count();
                cx.printk(said(0 < came));
            }
            "leaves a child in a session of its own" => cx.printk(said(fork())),
            "kills its parent" => {
                // SAFETY: it has no arguments.
                let parent = unsafe { libc::getppid() };
                // SAFETY: no memory is touched. Where it is not refused, this test is over.
                cx.printk(said(unsafe { libc::kill(parent, libc::SIGKILL) } == 0));
            }
            "opens files" => {
                let written =
                    File::create("/tmp/pgtlab-misbehaves").is_ok() || File::create("pgtlab-misbehaves").is_ok();
                cx.printk(said(written || File::open("/etc/passwd").is_ok()));
            }
            "uses the network" => cx.printk(said(TcpListener::bind("127.0.0.1:0").is_ok())),
            "answers overlapping pieces" => {
                let none = PageSizes::empty();
                return plan(0, 0x400, vec![piece(0, 0x300, none), piece(0x200, 0x400, none)]);
            }
            "answers unaligned pieces" => return plan(1, 0x777, vec![piece(1, 0x777, PageSizes::all())]),
            "answers a huge range" => {
                let end = cx.facts().geometry.end_of_map().get();
                return plan(0, end, vec![piece(0, end, PageSizes::empty())]);
            }
            "answers a range outside RAM" => {
                let start = cx.facts().max_pfn.get() + 0x4_0000;
                return plan(start, start + 0x400, vec![piece(start, start + 0x400, PageSizes::empty())]);
            }
            "answers otherwise each time" => {
                // Where the loader put it.
                let place = ACTS[0].as_ptr().addr() as u64;
                cx.printk(&format!("{place:x}"));
            }
            "exits at once" => exit(),
            "starts a thread" => {
                let sum = std::thread::Builder::new().name("adds".to_owned()).spawn(|| black_box(1) + 1);
                let sum = sum.ok().and_then(|thread| thread.join().ok());
                cx.printk(if sum == Some(2) { "two" } else { "no thread" });
            }
            _ => {}
        }
        None
    }
}

impl Strategy for Misbehaves {
    fn boot(&mut self, cx: &mut Context<'_>) -> Boot {
        at(Stage::Boot, cx);
        Boot::new(cx.facts())
    }

    fn plan(&mut self, cx: &mut Context<'_>) -> Plan {
        at(Stage::Plan, cx);
        let is_first = cx.facts().ranges_done == 0;
        if (is_first || act(cx) == "plans without end")
            && let Some(plan) = self.perform(cx)
        {
            return plan;
        }
        next_range(cx).map_or(Plan::Done, Plan::Map)
    }

    fn table_space(&mut self, cx: &mut Context<'_>, range: &Range) -> TableSpace {
        at(Stage::TableSpace, cx);
        if act(cx) == "panics at page" {
            let window = PfnRange::new(Pfn::new(0x100), cx.facts().max_pfn_mapped);
            return TableSpace::PageByPage { uses_pool: false, window };
        }
        match cx.find_mapped_pages(cx.tables_needed(range)) {
            Some(pages) => {
                cx.reserve_pages(pages, "PGTABLE");
                TableSpace::Buffer(pages)
            }
            None => TableSpace::Panic("no room".to_owned()),
        }
    }

    fn page(&mut self, cx: &mut Context<'_>, question: &PageQuestion) -> Page {
        at(Stage::Page, cx);
        question.default_page(cx)
    }

    fn access(&mut self, cx: &Context<'_>, _: Pfn, _: bool, _: &PgtBuf) -> Access {
        at(Stage::Access, cx);
        Access { alias: Alias::DirectMap, is_writable: act(cx) == "plans without end" }
    }

    fn leaf(&mut self, cx: &Context<'_>, _: &LeafQuestion) -> Option<PfnRange> {
        at(Stage::Leaf, cx);
        Some(cx.facts().buf.used())
    }

    fn write(&mut self, cx: &mut Context<'_>, _: &WriteQuestion) {
        at(Stage::Write, cx);
    }

    fn range_done(&mut self, cx: &mut Context<'_>, done: &RangeDone) {
        at(Stage::RangeDone, cx);
        cx.reserve_pages(done.buf.used(), "PGTABLE");
        cx.set_max_pfn_mapped(done.last_mapped);
    }

    fn build_done(&mut self, cx: &mut Context<'_>) {
        at(Stage::BuildDone, cx);
    }

    fn allocator_up(&mut self, cx: &mut Context<'_>) {
        at(Stage::AllocatorUp, cx);
    }
}

export_strategy!(Misbehaves, summary = "does what it must not");
