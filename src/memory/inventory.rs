//! What a memory store offers to its operator.

use std::ops::Bound;

use super::{MemoryStore, Shelf, Stored};
use crate::access::{Access, Calling};
use crate::error::{CommitError, OpenError};
use crate::id::Key;
use crate::inventory::{Adopted, Depth, Found, Inventory, Locked, Look, Repaired, Summary, Walk};
use crate::limits::PAYLOAD_MAX;
use crate::queue::Mode;
use crate::record::Record;
use crate::seams::Timestamp;
use crate::store::OpenRequest;
use crate::sync::Arc;

/// A walk over the sessions of a [`MemoryStore`].
///
/// # Cancel safety
///
/// Nothing is lost: a call of `next` is done at its first poll.
pub struct MemoryWalk {
    shelf: Arc<Shelf>,
    last: Option<Key>,
}

impl Walk for MemoryWalk {
    async fn next(&mut self, limit: usize, found: &mut Vec<Found>) -> Result<(), OpenError> {
        self.shelf.check_process()?;
        let now = self.shelf.clock.now();
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let sessions = self.shelf.sessions.lock();
        for (key, Stored { record, payload }) in
            sessions.range((after, Bound::Unbounded)).take(limit)
        {
            self.last = Some(*key);
            let payload = payload.len() as u64;
            found.push(Found::Session(Summary {
                key: *key,
                record: *record,
                payload,
                stored: payload,
                expired: record.is_expired(now),
            }));
        }
        Ok(())
    }
}

impl Inventory for MemoryStore {
    type Walk = MemoryWalk;

    async fn walk(&self, _: Depth, _: Calling) -> Result<MemoryWalk, OpenError> {
        self.shelf.check_process()?;
        Ok(MemoryWalk { shelf: Arc::clone(&self.shelf), last: None })
    }

    async fn look(&self, key: &Key, _: Calling) -> Result<Option<Look>, OpenError> {
        self.shelf.check_process()?;
        let found = self.shelf.sessions.lock().get(key).cloned();
        let now = self.shelf.clock.now();
        Ok(found.map(|Stored { record, payload }| Look {
            expired: record.is_expired(now),
            payload: payload.to_vec(),
            record,
        }))
    }

    async fn repair(&self, _: &Key, _: Calling) -> Result<Repaired, OpenError> {
        self.shelf.check_process()?;
        Ok(Repaired::Sound)
    }

    async fn adopt(
        &self,
        key: &Key,
        record: Record,
        payload: &[u8],
        known: Option<u64>,
        calling: Calling,
    ) -> Result<Adopted, CommitError> {
        self.shelf.check_process()?;
        if payload.len() > PAYLOAD_MAX {
            return Err(CommitError::TooLarge { bytes: payload.len(), limit: PAYLOAD_MAX });
        }
        let request = OpenRequest::new(Access::Exclusive, calling).label("adopt");
        let held = match self.shelf.lock(key, Mode::Exclusive, &request).await {
            Err(OpenError::Gone { key }) => return Err(CommitError::Gone { key }),
            held => held?,
        };
        let (found, _) = self.shelf.look(key);
        let found = found.as_ref().map(|found| &found.record);
        let adopted = Adopted::judge(&record, known, found, self.shelf.clock.now());
        if matches!(adopted, Adopted::Created | Adopted::Replaced) {
            let stored = Stored { record, payload: payload.into() };
            self.shelf.sessions.lock().insert(*key, stored);
        }
        held.release((), Timestamp::MAX);
        Ok(adopted)
    }

    /// Here a waiter is a request of this process and not a process.
    async fn locks(&self, _: Calling) -> Result<Vec<Locked>, OpenError> {
        self.shelf.check_process()?;
        let this = || vec![std::process::id()];
        let mut locked: Vec<Locked> = self
            .shelf
            .queue
            .places()
            .into_iter()
            .map(|(key, standing)| Locked {
                key: Some(key),
                exclusive: standing.exclusive,
                holders: if standing.held { this() } else { Vec::new() },
                waiters: if standing.waiting > 0 { this() } else { Vec::new() },
                waiting: standing.waiting,
            })
            .collect();
        locked.sort_unstable_by_key(|locked| locked.key);
        Ok(locked)
    }

    fn shards(&self) -> u64 {
        1
    }

    fn shard(&self, _: &Key) -> u64 {
        0
    }
}
