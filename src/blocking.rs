//! The same for threads that may block: web servers with a thread per request, command lines,
//! bindings.
//!
//! Every method waits on the calling thread instead of returning a future. A store then does its
//! work on that thread too, and no helper thread and no runtime is involved, except that waiting
//! for another process happens on a thread of the engine.

use std::cell::OnceCell;
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use crate::access::{Access, Calling, OnConflict};
use crate::error::SessionError;
use crate::id::{Key, SessionId};
use crate::record::Lifetime;
use crate::seams::{Clock, Entropy};
use crate::session::Initial;
use crate::sessions::OnCorrupt;
use crate::store::{OpenRequest, Store, SweepBudget, Swept};

/// [`Sessions`](crate::Sessions) for threads that may block.
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
/// session.insert("user", "ada")?;
/// session.commit()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Sessions<S: Store>(crate::Sessions<S>);

impl<S: Store> Sessions<S> {
    /// Sessions in `store` with the default settings.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self::builder(store).build()
    }

    /// Settings for sessions in `store`.
    pub fn builder(store: S) -> SessionsBuilder<S> {
        SessionsBuilder(crate::Sessions::builder(store).calling(Calling::Blocking))
    }

    /// See [`Sessions::open`](crate::Sessions::open).
    ///
    /// # Errors
    ///
    /// See [`OpenError`](crate::OpenError).
    pub fn open(&self, id: &SessionId, access: Access) -> Result<Session<S>, SessionError> {
        wait(self.0.open(id, access)).map(Session)
    }

    /// See [`Sessions::open_with`](crate::Sessions::open_with).
    ///
    /// # Errors
    ///
    /// See [`OpenError`](crate::OpenError).
    pub fn open_with(
        &self,
        id: &SessionId,
        request: OpenRequest,
    ) -> Result<Session<S>, SessionError> {
        wait(self.0.open_with(id, request)).map(Session)
    }

    /// See [`Sessions::start`](crate::Sessions::start).
    ///
    /// # Errors
    ///
    /// No random numbers, or see [`OpenError`](crate::OpenError).
    pub fn start(&self) -> Result<Session<S>, SessionError> {
        wait(self.0.start()).map(Session)
    }

    /// See [`Sessions::update`](crate::Sessions::update).
    ///
    /// # Errors
    ///
    /// What `change` returns, or see [`CommitError`](crate::CommitError).
    pub fn update<T, E: From<SessionError>>(
        &self,
        id: &SessionId,
        mut change: impl FnMut(&mut Session<S>) -> Result<T, E>,
    ) -> Result<T, E> {
        let attempt = |session: crate::Session<S>| {
            let mut session = Session(session);
            let changed = change(&mut session);
            (session.0, changed)
        };
        wait(self.0.update_with(id, attempt))
    }

    /// See [`Sessions::destroy`](crate::Sessions::destroy).
    ///
    /// # Errors
    ///
    /// See [`CommitError`](crate::CommitError).
    pub fn destroy(&self, id: &SessionId) -> Result<(), SessionError> {
        wait(self.0.destroy(id))
    }

    /// See [`Sessions::sweep`](crate::Sessions::sweep).
    ///
    /// # Errors
    ///
    /// The store could not be read.
    pub fn sweep(&self, budget: SweepBudget) -> Result<Swept, SessionError> {
        wait(self.0.sweep(budget))
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &S {
        self.0.store()
    }

    /// The key of `id` in the namespace of these sessions.
    #[must_use]
    pub fn key(&self, id: &SessionId) -> Key {
        self.0.key(id)
    }
}

impl<S: Store> Clone for Sessions<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Store> fmt::Debug for Sessions<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// [`Session`](crate::Session) for threads that may block: its values are read and changed
/// through that type, what reaches the store waits.
pub struct Session<S: Store>(crate::Session<S>);

impl<S: Store> Session<S> {
    /// See [`Session::commit`](crate::Session::commit).
    ///
    /// # Errors
    ///
    /// See [`CommitError`](crate::CommitError).
    pub fn commit(&mut self) -> Result<(), SessionError> {
        wait(self.0.commit())
    }

    /// See [`Session::ensure_saved`](crate::Session::ensure_saved).
    ///
    /// # Errors
    ///
    /// See [`CommitError`](crate::CommitError).
    pub fn ensure_saved(&mut self) -> Result<(), SessionError> {
        wait(self.0.ensure_saved())
    }

    /// See [`Session::release`](crate::Session::release).
    pub fn release(&mut self) {
        wait(self.0.release());
    }

    /// See [`Session::destroy`](crate::Session::destroy).
    ///
    /// # Errors
    ///
    /// See [`CommitError`](crate::CommitError).
    pub fn destroy(&mut self) -> Result<(), SessionError> {
        wait(self.0.destroy())
    }

    /// See [`Session::touch`](crate::Session::touch).
    ///
    /// # Errors
    ///
    /// See [`CommitError`](crate::CommitError).
    pub fn touch(&mut self) -> Result<(), SessionError> {
        wait(self.0.touch())
    }
}

impl<S: Store> fmt::Debug for Session<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<S: Store> Deref for Session<S> {
    type Target = crate::Session<S>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<S: Store> DerefMut for Session<S> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// Settings for [`Sessions`]; see [`SessionsBuilder`](crate::SessionsBuilder).
#[must_use]
pub struct SessionsBuilder<S>(crate::SessionsBuilder<S>);

impl<S: Store> SessionsBuilder<S> {
    /// See [`namespace`](crate::SessionsBuilder::namespace).
    pub fn namespace(self, namespace: impl Into<String>) -> Self {
        Self(self.0.namespace(namespace))
    }

    /// See [`lifetime`](crate::SessionsBuilder::lifetime).
    pub fn lifetime(self, lifetime: Lifetime) -> Self {
        Self(self.0.lifetime(lifetime))
    }

    /// See [`on_conflict`](crate::SessionsBuilder::on_conflict).
    pub fn on_conflict(self, answer: OnConflict) -> Self {
        Self(self.0.on_conflict(answer))
    }

    /// See [`on_corrupt`](crate::SessionsBuilder::on_corrupt).
    pub fn on_corrupt(self, answer: OnCorrupt) -> Self {
        Self(self.0.on_corrupt(answer))
    }

    /// See [`lock_wait`](crate::SessionsBuilder::lock_wait).
    pub fn lock_wait(self, wait: Duration) -> Self {
        Self(self.0.lock_wait(wait))
    }

    /// See [`initializer`](crate::SessionsBuilder::initializer).
    pub fn initializer(
        self,
        fill: impl Fn(&mut Initial) -> Result<(), SessionError> + Send + Sync + 'static,
    ) -> Self {
        Self(self.0.initializer(fill))
    }

    /// See [`clock`](crate::SessionsBuilder::clock).
    pub fn clock(self, clock: impl Clock) -> Self {
        Self(self.0.clock(clock))
    }

    /// See [`entropy`](crate::SessionsBuilder::entropy).
    pub fn entropy(self, entropy: impl Entropy) -> Self {
        Self(self.0.entropy(entropy))
    }

    /// The sessions.
    #[must_use]
    pub fn build(self) -> Sessions<S> {
        Sessions(self.0.build())
    }
}

/// Drives a future to its end on this thread.
///
/// For the bytes level of a store from blocking code; the calls of this module use it themselves.
/// Do not call it in a task of an async runtime: it blocks the thread.
#[inline]
pub fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    // A store that serves a blocking call on its thread is ready at once.
    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return output;
    }
    let waker = thread_waker();
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// A waker that unparks this thread.
pub(crate) fn thread_waker() -> Waker {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    thread_local! {
        static WAKER: OnceCell<Waker> = const { OnceCell::new() };
    }
    let fresh = || Waker::from(Arc::new(Unpark(thread::current())));
    WAKER.try_with(|waker| waker.get_or_init(fresh).clone()).unwrap_or_else(|_| fresh())
}
