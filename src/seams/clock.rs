//! The one clock.

use std::fmt;
use std::time::{Duration, SystemTime};

/// The one clock that a session's expiry goes by. Lock deadlines do not: they run on the
/// operating system's monotonic time, which never jumps.
pub trait Clock: Send + Sync + 'static {
    /// The time of day. It may jump.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock, a tick of the kernel late at most (4 ms).
#[derive(Clone, Copy, Debug, Default)]
pub struct OsClock;

impl Clock for OsClock {
    fn now(&self) -> Timestamp {
        // Deadlines are in milliseconds, and this clock is asked twice for each session.
        let now = coarse(libc::CLOCK_REALTIME_COARSE);
        Timestamp(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Monotonic time that costs next to nothing and is a tick of the kernel late, 4 ms at most.
pub(crate) fn coarse_monotonic() -> Duration {
    coarse(libc::CLOCK_MONOTONIC_COARSE)
}

/// std offers only the precise clocks, which cost four times as much.
#[allow(unsafe_code)]
fn coarse(clock: libc::clockid_t) -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one `timespec`, which `now` is, and keeps no pointer to it.
    let result = unsafe { libc::clock_gettime(clock, &raw mut now) };
    debug_assert_eq!(result, 0, "every Linux has the coarse clocks");
    let seconds = Duration::from_secs(u64::try_from(now.tv_sec).unwrap_or(0));
    seconds.saturating_add(Duration::from_nanos(u64::try_from(now.tv_nsec).unwrap_or(0)))
}

/// A time of day: milliseconds since 1970-01-01 UTC.
///
/// Arithmetic saturates, so no clock and no byte on disk makes it overflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A time that never comes.
    pub const MAX: Self = Self(u64::MAX);

    /// The time so many milliseconds after 1970-01-01 UTC.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This time and `duration` more.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The time from `earlier` to this one; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} s since 1970", self.0 / 1_000, self.0 % 1_000)
    }
}
