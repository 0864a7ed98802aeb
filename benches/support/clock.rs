//! The monotonic clock as a number, to compare moments of two processes. std's `Instant` does not
//! tell its number.

#![allow(unsafe_code)]

use std::time::Duration;

/// Nanoseconds of `CLOCK_MONOTONIC`, the same in every process of the machine.
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one `timespec`, which `time` is.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    assert_eq!(failed, 0, "every Linux has this clock");
    let part = |part: libc::c_long| u64::try_from(part).expect("no part of it is negative");
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
