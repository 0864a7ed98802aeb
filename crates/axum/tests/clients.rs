//! Clients that go away, read or send slowly, or do nothing at all.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::future::pending;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use cloakroom::Store;
use cloakroom_axum::{Error, LazySession, Session};
use common::server::{Connection, Example, Server};
use common::{Stage, counter};
use futures_util::stream;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;

over!([memory file] [
    a_client_that_goes_away_lets_its_session_go
    a_client_that_reads_slowly_holds_nothing
    a_client_that_sends_slowly_holds_nothing
]);

async fn a_client_that_goes_away_lets_its_session_go<S: Store>(at: &Stage<S>) {
    let opened = Arc::new(Notify::new());
    let has_opened = Arc::clone(&opened);
    let hang = move |session: Session| async move {
        session.insert("count", 99)?;
        has_opened.notify_one();
        pending::<()>().await;
        Ok::<_, Error>(())
    };
    let server = Server::start(at.app(counter().route("/hang", get(hang)))).await;
    let address = server.address;
    let cookie = spawn_blocking(move || Connection::open(address).get("/count", "").cookie());
    let cookie = cookie.await.unwrap().unwrap();
    let mut gone = Connection::open(address);
    gone.send("GET", "/hang", cookie.as_bytes(), "").unwrap();
    opened.notified().await;
    let waits = spawn_blocking(move || Connection::open(address).get("/count", &cookie));
    assert!(!waits.is_finished());
    drop(gone);
    let answer = waits.await.unwrap();
    assert_eq!((answer.status, &*answer.body), (200, "2"));
}

async fn a_client_that_reads_slowly_holds_nothing<S: Store>(at: &Stage<S>) {
    async fn endless(session: Session) -> Result<Body, Error> {
        session.insert("count", 7)?;
        let chunk = Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 4_096]));
        Ok(Body::from_stream(stream::repeat_with(move || match &chunk {
            Ok(chunk) => Ok(chunk.clone()),
            Err(error) => Err(std::io::Error::from(error.kind())),
        })))
    }
    let server = Server::start(at.app(counter().route("/endless", get(endless)))).await;
    let address = server.address;
    spawn_blocking(move || {
        let cookie = Connection::open(address).get("/count", "").cookie().unwrap();
        let mut slow = TcpStream::connect(address).unwrap();
        write!(slow, "GET /endless HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n").unwrap();
        // The response has begun, and the server cannot send more than the buffers hold.
        slow.read_exact(&mut [0; 16]).unwrap();
        assert_eq!(Connection::open(address).get("/count", &cookie).body, "8");
    })
    .await
    .unwrap();
}

async fn a_client_that_sends_slowly_holds_nothing<S: Store>(at: &Stage<S>) {
    // The body is the last argument of a handler: whoever wants it before the session is opened, opens it lazily.
    async fn form(session: LazySession, body: String) -> Result<String, Error> {
        let session = session.open().await?;
        session.insert("body", &body)?;
        Ok(body)
    }
    let server = Server::start(at.app(counter().route("/form", post(form)))).await;
    let address = server.address;
    spawn_blocking(move || {
        let cookie = Connection::open(address).get("/count", "").cookie().unwrap();
        let mut head = Connection::open(address);
        head.write(b"GET /count HTTP/1.1\r\nHost: x\r\nCookie: ").unwrap();
        head.write(cookie.as_bytes()).unwrap();
        let mut body = Connection::open(address);
        let start = "POST /form HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nCookie: ";
        body.write(format!("{start}{cookie}\r\n\r\nsl").as_bytes()).unwrap();
        assert_eq!(Connection::open(address).get("/count", &cookie).body, "2");
        head.write(b"\r\n\r\n").unwrap();
        assert_eq!(head.read().unwrap().body, "3");
        body.write(b"ow").unwrap();
        assert_eq!(body.read().unwrap().body, "slow");
    })
    .await
    .unwrap();
}

#[test]
fn ten_thousand_idle_connections_leave_room_for_a_request() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).unwrap();
    let most = limit.maximum.unwrap_or(u64::MAX).saturating_sub(200);
    let connections = most.min(10_000);
    if connections < 10_000 {
        eprintln!("only {connections} connections: the limit on open files allows no more");
    }
    // In a process of its own, which inherits the limit: each end of a connection is an open file.
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("sessions");
    let server = Example::start("axum_counter", &[store.to_str().unwrap()]);
    // Who opens many more at once than the server has taken yet, is told to wait by the kernel.
    let mut idle = Vec::new();
    for number in 0..connections {
        idle.push(Connection::open(server.address));
        if number % 100 == 0 {
            assert_eq!(idle.last_mut().unwrap().get("/nothing", "").status, 404);
        }
    }
    let cookie = idle.last_mut().unwrap().get("/count", "").cookie().unwrap();
    assert_eq!(Connection::open(server.address).get("/count", &cookie).body, "2");
    assert_eq!(idle.first_mut().unwrap().get("/count", &cookie).body, "3");
}
