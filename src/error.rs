//! What can go wrong, one family per kind of work: opening, committing, values, and the store
//! itself. Each says what to do and what happened to the data; [`SessionError`] holds them all.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::access::Access;
use crate::id::Key;

/// A session could not be opened. Nothing was changed, except that `Corrupt` may have moved a
/// file to the quarantine.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The lock was not granted before the deadline.
    #[error(transparent)]
    LockTimeout(#[from] LockTimeout),
    /// As many wait for this session as may; nobody was asked to wait longer.
    #[error(
        "{limit} requests wait for session {key} in this process already; release sessions \
         earlier, or raise `max_waiters`"
    )]
    TooManyWaiters {
        /// The session.
        key: Key,
        /// How many may wait.
        limit: usize,
    },
    /// The session was destroyed while this open waited for it.
    #[error("session {key} was destroyed while this request waited for it")]
    Gone {
        /// The session.
        key: Key,
    },
    /// The stored bytes are no session; see [`Corrupt`].
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// Something that is no regular file stands where the session's file belongs.
    #[error("{} is {found} and not a session file; move it away", place.display())]
    NotASession {
        /// Where.
        place: PathBuf,
        /// What stands there.
        found: &'static str,
    },
    /// The store does not offer this access.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The directory of the store was removed or emptied since it was opened.
    #[error(
        "the store in {} disappeared since it was opened: its directory was removed or emptied; \
         open it where it is now", place.display()
    )]
    StoreGone {
        /// Where it was.
        place: PathBuf,
    },
    /// The store was opened before this process was forked from another.
    #[error(
        "the store was opened before this process was forked, and its locks belong to the \
         parent; open the store again in the child"
    )]
    Forked,
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] IoError),
}

/// A session could not be committed, touched, destroyed or renewed.
///
/// Unless a variant says otherwise nothing was written: the store holds what it held before.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Another request committed since this one opened the session.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The id was absent when this request opened it, and another request created it since.
    #[error("session {key} was created by another request since; open it again")]
    AlreadyExists {
        /// The session.
        key: Key,
    },
    /// The session that was opened was destroyed since; a session that bears the same id now is
    /// another one.
    #[error("session {key} was destroyed since it was opened; it stays destroyed")]
    Gone {
        /// The session.
        key: Key,
    },
    /// The id was renewed; during the grace it can only be read.
    #[error("the id of session {key} was renewed; it can only be read until its grace ends")]
    Retired {
        /// The session.
        key: Key,
    },
    /// The access of this hold may only read.
    #[error(
        "a session opened with `{access}` access is read-only; open it with `exclusive` or `optimistic`"
    )]
    ReadOnly {
        /// The access it was opened with.
        access: Access,
    },
    /// The hold was released before.
    #[error("the session was released before; open it again to write")]
    Released,
    /// The payload is larger than the store takes.
    #[error("the payload has {bytes} bytes, the store takes {limit} at most")]
    TooLarge {
        /// Bytes of the payload.
        bytes: usize,
        /// Bytes that the store takes.
        limit: usize,
    },
    /// The disk, a quota or a file size limit is full. The old value is intact.
    #[error("no space left, the old value is intact; free space or sweep: {0}")]
    OutOfSpace(#[source] IoError),
    /// A sync failed; the change was withdrawn and the old value stands. Once the machine was started
    /// anew it may be the new one, for nobody knows what is on the medium. From now on the store's
    /// handle is [`Poisoned`](Self::Poisoned).
    #[error("could not sync, the change was withdrawn: {0}")]
    SyncFailed(#[source] IoError),
    /// A sync failed, and the change stands: others went on from it before it could be withdrawn, or
    /// it ended a session on a full disk. A power cut may undo it. From now on the store's handle is
    /// [`Poisoned`](Self::Poisoned).
    #[error("could not sync; the change stands, but a power cut may undo it: {0}")]
    Unsynced(#[source] IoError),
    /// An earlier sync failed, so this handle can promise nothing any more.
    #[error(
        "an earlier sync failed, so nothing more is written through this handle; check the disk \
         and open the store again"
    )]
    Poisoned,
    /// The lock for the commit was not to be had.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The operating system refused. The old value is intact.
    #[error(transparent)]
    Io(#[from] IoError),
}

impl From<Corrupt> for CommitError {
    fn from(error: Corrupt) -> Self {
        Self::Open(error.into())
    }
}

/// Another request committed since this one opened the session: nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", self.describe())]
pub struct Conflict {
    /// The session.
    pub key: Key,
    /// The version this request read.
    pub read: u64,
    /// The version that stands.
    pub found: u64,
    /// Names of the values that were changed on both sides, where the caller's data has names.
    pub names: Vec<String>,
}

impl Conflict {
    fn describe(&self) -> String {
        let Self { key, read, found, names } = self;
        let names = match names.as_slice() {
            [] => String::new(),
            names => format!(", both changed `{}`", names.join("`, `")),
        };
        format!(
            "session {key} was committed by another request: version {read} was read, {found} \
             stands{names}; open it again and repeat, or use `update`"
        )
    }
}

/// The lock of a session was not granted in time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("waited {:.3} s for session {key}{}", waited.as_secs_f64(), holder.as_ref().map(|h| format!(", held by {h}")).unwrap_or_default())]
pub struct LockTimeout {
    /// The session.
    pub key: Key,
    /// How long this request waited: the limit it was given.
    pub waited: Duration,
    /// Who holds the lock, if that could be found out.
    pub holder: Option<Holder>,
}

/// Who holds a session's lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// Since when, if the holder is in this process.
    pub held: Option<Duration>,
    /// What the holder called itself, if it is in this process and gave a label.
    pub label: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)?;
        if let Some(held) = self.held {
            write!(f, " for {:.3} s", held.as_secs_f64())?;
        }
        if let Some(label) = &self.label {
            write!(f, " in `{label}`")?;
        }
        Ok(())
    }
}

/// The stored bytes of a session are damaged or no session at all. None of them is shown.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{} is damaged ({reason}){}", place.display(), quarantine.as_ref().map(|to| format!("; moved to {}", to.display())).unwrap_or_default())]
pub struct Corrupt {
    /// The session.
    pub key: Key,
    /// Where the bytes were.
    pub place: PathBuf,
    /// What is wrong with them.
    pub reason: &'static str,
    /// Where they were moved, so that the id is free again.
    pub quarantine: Option<PathBuf>,
}

/// The store does not offer this access.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{store} does not offer `{access}`; it offers {}", offers.iter().map(|a| format!("`{a}`")).collect::<Vec<_>>().join(", "))]
pub struct Unsupported {
    /// The store.
    pub store: &'static str,
    /// What was asked for.
    pub access: Access,
    /// What it offers.
    pub offers: &'static [Access],
}

/// The operating system refused an operation of a store.
#[derive(Debug, Error)]
#[error("{operation} {}: {source}{}", place.display(), hint(source))]
pub struct IoError {
    /// What was attempted: `open`, `read`, `write`, ...
    pub operation: &'static str,
    /// On which file or directory.
    pub place: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

/// The error of a write: its own variant where the disk is full.
pub(crate) fn write_error(error: IoError) -> CommitError {
    match error.source.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG) => CommitError::OutOfSpace(error),
        _ => CommitError::Io(error),
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EMFILE) => "; raise the limit of open files (`ulimit -n`)",
        Some(libc::EACCES | libc::EPERM | libc::EROFS) => {
            "; the store's directory must be writable for this user (to look into it, readable)"
        }
        _ => "",
    }
}

/// A value of a session could not be read or written. The session is unchanged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The stored value has another type than the one asked for.
    #[error("value `{name}` holds {found}, not {expected}: {source}")]
    WrongType {
        /// Name of the value.
        name: String,
        /// What is stored.
        found: &'static str,
        /// The Rust type that was asked for.
        expected: &'static str,
        /// What the decoder said.
        source: rmp_serde::decode::Error,
    },
    /// The value cannot be encoded.
    #[error("value `{name}` of type {type_name} cannot be encoded: {source}")]
    Encode {
        /// Name of the value.
        name: String,
        /// Its Rust type.
        type_name: &'static str,
        /// What the encoder said.
        source: rmp_serde::encode::Error,
    },
}

/// A payload is not in a format this version reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the payload cannot be read: {reason}")]
pub struct PayloadError {
    /// Why.
    pub reason: &'static str,
}

/// Anything that can go wrong with a [`Session`](crate::Session).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It could not be committed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A value could not be read or written.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The session is whole, but its payload is not in a format this version reads.
    #[error("the payload of session {key} cannot be read: {reason}")]
    Payload {
        /// The session.
        key: Key,
        /// Why.
        reason: &'static str,
    },
    /// A change after an early exit. It was not made.
    #[error(
        "the session was {0} before, so it cannot be changed any more; this change was not made"
    )]
    Ended(Ended),
    /// The operating system gave no random numbers for a new id.
    #[error("no random numbers for a session id: {0}")]
    Entropy(#[source] io::Error),
}

/// How a session ended before the request did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By `commit`.
    Committed,
    /// By `release`.
    Released,
    /// By `forget`.
    Forgotten,
    /// By `destroy`.
    Destroyed,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Committed => "committed",
            Self::Released => "released",
            Self::Forgotten => "forgotten",
            Self::Destroyed => "destroyed",
        })
    }
}

/// A store could not be opened. Nothing was changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The directory holds other things and no store.
    #[error("{} is not empty and no session store; name an empty or a new directory", place.display())]
    NotAStore {
        /// The directory.
        place: PathBuf,
    },
    /// There is no store, and none was to be created.
    #[error("{} holds no session store; name the directory of one", place.display())]
    Missing {
        /// The directory.
        place: PathBuf,
    },
    /// The store was created with another setting than the one asked for.
    #[error(
        "the store in {} has {setting} {found}, asked for was {asked}; leave the setting out to \
         use the store as it is, or open a new store and copy the sessions over", place.display()
    )]
    Mismatch {
        /// The directory.
        place: PathBuf,
        /// Which setting.
        setting: &'static str,
        /// What the store has.
        found: String,
        /// What was asked for.
        asked: String,
    },
    /// The store's description cannot be read by this version.
    #[error("{} cannot be used: {reason}", place.display())]
    Description {
        /// The file.
        place: PathBuf,
        /// Why.
        reason: String,
    },
    /// A setting is out of its bounds.
    #[error("{setting} {reason}")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// What it must be.
        reason: &'static str,
    },
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] IoError),
}
