//! One client: it runs operations one after another and keeps count.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::plan::{Handler, Limit, Plan, Tally};
use crate::driver::{Driver, Ticket};
use crate::rng::Rng;
use crate::sleep;

/// One client of a run.
pub struct Client<'a> {
    driver: &'a dyn Driver,
    plan: &'a Plan,
    rng: Rng,
    tally: Tally,
}

impl<'a> Client<'a> {
    /// The client of this number.
    pub fn new(driver: &'a dyn Driver, plan: &'a Plan, number: u32) -> Self {
        let rng = Rng::new(plan.seed, plan.process, number);
        Self { driver, plan, rng, tally: Tally::new() }
    }

    /// A random number for the choice of a session.
    pub const fn choose(&mut self, sessions: u32) -> u32 {
        // Below `sessions`, so it fits.
        self.rng.below(sessions as u64) as u32
    }

    /// Runs one operation. Whether the client should go on: not after a thousand failures.
    pub fn operate(&mut self, ticket: &Ticket) -> bool {
        let handler = match self.plan.handler {
            Handler::Fixed(time) => time,
            Handler::Random(longest) => {
                let ns = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
                Duration::from_nanos(self.rng.below(ns.max(1)))
            }
        };
        let holds = &mut self.tally.holds;
        let timed = holds.len() < self.plan.holds_timed;
        let mut work = || {
            if timed {
                let enter = monotonic_ns();
                sleep::work(handler);
                holds.push((enter, monotonic_ns()));
            } else {
                sleep::work(handler);
            }
        };
        let begun = Instant::now();
        let operated = self.driver.operate(ticket, self.plan.mode, &mut work);
        let latency = begun.elapsed();
        self.tally.conflicts += operated.conflicts;
        match operated.outcome {
            Ok(wrote) => {
                self.tally.operations += 1;
                self.tally.acknowledged += u64::from(wrote);
                self.tally.latency.record(latency);
                self.tally.lock_wait.record(operated.waited);
            }
            Err(error) => {
                self.tally.errors += 1;
                self.tally.first_error.get_or_insert_with(|| error.to_string());
            }
        }
        self.tally.errors < ERRORS_MAX
    }

    /// What it counted.
    pub fn finish(self) -> Tally {
        self.tally
    }
}

/// How far the clients of a process may still go.
pub enum Budget {
    /// Until then.
    Until(Instant),
    /// So many operations.
    Operations(AtomicU64),
}

impl Budget {
    /// The budget of a run that starts now.
    pub fn start(limit: Limit) -> Self {
        match limit {
            Limit::Time(time) => Self::Until(Instant::now() + time),
            Limit::Operations(operations) => Self::Operations(AtomicU64::new(operations)),
        }
    }

    /// Takes up to `wanted` operations out of it; 0: it is spent.
    pub fn take(&self, wanted: u32) -> u32 {
        match self {
            Self::Until(end) if Instant::now() < *end => wanted,
            Self::Until(_) => 0,
            Self::Operations(left) => {
                let wanted = u64::from(wanted);
                // Relaxed: the number stands for itself, nothing else is published with it.
                let before = left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                        Some(left.saturating_sub(wanted))
                    })
                    .unwrap_or(0);
                u32::try_from(before.min(wanted)).unwrap_or(u32::MAX)
            }
        }
    }
}

/// The system's monotonic clock, which all processes share.
fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// A store that fails so often will not recover, and every failure may take a lock wait.
const ERRORS_MAX: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_of_operations_is_spent_to_the_last() {
        let budget = Budget::start(Limit::Operations(10));
        assert_eq!([budget.take(4), budget.take(4), budget.take(4), budget.take(4)], [4, 4, 2, 0]);
    }

    #[test]
    fn the_monotonic_clock_never_goes_back() {
        let earlier = monotonic_ns();
        assert!(earlier > 0 && monotonic_ns() >= earlier);
    }
}
