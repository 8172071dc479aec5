// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a worker gives up before a plugin is loaded, and more of it afterwards.
//!
//! | what | by | from when |
//! |---|---|---|
//! | memory, processor time, file size, descriptors, core files | `setrlimit` | before the plugin is loaded |
//! | rights that a program with the set-user-id bit would bring | no-new-privs | before |
//! | writing anywhere but to what it prints; a new process; a socket; a signal to another; anything unheard of | seccomp | before |
//! | reading files but for the plugin's and the system's libraries; TCP; signals and abstract sockets | Landlock | before |
//! | opening any file | seccomp | once the plugin is loaded |
//!
//! Constructors of a library run while it is loaded, so all but the last is in force by then; the loader has to
//! read libraries until it is done. What is refused fails with `EPERM` or `EACCES`, it does not kill. Where the
//! kernel has no seccomp or no Landlock the worker runs without; `pgtlab doctor` says so.

use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    Scope,
};
use rustix::process::{Resource, Rlimit, Signal, getpid, set_parent_process_death_signal, setrlimit};
use rustix::thread::set_no_new_privs;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// What a worker may use of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Address space.
    pub memory_bytes: u64,
    /// Processor time, after which the kernel ends it.
    pub cpu_seconds: u64,
    /// The largest file it may write.
    pub file_bytes: u64,
    /// Open descriptors.
    pub n_files: u64,
}

/// Which of the kernel's two fences stand around a worker, or why they do not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fences {
    /// The filter of system calls.
    pub seccomp: Result<(), String>,
    /// The rules on files, in which version.
    pub landlock: Result<String, String>,
}

/// Where the loader finds what a plugin is linked with.
const LIBRARIES: [&str; 6] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/nix/store"];

/// Binds this process, which has one thread. It dies with its parent; of descriptors it may write to standard
/// output, standard error and `out`; of files it may read the plugin and the system's libraries.
///
/// # Errors
/// A limit cannot be set. That a fence cannot be put up is no error.
pub fn bind(bounds: &Bounds, out: i32, plugin: Option<&Path>) -> io::Result<Fences> {
    set_no_new_privs(true)?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let limit = |current: u64, maximum: u64| Rlimit { current: Some(current), maximum: Some(maximum) };
    // A second between them: a process can tell the first from an end by force.
    setrlimit(Resource::Cpu, limit(bounds.cpu_seconds, bounds.cpu_seconds.saturating_add(1)))?;
    setrlimit(Resource::Core, limit(0, 0))?;
    setrlimit(Resource::As, limit(bounds.memory_bytes, bounds.memory_bytes))?;
    setrlimit(Resource::Fsize, limit(bounds.file_bytes, bounds.file_bytes))?;
    // `out` lies above it, and stays open.
    setrlimit(Resource::Nofile, limit(bounds.n_files, bounds.n_files))?;
    let landlock = fence_files(plugin).map_err(|error| error.to_string()).and_then(|fence| fence);
    let seccomp = fence_calls(out).map_err(|error| error.to_string());
    Ok(Fences { seccomp, landlock })
}

/// From here on no file is opened, by no thread, where the kernel has seccomp; where it has not, `doctor` says so.
pub fn close_files() {
    let calls = [libc::SYS_open, libc::SYS_openat].map(|call| (call, Vec::new()));
    // Whether it came to pass is tried, not believed: see `crate::doctor::probe`.
    let _ = refusing(calls.into(), libc::EPERM).and_then(|program| seccompiler::apply_filter_all_threads(&program));
}

fn fence_files(plugin: Option<&Path>) -> Result<Result<String, String>, landlock::RulesetError> {
    // What newer kernels add is taken where there is any of it: each version refuses more.
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::from_all(ABI::V4))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?;
    let paths = LIBRARIES.iter().map(Path::new).chain(plugin);
    // A path that is not there needs no rule; whoever opens it is told so.
    let readable = paths.filter_map(|path| PathFd::new(path).ok());
    let ruleset = readable.into_iter().try_fold(ruleset, |ruleset, path| {
        let is_file =
            |path: &PathFd| rustix::fs::fstat(path).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFREG);
        let access = if is_file(&path) { AccessFs::ReadFile.into() } else { AccessFs::ReadFile | AccessFs::ReadDir };
        ruleset.add_rule(PathBeneath::new(path, access))
    })?;
    let status = ruleset.restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Ok("all of it".to_owned()),
        RulesetStatus::PartiallyEnforced => Ok("as far as this kernel has it".to_owned()),
        RulesetStatus::NotEnforced => Err("this kernel has none".to_owned()),
    })
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn fence_calls(out: i32) -> Result<(), seccompiler::Error> {
    let allowed = SeccompFilter::new(
        allowed(out)?,
        SeccompAction::Errno(libc::EPERM.cast_unsigned()),
        SeccompAction::Allow,
        TargetArch::x86_64,
    )?;
    let allowed: BpfProgram = allowed.try_into()?;
    // glibc starts threads with `clone` where there is no `clone3`, whose arguments a filter cannot see.
    let clone3 = refusing([(libc::SYS_clone3, Vec::new())].into(), libc::ENOSYS)?;
    seccompiler::apply_filter(&clone3)?;
    seccompiler::apply_filter(&allowed)
}

/// A filter that refuses these calls and no others.
fn refusing(calls: Rules, error: i32) -> Result<BpfProgram, seccompiler::Error> {
    let refused = SeccompAction::Errno(error.cast_unsigned());
    Ok(SeccompFilter::new(calls, SeccompAction::Allow, refused, TargetArch::x86_64)?.try_into()?)
}

/// What a strategy needs that computes, prints, panics, starts threads and is loaded.
const HARMLESS: [i64; 69] = [
    // Memory.
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_mincore,
    libc::SYS_membarrier,
    // Threads, and waiting.
    libc::SYS_futex,
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getcpu,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_pause,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Its own signals.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // What the loader reads. Opening for reading stands below.
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_readv,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_fstat,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_access,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    // Questions.
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_times,
    libc::SYS_getrusage,
    libc::SYS_getrlimit,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_time,
    libc::SYS_getrandom,
    libc::SYS_getpgrp,
    libc::SYS_getsid,
    libc::SYS_getpgid,
];

fn allowed(out: i32) -> Result<Rules, seccompiler::Error> {
    let mut rules: Rules = HARMLESS.into_iter().map(|call| (call, Vec::new())).collect();
    let number = |value: i32| u64::from(value.cast_unsigned());
    let equal = |argument: u8, value: u64| when(argument, SeccompCmpOp::Eq, value);
    // Whoever copies a descriptor onto another's number could write to what it must not.
    for call in [libc::SYS_write, libc::SYS_writev] {
        rules.insert(call, [1, 2, number(out)].map(|fd| equal(0, fd)).into_iter().collect::<Result<_, _>>()?);
    }
    let writes = number(libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_TMPFILE & !libc::O_DIRECTORY);
    for (call, flags) in [(libc::SYS_open, 1), (libc::SYS_openat, 2)] {
        rules.insert(call, vec![when(flags, SeccompCmpOp::MaskedEq(writes), 0)?]);
    }
    let thread = number(libc::CLONE_THREAD);
    rules.insert(libc::SYS_clone, vec![when(0, SeccompCmpOp::MaskedEq(thread), thread)?]);
    let this = number(getpid().as_raw_nonzero().get());
    rules.insert(libc::SYS_tgkill, vec![equal(0, this)?]);
    // More filters, which refuse more.
    rules.insert(libc::SYS_seccomp, Vec::new());
    let settings = [libc::PR_SET_NAME, libc::PR_SET_NO_NEW_PRIVS];
    rules.insert(libc::SYS_prctl, settings.map(|what| equal(0, number(what))).into_iter().collect::<Result<_, _>>()?);
    // A limit that is looked at; whether a descriptor is open, and survives a program's start.
    rules.insert(libc::SYS_prlimit64, vec![when_wide(2, 0)?]);
    let questions = [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL];
    rules.insert(libc::SYS_fcntl, questions.map(|what| equal(1, number(what))).into_iter().collect::<Result<_, _>>()?);
    Ok(rules)
}

fn when(argument: u8, compare: SeccompCmpOp, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compare, value)?])
}

fn when_wide(argument: u8, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, value)?])
}
