//! The JSON document. Fields are added in later versions, never changed or removed.

use std::time::Duration;

use serde::Serialize;

use super::output;
use crate::error::CliError;
use crate::machine::Machine;
use crate::measure::Latencies;
use crate::mode::Mode;

/// The document on standard output.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    schema: u32,
    machine: Machine,
    runs: &'a [Run],
    #[serde(skip_serializing_if = "Option::is_none")]
    stress: Option<Stress>,
}

impl<'a> Document<'a> {
    /// The document of these runs.
    pub fn new(runs: &'a [Run]) -> Self {
        Self { schema: 1, machine: Machine::here(), runs, stress: None }
    }

    /// The same with the verdict of `stress`.
    pub fn stress(mut self, stress: Stress) -> Self {
        self.stress = Some(stress);
        self
    }

    /// Writes it.
    pub fn print(&self) -> Result<(), CliError> {
        let mut text =
            serde_json::to_string_pretty(self).map_err(|error| CliError::Output(error.into()))?;
        text.push('\n');
        output::say(&text)
    }
}

/// The figures of one run.
#[derive(Debug, Serialize)]
pub struct Run {
    /// Its store, as given on the command line.
    pub store: String,
    /// How operations took their session.
    pub access: Mode,
    /// `hot`, `spread`, `ajax`, `replay` or `contend`.
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
    /// Operations of each process under `exclusive`.
    pub shares: Vec<u64>,
}

/// A duration in microseconds, to the nanosecond.
pub fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e3
}
