//! A request at work: the handler first, then the end of its session, then the response goes out.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::header::{CACHE_CONTROL, SET_COOKIE, VARY};
use axum::http::{HeaderValue, Response};
use cloakroom_web::{Departure, Visit};
use pin_project_lite::pin_project;

use crate::error::Error;

pin_project! {
    /// The response of a [`SessionService`](crate::SessionService).
    pub struct ResponseFuture<F, R> {
        #[pin]
        stage: Stage<F, R>,
    }
}

pin_project! {
    #[project = StageProjection]
    #[project_replace = StageReplaced]
    enum Stage<F, R> {
        // Fields are dropped in this order: the lock is free before anything of the handler's is cleaned up.
        Handling { visit: Option<Visit>, #[pin] handler: F },
        Ending { response: Response<R>, ending: Pin<Box<dyn Future<Output = Departure> + Send>> },
        Answered { response: Response<R> },
        Done,
    }
}

impl<F, R: From<String>> ResponseFuture<F, R> {
    pub(crate) fn new(visit: Visit, handler: F) -> Self {
        Self { stage: Stage::Handling { visit: Some(visit), handler } }
    }

    /// The answer to a request that no handler sees.
    pub(crate) fn refused(error: &Error) -> Self {
        Self { stage: Stage::Answered { response: error.response() } }
    }
}

impl<F, R, E> Future for ResponseFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: From<String>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.project().stage;
        loop {
            match stage.as_mut().project() {
                StageProjection::Handling { visit, handler } => {
                    let response = ready!(handler.poll(context))?;
                    let used = visit.take().filter(Visit::is_used);
                    let Some(visit) = used else {
                        stage.set(Stage::Done);
                        return Poll::Ready(Ok(response));
                    };
                    let ending = Box::pin(visit.finish(response.status().as_u16()));
                    stage.set(Stage::Ending { response, ending });
                }
                StageProjection::Ending { ending, .. } => {
                    let departure = ready!(ending.as_mut().poll(context));
                    let StageReplaced::Ending { response, .. } =
                        stage.as_mut().project_replace(Stage::Done)
                    else {
                        continue;
                    };
                    return Poll::Ready(Ok(depart(response, departure)));
                }
                StageProjection::Answered { .. } => {
                    if let StageReplaced::Answered { response } =
                        stage.as_mut().project_replace(Stage::Done)
                    {
                        return Poll::Ready(Ok(response));
                    }
                }
                // Polled after its end, as no caller may.
                StageProjection::Done => return Poll::Pending,
            }
        }
    }
}

/// The response with its cookies; or that of an error, if the session could not be saved.
fn depart<R: From<String>>(mut response: Response<R>, departure: Departure) -> Response<R> {
    if let Err(error) = departure.saved {
        response = Error::from(error).response();
    }
    let headers = response.headers_mut();
    let is_private = |value: &HeaderValue| {
        let value = value.to_str().unwrap_or_default().to_ascii_lowercase();
        ["private", "no-store"].iter().any(|word| value.contains(word))
    };
    let kept = headers.get(CACHE_CONTROL).is_some_and(|value| {
        // To visitors without a cookie a shared cache would hand out this one's.
        departure.cookies.is_empty() || is_private(value)
    });
    if !kept {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
    for cookie in departure.cookies {
        // What a manager sets is ASCII without control characters.
        if let Ok(value) = HeaderValue::from_str(cookie.as_str()) {
            headers.append(SET_COOKIE, value);
        }
    }
    headers.append(VARY, HeaderValue::from_static("Cookie"));
    response
}

impl<F, R> fmt::Debug for ResponseFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
