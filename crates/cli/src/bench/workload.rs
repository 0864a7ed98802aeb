//! What the clients of a run do: which session they take next, and what for.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::zipf::Zipf;
use crate::rng::Rng;

/// What the clients of a run do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Workload {
    /// Pages of parallel calls: all clients take one session together, then the next.
    Pages,
    /// Every client on its own, one step after another.
    Steps(Blend),
}

/// Which steps the clients take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Blend {
    /// All on one session.
    Hot,
    /// Each on a session drawn at random.
    Spread,
    /// Some sessions are more popular than others.
    Zipf {
        /// By how much.
        skew: f64,
    },
    /// The same, and only some operations write.
    ReadMostly {
        /// How much more popular some sessions are than others.
        skew: f64,
        /// How many of a hundred operations write.
        writes: f64,
    },
    /// Sessions come and go.
    Churn,
    /// 70 % of `ReadMostly`, 20 % in bursts on one session, 10 % of `Churn`.
    Mixed {
        /// How much more popular some sessions are than others.
        skew: f64,
        /// How many of a hundred operations of the first part write.
        writes: f64,
    },
}

/// What a client does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It takes the session of this number as the access has it, to write or only to read.
    Operate(u32),
    /// It reads this one.
    Read(u32),
    /// It writes this one.
    Write(u32),
    /// It goes on with the life of a session of its own.
    Live,
}

/// The steps of one client.
pub struct Steps<'a> {
    blend: Blend,
    sessions: u32,
    popular: Zipf,
    bursts: &'a Bursts,
}

impl<'a> Steps<'a> {
    /// Steps of this blend on so many sessions. All clients of a process share its bursts.
    pub fn new(blend: Blend, sessions: u32, bursts: &'a Bursts) -> Self {
        let skew = match blend {
            Blend::Zipf { skew } | Blend::ReadMostly { skew, .. } | Blend::Mixed { skew, .. } => {
                skew
            }
            Blend::Hot | Blend::Spread | Blend::Churn => 0.0,
        };
        Self { blend, sessions, popular: Zipf::new(sessions, skew), bursts }
    }

    /// The next step.
    pub fn draw(&self, rng: &mut Rng) -> Step {
        match self.blend {
            Blend::Hot => Step::Operate(0),
            Blend::Spread => Step::Operate(self.any(rng)),
            Blend::Zipf { .. } => Step::Operate(self.popular.draw(rng)),
            Blend::ReadMostly { writes, .. } => self.read_mostly(writes, rng),
            Blend::Churn => Step::Live,
            Blend::Mixed { writes, .. } => self.mixed(writes, rng),
        }
    }

    fn any(&self, rng: &mut Rng) -> u32 {
        // Below `sessions`, so it fits.
        rng.below(u64::from(self.sessions)) as u32
    }

    fn read_mostly(&self, writes: f64, rng: &mut Rng) -> Step {
        let session = self.popular.draw(rng);
        if rng.unit() * 100.0 < writes { Step::Write(session) } else { Step::Read(session) }
    }

    fn mixed(&self, writes: f64, rng: &mut Rng) -> Step {
        if let Some(session) = self.bursts.join() {
            return Step::Write(session);
        }
        // A burst is drawn once for all its calls.
        let (read_mostly, churn) = (70 * u64::from(BURST_CALLS), 10 * u64::from(BURST_CALLS));
        match rng.below(read_mostly + churn + 20) {
            drawn if drawn < read_mostly => self.read_mostly(writes, rng),
            drawn if drawn < read_mostly + churn => Step::Live,
            _ => {
                let session = self.any(rng);
                self.bursts.start(session);
                Step::Write(session)
            }
        }
    }
}

/// A page's calls in the midst of other operations: all clients of a process take them up before
/// they go on with anything else, and so meet on one session.
pub struct Bursts {
    /// The session in the high half, the calls left in the low one.
    calls: AtomicU64,
}

impl Bursts {
    /// No burst yet.
    pub const fn new() -> Self {
        Self { calls: AtomicU64::new(0) }
    }

    fn start(&self, session: u32) {
        let left = u64::from(BURST_CALLS - 1);
        // Relaxed, here and below: the number stands for itself.
        self.calls.store(u64::from(session) << u32::BITS | left, Ordering::Relaxed);
    }

    /// The session of a call that is left, which is taken.
    fn join(&self) -> Option<u32> {
        let left = |calls: u64| calls & u64::from(u32::MAX) > 0;
        let take = |calls: u64| left(calls).then(|| calls - 1);
        let taken = self.calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.ok().map(|calls| (calls >> u32::BITS) as u32)
    }
}

/// Calls of a burst.
const BURST_CALLS: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of a million steps satisfy this.
    fn share(blend: Blend, counts: impl Fn(Step) -> bool) -> f64 {
        let bursts = Bursts::new();
        let steps = Steps::new(blend, 100, &bursts);
        let mut rng = Rng::new(1, 0, 0);
        let counted = (0..1_000_000).filter(|_| counts(steps.draw(&mut rng))).count();
        counted as f64 / 1e6
    }

    #[test]
    fn so_many_of_a_hundred_operations_write() {
        let writes = |step| matches!(step, Step::Write(_));
        for percent in [0.0, 0.5, 10.0, 100.0] {
            let share = share(Blend::ReadMostly { skew: 0.99, writes: percent }, writes);
            assert!((share - percent / 100.0).abs() < 0.002, "{share} of {percent} %");
        }
    }

    #[test]
    fn a_mix_has_its_parts_in_their_shares() {
        let mixed = Blend::Mixed { skew: 0.99, writes: 0.0 };
        let read_mostly = share(mixed, |step| matches!(step, Step::Read(_)));
        let bursts = share(mixed, |step| matches!(step, Step::Write(_)));
        let churn = share(mixed, |step| step == Step::Live);
        assert!((read_mostly - 0.7).abs() < 0.005, "{read_mostly}");
        assert!((bursts - 0.2).abs() < 0.005, "{bursts}");
        assert!((churn - 0.1).abs() < 0.005, "{churn}");
    }

    #[test]
    fn a_burst_stays_on_one_session_until_its_calls_are_used_up() {
        let bursts = Bursts::new();
        assert_eq!(bursts.join(), None);
        bursts.start(7);
        let joined: Vec<_> = std::iter::from_fn(|| bursts.join()).collect();
        assert_eq!(joined, vec![7; BURST_CALLS as usize - 1]);
    }
}
