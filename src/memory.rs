//! The store in the memory of one process.

mod inventory;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::time::{Duration, Instant};

use crate::access::{Access, Calling};
use crate::error::{CommitError, IoError, LockTimeout, OpenError};
use crate::fork::Generation;
use crate::id::Key;
use crate::limits::{self, PAYLOAD_MAX};
use crate::queue::{Arrival, HandOverLimit, Held, LockQueue, Mode, Outcome};
use crate::record::{Lifetime, Record};
use crate::seams::{self, Clock, Entropy, OsClock, OsEntropy, Timestamp};
use crate::store::{Condition, Hold, OpenRequest, Store, SweepBudget, Swept, Terms, Then};
use crate::sync::{Arc, Mutex};
pub use inventory::MemoryWalk;

/// Sessions in the memory of one process, with the same semantics as every other store. For tests,
/// and for programs whose sessions may end with them.
///
/// A clone is another handle of the same sessions. After a `fork` the child has a copy of its own.
///
/// # Fairness
///
/// Waiters are served in the order they came.
///
/// # Examples
///
/// ```
/// use cloakroom::blocking::Sessions;
/// use cloakroom::{Access, MemoryStore, SessionId};
///
/// let sessions = Sessions::new(MemoryStore::new());
/// let id = SessionId::generate()?;
/// let mut session = sessions.open(&id, Access::Exclusive)?;
/// session.insert("visits", 1)?;
/// session.commit()?;
/// assert_eq!(sessions.open(&id, Access::Snapshot)?.get("visits")?, Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    shelf: Arc<Shelf>,
}

struct Shelf {
    sessions: Mutex<BTreeMap<Key, Stored>>,
    /// The last session that a sweep looked at.
    swept: Mutex<Option<Key>>,
    queue: Arc<LockQueue<()>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    process: Generation,
}

#[derive(Clone)]
struct Stored {
    record: Record,
    payload: Arc<[u8]>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::with(OsClock, OsEntropy)
    }

    /// An empty store with another clock and another source of random numbers.
    #[must_use]
    pub fn with(clock: impl Clock, entropy: impl Entropy) -> Self {
        // Nobody outside this process waits, so a lock may be handed on for ever.
        let no_limit = HandOverLimit { times: u32::MAX, span: Duration::MAX };
        Self {
            shelf: Arc::new(Shelf {
                sessions: Mutex::default(),
                swept: Mutex::default(),
                queue: Arc::new(LockQueue::new(limits::WAITERS, no_limit)),
                clock: Arc::new(clock),
                entropy: Arc::new(entropy),
                process: Generation::current(),
            }),
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    type Hold = MemoryHold;

    fn name(&self) -> &'static str {
        "MemoryStore"
    }

    fn accesses(&self) -> &'static [Access] {
        &Access::ALL
    }

    async fn open(&self, key: &Key, request: OpenRequest) -> Result<MemoryHold, OpenError> {
        self.shelf.check_process()?;
        let access = request.access;
        let held = match access {
            Access::Exclusive => Some(self.shelf.lock(key, Mode::Exclusive, &request).await?),
            Access::Shared => Some(self.shelf.lock(key, Mode::Shared, &request).await?),
            Access::Snapshot | Access::Optimistic => None,
        };
        let (current, expired) = self.shelf.look(key);
        let (shelf, key) = (Arc::clone(&self.shelf), *key);
        Ok(MemoryHold { shelf, key, request, held, current, expired, released: false })
    }

    async fn sweep(&self, budget: SweepBudget, _: Calling) -> Result<Swept, OpenError> {
        self.shelf.check_process()?;
        let now = self.shelf.clock.now();
        let mut last = self.shelf.swept.lock();
        let mut swept = Swept::default();
        while swept.examined < budget.sessions {
            let after = last.map_or(Bound::Unbounded, Bound::Excluded);
            let mut sessions = self.shelf.sessions.lock();
            let Some((key, stored)) = sessions.range((after, Bound::Unbounded)).next() else {
                *last = None;
                swept.complete = true;
                break;
            };
            let key = *key;
            *last = Some(key);
            swept.examined += 1;
            if stored.record.is_expired(now) {
                if self.shelf.queue.holder(&key).is_some() {
                    swept.in_use += 1;
                } else {
                    sessions.remove(&key);
                    swept.removed += 1;
                }
            }
        }
        Ok(swept)
    }
}

impl Shelf {
    fn check_process(&self) -> Result<(), OpenError> {
        // A lock of the queue may have been held by a thread that the fork left behind.
        if self.process.is_current() { Ok(()) } else { Err(OpenError::Forked) }
    }

    async fn lock(
        self: &Arc<Self>,
        key: &Key,
        mode: Mode,
        request: &OpenRequest,
    ) -> Result<Held<()>, OpenError> {
        let timeout = || {
            let (waited, holder) = (request.wait, self.queue.holder(key));
            OpenError::LockTimeout(LockTimeout { key: *key, waited, holder })
        };
        let waiting =
            match self.queue.arrive(key, mode, request.label.clone(), !request.wait.is_zero()) {
                Arrival::Turn(turn) => return Ok(turn.settle()),
                Arrival::Busy => return Err(timeout()),
                Arrival::Full => {
                    return Err(OpenError::TooManyWaiters { key: *key, limit: limits::WAITERS });
                }
                Arrival::Wait(waiting) => waiting,
            };
        let deadline = Instant::now().checked_add(request.wait);
        match waiting.outcome(deadline, request.calling).await {
            Outcome::Turn { turn, .. } => Ok(turn.settle()),
            Outcome::Granted { held, .. } => Ok(held),
            Outcome::Gone => Err(OpenError::Gone { key: *key }),
            Outcome::Failed(error) => Err(error),
            Outcome::TimedOut => Err(timeout()),
        }
    }

    /// What stands under `key`, and whether that has expired.
    fn look(&self, key: &Key) -> (Option<Stored>, bool) {
        let found = self.sessions.lock().get(key).cloned();
        let now = self.clock.now();
        match found {
            Some(stored) if stored.record.is_expired(now) => (None, true),
            found => (found, false),
        }
    }

    fn birth(&self) -> Result<u64, CommitError> {
        let failed = |source| IoError {
            operation: "get random numbers for",
            place: "a new session".into(),
            source,
        };
        Ok(seams::random(&*self.entropy).map_err(failed)?)
    }
}

/// A session of a [`MemoryStore`] in the hands of one request.
pub struct MemoryHold {
    shelf: Arc<Shelf>,
    key: Key,
    request: OpenRequest,
    held: Option<Held<()>>,
    current: Option<Stored>,
    expired: bool,
    released: bool,
}

impl MemoryHold {
    /// The lock to write with: the hold's own, or one for an optimistic commit.
    async fn writer(&mut self) -> Result<Held<()>, CommitError> {
        self.shelf.check_process()?;
        let access = self.request.access;
        if !access.may_write() {
            return Err(CommitError::ReadOnly { access });
        }
        if self.released {
            return Err(CommitError::Released);
        }
        match access {
            Access::Exclusive => self.held.take().ok_or(CommitError::Released),
            _ => match self.shelf.lock(&self.key, Mode::Exclusive, &self.request).await {
                Err(OpenError::Gone { key }) => Err(CommitError::Gone { key }),
                held => Ok(held?),
            },
        }
    }

    /// Gives an exclusive hold its lock back after an error.
    fn keep(&mut self, held: Held<()>) {
        if self.request.access == Access::Exclusive {
            self.held = Some(held);
        }
    }

    /// What stands now. Under its exclusive holder a session does not expire.
    fn standing(&self) -> Option<Stored> {
        if self.request.access == Access::Exclusive && self.current.is_some() {
            self.shelf.sessions.lock().get(&self.key).cloned()
        } else {
            self.shelf.look(&self.key).0
        }
    }

    /// Whether the session may be written, given what stands now.
    fn check(&self, now: Option<&Stored>, condition: Condition) -> Result<(), CommitError> {
        condition.check(&self.key, self.record(), now.map(|now| &now.record))
    }

    fn write(
        &self,
        payload: &[u8],
        lifetime: Lifetime,
        condition: Condition,
    ) -> Result<Stored, CommitError> {
        if payload.len() > PAYLOAD_MAX {
            return Err(CommitError::TooLarge { bytes: payload.len(), limit: PAYLOAD_MAX });
        }
        let standing = self.standing();
        self.check(standing.as_ref(), condition)?;
        let now = self.shelf.clock.now();
        let record = match standing {
            Some(Stored { record, .. }) => {
                let version = record.version.saturating_add(1);
                Record { version, accessed: now, lifetime, ..record }
            }
            None => Record::newborn(self.shelf.birth()?, now, lifetime),
        };
        let stored = Stored { record, payload: payload.into() };
        self.shelf.sessions.lock().insert(self.key, stored.clone());
        Ok(stored)
    }
}

impl Hold for MemoryHold {
    fn access(&self) -> Access {
        self.request.access
    }

    fn record(&self) -> Option<&Record> {
        self.current.as_ref().map(|current| &current.record)
    }

    fn payload(&self) -> &[u8] {
        self.current.as_ref().map_or(&[], |current| &current.payload)
    }

    fn expired(&self) -> bool {
        self.expired
    }

    async fn commit(&mut self, payload: &[u8], terms: Terms) -> Result<Record, CommitError> {
        let held = self.writer().await?;
        match self.write(payload, terms.lifetime, terms.condition) {
            Err(error) => {
                self.keep(held);
                Err(error)
            }
            Ok(stored) => {
                let record = stored.record;
                self.current = Some(stored);
                match terms.then {
                    Then::Keep => self.keep(held),
                    Then::Release => {
                        self.released = true;
                        held.release((), Timestamp::MAX);
                    }
                }
                Ok(record)
            }
        }
    }

    async fn touch(&mut self) -> Result<(), CommitError> {
        self.shelf.check_process()?;
        let Some(birth) = self.record().map(|record| record.birth) else {
            return Ok(());
        };
        let now = self.shelf.clock.now();
        let mut sessions = self.shelf.sessions.lock();
        if let Some(Stored { record, .. }) = sessions.get_mut(&self.key)
            && record.birth == birth
            && record.retired_until.is_none()
            && !record.is_expired(now)
        {
            record.accessed = now;
        }
        Ok(())
    }

    async fn destroy(&mut self) -> Result<(), CommitError> {
        let held = match self.writer().await {
            Err(CommitError::Gone { .. }) => {
                self.released = true;
                return Ok(());
            }
            held => held?,
        };
        self.released = true;
        let birth = self.record().map(|record| record.birth);
        let mut sessions = self.shelf.sessions.lock();
        if birth.is_some() && sessions.get(&self.key).map(|now| now.record.birth) == birth {
            sessions.remove(&self.key);
            drop(sessions);
            held.gone();
        }
        Ok(())
    }

    async fn renew(
        &mut self,
        new: &Key,
        payload: &[u8],
        lifetime: Lifetime,
        grace: Duration,
    ) -> Result<Record, CommitError> {
        let held = self.writer().await?;
        let standing = self.standing();
        let born =
            self.check(standing.as_ref(), Condition::Unchanged).and_then(|()| self.shelf.birth());
        let birth = match born {
            Ok(birth) if payload.len() <= PAYLOAD_MAX => birth,
            born => {
                self.keep(held);
                let (bytes, limit) = (payload.len(), PAYLOAD_MAX);
                return Err(born.err().unwrap_or(CommitError::TooLarge { bytes, limit }));
            }
        };
        let now = self.shelf.clock.now();
        let mut record = Record::newborn(birth, now, lifetime);
        let mut sessions = self.shelf.sessions.lock();
        if sessions.get(new).is_some_and(|there| !there.record.is_expired(now)) {
            drop(sessions);
            self.keep(held);
            return Err(CommitError::AlreadyExists { key: *new });
        }
        if let Some(standing) = &standing {
            record.created = standing.record.created;
        }
        sessions.insert(*new, Stored { record, payload: payload.into() });
        self.released = true;
        if grace.is_zero() {
            sessions.remove(&self.key);
            drop(sessions);
            held.gone();
        } else if let Some(old) = sessions.get_mut(&self.key) {
            old.record.retired_until = Some(now.plus(grace));
        }
        Ok(record)
    }

    async fn release(&mut self) {
        self.released = true;
        if let Some(held) = self.held.take() {
            release(&self.shelf, held);
        }
    }
}

impl Drop for MemoryHold {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            release(&self.shelf, held);
        }
    }
}

fn release(shelf: &Shelf, held: Held<()>) {
    match shelf.check_process() {
        Ok(()) => held.release((), Timestamp::MAX),
        // The queue of a forked child is a copy whose locks another thread may have held.
        Err(_) => std::mem::forget(held),
    }
}
