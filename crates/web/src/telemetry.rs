//! What operators see of sessions: metrics, through the facade `metrics`, and spans and events, through the
//! facade `tracing`. Both cost next to nothing while nobody listens. Never an id, never a value; a
//! session is named by its key, a hash.

use std::time::{Duration, Instant};

use cloakroom::{Access, CommitError, Key, OpenError, SessionError};
use metrics::{Label, counter, histogram};
use tracing::{Span, debug, debug_span, info, warn};

use crate::error::Route;

/// How long requests waited for their session: seconds, by access and route.
pub const WAIT: &str = "cloakroom_session_wait_seconds";

/// How long requests held their session: seconds, by access and route.
pub const HOLD: &str = "cloakroom_session_hold_seconds";

/// Commits that another request had overtaken, by access and route.
pub const CONFLICTS: &str = "cloakroom_session_conflicts_total";

/// Sessions that were committed or released before the end of their request, and live on, by access and route.
pub const RELEASES: &str = "cloakroom_session_releases_total";

/// Requests that did not get their session in time, or found too many waiting, by access and route.
pub const TIMEOUTS: &str = "cloakroom_session_timeouts_total";

/// The span of a request that waits for its session.
pub(crate) fn waiting(route: &Route, access: Access) -> Span {
    debug_span!("session_wait", route = route.label(), access = access.name())
}

/// A request's hold, from the opening of its session until that is let go.
#[derive(Debug)]
pub(crate) struct Watch {
    access: Access,
    route: Route,
    key: Key,
    since: Instant,
    /// Open as long as the session is held.
    span: Option<Span>,
    /// Whether it was reported as overtaken: a commit that is tried again loses the same race.
    overtaken: bool,
}

impl Watch {
    /// A session was opened, after a wait that began at `asked`.
    pub(crate) fn opened(
        route: &Route,
        access: Access,
        key: Key,
        asked: Instant,
        request: &Span,
    ) -> Self {
        let since = Instant::now();
        let waited = since.saturating_duration_since(asked);
        histogram!(WAIT, labels(access, route)).record(waited);
        // Below the request's span, not below that of the wait, which is over.
        let span = debug_span!(
            parent: request,
            "session",
            route = route.label(),
            access = access.name(),
            %key,
            waited_us = micros(waited)
        );
        Self { access, route: route.clone(), key, since, span: Some(span), overtaken: false }
    }

    /// The session is let go; early, if the request goes on without it. Once more says nothing.
    pub(crate) fn let_go(&mut self, early: bool) {
        let Some(span) = self.span.take() else { return };
        let held = self.since.elapsed();
        histogram!(HOLD, labels(self.access, &self.route)).record(held);
        if early {
            counter!(RELEASES, labels(self.access, &self.route)).increment(1);
            debug!(parent: &span, held_us = micros(held), "the session was let go before the response");
        }
    }

    /// Something with the open session failed.
    pub(crate) fn failed(&mut self, error: &SessionError) {
        let (route, key) = (self.route.label(), &self.key);
        match error {
            SessionError::Commit(CommitError::Conflict(_)) if self.overtaken => {}
            SessionError::Commit(CommitError::Conflict(_)) => {
                self.overtaken = true;
                counter!(CONFLICTS, labels(self.access, &self.route)).increment(1);
                info!(route, %key, "another request was faster: {error}");
            }
            SessionError::Ended(ended) => {
                warn!(route, %key, "the session was changed after it was {ended}: {error}");
            }
            _ => {}
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.let_go(false);
    }
}

/// A session could not be opened.
pub(crate) fn not_opened(route: &Route, access: Access, asked: Instant, error: &SessionError) {
    let label = route.label();
    if matches!(error, SessionError::Open(OpenError::LockTimeout(_))) {
        histogram!(WAIT, labels(access, route)).record(asked.elapsed());
    }
    match error {
        SessionError::Open(OpenError::LockTimeout(timeout)) => {
            counter!(TIMEOUTS, labels(access, route)).increment(1);
            let holder = timeout.holder.as_ref();
            let holder_route = holder.and_then(|holder| holder.label.as_deref());
            let holder_pid = holder.map(|holder| holder.pid);
            warn!(route = label, holder_route, holder_pid, "{error}");
        }
        SessionError::Open(OpenError::TooManyWaiters { .. }) => {
            counter!(TIMEOUTS, labels(access, route)).increment(1);
            warn!(route = label, "{error}");
        }
        _ => {}
    }
}

fn labels(access: Access, route: &Route) -> Vec<Label> {
    vec![
        Label::from_static_parts("access", access.name()),
        Label::new("route", route.metric_label()),
    ]
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
