//! A process that stops for good, as kill -9 or SIGSTOP does it, at any of its steps.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many steps a process has left; a step is one look at shared memory and what is done there.
#[derive(Clone)]
pub(super) struct Steps(Arc<AtomicUsize>);

impl Default for Steps {
    /// It never stops.
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(usize::MAX)))
    }
}

impl Steps {
    pub(super) fn stop_after(&self, steps: usize) {
        self.0.store(steps, Ordering::Relaxed);
    }

    /// Takes a step, or stops.
    pub(super) fn take(&self) {
        match self.0.load(Ordering::Relaxed) {
            usize::MAX => {}
            // Without the panic's message.
            0 => panic::resume_unwind(Box::new(Stopped)),
            left => self.0.store(left - 1, Ordering::Relaxed),
        }
    }
}

struct Stopped;

/// Works until it is done or the process stops; whether it got so far.
pub(super) fn until_stop<T>(work: impl FnOnce() -> T) -> Option<T> {
    match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => Some(done),
        Err(panic) if panic.is::<Stopped>() => None,
        Err(panic) => panic::resume_unwind(panic),
    }
}
