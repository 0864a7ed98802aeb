//! How long a lock outlives the request that held it: a client hangs up while its handler works with the session
//! exclusively and another request waits for it; from the moment the connection is closed until that
//! one has the session. Over real connections, and with requests that are dropped within the process.

#![expect(clippy::expect_used, reason = "a bench stops at the first thing that goes wrong")]

#[expect(dead_code, reason = "each bench uses a part of it")]
#[path = "../../../benches/support/mod.rs"]
mod support;

use std::future::pending;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::header::COOKIE;
use axum::routing::get;
use cloakroom::FileStore;
use cloakroom_axum::{Error, Session, SessionLayer, SessionManager, Settings};
use support::{Report, Run, Spread, millis, quantile};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tower::ServiceExt as _;

fn main() {
    let run = Run::from_arguments();
    let directory = support::temp_dir();
    let mut report = Report::new(run, "gone", directory.path());
    let store = FileStore::open(directory.path().join("sessions")).expect("the store opens");
    let settings = Settings::new("a secret key of a bench, 32 bytes and more").plain_http();
    let manager = SessionManager::new(store, settings).expect("the settings make sense");
    let (hanging, mut hangs) = unbounded_channel();
    let (granted, mut grants) = unbounded_channel();
    let app = Router::new()
        .route("/begin", get(begin))
        .route("/hang", get(move |session: Session| hang(session, hanging.clone())))
        .route("/next", get(move |session: Session| next(session, granted.clone())))
        .layer(SessionLayer::new(manager));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let (listener, address) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        (listener, address)
    });
    let served = app.clone();
    runtime.spawn(async { axum::serve(listener, served).await });
    let cookie = ask(address, "/begin", "").expect("a new session has a cookie");

    let times = run.pick(2_000, 5);
    let mut closed: Vec<_> =
        (0..times).map(|_| hang_up(address, &cookie, &mut hangs, &mut grants)).collect();
    let mut dropped: Vec<_> = (0..times)
        .map(|_| runtime.block_on(drop_one(&app, &cookie, &mut hangs, &mut grants)))
        .collect();
    for (what, times) in [
        ("a lock outlives the connection of its request", &mut closed),
        ("a lock outlives a request dropped in the process", &mut dropped),
    ] {
        let longest = times.iter().max().copied().unwrap_or_default();
        report.verdict(
            format!("{what}, longest of {}", times.len()),
            format!("{:.3} ms", millis(longest)),
            "10 ms",
            longest <= Duration::from_millis(10),
        );
        let p99 = quantile(times, 0.99);
        let all = Spread::of(times.iter().map(|time| millis(*time))).expect("there were some");
        report.beside("the median", format!("{:.3} ms; 99 %: {:.3} ms", all.median, millis(p99)));
    }
    report.print();
}

async fn begin(session: Session) -> Result<(), Error> {
    session.ensure_saved().await?;
    Ok(())
}

async fn hang(session: Session, hanging: UnboundedSender<()>) -> Result<(), Error> {
    session.insert("hung", true)?;
    let _ = hanging.send(());
    pending().await
}

async fn next(session: Session, granted: UnboundedSender<Instant>) -> Result<(), Error> {
    let _ = granted.send(Instant::now());
    assert_eq!(session.get::<bool>("hung")?, None, "what was cancelled was saved");
    Ok(())
}

/// From the end of a connection to the grant of whoever waits.
fn hang_up(
    address: SocketAddr,
    cookie: &str,
    hangs: &mut UnboundedReceiver<()>,
    grants: &mut UnboundedReceiver<Instant>,
) -> Duration {
    let hanging = send(address, "/hang", cookie);
    hangs.blocking_recv().expect("the handler hangs");
    let mut waiting = send(address, "/next", cookie);
    let gone = Instant::now();
    hanging.shutdown(Shutdown::Both).expect("the connection is open");
    drop(hanging);
    let granted = grants.blocking_recv().expect("the next one has the session");
    answer(&mut waiting);
    granted.saturating_duration_since(gone)
}

/// From the drop of a request to the grant of whoever waits.
async fn drop_one(
    app: &Router,
    cookie: &str,
    hangs: &mut UnboundedReceiver<()>,
    grants: &mut UnboundedReceiver<Instant>,
) -> Duration {
    let request = |path: &str| {
        let request = Request::builder().uri(path).header(COOKIE, cookie);
        app.clone().oneshot(request.body(Body::empty()).expect("a request"))
    };
    let hanging = tokio::spawn(request("/hang"));
    hangs.recv().await.expect("the handler hangs");
    let waiting = tokio::spawn(request("/next"));
    tokio::task::yield_now().await;
    let gone = Instant::now();
    hanging.abort();
    let granted = grants.recv().await.expect("the next one has the session");
    let answer = waiting.await.expect("no panic").expect("an answer");
    assert!(answer.status().is_success(), "{answer:?}");
    granted.saturating_duration_since(gone)
}

fn send(address: SocketAddr, path: &str, cookie: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n");
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).expect("it takes it");
    stream
}

fn answer(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

/// The cookie that the answer sets.
fn ask(address: SocketAddr, path: &str, cookie: &str) -> Option<String> {
    let answer = answer(&mut send(address, path, cookie));
    let set = answer.lines().find_map(|line| line.strip_prefix("set-cookie: "))?;
    set.split(';').next().map(str::to_owned)
}
