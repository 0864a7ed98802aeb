//! Changing a session under its lock, on whichever thread.

use std::borrow::Cow;
use std::time::Duration;

use super::format::Kind;
use super::lock::Lease;
use super::read::Current;
use super::room::{Room, Spot};
use super::write::Draft;
use crate::error::CommitError;
use crate::id::Key;
use crate::limits::PAYLOAD_MAX;
use crate::record::{Lifetime, Record};
use crate::seams::Timestamp;

/// What is to be done under the lock.
pub(super) enum Task<'a> {
    Commit { payload: Cow<'a, [u8]>, lifetime: Lifetime },
    Destroy,
    Renew { new: Key, payload: Cow<'a, [u8]>, lifetime: Lifetime, grace: Duration },
}

impl Task<'_> {
    pub(super) fn payload(&self) -> &[u8] {
        match self {
            Self::Commit { payload, .. } | Self::Renew { payload, .. } => payload,
            Self::Destroy => &[],
        }
    }

    pub(super) fn into_owned(self) -> Task<'static> {
        match self {
            Self::Destroy => Task::Destroy,
            Self::Commit { payload, lifetime } => {
                Task::Commit { payload: payload.into_owned().into(), lifetime }
            }
            Self::Renew { new, payload, lifetime, grace } => {
                Task::Renew { new, payload: payload.into_owned().into(), lifetime, grace }
            }
        }
    }
}

pub(super) enum Done {
    Committed,
    Ended,
    Renewed { record: Record, old_ended: bool },
}

/// A session under its lock, with what is needed to change it. Owned, so that it can go to a
/// thread of the engine; dropped there, it releases.
pub(super) struct Desk {
    pub(super) lease: Lease,
    pub(super) current: Option<Current>,
}

impl Desk {
    /// Whether `task` may take longer than work on the page cache.
    pub(super) fn is_heavy(&self, room: &Room, task: &Task<'_>) -> bool {
        room.is_power()
            || self.current.as_ref().is_some_and(|now| Room::must_grow(now, task.payload()))
    }

    pub(super) fn perform(
        &mut self,
        room: &Room,
        at: &Spot,
        task: &Task<'_>,
    ) -> Result<Done, CommitError> {
        if task.payload().len() > PAYLOAD_MAX {
            return Err(CommitError::TooLarge { bytes: task.payload().len(), limit: PAYLOAD_MAX });
        }
        let retired = self.current.as_ref().is_some_and(|c| c.record().retired_until.is_some());
        if retired && !matches!(task, Task::Destroy) {
            return Err(CommitError::Retired { key: at.key });
        }
        let standing = self.lease.file.as_mut().zip(self.current.as_ref());
        match (task, standing) {
            (Task::Commit { payload, lifetime }, Some((file, current))) => {
                let record = room.next(current.record(), *lifetime);
                let draft = Draft { kind: Kind::Live, record, payload };
                let written = room.write_next(at, file, current, draft)?;
                self.lease.alive_until = record.deadline().unwrap_or(Timestamp::MAX);
                self.current = Some(written);
                Ok(Done::Committed)
            }
            (Task::Commit { payload, lifetime }, None) => {
                let (file, current) = room.create(at, payload, room.newborn(*lifetime)?)?;
                self.lease.file = Some(file);
                self.lease.alive_until = current.record().deadline().unwrap_or(Timestamp::MAX);
                self.current = Some(current);
                Ok(Done::Committed)
            }
            (Task::Destroy, Some((file, current))) => {
                room.destroy(at, file, current)?;
                Ok(Done::Ended)
            }
            (Task::Destroy, None) => Ok(Done::Ended),
            (Task::Renew { new, payload, lifetime, grace }, standing) => {
                let mut record = room.newborn(*lifetime)?;
                if let Some((file, current)) = &standing {
                    if room.stat(at, file.file())?.links == 0 {
                        return Err(CommitError::Gone { key: at.key });
                    }
                    record.created = current.record().created;
                }
                let new = room.spot(new);
                let (new_file, new_current) = room.create(&new, payload, record)?;
                if let Some((file, current)) = standing {
                    let ended = if grace.is_zero() {
                        room.destroy(at, file, current)
                    } else {
                        room.retire(at, file, current, *grace)
                    };
                    if let Err(error) = ended {
                        // Nobody knows the new id yet; left behind it would expire.
                        let _ = room.destroy(&new, &new_file, &new_current);
                        return Err(error);
                    }
                }
                Ok(Done::Renewed { record, old_ended: grace.is_zero() })
            }
        }
    }
}

impl Room {
    /// The record of the version after `record`.
    fn next(&self, record: &Record, lifetime: Lifetime) -> Record {
        let version = record.version.saturating_add(1);
        Record { version, accessed: self.clock.now(), lifetime, ..*record }
    }
}
