//! A party in the queue.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::LockQueue;
use super::party::{Held, Turn};
use super::place::{Verdict, Waiter};
use super::timer::Alarm;
use crate::access::Calling;
use crate::error::{IoError, OpenError};
use crate::id::Key;
use crate::seams::Timestamp;
use crate::sync::Arc;

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
    /// Look for the lock behind the queue; `alive_until`: of the session that the last
    /// holder here left.
    Turn {
        turn: Turn<L>,
        alive_until: Option<Timestamp>,
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
    pub(super) fn new(queue: Arc<LockQueue<L>>, key: &Key, waiter: Arc<Waiter<L>>) -> Self {
        Self { queue, key: *key, waiter, alarm: None, open: true }
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
                Outcome::TimedOut => Outcome::Failed(OpenError::Io(IoError {
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
        let (queue, key, mode) = (Arc::clone(&self.queue), &self.key, self.waiter.mode);
        match verdict {
            Verdict::Turn { alive_until } => {
                let turn = Turn::new(queue, key, mode, self.waiter.label.clone());
                Outcome::Turn { turn, alive_until }
            }
            Verdict::Granted(lock) => Outcome::Granted { lock, held: Held::new(queue, *key, mode) },
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
