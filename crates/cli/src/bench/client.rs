//! One client: it runs operations one after another and keeps count.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::churn::Lives;
use super::pace::{Clock, Start};
use super::plan::{Handler, Plan};
use super::tally::Tally;
use super::workload::Step;
use crate::driver::{Driver, Ticket};
use crate::rng::Rng;
use crate::sleep;

/// One client of a run.
pub struct Client<'a, C> {
    driver: &'a dyn Driver,
    plan: &'a Plan,
    tickets: &'a [Ticket],
    clock: &'a C,
    rng: Rng,
    lives: Lives,
    measuring: bool,
    tally: Tally,
}

impl<'a, C: Clock> Client<'a, C> {
    /// The client of this number.
    pub fn new(
        driver: &'a dyn Driver,
        plan: &'a Plan,
        tickets: &'a [Ticket],
        clock: &'a C,
        number: u32,
    ) -> Self {
        Self {
            driver,
            plan,
            tickets,
            clock,
            rng: Rng::new(plan.seed, plan.process, number),
            lives: Lives::of_client(plan, number),
            measuring: false,
            tally: Tally::new(),
        }
    }

    /// Its random numbers.
    pub const fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Runs one operation. Whether the client should go on: not after a thousand failures.
    pub fn operate(&mut self, step: Step, start: Start) -> bool {
        if start.measured && !self.measuring {
            self.measuring = true;
            self.tally.restart();
        }
        let Self { driver, plan, tickets, ref mut rng, ref mut lives, .. } = *self;
        let handler = match plan.handler {
            Handler::Fixed(time) => time,
            Handler::Random(longest) => {
                let ns = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
                Duration::from_nanos(rng.below(ns.max(1)))
            }
        };
        let holds = &mut self.tally.holds;
        let timed = holds.len() < plan.holds_timed;
        let mut work = || {
            if timed {
                let enter = monotonic_ns();
                sleep::work(handler);
                holds.push((enter, monotonic_ns()));
            } else {
                sleep::work(handler);
            }
        };
        let operated = match (step, ticket(step, tickets)) {
            (Step::Operate(_), Some(ticket)) => driver.operate(ticket, plan.mode, &mut work),
            (Step::Write(_), Some(ticket)) => {
                driver.operate(ticket, plan.mode.to_write(driver.accesses()), &mut work)
            }
            (Step::Read(_), Some(ticket)) => driver.read(ticket, plan.mode, &mut work),
            _ => lives.step(driver, rng, &mut work),
        };
        let latency = self.clock.now().saturating_duration_since(start.at);
        self.tally.behind = start.behind;
        self.tally.conflicts += operated.conflicts;
        match operated.outcome {
            Ok(wrote) => {
                self.tally.operations += 1;
                self.tally.acknowledged += u64::from(wrote);
                self.tally.latency.record(latency);
                // Zero: there was nothing to wait for.
                if !operated.waited.is_zero() {
                    self.tally.lock_wait.record(operated.waited);
                }
            }
            Err(error) => self.tally.fail(&error),
        }
        if let Err(error) = self.lives.sweep_if_due(driver) {
            self.tally.fail(&error);
        }
        self.tally.errors < ERRORS_MAX
    }

    /// What it counted, and the sessions it still has.
    pub fn finish(mut self) -> (Tally, Lives) {
        if !self.measuring {
            // All it did was warming up: the others were faster.
            self.tally.restart();
        }
        (self.tally, self.lives)
    }
}

fn ticket(step: Step, tickets: &[Ticket]) -> Option<&Ticket> {
    match step {
        Step::Operate(number) | Step::Write(number) | Step::Read(number) => {
            tickets.get(number as usize)
        }
        Step::Live => None,
    }
}

/// Tells a progress bar how far a client is; not each time, for all clients tell the same bar.
pub struct Meter<'a> {
    done: &'a AtomicU64,
    untold: u64,
    told_at: Option<Instant>,
}

impl<'a> Meter<'a> {
    /// Nothing done yet.
    pub const fn new(done: &'a AtomicU64) -> Self {
        Self { done, untold: 0, told_at: None }
    }

    /// Counts so many operations, the first of which began then.
    pub fn count(&mut self, operations: u32, at: Instant) {
        self.untold += u64::from(operations);
        if self.told_at.is_none_or(|told| at.saturating_duration_since(told) >= TELL_EVERY) {
            // Relaxed: only the progress bar looks at it.
            self.done.fetch_add(self.untold, Ordering::Relaxed);
            self.untold = 0;
            self.told_at = Some(at);
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

const TELL_EVERY: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_never_goes_back() {
        let earlier = monotonic_ns();
        assert!(earlier > 0 && monotonic_ns() >= earlier);
    }
}
