//! A login: who it is, and what they may do, are in the session.

use std::time::Duration;

use axum::Form;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use cloakroom_axum::{Error, LazySession, Session, Snapshot};
use serde::Deserialize;
use tokio::time;

use crate::serve::html::{escape, page};

/// Who is logged in; or the form.
pub async fn show(session: Snapshot) -> Result<Html<String>, Error> {
    if session.get::<u8>("login")? != Some(1) {
        return Ok(form(""));
    }
    let user: String = session.get("user")?.unwrap_or_default();
    let privilege: u8 = session.get("privilege")?.unwrap_or(0);
    Ok(page(
        "Logged in",
        &format!(
            "<p>Logged in as <strong>{}</strong> with privilege {privilege}.</p>\n{LOGOUT}",
            escape(&user)
        ),
    ))
}

/// Logs in. The whole form is here before the session is opened: a client that sends slowly keeps no other
/// request of its session waiting.
pub async fn check(session: LazySession, given: Credentials) -> Result<Response, Error> {
    let user = given.user();
    let session = session.open().await?;
    let Some(User { name, privilege, .. }) = user else {
        // A guess begins no session: whoever tries a million passwords would leave as many.
        if !session.is_new()? {
            session.remove("user")?;
            session.insert("login", 0)?;
            session.insert("privilege", 0)?;
        }
        let form = form("<p role=\"alert\">There is no such user with this password.</p>\n");
        return Ok((StatusCode::UNAUTHORIZED, form).into_response());
    };
    // An id that somebody knew before is worth nothing from now on.
    session.renew()?;
    session.insert("user", name)?;
    session.insert("login", 1)?;
    session.insert("privilege", privilege)?;
    Ok(Redirect::to("/login").into_response())
}

/// The button to log out: a link alone does not.
pub async fn ask() -> Html<String> {
    page("Log out", LOGOUT)
}

/// Logs out.
pub async fn end(session: Session) -> Result<Redirect, Error> {
    session.destroy().await?;
    Ok(Redirect::to("/login"))
}

/// What somebody says who they are.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Credentials {
    user: String,
    passwd: String,
}

impl Credentials {
    /// Whose they are. All users are compared, and all bits, whatever is found before: neither the answer
    /// nor its time tells which users there are.
    fn user(&self) -> Option<&'static User> {
        let (user, passwd) = (hash(&self.user), hash(&self.passwd));
        let mut found = None;
        for known in &USERS {
            // Hashes are compared in constant time.
            let is_user = user == hash(known.name);
            let is_passwd = passwd == hash(known.passwd);
            if is_user & is_passwd {
                found = Some(known);
            }
        }
        found
    }
}

impl<S: Send + Sync> FromRequest<S> for Credentials {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        match time::timeout(FORM_WAIT, Form::from_request(request, state)).await {
            Ok(Ok(Form(given))) => Ok(given),
            Ok(Err(refusal)) => Err(refusal.into_response()),
            Err(_) => {
                Err((StatusCode::REQUEST_TIMEOUT, "The form took too long.\n").into_response())
            }
        }
    }
}

/// Somebody who can log in.
struct User {
    name: &'static str,
    passwd: &'static str,
    privilege: u8,
}

/// For the demonstration: an application keeps slow hashes of passwords, and not in its source.
const USERS: [User; 2] = [
    User { name: "ada", passwd: "lovelace", privilege: 2 },
    User { name: "bob", passwd: "builder", privilege: 1 },
];

fn hash(text: &str) -> blake3::Hash {
    blake3::hash(text.as_bytes())
}

fn form(message: &str) -> Html<String> {
    page("Log in", &format!("{message}{FORM}"))
}

/// How long a client may take to send the form.
const FORM_WAIT: Duration = Duration::from_secs(30);

const FORM: &str = "\
<form method=\"post\" action=\"/login\">
<p><label>User <input name=\"user\" autocomplete=\"username\" required></label></p>
<p><label>Password <input name=\"passwd\" type=\"password\" autocomplete=\"current-password\" \
required></label></p>
<p><button class=\"primary\">Log in</button></p>
</form>
<p>There are <code>ada</code> with <code>lovelace</code>, and <code>bob</code> with <code>builder</code>.</p>
";

const LOGOUT: &str = "<form method=\"post\" action=\"/logout\"><button>Log out</button></form>\n";
