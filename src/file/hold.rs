//! A session of a file store in the hands of one request.

use std::time::Duration;

use super::desk::{Desk, Done, Task};
use super::lock::{Lease, LockRequest};
use super::read::Current;
use super::room::{Room, Spot};
use super::take::Taken;
use crate::access::{Access, Calling};
use crate::error::{CommitError, OpenError};
use crate::id::Key;
use crate::queue::Mode;
use crate::record::{Lifetime, Record};
use crate::store::{Condition, Hold, OpenRequest, Terms, Then};
use crate::sync::Arc;

/// A session of a [`FileStore`](super::FileStore) in the hands of one request.
pub struct FileHold {
    room: Arc<Room>,
    at: Spot,
    access: Access,
    /// How the lock was, or for an optimistic commit will be, asked for.
    request: LockRequest,
    /// Present while an exclusive or shared hold has its lock.
    lease: Option<Lease>,
    current: Option<Current>,
    expired: bool,
    released: bool,
}

impl FileHold {
    pub(super) fn open(
        room: &Arc<Room>,
        key: &Key,
        request: OpenRequest,
    ) -> impl Future<Output = Result<Box<Self>, OpenError>> + Send {
        // Outside of the async block, which would keep what it is made of as well.
        let OpenRequest { access, calling, wait, label } = request;
        let mode = if access == Access::Shared { Mode::Shared } else { Mode::Exclusive };
        let request = LockRequest { mode, wait, label, calling };
        let at = room.spot(key);
        async move {
            room.check_process()?;
            let (lease, Taken { current, expired }) = match access {
                Access::Exclusive | Access::Shared => {
                    let (lease, taken) = room.take(&at, &request).await?;
                    (Some(lease), taken)
                }
                Access::Snapshot | Access::Optimistic => (None, room.glance(&at, calling).await?),
            };
            let room = Arc::clone(room);
            let hold = Self { room, at, access, request, lease, current, expired, released: false };
            Ok(Box::new(hold))
        }
    }

    /// Does `task` under the lock, on a thread of the engine if the caller must not block.
    async fn perform(
        &mut self,
        task: Task<'_>,
        condition: Condition,
        then: Then,
    ) -> Result<Option<Record>, CommitError> {
        self.room.check_process()?;
        if !self.access.may_write() {
            return Err(CommitError::ReadOnly { access: self.access });
        }
        if self.released {
            return Err(CommitError::Released);
        }
        let mut desk = match self.access {
            Access::Exclusive => Desk {
                lease: self.lease.take().ok_or(CommitError::Released)?,
                current: self.current.take(),
            },
            _ => match Box::pin(self.take_for_commit(&task, condition)).await? {
                Some(desk) => desk,
                None => return Ok(None),
            },
        };
        if self.request.calling == Calling::Async && desk.is_heavy(&self.room, &task) {
            // What was read stays readable should this future be dropped.
            self.current.clone_from(&desk.current);
            let (desk, done) = Box::pin(self.perform_elsewhere(desk, task)).await?;
            return self.conclude(desk, done, then);
        }
        let done = desk.perform(&self.room, &self.at, &task);
        self.conclude(desk, done, then)
    }

    /// Does `task` on a thread of the engine.
    async fn perform_elsewhere(
        &self,
        mut desk: Desk,
        task: Task<'_>,
    ) -> Result<(Desk, Result<Done, CommitError>), CommitError> {
        let (room, at, task) = (Arc::clone(&self.room), self.at.clone(), task.into_owned());
        let job = self.room.syncers.run(move || {
            let done = desk.perform(&room, &at, &task);
            (desk, done)
        });
        job.await.ok_or(CommitError::Released)
    }

    /// Takes up the hold's new state.
    fn conclude(
        &mut self,
        desk: Desk,
        done: Result<Done, CommitError>,
        then: Then,
    ) -> Result<Option<Record>, CommitError> {
        let exclusive = self.access == Access::Exclusive;
        if exclusive || matches!(done, Ok(Done::Committed)) {
            self.current = desk.current;
        }
        match done {
            Ok(Done::Committed) => {
                if then == Then::Release {
                    self.released = true;
                } else if exclusive {
                    self.lease = Some(desk.lease);
                }
                Ok(self.record().copied())
            }
            Ok(Done::Ended) => {
                self.released = true;
                desk.lease.gone();
                Ok(None)
            }
            Ok(Done::Renewed { record, old_ended }) => {
                self.released = true;
                if old_ended {
                    desk.lease.gone();
                }
                Ok(Some(record))
            }
            Err(error) => {
                if exclusive {
                    self.lease = Some(desk.lease);
                }
                Err(error)
            }
        }
    }

    /// The lock and the present state for an optimistic commit, if `condition` holds. `None`: the
    /// session to destroy is gone already.
    async fn take_for_commit(
        &self,
        task: &Task<'_>,
        condition: Condition,
    ) -> Result<Option<Desk>, CommitError> {
        let key = self.at.key;
        let destroys = matches!(task, Task::Destroy);
        let (lease, taken) = match self.room.take(&self.at, &self.request).await {
            Err(OpenError::Gone { .. }) if destroys => return Ok(None),
            Err(OpenError::Gone { .. }) => return Err(CommitError::Gone { key }),
            taken => taken?,
        };
        let now = taken.current;
        let (read, found) = (self.record(), now.as_ref().map(Current::record));
        if destroys {
            // It ends the life that was opened, whatever became of it meanwhile.
            let same = read.zip(found).is_some_and(|(read, found)| read.birth == found.birth);
            return Ok(same.then_some(Desk { lease, current: now }));
        }
        condition.check(&key, read, found)?;
        Ok(Some(Desk { lease, current: now }))
    }
}

impl Hold for FileHold {
    fn access(&self) -> Access {
        self.access
    }

    fn record(&self) -> Option<&Record> {
        self.current.as_ref().map(Current::record)
    }

    fn payload(&self) -> &[u8] {
        self.current.as_ref().map_or(&[], Current::payload)
    }

    fn expired(&self) -> bool {
        self.expired
    }

    async fn commit(&mut self, payload: &[u8], terms: Terms) -> Result<Record, CommitError> {
        let Terms { lifetime, condition, then } = terms;
        let task = Task::Commit { payload: payload.into(), lifetime };
        // A commit that succeeds leaves a record.
        self.perform(task, condition, then).await?.ok_or(CommitError::Released)
    }

    async fn touch(&mut self) -> Result<(), CommitError> {
        self.room.check_process()?;
        match self.record() {
            None => Ok(()),
            Some(record) => self.room.touch(&self.at, record.birth),
        }
    }

    async fn destroy(&mut self) -> Result<(), CommitError> {
        self.perform(Task::Destroy, Condition::Alive, Then::Release).await?;
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
        let task = Task::Renew { new: *new, payload: payload.into(), lifetime, grace };
        let done = self.perform(task, Condition::Unchanged, Then::Release).await?;
        done.ok_or(CommitError::Released)
    }

    async fn release(&mut self) {
        self.released = true;
        self.lease = None;
    }
}
