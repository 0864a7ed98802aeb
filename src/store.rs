//! The contract of a store: what every place that keeps sessions offers to the layers above.
//!
//! A store keeps, under a [`Key`], a [`Record`] and a payload of bytes, and hands them out as
//! [`Hold`]s. It knows nothing of what the bytes mean. [`conformance`](crate::conformance) tests
//! that a store keeps this contract.
//!
//! One body serves blocking and async callers: each open says with [`Calling`] who it is, for itself
//! and for its hold. In a blocking call a store may wait on the calling thread, and its futures may be ready at the first
//! poll; in an async call it must never block the thread.

use std::future::Future;
use std::time::Duration;

use crate::access::{Access, Calling};
use crate::error::{CommitError, Conflict, OpenError};
use crate::id::Key;
use crate::label::Label;
use crate::limits;
use crate::record::{Lifetime, Record};

/// A place that keeps sessions.
pub trait Store: Send + Sync + 'static {
    /// An open session of this store.
    type Hold: Hold;

    /// The name in error texts.
    fn name(&self) -> &'static str;

    /// The accesses it offers; [`open`](Self::open) with another is
    /// [`OpenError::Unsupported`].
    fn accesses(&self) -> &'static [Access];

    /// Takes the session of `key`. Opening an absent session creates nothing: its hold has no
    /// record, and the first commit creates it.
    ///
    /// # Fairness
    ///
    /// Waiters of one process are served in the order they came. Between processes see the store.
    ///
    /// # Deadlocks
    ///
    /// A request that opens a session it already holds exclusively waits for itself until the
    /// deadline. Hold one session once, and open several in a fixed order.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in the queue, or the lock if it was just granted.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    fn open(
        &self,
        key: &Key,
        request: OpenRequest,
    ) -> impl Future<Output = Result<Self::Hold, OpenError>> + Send;

    /// Removes expired sessions, at most as far as `budget` goes, and goes on where the last call
    /// stopped. Never touches a session in use.
    ///
    /// # Errors
    ///
    /// The store could not be read. A single session that cannot be removed is counted in
    /// [`Swept::failed`] and does not end the sweep.
    fn sweep(
        &self,
        budget: SweepBudget,
        calling: Calling,
    ) -> impl Future<Output = Result<Swept, OpenError>> + Send;
}

/// An open session in the hands of one request, lock included where the access has one.
///
/// Dropping it releases it and writes nothing.
pub trait Hold: Send + Sync + 'static {
    /// How the session was taken.
    fn access(&self) -> Access;

    /// What was read, or written by the last commit; `None`: the session is absent.
    fn record(&self) -> Option<&Record>;

    /// The bytes that go with [`record`](Self::record); empty if it is `None`. They stay readable
    /// after the release.
    fn payload(&self) -> &[u8];

    /// Whether a session was found but its deadline had passed. It counts as absent.
    fn expired(&self) -> bool;

    /// Writes `payload` as the next version, or creates the session if it was absent.
    ///
    /// The commit happens as a whole or not at all, whatever is killed meanwhile.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]. After an error the hold stands as before, lock included.
    ///
    /// # Cancel safety
    ///
    /// A commit whose future is dropped happens or not, as a whole; the hold is released.
    fn commit(
        &mut self,
        payload: &[u8],
        terms: Terms,
    ) -> impl Future<Output = Result<Record, CommitError>> + Send;

    /// Sets the last access to now, without a lock, a new version or a write of the payload.
    /// Does nothing to a session that is absent, destroyed or retired.
    ///
    /// # Errors
    ///
    /// The operating system refused; the deadline is as it was.
    fn touch(&mut self) -> impl Future<Output = Result<(), CommitError>> + Send;

    /// Ends the session for every request, also for those that wait for it, and releases the
    /// hold. A session that is absent or already gone is no error. With optimistic access it ends
    /// the life that was opened, whatever version it has by now.
    ///
    /// # Errors
    ///
    /// See [`CommitError`].
    fn destroy(&mut self) -> impl Future<Output = Result<(), CommitError>> + Send;

    /// Moves the session to the key of a new id with this payload, and releases the hold. The
    /// old key dies; with a grace it serves what was committed before, read-only, so long.
    ///
    /// The new session is written before the old one ends: a crash between leaves both, and the
    /// new one, whose id nobody was told, expires.
    ///
    /// # Errors
    ///
    /// See [`CommitError`]; the old session is as it was.
    fn renew(
        &mut self,
        new: &Key,
        payload: &[u8],
        lifetime: Lifetime,
        grace: Duration,
    ) -> impl Future<Output = Result<Record, CommitError>> + Send;

    /// Lets the lock go, writes nothing. The first waiter goes on. Once more is no error.
    fn release(&mut self) -> impl Future<Output = ()> + Send;
}

/// A boxed hold, for stores whose holds are large: a hold is moved several times on its way from the
/// store to the request.
impl<H: Hold> Hold for Box<H> {
    fn access(&self) -> Access {
        (**self).access()
    }

    fn record(&self) -> Option<&Record> {
        (**self).record()
    }

    fn payload(&self) -> &[u8] {
        (**self).payload()
    }

    fn expired(&self) -> bool {
        (**self).expired()
    }

    fn commit(
        &mut self,
        payload: &[u8],
        terms: Terms,
    ) -> impl Future<Output = Result<Record, CommitError>> + Send {
        (**self).commit(payload, terms)
    }

    fn touch(&mut self) -> impl Future<Output = Result<(), CommitError>> + Send {
        (**self).touch()
    }

    fn destroy(&mut self) -> impl Future<Output = Result<(), CommitError>> + Send {
        (**self).destroy()
    }

    fn renew(
        &mut self,
        new: &Key,
        payload: &[u8],
        lifetime: Lifetime,
        grace: Duration,
    ) -> impl Future<Output = Result<Record, CommitError>> + Send {
        (**self).renew(new, payload, lifetime, grace)
    }

    fn release(&mut self) -> impl Future<Output = ()> + Send {
        (**self).release()
    }
}

/// What an open asks for.
///
/// # Examples
///
/// ```
/// use cloakroom::{Access, Calling, OpenRequest};
/// use std::time::Duration;
///
/// let request = OpenRequest::new(Access::Exclusive, Calling::Blocking)
///     .wait(Duration::from_secs(2))
///     .label("GET /cart");
/// assert_eq!(request.wait, Duration::from_secs(2));
/// ```
#[derive(Clone, Debug)]
pub struct OpenRequest {
    /// How to take the session.
    pub access: Access,
    /// Who is calling, now and with every later operation of the hold.
    pub calling: Calling,
    /// How long to wait for a lock; zero: not at all.
    pub wait: Duration,
    /// What to call the holder in the [`LockTimeout`](crate::LockTimeout) of others; a route, say.
    pub label: Option<Label>,
}

impl OpenRequest {
    /// A request that waits 30 s and has no label.
    #[must_use]
    pub const fn new(access: Access, calling: Calling) -> Self {
        Self { access, calling, wait: limits::LOCK_WAIT, label: None }
    }

    /// The same with this limit on the wait for a lock.
    #[must_use]
    pub const fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The same with this label.
    #[must_use]
    pub fn label(mut self, label: impl Into<Label>) -> Self {
        self.label = Some(label.into());
        self
    }
}

/// The terms of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long the session lives from now on.
    pub lifetime: Lifetime,
    /// What must still be true of the stored session.
    pub condition: Condition,
    /// Whether the hold goes on after the commit.
    pub then: Then,
}

impl Default for Terms {
    /// The default lifetime, an unchanged version, release.
    fn default() -> Self {
        Self { lifetime: Lifetime::default(), condition: Condition::Unchanged, then: Then::Release }
    }
}

/// What must still be true of the stored session when a commit writes. Under an exclusive lock it
/// always is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Birth and version are those that were read.
    Unchanged,
    /// The birth is the one that was read: the last write wins, but raises no dead session.
    Alive,
}

impl Condition {
    /// Whether a commit may write, given the record that was `read` at the open and the one that
    /// was `found` under the store's protection. For stores to call.
    ///
    /// # Errors
    ///
    /// Why it may not.
    pub fn check(
        self,
        key: &Key,
        read: Option<&Record>,
        found: Option<&Record>,
    ) -> Result<(), CommitError> {
        let key = *key;
        match (read, found) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(CommitError::AlreadyExists { key }),
            (Some(_), None) => Err(CommitError::Gone { key }),
            (Some(read), Some(found)) if read.birth != found.birth => {
                Err(CommitError::Gone { key })
            }
            (Some(_), Some(found)) if found.retired_until.is_some() => {
                Err(CommitError::Retired { key })
            }
            (Some(read), Some(found))
                if self == Self::Unchanged && read.version != found.version =>
            {
                let (read, found) = (read.version, found.version);
                Err(Conflict { key, read, found, names: Vec::new() }.into())
            }
            (Some(_), Some(_)) => Ok(()),
        }
    }
}

/// What becomes of the hold after a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It is released.
    Release,
    /// It stays, lock included.
    Keep,
}

/// How far one call of [`Store::sweep`] goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepBudget {
    /// How many sessions it looks at.
    pub sessions: usize,
}

/// What one call of [`Store::sweep`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Sessions it looked at.
    pub examined: usize,
    /// Sessions and leftovers it removed.
    pub removed: usize,
    /// Expired ones it left because they were in use.
    pub in_use: usize,
    /// Ones it could not read or remove.
    pub failed: usize,
    /// Whether it reached the end of the store; the next call starts over.
    pub complete: bool,
}
