//! web.py's counter: `1`, `2`, `3`; after a reset `1` again.

use cloakroom_axum::{Error, Session};

/// Counts the requests of a session.
pub async fn count(session: Session) -> Result<String, Error> {
    let count =
        session.update("count", |count: Option<u64>| count.unwrap_or(0).saturating_add(1))?;
    Ok(count.to_string())
}

/// Ends the session.
pub async fn reset(session: Session) -> Result<&'static str, Error> {
    session.destroy().await?;
    Ok("Reset")
}
