//! How a request takes a session.

use std::fmt;

/// How a request takes a session: what it waits for, and whether it may write.
///
/// | access | waits for | may write | on a race |
/// |---|---|---|---|
/// | `Exclusive` | every other holder | yes | cannot happen |
/// | `Shared` | a writer that holds exclusively | no | - |
/// | `Snapshot` | nothing, ever | no | sees the last committed version, whole |
/// | `Optimistic` | nothing while the handler runs | yes, checked at commit | see [`OnConflict`] |
///
/// # Examples
///
/// ```
/// use cloakroom::Access;
///
/// assert!(Access::Optimistic.may_write());
/// assert_eq!(Access::Snapshot.to_string(), "snapshot");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Alone with the session from open to commit or release. A session that was never stored has
    /// no file to lock yet: between processes it is locked from its first commit on; see
    /// [`ensure_saved`](crate::Session::ensure_saved).
    Exclusive,
    /// Together with other readers; a writer waits until they are gone.
    Shared,
    /// The last committed version, without a lock and without waiting.
    Snapshot,
    /// Without a lock while the handler runs; the commit checks that nobody was faster.
    Optimistic,
}

impl Access {
    /// Every access, in the order of the table above.
    pub const ALL: [Self; 4] = [Self::Exclusive, Self::Shared, Self::Snapshot, Self::Optimistic];

    /// Whether a session that was taken this way can be committed.
    #[must_use]
    pub const fn may_write(self) -> bool {
        matches!(self, Self::Exclusive | Self::Optimistic)
    }

    /// The word for it in settings, logs and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Shared => "shared",
            Self::Snapshot => "snapshot",
            Self::Optimistic => "optimistic",
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The answer of an [`Access::Optimistic`] session to a race: somebody else committed between
/// its open and its commit.
///
/// In every answer a session that was destroyed meanwhile stays destroyed, and of two requests that
/// create the same session the second is told `AlreadyExists`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnConflict {
    /// The commit fails with [`Conflict`](crate::Conflict) and nothing is written.
    #[default]
    Reject,
    /// Changes are merged key by key against the version that was read. A key changed on both
    /// sides is a conflict, and `clear` conflicts with every change.
    Merge,
    /// This commit replaces the other one. Updates are lost: for comparison with systems that
    /// work this way, and for data of which only the latest counts.
    LastWriteWins,
}

/// Who is calling: a thread that may block, or a task of an async runtime that must not.
///
/// In a [`Blocking`](Self::Blocking) call a store may wait and sync on the calling thread. In an
/// [`Async`](Self::Async) call it must return `Pending` instead, and do what blocks on threads
/// of its own, never on those of the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calling {
    /// From a thread that may block.
    Blocking,
    /// From a task that must not block.
    Async,
}
