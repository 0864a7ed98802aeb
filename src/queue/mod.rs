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
#[cfg(all(test, not(shuttle)))]
mod tests;
mod timer;

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::hash::{BuildHasherDefault, Hasher};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use crate::access::Calling;
use crate::error::{Holder, OpenError};
use crate::id::Key;
use crate::sync::{Arc, Mutex};
use timer::{Alarm, Timer};

/// What a holder calls itself.
pub(crate) type Label = Option<Cow<'static, str>>;

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

/// The answer to an arrival.
pub(crate) enum Arrival<L: Send> {
    Turn(Turn<L>),
    Wait(Wait<L>),
    Full,
}

impl<L: Send> LockQueue<L> {
    pub(crate) fn new(waiters_max: usize, hand_over: HandOverLimit) -> Self {
        let shards = (0..SHARDS).map(|_| CachePadded::default()).collect();
        Self { shards, waiters_max, hand_over, timer: Timer::default() }
    }

    /// Asks for the lock of `key`.
    pub(crate) fn arrive(self: &Arc<Self>, key: &Key, mode: Mode, label: Label) -> Arrival<L> {
        let mut shard = self.shard(key).lock();
        let place = shard.entry(*key).or_default();
        if place.waiters.is_empty() && place.admits(mode) {
            place.acquiring = true;
            return Arrival::Turn(Turn::new(self, key, mode, label));
        }
        if place.waiters.len() >= self.waiters_max {
            return Arrival::Full;
        }
        let waiter = Arc::new(Waiter { mode, label, slot: Mutex::default() });
        place.waiters.push_back(Arc::clone(&waiter));
        Arrival::Wait(Wait::new(self, key, waiter))
    }

    /// Who holds `key` in this process.
    pub(crate) fn holder(&self, key: &Key) -> Option<Holder> {
        let shard = self.shard(key).lock();
        let place = shard.get(key).filter(|place| place.exclusive || place.shared > 0)?;
        Some(Holder {
            pid: std::process::id(),
            held: place.held_since.map(|since| since.elapsed()),
            label: place.label.as_deref().map(str::to_owned),
        })
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

/// One session that somebody holds or wants.
///
/// `exclusive` and `shared > 0` never hold at once. `acquiring` says that one party has the turn
/// or that a delivery is under way; the party of a delivery stays in `waiters` meanwhile.
struct Place<L> {
    exclusive: bool,
    shared: u32,
    acquiring: bool,
    /// The last holder here left the session alive.
    alive: bool,
    /// How often, and since when, the present lock was passed on.
    hand_overs: u32,
    locked_since: Option<Instant>,
    /// The present holder, or the latest of several.
    held_since: Option<Instant>,
    label: Label,
    waiters: VecDeque<Arc<Waiter<L>>>,
}

impl<L> Place<L> {
    fn admits(&self, mode: Mode) -> bool {
        !self.acquiring && !self.exclusive && (mode == Mode::Shared || self.shared == 0)
    }

    fn is_idle(&self) -> bool {
        !self.acquiring && !self.exclusive && self.shared == 0 && self.waiters.is_empty()
    }

    /// Gives the first waiter its turn, if it can go.
    fn call_next(&mut self) -> Option<Waker> {
        let first = self.waiters.front()?;
        if !self.admits(first.mode) {
            return None;
        }
        self.acquiring = true;
        self.waiters.pop_front()?.decide(Verdict::Turn { alive: self.alive })
    }

    fn hold(&mut self, mode: Mode, label: Label, now: Instant) {
        match mode {
            Mode::Shared => self.shared += 1,
            Mode::Exclusive => self.exclusive = true,
        }
        self.held_since = Some(now);
        self.label = label;
    }

    /// Undoes `hold`.
    fn leave(&mut self, mode: Mode) {
        match mode {
            Mode::Shared => self.shared = self.shared.saturating_sub(1),
            Mode::Exclusive => self.exclusive = false,
        }
    }

    /// Tells every waiter that the session is gone.
    fn dismiss_all(&mut self) -> Vec<Waker> {
        self.alive = false;
        self.waiters.drain(..).filter_map(|waiter| waiter.decide(Verdict::Gone)).collect()
    }
}

impl<L> Default for Place<L> {
    fn default() -> Self {
        Self {
            exclusive: false,
            shared: 0,
            acquiring: false,
            alive: false,
            hand_overs: 0,
            locked_since: None,
            held_since: None,
            label: None,
            waiters: VecDeque::new(),
        }
    }
}

/// A party in the queue. Its verdict is given under the lock of its shard, once, when it is taken
/// out of the queue.
struct Waiter<L> {
    mode: Mode,
    label: Label,
    slot: Mutex<Slot<L>>,
}

struct Slot<L> {
    verdict: Option<Verdict<L>>,
    waker: Option<Waker>,
}

enum Verdict<L> {
    Turn { alive: bool },
    Granted(L),
    Gone,
    Failed(OpenError),
}

impl<L> Waiter<L> {
    fn decide(&self, verdict: Verdict<L>) -> Option<Waker> {
        let mut slot = self.slot.lock();
        slot.verdict = Some(verdict);
        slot.waker.take()
    }
}

impl<L> Default for Slot<L> {
    fn default() -> Self {
        Self { verdict: None, waker: None }
    }
}

/// The right to ask for the lock behind the queue. Dropped: the next may.
pub(crate) struct Turn<L: Send> {
    queue: Arc<LockQueue<L>>,
    key: Key,
    mode: Mode,
    label: Label,
    open: bool,
}

impl<L: Send> Turn<L> {
    fn new(queue: &Arc<LockQueue<L>>, key: &Key, mode: Mode, label: Label) -> Self {
        Self { queue: Arc::clone(queue), key: *key, mode, label, open: true }
    }

    /// The lock behind the queue is taken.
    pub(crate) fn settle(mut self) -> Held<L> {
        self.open = false;
        let label = self.label.take();
        self.queue.update(&self.key, |place| {
            let now = Instant::now();
            place.acquiring = false;
            place.hand_overs = 0;
            place.locked_since = Some(now);
            place.hold(self.mode, label, now);
        });
        Held::new(&self.queue, &self.key, self.mode)
    }

    /// The lock behind the queue is not free: a helper will wait for it, and this party, first in
    /// the queue again, for the helper.
    pub(crate) fn park(mut self) -> (Wait<L>, Delivery<L>) {
        self.open = false;
        let label = self.label.take();
        let waiter = Arc::new(Waiter { mode: self.mode, label, slot: Mutex::default() });
        self.queue.update(&self.key, |place| place.waiters.push_front(Arc::clone(&waiter)));
        let queue = Arc::clone(&self.queue);
        let delivery = Delivery { queue, key: self.key, mode: self.mode, open: true };
        (Wait::new(&self.queue, &self.key, waiter), delivery)
    }

    /// The session that everybody here waited for is gone.
    pub(crate) fn gone(mut self) {
        self.open = false;
        let dismissed = self.queue.update(&self.key, |place| {
            place.acquiring = false;
            place.dismiss_all()
        });
        wake(dismissed);
    }
}

impl<L: Send> Drop for Turn<L> {
    fn drop(&mut self) {
        if self.open {
            self.queue.update(&self.key, |place| place.acquiring = false);
        }
    }
}

/// A helper's duty to bring the lock. Dropped: the first waiter is told that nobody brings it.
pub(crate) struct Delivery<L: Send> {
    queue: Arc<LockQueue<L>>,
    key: Key,
    mode: Mode,
    open: bool,
}

impl<L: Send> Delivery<L> {
    /// The lock is taken: it goes to the first waiter, or back if there is none that wants it so.
    pub(crate) fn grant(mut self, lock: L) {
        self.open = false;
        let mode = self.mode;
        let mut lock = Some(lock);
        let called = self.queue.update(&self.key, |place| {
            place.waiters.front().filter(|first| first.mode == mode)?;
            let first = place.waiters.pop_front()?;
            let now = Instant::now();
            place.acquiring = false;
            place.alive = true;
            place.hand_overs = 0;
            place.locked_since = Some(now);
            place.hold(mode, first.label.clone(), now);
            lock.take().and_then(|lock| first.decide(Verdict::Granted(lock)))
        });
        wake(called);
        if lock.is_some() {
            // Let go before the next is called, or it would find the lock taken by its own process.
            drop(lock);
            self.queue.update(&self.key, |place| place.acquiring = false);
        }
    }

    /// The session is gone, and so everybody's reason to wait.
    pub(crate) fn gone(mut self) {
        self.open = false;
        let dismissed = self.queue.update(&self.key, |place| {
            place.acquiring = false;
            place.dismiss_all()
        });
        wake(dismissed);
    }

    /// The lock is not to be had: the first waiter is told why, the next one tries.
    pub(crate) fn fail(mut self, error: OpenError) {
        self.open = false;
        self.fail_first(error);
    }

    fn fail_first(&self, error: OpenError) {
        let called = self.queue.update(&self.key, |place| {
            place.acquiring = false;
            place.waiters.pop_front().and_then(|first| first.decide(Verdict::Failed(error)))
        });
        wake(called);
    }
}

impl<L: Send> Drop for Delivery<L> {
    fn drop(&mut self) {
        if self.open {
            self.fail_first(OpenError::Io(crate::error::IoError {
                operation: "start a helper thread for session",
                place: self.key.to_string().into(),
                source: std::io::ErrorKind::OutOfMemory.into(),
            }));
        }
    }
}

/// The lock of a session in this process. Dropped: released, and the next one looks for the lock
/// behind the queue itself.
pub(crate) struct Held<L: Send> {
    queue: Arc<LockQueue<L>>,
    key: Key,
    mode: Mode,
    open: bool,
}

impl<L: Send> Held<L> {
    fn new(queue: &Arc<LockQueue<L>>, key: &Key, mode: Mode) -> Self {
        Self { queue: Arc::clone(queue), key: *key, mode, open: true }
    }

    /// Lets go. The next waiter gets `lock` itself if it may, else `lock` is dropped first and
    /// the next waiter called then.
    pub(crate) fn release(mut self, lock: L) {
        self.open = false;
        let mut lock = Some(lock);
        let called = self.pass_on(&mut lock);
        wake(called);
        if lock.is_some() {
            drop(lock);
            self.leave(true);
        }
    }

    /// Lets go of a session that nothing stands behind: it is absent.
    pub(crate) fn release_absent(mut self) {
        self.open = false;
        self.leave(false);
    }

    /// Lets go of a session that is gone, and tells everybody who waits for it.
    pub(crate) fn gone(mut self) {
        self.open = false;
        let mode = self.mode;
        let dismissed = self.queue.update(&self.key, |place| {
            place.leave(mode);
            place.dismiss_all()
        });
        wake(dismissed);
    }

    fn pass_on(&self, lock: &mut Option<L>) -> Option<Waker> {
        if self.mode != Mode::Exclusive {
            return None;
        }
        let limit = self.queue.hand_over;
        let mut shard = self.queue.shard(&self.key).lock();
        let place = shard.get_mut(&self.key)?;
        let first = place.waiters.front()?;
        let now = Instant::now();
        let fair = place.hand_overs < limit.times
            && place.locked_since.is_some_and(|since| now.duration_since(since) < limit.span);
        if first.mode != Mode::Exclusive || !fair {
            return None;
        }
        let first = place.waiters.pop_front()?;
        place.hand_overs += 1;
        place.alive = true;
        place.hold(Mode::Exclusive, first.label.clone(), now);
        first.decide(Verdict::Granted(lock.take()?))
    }

    fn leave(&self, alive: bool) {
        self.queue.update(&self.key, |place| {
            place.leave(self.mode);
            place.alive = alive;
        });
    }
}

impl<L: Send> Drop for Held<L> {
    fn drop(&mut self) {
        if self.open {
            self.leave(true);
        }
    }
}

/// A place in the queue. Dropped: given up.
pub(crate) struct Wait<L: Send> {
    queue: Arc<LockQueue<L>>,
    key: Key,
    waiter: Arc<Waiter<L>>,
    alarm: Option<Alarm>,
    open: bool,
}

/// How a wait ended.
pub(crate) enum Outcome<L: Send> {
    /// Look for the lock behind the queue; `alive`: the last holder left the session alive.
    Turn {
        turn: Turn<L>,
        alive: bool,
    },
    /// The lock is held. Dropped in this order: unlocked, then released.
    Granted {
        lock: L,
        held: Held<L>,
    },
    Gone,
    Failed(OpenError),
    TimedOut,
}

impl<L: Send> Wait<L> {
    fn new(queue: &Arc<LockQueue<L>>, key: &Key, waiter: Arc<Waiter<L>>) -> Self {
        Self { queue: Arc::clone(queue), key: *key, waiter, alarm: None, open: true }
    }

    /// Waits until `deadline`; `None`: without end. A blocking caller is parked, an async one is
    /// woken; neither polls.
    pub(crate) async fn outcome(
        mut self,
        deadline: Option<Instant>,
        calling: Calling,
    ) -> Outcome<L> {
        match calling {
            Calling::Blocking => self.park_until(deadline),
            Calling::Async => poll_fn(|context| self.poll_until(deadline, context)).await,
        }
    }

    fn park_until(&mut self, deadline: Option<Instant>) -> Outcome<L> {
        let waker = crate::blocking::thread_waker();
        loop {
            if let Some(outcome) = self.claim_or_register(&waker) {
                return outcome;
            }
            match deadline {
                None => std::thread::park(),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return self.give_up();
                    }
                    std::thread::park_timeout(left);
                }
            }
        }
    }

    fn poll_until(&mut self, deadline: Option<Instant>, context: &Context<'_>) -> Poll<Outcome<L>> {
        if let Some(outcome) = self.claim_or_register(context.waker()) {
            return Poll::Ready(outcome);
        }
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        if deadline <= Instant::now() {
            return Poll::Ready(self.give_up());
        }
        match self.queue.timer.set(deadline, context.waker()) {
            Ok(alarm) => {
                self.alarm = Some(alarm);
                Poll::Pending
            }
            Err(source) => Poll::Ready(match self.give_up() {
                Outcome::TimedOut => Outcome::Failed(OpenError::Io(crate::error::IoError {
                    operation: "start the timer thread for session",
                    place: self.key.to_string().into(),
                    source,
                })),
                decided => decided,
            }),
        }
    }

    fn claim_or_register(&mut self, waker: &Waker) -> Option<Outcome<L>> {
        let mut slot = self.waiter.slot.lock();
        match slot.verdict.take() {
            Some(verdict) => {
                drop(slot);
                Some(self.accept(verdict))
            }
            None => {
                match &mut slot.waker {
                    Some(old) => old.clone_from(waker),
                    none => *none = Some(waker.clone()),
                }
                None
            }
        }
    }

    fn accept(&mut self, verdict: Verdict<L>) -> Outcome<L> {
        self.open = false;
        let (queue, key, mode) = (&self.queue, &self.key, self.waiter.mode);
        match verdict {
            Verdict::Turn { alive } => {
                let turn = Turn::new(queue, key, mode, self.waiter.label.clone());
                Outcome::Turn { turn, alive }
            }
            Verdict::Granted(lock) => Outcome::Granted { lock, held: Held::new(queue, key, mode) },
            Verdict::Gone => Outcome::Gone,
            Verdict::Failed(error) => Outcome::Failed(error),
        }
    }

    /// Leaves the queue; whoever was called meanwhile has to take what it was given.
    fn give_up(&mut self) -> Outcome<L> {
        let waiter = &self.waiter;
        self.queue.update(&self.key, |place| {
            place.waiters.retain(|other| !Arc::ptr_eq(other, waiter));
        });
        let verdict = self.waiter.slot.lock().verdict.take();
        self.open = false;
        verdict.map_or(Outcome::TimedOut, |verdict| self.accept(verdict))
    }
}

impl<L: Send> Drop for Wait<L> {
    fn drop(&mut self) {
        if self.open {
            drop(self.give_up());
        }
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
