//! What the layer adds to a route that never touches its session: the same application with and without it,
//! in turns, for a client with a genuine cookie. No request reaches the store; that is counted.

#![expect(clippy::expect_used, reason = "a bench stops at the first thing that goes wrong")]

#[expect(dead_code, reason = "each bench uses a part of it")]
#[path = "../../../benches/support/mod.rs"]
mod support;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::routing::get;
use cloakroom::{Access, Calling, Key, MemoryStore, OpenError, OpenRequest, Store, SweepBudget};
use cloakroom_axum::{Error, Session, SessionLayer, SessionManager, Settings};
use support::{Report, Run, Spread};
use tower::ServiceExt as _;

fn main() {
    let run = Run::from_arguments();
    let mut report = Report::new(run, "layer", &std::env::temp_dir());
    let opens = Arc::new(AtomicU64::new(0));
    let store = Counting { store: MemoryStore::new(), opens: Arc::clone(&opens) };
    let settings = Settings::new("a secret key of a bench, 32 bytes and more").plain_http();
    let manager = SessionManager::new(store, settings).expect("the settings make sense");
    let routes = || Router::new().route("/static", get("hello")).route("/count", get(count));
    let bare = routes();
    let layered = routes().layer(SessionLayer::new(manager));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");

    runtime.block_on(async {
        let response = layered.clone().oneshot(request("/count", "")).await.expect("an answer");
        let cookie = response.headers().get(SET_COOKIE).expect("a new session has a cookie");
        let cookie = cookie.to_str().expect("cookies are ASCII").split(';').next();
        let cookie = format!("theme=dark; {}; consent=yes", cookie.unwrap_or_default());
        let before = opens.load(Ordering::Relaxed);
        let (requests, rounds) = run.pick((100_000, 21), (100, 1));
        let mut added = Vec::new();
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let one = micros_each(&bare, "/static", &cookie, requests).await;
            let other = micros_each(&layered, "/static", &cookie, requests).await;
            added.push(other - one);
            without.push(one);
            with.push(other);
        }
        assert_eq!(opens.load(Ordering::Relaxed), before, "a static route reached the store");
        let added = Spread::of(added).expect("there were rounds");
        report.verdict(
            "added by the layer to a route that never touches its session",
            added.text(" us"),
            "< 2 us, no store access",
            added.median < 2.0,
        );
        for (what, figures) in [("the route with it", with), ("and without", without)] {
            report.beside(what, Spread::of(figures).expect("there were rounds").text(" us"));
        }
        let mut counted = Vec::new();
        for _ in 0..rounds {
            counted.push(micros_each(&layered, "/count", &cookie, requests / 10).await);
        }
        let counted = Spread::of(counted).expect("there were rounds");
        report.beside("a route that counts, MemoryStore", counted.text(" us"));
        assert!(opens.load(Ordering::Relaxed) > before, "nothing was counted");
    });
    report.print();
}

async fn count(session: Session) -> Result<String, Error> {
    let count = session.update("count", |count: Option<u32>| count.unwrap_or(0) + 1)?;
    Ok(count.to_string())
}

fn request(path: &str, cookie: &str) -> Request<Body> {
    let request = Request::builder().uri(path).header(COOKIE, cookie);
    request.body(Body::empty()).expect("a request")
}

async fn micros_each(app: &Router, path: &str, cookie: &str, requests: u32) -> f64 {
    let began = Instant::now();
    for _ in 0..requests {
        let answer = app.clone().oneshot(request(path, cookie)).await;
        assert!(answer.is_ok_and(|answer| answer.status().is_success()), "{path}");
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(requests)
}

/// A store that counts how often it is asked for a session.
struct Counting {
    store: MemoryStore,
    opens: Arc<AtomicU64>,
}

impl Store for Counting {
    type Hold = <MemoryStore as Store>::Hold;

    fn name(&self) -> &'static str {
        self.store.name()
    }

    fn accesses(&self) -> &'static [Access] {
        self.store.accesses()
    }

    fn open(
        &self,
        key: &Key,
        request: OpenRequest,
    ) -> impl Future<Output = Result<Self::Hold, OpenError>> + Send {
        self.opens.fetch_add(1, Ordering::Relaxed);
        self.store.open(key, request)
    }

    fn sweep(
        &self,
        budget: SweepBudget,
        calling: Calling,
    ) -> impl Future<Output = Result<cloakroom::Swept, OpenError>> + Send {
        self.store.sweep(budget, calling)
    }
}
