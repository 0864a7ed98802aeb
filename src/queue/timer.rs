//! Wakes async tasks at their deadlines, on a thread of its own, for no runtime is assumed. The
//! thread starts with the first alarm and ends with the timer.

use std::collections::BTreeMap;
use std::io;
use std::task::Waker;
use std::thread;
use std::time::Instant;

use crate::sync::Arc;
use crate::sync::timed::{Condvar, Mutex};

#[derive(Default)]
pub(super) struct Timer {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    alarms: BTreeMap<(Instant, u64), Waker>,
    last: u64,
    running: bool,
    closed: bool,
}

/// A task that will be woken. Dropped: it will not.
pub(super) struct Alarm {
    shared: Arc<Shared>,
    entry: (Instant, u64),
}

impl Timer {
    /// Wakes `waker` at `deadline`.
    pub(super) fn set(&self, deadline: Instant, waker: &Waker) -> io::Result<Alarm> {
        let mut state = self.shared.state.lock();
        if !state.running {
            let shared = Arc::clone(&self.shared);
            thread::Builder::new()
                .name("cloakroom-timer".into())
                .stack_size(64 << 10)
                .spawn(move || shared.run())?;
            state.running = true;
        }
        state.last += 1;
        let entry = (deadline, state.last);
        state.alarms.insert(entry, waker.clone());
        if state.alarms.first_key_value().is_some_and(|(first, _)| *first == entry) {
            self.shared.changed.notify_one();
        }
        Ok(Alarm { shared: Arc::clone(&self.shared), entry })
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.changed.notify_one();
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let removed = self.shared.state.lock().alarms.remove(&self.entry);
        // A waker may run code of its own when dropped: not under the lock.
        drop(removed);
    }
}

impl Shared {
    fn run(&self) {
        let mut state = self.state.lock();
        while !state.closed {
            let Some(first) = state.alarms.first_entry() else {
                self.changed.wait(&mut state);
                continue;
            };
            let (deadline, _) = *first.key();
            if Instant::now() < deadline {
                self.changed.wait_until(&mut state, deadline);
                continue;
            }
            let waker = first.remove();
            drop(state);
            waker.wake();
            state = self.state.lock();
        }
    }
}
