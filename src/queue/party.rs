//! A party before and behind the lock: with the turn, with a delivery under way, holding.

use std::task::Waker;

use super::place::{Place, Verdict, Waiter};
use super::wait::Wait;
use super::{LockQueue, Mode, wake};
use crate::error::{IoError, OpenError};
use crate::id::Key;
use crate::label::Label;
use crate::seams::{Timestamp, coarse_monotonic};
use crate::sync::{Arc, Mutex};

/// The right to ask for the lock behind the queue. Dropped: the next may.
///
/// A writer with the turn holds its place already, so that settling costs nothing; a reader takes
/// it when it settles, so that the reader behind it gets its turn then.
pub(crate) struct Turn<L: Send> {
    party: Party<L>,
    label: Option<Label>,
}

impl<L: Send> Turn<L> {
    pub(super) fn new(
        queue: Arc<LockQueue<L>>,
        key: &Key,
        mode: Mode,
        label: Option<Label>,
    ) -> Self {
        Self { party: Party { queue, key: *key, mode, stands: Stands::Turn }, label }
    }

    /// The lock behind the queue is taken.
    pub(crate) fn settle(self) -> Held<L> {
        let Self { mut party, label } = self;
        party.stands = Stands::Holding;
        if party.mode == Mode::Shared {
            party.update(|place| {
                place.acquiring = false;
                place.hold(Mode::Shared, label, coarse_monotonic());
            });
        }
        Held { party }
    }

    /// The lock behind the queue is not free: a helper will wait for it, and this party, first in
    /// the queue again, for the helper.
    pub(crate) fn park(self) -> (Wait<L>, Delivery<L>) {
        let Self { mut party, label } = self;
        party.stands = Stands::Delivery;
        let mode = party.mode;
        let waiter = Arc::new(Waiter { mode, label, slot: Mutex::default() });
        party.update(|place| {
            place.end_turn(mode);
            place.acquiring = true;
            place.waiters.push_front(Arc::clone(&waiter));
        });
        (Wait::new(Arc::clone(&party.queue), &party.key, waiter), Delivery { party })
    }

    /// The session that everybody here waited for is gone.
    pub(crate) fn gone(self) {
        let mode = self.party.mode;
        self.party.dismiss_all(|place| place.end_turn(mode));
    }
}

/// A helper's duty to bring the lock. Dropped: the first waiter is told that nobody brings it.
pub(crate) struct Delivery<L: Send> {
    party: Party<L>,
}

impl<L: Send> Delivery<L> {
    /// The lock is taken: it goes to the first waiter, or back if there is none that wants it so.
    pub(crate) fn grant(self, lock: L) {
        let Self { mut party } = self;
        party.stands = Stands::Nowhere;
        let mode = party.mode;
        let mut lock = Some(lock);
        let called = party.update(|place| {
            place.waiters.front().filter(|first| first.mode == mode)?;
            let first = place.waiters.pop_front()?;
            let now = coarse_monotonic();
            place.acquiring = false;
            place.hand_overs = 0;
            place.locked_since = now;
            place.hold(mode, first.label.clone(), now);
            lock.take().and_then(|lock| first.decide(Verdict::Granted(lock)))
        });
        wake(called);
        if lock.is_some() {
            // Let go before the next is called, or it would find the lock taken by its own process.
            drop(lock);
            party.update(|place| place.acquiring = false);
        }
    }

    /// The session is gone, and so everybody's reason to wait.
    pub(crate) fn gone(self) {
        self.party.dismiss_all(|place| place.acquiring = false);
    }

    /// There is nothing to wait for: the first waiter looks again.
    pub(crate) fn retry(mut self) {
        self.party.stands = Stands::Nowhere;
        self.party.update(|place| place.acquiring = false);
    }

    /// The lock is not to be had: the first waiter is told why, the next one tries.
    pub(crate) fn fail(mut self, error: OpenError) {
        self.party.stands = Stands::Nowhere;
        self.party.fail_first(error);
    }
}

/// The lock of a session in this process. Dropped: released, and the next one looks for the lock
/// behind the queue itself.
pub(crate) struct Held<L: Send> {
    party: Party<L>,
}

impl<L: Send> Held<L> {
    pub(super) const fn new(queue: Arc<LockQueue<L>>, key: Key, mode: Mode) -> Self {
        Self { party: Party { queue, key, mode, stands: Stands::Holding } }
    }

    /// How it is held.
    pub(crate) const fn mode(&self) -> Mode {
        self.party.mode
    }

    /// Lets go of a session that lives so long. The next waiter gets `lock` itself if it may, else
    /// `lock` is dropped first and the next waiter called then.
    pub(crate) fn release(self, lock: L, alive_until: Timestamp) {
        let Self { mut party } = self;
        party.stands = Stands::Nowhere;
        let mut lock = Some(lock);
        wake(party.pass_on(&mut lock, alive_until));
        if lock.is_some() {
            drop(lock);
            party.leave(Some(alive_until));
        }
    }

    /// Lets go of a session that nothing stands behind: it is absent.
    pub(crate) fn release_absent(mut self) {
        self.party.stands = Stands::Nowhere;
        self.party.leave(None);
    }

    /// Lets go of a session that is gone, and tells everybody who waits for it.
    pub(crate) fn gone(self) {
        let mode = self.party.mode;
        self.party.dismiss_all(|place| place.leave(mode, None));
    }
}

/// Somebody at the place of a session, and how the place is left should they be dropped.
struct Party<L: Send> {
    queue: Arc<LockQueue<L>>,
    key: Key,
    mode: Mode,
    stands: Stands,
}

#[derive(Clone, Copy)]
enum Stands {
    Turn,
    Delivery,
    Holding,
    Nowhere,
}

impl<L: Send> Party<L> {
    fn update<R>(&self, change: impl FnOnce(&mut Place<L>) -> R) -> R {
        self.queue.update(&self.key, change)
    }

    fn leave(&self, alive_until: Option<Timestamp>) {
        self.update(|place| place.leave(self.mode, alive_until));
    }

    /// Leaves the place and tells all waiters that the session is gone.
    fn dismiss_all(mut self, leave: impl FnOnce(&mut Place<L>)) {
        self.stands = Stands::Nowhere;
        wake(self.update(|place| {
            leave(place);
            place.dismiss_all()
        }));
    }

    fn fail_first(&self, error: OpenError) {
        wake(self.update(|place| {
            place.acquiring = false;
            place.waiters.pop_front().and_then(|first| first.decide(Verdict::Failed(error)))
        }));
    }

    /// Gives the lock to the first waiter, if that is a writer like the holder and the process has
    /// not had it for too long; if there is none, lets it go.
    fn pass_on(&self, lock: &mut Option<L>, alive_until: Timestamp) -> Option<Waker> {
        if self.mode != Mode::Exclusive {
            return None;
        }
        let limit = self.queue.hand_over;
        let mut shard = self.queue.shard(&self.key).lock();
        let place = shard.get_mut(&self.key)?;
        let Some(first) = place.waiters.front() else {
            // Let go under the lock of the shard: nobody waits for this session, and for others
            // it is shorter than taking that lock once more.
            drop(lock.take());
            place.leave(self.mode, Some(alive_until));
            if place.is_idle() {
                shard.remove(&self.key);
            }
            return None;
        };
        let now = coarse_monotonic();
        let fair =
            place.hand_overs < limit.times && now.saturating_sub(place.locked_since) < limit.span;
        if first.mode != Mode::Exclusive || !fair {
            return None;
        }
        let first = place.waiters.pop_front()?;
        place.hand_overs += 1;
        place.alive_until = Some(alive_until);
        place.hold(Mode::Exclusive, first.label.clone(), now);
        first.decide(Verdict::Granted(lock.take()?))
    }
}

impl<L: Send> Drop for Party<L> {
    fn drop(&mut self) {
        match self.stands {
            Stands::Turn => self.update(|place| place.end_turn(self.mode)),
            Stands::Delivery => self.fail_first(OpenError::Io(IoError {
                operation: "start a helper thread for session",
                place: self.key.to_string().into(),
                source: std::io::ErrorKind::OutOfMemory.into(),
            })),
            Stands::Holding => self.update(|place| place.leave(self.mode, place.alive_until)),
            Stands::Nowhere => {}
        }
    }
}
