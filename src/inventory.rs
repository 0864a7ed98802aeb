//! The contract of a store with its operator: to look through it session by session, to check and
//! repair it, to move sessions into it as they stand, and to see who holds what.
//!
//! Requests need none of this; it is what `cloakroom ls`, `verify`, `copy` and `locks` are made of.
//! All of it is safe while the store serves.

use std::path::PathBuf;

use crate::access::Calling;
use crate::error::{CommitError, Corrupt, OpenError};
use crate::id::Key;
use crate::record::Record;
use crate::seams::Timestamp;
use crate::store::Store;

/// A store that can be looked through and taken care of.
pub trait Inventory: Store {
    /// A walk under way.
    type Walk: Walk;

    /// Starts a walk over all sessions, in no order.
    ///
    /// It takes no lock and waits for nobody: each session is seen as it was last committed. One that
    /// is created or destroyed meanwhile may be seen or not; all others are seen once.
    ///
    /// # Errors
    ///
    /// The store could not be read.
    fn walk(
        &self,
        depth: Depth,
        calling: Calling,
    ) -> impl Future<Output = Result<Self::Walk, OpenError>> + Send;

    /// Decides about a session that a walk found damaged: looks again under its lock, if that is
    /// free, and takes it out of service if the damage is real.
    ///
    /// # Errors
    ///
    /// The store could not be read, or the damaged session could not be moved; it stays where it is.
    fn repair(
        &self,
        key: &Key,
        calling: Calling,
    ) -> impl Future<Output = Result<Repaired, OpenError>> + Send;

    /// Takes a session in as it stands in another store: record, version and all. It waits for the
    /// session's lock like a writer.
    ///
    /// A session of this store gives way only if it is the same life and older: at an earlier version,
    /// or at the same one before its id was renewed or before its last touch. A renewed id never
    /// becomes alive again.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]. What the store had before stands.
    fn adopt(
        &self,
        key: &Key,
        record: Record,
        payload: &[u8],
        calling: Calling,
    ) -> impl Future<Output = Result<Adopted, CommitError>> + Send;

    /// The sessions that are locked or waited for at this moment, by whatever process. Empty for a
    /// store that does not lock.
    ///
    /// # Errors
    ///
    /// The operating system would not tell.
    fn locks(
        &self,
        calling: Calling,
    ) -> impl Future<Output = Result<Vec<Locked>, OpenError>> + Send;

    /// How many parts the store spreads its sessions over; directories, say.
    fn shards(&self) -> u64;

    /// In which of them the session of `key` is, from 0.
    fn shard(&self, key: &Key) -> u64;
}

/// A walk over the sessions of a store.
pub trait Walk: Send + 'static {
    /// Appends what comes next to `found`, at least one find and at most `limit`; nothing at the end.
    ///
    /// # Errors
    ///
    /// The store cannot be read any further. What a walk cannot read within it is a find, and the walk
    /// goes on.
    fn next(
        &mut self,
        limit: usize,
        found: &mut Vec<Found>,
    ) -> impl Future<Output = Result<(), OpenError>> + Send;
}

/// How closely a walk looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The last committed version of each session, with its check.
    Current,
    /// Every byte, and what the file system says: size, owner, permissions.
    Whole,
}

/// What a walk came across.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found {
    /// A session.
    Session(Summary),
    /// A session that cannot be read. [`Inventory::repair`] decides about it.
    Damaged {
        /// Which.
        key: Key,
        /// Where it is, as far as the store has places.
        place: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// What a process that was killed left behind, and the sweep removes; or, for a moment, what one is
    /// at just now.
    Leftover {
        /// Where.
        place: PathBuf,
        /// What it takes.
        stored: u64,
    },
    /// Not of this store, or not where it belongs. Nothing here touches it.
    Foreign {
        /// Where.
        place: PathBuf,
        /// What it is: `a symbolic link`, say.
        what: String,
    },
    /// A session, or what is around it, that serves but is not as the store makes it: others may read
    /// it, say. It is no reason to take the session out of service, so it is a find beside the session,
    /// of a walk in [`Depth::Whole`] only.
    Suspect {
        /// Where.
        place: PathBuf,
        /// What is not as it should be, and what to do about it.
        what: String,
    },
    /// Something the operating system would not let be read.
    Unreadable {
        /// Where.
        place: PathBuf,
        /// Why.
        reason: String,
    },
}

/// A session, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Which.
    pub key: Key,
    /// As last committed and touched.
    pub record: Record,
    /// Bytes of the payload.
    pub payload: u64,
    /// Bytes it takes in the store, spare room included.
    pub stored: u64,
    /// Whether its deadline has passed, so that it waits for the sweep.
    pub expired: bool,
}

/// What [`Inventory::repair`] did.
#[derive(Debug)]
pub enum Repaired {
    /// Nothing: the session is sound, or gone.
    Sound,
    /// Nothing: somebody holds its lock.
    InUse,
    /// The session was taken out of service; it is kept where this says.
    Quarantined(Corrupt),
}

/// What [`Inventory::adopt`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// The session is new here.
    Created,
    /// It replaced an older version of itself.
    Replaced,
    /// Nothing: this version or a later one is here already.
    Kept,
    /// Nothing: another life stands under the key, created here.
    OtherLife,
    /// Nothing: its deadline has passed.
    Expired,
}

impl Adopted {
    /// What becomes of a session with this record where `found` stands at `now`. For stores to call,
    /// under their protection.
    #[must_use]
    pub fn judge(record: &Record, found: Option<&Record>, now: Timestamp) -> Self {
        // At the same version a session may still have been touched or, after that, retired.
        let age =
            |record: &Record| (record.version, record.retired_until.is_some(), record.accessed);
        match found {
            _ if record.is_expired(now) => Self::Expired,
            None => Self::Created,
            Some(found) if found.birth != record.birth => Self::OtherLife,
            Some(found) if found.retired_until.is_some() && record.retired_until.is_none() => {
                Self::Kept
            }
            Some(found) if age(found) >= age(record) => Self::Kept,
            Some(_) => Self::Replaced,
        }
    }
}

/// A session that is locked or waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// Which; `None`: the operating system told of the lock, but not which session it is.
    pub key: Option<Key>,
    /// Whether its holder may write, or several read.
    pub exclusive: bool,
    /// The processes that hold it; empty if it is between two holders.
    pub holders: Vec<u32>,
    /// The processes that wait for it, as far as they are known; see [`waiting`](Self::waiting).
    pub waiters: Vec<u32>,
    /// How many processes wait for it.
    pub waiting: usize,
}
