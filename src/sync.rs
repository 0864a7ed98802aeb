//! The one place that names synchronisation primitives, so that a model checker can stand in for
//! them: built with `--cfg shuttle` or `--cfg 'model="loom"'`, every lock and every atomic access is a
//! point where the checker may switch threads. (`--cfg loom` would change other crates, too.)

pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(model = "loom")]
pub(crate) use loom::sync::atomic::{AtomicU64, fence};
#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::{AtomicU64, fence};
#[cfg(not(any(shuttle, model = "loom")))]
pub(crate) use std::sync::atomic::{AtomicU64, fence};

#[cfg(any(shuttle, model = "loom"))]
pub(crate) use model::Mutex;
#[cfg(not(any(shuttle, model = "loom")))]
pub(crate) use parking_lot::Mutex;

/// For what waits with a deadline, which the model checker knows nothing of.
pub(crate) mod timed {
    pub(crate) use parking_lot::{Condvar, Mutex};
}

#[cfg(any(shuttle, model = "loom"))]
mod model {
    #[cfg(model = "loom")]
    use loom::sync;
    #[cfg(shuttle)]
    use shuttle::sync;

    /// The model checker's mutex in the shape of parking_lot's.
    #[derive(Default)]
    pub(crate) struct Mutex<T>(sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> sync::MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }
}
