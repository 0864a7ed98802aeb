//! The access of a route.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::Response;
use cloakroom::Access;
use cloakroom_web::LazySession;
use tower_layer::Layer;
use tower_service::Service;

use crate::repeat::{self, Copies};

/// How the requests of a route take their session: a layer for a handler, or for some routes.
///
/// | access | waits for | may write | on a race |
/// |---|---|---|---|
/// | `exclusive` | every other holder | yes | cannot happen |
/// | `shared` | a writer that holds exclusively | no | - |
/// | `snapshot` | nothing, ever | no | sees the last committed version, whole |
/// | `optimistic` | nothing while the handler runs | yes, checked at the end | runs again, or 409 |
///
/// It counts for [`Session`](crate::Session) and [`LazySession::open`]; extractors that name an access take that.
///
/// # Examples
///
/// ```
/// use axum::Router;
/// use axum::routing::{get, post};
/// use cloakroom_axum::{Error, Session, SessionAccess};
///
/// # async fn feed(session: Session) -> Result<(), Error> { Ok(()) }
/// # async fn like(session: Session) -> Result<(), Error> { Ok(()) }
/// let app: Router = Router::new()
///     .route("/feed", get(feed).layer(SessionAccess::snapshot()))
///     .route("/like", post(like).layer(SessionAccess::optimistic().repeatable()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct SessionAccess {
    access: Access,
    repeatable: bool,
    body_max: usize,
}

impl SessionAccess {
    /// Alone with the session, from its opening to the end of the handler, or to a commit or release before.
    pub const fn exclusive() -> Self {
        Self::of(Access::Exclusive)
    }

    /// Together with other readers.
    pub const fn shared() -> Self {
        Self::of(Access::Shared)
    }

    /// The last committed version, without waiting.
    pub const fn snapshot() -> Self {
        Self::of(Access::Snapshot)
    }

    /// Without a lock. When the handler has returned and another request was faster, it runs again with what that one
    /// wrote, if that is safe: if the method is (GET, HEAD, OPTIONS, TRACE) and the request has no body,
    /// or the handler was declared [`repeatable`](Self::repeatable). Else the response is 409.
    ///
    /// After 3 lost races the handler gets the session exclusively, if the store offers that, so that it comes to an end;
    /// after 16 the response is 409.
    ///
    /// The session of such a route is committed right after its handler: layers further out can read it, and not change it any more.
    pub const fn optimistic() -> Self {
        Self::of(Access::Optimistic)
    }

    /// Declares that the handler may run several times for one request, whatever its method: apart from the session
    /// it changes nothing, or nothing that matters. Bodies up to 64 KiB are kept for the next run; with a longer one, or
    /// one of unknown length, the handler runs once.
    pub const fn repeatable(self) -> Self {
        Self { repeatable: true, ..self }
    }

    /// Keeps bodies up to so many bytes for the next run.
    pub const fn body_max(self, bytes: usize) -> Self {
        Self { body_max: bytes, ..self }
    }

    const fn of(access: Access) -> Self {
        Self { access, repeatable: false, body_max: BODY_MAX }
    }
}

impl<I> Layer<I> for SessionAccess {
    type Service = AccessService<I>;

    fn layer(&self, inner: I) -> Self::Service {
        AccessService { inner, route: *self }
    }
}

/// What [`SessionAccess`] makes of a service.
#[derive(Clone)]
pub struct AccessService<I> {
    inner: I,
    route: SessionAccess,
}

impl<I> Service<Request> for AccessService<I>
where
    I: Service<Request, Response = Response> + Clone + Send + 'static,
    I::Future: Send + 'static,
    I::Error: Send,
{
    type Response = Response;
    type Error = I::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, I::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), I::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let SessionAccess { access, repeatable, body_max } = self.route;
        let Some(session) = request.extensions().get::<LazySession>().cloned() else {
            // Without a session layer the extractors say so; one that comes only after this says that.
            request.extensions_mut().insert(Misplaced);
            return Box::pin(self.inner.call(request));
        };
        session.set_access(access);
        match Copies::of(&request, repeatable, body_max) {
            Some(copies) if access == Access::Optimistic => {
                // The clone that was not asked whether it is ready stays here.
                let ready = self.inner.clone();
                let inner = std::mem::replace(&mut self.inner, ready);
                Box::pin(repeat::handle(inner, request, copies, session))
            }
            _ => Box::pin(self.inner.call(request)),
        }
    }
}

impl<I: fmt::Debug> fmt::Debug for AccessService<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessService").field("route", &self.route).finish_non_exhaustive()
    }
}

/// Marks a request that came through an access before it had a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Misplaced;

/// Enough for a form; more than a session takes.
const BODY_MAX: usize = 64 << 10;
