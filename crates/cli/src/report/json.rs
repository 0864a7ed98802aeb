//! The JSON document. Fields are added in later versions, never changed or removed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::log::AccessLog;
use super::output;
use crate::args::Api;
use crate::bench::Churned;
use crate::error::CliError;
use crate::machine::Machine;
use crate::measure::Latencies;
use crate::mode::Mode;

/// The document on standard output.
#[derive(Debug, Serialize)]
pub struct Document<'a, R> {
    schema: u32,
    machine: Machine,
    runs: &'a [R],
    #[serde(skip_serializing_if = "Option::is_none")]
    stress: Option<Stress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<&'a [Compared]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<AccessLog>,
}

impl<'a, R: Serialize> Document<'a, R> {
    /// The document of these runs.
    pub fn new(runs: &'a [R]) -> Self {
        Self {
            schema: 1,
            machine: Machine::here(),
            runs,
            stress: None,
            comparison: None,
            log: None,
        }
    }

    /// The same, compared with an earlier run.
    pub const fn compared(mut self, comparison: &'a [Compared]) -> Self {
        self.comparison = Some(comparison);
        self
    }

    /// The same with the verdict of `stress`.
    pub fn stress(mut self, stress: Stress) -> Self {
        self.stress = Some(stress);
        self
    }

    /// The same with what was read from an access log.
    pub fn log(mut self, log: AccessLog) -> Self {
        self.log = Some(log);
        self
    }

    /// Writes it.
    pub fn print(&self) -> Result<(), CliError> {
        print(self)
    }
}

/// Writes a document to standard output.
pub fn print(document: &impl Serialize) -> Result<(), CliError> {
    let mut text =
        serde_json::to_string_pretty(document).map_err(|error| CliError::Output(error.into()))?;
    text.push('\n');
    output::say(&text)
}

/// The figures of one run.
#[derive(Debug, Serialize)]
pub struct Run {
    /// Its store, as given on the command line.
    pub store: String,
    /// How operations took their session.
    pub access: Mode,
    /// A pattern of `bench`, or `replay` or `contend`.
    pub pattern: &'static str,
    /// Processes.
    pub processes: u32,
    /// Clients in each process; of a replay, the most requests that were under way at once.
    pub clients: u32,
    /// Sessions.
    pub sessions: u32,
    /// Bytes in a session.
    pub payload_bytes: usize,
    /// The time a handler works; of a replay, the mean.
    pub handler_us: f64,
    /// How long it lasted.
    pub seconds: f64,
    /// Operations that ended well.
    pub operations: u64,
    /// The same per second.
    pub operations_per_second: f64,
    /// From before the open to after the commit, repetitions and handler included.
    pub latency_us: Quantiles,
    /// The part of it that the open took.
    pub lock_wait_us: Waits,
    /// Repetitions because another was faster.
    pub conflicts: u64,
    /// Acknowledged increments that are not in the final value.
    pub lost_updates: u64,
    /// Operations that failed.
    pub errors: u64,
    /// From the start of a page's first request to the end of its last.
    pub page_load_ms: Option<PageLoad>,
}

/// The figures of one run of `bench`: over all rounds, with the median of operations per second.
#[derive(Debug, Serialize)]
pub struct BenchRun {
    /// What every run has.
    #[serde(flatten)]
    pub run: Run,
    /// Through which interface.
    pub api: Api,
    /// Whether operations came by a schedule. If not, latencies suffer from coordinated omission.
    pub open_loop: bool,
    /// How many per second that asked for.
    pub rate_asked: Option<f64>,
    /// How late the last operation began.
    pub behind_ms: Option<f64>,
    /// Whether that is little enough for the latencies to mean anything.
    pub kept_up: bool,
    /// How much more popular some sessions were than others.
    pub skew: Option<f64>,
    /// How many of a hundred operations wrote.
    pub writes_percent: Option<f64>,
    /// How long it ran before each round.
    pub warmup_seconds: f64,
    /// Each round by itself.
    pub rounds: Vec<Round>,
    /// How far their operations per second are apart, as a part of the median.
    pub rounds_spread: Option<f64>,
    /// The sessions that came and went.
    pub churn: Option<Churned>,
}

/// The figures of one round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Round {
    /// How long it lasted.
    pub seconds: f64,
    /// Operations that ended well.
    pub operations: u64,
    /// The same per second.
    pub operations_per_second: f64,
    /// Half of the operations took at most so long.
    pub p50_us: f64,
    /// 99 in a hundred.
    pub p99_us: f64,
}

impl Round {
    /// The figures of a round that lasted so long.
    pub fn of(elapsed: Duration, latency: &Latencies) -> Self {
        let (seconds, operations) = (elapsed.as_secs_f64(), latency.count());
        Self {
            seconds,
            operations,
            operations_per_second: if seconds > 0.0 { operations as f64 / seconds } else { 0.0 },
            p50_us: micros(latency.quantile(0.5)),
            p99_us: micros(latency.quantile(0.99)),
        }
    }
}

/// One figure of a run, earlier and now.
#[derive(Debug, Serialize)]
pub struct Compared {
    /// The pattern.
    pub pattern: String,
    /// The store.
    pub store: String,
    /// The access.
    pub access: Mode,
    /// `operations_per_second`, `p50_us` or `p99_us`.
    pub figure: &'static str,
    /// The median of the earlier rounds.
    pub old: f64,
    /// The median of the later rounds.
    pub new: f64,
    /// The new by the old.
    pub ratio: Option<f64>,
    /// How far apart rounds of the same run were, at least 0.1: smaller differences mean nothing.
    pub noise: f64,
    /// What that means.
    pub verdict: Difference,
}

/// What a difference means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Difference {
    /// It is an improvement, and larger than the noise.
    Faster,
    /// It is a deterioration, and larger than the noise.
    Slower,
    /// It is no larger than the noise.
    WithinNoise,
}

/// A distribution in microseconds.
#[derive(Debug, Serialize)]
pub struct Quantiles {
    /// Half of them took at most so long.
    pub p50: f64,
    /// Nine in ten.
    pub p90: f64,
    /// 99 in a hundred.
    pub p99: f64,
    /// 999 in a thousand.
    pub p999: f64,
    /// All of them.
    pub max: f64,
}

impl Quantiles {
    /// The distribution of these.
    pub fn of(latencies: &Latencies) -> Self {
        let us = |part| micros(latencies.quantile(part));
        Self {
            p50: us(0.5),
            p90: us(0.9),
            p99: us(0.99),
            p999: us(0.999),
            max: micros(latencies.max()),
        }
    }
}

/// A distribution in microseconds, and the sum.
#[derive(Debug, Serialize)]
pub struct Waits {
    /// The distribution.
    #[serde(flatten)]
    pub quantiles: Quantiles,
    /// All of them together.
    pub sum: f64,
}

impl Waits {
    /// The distribution and sum of these.
    pub fn of(latencies: &Latencies) -> Self {
        Self { quantiles: Quantiles::of(latencies), sum: micros(latencies.sum()) }
    }
}

/// How long pages took, in milliseconds.
#[derive(Debug, Serialize)]
pub struct PageLoad {
    /// Half of them at most so long.
    pub p50: f64,
    /// 99 in a hundred.
    pub p99: f64,
}

impl PageLoad {
    /// Of these pages; none if there are none.
    pub fn of(pages: &Latencies) -> Option<Self> {
        let ms = |part| micros(pages.quantile(part)) / 1e3;
        (pages.count() > 0).then(|| Self { p50: ms(0.5), p99: ms(0.99) })
    }
}

/// The verdict of `stress`, and the figures behind it.
#[derive(Debug, Serialize)]
pub struct Stress {
    /// Whether every promise was kept and the control lost updates.
    pub passed: bool,
    /// In plain words, what was not as it must be.
    pub violations: Vec<String>,
    /// The seed of the random handler times.
    pub seed: u64,
    /// Exclusive holds that took place.
    pub holds: u64,
    /// Those whose time stamps were compared.
    pub holds_checked: u64,
    /// Pairs of neighbouring holds that overlapped.
    pub overlaps: u64,
    /// Operations of each process under the access that was tried first.
    pub shares: Vec<u64>,
}

/// A duration in microseconds, to the nanosecond.
pub fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e3
}
