//! The one place that names synchronisation primitives, so that a model checker can stand in for
//! them: built with `--cfg shuttle`, every lock is a point where the checker may switch threads.

pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(shuttle)]
pub(crate) use model::Mutex;
#[cfg(not(shuttle))]
pub(crate) use parking_lot::Mutex;

/// For what waits with a deadline, which the model checker knows nothing of.
pub(crate) mod timed {
    pub(crate) use parking_lot::{Condvar, Mutex};
}

#[cfg(shuttle)]
mod model {
    /// The model checker's mutex in the shape of parking_lot's.
    #[derive(Default)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> shuttle::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }
}
