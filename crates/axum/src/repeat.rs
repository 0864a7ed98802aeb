//! Handling a request again when another one was faster.

use std::future::poll_fn;

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use cloakroom::Access;
use cloakroom_web::LazySession;
use tower_service::Service;

use crate::error::{Error, Overtaken};

/// How a request can be had once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copies {
    /// It has no body.
    Bodiless,
    /// Its body is read first; it has no more than so many bytes.
    Kept(usize),
}

impl Copies {
    /// How this request can be had once more, if it can and may.
    pub(crate) fn of(request: &Request, repeatable: bool, body_max: usize) -> Option<Self> {
        if request.body().is_end_stream() {
            return (repeatable || request.method().is_safe()).then_some(Self::Bodiless);
        }
        let fits = request.body().size_hint().upper().is_some_and(|most| most <= body_max as u64);
        (repeatable && fits).then_some(Self::Kept(body_max))
    }
}

/// Has `inner` handle the request, and again with what others wrote as long as they are faster.
pub(crate) async fn handle<I>(
    mut inner: I,
    request: Request,
    copies: Copies,
    session: LazySession,
) -> Result<Response, I::Error>
where
    I: Service<Request, Response = Response>,
{
    let (parts, body) = request.into_parts();
    let body = match copies {
        Copies::Bodiless => Bytes::new(),
        Copies::Kept(most) => match to_bytes(body, most).await {
            Ok(body) => body,
            // The client broke off, or did not keep to the length it announced.
            Err(_) => return Ok(StatusCode::BAD_REQUEST.into_response()),
        },
    };
    let mut lost = 0;
    loop {
        if lost == RACES_MAX && session.offers(Access::Exclusive) {
            session.take_alone();
        }
        poll_fn(|context| inner.poll_ready(context)).await?;
        let response = inner.call(copy(&parts, &body)).await?;
        let (overtaken, response) = match session.settle(response.status().as_u16()).await {
            Ok(()) => (response.extensions().get::<Overtaken>().is_some(), response),
            Err(error) => (error.is_conflict(), Error::from(error).into_response()),
        };
        if !overtaken {
            return Ok(response);
        }
        lost += 1;
        // First, so that the end of the request does not try what just failed once more.
        if session.reopen().is_err() || lost == RUNS_MAX {
            return Ok(response);
        }
    }
}

fn copy(parts: &Parts, body: &Bytes) -> Request {
    Request::from_parts(parts.clone(), Body::from(body.clone()))
}

/// Races lost until the handler gets the session exclusively. A handler is not as short as a commit: its work in
/// vain costs more than a wait.
const RACES_MAX: u32 = 3;

/// Races lost until the client is told, where nothing is exclusive.
const RUNS_MAX: u32 = 16;
