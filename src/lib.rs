//! The storage engine for web sessions: a lock per session that can be let go early, or no lock and
//! no silently lost update.
//!
//! A page fires ten Ajax calls with one session cookie. Systems that lock the session make them
//! queue; systems that do not lose updates. Here each request chooses, call by call:
//!
//! | access | waits for | may write | on a race |
//! |---|---|---|---|
//! | [`Access::Exclusive`] | every other holder | yes | cannot happen |
//! | [`Access::Shared`] | a writer that holds exclusively | no | - |
//! | [`Access::Snapshot`] | nothing, ever | no | sees the last committed version, whole |
//! | [`Access::Optimistic`] | nothing while the handler runs | yes, checked at commit | is told, merges, or repeats |
//!
//! # In threads
//!
//! ```
//! use cloakroom::blocking::Sessions;
//! use cloakroom::{Access, FileStore, SessionId};
//!
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path().join("sessions");
//! let sessions = Sessions::new(FileStore::open(directory)?);
//! let id = SessionId::generate()?; // goes into the cookie
//!
//! let mut session = sessions.open(&id, Access::Exclusive)?;
//! let visits: u32 = session.get("visits")?.unwrap_or(0);
//! session.insert("visits", visits + 1)?;
//! session.commit()?; // stored, and the lock is free
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # In async code
//!
//! [`Sessions`] is the same for tasks of any runtime. A waiting task blocks no thread of it.
//!
//! # Early exits
//!
//! [`commit`](Session::commit) writes what changed and lets the lock go, [`release`](Session::release) lets it
//! go and writes nothing, [`forget`](Session::forget) writes nothing and keeps it. After each the
//! session can still be read; a change is an error. Dropping a session writes nothing.
//!
//! # Stores
//!
//! [`FileStore`] for any number of processes of one machine, [`MapStore`] for as many without any lock,
//! [`MemoryStore`] for one process. Another
//! one implements [`Store`] and passes the conformance suite (feature `conformance`).
//!
//! # Operating
//!
//! [`Inventory`] looks through a store that serves, checks and repairs it, copies its sessions to
//! another one, and says who holds which session. The command line is made of it.
//!
//! It is not a web framework, not a general database, and not an authentication library.

#![cfg_attr(
    any(shuttle, model = "loom"),
    allow(
        dead_code,
        unused_imports,
        reason = "the store in maps is not all there under a model checker"
    )
)]

mod access;
mod backoff;
pub mod blocking;
mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod file;
mod fork;
mod id;
mod inventory;
mod label;
pub mod limits;
#[cfg(not(any(shuttle, model = "loom")))]
mod map;
#[cfg(all(test, any(shuttle, model = "loom")))]
#[path = "map/model/mod.rs"]
mod map_model;
mod memory;
mod pool;
mod queue;
mod record;
mod root;
pub mod seams;
mod session;
mod sessions;
mod store;
mod store_toml;
mod sync;

pub use access::{Access, Calling, OnConflict};
pub use codec::{Value, Values};
pub use error::{
    CommitError, Conflict, Corrupt, Ended, Holder, IoError, LockTimeout, OpenError, PayloadError,
    SessionError, StoreError, Unsupported, ValueError,
};
pub use file::{Durability, FileHold, FileStore, FileStoreBuilder, FileWalk, Layout};
pub use id::{Key, SessionId};
pub use inventory::{Adopted, Depth, Found, Inventory, Locked, Look, Repaired, Summary, Walk};
pub use label::Label;
#[cfg(not(any(shuttle, model = "loom")))]
pub use map::{MapHold, MapStore, MapStoreBuilder, MapWalk};
pub use memory::{MemoryHold, MemoryStore, MemoryWalk};
pub use record::{Lifetime, Record};
pub use seams::Timestamp;
pub use session::{Initial, Session};
pub use sessions::{OnCorrupt, Sessions, SessionsBuilder};
pub use store::{Condition, Hold, OpenRequest, Store, SweepBudget, Swept, Terms, Then};
