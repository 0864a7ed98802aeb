//! An application without a store: the whole session is sealed in the browser's cookie.
//!
//! ```text
//! cargo run -p cloakroom-axum --example sealed
//! curl -b jar -c jar http://127.0.0.1:3000/note/buy-milk
//! curl -b jar -c jar http://127.0.0.1:3000/
//! ```
//!
//! Good for a few small values of one browser. Of two requests at a time the last one wins, and a logout
//! can be undone by a copy of the cookie: see `docs/web/security.md`.

use std::env;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use cloakroom_axum::{Error, Session, SessionLayer, SessionManager, Settings, Snapshot};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let secret =
        env::var("SECRET_KEY").unwrap_or_else(|_| "for trying out only, not a secret".to_owned());

    let settings = Settings::new(secret)
        .plain_http()
        .cookie_name("notes")
        .timeout(Duration::from_secs(3_600))
        .compression_level(6);
    let app = Router::new()
        .route("/", get(list))
        .route("/note/{note}", get(add))
        .layer(SessionLayer::new(SessionManager::sealed(settings)?));

    let listener = TcpListener::bind(address).await?;
    println!("http://{}/", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn list(session: Snapshot) -> Result<String, Error> {
    Ok(session.get::<Vec<String>>("notes")?.unwrap_or_default().join("\n"))
}

/// A session too large for a cookie is a 413, and the browser keeps what it had.
async fn add(session: Session, Path(note): Path<String>) -> Result<String, Error> {
    let notes = session.update("notes", |notes: Option<Vec<String>>| {
        let mut notes = notes.unwrap_or_default();
        notes.push(note);
        notes
    })?;
    Ok(format!("{} notes", notes.len()))
}
