//! A party before and behind the lock: with the turn, with a delivery under way, holding.

use std::task::Waker;
use std::time::Instant;

use super::place::{Verdict, Waiter};
use super::wait::Wait;
use super::{Label, LockQueue, Mode, wake};
use crate::error::{IoError, OpenError};
use crate::id::Key;
use crate::seams::Timestamp;
use crate::sync::{Arc, Mutex};

/// The right to ask for the lock behind the queue. Dropped: the next may.
pub(crate) struct Turn<L: Send> {
    queue: Arc<LockQueue<L>>,
    key: Key,
    mode: Mode,
    label: Label,
    open: bool,
}

impl<L: Send> Turn<L> {
    pub(super) fn new(queue: &Arc<LockQueue<L>>, key: &Key, mode: Mode, label: Label) -> Self {
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

    /// There is nothing to wait for: the first waiter looks again.
    pub(crate) fn retry(mut self) {
        self.open = false;
        self.queue.update(&self.key, |place| place.acquiring = false);
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
            self.fail_first(OpenError::Io(IoError {
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
    pub(super) fn new(queue: &Arc<LockQueue<L>>, key: &Key, mode: Mode) -> Self {
        Self { queue: Arc::clone(queue), key: *key, mode, open: true }
    }

    /// Lets go of a session that lives so long. The next waiter gets `lock` itself if it may, else
    /// `lock` is dropped first and the next waiter called then.
    pub(crate) fn release(mut self, lock: L, alive_until: Timestamp) {
        self.open = false;
        let mut lock = Some(lock);
        let called = self.pass_on(&mut lock, alive_until);
        wake(called);
        if lock.is_some() {
            drop(lock);
            self.leave(Some(alive_until));
        }
    }

    /// Lets go of a session that nothing stands behind: it is absent.
    pub(crate) fn release_absent(mut self) {
        self.open = false;
        self.leave(None);
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

    fn pass_on(&self, lock: &mut Option<L>, alive_until: Timestamp) -> Option<Waker> {
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
        place.alive_until = Some(alive_until);

        place.hold(Mode::Exclusive, first.label.clone(), now);
        first.decide(Verdict::Granted(lock.take()?))
    }

    fn leave(&self, alive_until: Option<Timestamp>) {
        self.queue.update(&self.key, |place| {
            place.leave(self.mode);
            place.alive_until = alive_until;
        });
    }
}

impl<L: Send> Drop for Held<L> {
    fn drop(&mut self) {
        if self.open {
            self.queue.update(&self.key, |place| place.leave(self.mode));
        }
    }
}
