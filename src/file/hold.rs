//! A session of a file store in the hands of one request.

use std::borrow::Cow;
use std::time::Duration;

use super::format::Kind;
use super::lock::{Lease, Leased, LockRequest, LockedFile};
use super::read::{Contents, Current, Seen};
use super::room::{REOPENS, Room, Spot};
use super::write::Draft;
use crate::access::{Access, Calling};
use crate::error::{CommitError, Conflict, Corrupt, OpenError};
use crate::id::Key;
use crate::limits::PAYLOAD_MAX;
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
    current: Option<Arc<Current>>,
    expired: bool,
    released: bool,
}

impl FileHold {
    pub(super) async fn open(
        room: &Arc<Room>,
        key: &Key,
        request: OpenRequest,
    ) -> Result<Self, OpenError> {
        room.check_process()?;
        let OpenRequest { access, calling, wait, label } = request;
        let mode = if access == Access::Shared { Mode::Shared } else { Mode::Exclusive };
        let request = LockRequest { mode, wait, label, calling };
        let at = room.spot(key);
        let (lease, Taken { current, expired }) = match access {
            Access::Exclusive | Access::Shared => {
                let (lease, taken) = room.take(&at, &request).await?;
                (Some(lease), taken)
            }
            Access::Snapshot | Access::Optimistic => (None, room.glance(&at, calling).await?),
        };
        let (room, current) = (Arc::clone(room), current.map(Arc::new));
        Ok(Self { room, at, access, request, lease, current, expired, released: false })
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
        let (lease, current) = match self.access {
            Access::Exclusive => {
                (self.lease.take().ok_or(CommitError::Released)?, self.current.clone())
            }
            _ => match self.take_for_commit(&task, condition).await? {
                Some((lease, now)) => (lease, now),
                None => return Ok(None),
            },
        };
        let mut desk = Desk { room: Arc::clone(&self.room), at: self.at.clone(), lease, current };
        let (desk, done) = if self.request.calling == Calling::Async && desk.is_heavy(&task) {
            let task = task.into_owned();
            let job = self.room.syncers.run(move || {
                let done = desk.perform(&task);
                (desk, done)
            });
            job.await.ok_or(CommitError::Released)?
        } else {
            let done = desk.perform(&task);
            (desk, done)
        };
        match done {
            Ok(Done::Committed) => {
                self.current = desk.current;
                if then == Then::Release {
                    self.released = true;
                } else if self.access == Access::Exclusive {
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
                if self.access == Access::Exclusive {
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
    ) -> Result<Option<(Lease, Option<Arc<Current>>)>, CommitError> {
        let key = self.at.key;
        let destroys = matches!(task, Task::Destroy);
        let (lease, taken) = match self.room.take(&self.at, &self.request).await {
            Err(OpenError::Gone { .. }) if destroys => return Ok(None),
            Err(OpenError::Gone { .. }) => return Err(CommitError::Gone { key }),
            taken => taken?,
        };
        let now = taken.current.map(Arc::new);
        let [read, found] = [&self.current, &now].map(|c| c.as_ref().map(|c| *c.record()));
        match (read, found) {
            (None, _) | (_, None) if destroys => return Ok(None),
            (None, None) => {}
            (None, Some(_)) => return Err(CommitError::AlreadyExists { key }),
            (Some(_), None) => return Err(CommitError::Gone { key }),
            (Some(read), Some(found)) if read.birth != found.birth => {
                return if destroys { Ok(None) } else { Err(CommitError::Gone { key }) };
            }
            (Some(read), Some(found))
                if condition == Condition::Unchanged
                    && !destroys
                    && read.version != found.version =>
            {
                let (read, found) = (read.version, found.version);
                return Err(Conflict { key, read, found, names: Vec::new() }.into());
            }
            (Some(_), Some(_)) => {}
        }
        Ok(Some((lease, now)))
    }
}

impl Hold for FileHold {
    fn access(&self) -> Access {
        self.access
    }

    fn record(&self) -> Option<&Record> {
        self.current.as_ref().map(|current| current.record())
    }

    fn payload(&self) -> &[u8] {
        self.current.as_ref().map_or(&[], |current| current.payload())
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

/// What is to be done under the lock.
enum Task<'a> {
    Commit { payload: Cow<'a, [u8]>, lifetime: Lifetime },
    Destroy,
    Renew { new: Key, payload: Cow<'a, [u8]>, lifetime: Lifetime, grace: Duration },
}

impl Task<'_> {
    fn payload(&self) -> &[u8] {
        match self {
            Self::Commit { payload, .. } | Self::Renew { payload, .. } => payload,
            Self::Destroy => &[],
        }
    }

    fn into_owned(self) -> Task<'static> {
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

enum Done {
    Committed,
    Ended,
    Renewed { record: Record, old_ended: bool },
}

/// A session under its lock, with what is needed to change it. Owned, so that it can go to a
/// thread of the engine; dropped there, it releases.
struct Desk {
    room: Arc<Room>,
    at: Spot,
    lease: Lease,
    current: Option<Arc<Current>>,
}

impl Desk {
    /// Whether `task` may take longer than work on the page cache.
    fn is_heavy(&self, task: &Task<'_>) -> bool {
        self.room.is_power()
            || self.current.as_ref().is_some_and(|now| Room::must_grow(now, task.payload()))
    }

    fn perform(&mut self, task: &Task<'_>) -> Result<Done, CommitError> {
        let (room, at) = (&self.room, &self.at);
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
                self.current = Some(Arc::new(written));
                Ok(Done::Committed)
            }
            (Task::Commit { payload, lifetime }, None) => {
                let (file, current) = room.create(at, payload, room.newborn(*lifetime)?)?;
                self.lease.file = Some(file);
                self.current = Some(Arc::new(current));
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

/// What was found at the path of a session.
pub(super) struct Taken {
    pub(super) current: Option<Current>,
    pub(super) expired: bool,
}

impl Taken {
    const ABSENT: Self = Self { current: None, expired: false };
}

impl Room {
    /// The record of the version after `record`.
    fn next(&self, record: &Record, lifetime: Lifetime) -> Record {
        let version = record.version.saturating_add(1);
        Record { version, accessed: self.clock.now(), lifetime, ..*record }
    }

    /// Takes the lock of `key` and reads what it guards. Of an absent session only the place in
    /// the queue is kept.
    async fn take(
        self: &Arc<Self>,
        at: &Spot,
        request: &LockRequest,
    ) -> Result<(Lease, Taken), OpenError> {
        let writer = request.mode == Mode::Exclusive;
        for _ in 0..REOPENS {
            let Leased { mut lease, waited } = self.lock(at, request.clone()).await?;
            let Some(locked) = &lease.file else {
                return Ok((lease, Taken::ABSENT));
            };
            match self.contents_locked(at, locked)? {
                Contents::Session(current) => {
                    return Ok((lease, Taken { current: Some(current), expired: false }));
                }
                Contents::Moved => {}
                Contents::Dead if waited => {
                    if writer {
                        // Should it fail, the tombstone stays, which is absent too.
                        let _ = self.finish_unlink(at, locked);
                    }
                    lease.gone();
                    return Err(OpenError::Gone { key: at.key });
                }
                contents @ (Contents::Expired | Contents::Dead | Contents::Unborn) => {
                    if writer && !matches!(contents, Contents::Unborn) {
                        // Should it fail, the file says the same to whoever comes next.
                        let _ = self.finish_unlink(at, locked);
                    }
                    lease.file = None;
                    let expired = matches!(contents, Contents::Expired);
                    return Ok((lease, Taken { current: None, expired }));
                }
                Contents::Invalid(_) if !writer => {
                    // A reader's lock does not entitle to move the file.
                    drop(lease);
                    self.glance(at, request.calling).await?;
                }
                Contents::Invalid(reason) => {
                    let (room, at) = (Arc::clone(self), at.clone());
                    let key = at.key;
                    let move_away = move || {
                        let corrupt = lease.file.as_ref().map(|f| room.quarantine(&at, f, reason));
                        drop(lease);
                        corrupt
                    };
                    let corrupt = self.off_thread(request.calling, move_away).await.flatten();
                    return Err(corrupt.map_or(OpenError::Gone { key }, OpenError::Corrupt));
                }
            }
        }
        let source = std::io::Error::other("the file was replaced each time it was locked");
        Err(OpenError::Io(self.io_error("open", &at.path)(source)))
    }

    /// What a locked file says; `Moved` only if the path leads elsewhere by now.
    fn contents_locked(&self, at: &Spot, locked: &LockedFile) -> Result<Contents, OpenError> {
        let read = |ignore_moved| {
            let contents = self.contents(at, locked.file(), ignore_moved);
            contents.map_err(|error| self.read_error(at, locked.file(), error))
        };
        match read(false)? {
            Contents::Moved => {
                if self.leads_to(at, locked.file())? {
                    read(true)
                } else {
                    Ok(Contents::Moved)
                }
            }
            contents => Ok(contents),
        }
    }

    /// Reads the last committed version without a lock.
    async fn glance(self: &Arc<Self>, at: &Spot, calling: Calling) -> Result<Taken, OpenError> {
        let mut seen = self.look(at)?;
        for _ in 0..ROUNDS {
            if !matches!(seen, Seen::NeverWhole) {
                break;
            }
            let (room, spot) = (Arc::clone(self), at.clone());
            let closely = self.off_thread(calling, move || room.look_closely(&spot));
            seen = match closely.await.unwrap_or(Ok(Seen::Absent))? {
                // In a writer's hands: it may be whole by now.
                Seen::NeverWhole => self.look(at)?,
                decided => decided,
            };
        }
        Ok(match seen {
            Seen::Session(current) => Taken { current: Some(current), expired: false },
            Seen::Expired => Taken { current: None, expired: true },
            Seen::Absent => Taken::ABSENT,
            Seen::NeverWhole => {
                let reason = "it was never whole while others held it";
                let (key, place) = (at.key, self.place(&at.path));
                return Err(Corrupt { key, place, reason, quarantine: None }.into());
            }
        })
    }

    /// Does `work` here if the caller may block, else on a thread of the engine. `None`: it
    /// panicked, or no thread could be started.
    pub(super) async fn off_thread<T: Send + 'static>(
        &self,
        calling: Calling,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        match calling {
            Calling::Blocking => Some(work()),
            Calling::Async => self.syncers.run(work).await,
        }
    }
}

/// How often an unlocked reader asks for the lock of a file that no look finds whole.
const ROUNDS: usize = 1_000;
