//! Sessions for [axum]: one hold per request, an access per route, early release, and no silently lost update.
//!
//! ```
//! use axum::Router;
//! use axum::routing::get;
//! use cloakroom::FileStore;
//! use cloakroom_axum::{Error, Session, SessionLayer, SessionManager, Settings};
//!
//! async fn count(session: Session) -> Result<String, Error> {
//!     let count = session.update("count", |count: Option<u32>| count.unwrap_or(0) + 1)?;
//!     Ok(count.to_string())
//! }
//!
//! # let secret = "01234567890123456789012345678901";
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path().join("sessions");
//! let manager = SessionManager::new(FileStore::open(directory)?, Settings::new(secret))?;
//! let app: Router = Router::new().route("/count", get(count)).layer(SessionLayer::new(manager));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The way of a request
//!
//! 1. [`SessionLayer`] finds the session's cookie, and does nothing else: a route that never asks for its session
//!    costs neither a store access nor the check of a signature.
//! 2. The first extractor ([`Session`], [`Shared`], [`Snapshot`], [`Optimistic`]; or [`LazySession`] when it is
//!    told to) opens the session, waiting for its lock if the access has one. All others of the request join that one
//!    hold: they never wait for each other.
//! 3. The handler works. [`commit`](cloakroom_web::Session::commit) or
//!    [`release`](cloakroom_web::Session::release) before slow work, and the page's other calls go on.
//! 4. When the handler has returned, before the body streams: what changed is committed, and the session let
//!    go. A response of class 5xx saves nothing; a redirect or a 404 does.
//!
//! A handler that panics, or whose client goes away, is dropped with its session: the lock is free at once, and nothing is saved.
//!
//! # An access for each route
//!
//! ```
//! use axum::Router;
//! use axum::routing::{get, post};
//! use cloakroom_axum::{Error, Session, SessionAccess, Snapshot};
//!
//! // Waits for nobody and is waited for by nobody.
//! async fn badge(session: Snapshot) -> Result<String, Error> {
//!     Ok(session.get::<String>("user")?.unwrap_or_default())
//! }
//!
//! // Locks nothing; if another request was faster, it runs again with what that one wrote.
//! async fn seen(session: Session) -> Result<(), Error> {
//!     session.update("seen", |seen: Option<u32>| seen.unwrap_or(0) + 1)?;
//!     Ok(())
//! }
//!
//! let app: Router = Router::new()
//!     .route("/badge", get(badge))
//!     .route("/seen", post(seen).layer(SessionAccess::optimistic().repeatable()));
//! ```
//!
//! # When it goes wrong
//!
//! | what | status |
//! |---|---|
//! | the session was not free in time | 503 with `Retry-After`; the log names the route of the holder |
//! | another request was faster, and the handler was not run again | 409 |
//! | others | see [`Error`](cloakroom_web::Error::status) |
//!
//! Cookies of any shape are none of these: they get a fresh session.
//!
//! # What it is not
//!
//! An authentication library, or protection against forged requests beyond `SameSite`.

mod access;
mod error;
mod extract;
mod future;
mod layer;
mod repeat;

pub use access::{AccessService, SessionAccess};
pub use cloakroom_web::{
    CookieStore, ReadSession, SameSite, SessionManager, Settings, SettingsError, limits, telemetry,
};
pub use error::Error;
pub use extract::{LazySession, Optimistic, Session, Shared, Snapshot};
pub use future::ResponseFuture;
pub use layer::{SessionLayer, SessionService};

/// The examples of the README and of the pages on the web layer, which the doc tests compile.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../README.md")]
    struct Readme;
    #[doc = include_str!("../../../docs/web/access.md")]
    struct Access;
    #[doc = include_str!("../../../docs/web/axum.md")]
    struct Axum;
    #[doc = include_str!("../../../docs/web/settings.md")]
    struct Settings;
}
