//! The public test body that any [`Store`] passes: ours, and a third party's.
//!
//! Each case is one sentence of the contract of [`Store`] and [`Hold`](crate::Hold). A store brings
//! a [`Fixture`]: how to make a fresh, empty store that goes by a [`ManualClock`]. Every case runs
//! twice, once as a blocking and once as an async caller, each time in a store of its own.
//!
//! A store that is an [`Inventory`](crate::Inventory) too has further cases: [`inventory`].
//!
//! A store need not offer every [`Access`]. A case about one that it lacks checks instead that
//! asking for it is the typed error that names the alternatives.
//!
//! # Examples
//!
//! In the tests of a store, one `#[test]` for each case, so that a failure is named:
//!
//! ```
//! use cloakroom::MemoryStore;
//! use cloakroom::conformance::{Fixture, ManualClock};
//! use cloakroom::seams::OsEntropy;
//!
//! fn fixture(clock: &ManualClock) -> Fixture<MemoryStore> {
//!     let store = MemoryStore::with(clock.clone(), OsEntropy);
//!     Fixture::new(store.clone()).second_handle(store)
//! }
//!
//! mod memory_store {
//!     cloakroom::conformance::tests!(super::fixture);
//! }
//! ```
//!
//! Or one case, or all of them, from a test of your own:
//!
//! ```
//! # use cloakroom::MemoryStore;
//! # use cloakroom::conformance::{self, Fixture, ManualClock};
//! # use cloakroom::seams::OsEntropy;
//! # fn fixture(clock: &ManualClock) -> Fixture<MemoryStore> {
//! #     Fixture::new(MemoryStore::with(clock.clone(), OsEntropy))
//! # }
//! conformance::run("the_second_creator_is_told_that_the_session_exists", fixture);
//! assert!(conformance::CASES.len() > 60);
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod cases;
mod clock;
pub mod inventory;
mod list;
mod stage;
mod task;

use std::any::Any;
use std::future::Future;
use std::panic;
use std::pin::Pin;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::access::{Access, Calling};
use crate::store::Store;
use crate::sync::Arc;
pub use clock::ManualClock;
use stage::Stage;

#[doc(inline)]
pub use crate::__conformance_tests as tests;

/// A fresh, empty store for one case, and what the case needs beside it.
pub struct Fixture<S> {
    store: Arc<S>,
    second: Option<Arc<S>>,
    block_on: BlockOn,
    settle: Box<dyn Fn() + Send + Sync>,
    guard: Option<Box<dyn Any + Send + Sync>>,
}

type BlockOn = Box<dyn Fn(Pin<&mut dyn Future<Output = ()>>) + Send + Sync>;

impl<S: Store> Fixture<S> {
    /// A case in `store`, which must be empty and go by the clock that the factory was given.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self {
            store: Arc::new(store),
            second: None,
            block_on: Box::new(|future| crate::blocking::wait(future)),
            settle: Box::new(|| {}),
            guard: None,
        }
    }

    /// Another handle of the same sessions, as another process would have it: opened anew, if the
    /// store can be, or a clone. The cases then also run between the two.
    #[must_use]
    pub fn second_handle(mut self, store: S) -> Self {
        self.second = Some(Arc::new(store));
        self
    }

    /// Drives the store's futures with this function; [`blocking::wait`](crate::blocking::wait)
    /// unless told otherwise. For a store that needs its runtime around every poll.
    ///
    /// # Examples
    ///
    /// ```
    /// # use cloakroom::{MemoryStore, conformance::Fixture};
    /// let runtime = tokio::runtime::Runtime::new()?;
    /// let fixture = Fixture::new(MemoryStore::new()).block_on(move |future| runtime.block_on(future));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn block_on(
        mut self,
        drive: impl Fn(Pin<&mut dyn Future<Output = ()>>) + Send + Sync + 'static,
    ) -> Self {
        self.block_on = Box::new(drive);
        self
    }

    /// Called after opens were polled that shall wait: returns once they stand in the queue. For a
    /// store whose queue is not in this process; others need not set it.
    #[must_use]
    pub fn settle(mut self, settle: impl Fn() + Send + Sync + 'static) -> Self {
        self.settle = Box::new(settle);
        self
    }

    /// Keeps `guard` until the case is over and the stores are dropped; a directory to remove, say.
    #[must_use]
    pub fn keep(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }
}

/// Runs one case of [`CASES`], as a blocking and as an async caller. See the
/// [module](self#examples) for an example.
///
/// # Panics
///
/// The store breaks the contract, the case hangs for more than a minute, or there is no such case.
pub fn run<S: Store>(case: &str, factory: impl Fn(&ManualClock) -> Fixture<S>) {
    perform(case, list::find::<S>(case), factory);
}

fn perform<S: Store>(
    case: &str,
    found: Option<list::Case<S>>,
    factory: impl Fn(&ManualClock) -> Fixture<S>,
) {
    let (needs, body) = found.unwrap_or_else(|| panic!("no case named {case}"));
    for calling in [Calling::Blocking, Calling::Async] {
        let clock = ManualClock::new();
        let stage = Stage::new(factory(&clock), clock, calling);
        supervise(case, calling, move || {
            let missing: Vec<Access> =
                needs.iter().copied().filter(|access| !stage.offers(*access)).collect();
            if missing.is_empty() {
                body(&stage);
            }
            for access in missing {
                stage.assert_unsupported(access);
            }
        });
    }
}

/// Runs every case, one after the other, and says which ones failed.
///
/// # Examples
///
/// ```no_run
/// # use cloakroom::MemoryStore;
/// # use cloakroom::conformance::{self, Fixture};
/// # use cloakroom::seams::OsEntropy;
/// conformance::run_all(|clock| Fixture::new(MemoryStore::with(clock.clone(), OsEntropy)));
/// ```
///
/// # Panics
///
/// The store breaks the contract; the message names the cases.
pub fn run_all<S: Store>(factory: impl Fn(&ManualClock) -> Fixture<S>) {
    attempt(CASES, |case| run(case, &factory));
}

fn attempt(cases: &[&str], run: impl Fn(&str)) {
    let fails = |case: &&&str| panic::catch_unwind(panic::AssertUnwindSafe(|| run(case))).is_err();
    let failed: Vec<_> = cases.iter().filter(fails).collect();
    assert!(failed.is_empty(), "{} of {} cases fail: {failed:#?}", failed.len(), cases.len());
}

/// The names of all cases.
pub const CASES: &[&str] = list::NAMES;

/// Runs `body` on a thread of its own, so that a hang ends the case and not the test run.
fn supervise(case: &str, calling: Calling, body: impl FnOnce() + Send + 'static) {
    let (done, ended) = channel::<()>();
    let thread = thread::Builder::new().name(case.to_owned()).spawn(move || {
        // Dropped at the end and by a panic alike.
        let _done = done;
        body();
    });
    let thread = thread.expect("a thread starts");
    match ended.recv_timeout(WATCHDOG) {
        Err(RecvTimeoutError::Timeout) => panic!("{case} hangs for a {calling:?} caller"),
        _ => {
            if let Err(panic) = thread.join() {
                eprintln!("{case} failed for a {calling:?} caller");
                panic::resume_unwind(panic);
            }
        }
    }
}

/// How long a case may take before it counts as hanging: far more than any takes.
const WATCHDOG: Duration = Duration::from_secs(60);
