//! The sessions of an application: a store and the settings that all its sessions share.

use std::fmt;
use std::time::Duration;

use crate::access::{Access, Calling, OnConflict};
use crate::backoff;
use crate::error::{CommitError, OpenError, SessionError};
use crate::id::{Key, SessionId};
use crate::limits;
use crate::record::Lifetime;
use crate::seams::{Clock, Entropy, OsClock, OsEntropy, Timestamp};
use crate::session::{Initial, Session};
use crate::store::{Hold, OpenRequest, Store, SweepBudget, Swept};
use crate::sync::Arc;

/// The sessions of an application, for async code of any runtime. [`blocking::Sessions`] is the
/// same for threads. A clone is another handle.
///
/// [`blocking::Sessions`]: crate::blocking::Sessions
///
/// # Examples
///
/// ```
/// use cloakroom::{Access, MemoryStore, SessionError, SessionId, Sessions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sessions = Sessions::new(MemoryStore::new());
/// let id = SessionId::generate()?;
/// sessions.update(&id, |session| session.insert("seen", "shoes")).await?;
/// let session = sessions.open(&id, Access::Snapshot).await?;
/// assert_eq!(session.get::<String>("seen")?.as_deref(), Some("shoes"));
/// # Ok(())
/// # }
/// ```
pub struct Sessions<S: Store> {
    shared: Arc<Shared<S>>,
}

struct Shared<S> {
    store: S,
    namespace: String,
    lifetime: Lifetime,
    on_conflict: OnConflict,
    on_corrupt: OnCorrupt,
    lock_wait: Duration,
    calling: Calling,
    initializer: Option<Initializer>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

type Initializer = Box<dyn Fn(&mut Initial) -> Result<(), SessionError> + Send + Sync>;

/// What an open does about a damaged session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnCorrupt {
    /// It fails with [`Corrupt`](crate::Corrupt).
    #[default]
    Error,
    /// It goes on with a new session, once the damaged one is in the quarantine.
    StartFresh,
}

impl<S: Store> Sessions<S> {
    /// Sessions in `store` with the default settings.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self::builder(store).build()
    }

    /// Settings for sessions in `store`.
    pub fn builder(store: S) -> SessionsBuilder<S> {
        SessionsBuilder {
            shared: Shared {
                store,
                namespace: String::new(),
                lifetime: Lifetime::default(),
                on_conflict: OnConflict::default(),
                on_corrupt: OnCorrupt::default(),
                lock_wait: limits::LOCK_WAIT,
                calling: Calling::Async,
                initializer: None,
                clock: Arc::new(OsClock),
                entropy: Arc::new(OsEntropy),
            },
        }
    }

    /// Opens the session of `id`; one that is absent is new and is created by its first commit.
    ///
    /// # Fairness, deadlocks, cancel safety
    ///
    /// See [`Store::open`].
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub async fn open(&self, id: &SessionId, access: Access) -> Result<Session<S>, SessionError> {
        let request = OpenRequest::new(access, self.shared.calling).wait(self.shared.lock_wait);
        self.open_with(id, request).await
    }

    /// The same with a label for the holder, or another limit on the wait.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open_with(
        &self,
        id: &SessionId,
        request: OpenRequest,
    ) -> impl Future<Output = Result<Session<S>, SessionError>> + Send {
        // Outside of the async block, which would keep what it is made of as well.
        let request = OpenRequest { calling: self.shared.calling, ..request };
        let key = self.key(id);
        async move {
            let hold = match self.shared.store.open(&key, request.clone()).await {
                Err(error) if self.starts_fresh(&error) => None,
                opened => Some(opened?),
            };
            let hold = match hold {
                Some(hold) => hold,
                None => Box::pin(self.shared.store.open(&key, request.clone())).await?,
            };
            Session::new(self.clone(), id.clone(), key, request, hold)
        }
    }

    /// Whether a session that could not be opened for this reason begins anew.
    fn starts_fresh(&self, error: &OpenError) -> bool {
        matches!(error, OpenError::Corrupt(corrupt) if corrupt.quarantine.is_some())
            && self.shared.on_corrupt == OnCorrupt::StartFresh
    }

    /// A new session with a fresh id, exclusively.
    ///
    /// # Errors
    ///
    /// No random numbers, or see [`OpenError`].
    pub async fn start(&self) -> Result<Session<S>, SessionError> {
        self.open(&self.fresh_id()?, Access::Exclusive).await
    }

    /// Changes a session without locking it meanwhile: opens it optimistically, calls `change`,
    /// commits, and repeats all that as long as another request was faster, giving way longer each
    /// time. After 16 lost races it takes the session exclusively, if the store offers that, so
    /// that it comes to an end; where it does not, the conflict is reported after 1,000.
    ///
    /// `change` may run several times, and is not async: it should do little. Whatever
    /// [`OnConflict`] says, no update is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # use cloakroom::{MemoryStore, SessionError, SessionId, blocking::Sessions};
    /// # let sessions = Sessions::new(MemoryStore::new());
    /// # let id = SessionId::generate()?;
    /// let visits = sessions.update(&id, |session| {
    ///     let visits = session.update("visits", |visits: Option<u32>| visits.unwrap_or(0) + 1)?;
    ///     Ok::<_, SessionError>(visits)
    /// })?;
    /// assert_eq!(visits, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What `change` returns ends the update, and nothing is written. [`CommitError::Gone`] if
    /// the session was destroyed meanwhile; it is not raised again.
    pub async fn update<T, E: From<SessionError>>(
        &self,
        id: &SessionId,
        mut change: impl FnMut(&mut Session<S>) -> Result<T, E>,
    ) -> Result<T, E> {
        let attempt = |mut session: Session<S>| {
            let changed = change(&mut session);
            (session, changed)
        };
        self.update_with(id, attempt).await
    }

    /// The same, with the session in the hands of `change` as a whole.
    pub(crate) async fn update_with<T, E: From<SessionError>>(
        &self,
        id: &SessionId,
        mut change: impl FnMut(Session<S>) -> (Session<S>, Result<T, E>),
    ) -> Result<T, E> {
        let lockable = self.shared.store.accesses().contains(&Access::Exclusive);
        let mut life = None;
        for lost in 0.. {
            let patient = lockable && lost >= limits::UPDATE_RACES;
            let access = if patient { Access::Exclusive } else { Access::Optimistic };
            backoff::give_way(self.shared.calling, lost).await;
            let mut session = self.open(id, access).await?;
            let birth = session.record().map(|record| record.birth);
            if life.is_some() && birth != life {
                return Err(SessionError::from(CommitError::Gone { key: *session.key() }).into());
            }
            life = birth;
            session.reject_conflicts();
            let (mut session, changed) = change(session);
            let value = changed?;
            match session.commit().await {
                Ok(()) => return Ok(value),
                Err(SessionError::Commit(
                    CommitError::Conflict(_) | CommitError::AlreadyExists { .. },
                )) if lost < limits::UPDATE_TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(SessionError::from(CommitError::Released).into())
    }

    /// Ends the session of `id` for every request, once nobody holds it exclusively. One that is
    /// absent is no error.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]; the session is as it was.
    pub async fn destroy(&self, id: &SessionId) -> Result<(), SessionError> {
        let request = OpenRequest::new(Access::Optimistic, self.shared.calling);
        let request = request.wait(self.shared.lock_wait);
        let mut hold = self.shared.store.open(&self.key(id), request).await?;
        Ok(hold.destroy().await?)
    }

    /// Removes expired sessions as far as `budget` goes, and goes on where the last call stopped.
    /// Never one in use. Sessions expire without it, too: it gives their space back.
    ///
    /// # Errors
    ///
    /// The store could not be read.
    pub async fn sweep(&self, budget: SweepBudget) -> Result<Swept, SessionError> {
        Ok(self.shared.store.sweep(budget, self.shared.calling).await?)
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.shared.store
    }

    /// The key of `id` in the namespace of these sessions.
    #[must_use]
    pub fn key(&self, id: &SessionId) -> Key {
        Key::new(&self.shared.namespace, id)
    }

    pub(crate) fn fresh_id(&self) -> Result<SessionId, SessionError> {
        SessionId::generate_from(&*self.shared.entropy).map_err(SessionError::Entropy)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    pub(crate) fn lifetime(&self) -> Lifetime {
        self.shared.lifetime
    }

    pub(crate) fn on_conflict(&self) -> OnConflict {
        self.shared.on_conflict
    }

    pub(crate) fn initializer(&self) -> Option<&Initializer> {
        self.shared.initializer.as_ref()
    }
}

impl<S: Store> Clone for Sessions<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<S: Store> fmt::Debug for Sessions<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("store", &self.shared.store.name())
            .field("namespace", &self.shared.namespace)
            .finish_non_exhaustive()
    }
}

/// Settings for [`Sessions`].
#[must_use]
pub struct SessionsBuilder<S> {
    shared: Shared<S>,
}

impl<S: Store> SessionsBuilder<S> {
    /// Keeps these sessions apart from those of other namespaces in the same store. Applications
    /// that share a namespace share their sessions.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.shared.namespace = namespace.into();
        self
    }

    /// How long sessions live from their next commit on; 86,400 s idle unless told otherwise.
    pub const fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.shared.lifetime = lifetime;
        self
    }

    /// The answer of optimistic sessions to a race.
    pub const fn on_conflict(mut self, answer: OnConflict) -> Self {
        self.shared.on_conflict = answer;
        self
    }

    /// What an open does about a damaged session.
    pub const fn on_corrupt(mut self, answer: OnCorrupt) -> Self {
        self.shared.on_corrupt = answer;
        self
    }

    /// How long an open waits for its lock; 30 s unless told otherwise.
    pub const fn lock_wait(mut self, wait: Duration) -> Self {
        self.shared.lock_wait = wait;
        self
    }

    /// Fills each new session before the request sees it.
    ///
    /// # Examples
    ///
    /// ```
    /// use cloakroom::{Access, MemoryStore, SessionId, blocking::Sessions};
    ///
    /// let sessions = Sessions::builder(MemoryStore::new())
    ///     .initializer(|session| session.insert("count", 0))
    ///     .build();
    /// let session = sessions.open(&SessionId::generate()?, Access::Exclusive)?;
    /// assert_eq!(session.get("count")?, Some(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn initializer(
        mut self,
        fill: impl Fn(&mut Initial) -> Result<(), SessionError> + Send + Sync + 'static,
    ) -> Self {
        self.shared.initializer = Some(Box::new(fill));
        self
    }

    /// Another clock; give the store the same.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.shared.clock = Arc::new(clock);
        self
    }

    /// Another source of random numbers for ids.
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.shared.entropy = Arc::new(entropy);
        self
    }

    pub(crate) const fn calling(mut self, calling: Calling) -> Self {
        self.shared.calling = calling;
        self
    }

    /// The sessions.
    #[must_use]
    pub fn build(self) -> Sessions<S> {
        Sessions { shared: Arc::new(self.shared) }
    }
}
