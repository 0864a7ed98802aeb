//! Which sessions waited most.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the requests of one session went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suffered {
    /// The session's number.
    pub session: u32,
    /// How many requests it had.
    pub requests: u64,
    /// How long they stood waiting, together.
    pub waited: Duration,
    /// How long the most patient one did.
    pub longest: Duration,
}

impl Suffered {
    /// The sessions that waited longest in all, the longest first.
    pub fn most(sessions: &[Waits]) -> Vec<Self> {
        let mut most: Vec<Self> = Vec::new();
        for (waits, session) in sessions.iter().zip(0..) {
            let suffered = waits.read(session);
            let place = most.partition_point(|other| other.waited >= suffered.waited);
            if place < SHOWN && suffered.longest >= SHOWN_FROM {
                most.truncate(SHOWN - 1);
                most.insert(place, suffered);
            }
        }
        most
    }
}

/// The waits of a session's requests. All atomics here are counts that nothing is published
/// with, so relaxed; they are read when the threads are joined.
#[derive(Default)]
pub struct Waits {
    requests: AtomicU64,
    sum_ns: AtomicU64,
    longest_ns: AtomicU64,
}

impl Waits {
    /// Adds the wait of one request.
    pub fn add(&self, wait: Duration) {
        let ns = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
        self.longest_ns.fetch_max(ns, Ordering::Relaxed);
    }

    fn read(&self, session: u32) -> Suffered {
        Suffered {
            session,
            requests: self.requests.load(Ordering::Relaxed),
            waited: Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed)),
            longest: Duration::from_nanos(self.longest_ns.load(Ordering::Relaxed)),
        }
    }
}

/// How many are shown.
const SHOWN: usize = 5;

/// Shorter waits are no suffering.
const SHOWN_FROM: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_five_that_waited_longest_in_all_come_in_order() {
        let ms = [3, 0, 9, 1, 9, 4, 2, 7];
        let sessions: Vec<Waits> = ms.iter().map(|_| Waits::default()).collect();
        for (session, ms) in sessions.iter().zip(ms) {
            session.add(Duration::from_millis(ms));
            session.add(Duration::from_micros(1));
        }
        let most = Suffered::most(&sessions);
        assert_eq!(most.iter().map(|session| session.session).collect::<Vec<_>>(), [2, 4, 7, 5, 0]);
        let first = Suffered {
            session: 2,
            requests: 2,
            waited: Duration::from_micros(9_001),
            longest: Duration::from_millis(9),
        };
        assert_eq!(most.first(), Some(&first));
    }

    #[test]
    fn who_never_waited_a_millisecond_did_not_suffer() {
        let session = Waits::default();
        for _ in 0..100 {
            session.add(Duration::from_micros(999));
        }
        assert_eq!(Suffered::most(&[session]), []);
    }
}
