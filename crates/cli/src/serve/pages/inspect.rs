//! The session of the request, as a page for who develops. It shows neither the cookie nor the id: both are
//! secrets, and pages get shared.

use std::time::SystemTime;

use axum::response::Html;
use cloakroom::{Look, Timestamp};
use cloakroom_axum::{Error, LazySession, Snapshot};
use serde_json::{Map, Value};

use crate::mask::Mask;
use crate::serve::html::{escape, page, table};
use crate::serve::keeper::Looking;
use crate::serve::site::COOKIE;
use crate::shown::Shown;
use crate::units::{date, grouped, human_age};

/// Shows it.
pub async fn show(
    session: Snapshot,
    lazy: LazySession,
    looking: Option<Looking>,
) -> Result<Html<String>, Error> {
    let client = lazy.client().map_or_else(|| "unknown".to_owned(), |client| client.to_string());
    let mut rows = vec![
        ("client", client),
        ("taken", "snapshot: the last committed version; it never waits".to_owned()),
        ("cookie", format!("{COOKIE}; Path=/; HttpOnly; SameSite=Lax")),
        ("not in use", "Secure, __Host- (plain HTTP); Domain, Max-Age".to_owned()),
    ];
    if session.is_new()? {
        rows.push(("session", "none is stored yet; /count makes one".to_owned()));
        return Ok(page("Your session", &table(rows)));
    }
    let key = session.key()?;
    rows.push(("key", format!("{key} (a hash of the id, which is in the cookie)")));
    // Another request may have committed since: what this says is a moment younger than the values.
    let look = match looking {
        Some(looking) => looking(key).await.ok().flatten(),
        None => None,
    };
    rows.extend(look.iter().flat_map(record));
    let (values, hidden) = values(&session)?;
    let mut main = table(rows);
    main.push_str(&format!("<h2>Values</h2>\n<pre>{}</pre>\n", escape(&values)));
    if !hidden.is_empty() {
        main.push_str(&format!("<p>Hidden: {}</p>\n", escape(&hidden.join(", "))));
    }
    Ok(page("Your session", &main))
}

/// All values as JSON, and the names of those that are hidden.
fn values(session: &Snapshot) -> Result<(String, Vec<String>), Error> {
    let mut values = Map::new();
    for name in session.keys()? {
        let value = session.get::<Shown>(&name)?.map_or(Value::Null, |Shown(value)| value);
        values.insert(name, value);
    }
    let mut hidden = Vec::new();
    Mask::new(&[]).hide(&mut values, &mut hidden);
    Ok((format!("{:#}", Value::Object(values)), hidden))
}

fn record(look: &Look) -> Vec<(&'static str, String)> {
    let record = &look.record;
    let now = Timestamp::from(SystemTime::now());
    let ago = |time: Timestamp| format!("{} ({} ago)", date(time), human_age(now.since(time)));
    let ends = record.deadline().map_or_else(
        || "never".to_owned(),
        |deadline| format!("{} (in {})", date(deadline), human_age(deadline.since(now))),
    );
    vec![
        ("version", grouped(record.version)),
        ("created", ago(record.created)),
        ("accessed", ago(record.accessed)),
        ("ends", ends),
        ("payload", format!("{} bytes", grouped(look.payload.len() as u64))),
    ]
}
