//! The figures of a finished run, for people and for programs.

use std::time::Duration;

use super::rounds::{Figure, NOISY};
use super::tally::Tally;
use crate::args::Api;
use crate::mode::Mode;
use crate::report::json::{BenchRun, PageLoad, Quantiles, Round, Run, Waits, micros};
use crate::report::output;
use crate::units::{grouped, human, percent};

/// What all runs of a pattern have in common.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Name of the pattern.
    pub pattern: &'static str,
    /// Processes.
    pub processes: u32,
    /// Clients in each.
    pub clients: u32,
    /// Sessions.
    pub sessions: u32,
    /// Bytes in a session.
    pub payload: usize,
    /// The time a handler works.
    pub handler: Duration,
    /// How much more popular some sessions are than others, where that matters.
    pub skew: Option<f64>,
    /// How many of a hundred operations write, where that matters.
    pub writes: Option<f64>,
    /// Operations per second of an open loop.
    pub rate: Option<f64>,
    /// How long it ran before each measurement.
    pub warmup: Duration,
    /// Through which interface.
    pub api: Api,
}

/// The figures of a finished run.
pub struct Finished {
    /// The URL of its store.
    pub store: String,
    /// Its access.
    pub mode: Mode,
    /// What happened, in all rounds.
    pub tally: Tally,
    /// Acknowledged increments that are gone.
    pub lost: u64,
    /// What happened in each round.
    pub rounds: Vec<Tally>,
    /// What it has in common with others.
    pub setting: Setting,
}

impl Finished {
    /// The figures of these rounds, each with what it lost.
    pub fn new(
        store: String,
        mode: Mode,
        setting: &Setting,
        rounds: impl IntoIterator<Item = (Tally, u64)>,
    ) -> Self {
        let (rounds, lost): (Vec<_>, Vec<_>) = rounds.into_iter().unzip();
        let mut tally = Tally::new();
        for round in &rounds {
            tally.follow(Tally::clone(round));
        }
        Self { store, mode, tally, lost: lost.iter().sum(), rounds, setting: setting.clone() }
    }

    /// Whether every promise was kept.
    pub const fn kept(&self) -> bool {
        self.tally.errors == 0
            && self.tally.churned.left == 0
            && (self.lost == 0 || self.mode.may_lose())
    }

    /// Operations per second.
    pub fn rate(&self) -> Figure {
        Figure::of(self.figures().iter().map(|round| round.operations_per_second))
    }

    /// The figures of each round.
    pub fn figures(&self) -> Vec<Round> {
        self.rounds.iter().map(|round| Round::of(round.elapsed, &round.latency)).collect()
    }

    /// Whether operations of an open loop began when they were to begin.
    pub fn kept_up(&self) -> bool {
        self.setting.rate.is_none() || self.rounds.iter().all(kept_up)
    }

    /// Tells people about what failed.
    pub fn complain(&self) {
        let (name, tally) = (self.name(), &self.tally);
        if let Some(error) = &tally.first_error {
            let errors = grouped(tally.errors);
            output::complain(&format!(
                "error: {name}: {errors} operation(s) failed; first: {error}"
            ));
        }
        if tally.churned.left > 0 {
            let left = grouped(tally.churned.left);
            output::complain(&format!("error: {name}: {left} session(s) could not be swept away"));
        }
    }

    /// What tells it from the other runs of a command.
    fn name(&self) -> String {
        format!("{} {} {}", self.setting.pattern, self.mode, self.store)
    }

    /// The figures for programs.
    pub fn run(&self) -> BenchRun {
        let Self { tally, setting, .. } = self;
        let rate = self.rate();
        let run = Run {
            store: self.store.clone(),
            access: self.mode,
            pattern: setting.pattern,
            processes: setting.processes,
            clients: setting.clients,
            sessions: setting.sessions,
            payload_bytes: setting.payload,
            handler_us: micros(setting.handler),
            seconds: tally.elapsed.as_secs_f64(),
            operations: tally.operations,
            operations_per_second: rate.median(),
            latency_us: Quantiles::of(&tally.latency),
            lock_wait_us: Waits::of(&tally.lock_wait),
            conflicts: tally.conflicts,
            lost_updates: self.lost,
            errors: tally.errors,
            page_load_ms: PageLoad::of(&tally.pages),
        };
        BenchRun {
            run,
            api: setting.api,
            open_loop: setting.rate.is_some(),
            rate_asked: setting.rate,
            behind_ms: setting.rate.map(|_| micros(tally.behind) / 1e3),
            kept_up: self.kept_up(),
            skew: setting.skew,
            writes_percent: setting.writes,
            warmup_seconds: setting.warmup.as_secs_f64(),
            rounds: self.figures(),
            rounds_spread: rate.spread(),
            churn: self.churned(),
        }
    }

    /// What came and went, if the pattern has that.
    pub fn churned(&self) -> Option<super::Churned> {
        matches!(self.setting.pattern, "churn" | "mixed").then_some(self.tally.churned)
    }
}

/// What must be said of the figures of a pattern.
pub fn warnings(finished: &[Finished]) -> Vec<String> {
    let mut warnings: Vec<_> = finished.iter().filter_map(overload).collect();
    let spread = |run: &Finished| Some((run.name(), run.rate().spread()?));
    let noisy = finished.iter().filter_map(spread).filter(|(_, spread)| *spread > NOISY);
    let noisy: Vec<_> =
        noisy.map(|(name, spread)| format!("{name} by {}", percent(spread))).collect();
    if !noisy.is_empty() {
        warnings.push(format!(
            "NOISY: rounds differ: {}. End other programs, or raise --seconds or --rounds.",
            noisy.join(", ")
        ));
    }
    warnings
}

fn overload(run: &Finished) -> Option<String> {
    let asked = run.setting.rate.filter(|_| !run.kept_up())?;
    Some(format!(
        "CANNOT KEEP UP: {}: asked for {} per second, achieved {}, {} behind at the end. Its \
         latencies are those of a queue that grew as long as it ran.",
        run.name(),
        grouped(asked.round() as u64),
        grouped(run.rate().median().round() as u64),
        human(run.tally.behind),
    ))
}

/// A queue that only grows is behind, at the end, by the part of the time that was missing.
fn kept_up(round: &Tally) -> bool {
    round.behind.as_secs_f64() <= round.elapsed.as_secs_f64() * BEHIND
}

/// More than a hiccup at the end: the store manages at most so much less than it was asked for.
const BEHIND: f64 = 0.05;
