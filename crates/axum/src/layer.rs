//! The layer around all routes that have sessions.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::ConnectInfo;
use axum::http::header::COOKIE;
use axum::http::{HeaderName, Request, Response};
use cloakroom::Store;
use cloakroom_web::{Arrival, SessionManager, Visit};
use tower_layer::Layer;
use tower_service::Service;

use crate::access::Misplaced;
use crate::error::Error;
use crate::future::ResponseFuture;

/// Gives each request its session, and saves that before the response goes out. One for all routes, with
/// [`Router::layer`](axum::Router::layer); any other tower service will do, too.
///
/// If the settings ask for the client's address (`ignore_change_ip(false)`, or trusted proxies), the server must
/// know it: serve the router with `into_make_service_with_connect_info::<SocketAddr>()`, or say
/// [`local_socket`](Self::local_socket). A request of which nobody knows where it comes from is answered with 500.
///
/// A response to a request that asked for its session gets `Vary: Cookie`, and `Cache-Control: private, no-cache` unless the
/// handler said something else. One that sets the cookie is private whatever the handler said: no cache hands it to somebody else.
///
/// # Examples
///
/// ```
/// use axum::Router;
/// use cloakroom::MemoryStore;
/// use cloakroom_axum::{SessionLayer, SessionManager, Settings};
///
/// # let secret = "01234567890123456789012345678901";
/// let manager = SessionManager::new(MemoryStore::new(), Settings::new(secret))?;
/// let app: Router = Router::new().layer(SessionLayer::new(manager));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Deadlocks
///
/// A handler that calls its own server with its own cookie waits for itself until the limit on waiting. Commit or release the
/// session first.
///
/// # Cancel safety
///
/// Dropped at any point, as by a client that went away, a request lets its session go at once. Until then nothing was saved,
/// or all was.
#[derive(Clone)]
pub struct SessionLayer {
    begin: Begin,
    /// Whether a request without an address is refused.
    needs_peer: bool,
}

type Begin = Arc<dyn Fn(Arrival<'_>) -> Visit + Send + Sync>;

impl SessionLayer {
    /// The sessions of `manager`.
    #[must_use]
    pub fn new<S: Store>(manager: SessionManager<S>) -> Self {
        let needs_peer = manager.needs_peer();
        Self { begin: Arc::new(move |arrival| manager.begin(arrival)), needs_peer }
    }

    /// Says that all requests come over a local socket from a proxy, so that they have no address of their own and the proxy is
    /// believed, if one is trusted. Do not say it of a server that others can reach: they could claim any address.
    #[must_use]
    pub fn local_socket(self) -> Self {
        Self { needs_peer: false, ..self }
    }
}

impl<I> Layer<I> for SessionLayer {
    type Service = SessionService<I>;

    fn layer(&self, inner: I) -> Self::Service {
        SessionService { inner, layer: self.clone() }
    }
}

impl fmt::Debug for SessionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer").finish_non_exhaustive()
    }
}

/// What [`SessionLayer`] makes of a service.
#[derive(Clone)]
pub struct SessionService<I> {
    inner: I,
    layer: SessionLayer,
}

impl<I, B, R> Service<Request<B>> for SessionService<I>
where
    I: Service<Request<B>, Response = Response<R>>,
    R: From<String>,
{
    type Response = Response<R>;
    type Error = I::Error;
    type Future = ResponseFuture<I::Future, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), I::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let connected = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let peer = connected.map(|ConnectInfo(address)| address.ip());
        if self.layer.needs_peer && peer.is_none() {
            return ResponseFuture::refused(&Error::UnknownPeer);
        }
        if request.extensions().get::<Misplaced>().is_some() {
            return ResponseFuture::refused(&Error::AccessOutside);
        }
        let headers = request.headers();
        let arrival = Arrival::new()
            .cookies(headers.get_all(COOKIE).iter().map(|value| value.as_bytes()))
            .forwarded_for(headers.get_all(FORWARDED_FOR).iter().map(|value| value.as_bytes()))
            .peer(peer);
        let visit = (self.layer.begin)(arrival);
        request.extensions_mut().insert(visit.session());
        ResponseFuture::new(visit, self.inner.call(request))
    }
}

impl<I: fmt::Debug> fmt::Debug for SessionService<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
