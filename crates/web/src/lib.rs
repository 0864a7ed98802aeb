//! Web sessions without a framework: the cookies of a request go in, a session comes out, and at the end
//! of the request the `Set-Cookie` headers.
//!
//! Adapters for frameworks sit on this package; it knows none of them and no async runtime.
//!
//! # The way of a request
//!
//! 1. [`SessionManager::begin`] takes what the request brings ([`Arrival`]): its `Cookie` headers, the
//!    peer's address, what proxies say. It looks for the session's cookie and does nothing else: a route that
//!    never asks for its session reaches no store and checks no signature.
//! 2. [`Visit::session`] gives out handles ([`LazySession`]), as many as there are extractors and helpers. The first
//!    [`open`](LazySession::open) verifies the cookie and opens the session, waiting for its lock; all others join it. The [`Session`]
//!    they get is one hold, so two parts of a request never wait for each other.
//! 3. The handler works, and may [`commit`](Session::commit), [`release`](Session::release), [`forget`](Session::forget),
//!    [`renew`](Session::renew) or [`destroy`](Session::destroy).
//! 4. [`Visit::finish`], with the status of the response and before its body goes out: changed, it is committed; else
//!    touched if a tenth of the idle time has passed; a response of class 5xx saves nothing. What the browser must
//!    be told is in [`Departure::cookies`], which is mostly nothing.
//!
//! A visit that is dropped instead (a panic, a client that went away) frees the session at once and saves nothing, even if a
//! task of the request still has a handle: that is told [`Error::RequestOver`].
//!
//! # What the cookie carries
//!
//! | | cookie | what a forged one costs |
//! |---|---|---|
//! | [`SessionManager::new`] | the session's id and a signature | a hash; no store is asked |
//! | [`SessionManager::sealed`] | the whole session, encrypted and authenticated ([`CookieStore`]) | a failed decryption |
//!
//! A session in a store and one sealed in the cookie are used through the same types. An id that the store does not
//! hold is never adopted, however genuine its signature.
//!
//! # Where things are
//!
//! ```text
//! manager ──> visit, session      one hold for all parts of a request
//!    │          settings          checked as a whole when a manager is made
//!    ├── cookie, address          what comes in: anything; what goes out: checked ASCII
//!    ├── ticket                   signed ids
//!    └── cookie_store             a session in the browser
//!          └── seal, pieces       encrypted, and cut over several cookies
//! ```
//!
//! In threads, drive the futures with [`cloakroom::blocking::wait`]; `examples/plain.rs` is a whole server.
//!
//! It is not a web framework, and not an authentication library.

mod address;
mod cookie;
mod cookie_store;
mod erased;
mod error;
mod keys;
pub mod limits;
mod manager;
mod pieces;
mod read_session;
mod seal;
mod session;
mod settings;
pub mod telemetry;
mod ticket;
mod visit;

pub use cookie::{SameSite, SetCookie};
pub use cookie_store::CookieStore;
pub use error::{Error, Route};
pub use manager::SessionManager;
pub use pieces::CookieTooLarge;
pub use read_session::ReadSession;
pub use session::{LazySession, Session};
pub use settings::{Settings, SettingsError};
pub use visit::{Arrival, Departure, Visit};
