//! The ways to take a session.

use cloakroom_axum::SessionAccess;

/// How a route takes its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Locked until the response.
    Exclusive,
    /// Locked, counted and committed, then the work.
    Released,
    /// Together with other readers.
    Shared,
    /// The last committed version.
    Snapshot,
    /// Without a lock; a race is noticed.
    Optimistic,
    /// Without a lock; a race is not noticed.
    LastWriteWins,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Exclusive,
        Self::Released,
        Self::Shared,
        Self::Snapshot,
        Self::Optimistic,
        Self::LastWriteWins,
    ];

    /// Its name in paths.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Released => "released",
            Self::Shared => "shared",
            Self::Snapshot => "snapshot",
            Self::Optimistic => "optimistic",
            Self::LastWriteWins => "last-write-wins",
        }
    }

    /// Its name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Exclusive => "Exclusive",
            Self::Released => "Exclusive, released early",
            Self::Shared => "Shared",
            Self::Snapshot => "Snapshot",
            Self::Optimistic => "Optimistic",
            Self::LastWriteWins => "Last write wins",
        }
    }

    /// What it does, for people.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Exclusive => "locked until the response",
            Self::Released => "counted and committed first, then the work",
            Self::Shared => "reads together with other readers",
            Self::Snapshot => "reads the last committed version, never waits",
            Self::Optimistic => "no lock; a race is noticed and the handler runs again",
            Self::LastWriteWins => "no lock, no check: what other stores do",
        }
    }

    /// Whether it adds to the counter.
    pub const fn writes(self) -> bool {
        !matches!(self, Self::Shared | Self::Snapshot)
    }

    /// The access of its route.
    pub const fn access(self) -> SessionAccess {
        match self {
            Self::Exclusive | Self::Released => SessionAccess::exclusive(),
            Self::Shared => SessionAccess::shared(),
            Self::Snapshot => SessionAccess::snapshot(),
            Self::Optimistic => SessionAccess::optimistic().repeatable(),
            Self::LastWriteWins => SessionAccess::optimistic(),
        }
    }
}
