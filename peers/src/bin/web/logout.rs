//! Whether a logout holds: a slow request reads its session, the user logs out, then the slow one writes.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::app::Kind;
use crate::client::{Client, Jar};
use crate::server::Server;

/// What came out for one app and one way of the slow request.
#[derive(Debug, Serialize)]
pub struct Logout {
    pub app: Kind,
    /// The route of the slow request.
    pub slow: &'static str,
    /// Whether the logout waited until the slow request had ended.
    pub waited: bool,
    /// How the slow request was answered.
    pub slow_status: u16,
    /// Whether the user is logged in at the end: with the cookie of before, or with one that the slow
    /// request's answer brought.
    pub logged_in: bool,
}

pub fn measure(servers: &[Server]) -> Result<Vec<Logout>> {
    eprintln!("logout: a slow request for each app");
    let mut all = Vec::new();
    for server in servers {
        for slow in server.app.slow_routes() {
            let name = server.app.name();
            all.push(try_one(server, slow).with_context(|| format!("{name}, {slow}"))?);
        }
    }
    Ok(all)
}

fn try_one(server: &Server, slow: &'static str) -> Result<Logout> {
    let mut client = Client::connect(server.address)?;
    let mut jar = Jar::default();
    ask(&mut client, "/login", &mut jar)?;
    ensure!(is_logged_in(&mut client, &jar)?, "the login did not work");

    thread::scope(|scope| {
        let slow_client = Client::connect(server.address)?;
        let slow_request = scope.spawn({
            let jar = jar.clone();
            move || send(slow_client, slow, jar)
        });
        ask(&mut client, "/arrived", &mut Jar::default())?;

        let (done, logged_out) = mpsc::channel();
        let logout_client = Client::connect(server.address)?;
        let logout_jar = jar.clone();
        scope.spawn(move || done.send(send(logout_client, "/logout", logout_jar)));
        let early = logged_out.recv_timeout(PATIENCE).ok();
        let waited = early.is_none();
        if !waited {
            ensure!(!is_logged_in(&mut client, &jar)?, "the logout did not work");
        }
        ask(&mut client, "/go", &mut Jar::default())?;

        let late = || logged_out.recv().context("the logout was not sent");
        let (status, _) = early.map_or_else(late, Ok)??;
        ensure!(status == 200, "the logout was answered with status {status}");
        let slow_request = slow_request.join().ok().context("the slow request panicked")?;
        let (slow_status, slow_jar) = slow_request?;
        let logged_in = is_logged_in(&mut client, &jar)? || is_logged_in(&mut client, &slow_jar)?;
        Ok(Logout { app: server.app, slow, waited, slow_status, logged_in })
    })
}

/// One request: how it was answered, and the cookie after it.
fn send(mut client: Client, path: &str, mut jar: Jar) -> Result<(u16, Jar)> {
    let status = client.get(path, &mut jar)?.status;
    Ok((status, jar))
}

/// One request that has to work.
fn ask(client: &mut Client, path: &str, jar: &mut Jar) -> Result<String> {
    let answer = client.get(path, jar)?;
    let (status, text) = (answer.status, answer.text);
    ensure!(status == 200, "GET {path}: status {status}: {text}");
    Ok(text.to_owned())
}

/// Whether the cookie in this jar is that of a logged-in user; the jar itself stays as it is.
fn is_logged_in(client: &mut Client, jar: &Jar) -> Result<bool> {
    Ok(!ask(client, "/user", &mut jar.clone())?.is_empty())
}

/// A logout that is not answered so long waits for the slow request, which waits for us.
const PATIENCE: Duration = Duration::from_millis(500);
