//! Requests of one session that wait for each other, over every store with locks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use axum::body::Body;
use axum::routing::{get, post};
use cloakroom::{Access, Store};
use cloakroom_axum::{Error, Session};
use common::{Browser, Stage, counter, settings};
use futures_util::stream;
use tokio::sync::{Notify, Semaphore};
use tower::ServiceExt as _;
over!([memory file] [
    exclusive_requests_wait_for_each_other_and_lose_nothing
    after_a_release_or_a_commit_the_others_go_on
    a_writer_waits_for_shared_readers_and_no_snapshot_waits
    who_waits_too_long_is_told_503_and_when_to_come_back
    a_panic_lets_the_session_go
    a_session_is_let_go_before_the_body_streams
    a_cancelled_request_saves_nothing_and_lets_its_session_go
]);

async fn exclusive_requests_wait_for_each_other_and_lose_nothing<S: Store>(at: &Stage<S>) {
    async fn slowly(session: Session) -> Result<(), Error> {
        let count: u32 = session.get("count")?.unwrap_or(0);
        tokio::task::yield_now().await;
        session.insert("count", count + 1)?;
        Ok(())
    }
    let app = at.app(counter().route("/slowly", post(slowly)));
    let browser = Browser::default();
    browser.get(&app, "/count").await.is(200, "1");
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (tab, app) = (browser.clone(), app.clone());
            tokio::spawn(async move {
                for _ in 0..100 {
                    tab.post(&app, "/slowly").await.is(200, "");
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    browser.get(&app, "/look").await.is(200, "Some(801)");
}

async fn after_a_release_or_a_commit_the_others_go_on<S: Store>(at: &Stage<S>) {
    let (arrived, go) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
    let handler = |commits: bool| {
        let (arrived, go) = (Arc::clone(&arrived), Arc::clone(&go));
        move |session: Session| async move {
            session.update("count", |count: Option<u32>| count.unwrap_or(0) + 1)?;
            if commits {
                session.commit().await?;
            } else {
                session.release().await?;
            }
            arrived.add_permits(1);
            go.notified().await;
            Ok::<_, Error>(format!("{:?}", session.get::<u32>("count")?))
        }
    };
    let routes =
        counter().route("/commit", get(handler(true))).route("/release", get(handler(false)));
    let app = at.app(routes);
    let browser = Browser::default();
    browser.get(&app, "/count").await.is(200, "1");
    let spawn = |path: &'static str| {
        let (tab, app) = (browser.clone(), app.clone());
        tokio::spawn(async move { tab.get(&app, path).await })
    };
    let slow = [spawn("/commit"), spawn("/release"), spawn("/commit"), spawn("/release")];
    // All four are at work at once, none of them done.
    let _all = arrived.acquire_many(4).await.unwrap();
    browser.get(&app, "/count").await.is(200, "4");
    for task in slow {
        go.notify_waiters();
        go.notify_one();
        assert_eq!(task.await.unwrap().status, 200);
    }
}

async fn a_writer_waits_for_shared_readers_and_no_snapshot_waits<S: Store>(at: &Stage<S>) {
    let (arrived, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (at_work, may_go) = (Arc::clone(&arrived), Arc::clone(&go));
    let read = move |session: cloakroom_axum::Shared| async move {
        let count: Option<u32> = session.get("count")?;
        at_work.add_permits(1);
        may_go.acquire().await.unwrap().forget();
        Ok::<_, Error>(format!("{count:?}"))
    };
    let app = at.app(counter().route("/read", get(read)));
    let browser = Browser::default();
    browser.get(&app, "/count").await.is(200, "1");
    let spawn = |path: &'static str| {
        let (tab, app) = (browser.clone(), app.clone());
        tokio::spawn(async move { tab.get(&app, path).await })
    };
    let readers = [spawn("/read"), spawn("/read")];
    arrived.acquire_many(2).await.unwrap().forget();
    let writer = spawn("/count");
    browser.get(&app, "/look").await.is(200, "Some(1)");
    assert!(!writer.is_finished());
    go.add_permits(2);
    for reader in readers {
        reader.await.unwrap().is(200, "Some(1)");
    }
    writer.await.unwrap().is(200, "2");
}

async fn who_waits_too_long_is_told_503_and_when_to_come_back<S: Store>(at: &Stage<S>) {
    let opened = Arc::new(Notify::new());
    let has_opened = Arc::clone(&opened);
    let hang = move |_: Session| {
        has_opened.notify_one();
        pending::<Result<(), Error>>()
    };
    let soon = settings().lock_wait(std::time::Duration::from_millis(5));
    let app = at.app_with(soon, counter().route("/hang/{of}", get(hang)));
    let browser = Browser::default();
    browser.get(&app, "/count").await.is(200, "1");
    let (tab, same) = (browser.clone(), app.clone());
    let hanging = tokio::spawn(async move { tab.get(&same, "/hang/7").await });
    opened.notified().await;
    let answer = browser.get(&app, "/count").await;
    answer.is(503, "The session is busy. Please try again.");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("vary"), Some("Cookie"));
    assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    hanging.abort();
    let _ = hanging.await;
    browser.get(&app, "/count").await.is(200, "2");
}

async fn a_panic_lets_the_session_go<S: Store>(at: &Stage<S>) {
    async fn fail(session: Session) -> Result<(), Error> {
        assert_eq!(session.access()?, Access::Exclusive);
        panic!("as planned");
    }
    let no_wait = settings().lock_wait(std::time::Duration::ZERO);
    let app = at.app_with(no_wait, counter().route("/panic", get(fail)));
    let browser = Browser::default();
    browser.get(&app, "/count").await.is(200, "1");
    let (tab, same) = (browser.clone(), app.clone());
    assert!(tokio::spawn(async move { tab.get(&same, "/panic").await }).await.is_err());
    browser.get(&app, "/count").await.is(200, "2");
}

async fn a_session_is_let_go_before_the_body_streams<S: Store>(at: &Stage<S>) {
    async fn stream(session: Session) -> Result<Body, Error> {
        session.insert("count", 7)?;
        Ok(Body::from_stream(stream::pending::<Result<&str, Infallible>>()))
    }
    let app = at.app(counter().route("/stream", get(stream)));
    let browser = Browser::default();
    browser.get(&app, "/count").await.is(200, "1");
    let response = app.clone().oneshot(browser.request("GET", "/stream", Body::empty())).await;
    let response = response.unwrap();
    // Its body never ends, and yet:
    browser.get(&app, "/count").await.is(200, "8");
    drop(response);
}

async fn a_cancelled_request_saves_nothing_and_lets_its_session_go<S: Store>(at: &Stage<S>) {
    let opened = Arc::new(Notify::new());
    let has_opened = Arc::clone(&opened);
    let hang = move |session: Session| async move {
        session.insert("count", 99)?;
        has_opened.notify_one();
        pending::<()>().await;
        Ok::<_, Error>(())
    };
    let app = at.app(counter().route("/hang", get(hang)));
    let browser = Browser::default();
    browser.get(&app, "/count").await.is(200, "1");
    let (tab, same) = (browser.clone(), app.clone());
    let hanging = tokio::spawn(async move { tab.get(&same, "/hang").await });
    opened.notified().await;
    hanging.abort();
    assert!(hanging.await.is_err_and(|error| error.is_cancelled()));
    browser.get(&app, "/count").await.is(200, "2");
}
