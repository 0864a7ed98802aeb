//! What the parts of a request need of its session and of the manager, whatever store the sessions are in: so
//! that handlers and extractors name no store.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use cloakroom::{Access, Key, Record, Session, SessionError, SessionId, Store, Value, Values};

use crate::cookie::{Found, SetCookie};
use crate::error::{Error, Route};
use crate::manager::{End, Opened};

/// What takes time.
pub(crate) type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An open session of the engine.
pub(crate) trait AnySession: Send + Sync {
    fn id(&self) -> &SessionId;
    fn key(&self) -> &Key;
    fn access(&self) -> Access;
    fn record(&self) -> Option<&Record>;
    fn values(&self) -> &Values;
    fn insert(&mut self, name: &str, value: &Value) -> Result<(), SessionError>;
    fn remove(&mut self, name: &str) -> Result<bool, SessionError>;
    fn clear(&mut self) -> Result<(), SessionError>;
    fn renew(&mut self, grace: Duration) -> Result<(), SessionError>;
    fn forget(&mut self);
    fn commit(&mut self) -> Later<'_, Result<(), SessionError>>;
    fn ensure_saved(&mut self) -> Later<'_, Result<(), SessionError>>;
    fn touch(&mut self) -> Later<'_, Result<(), SessionError>>;
    fn destroy(&mut self) -> Later<'_, Result<(), SessionError>>;
    fn release(&mut self) -> Later<'_, ()>;
}

/// The manager of a request.
pub(crate) trait AnyManager: Send + Sync {
    /// How requests take their session where their route does not say.
    fn access(&self) -> Access;

    /// How they can.
    fn accesses(&self) -> &'static [Access];

    /// How long the old id of a renewed session can still be read.
    fn renew_grace(&self) -> Duration;

    /// Opens the session that one of these cookies names or holds, or a new one.
    fn open<'a>(
        &'a self,
        found: &'a [Found],
        client: Option<IpAddr>,
        access: Access,
        route: &'a Route,
    ) -> Later<'a, Result<Opened, Error>>;

    /// The error of a request that is to be told what became of its session.
    fn refusal(&self, end: End, route: Route) -> Error;

    /// What the browser is to be told after a request.
    fn cookies(&self, opened: &Opened, found: &[Found], client: Option<IpAddr>) -> Vec<SetCookie>;

    /// Makes the browser forget all the cookies that it sent.
    fn expire_all(&self, found: &[Found]) -> Vec<SetCookie>;
}

impl<S: Store> AnySession for Session<S> {
    fn id(&self) -> &SessionId {
        self.id()
    }

    fn key(&self) -> &Key {
        self.key()
    }

    fn access(&self) -> Access {
        self.access()
    }

    fn record(&self) -> Option<&Record> {
        self.record()
    }

    fn values(&self) -> &Values {
        self.values()
    }

    fn insert(&mut self, name: &str, value: &Value) -> Result<(), SessionError> {
        self.insert_encoded(name, value)
    }

    fn remove(&mut self, name: &str) -> Result<bool, SessionError> {
        self.remove(name)
    }

    fn clear(&mut self) -> Result<(), SessionError> {
        self.clear()
    }

    fn renew(&mut self, grace: Duration) -> Result<(), SessionError> {
        self.renew(grace).map(drop)
    }

    fn forget(&mut self) {
        self.forget();
    }

    fn commit(&mut self) -> Later<'_, Result<(), SessionError>> {
        Box::pin(self.commit())
    }

    fn ensure_saved(&mut self) -> Later<'_, Result<(), SessionError>> {
        Box::pin(self.ensure_saved())
    }

    fn touch(&mut self) -> Later<'_, Result<(), SessionError>> {
        Box::pin(self.touch())
    }

    fn destroy(&mut self) -> Later<'_, Result<(), SessionError>> {
        Box::pin(self.destroy())
    }

    fn release(&mut self) -> Later<'_, ()> {
        Box::pin(self.release())
    }
}
