//! On cloakroom's layer for axum, with the default settings over plain HTTP.

use std::sync::Arc;

use anyhow::Result;
use axum::routing::get;
use axum::{Extension, Router};
use cloakroom::Store;
use cloakroom_axum::{Error, Optimistic, Session, SessionLayer, SessionManager, Settings};

use super::gate::Gate;
use super::{USER, query};

pub fn router<S: Store>(store: S) -> Result<Router> {
    let settings = Settings::new("the key of a bench, which keeps no secrets").plain_http();
    let manager = SessionManager::new(store, settings)?;
    Ok(Router::new()
        .route("/count", get(count))
        .route("/count/query", get(count_with_query))
        .route("/login", get(login))
        .route("/logout", get(logout))
        .route("/user", get(user))
        .route("/slow", get(slow))
        .route("/optimistic/slow", get(optimistic_slow))
        .layer(SessionLayer::new(manager)))
}

async fn count(session: Session) -> Result<String, Error> {
    let count = session.update("count", |count: Option<u32>| count.unwrap_or(0) + 1)?;
    Ok(count.to_string())
}

async fn count_with_query(session: Session) -> Result<String, Error> {
    let count = session.get::<u32>("count")?.unwrap_or(0) + 1;
    query().await;
    session.insert("count", count)?;
    Ok(count.to_string())
}

async fn login(session: Session) -> Result<(), Error> {
    Ok(session.insert("user", USER)?)
}

async fn logout(session: Session) -> Result<(), Error> {
    Ok(session.destroy().await?)
}

async fn user(session: Session) -> Result<String, Error> {
    Ok(session.get("user")?.unwrap_or_default())
}

async fn slow(session: Session, Extension(gate): Extension<Arc<Gate>>) -> Result<String, Error> {
    let user: Option<String> = session.get("user")?;
    gate.pass().await;
    session.insert("report", "ready")?;
    Ok(user.unwrap_or_default())
}

/// The same, which keeps nobody waiting.
async fn optimistic_slow(
    session: Optimistic,
    Extension(gate): Extension<Arc<Gate>>,
) -> Result<String, Error> {
    let user: Option<String> = session.get("user")?;
    gate.pass().await;
    session.insert("report", "ready")?;
    Ok(user.unwrap_or_default())
}
