//! How handlers ask for their session.

use std::ops::Deref;

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use cloakroom::Access;
use cloakroom_web::ReadSession;

use crate::error::Error;

/// The session of the request, open by the access of its route ([`SessionAccess`](crate::SessionAccess)), or that of the
/// manager: exclusively, unless told otherwise. Waits for its turn.
///
/// However many extractors of a request ask, they share one hold. What was changed is saved when the handler
/// has returned; [`commit`](cloakroom_web::Session::commit) and
/// [`release`](cloakroom_web::Session::release) let the page's other calls go on before.
///
/// # Examples
///
/// ```
/// use cloakroom_axum::{Error, Session};
///
/// async fn report(session: Session) -> Result<String, Error> {
///     let user: Option<String> = session.get("user")?;
///     session.release().await?; // the page's other calls go on now
///     Ok(slow_report(user).await)
/// }
/// # async fn slow_report(user: Option<String>) -> String { user.unwrap_or_default() }
/// ```
///
/// # Errors
///
/// 503 if the session was not free in time, or whatever [`cloakroom_web::LazySession::open`] says.
#[derive(Clone, Debug)]
pub struct Session(cloakroom_web::Session);

/// The session of the request together with other readers, to read it: a writer waits meanwhile, and it waits for a writer.
///
/// # Errors
///
/// As [`Session`]; 500 if it is open already in a way that does not serve.
#[derive(Clone, Debug)]
pub struct Shared(ReadSession);

/// The last committed version of the session of the request, to read it. Waits for nobody, and nobody for it.
///
/// # Examples
///
/// ```
/// use cloakroom_axum::{Error, Snapshot};
///
/// async fn badge(session: Snapshot) -> Result<String, Error> {
///     Ok(session.get::<String>("user")?.unwrap_or_default())
/// }
/// ```
///
/// # Errors
///
/// As [`Session`].
#[derive(Clone, Debug)]
pub struct Snapshot(ReadSession);

/// The session of the request without a lock: if another request was faster, the response is 409 instead of the
/// handler's. For handlers that run again instead see
/// [`SessionAccess::optimistic`](crate::SessionAccess::optimistic).
///
/// # Errors
///
/// As [`Session`]; 500 if it is open already in a way that does not serve.
#[derive(Clone, Debug)]
pub struct Optimistic(cloakroom_web::Session);

/// The session of the request, not opened yet: for handlers that need it only sometimes.
///
/// # Examples
///
/// ```
/// use cloakroom_axum::{Error, LazySession};
///
/// async fn page(session: LazySession) -> Result<String, Error> {
///     if is_cached() {
///         return Ok(String::new());
///     }
///     let session = session.open().await?;
///     Ok(session.get::<String>("user")?.unwrap_or_default())
/// }
/// # fn is_cached() -> bool { true }
/// ```
///
/// # Errors
///
/// 500 without a [`SessionLayer`](crate::SessionLayer).
#[derive(Clone, Debug)]
pub struct LazySession(cloakroom_web::LazySession);

impl<S: Sync> FromRequestParts<S> for LazySession {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let session = parts.extensions.get::<cloakroom_web::LazySession>().ok_or(Error::NoLayer)?;
        session.name_route(|| route(parts));
        Ok(Self(session.clone()))
    }
}

/// What the request is called in errors, logs and metrics: never by its path, of which there is no end.
fn route(parts: &Parts) -> String {
    let path = parts.extensions.get::<MatchedPath>();
    // Joined and not formatted, as it is for each request that has a session.
    [parts.method.as_str(), path.map_or("(no route)", MatchedPath::as_str)].join(" ")
}

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let LazySession(session) = LazySession::from_request_parts(parts, state).await?;
        Ok(Self(session.open().await?))
    }
}

impl<S: Sync> FromRequestParts<S> for Optimistic {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let LazySession(session) = LazySession::from_request_parts(parts, state).await?;
        Ok(Self(session.open_as(Access::Optimistic).await?))
    }
}

impl<S: Sync> FromRequestParts<S> for Shared {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let LazySession(session) = LazySession::from_request_parts(parts, state).await?;
        Ok(Self(session.open_shared().await?))
    }
}

impl<S: Sync> FromRequestParts<S> for Snapshot {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let LazySession(session) = LazySession::from_request_parts(parts, state).await?;
        Ok(Self(session.open_snapshot().await?))
    }
}

impl Deref for LazySession {
    type Target = cloakroom_web::LazySession;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Deref for Session {
    type Target = cloakroom_web::Session;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Deref for Optimistic {
    type Target = cloakroom_web::Session;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Deref for Shared {
    type Target = ReadSession;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Deref for Snapshot {
    type Target = ReadSession;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
