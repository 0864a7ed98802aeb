//! On tower-sessions with its MemoryStore, used as its own counter example does.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::routing::get;
use axum::{Extension, Router};
use tower_sessions::session::Error;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

use super::gate::Gate;
use super::{USER, query};

pub fn router() -> Router {
    Router::new()
        .route("/count", get(count))
        .route("/count/query", get(count_with_query))
        .route("/login", get(login))
        .route("/logout", get(logout))
        .route("/user", get(user))
        .route("/slow", get(slow))
        .layer(SessionManagerLayer::new(MemoryStore::default()).with_secure(false))
}

async fn count(session: Session) -> Result<String, Failure> {
    let count = session.get::<u32>("count").await.map_err(failure)?.unwrap_or(0) + 1;
    session.insert("count", count).await.map_err(failure)?;
    Ok(count.to_string())
}

async fn count_with_query(session: Session) -> Result<String, Failure> {
    let count = session.get::<u32>("count").await.map_err(failure)?.unwrap_or(0) + 1;
    query().await;
    session.insert("count", count).await.map_err(failure)?;
    Ok(count.to_string())
}

async fn login(session: Session) -> Result<(), Failure> {
    session.insert("user", USER).await.map_err(failure)
}

async fn logout(session: Session) -> Result<(), Failure> {
    session.flush().await.map_err(failure)
}

async fn user(session: Session) -> Result<String, Failure> {
    Ok(session.get("user").await.map_err(failure)?.unwrap_or_default())
}

async fn slow(session: Session, Extension(gate): Extension<Arc<Gate>>) -> Result<String, Failure> {
    let user: Option<String> = session.get("user").await.map_err(failure)?;
    gate.pass().await;
    session.insert("report", "ready").await.map_err(failure)?;
    Ok(user.unwrap_or_default())
}

type Failure = (StatusCode, String);

fn failure(error: Error) -> Failure {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}
