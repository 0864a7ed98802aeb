//! The session as the parts of a request see it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use cloakroom::{Access, Key, Label, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::read_session::ReadSession;
use crate::visit::Request;

/// The session of a request, not opened yet. Clones and other handles of the request share one hold.
pub struct LazySession(pub(crate) Arc<Request>);

impl LazySession {
    /// Opens the session, or joins those that did. Waits for its lock, if its access has one.
    ///
    /// # Fairness, deadlocks, cancel safety
    ///
    /// See [`Store::open`](cloakroom::Store::open). Within a request nobody waits for another part of it: all share one hold.
    ///
    /// # Errors
    ///
    /// The lock was not granted in time; the error names the holder's route.
    /// [`Error::Expired`] and [`Error::AddressChanged`] if the settings say so. The store failed.
    pub async fn open(&self) -> Result<Session, Error> {
        self.0.open(None).await?;
        Ok(Session(Arc::clone(&self.0)))
    }

    /// The same with an access of its own, whatever that of the route is.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and [`Error::Access`] if it is open already in a way that does not serve.
    pub async fn open_as(&self, access: Access) -> Result<Session, Error> {
        self.0.open(Some(access)).await?;
        Ok(Session(Arc::clone(&self.0)))
    }

    /// Opens the session together with other readers, to read it only.
    ///
    /// # Errors
    ///
    /// As [`open_as`](Self::open_as).
    pub async fn open_shared(&self) -> Result<ReadSession, Error> {
        self.open_as(Access::Shared).await.map(ReadSession)
    }

    /// Opens the last committed version of the session, without waiting, to read it only.
    ///
    /// # Errors
    ///
    /// As [`open_as`](Self::open_as).
    pub async fn open_snapshot(&self) -> Result<ReadSession, Error> {
        self.open_as(Access::Snapshot).await.map(ReadSession)
    }

    /// Sets the access of the route, for whoever opens the session after this.
    pub fn set_access(&self, access: Access) {
        self.0.set_access(access);
    }

    /// Has whoever opens the session optimistically after this take it exclusively: for a request that lost too many
    /// races. To be asked only where that is [offered](Self::offers).
    pub fn take_alone(&self) {
        self.0.take_alone();
    }

    /// Whether a session can be taken this way where it is kept.
    #[must_use]
    pub fn offers(&self, access: Access) -> bool {
        self.0.manager().accesses().contains(&access)
    }

    /// Sets what to call the request in errors, logs and metrics, unless it has a name: for frameworks that know the
    /// route late.
    pub fn name_route<N: Into<Label>>(&self, route: impl FnOnce() -> N) {
        self.0.name_route(|| route().into());
    }

    /// Saves the session as the end of the request with this status would, but now; so that a request that
    /// [was overtaken](Error::is_conflict) can be handled once more, after [`reopen`](Self::reopen). A session that is not
    /// open is left alone. Handles are told that it was committed.
    ///
    /// # Errors
    ///
    /// As [`Session::commit`].
    ///
    /// # Cancel safety
    ///
    /// As [`Session::commit`].
    pub async fn settle(&self, status: u16) -> Result<(), Error> {
        if status >= 500 || !self.0.is_open()? {
            return Ok(());
        }
        let (mut opened, away) = self.0.take().await?;
        let done = opened.save().await;
        away.back(opened, done)
    }

    /// Lets the session go, unsaved. Whoever opens it next, reads it anew.
    ///
    /// # Errors
    ///
    /// The request is over, or another part of it is committing.
    pub fn reopen(&self) -> Result<(), Error> {
        self.0.close()
    }

    /// The address of the client, as far as the peer and trusted proxies tell.
    #[must_use]
    pub fn client(&self) -> Option<IpAddr> {
        self.0.client()
    }
}

/// The session of a request: named values of any serde type. Clones and other handles of the request share it.
///
/// What was changed is stored at the end of the request, or by [`commit`](Self::commit).
///
/// # Examples
///
/// ```
/// # use cloakroom::MemoryStore;
/// # use cloakroom::blocking::wait;
/// # use cloakroom_web::{Arrival, Error, Session, SessionManager, Settings};
/// # let secret = "01234567890123456789012345678901";
/// # let manager = SessionManager::new(MemoryStore::new(), Settings::new(secret))?;
/// # let visit = manager.begin(Arrival::new());
/// # let session = wait(visit.session().open())?;
/// async fn report(session: Session) -> Result<String, Error> {
///     let user: Option<String> = session.get("user")?;
///     session.release().await?; // the page's other calls go on now
///     Ok(format!("a slow report for {user:?}"))
/// }
/// # assert!(wait(report(session))?.contains("None"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Session(Arc<Request>);

impl Session {
    /// The value of this name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// What is stored is no `T`.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        self.0.with_open(|opened| Ok(opened.session.values().get(name)?))
    }

    /// Sets a value. One that equals the stored value is no change.
    ///
    /// # Errors
    ///
    /// The value cannot be encoded, or the session is read-only, or it was committed, released, forgotten or
    /// destroyed before. It was not set.
    pub fn insert<T: Serialize>(&self, name: &str, value: T) -> Result<(), Error> {
        self.0.with_open(|opened| opened.session.insert(name, &Value::encode(name, &value)?))
    }

    /// Replaces a value by what `change` makes of it, and returns the new one.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get) and [`insert`](Self::insert). `change` cannot use the session: it is told
    /// [`Error::Busy`].
    pub fn update<T: DeserializeOwned + Serialize>(
        &self,
        name: &str,
        change: impl FnOnce(Option<T>) -> T,
    ) -> Result<T, Error> {
        self.0.with_open(|opened| {
            let value = change(opened.session.values().get(name)?);
            opened.session.insert(name, &Value::encode(name, &value)?)?;
            Ok(value)
        })
    }

    /// Removes a value; says whether there was one.
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert).
    pub fn remove(&self, name: &str) -> Result<bool, Error> {
        self.0.with_open(|opened| opened.session.remove(name))
    }

    /// Removes all values. The session itself lives on; see [`destroy`](Self::destroy).
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert).
    pub fn clear(&self) -> Result<(), Error> {
        self.0.with_open(|opened| opened.session.clear())
    }

    /// The names of all values, in order.
    ///
    /// # Errors
    ///
    /// The request is over, or another part of it is committing.
    pub fn keys(&self) -> Result<Vec<String>, Error> {
        self.0.with_open(|opened| Ok(opened.session.values().names().map(str::to_owned).collect()))
    }

    /// Whether the store does not hold this session: it was never committed, or it is over.
    ///
    /// # Errors
    ///
    /// As [`keys`](Self::keys).
    pub fn is_new(&self) -> Result<bool, Error> {
        self.0.with_open(|opened| Ok(opened.session.record().is_none()))
    }

    /// How it was opened.
    ///
    /// # Errors
    ///
    /// As [`keys`](Self::keys).
    pub fn access(&self) -> Result<Access, Error> {
        self.0.with_open(|opened| Ok(opened.session.access()))
    }

    /// The name of the session in the store and in logs. It opens nothing.
    ///
    /// # Errors
    ///
    /// As [`keys`](Self::keys).
    pub fn key(&self) -> Result<Key, Error> {
        self.0.with_open(|opened| Ok(*opened.session.key()))
    }

    /// Gives the session a new id: at login, so that an id known before is worth nothing after. It takes effect
    /// with the commit.
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert); or there were no random numbers.
    pub fn renew(&self) -> Result<(), Error> {
        let grace = self.0.manager().renew_grace();
        self.0.with_open(|opened| opened.session.renew(grace))
    }

    /// Writes nothing at the end, but keeps the lock until then. A change from now on is an error.
    ///
    /// # Errors
    ///
    /// As [`keys`](Self::keys).
    pub fn forget(&self) -> Result<(), Error> {
        self.0.with_open(|opened| {
            opened.session.forget();
            Ok(())
        })
    }

    /// Writes the session if it changed, and lets it go: the page's other calls go on. It can still be read;
    /// a change from now on is an error.
    ///
    /// # Errors
    ///
    /// See [`CommitError`](cloakroom::CommitError). The session stays as it was, so that the commit can be tried again.
    ///
    /// # Cancel safety
    ///
    /// Dropped in the middle, the commit happens or not, as a whole, and the session is let go.
    pub async fn commit(&self) -> Result<(), Error> {
        let (mut opened, away) = self.0.take().await?;
        let done = opened.session.commit().await;
        if done.is_ok() {
            opened.watch.let_go(true);
        }
        away.back(opened, done)
    }

    /// Lets the session go now and writes nothing: the page's other calls go on. What was read stays readable,
    /// changes are dropped, and a change from now on is an error.
    ///
    /// # Errors
    ///
    /// As [`keys`](Self::keys).
    pub async fn release(&self) -> Result<(), Error> {
        let (mut opened, away) = self.0.take().await?;
        opened.session.release().await;
        opened.watch.let_go(true);
        away.back(opened, Ok(()))
    }

    /// Stores the session now, even if nothing is in it, and keeps it. For a page whose first Ajax calls
    /// must find one session.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    pub async fn ensure_saved(&self) -> Result<(), Error> {
        let (mut opened, away) = self.0.take().await?;
        let done = opened.session.ensure_saved().await;
        away.back(opened, done)
    }

    /// Sets the last access to now, whatever part of the idle time has passed. Possible with every access.
    ///
    /// # Errors
    ///
    /// The store refused.
    pub async fn touch(&self) -> Result<(), Error> {
        let (mut opened, away) = self.0.take().await?;
        opened.touched = true;
        let done = opened.session.touch().await;
        away.back(opened, done)
    }

    /// Ends the session for every request, also for those that wait for it, and makes the browser forget it.
    ///
    /// # Errors
    ///
    /// See [`CommitError`](cloakroom::CommitError); the session is as it was.
    pub async fn destroy(&self) -> Result<(), Error> {
        let (mut opened, away) = self.0.take().await?;
        let done = opened.session.destroy().await;
        if done.is_ok() {
            opened.destroyed = true;
            opened.watch.let_go(false);
        }
        away.back(opened, done)
    }
}

impl Clone for LazySession {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl Clone for Session {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl fmt::Debug for LazySession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazySession").field("route", &self.0.route()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("route", &self.0.route()).finish_non_exhaustive()
    }
}
