//! A page that fires several calls at once, each with the access that it needs.
//!
//! ```text
//! cargo run -p cloakroom-axum --example dashboard      # then open http://127.0.0.1:3000/
//! ```
//!
//! With one exclusive lock for all, the six calls would take 6 x 300 ms. Here only those wait that have to.

use std::env;
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::{get, post};
use cloakroom::FileStore;
use cloakroom_axum::{
    Error, Session, SessionAccess, SessionLayer, SessionManager, Settings, Snapshot,
};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let directory = env::args().nth(2).unwrap_or_else(|| "sessions".to_owned());
    let secret =
        env::var("SECRET_KEY").unwrap_or_else(|_| "for trying out only, not a secret".to_owned());

    let settings = Settings::new(secret).plain_http();
    let manager = SessionManager::new(FileStore::open(directory)?, settings)?;
    let app = Router::new()
        .route("/", get(page))
        .route("/news", get(news))
        .route("/report", get(report))
        .route("/seen", post(seen).layer(SessionAccess::optimistic().repeatable()))
        .route("/cart", post(add_to_cart))
        .layer(SessionLayer::new(manager));

    let listener = TcpListener::bind(address).await?;
    println!("http://{}/", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// The page itself makes sure that the session is stored: its calls come at once, and must find one session.
async fn page(session: Session) -> Result<Html<&'static str>, Error> {
    session.insert("user", "ada")?;
    session.ensure_saved().await?;
    Ok(Html(PAGE))
}

/// Reads who it is, from the last committed version: waits for nobody, and nobody waits for it.
async fn news(session: Snapshot) -> Result<String, Error> {
    let user = session.get::<String>("user")?.unwrap_or_default();
    work().await;
    Ok(format!("news for {user}"))
}

/// Needs the session at its beginning, and lets it go before the slow part.
async fn report(session: Session) -> Result<String, Error> {
    let reports = session.update("reports", |reports: Option<u32>| reports.unwrap_or(0) + 1)?;
    session.commit().await?;
    work().await;
    Ok(format!("report {reports}"))
}

/// Counts without a lock. If another call was faster it runs again, with what that one wrote.
async fn seen(session: Session) -> Result<String, Error> {
    let seen = session.update("seen", |seen: Option<u32>| seen.unwrap_or(0) + 1)?;
    Ok(format!("seen {seen}"))
}

/// Decides on what it reads, and must be alone with it until it has written.
async fn add_to_cart(session: Session) -> Result<String, Error> {
    let mut cart: Vec<String> = session.get("cart")?.unwrap_or_default();
    work().await;
    cart.push(format!("item {}", cart.len() + 1));
    session.insert("cart", &cart)?;
    Ok(cart.join(", "))
}

/// Stands for a query or a call to another service.
async fn work() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

const PAGE: &str = r#"<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Dashboard</title>
<h1>Dashboard</h1><pre id="log" aria-live="polite"></pre>
<script>
const began = performance.now();
const log = document.getElementById("log");
const call = async (method, path) => {
    const answer = await (await fetch(path, { method })).text();
    log.textContent += `${Math.round(performance.now() - began)} ms  ${method} ${path}: ${answer}\n`;
};
call("GET", "/news"); call("GET", "/news"); call("GET", "/report");
call("POST", "/seen"); call("POST", "/seen"); call("POST", "/cart");
</script></html>
"#;
