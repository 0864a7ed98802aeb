//! What makes a slow request slow: it stops between reading its session and writing it, until told to go
//! on. So the order of what happens is given, not hoped for.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::http::StatusCode;
use tokio::sync::Notify;
use tokio::time::timeout;

/// For one slow request at a time.
#[derive(Default)]
pub struct Gate {
    arrived: Notify,
    go: Notify,
}

impl Gate {
    /// In the slow request, which has read: waits to be told to go on.
    pub async fn pass(&self) {
        self.arrived.notify_one();
        // Nobody told: the run has failed elsewhere, and says so.
        let _ = timeout(LIMIT, self.go.notified()).await;
    }
}

/// Answers when a slow request has read its session.
pub async fn arrived(Extension(gate): Extension<Arc<Gate>>) -> StatusCode {
    match timeout(LIMIT, gate.arrived.notified()).await {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// Tells the slow request to go on.
pub async fn go(Extension(gate): Extension<Arc<Gate>>) {
    gate.go.notify_one();
}

/// Nothing here takes long.
const LIMIT: Duration = Duration::from_secs(10);
