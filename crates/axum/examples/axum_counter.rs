//! The counter of the web.py documentation: `1`, `2`, `3`, `Reset`, `1`.
//!
//! ```text
//! cargo run -p cloakroom-axum --example axum_counter
//! curl -b jar -c jar http://127.0.0.1:3000/count
//! curl -b jar -c jar http://127.0.0.1:3000/reset
//! ```

use std::env;

use axum::Router;
use axum::routing::get;
use cloakroom::FileStore;
use cloakroom_axum::{Error, Session, SessionLayer, SessionManager, Settings};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let directory = env::args().nth(2).unwrap_or_else(|| "sessions".to_owned());
    // A real application has its key from outside: all its processes need the same one.
    let secret =
        env::var("SECRET_KEY").unwrap_or_else(|_| "for trying out only, not a secret".to_owned());

    // Over HTTPS leave `plain_http` out.
    let settings = Settings::new(secret).plain_http();
    let manager = SessionManager::new(FileStore::open(directory)?, settings)?;
    let app = Router::new()
        .route("/count", get(count))
        .route("/reset", get(reset))
        .layer(SessionLayer::new(manager));

    let listener = TcpListener::bind(address).await?;
    println!("http://{}/count", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn count(session: Session) -> Result<String, Error> {
    let count = session.update("count", |count: Option<u32>| count.unwrap_or(0) + 1)?;
    Ok(count.to_string())
}

async fn reset(session: Session) -> Result<&'static str, Error> {
    session.destroy().await?;
    Ok("Reset")
}
