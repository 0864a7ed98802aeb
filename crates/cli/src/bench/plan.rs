//! What one process of a run has to do, and what it brings back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::args::{Api, Pattern};
use crate::driver::Ticket;
use crate::measure::Latencies;
use crate::mode::Mode;
use crate::store_url::StoreUrl;

/// What one process of a run has to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The store, with its directory.
    pub store: StoreUrl,
    /// Through which interface.
    pub api: Api,
    /// How to take sessions.
    pub mode: Mode,
    /// Which session when.
    pub pattern: Pattern,
    /// The name of the run, part of the sessions' ids.
    pub run: String,
    /// How many sessions there are.
    pub sessions: u32,
    /// Which process this is, from 0.
    pub process: u32,
    /// How many processes there are.
    pub processes: u32,
    /// How many clients this one has.
    pub clients: u32,
    /// The work between reading and storing.
    pub handler: Handler,
    /// When to stop.
    pub limit: Limit,
    /// How long to wait for a lock at most.
    pub lock_wait: Duration,
    /// Seed of everything random.
    pub seed: u64,
    /// How many holds each client times, to be compared with those of others.
    pub holds_timed: usize,
}

impl Plan {
    /// The sessions' tickets.
    pub fn tickets(&self) -> Vec<Ticket> {
        (0..self.sessions).map(|number| Ticket::new(&self.run, number)).collect()
    }

    /// The plans of all processes, given that of the first.
    pub fn of_processes(self) -> Vec<Self> {
        let of_process = |process| Self {
            process,
            limit: self.limit.part(process, self.processes),
            ..self.clone()
        };
        (0..self.processes).map(of_process).collect()
    }
}

/// The work between reading and storing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Handler {
    /// Always as long.
    Fixed(Duration),
    /// A random time up to this.
    Random(Duration),
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// After this time.
    Time(Duration),
    /// After so many operations.
    Operations(u64),
}

impl Limit {
    /// The limit of two processes together.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Operations(a), Self::Operations(b)) => Self::Operations(a + b),
            (limit, _) => limit,
        }
    }

    /// The share of one process: all the time, or a fair part of the operations.
    const fn part(self, process: u32, processes: u32) -> Self {
        match self {
            Self::Time(time) => Self::Time(time),
            Self::Operations(all) => {
                let (each, more) = (all / processes as u64, all % processes as u64);
                Self::Operations(each + ((process as u64) < more) as u64)
            }
        }
    }
}

/// What happened in one process, or in all together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tally {
    /// How long it took.
    pub elapsed: Duration,
    /// Operations that ended well.
    pub operations: u64,
    /// Increments that were acknowledged.
    pub acknowledged: u64,
    /// Repetitions.
    pub conflicts: u64,
    /// Operations that failed.
    pub errors: u64,
    /// What the first of them said.
    pub first_error: Option<String>,
    /// Of operations that ended well.
    pub latency: Latencies,
    /// How long they waited for their session.
    pub lock_wait: Latencies,
    /// How long pages took.
    pub pages: Latencies,
    /// When a session was held, as far as that was timed: enter and leave, in nanoseconds.
    pub holds: Vec<(u64, u64)>,
}

impl Tally {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            elapsed: Duration::ZERO,
            operations: 0,
            acknowledged: 0,
            conflicts: 0,
            errors: 0,
            first_error: None,
            latency: Latencies::new(),
            lock_wait: Latencies::new(),
            pages: Latencies::new(),
            holds: Vec::new(),
        }
    }

    /// Adds what happened at the same time elsewhere.
    pub fn add(&mut self, other: Self) {
        self.elapsed = self.elapsed.max(other.elapsed);
        self.operations += other.operations;
        self.acknowledged += other.acknowledged;
        self.conflicts += other.conflicts;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.latency.add(&other.latency);
        self.lock_wait.add(&other.lock_wait);
        self.pages.add(&other.pages);
        self.holds.extend(other.holds);
    }
}

/// The books of one run: what was acknowledged against what the sessions hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// The sum of all counters before.
    pub before: u64,
    /// Acknowledged increments.
    pub acknowledged: u64,
    /// The sum of all counters after.
    pub after: u64,
}

impl Ledger {
    /// Acknowledged increments that are not in the final value.
    pub const fn lost(self) -> u64 {
        // Counters that went backwards lost what they had before, too.
        (self.before + self.acknowledged).saturating_sub(self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_updates_are_acknowledged_increments_minus_the_final_value() {
        let ledger = Ledger { before: 10, acknowledged: 5, after: 15 };
        assert_eq!(ledger.lost(), 0);
        assert_eq!(Ledger { after: 14, ..ledger }.lost(), 1);
        assert_eq!(Ledger { after: 10, ..ledger }.lost(), 5);
        assert_eq!(Ledger { after: 0, ..ledger }.lost(), 15, "counters went backwards");
    }

    #[test]
    fn an_increment_without_an_answer_is_not_a_lost_one() {
        assert_eq!(Ledger { before: 0, acknowledged: 5, after: 6 }.lost(), 0);
    }

    #[test]
    fn processes_share_all_operations() {
        for all in [1, 7, 8, 1_000] {
            let parts = (0..3).map(|process| Limit::Operations(all).part(process, 3));
            let sum: u64 = parts
                .map(|part| match part {
                    Limit::Operations(operations) => operations,
                    Limit::Time(_) => 0,
                })
                .sum();
            assert_eq!(sum, all);
        }
    }
}
