//! A clock that a test turns.

use crate::seams::{Clock, Timestamp};
use crate::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A clock that stands until it is turned. A clone shows and turns the same time.
///
/// # Examples
///
/// ```
/// use cloakroom::conformance::ManualClock;
/// use cloakroom::seams::Clock;
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().since(before), Duration::from_secs(60));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    millis: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock that shows a time in the year 2027.
    #[must_use]
    pub fn new() -> Self {
        Self { millis: Arc::new(AtomicU64::new(START_MILLIS)) }
    }

    /// Turns the clock forward, by whole milliseconds.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        // Release pairs with Acquire in `now`: who sees the new time sees what was done before.
        let _ = self.millis.fetch_update(Ordering::Release, Ordering::Relaxed, |now| {
            Some(now.saturating_add(millis))
        });
    }

    /// Sets the clock, also backwards.
    pub fn set(&self, now: Timestamp) {
        self.millis.store(now.as_millis(), Ordering::Release);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::Acquire))
    }
}

const START_MILLIS: u64 = 1_800_000_000_000;
