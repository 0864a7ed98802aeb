//! A session as a request sees it: named values of any serde type.

mod merge;

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::access::{Access, OnConflict};
use crate::codec::{self, Value, Values};
use crate::error::{CommitError, Conflict, Ended, SessionError};
use crate::id::{Key, SessionId};
use crate::limits;
use crate::record::Record;
use crate::sessions::Sessions;
use crate::store::{Condition, Hold, OpenRequest, Store, Terms, Then};

/// A session in the hands of one request: named values of any serde type.
///
/// Changes stay in memory until [`commit`](Self::commit). Dropped without one, by an error, a
/// panic or a cancelled task, the session stays as it was stored and its lock is free.
///
/// # Examples
///
/// ```
/// use cloakroom::{Access, MemoryStore, SessionId, Sessions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sessions = Sessions::new(MemoryStore::new());
/// let mut session = sessions.open(&SessionId::generate()?, Access::Exclusive).await?;
/// let visits: u32 = session.get("visits")?.unwrap_or(0);
/// session.insert("visits", visits + 1)?;
/// session.commit().await?;
/// # Ok(())
/// # }
/// ```
pub struct Session<S: Store> {
    sessions: Sessions<S>,
    id: SessionId,
    key: Key,
    request: OpenRequest,
    hold: S::Hold,
    values: Values,
    /// What the initializer made of a new session: the payload that `values` began as.
    initial: Vec<u8>,
    /// Whether a value was changed since.
    dirty: bool,
    cleared: bool,
    on_conflict: OnConflict,
    renewal: Option<Renewal>,
    /// What the store has under the new id. The hold is still of the old one.
    renewed: Option<Record>,
    ended: Option<Ended>,
}

struct Renewal {
    new: SessionId,
    grace: Duration,
}

impl<S: Store> Session<S> {
    pub(crate) fn new(
        sessions: Sessions<S>,
        id: SessionId,
        key: Key,
        request: OpenRequest,
        hold: S::Hold,
    ) -> Result<Self, SessionError> {
        let values = decode(key, hold.payload())?;
        let on_conflict = sessions.on_conflict();
        let mut session = Self {
            sessions,
            id,
            key,
            request,
            hold,
            values,
            initial: Vec::new(),
            dirty: false,
            cleared: false,
            on_conflict,
            renewal: None,
            renewed: None,
            ended: None,
        };
        if session.is_new() {
            session.initialize()?;
        }
        Ok(session)
    }

    /// Fills a new session. What the initializer puts in is no change: alone it is not stored.
    fn initialize(&mut self) -> Result<(), SessionError> {
        let Some(initializer) = self.sessions.initializer() else {
            return Ok(());
        };
        let mut initial = Initial { values: Values::default() };
        initializer(&mut initial)?;
        self.initial = codec::encode(&initial.values);
        self.values = initial.values;
        Ok(())
    }

    /// The id for the cookie; after [`renew`](Self::renew) the new one.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        self.renewal.as_ref().map_or(&self.id, |renewal| &renewal.new)
    }

    /// The name of the session in the store and in logs.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// How the session was opened.
    #[must_use]
    pub fn access(&self) -> Access {
        self.hold.access()
    }

    /// Whether the store does not hold this session: it was never committed, or it is over.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.record().is_none()
    }

    /// Whether a session was found but its time had run out. It counts as new.
    #[must_use]
    pub fn was_expired(&self) -> bool {
        self.hold.expired()
    }

    /// What the store keeps beside the values, as of the open or the last commit.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        self.renewed.as_ref().or_else(|| self.hold.record())
    }

    /// Whether a commit would write.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.dirty && codec::encode(&self.values) != self.base()
    }

    /// The value of this name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`ValueError::WrongType`](crate::ValueError::WrongType): what is stored is no `T`.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, SessionError> {
        Ok(self.values.get(name)?)
    }

    /// All values by name.
    #[must_use]
    pub const fn values(&self) -> &Values {
        &self.values
    }

    /// Whether there is a value of this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.values.contains(name)
    }

    /// The names of all values, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.names()
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Sets a value. One that equals the stored value is no change.
    ///
    /// # Errors
    ///
    /// The value cannot be encoded, the session is read-only, or it has ended.
    pub fn insert<T: Serialize>(&mut self, name: &str, value: T) -> Result<(), SessionError> {
        self.check_writable()?;
        let value = codec::to_value(name, &value)?;
        self.dirty |= self.values.insert(name, &value);
        Ok(())
    }

    /// Sets a value that was encoded before.
    ///
    /// # Errors
    ///
    /// The session is read-only, or it has ended.
    pub fn insert_encoded(&mut self, name: &str, value: &Value) -> Result<(), SessionError> {
        self.check_writable()?;
        self.dirty |= self.values.insert(name, value.bytes());
        Ok(())
    }

    /// Removes a value; says whether there was one.
    ///
    /// # Errors
    ///
    /// The session is read-only, or it has ended.
    pub fn remove(&mut self, name: &str) -> Result<bool, SessionError> {
        self.check_writable()?;
        let removed = self.values.remove(name);
        self.dirty |= removed;
        Ok(removed)
    }

    /// Removes all values. The session itself lives on; see [`destroy`](Self::destroy).
    ///
    /// # Errors
    ///
    /// The session is read-only, or it has ended.
    pub fn clear(&mut self) -> Result<(), SessionError> {
        self.check_writable()?;
        self.values.clear();
        self.dirty = true;
        self.cleared = true;
        Ok(())
    }

    /// Replaces a value by what `change` makes of it, and returns the new one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use cloakroom::{Access, MemoryStore, SessionId, blocking::Sessions};
    /// # let sessions = Sessions::new(MemoryStore::new());
    /// # let mut session = sessions.open(&SessionId::generate()?, Access::Exclusive)?;
    /// let visits = session.update("visits", |visits: Option<u32>| visits.unwrap_or(0) + 1)?;
    /// assert_eq!(visits, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get) and [`insert`](Self::insert).
    pub fn update<T: DeserializeOwned + Serialize>(
        &mut self,
        name: &str,
        change: impl FnOnce(Option<T>) -> T,
    ) -> Result<T, SessionError> {
        let value = change(self.get(name)?);
        self.insert(name, &value)?;
        Ok(value)
    }

    /// Writes the session if it changed, then releases it.
    ///
    /// An unchanged session is not written; if a tenth of its idle time has passed, its last
    /// access is set to now. A new session with nothing in it, or nothing but what the initializer
    /// put in, is not stored. After an early exit a commit does nothing, and that is no error.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]. The session stays as it was, lock and changes included, so that the
    /// commit can be tried again.
    ///
    /// # Cancel safety
    ///
    /// Dropped in the middle, the commit happens or not, as a whole, and the lock is free.
    pub async fn commit(&mut self) -> Result<(), SessionError> {
        match self.ended {
            Some(Ended::Forgotten) => self.hold.release().await,
            Some(_) => {}
            None => {
                self.save(Then::Release).await?;
                self.ended = Some(Ended::Committed);
            }
        }
        Ok(())
    }

    /// Stores the session now, even if nothing is in it, and keeps it open, lock included. For a
    /// page whose first Ajax calls must find one session.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    pub async fn ensure_saved(&mut self) -> Result<(), SessionError> {
        self.check_writable()?;
        if self.is_new() {
            let payload = codec::encode(&self.values);
            self.write(payload, Then::Keep).await
        } else {
            self.save(Then::Keep).await
        }
    }

    /// Lets the lock go now and writes nothing: the page's other calls go on. What was read stays
    /// readable, changes are dropped, and a change from now on is an error. The idle deadline stays,
    /// too: see [`touch`](Self::touch).
    pub async fn release(&mut self) {
        self.hold.release().await;
        self.ended.get_or_insert(Ended::Released);
    }

    /// Writes nothing at the end, but keeps the lock until then. A change from now on is an error.
    pub fn forget(&mut self) {
        self.ended.get_or_insert(Ended::Forgotten);
    }

    /// Ends the session for every request, also for those that wait for it: they see
    /// [`OpenError::Gone`](crate::OpenError::Gone).
    ///
    /// # Errors
    ///
    /// See [`CommitError`]; the session is as it was.
    pub async fn destroy(&mut self) -> Result<(), SessionError> {
        self.check_writable()?;
        self.hold.destroy().await?;
        self.values.clear();
        self.ended = Some(Ended::Destroyed);
        Ok(())
    }

    /// Gives the session a new id, to be sent to the browser: at login, so that an id known before
    /// is worth nothing after. It takes effect with the commit, as a whole. The old id dies then;
    /// with a grace it serves what was committed before, read-only, so long (10 minutes at most).
    ///
    /// # Errors
    ///
    /// No random numbers, the session is read-only, or it has ended.
    pub fn renew(&mut self, grace: Duration) -> Result<&SessionId, SessionError> {
        self.check_writable()?;
        let new = self.sessions.fresh_id()?;
        let grace = grace.min(limits::GRACE_MAX);
        Ok(&self.renewal.insert(Renewal { new, grace }).new)
    }

    /// Sets the last access to now, whatever part of the idle time has passed. Needs no lock and
    /// is possible with every access; the version stays.
    ///
    /// # Errors
    ///
    /// The store refused; the deadline is as it was.
    pub async fn touch(&mut self) -> Result<(), SessionError> {
        Ok(self.hold.touch().await?)
    }

    /// Has races reported to whoever repeats.
    pub(crate) fn reject_conflicts(&mut self) {
        self.on_conflict = OnConflict::Reject;
    }

    /// The payload that `values` began as.
    fn base(&self) -> &[u8] {
        if self.is_new() { &self.initial } else { self.hold.payload() }
    }

    fn check_writable(&self) -> Result<(), SessionError> {
        let access = self.access();
        match self.ended {
            Some(ended) => Err(SessionError::Ended(ended)),
            None if !access.may_write() => Err(CommitError::ReadOnly { access }.into()),
            None => Ok(()),
        }
    }

    async fn save(&mut self, then: Then) -> Result<(), SessionError> {
        if let Some(Renewal { new, grace }) = &self.renewal
            && then == Then::Release
        {
            let payload = codec::encode(&self.values);
            if self.is_new() && payload == self.initial {
                self.hold.release().await;
                self.take_new_id();
                return Ok(());
            }
            let key = self.sessions.key(new);
            let lifetime = self.sessions.lifetime();
            self.renewed = Some(self.hold.renew(&key, &payload, lifetime, *grace).await?);
            self.take_new_id();
            return Ok(());
        }
        if self.dirty {
            let payload = codec::encode(&self.values);
            if payload != self.base() {
                return self.write(payload, then).await;
            }
        }
        let now = self.sessions.now();
        if self.hold.record().is_some_and(|record| record.wants_touch(now)) {
            self.hold.touch().await?;
        }
        if then == Then::Release {
            self.hold.release().await;
        }
        Ok(())
    }

    fn take_new_id(&mut self) {
        if let Some(Renewal { new, .. }) = self.renewal.take() {
            self.key = self.sessions.key(&new);
            self.id = new;
        }
    }

    async fn write(&mut self, mut payload: Vec<u8>, then: Then) -> Result<(), SessionError> {
        let answer = self.on_conflict;
        let condition = match answer {
            OnConflict::LastWriteWins => Condition::Alive,
            OnConflict::Reject | OnConflict::Merge => Condition::Unchanged,
        };
        let terms = Terms { lifetime: self.sessions.lifetime(), condition, then };
        for _ in 0..limits::UPDATE_TRIES {
            match self.hold.commit(&payload, terms).await {
                Err(CommitError::Conflict(conflict)) if answer == OnConflict::Merge => {
                    // Boxed, as is all that is rare: a commit that wins its race stays small.
                    payload = Box::pin(self.merge(conflict)).await?;
                }
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    self.dirty = false;
                    return Ok(());
                }
            }
        }
        let version = self.record().map_or(0, |record| record.version);
        let names = Vec::new();
        Err(CommitError::from(Conflict { key: self.key, read: version, found: version, names })
            .into())
    }

    /// Brings this session's changes onto what the winner committed, and takes that as the base.
    async fn merge(&mut self, conflict: Conflict) -> Result<Vec<u8>, SessionError> {
        let key = self.key;
        let winner = self.sessions.store().open(&key, self.request.clone()).await?;
        let births = [self.hold.record(), winner.record()].map(|r| r.map(|record| record.birth));
        let [Some(mine), Some(theirs)] = births else {
            return Err(CommitError::Gone { key }.into());
        };
        if mine != theirs {
            return Err(CommitError::Gone { key }.into());
        }
        let base = decode(key, self.base())?;
        let theirs = decode(key, winner.payload())?;
        let merged = merge::three_way(&base, &self.values, &theirs, self.cleared);
        let merged = merged.map_err(|names| CommitError::from(Conflict { names, ..conflict }))?;
        self.hold = winner;
        self.values = merged;
        Ok(codec::encode(&self.values))
    }
}

impl<S: Store> fmt::Debug for Session<S> {
    /// Names, never values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("key", &self.key)
            .field("access", &self.access())
            .field("names", &self.keys().collect::<Vec<_>>())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// A new session in the hands of an initializer.
#[derive(Debug)]
pub struct Initial {
    values: Values,
}

impl Initial {
    /// Sets a value.
    ///
    /// # Errors
    ///
    /// The value cannot be encoded.
    pub fn insert<T: Serialize>(&mut self, name: &str, value: T) -> Result<(), SessionError> {
        let value = codec::to_value(name, &value)?;
        self.values.insert(name, &value);
        Ok(())
    }
}

fn decode(key: Key, payload: &[u8]) -> Result<Values, SessionError> {
    codec::decode(payload).map_err(|reason| SessionError::Payload { key, reason })
}
