//! The monotonic clock as a number, to compare moments of two processes. std's `Instant` does not
//! tell its number.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`, the same in every process of the machine.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let part = |part: i64| u64::try_from(part).expect("no part of it is negative");
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}

/// Sleeps until the clock says `moment`.
pub fn sleep_until(moment: u64) {
    let left = moment.saturating_sub(now());
    std::thread::sleep(Duration::from_nanos(left));
}

/// Works, without sleeping, so long.
pub fn spin(duration: Duration) {
    let end = now() + u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    while now() < end {
        std::hint::spin_loop();
    }
}
