//! A future that a case polls by hand: to let it wait, to see it woken, to drop it anywhere.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::stage::Stage;
use crate::store::Store;

/// A future in the hands of a case. Dropped: cancelled.
pub(super) struct Task<'a, S, T> {
    stage: &'a Stage<S>,
    future: Pin<Box<dyn Future<Output = T> + Send + 'a>>,
    signal: Arc<Signal>,
}

impl<'a, S: Store, T: Send> Task<'a, S, T> {
    pub(super) fn new(stage: &'a Stage<S>, future: impl Future<Output = T> + Send + 'a) -> Self {
        Self { stage, future: Box::pin(future), signal: Arc::default() }
    }

    /// Polls once.
    pub(super) fn poll(&mut self) -> Poll<T> {
        self.signal.set(false);
        let waker = Waker::from(Arc::clone(&self.signal));
        let mut context = Context::from_waker(&waker);
        let future = &mut self.future;
        self.stage.wait(poll_fn(|_| Poll::Ready(future.as_mut().poll(&mut context))))
    }

    /// Polls once and expects that it waits.
    #[track_caller]
    pub(super) fn assert_waits(&mut self, why: &str) {
        assert!(self.poll().is_pending(), "{why}");
    }

    /// Returns once the future was woken since the last poll, without polling it.
    #[track_caller]
    pub(super) fn assert_woken(&self, why: &str) {
        let woken = self.signal.woken.lock().unwrap();
        let waited = self.signal.changed.wait_timeout_while(woken, PATIENCE, |woken| !*woken);
        assert!(*waited.unwrap().0, "{why}: it was never woken");
    }

    /// Polls whenever woken, and only then, until it is ready.
    #[track_caller]
    pub(super) fn finish(mut self, why: &str) -> T {
        loop {
            if let Poll::Ready(output) = self.poll() {
                return output;
            }
            self.assert_woken(why);
        }
    }
}

#[derive(Default)]
struct Signal {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    fn set(&self, woken: bool) {
        *self.woken.lock().unwrap() = woken;
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.set(true);
        self.changed.notify_all();
    }
}

/// How long a wake-up may take before it counts as lost: longer than the longest lock wait.
const PATIENCE: Duration = Duration::from_secs(45);
