//! What happened in a run, and its books.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::churn::Churned;
use crate::driver::OperationError;
use crate::measure::Latencies;

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
    /// How late the last operation of an open loop began.
    pub behind: Duration,
    /// Sessions that came and went.
    pub churned: Churned,
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
            behind: Duration::ZERO,
            churned: Churned::default(),
        }
    }

    /// Forgets the figures so far, but neither failures nor what the books need.
    pub fn restart(&mut self) {
        *self = Self {
            acknowledged: self.acknowledged,
            errors: self.errors,
            first_error: self.first_error.take(),
            churned: self.churned,
            ..Self::new()
        };
    }

    /// Counts an operation that failed.
    pub fn fail(&mut self, error: &OperationError) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| error.to_string());
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
        self.behind = self.behind.max(other.behind);
        self.churned.add(&other.churned);
    }

    /// Adds what happened afterwards.
    pub fn follow(&mut self, later: Self) {
        let elapsed = self.elapsed + later.elapsed;
        self.add(later);
        self.elapsed = elapsed;
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
    fn a_restart_keeps_the_books_and_the_failures() {
        let mut tally = Tally { operations: 9, acknowledged: 7, ..Tally::new() };
        tally.latency.record(Duration::from_millis(1));
        tally.fail(&OperationError::NoCounter);
        tally.restart();
        assert_eq!((tally.operations, tally.latency.count()), (0, 0));
        assert_eq!((tally.acknowledged, tally.errors), (7, 1));
        assert!(tally.first_error.is_some());
    }

    #[test]
    fn processes_work_at_the_same_time_and_rounds_one_after_another() {
        let of = |seconds| Tally {
            elapsed: Duration::from_secs(seconds),
            operations: 10,
            ..Tally::new()
        };
        let mut processes = of(2);
        processes.add(of(3));
        assert_eq!((processes.elapsed, processes.operations), (Duration::from_secs(3), 20));
        let mut rounds = of(2);
        rounds.follow(of(3));
        assert_eq!((rounds.elapsed, rounds.operations), (Duration::from_secs(5), 20));
    }
}
