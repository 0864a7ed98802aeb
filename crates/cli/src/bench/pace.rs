//! When operations begin, and when there are no more.
//!
//! In a closed loop each client begins the next operation when it has the answer to the last one.
//! In an open loop operations arrive on a schedule that was made before and waits for nobody: one
//! that begins late, because all clients are busy, counts from when it was to begin. So a stall is
//! counted by all who would have met it, and not just by the one that did (which is known as
//! coordinated omission).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::plan::{Limit, Plan};
use crate::interrupt;
use crate::rng::Rng;
use crate::sleep;

/// When the operations of a process begin.
pub struct Pace<'a, C> {
    clock: &'a C,
    begun: Instant,
    measured_from: Instant,
    budget: Budget,
    arrivals: Option<Mutex<Arrivals>>,
}

/// The beginning of an operation, or of the calls of a page.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// When it was to begin.
    pub at: Instant,
    /// How much later it did.
    pub behind: Duration,
    /// How many operations begin.
    pub operations: u32,
    /// Whether they are measured: not while warming up.
    pub measured: bool,
}

/// The time, and waiting for it.
pub trait Clock: Sync {
    /// The time.
    fn now(&self) -> Instant;

    /// Waits until then; not at all if that is past.
    fn wait_until(&self, moment: Instant);
}

impl<'a, C: Clock> Pace<'a, C> {
    /// The pace of this plan, which begins now. `together` operations begin at a time.
    pub fn begin(plan: &Plan, together: u32, clock: &'a C) -> Self {
        let begun = clock.now();
        let measured_from = begun + plan.warmup;
        let starts_per_second =
            plan.rate.map(|rate| rate / f64::from(plan.processes) / f64::from(together));
        let budget = match plan.limit {
            Limit::Time(time) => Budget::Until(measured_from + time),
            Limit::Operations(operations) => Budget::Operations(AtomicU64::new(operations)),
        };
        let schedule = |rate| Mutex::new(Arrivals::new(rate, plan.seed, plan.process));
        let arrivals = starts_per_second.map(schedule);
        Self { clock, begun, measured_from, budget, arrivals }
    }

    /// Waits for the next beginning, of up to `wanted` operations; none if there are no more.
    pub fn next(&self, wanted: u32) -> Option<Start> {
        if interrupt::is_requested() {
            return None;
        }
        let Some(arrivals) = &self.arrivals else {
            let at = self.clock.now();
            return self.start(at, at, wanted);
        };
        let arrival = arrivals.lock().unwrap_or_else(PoisonError::into_inner).next();
        let at = self.begun + arrival;
        let now = self.clock.now();
        // Who is still in the queue when the time is up is not served.
        let start = self.start(at, now, wanted).filter(|_| !self.budget.is_over(now))?;
        self.clock.wait_until(at);
        Some(start)
    }

    /// How long it has been going on, without the warm-up.
    pub fn elapsed(&self) -> Duration {
        let now = self.clock.now();
        let end = match &self.budget {
            // It lasted so long even if nobody arrived at the end.
            Budget::Until(end) if self.arrivals.is_some() => now.max(*end),
            _ => now,
        };
        end.saturating_duration_since(self.measured_from)
    }

    fn start(&self, at: Instant, now: Instant, wanted: u32) -> Option<Start> {
        let measured = at >= self.measured_from;
        let operations = if measured { self.budget.take(at, wanted)? } else { wanted };
        Some(Start { at, behind: now.saturating_duration_since(at), operations, measured })
    }
}

/// The system's clock.
pub struct OsClock;

impl Clock for OsClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    /// A thread that sleeps wakes up late, by more than some operations take. So the last bit is
    /// spent awake, with others let by.
    fn wait_until(&self, moment: Instant) {
        let asleep = moment.checked_sub(AWAKE).unwrap_or(moment);
        while Instant::now() < asleep && !interrupt::is_requested() {
            sleep::until(asleep.min(Instant::now() + LOOK_UP));
        }
        if interrupt::is_requested() {
            return;
        }
        while Instant::now() < moment {
            thread::yield_now();
        }
    }
}

/// How far the clients of a process may still go.
enum Budget {
    /// Until then.
    Until(Instant),
    /// So many operations.
    Operations(AtomicU64),
}

impl Budget {
    /// Takes up to `wanted` operations that begin then out of it; none if it is spent.
    fn take(&self, at: Instant, wanted: u32) -> Option<u32> {
        match self {
            Self::Until(end) => (at < *end).then_some(wanted),
            Self::Operations(left) => {
                let wanted = u64::from(wanted);
                let rest = |left: u64| (left > 0).then(|| left.saturating_sub(wanted));
                // Relaxed: the number stands for itself, nothing else is published with it.
                let before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).ok()?;
                // At most `wanted`, so it fits.
                Some(before.min(wanted) as u32)
            }
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        matches!(self, Self::Until(end) if now >= *end)
    }
}

/// Arrivals that know nothing of each other, as those of many users: the time between two is
/// exponentially distributed (a Poisson process). Those of several processes together are as those
/// of one.
struct Arrivals {
    rng: Rng,
    mean_gap: f64,
    seconds: f64,
}

impl Arrivals {
    fn new(per_second: f64, seed: u64, process: u32) -> Self {
        // No client has this number.
        Self { rng: Rng::new(seed, process, u32::MAX), mean_gap: per_second.recip(), seconds: 0.0 }
    }

    /// The time of the next one since the beginning.
    fn next(&mut self) -> Duration {
        self.seconds -= (1.0 - self.rng.unit()).ln() * self.mean_gap;
        Duration::try_from_secs_f64(self.seconds).unwrap_or(NEVER)
    }
}

/// Longer than a sleeping thread usually takes to wake up.
const AWAKE: Duration = Duration::from_micros(100);

/// How soon a sleeping thread sees that it is asked to stop.
const LOOK_UP: Duration = Duration::from_millis(100);

/// Past the end of any run, and no overflow when added to a time.
const NEVER: Duration = Duration::from_secs(1 << 32);

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A clock that stands still unless somebody waits or works.
    pub struct ManualClock(Mutex<Instant>);

    impl ManualClock {
        pub fn new() -> Self {
            Self(Mutex::new(Instant::now()))
        }

        pub fn pass(&self, time: Duration) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) += time;
        }
    }

    impl Clock for ManualClock {
        fn now(&self) -> Instant {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn wait_until(&self, moment: Instant) {
            self.pass(moment.saturating_duration_since(self.now()));
        }
    }

    const MS: Duration = Duration::from_millis(1);

    /// All beginnings, if each operation takes so long.
    fn starts(plan: &Plan, takes: Duration) -> Vec<(Duration, Start)> {
        let clock = ManualClock::new();
        let pace = Pace::begin(plan, 1, &clock);
        let next = || {
            let start = pace.next(1)?;
            clock.pass(takes);
            Some((start.at.saturating_duration_since(pace.begun), start))
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_closed_loop_begins_when_the_last_operation_has_ended() {
        let starts = starts(&Plan::example(5), 7 * MS);
        let at: Vec<_> = starts.iter().map(|(at, _)| *at).collect();
        assert_eq!(at, [0, 7, 14, 21, 28].map(Duration::from_millis));
        assert!(starts.iter().all(|(_, start)| start.behind.is_zero()));
    }

    #[test]
    fn arrivals_of_an_open_loop_wait_for_nobody() {
        let plan = Plan { rate: Some(1_000.0), ..Plan::example(500) };
        let [idle, busy] = [Duration::ZERO, 100 * MS].map(|takes| starts(&plan, takes));
        let at =
            |starts: &[(Duration, Start)]| starts.iter().map(|(at, _)| *at).collect::<Vec<_>>();
        assert_eq!(at(&idle), at(&busy), "the same schedule, however slow the answers");
        assert!(idle.iter().all(|(_, start)| start.behind.is_zero()));
        let late = |pair: &[(Duration, Start)]| match pair {
            [(_, earlier), (_, later)] => later.behind > earlier.behind,
            _ => false,
        };
        assert!(busy.windows(2).all(late), "each begins later than the one before");
    }

    #[test]
    fn arrivals_come_at_the_rate_and_as_irregularly_as_independent_users() {
        let rate = 250.0;
        let mut arrivals = Arrivals::new(rate, 1, 0);
        let times: Vec<_> = (0..100_000).map(|_| arrivals.next().as_secs_f64()).collect();
        assert!(times.is_sorted());
        let mean = times.last().map_or(0.0, |last| last / times.len() as f64);
        assert!((mean * rate - 1.0).abs() < 0.02, "{mean}");
        let mut previous = 0.0;
        let longer = times.iter().filter(|time| {
            let gap = *time - previous;
            previous = **time;
            gap > mean
        });
        // With exponential gaps 1 / e of them are longer than the mean; with even ones none.
        assert!((longer.count() as f64 / 1e5 - (-1.0_f64).exp()).abs() < 0.01);
    }

    #[test]
    fn who_is_still_in_the_queue_when_the_time_is_up_is_not_served() {
        let limit = Limit::Time(1_000 * MS);
        let plan = Plan { rate: Some(1_000.0), limit, ..Plan::example(0) };
        let served = starts(&plan, 100 * MS);
        assert_eq!(served.len(), 10, "ten of a hundred milliseconds each");
        assert!(served.last().is_some_and(|(_, start)| start.behind > 800 * MS));
    }

    #[test]
    fn what_begins_while_warming_up_is_not_measured_and_not_counted() {
        for rate in [None, Some(1_000.0)] {
            let plan = Plan { warmup: 50 * MS, rate, ..Plan::example(20) };
            let starts = starts(&plan, MS);
            assert!(starts.iter().all(|(at, start)| start.measured == (*at >= 50 * MS)));
            assert_eq!(starts.iter().filter(|(_, start)| start.measured).count(), 20);
            assert!(starts.len() > 50, "{} for a warm-up of 50", starts.len());
        }
    }

    #[test]
    fn a_budget_of_operations_is_spent_to_the_last() {
        let clock = ManualClock::new();
        let pace = Pace::begin(&Plan::example(10), 4, &clock);
        let taken: Vec<_> = (0..4).map(|_| pace.next(4).map(|start| start.operations)).collect();
        assert_eq!(taken, [Some(4), Some(4), Some(2), None]);
    }

    #[test]
    fn an_open_loop_lasts_as_long_as_was_asked_even_if_nobody_comes() {
        let clock = ManualClock::new();
        let limit = Limit::Time(1_000 * MS);
        let plan = Plan { rate: Some(0.01), limit, ..Plan::example(0) };
        let pace = Pace::begin(&plan, 1, &clock);
        assert!(pace.next(1).is_none());
        assert_eq!(pace.elapsed(), 1_000 * MS);
    }
}
