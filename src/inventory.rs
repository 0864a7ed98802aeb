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
///
/// # Examples
///
/// How many sessions there are, and how much they take:
///
/// ```
/// use cloakroom::blocking::{Sessions, wait};
/// use cloakroom::{Access, Calling, Depth, FileStore, Found, Inventory, SessionId, Walk};
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path().join("sessions");
/// let store = FileStore::open(directory)?;
/// # let sessions = Sessions::new(store.clone());
/// # let mut session = sessions.open(&SessionId::generate()?, Access::Exclusive)?;
/// # session.insert("visits", 1)?;
/// # session.commit()?;
/// let mut walk = wait(store.walk(Depth::Current, Calling::Blocking))?;
/// let (mut sessions, mut bytes, mut found) = (0, 0, Vec::new());
/// loop {
///     wait(walk.next(1_000, &mut found))?;
///     if found.is_empty() {
///         break;
///     }
///     for found in found.drain(..) {
///         match found {
///             Found::Session(session) => {
///                 sessions += 1;
///                 bytes += session.stored;
///             }
///             other => eprintln!("{other:?}"),
///         }
///     }
/// }
/// assert_eq!((sessions, bytes), (1, 1_536));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// All sessions of one store into another, while both serve:
///
/// ```
/// use cloakroom::blocking::wait;
/// use cloakroom::{Adopted, Calling, Depth, Found, Inventory, Walk};
///
/// fn copy(from: &impl Inventory, to: &impl Inventory) -> Result<u64, Box<dyn std::error::Error>> {
///     let calling = Calling::Blocking;
///     let mut walk = wait(from.walk(Depth::Current, calling))?;
///     let (mut copied, mut found) = (0, Vec::new());
///     loop {
///         wait(walk.next(1_000, &mut found))?;
///         if found.is_empty() {
///             return Ok(copied);
///         }
///         for found in found.drain(..) {
///             let Found::Session(session) = found else { continue };
///             // It may have ended since.
///             let Some(look) = wait(from.look(&session.key, calling))? else { continue };
///             let (record, payload) = (look.record, look.payload);
///             let adopted = wait(to.adopt(&session.key, record, &payload, None, calling))?;
///             copied += u64::from(matches!(adopted, Adopted::Created | Adopted::Replaced));
///         }
///     }
/// }
/// # use cloakroom::blocking::Sessions;
/// # use cloakroom::{Access, MemoryStore, SessionId};
/// # let (from, to, id) = (MemoryStore::new(), MemoryStore::new(), SessionId::generate()?);
/// # let mut session = Sessions::new(from.clone()).open(&id, Access::Exclusive)?;
/// # session.insert("visits", 1)?;
/// # session.commit()?;
/// # assert_eq!(copy(&from, &to)?, 1);
/// # assert_eq!(copy(&from, &to)?, 0);
/// # assert_eq!(Sessions::new(to).open(&id, Access::Snapshot)?.get("visits")?, Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

    /// Looks at a session as it was last committed, also if it is expired and waits for the sweep.
    ///
    /// It takes no lock, waits for nobody and changes nothing: a damaged session stays where it is,
    /// and one that is looked at was not used.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    fn look(
        &self,
        key: &Key,
        calling: Calling,
    ) -> impl Future<Output = Result<Option<Look>, OpenError>> + Send;

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
    /// session's lock like a writer, [`LOCK_WAIT`](crate::limits::LOCK_WAIT) at most.
    ///
    /// A session of this store gives way only if it is the same life and older; see
    /// [`Adopted::judge`]. Who took the session in before says with `known` at which version, and
    /// nothing is done if it went on here or ended since. Holds that were opened before meet it like
    /// any other commit.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]. What the store had before stands. A damaged session in its place is an
    /// error once, and then out of its way.
    fn adopt(
        &self,
        key: &Key,
        record: Record,
        payload: &[u8],
        known: Option<u64>,
        calling: Calling,
    ) -> impl Future<Output = Result<Adopted, CommitError>> + Send;

    /// The sessions that are locked or waited for at this moment, by whatever process; in the order of
    /// their keys. Empty for a store that does not lock.
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
    /// Appends what comes next to `found`, at least one find and at most `limit`, which is not 0;
    /// nothing at the end.
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
    /// Every byte, and what the file system says: owner, permissions, names.
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
    /// A session, or what is around it, that serves but is not as the store makes it: others may read
    /// it, say. Beside the find of the session itself, and by a walk in [`Depth::Whole`] only.
    Suspect {
        /// Where.
        place: PathBuf,
        /// What is not as it should be, and what to do about it.
        what: String,
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

/// What [`Inventory::look`] saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// As last committed and touched.
    pub record: Record,
    /// What was committed.
    pub payload: Vec<u8>,
    /// Whether its deadline has passed.
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
    /// It replaced an older state of itself.
    Replaced,
    /// Nothing: this state or a later one is here already.
    Kept,
    /// Nothing: another life stands under the key, created here.
    OtherLife,
    /// Nothing: it was taken in before and ended here since.
    Gone,
    /// Nothing: its deadline has passed.
    Expired,
}

impl Adopted {
    /// What becomes of a session with this record where `found` stands at `now`, and where `known` is
    /// the version at which it was taken in before. For stores to call, under their protection.
    ///
    /// Of two states of one life the later one has the higher version; of two of one version, the
    /// one whose id was renewed since; or else the one that was touched last. A renewed id does not
    /// become writable again, whatever its version.
    ///
    /// # Examples
    ///
    /// ```
    /// use cloakroom::{Adopted, Lifetime, Record, Timestamp};
    ///
    /// let now = Timestamp::from_millis(1_000);
    /// let (lifetime, retired_until) = (Lifetime::default(), None);
    /// let first =
    ///     Record { birth: 7, version: 1, created: now, accessed: now, lifetime, retired_until };
    /// let second = Record { version: 2, ..first };
    /// assert_eq!(Adopted::judge(&second, None, Some(&first), now), Adopted::Replaced);
    /// assert_eq!(Adopted::judge(&first, None, Some(&second), now), Adopted::Kept);
    /// let other = Record { birth: 8, ..second };
    /// assert_eq!(Adopted::judge(&other, None, Some(&first), now), Adopted::OtherLife);
    /// assert_eq!(Adopted::judge(&second, Some(1), None, now), Adopted::Gone);
    /// ```
    #[must_use]
    pub fn judge(
        record: &Record,
        known: Option<u64>,
        found: Option<&Record>,
        now: Timestamp,
    ) -> Self {
        let state = |record: &Record| {
            let Record { version, accessed, retired_until, .. } = *record;
            (version, retired_until.is_some(), accessed)
        };
        match found {
            _ if record.is_expired(now) => Self::Expired,
            None if known.is_some() => Self::Gone,
            None => Self::Created,
            Some(found) if found.birth != record.birth => Self::OtherLife,
            Some(found) if known.is_some_and(|known| found.version > known) => Self::Kept,
            Some(found) if found.retired_until.is_some() && record.retired_until.is_none() => {
                Self::Kept
            }
            Some(found) if state(found) >= state(record) => Self::Kept,
            Some(_) => Self::Replaced,
        }
    }
}

/// A session that is locked or waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// Which; `None`: the operating system told of the wait, but not for which session it is.
    pub key: Option<Key>,
    /// Whether its holder may write, or several read.
    pub exclusive: bool,
    /// The processes that hold it; empty if it is between two holders.
    pub holders: Vec<u32>,
    /// The processes that wait for it, as far as they are known; see [`waiting`](Self::waiting).
    pub waiters: Vec<u32>,
    /// How many processes wait for it; where all sessions are in one process, how many requests.
    pub waiting: usize,
}
