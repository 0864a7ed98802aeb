//! A session of a map store in the hands of one request.

use std::borrow::Cow;
use std::time::Duration;

use super::keys::RoomKey;
use super::room::{Room, Standing};
use crate::access::{Access, Calling};
use crate::error::{CommitError, OpenError};
use crate::id::Key;
use crate::record::{Lifetime, Record};
use crate::store::{Condition, Hold, OpenRequest, Terms, Then};
use crate::sync::Arc;

/// A session of a [`MapStore`](super::MapStore) in the hands of one request.
pub struct MapHold {
    room: RoomKey,
    key: Key,
    access: Access,
    calling: Calling,
    /// What was seen last, expired or not: what the next commit replaces.
    standing: Standing,
    expired: bool,
    released: bool,
}

impl MapHold {
    #[inline]
    pub(super) fn open(
        room: &RoomKey,
        key: &Key,
        request: &OpenRequest,
    ) -> Result<Self, OpenError> {
        room.check_process()?;
        let standing = room.look(key)?;
        let now = room.clock.now();
        let expired = standing.record().is_some_and(|record| record.is_expired(now));
        let (access, calling) = (request.access, request.calling);
        let (room, key) = (Arc::clone(room), *key);
        Ok(Self { room, key, access, calling, standing, expired, released: false })
    }

    fn check_writable(&self) -> Result<(), CommitError> {
        self.room.check_process()?;
        if !self.access.may_write() {
            return Err(CommitError::ReadOnly { access: self.access });
        }
        if self.released { Err(CommitError::Released) } else { Ok(()) }
    }

    /// Does `work`, on a thread of the engine if it syncs and the caller must not block.
    async fn perform<T: Send + 'static>(
        &self,
        payload: &[u8],
        work: impl FnOnce(Errand<'_>, &[u8]) -> Result<T, CommitError> + Send + 'static,
    ) -> Result<T, CommitError> {
        let (key, read) = (self.key, self.record().copied());
        if self.calling == Calling::Async && self.room.is_power() {
            let (payload, seen) = (payload.to_vec(), self.standing.clone());
            let done = self.room.off_thread(self.calling, move |room| {
                work(Errand { room, key, read, seen: Cow::Owned(seen) }, &payload)
            });
            return done.await?;
        }
        let seen = Cow::Borrowed(&self.standing);
        work(Errand { room: &self.room, key, read, seen }, payload)
    }
}

/// A session that is to be changed: what was read at the open, and what was seen last.
struct Errand<'a> {
    room: &'a Room,
    key: Key,
    read: Option<Record>,
    seen: Cow<'a, Standing>,
}

impl Errand<'_> {
    /// What stands, if it is not expired.
    fn found(&mut self) -> Result<Option<Record>, CommitError> {
        let now = self.room.clock.now();
        if self.seen.record().is_some_and(|record| record.is_expired(now)) {
            // It may have been touched since it was seen.
            self.look_again()?;
        }
        Ok(self.seen.record().filter(|record| !record.is_expired(now)).copied())
    }

    fn look_again(&mut self) -> Result<(), CommitError> {
        self.seen = Cow::Owned(self.room.look(&self.key)?);
        Ok(())
    }

    fn commit(
        mut self,
        payload: &[u8],
        lifetime: Lifetime,
        condition: Condition,
    ) -> Result<Standing, CommitError> {
        loop {
            let found = self.found()?;
            condition.check(&self.key, self.read.as_ref(), found.as_ref())?;
            let record = match found {
                Some(found) => Record {
                    version: found.version.saturating_add(1),
                    accessed: self.room.clock.now(),
                    lifetime,
                    ..found
                },
                None => self.room.newborn(lifetime)?,
            };
            if let Some(standing) = self.room.put(&self.key, &self.seen, record, payload)? {
                return Ok(standing);
            }
            self.look_again()?;
        }
    }

    /// Writes the session anew as it is, but for its last access.
    fn touch(mut self) -> Result<(), CommitError> {
        let Some(read) = self.read else { return Ok(()) };
        loop {
            self.look_again()?;
            let now = self.room.clock.now();
            let is_same = |record: &Record| {
                record.birth == read.birth
                    && record.retired_until.is_none()
                    && !record.is_expired(now)
            };
            let Some(stored) = self.seen.stored.as_ref().filter(|stored| is_same(&stored.record))
            else {
                return Ok(());
            };
            let record = Record { accessed: now, ..stored.record };
            if self.room.put(&self.key, &self.seen, record, &stored.payload)?.is_some() {
                return Ok(());
            }
        }
    }

    /// Ends the life that was opened, whatever version it has by now.
    fn destroy(mut self) -> Result<(), CommitError> {
        loop {
            let same =
                |record: &Record| self.read.as_ref().is_some_and(|read| read.birth == record.birth);
            if !self.seen.record().is_some_and(same) {
                // Somebody else ended it and synced that; or withdrew its birth, and could not sync.
                return if self.read.is_some() && self.room.is_power() {
                    self.room.check_poison()?;
                    self.room.flush_for_caller()
                } else {
                    Ok(())
                };
            }
            if self.room.end(&self.key, &self.seen)? {
                return Ok(());
            }
            self.look_again()?;
        }
    }

    /// Writes the session under the `new` key, then ends or retires the old one.
    fn renew(
        mut self,
        new: Key,
        payload: &[u8],
        lifetime: Lifetime,
        grace: Duration,
    ) -> Result<Record, CommitError> {
        let found = self.found_unchanged()?;
        let mut record = self.room.newborn(lifetime)?;
        record.created = found.map_or(record.created, |found| found.created);
        let created = create(self.room, &new, record, payload)?;
        if let Err(error) = self.end_or_retire(grace) {
            // Nobody knows the new id yet; left behind it would expire.
            let _ = self.room.end(&new, &created);
            return Err(error);
        }
        Ok(record)
    }

    /// What stands, if it is what was read.
    fn found_unchanged(&mut self) -> Result<Option<Record>, CommitError> {
        let found = self.found()?;
        Condition::Unchanged.check(&self.key, self.read.as_ref(), found.as_ref())?;
        Ok(found)
    }

    fn end_or_retire(&mut self, grace: Duration) -> Result<(), CommitError> {
        loop {
            let Some(found) = self.found_unchanged()? else { return Ok(()) };
            let done = if grace.is_zero() {
                self.room.end(&self.key, &self.seen)?
            } else {
                let record =
                    Record { retired_until: Some(self.room.clock.now().plus(grace)), ..found };
                let payload = self.seen.stored.as_ref().map_or(&[][..], |stored| &*stored.payload);
                self.room.put(&self.key, &self.seen, record, payload)?.is_some()
            };
            if done {
                return Ok(());
            }
            self.look_again()?;
        }
    }
}

/// Creates a session under a key that must be absent, or expired.
fn create(room: &Room, key: &Key, record: Record, payload: &[u8]) -> Result<Standing, CommitError> {
    loop {
        let standing = room.look(key)?;
        let now = room.clock.now();
        if standing.record().is_some_and(|there| !there.is_expired(now)) {
            return Err(CommitError::AlreadyExists { key: *key });
        }
        if let Some(created) = room.put(key, &standing, record, payload)? {
            return Ok(created);
        }
    }
}

impl Hold for MapHold {
    fn access(&self) -> Access {
        self.access
    }

    fn record(&self) -> Option<&Record> {
        if self.expired { None } else { self.standing.record() }
    }

    fn payload(&self) -> &[u8] {
        match &self.standing.stored {
            Some(stored) if !self.expired => &stored.payload,
            _ => &[],
        }
    }

    fn expired(&self) -> bool {
        self.expired
    }

    async fn commit(&mut self, payload: &[u8], terms: Terms) -> Result<Record, CommitError> {
        self.check_writable()?;
        let Terms { lifetime, condition, then } = terms;
        let committed = self
            .perform(payload, move |errand, payload| errand.commit(payload, lifetime, condition));
        self.standing = committed.await?;
        self.expired = false;
        self.released = then == Then::Release;
        // A commit that succeeds leaves a record.
        self.record().copied().ok_or(CommitError::Released)
    }

    async fn touch(&mut self) -> Result<(), CommitError> {
        self.room.check_process()?;
        self.perform(&[], |errand, _| errand.touch()).await
    }

    async fn destroy(&mut self) -> Result<(), CommitError> {
        self.check_writable()?;
        self.perform(&[], |errand, _| errand.destroy()).await?;
        self.released = true;
        Ok(())
    }

    async fn renew(
        &mut self,
        new: &Key,
        payload: &[u8],
        lifetime: Lifetime,
        grace: Duration,
    ) -> Result<Record, CommitError> {
        self.check_writable()?;
        let new = *new;
        let renewed = self
            .perform(payload, move |errand, payload| errand.renew(new, payload, lifetime, grace));
        let record = renewed.await?;
        self.released = true;
        Ok(record)
    }

    async fn release(&mut self) {
        self.released = true;
    }
}
