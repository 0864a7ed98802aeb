//! What a copy knows of one session.

use std::time::SystemTime;

use cloakroom::{Record, Timestamp};

/// What was done about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Of which life.
    pub birth: u64,
    /// The version of FROM that was last dealt with.
    pub taken: u64,
    /// The version that the copy put into TO; [`Entry::ENDED`]: it has no business there any more.
    pub given: u64,
    /// When the session of FROM was to end, as it was last seen.
    pub deadline: Timestamp,
    /// In which pass it was last seen in FROM. Not kept in the journal.
    pub seen: u32,
}

impl Entry {
    /// No version: the copy of this session has ended, in whatever way.
    pub const ENDED: u64 = u64::MAX;

    /// That a session that stands so in FROM was dealt with, and TO has it at this version.
    pub fn new(record: &Record, given: u64, pass: u32) -> Self {
        let Record { birth, version: taken, .. } = *record;
        Self { birth, taken, given, deadline: deadline(record), seen: pass }
    }

    /// The same for a copy that has ended.
    pub const fn ended(&self) -> Self {
        Self { given: Self::ENDED, ..*self }
    }

    /// Whether the copy has ended.
    pub const fn is_ended(&self) -> bool {
        self.given == Self::ENDED
    }

    /// Whether nothing is to be done about a session that stands so in FROM.
    pub fn covers(&self, record: &Record) -> bool {
        let as_taken = self.taken == record.version && self.deadline == deadline(record);
        self.birth == record.birth && (as_taken || self.is_ended())
    }

    /// Whether the session has reached its deadline, unless it was used since.
    pub fn ran_out(&self) -> bool {
        self.deadline <= Timestamp::from(SystemTime::now())
    }
}

fn deadline(record: &Record) -> Timestamp {
    record.deadline().unwrap_or(Timestamp::MAX)
}
