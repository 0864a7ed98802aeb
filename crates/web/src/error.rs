//! What can go wrong with the session of a request.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::{Access, CommitError, Label, OpenError, SessionError};
use metrics::SharedString;
use thiserror::Error;

use crate::pieces::CookieTooLarge;

/// Something went wrong with the session of a request. The text is for the log: it names routes and the keys of
/// sessions. [`status`](Self::status) and [`message`](Self::message) are for the response.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine could not open or change or commit the session.
    #[error("{route}: {source}")]
    Session {
        /// Where.
        route: Route,
        /// What, and what became of the data.
        source: Box<SessionError>,
    },
    /// The session is too large for its cookie. The browser's copy is as it was.
    #[error("{route}: {source}")]
    TooLarge {
        /// Where.
        route: Route,
        /// The sizes.
        source: CookieTooLarge,
    },
    /// The session of the request is over, and the settings say to tell (`ignore_expiry(false)`).
    #[error("{route}: the session of the request is over ({message})")]
    Expired {
        /// Where.
        route: Route,
        /// What to tell the user.
        message: Cow<'static, str>,
    },
    /// The session of the request belongs to another client address (`ignore_change_ip(false)`).
    #[error("{route}: the session of the request belongs to another client address ({message})")]
    AddressChanged {
        /// Where.
        route: Route,
        /// What to tell the user.
        message: Cow<'static, str>,
    },
    /// Two parts of a request want the session in different ways. A request takes it once.
    #[error(
        "{route}: the session is open with `{open}` access, which does not serve `{asked}`; one \
         request takes its session once, so open it with `{asked}` from the start"
    )]
    Access {
        /// Where.
        route: Route,
        /// How it was opened.
        open: Access,
        /// How it was to be opened.
        asked: Access,
    },
    /// Another part of the request is committing or releasing the session just now, or this is the change of an
    /// `update`. Nothing was done.
    #[error(
        "{route}: another part of the request is at work on the session; wait for its commit, \
         release, or update to end"
    )]
    Busy {
        /// Where.
        route: Route,
    },
    /// A commit or a release was cancelled; the session was let go. Whether a commit happened is not known.
    #[error(
        "{route}: a commit or release of the session was cancelled, and the session was let go"
    )]
    Interrupted {
        /// Where.
        route: Route,
    },
    /// The request is over, and its session with it. Nothing was done.
    #[error(
        "{route}: the request is over, and its session was let go; open it in a request of its own"
    )]
    RequestOver {
        /// Where.
        route: Route,
    },
}

impl Error {
    /// The status for a response that has nothing better to say:
    ///
    /// | status | because |
    /// |---|---|
    /// | 403 | the session is over or belongs to another address, and the settings say to tell |
    /// | 409 | another request was faster, or ended or renewed the session meanwhile |
    /// | 413 | the session would be too large |
    /// | 503 | the session was in use too long, or too many wait for it |
    /// | 507 | the disk is full |
    /// | 500 | anything else: a fault of the program or of the store |
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Session { source, .. } => match &**source {
                SessionError::Open(error) => open_status(error),
                SessionError::Commit(error) => commit_status(error),
                _ => 500,
            },
            Self::TooLarge { .. } => 413,
            Self::Expired { .. } | Self::AddressChanged { .. } => 403,
            _ => 500,
        }
    }

    /// What the response may say: nothing about this or any other session.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Expired { message, .. } | Self::AddressChanged { message, .. } => message,
            _ => match self.status() {
                409 => "Another request changed the session meanwhile. Please try again.",
                413 => "This is more than the session can hold.",
                503 => "The session is busy. Please try again.",
                507 => "The session could not be stored.",
                _ => "Something went wrong with the session.",
            },
        }
    }

    /// When to try again, for a `Retry-After` header; `None` if waiting does not help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        (self.status() == 503).then_some(Duration::from_secs(1))
    }

    /// Whether another request was faster: the handler can be run again, in a new
    /// [`Visit`](crate::Visit), where that is safe.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        let Self::Session { source, .. } = self else { return false };
        matches!(**source, SessionError::Commit(CommitError::Conflict(_)))
    }
}

const fn commit_status(error: &CommitError) -> u16 {
    match error {
        CommitError::Open(error) => open_status(error),
        CommitError::Conflict(_)
        | CommitError::AlreadyExists { .. }
        | CommitError::Gone { .. }
        | CommitError::Retired { .. } => 409,
        CommitError::TooLarge { .. } => 413,
        CommitError::OutOfSpace(_) => 507,
        _ => 500,
    }
}

const fn open_status(error: &OpenError) -> u16 {
    match error {
        OpenError::LockTimeout(_) | OpenError::TooManyWaiters { .. } => 503,
        OpenError::Gone { .. } => 409,
        _ => 500,
    }
}

/// The route of a request, as error texts name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route(pub(crate) Option<Label>);

impl Route {
    /// What the route was called; `None` if it was not.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// What it is called in logs.
    pub(crate) fn label(&self) -> &str {
        self.name().unwrap_or(UNNAMED)
    }

    /// The same for a metric, which outlives the request.
    pub(crate) fn metric_label(&self) -> SharedString {
        match &self.0 {
            None => UNNAMED.into(),
            Some(Label::Static(name)) => (*name).into(),
            Some(Label::Shared(name)) => Arc::clone(name).into(),
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(name) => write!(f, "in `{name}`"),
            None => f.write_str("in a route without a name"),
        }
    }
}

const UNNAMED: &str = "(unnamed)";
