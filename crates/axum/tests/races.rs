//! Requests of one session that race, over every store that keeps state.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use cloakroom::{Access, Store};
use cloakroom_axum::{Error, Optimistic, Session, SessionAccess, Snapshot};
use common::{Browser, Stage, counter, settings};
use futures_util::stream::once;
use tokio::sync::Notify;
use tower::ServiceExt as _;
over!([memory file map] [
    logged_out_stays_logged_out_when_a_slow_request_saves_later
    an_overtaken_request_is_told_409_and_its_handler_runs_once
    a_safe_request_that_was_overtaken_runs_again
    a_repeatable_handler_runs_again_with_its_body
    a_handler_that_reports_the_conflict_itself_runs_again
    a_body_that_is_too_long_is_not_kept_and_the_handler_runs_once
    a_request_that_always_loses_comes_to_an_end
    after_too_many_races_an_extractor_that_names_the_access_gets_the_lock_too
]);

/// A handler whose first runs are overtaken by others, and how often it ran.
fn overtaken<S: Store>(
    at: &Stage<S>,
    browser: &Browser,
    races: usize,
    route: SessionAccess,
) -> (Router, Arc<AtomicUsize>) {
    let (rival, others) = (at.app(counter()), browser.clone());
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let handler = move |session: Session, body: String| async move {
        let count = session.update("count", |count: Option<u32>| count.unwrap_or(0) + 10)?;
        let run = counted.fetch_add(1, Ordering::SeqCst) + 1;
        if run <= races && session.access()? == Access::Optimistic {
            others.copy().get(&rival, "/count").await;
        }
        Ok::<_, Error>(format!("{count} {body}"))
    };
    let routes = Router::new().route("/", get(handler.clone()).post(handler).layer(route));
    (at.app(routes.merge(counter())), runs)
}

async fn logged_out_stays_logged_out_when_a_slow_request_saves_later<S: Store>(at: &Stage<S>) {
    async fn login(session: Session) -> Result<(), Error> {
        session.insert("user", "alice")?;
        Ok(())
    }
    async fn logout(session: Session) -> Result<(), Error> {
        session.destroy().await?;
        Ok(())
    }
    async fn who(session: Snapshot) -> Result<String, Error> {
        Ok(session.get::<String>("user")?.unwrap_or_else(|| "nobody".to_owned()))
    }
    let (read, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (has_read, may_go) = (Arc::clone(&read), Arc::clone(&go));
    let slow = move |session: Optimistic| async move {
        session.update("seen", |seen: Option<u32>| seen.unwrap_or(0) + 1)?;
        has_read.notify_one();
        may_go.notified().await;
        Ok::<_, Error>(())
    };
    let routes = Router::new()
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/who", get(who))
        .route("/slow", post(slow));
    let app = at.app(routes);
    let browser = Browser::default();
    browser.post(&app, "/login").await.is(200, "");
    browser.get(&app, "/who").await.is(200, "alice");
    // A thief, or another tab, that goes on with the old cookie.
    let old = browser.copy();
    let (tab, same) = (browser.clone(), app.clone());
    let slow = tokio::spawn(async move { tab.post(&same, "/slow").await });
    read.notified().await;
    browser.copy().post(&app, "/logout").await.is(200, "");
    go.notify_one();
    assert_eq!(slow.await.unwrap().status, 409);
    old.get(&app, "/who").await.is(200, "nobody");
}

async fn an_overtaken_request_is_told_409_and_its_handler_runs_once<S: Store>(at: &Stage<S>) {
    let browser = Browser::default();
    let (app, runs) = overtaken(at, &browser, 1, SessionAccess::optimistic());
    browser.get(&app, "/count").await.is(200, "1");
    let answer = browser.post(&app, "/").await;
    assert_eq!((answer.status, runs.load(Ordering::SeqCst)), (409, 1));
    browser.get(&app, "/look").await.is(200, "Some(2)");
}

async fn a_safe_request_that_was_overtaken_runs_again<S: Store>(at: &Stage<S>) {
    let browser = Browser::default();
    let (app, runs) = overtaken(at, &browser, 2, SessionAccess::optimistic());
    browser.get(&app, "/count").await.is(200, "1");
    browser.get(&app, "/").await.is(200, "13 ");
    assert_eq!(runs.load(Ordering::SeqCst), 3);
    browser.get(&app, "/look").await.is(200, "Some(13)");
}

async fn a_repeatable_handler_runs_again_with_its_body<S: Store>(at: &Stage<S>) {
    let browser = Browser::default();
    let (app, runs) = overtaken(at, &browser, 2, SessionAccess::optimistic().repeatable());
    browser.get(&app, "/count").await.is(200, "1");
    let request = browser.request("POST", "/", "a body");
    let response = app.clone().oneshot(request).await.unwrap();
    browser.read(response).await.is(200, "13 a body");
    assert_eq!(runs.load(Ordering::SeqCst), 3);
}

async fn a_handler_that_reports_the_conflict_itself_runs_again<S: Store>(at: &Stage<S>) {
    let browser = Browser::default();
    let (rival, others) = (at.app(counter()), browser.clone());
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let handler = move |session: Session| async move {
        session.update("count", |count: Option<u32>| count.unwrap_or(0) + 10)?;
        if counted.fetch_add(1, Ordering::SeqCst) == 0 {
            others.copy().get(&rival, "/count").await;
        }
        session.commit().await?;
        Ok::<_, Error>("done")
    };
    let route = get(handler).layer(SessionAccess::optimistic());
    let app = at.app(counter().route("/", route));
    browser.get(&app, "/count").await.is(200, "1");
    browser.get(&app, "/").await.is(200, "done");
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    browser.get(&app, "/look").await.is(200, "Some(12)");
}

async fn a_body_that_is_too_long_is_not_kept_and_the_handler_runs_once<S: Store>(at: &Stage<S>) {
    let browser = Browser::default();
    let route = SessionAccess::optimistic().repeatable().body_max(3);
    let (app, runs) = overtaken(at, &browser, 1, route);
    browser.get(&app, "/count").await.is(200, "1");
    let response = app.clone().oneshot(browser.request("POST", "/", "four")).await.unwrap();
    assert_eq!((response.status().as_u16(), runs.load(Ordering::SeqCst)), (409, 1));
    let stream = Body::from_stream(once(ready(Ok::<_, Infallible>("x"))));
    let response = app.clone().oneshot(browser.request("POST", "/", stream)).await.unwrap();
    // Not overtaken this time: of unknown length, and handled.
    assert_eq!((response.status().as_u16(), runs.load(Ordering::SeqCst)), (200, 2));
}

async fn a_request_that_always_loses_comes_to_an_end<S: Store>(at: &Stage<S>) {
    let browser = Browser::default();
    let (app, runs) = overtaken(at, &browser, usize::MAX, SessionAccess::optimistic());
    browser.get(&app, "/count").await.is(200, "1");
    let answer = browser.get(&app, "/").await;
    let lockable = at.manager(settings()).access() == Access::Exclusive;
    // Where there are locks it gets one after three lost races; where there are none, it is told.
    let expected = if lockable { (200, 4) } else { (409, 16) };
    assert_eq!((answer.status, runs.load(Ordering::SeqCst)), expected);
}

async fn after_too_many_races_an_extractor_that_names_the_access_gets_the_lock_too<S: Store>(
    at: &Stage<S>,
) {
    let browser = Browser::default();
    let (rival, others) = (at.app(counter()), browser.clone());
    let handler = move |named: Optimistic, session: Session| async move {
        session.update("count", |count: Option<u32>| count.unwrap_or(0) + 10)?;
        if named.access()? == Access::Optimistic {
            others.copy().get(&rival, "/count").await;
        }
        Ok::<_, Error>(())
    };
    let app = at.app(counter().route("/", get(handler).layer(SessionAccess::optimistic())));
    browser.get(&app, "/count").await.is(200, "1");
    let lockable = at.manager(settings()).access() == Access::Exclusive;
    let expected = if lockable { 200 } else { 409 };
    assert_eq!(browser.get(&app, "/").await.status, expected);
}
