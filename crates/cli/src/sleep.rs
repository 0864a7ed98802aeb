//! Sleeping as exactly as the system can: a handler's work and the start of a replayed request.

use std::thread;
use std::time::{Duration, Instant};

/// Asks the system not to round sleeps up. Threads and processes started later inherit it.
pub fn set_precise() {
    #[cfg(target_os = "linux")]
    {
        // Without it the kernel adds up to 50 us; a refusal only makes figures less exact.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    }
}

/// Sleeps so long; not at all if it is zero.
pub fn work(duration: Duration) {
    if !duration.is_zero() {
        thread::sleep(duration);
    }
}

/// Sleeps until then; not at all if that is past.
pub fn until(moment: Instant) {
    work(moment.saturating_duration_since(Instant::now()));
}
