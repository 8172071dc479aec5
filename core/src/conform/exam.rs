// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looking at a strategy on one machine: a boot that is seen, the same boot again, and questions that no
//! sound host asks.

use super::checks::{Check, Stages};
use super::ledger::Audited;
use super::machines;
use crate::build::{self, Built, End, Watch};
use crate::decide::{Decider, StrategyFault};
use crate::layout::Layout;
use crate::plugin::{Budget, Odd, PluginFault, PluginStrategy};
use crate::strategy::{OptionKind, OptionSpec, Options};
use crate::trace;
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// Something that a strategy falls short in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// Of what.
    pub check: Check,
    /// What was seen.
    pub text: String,
}

/// How a boot ended, as far as the kit cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It came through.
    Boots,
    /// The kernel died: a result.
    Dies,
    /// The strategy failed.
    Fails,
}

impl Ending {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Boots => "boots",
            Self::Dies => "dies",
            Self::Fails => "fails",
        }
    }

    /// The ending of this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Boots, Self::Dies, Self::Fails].into_iter().find(|ending| ending.word() == word)
    }
}

/// What was seen of a strategy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The check that was the occasion.
    pub check: Check,
    /// The layout and the back end, if it was on one.
    pub cell: Option<(String, &'static str)>,
    /// How the boot ended, if there was one.
    pub ending: Option<Ending>,
    /// The stages that were asked.
    pub asked: Stages,
    /// Those that it answered by itself.
    pub own: Stages,
    /// The steps it took (see [`Budget`]).
    pub n_steps: u64,
    /// The steps that a boot of this machine may take.
    pub most_steps: u64,
    /// A digest of record and trace, if the strategy came to an end.
    pub fingerprint: Option<u64>,
    /// What it fell short in.
    pub shortfalls: Vec<Shortfall>,
}

impl Seen {
    /// Nothing yet.
    #[must_use]
    pub const fn nothing(check: Check, cell: Option<(String, &'static str)>) -> Self {
        Self {
            check,
            cell,
            ending: None,
            asked: Stages::from_bits(0),
            own: Stages::from_bits(0),
            n_steps: 0,
            most_steps: 0,
            fingerprint: None,
            shortfalls: Vec::new(),
        }
    }

    fn falls_short(&mut self, check: Check, text: impl Into<String>) {
        self.shortfalls.push(Shortfall { check, text: text.into() });
    }
}

type Make<'m> = &'m (dyn Fn() -> Result<PluginStrategy, PluginFault> + Sync);

/// An examination of one strategy, in this process.
#[derive(Clone)]
pub struct Exam<'m> {
    make: Make<'m>,
    /// Key, kind and default of each option.
    options: Vec<(String, OptionKind, String)>,
}

impl std::fmt::Debug for Exam<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exam").field("options", &self.options).finish_non_exhaustive()
    }
}

/// At how many threads the same boot is made at once.
const N_THREADS: usize = 2;

impl<'m> Exam<'m> {
    /// An examination of the strategy that `make` makes, which takes these options.
    #[must_use]
    pub fn new(make: Make<'m>, options: &[OptionSpec]) -> Self {
        let options = options.iter();
        Self::with(make, options.map(|spec| (spec.key.to_owned(), spec.kind, spec.default.to_owned())).collect())
    }

    /// The same with options by key, kind and default.
    #[must_use]
    pub const fn with(make: Make<'m>, options: Vec<(String, OptionKind, String)>) -> Self {
        Self { make, options }
    }

    fn defaults(&self) -> Options {
        Options::new(self.options.iter().map(|(key, _, default)| (key.clone(), default.clone())).collect())
    }

    fn create(&self, options: &Options) -> Result<PluginStrategy, PluginFault> {
        let mut strategy = (self.make)()?;
        strategy.configure(options)?;
        Ok(strategy)
    }

    /// One boot, in which every question and act is seen. What the strategy falls short in by failing is a
    /// shortfall of `check`.
    #[must_use]
    pub fn look(&self, check: Check, layout: &Layout) -> Seen {
        self.look_watched(check, layout, |strategy| strategy, |strategy| strategy)
    }

    /// The same, with something around the strategy that looks on.
    #[must_use]
    pub fn look_watched<D: Decider>(
        &self,
        check: Check,
        layout: &Layout,
        wrap: impl FnOnce(PluginStrategy) -> D,
        unwrap: impl FnOnce(D) -> PluginStrategy,
    ) -> Seen {
        let mut seen = Seen::nothing(check, Some((layout.name.clone(), layout.backend.name())));
        let strategy = match self.create(&self.defaults()) {
            Ok(strategy) => strategy,
            Err(fault) => {
                seen.falls_short(Check::Loading, fault.to_string());
                return seen;
            }
        };
        let mut audited = Audited::new(wrap(strategy));
        let built = build::boot(layout, &mut audited, Watch::RULES);
        let Audited { decider, ledger } = audited;
        seen.asked = ledger.asked;
        seen.own = ledger.own;
        for (check, text) in ledger.strays {
            seen.falls_short(check, text);
        }
        let strategy = unwrap(decider);
        (seen.n_steps, seen.most_steps) = (strategy.n_steps(), Budget::steps_of(layout));
        if seen.most_steps < seen.n_steps {
            let Seen { n_steps, most_steps, .. } = seen;
            seen.falls_short(Check::End, format!("takes {n_steps} steps, of {most_steps} that the machine allows"));
        }
        if let Err(fault) = strategy.finish() {
            seen.falls_short(Check::Drop, fault.to_string());
        }
        // A layout that contradicts itself has no boot, and nothing is said by it.
        let Ok(built) = built else { return seen };
        seen.ending = Some(match &built.end {
            End::Completed => Ending::Boots,
            End::Died { .. } => Ending::Dies,
            End::StrategyFailed(StrategyFault { stage, text }) => {
                let is_endless = build::MOST_RANGES <= ledger.n_plans;
                seen.falls_short(
                    if is_endless { Check::End } else { check },
                    format!("at stage {}: {text}", stage.name()),
                );
                Ending::Fails
            }
        });
        if seen.ending != Some(Ending::Fails) {
            seen.fingerprint = Some(fingerprint(&account(layout, &built)));
        }
        seen
    }

    /// The same boot alone, after a boot of another machine, and from threads at once: all must be alike.
    #[must_use]
    pub fn repeat(&self, layout: &Layout, before: Option<&Layout>) -> Seen {
        let mut seen = Seen::nothing(Check::Repetition, Some((layout.name.clone(), layout.backend.name())));
        let first = self.account(layout);
        if let Some(before) = before {
            let _ = self.account(before);
        }
        let again = self.account(layout);
        seen.fingerprint = Some(fingerprint(&first));
        if let Some(text) = difference(&first, &again) {
            let after = before.map_or_else(String::new, |before| format!(", after a boot of {}", before.name));
            seen.falls_short(Check::Repetition, format!("differs the second time{after}: {text}"));
            return seen;
        }
        let at_once: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..N_THREADS).map(|_| scope.spawn(|| self.account(layout))).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        if let Some(text) = at_once.iter().find_map(|other| difference(&first, other)) {
            seen.falls_short(Check::Repetition, format!("differs when {N_THREADS} threads run it at once: {text}"));
        }
        seen
    }

    /// All that is told of a boot.
    fn account(&self, layout: &Layout) -> String {
        let mut strategy = match self.create(&self.defaults()) {
            Ok(strategy) => strategy,
            Err(fault) => return fault.to_string(),
        };
        match build::boot(layout, &mut strategy, Watch::RULES) {
            Ok(built) => account(layout, &built),
            Err(conflict) => conflict.to_string(),
        }
    }

    /// Unknown numbers, and every option at the ends of its kind, on a small machine.
    #[must_use]
    pub fn strain(&self) -> Seen {
        let mut seen = Seen::nothing(Check::UnknownNumbers, None);
        let small = machines::small();
        for layout in &small {
            for odd in Odd::ALL {
                self.ask_oddly(layout, odd, &mut seen);
            }
        }
        let Some(layout) = small.first() else { return seen };
        for (key, kind, _) in &self.options {
            for value in extremes(*kind) {
                let options = self.defaults().with(key, value);
                if let Err(text) = self.boot_with(layout, &options) {
                    seen.falls_short(Check::Options, format!("with {key}={value}: {text}"));
                    break;
                }
            }
        }
        if !self.options.is_empty() {
            // Whatever comes of it, it comes back: a host that checks nothing may send this.
            let _ = self.create(&Options::new(vec![("no_such_option".to_owned(), "\0".to_owned())]));
        }
        seen
    }

    fn ask_oddly(&self, layout: &Layout, odd: Odd, seen: &mut Seen) {
        let Ok(strategy) = self.create(&self.defaults()) else { return };
        let mut strategy = strategy.with(odd);
        let Ok(built) = build::boot(layout, &mut strategy, Watch::default()) else { return };
        match built.end {
            End::StrategyFailed(_) => {
                // After a failure its state means nothing: it says so, and answers nothing.
                let again = build::boot(layout, &mut strategy, Watch::default());
                if !matches!(again.map(|built| built.end), Ok(End::StrategyFailed(_))) {
                    let text = format!("answers again after it failed on an unknown {}", odd.name());
                    seen.falls_short(Check::UnknownNumbers, text);
                }
            }
            // Nothing that holds the number was asked.
            End::Completed | End::Died { .. } if !odd.is_asked() || built.records.len() < 2 => {}
            End::Completed | End::Died { .. } => {
                let text = format!("takes an unknown {} for one that it knows", odd.name());
                seen.falls_short(Check::UnknownNumbers, text);
            }
        }
    }

    fn boot_with(&self, layout: &Layout, options: &Options) -> Result<(), String> {
        let mut strategy = self.create(options).map_err(|fault| fault.to_string())?;
        match build::boot(layout, &mut strategy, Watch::default()).map(|built| built.end) {
            Ok(End::StrategyFailed(fault)) => Err(fault.to_string()),
            _ => Ok(()),
        }
    }
}

/// The ends of what a value may be.
const fn extremes(kind: OptionKind) -> &'static [&'static str] {
    match kind {
        OptionKind::Number => &["0", "1", "18446744073709551615"],
        OptionKind::Flag => &["false", "true"],
        OptionKind::Text => &["", "\u{1f4a9} = \"quoted\""],
    }
}

fn account(layout: &Layout, built: &Built) -> String {
    let trace = trace::render("strategy", layout, built);
    let Built { end, boot, findings, measures, declined, asked_backend, reserved, .. } = built;
    format!("{trace}{end:?}\n{boot:?}\n{findings:?}\n{measures:?}\n{declined:?} {asked_backend}\n{reserved:?}\n")
}

fn fingerprint(account: &str) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(account.as_bytes());
    hasher.finish()
}

/// The first line in which two accounts differ.
fn difference(one: &str, other: &str) -> Option<String> {
    if one == other {
        return None;
    }
    let (mut ones, mut others) = (one.lines(), other.lines());
    let mut n = 0;
    loop {
        n += 1;
        let (a, b) = (ones.next(), others.next());
        if a != b || a.is_none() {
            return Some(format!("line {n} was `{}`, is `{}`", shortened(a), shortened(b)));
        }
    }
}

fn shortened(line: Option<&str>) -> String {
    const MOST_CHARS: usize = 80;
    let line = line.unwrap_or("(none)");
    match line.char_indices().nth(MOST_CHARS) {
        Some((at, _)) => format!("{}..", &line[..at]),
        None => line.to_owned(),
    }
}
