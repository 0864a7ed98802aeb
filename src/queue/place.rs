//! One session that somebody of this process holds or wants.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

use super::{Mode, Standing};
use crate::error::OpenError;
use crate::label::Label;
use crate::seams::{Timestamp, coarse_monotonic};
use crate::sync::{Arc, Mutex};

/// One session that somebody holds or wants.
///
/// `exclusive` and `shared > 0` never hold at once. `acquiring` says that one party has the turn
/// or that a delivery is under way; the party of a delivery stays in `waiters` meanwhile. Beside
/// `exclusive` it says nothing more.
pub(super) struct Place<L> {
    pub(super) exclusive: bool,
    pub(super) shared: u32,
    pub(super) acquiring: bool,
    /// Until when the session lives that the last holder here left; `None`: it left none.
    pub(super) alive_until: Option<Timestamp>,
    /// How often, and since when, the present lock was passed on.
    pub(super) hand_overs: u32,
    pub(super) locked_since: Duration,
    /// The present holder, or the latest of several.
    pub(super) held_since: Duration,
    pub(super) label: Option<Label>,
    pub(super) waiters: VecDeque<Arc<Waiter<L>>>,
}

impl<L> Place<L> {
    pub(super) fn admits(&self, mode: Mode) -> bool {
        !self.acquiring && !self.exclusive && (mode == Mode::Shared || self.shared == 0)
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.acquiring && !self.exclusive && self.shared == 0 && self.waiters.is_empty()
    }

    pub(super) fn standing(&self) -> Standing {
        let held = self.exclusive || self.shared > 0;
        let wanted = || self.waiters.front().is_some_and(|first| first.mode == Mode::Exclusive);
        let exclusive = if held { self.exclusive } else { wanted() };
        Standing { held, exclusive, waiting: self.waiters.len() }
    }

    /// Gives the first waiter its turn, if it can go.
    pub(super) fn call_next(&mut self) -> Option<Waker> {
        let first = self.waiters.front()?;
        if !self.admits(first.mode) {
            return None;
        }
        let first = self.waiters.pop_front()?;
        self.begin_turn(first.mode, &first.label);
        first.decide(Verdict::Turn { alive_until: self.alive_until })
    }

    pub(super) fn hold(&mut self, mode: Mode, label: Option<Label>, now: Duration) {
        match mode {
            Mode::Shared => self.shared += 1,
            Mode::Exclusive => self.exclusive = true,
        }
        self.held_since = now;
        self.label = label;
    }

    /// Gives a party the turn. A writer holds from now on, and keeps `acquiring` until it leaves.
    pub(super) fn begin_turn(&mut self, mode: Mode, label: &Option<Label>) {
        self.acquiring = true;
        if mode == Mode::Exclusive {
            let now = coarse_monotonic();
            self.hand_overs = 0;
            self.locked_since = now;
            self.hold(mode, label.clone(), now);
        }
    }

    /// Takes the turn back.
    pub(super) fn end_turn(&mut self, mode: Mode) {
        self.acquiring = false;
        if mode == Mode::Exclusive {
            self.exclusive = false;
        }
    }

    /// Undoes `hold`.
    pub(super) fn leave(&mut self, mode: Mode, alive_until: Option<Timestamp>) {
        self.alive_until = alive_until;
        match mode {
            Mode::Shared => self.shared = self.shared.saturating_sub(1),
            Mode::Exclusive => self.end_turn(mode),
        }
    }

    /// Tells every waiter that the session is gone.
    pub(super) fn dismiss_all(&mut self) -> Vec<Waker> {
        self.alive_until = None;
        self.waiters.drain(..).filter_map(|waiter| waiter.decide(Verdict::Gone)).collect()
    }
}

impl<L> Default for Place<L> {
    fn default() -> Self {
        Self {
            exclusive: false,
            shared: 0,
            acquiring: false,
            alive_until: None,
            hand_overs: 0,
            locked_since: Duration::ZERO,
            held_since: Duration::ZERO,
            label: None,
            waiters: VecDeque::new(),
        }
    }
}

/// A party in the queue. Its verdict is given under the lock of its shard, once, when it is taken
/// out of the queue.
pub(super) struct Waiter<L> {
    pub(super) mode: Mode,
    pub(super) label: Option<Label>,
    pub(super) slot: Mutex<Slot<L>>,
}

pub(super) struct Slot<L> {
    pub(super) verdict: Option<Verdict<L>>,
    pub(super) waker: Option<Waker>,
}

pub(super) enum Verdict<L> {
    Turn { alive_until: Option<Timestamp> },
    Granted(L),
    Gone,
    Failed(OpenError),
}

impl<L> Waiter<L> {
    pub(super) fn decide(&self, verdict: Verdict<L>) -> Option<Waker> {
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
