//! The queue in front of a session's lock, within one process.
//!
//! Threads and async tasks wait in it alike: first come, first served, each with a deadline, at
//! most so many per session. It knows nothing of files. What it passes around is `L`, the proof of
//! whatever stands behind it: a kernel lock, a lease, or nothing at all.
//!
//! A session that somebody holds or wants has a [`Place`]; nobody, no place, so the table never
//! grows. The way of a party:
//!
//! ```text
//! arrive --free--> Turn --settle--> Held --release--> (next)
//!    |              ^ |
//!    |              | +--park--> Wait + Delivery: a helper asks the kernel, the party waits
//!    +--taken-> Wait --+
//!                   +--------Granted: the holder before passed its lock on, or a helper did
//!                   +--------Gone: the session was destroyed meanwhile
//! ```
//!
//! At most one party per place has the turn or a delivery under way (`acquiring`), so at most one
//! of a process stands before the kernel. A delivery belongs to the place and not to the party that
//! started it: when that one gives up, the lock goes to whoever is first then; when nobody is, it
//! is let go.
//!
//! Each state is a value whose drop undoes it: a dropped `Turn` calls the next, a dropped `Wait`
//! leaves the queue, a dropped `Held` releases. So a task may be cancelled at any point.

#[cfg(all(test, shuttle))]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod model;
mod party;
mod place;
#[cfg(all(test, not(shuttle)))]
mod tests;
mod timer;
mod wait;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::task::Waker;
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::error::Holder;
use crate::id::Key;
use crate::label::Label;
use crate::seams::coarse_monotonic;
use crate::sync::{Arc, Mutex};
use place::{Place, Waiter};
use timer::Timer;

pub(crate) use party::{Delivery, Held, Turn};
pub(crate) use wait::{Outcome, Wait};

/// How a party wants the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Shared,
    Exclusive,
}

/// How far a lock passes from waiter to waiter before it is let go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HandOverLimit {
    pub(crate) times: u32,
    pub(crate) span: Duration,
}

/// The places of all sessions that somebody holds or wants.
pub(crate) struct LockQueue<L> {
    shards: Box<[CachePadded<Mutex<Shard<L>>>]>,
    waiters_max: usize,
    hand_over: HandOverLimit,
    timer: Timer,
}

type Shard<L> = HashMap<Key, Place<L>, BuildHasherDefault<KeyHasher>>;

/// How a place stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) held: bool,
    /// How it is held, or else how the first waiter wants it.
    pub(crate) exclusive: bool,
    pub(crate) waiting: usize,
}

/// The answer to an arrival.
pub(crate) enum Arrival<L: Send> {
    Turn(Turn<L>),
    Wait(Wait<L>),
    /// Taken, and the party does not want to wait.
    Busy,
    /// As many wait as may.
    Full,
}

impl<L: Send> LockQueue<L> {
    pub(crate) fn new(waiters_max: usize, hand_over: HandOverLimit) -> Self {
        let shards = (0..SHARDS).map(|_| CachePadded::default()).collect();
        Self { shards, waiters_max, hand_over, timer: Timer::default() }
    }

    /// Asks for the lock of `key`; who is not `patient` does not wait for it.
    pub(crate) fn arrive(
        self: &Arc<Self>,
        key: &Key,
        mode: Mode,
        label: Option<Label>,
        patient: bool,
    ) -> Arrival<L> {
        let mut shard = self.shard(key).lock();
        let place = shard.entry(*key).or_default();
        if place.waiters.is_empty() && place.admits(mode) {
            place.begin_turn(mode, &label);
            return Arrival::Turn(Turn::new(Arc::clone(self), key, mode, label));
        }
        if !patient {
            return Arrival::Busy;
        }
        if place.waiters.len() >= self.waiters_max {
            return Arrival::Full;
        }
        let waiter = Arc::new(Waiter { mode, label, slot: Mutex::default() });
        place.waiters.push_back(Arc::clone(&waiter));
        Arrival::Wait(Wait::new(Arc::clone(self), key, waiter))
    }

    /// Who holds `key` in this process.
    pub(crate) fn holder(&self, key: &Key) -> Option<Holder> {
        let shard = self.shard(key).lock();
        let place = shard.get(key).filter(|place| place.exclusive || place.shared > 0)?;
        Some(Holder {
            pid: std::process::id(),
            held: Some(coarse_monotonic().saturating_sub(place.held_since)),
            label: place.label.as_deref().map(str::to_owned),
        })
    }

    /// All places where somebody holds or waits.
    pub(crate) fn places(&self) -> Vec<(Key, Standing)> {
        let mut places = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let standing = shard.iter().map(|(key, place)| (*key, place.standing()));
            // One that is being taken is not held yet.
            places.extend(standing.filter(|(_, place)| place.held || place.waiting > 0));
        }
        places
    }

    /// Changes the place of `key`, then calls whoever can go now.
    fn update<R>(&self, key: &Key, change: impl FnOnce(&mut Place<L>) -> R) -> R {
        let mut shard = self.shard(key).lock();
        let place = shard.entry(*key).or_default();
        let result = change(place);
        let called = place.call_next();
        if place.is_idle() {
            shard.remove(key);
        }
        drop(shard);
        wake(called);
        result
    }

    fn shard(&self, key: &Key) -> &Mutex<Shard<L>> {
        let index = usize::try_from(key.word(1) % SHARDS as u64).unwrap_or(0);
        #[expect(clippy::indexing_slicing, reason = "there are SHARDS shards")]
        &self.shards[index]
    }
}

fn wake(wakers: impl IntoIterator<Item = Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}

/// Keys are hashes already.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(word) = bytes.first_chunk::<8>() {
            self.0 ^= u64::from_le_bytes(*word);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// So many that two threads on two sessions rarely meet.
const SHARDS: usize = 64;
