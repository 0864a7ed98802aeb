//! The cases of a store that is an [`Inventory`], beside those of every store.
//!
//! They are run as [those](super) are, with the same [`Fixture`].
//!
//! # Examples
//!
//! ```
//! use cloakroom::MemoryStore;
//! use cloakroom::conformance::{self, Fixture, ManualClock};
//! use cloakroom::seams::OsEntropy;
//!
//! fn fixture(clock: &ManualClock) -> Fixture<MemoryStore> {
//!     let store = MemoryStore::with(clock.clone(), OsEntropy);
//!     Fixture::new(store.clone()).second_handle(store)
//! }
//!
//! mod memory_store {
//!     cloakroom::conformance::tests!(super::fixture);
//!     cloakroom::conformance::inventory::tests!(super::fixture);
//! }
//!
//! conformance::inventory::run("a_walk_sees_no_session_that_was_destroyed", fixture);
//! ```

use super::{Fixture, ManualClock, attempt, list, perform};
use crate::inventory::Inventory;

#[doc(inline)]
pub use crate::__conformance_inventory_tests as tests;

/// Runs one case of [`CASES`], as a blocking and as an async caller.
///
/// # Panics
///
/// The store breaks the contract, the case hangs for more than a minute, or there is no such case.
pub fn run<S: Inventory>(case: &str, factory: impl Fn(&ManualClock) -> Fixture<S>) {
    perform(case, list::find_inventory::<S>(case), factory);
}

/// Runs every case, one after the other, and says which ones failed.
///
/// # Panics
///
/// The store breaks the contract; the message names the cases.
pub fn run_all<S: Inventory>(factory: impl Fn(&ManualClock) -> Fixture<S>) {
    attempt(CASES, |case| run(case, &factory));
}

/// The names of all cases.
pub const CASES: &[&str] = list::INVENTORY_NAMES;
