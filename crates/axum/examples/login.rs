//! Login and logout: a new id at login, the end of the session at logout, and pages that only look who it is.
//!
//! ```text
//! cargo run -p cloakroom-axum --example login
//! curl -b jar -c jar -d user=ada -d password=lovelace http://127.0.0.1:3000/login
//! curl -b jar -c jar http://127.0.0.1:3000/
//! curl -b jar -c jar -X POST http://127.0.0.1:3000/logout
//! ```

use std::env;
use std::time::Duration;

use axum::extract::Form;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cloakroom::FileStore;
use cloakroom_axum::{
    Error, LazySession, Session, SessionLayer, SessionManager, Settings, Snapshot,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let directory = env::args().nth(2).unwrap_or_else(|| "sessions".to_owned());
    let secret =
        env::var("SECRET_KEY").unwrap_or_else(|_| "for trying out only, not a secret".to_owned());

    let settings = Settings::new(secret)
        .plain_http()
        .timeout(Duration::from_secs(3_600))
        .absolute_timeout(Duration::from_secs(12 * 3_600));
    let manager = SessionManager::new(FileStore::open(directory)?, settings)?;
    let app = Router::new()
        .route("/", get(home))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .layer(SessionLayer::new(manager));

    let listener = TcpListener::bind(address).await?;
    println!("http://{}/", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// Who is logged in, as the session stores it.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct User {
    name: String,
    admin: bool,
}

#[derive(Deserialize)]
struct Credentials {
    user: String,
    password: String,
}

/// Only looks, so it waits for no other request of the session.
async fn home(session: Snapshot) -> Result<Response, Error> {
    Ok(match session.get::<User>("user")? {
        Some(user) => Json(user).into_response(),
        None => (StatusCode::UNAUTHORIZED, "Please log in.\n").into_response(),
    })
}

/// `LazySession`: the form is read, and the password checked, before the session is opened and others wait.
async fn login(session: LazySession, Form(form): Form<Credentials>) -> Result<Response, Error> {
    let Some(user) = check(&form) else {
        return Ok((StatusCode::UNAUTHORIZED, "Wrong user or password.\n").into_response());
    };
    let session = session.open().await?;
    // An id that somebody knew, or planted, before the login is worth nothing after it.
    session.renew()?;
    session.insert("user", user)?;
    Ok(Redirect::to("/").into_response())
}

/// Ends the session for all its requests, those under way included: what they save later is not stored.
async fn logout(session: Session) -> Result<Redirect, Error> {
    session.destroy().await?;
    Ok(Redirect::to("/"))
}

/// An application has its users in a database, and their passwords hashed by argon2 or the like.
fn check(form: &Credentials) -> Option<User> {
    let user = User { name: form.user.clone(), admin: form.user == "ada" };
    matches!((&*form.user, &*form.password), ("ada", "lovelace") | ("bob", "builder"))
        .then_some(user)
}
