//! What a handler answers when something is wrong with its session.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use thiserror::Error as ThisError;

/// Something went wrong with the session of a request. As a response it is plain text that tells nothing of this or any
/// other session, with the status of [`cloakroom_web::Error::status`]; the text of the error is for the
/// log, where a fault of the program or of the store is written at once.
///
/// # Examples
///
/// ```
/// use axum::response::IntoResponse;
/// use cloakroom_axum::{Error, Session};
///
/// async fn cart(session: Session) -> Result<String, Error> {
///     let items: Vec<String> = session.get("items")?.unwrap_or_default();
///     Ok(items.join(", "))
/// }
/// ```
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// See there.
    #[error(transparent)]
    Session(#[from] cloakroom_web::Error),
    /// The route is not below a [`SessionLayer`](crate::SessionLayer). Nothing was done.
    #[error(
        "the route has no session: add `.layer(SessionLayer::new(manager))` to the router, after \
         its routes"
    )]
    NoLayer,
    /// A [`SessionAccess`](crate::SessionAccess) is around the layer instead of within it. No handler ran.
    #[error(
        "a `SessionAccess` is around the `SessionLayer` and means nothing there: add it to the \
         handler or the routes before `.layer(SessionLayer::new(manager))`"
    )]
    AccessOutside,
    /// The settings ask for the client's address, and the server does not know it. No handler ran.
    #[error(
        "the settings ask for the client's address, but the server does not tell it: serve the \
         router with `into_make_service_with_connect_info::<SocketAddr>()`, or declare \
         `SessionLayer::local_socket`"
    )]
    UnknownPeer,
}

impl Error {
    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        let code = match self {
            Self::Session(error) => error.status(),
            Self::NoLayer | Self::AccessOutside | Self::UnknownPeer => 500,
        };
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Whether another request was faster.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Session(error) if error.is_conflict())
    }

    pub(crate) fn response<R: From<String>>(&self) -> Response<R> {
        let status = self.status();
        // What happens under load, and between two requests of one user, is reported where it happened.
        match status.as_u16() {
            500 | 507 => tracing::error!("{self}"),
            413 => tracing::warn!("{self}"),
            _ => {}
        }
        let (text, retry_after) = match self {
            Self::Session(error) => (error.message(), error.retry_after()),
            _ => ("Something went wrong with the session.", None),
        };
        let mut response = Response::new(R::from(text.to_owned()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if let Some(after) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        if self.is_conflict() {
            response.extensions_mut().insert(Overtaken);
        }
        response
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response<Body> {
        self.response()
    }
}

/// Marks the response of a handler that lost a race and said so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overtaken;
