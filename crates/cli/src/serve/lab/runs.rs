//! How often a handler ran for one request, and how much of that was in vain.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

/// The runs of a request's handler.
#[derive(Clone, Default)]
pub struct Runs(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    first: Option<Instant>,
    count: u32,
}

/// Counts the runs for what is inside of it.
pub async fn count(mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Runs::default());
    next.run(request).await
}

impl Runs {
    /// One more begins: its number, and the time since the first began.
    pub fn begin(&self) -> (u32, Duration) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = *state.first.get_or_insert_with(Instant::now);
        state.count = state.count.saturating_add(1);
        (state.count, first.elapsed())
    }
}
