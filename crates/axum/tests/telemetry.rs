//! What operators see: metrics by route and access, and log lines that name routes, and no ids or values.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use cloakroom_axum::{Error, Optimistic, Session, telemetry};
use common::{Browser, counter, settings};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

/// What is logged on this thread meanwhile.
fn logged(work: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::CLOSE)
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let bytes = log.0.lock().clone();
    String::from_utf8(bytes).unwrap()
}

/// What is counted on this thread meanwhile: name, access, route and how often.
fn counted(work: impl FnOnce()) -> Vec<(String, String, String, usize)> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, work);
    let metrics = snapshotter.snapshot().into_vec();
    let mut rows: Vec<_> = metrics
        .into_iter()
        .map(|(key, _, _, value)| {
            let label = |name| {
                let mut labels = key.key().labels();
                labels.find(|label| label.key() == name).unwrap().value().to_owned()
            };
            let times = match value {
                DebugValue::Counter(times) => usize::try_from(times).unwrap(),
                DebugValue::Histogram(values) => values.len(),
                DebugValue::Gauge(_) => unreachable!("there are none"),
            };
            (key.key().name().to_owned(), label("access"), label("route"), times)
        })
        .collect();
    rows.sort();
    rows
}

fn row(name: &str, access: &str, route: &str, times: usize) -> (String, String, String, usize) {
    (name.to_owned(), access.to_owned(), route.to_owned(), times)
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn slow_routes() -> Router {
    async fn early(session: Session) -> Result<(), Error> {
        session.insert("secret", "a value nobody should log")?;
        session.commit().await?;
        Ok(())
    }
    async fn late(session: Session) -> Result<(), Error> {
        session.release().await?;
        session.insert("secret", "a value nobody should log")?;
        Ok(())
    }
    counter().route("/early", get(early)).route("/late/{of}", get(late))
}

#[test]
fn waits_holds_and_early_exits_are_counted_by_route_and_access() {
    let app = common::memory().app(slow_routes());
    let rows = counted(|| {
        runtime().block_on(async {
            let browser = Browser::default();
            browser.get(&app, "/count").await.is(200, "1");
            browser.get(&app, "/count").await.is(200, "2");
            browser.get(&app, "/look").await.is(200, "Some(2)");
            browser.get(&app, "/early").await.is(200, "");
            assert_eq!(browser.get(&app, "/late/7").await.status, 500);
        });
    });
    let mut expected = vec![
        row(telemetry::RELEASES, "exclusive", "GET /early", 1),
        row(telemetry::RELEASES, "exclusive", "GET /late/{of}", 1),
    ];
    for name in [telemetry::HOLD, telemetry::WAIT] {
        expected.extend([
            row(name, "exclusive", "GET /count", 2),
            row(name, "exclusive", "GET /early", 1),
            row(name, "exclusive", "GET /late/{of}", 1),
            row(name, "snapshot", "GET /look", 1),
        ]);
    }
    expected.sort();
    assert_eq!(rows, expected);
}

#[test]
fn a_conflict_is_counted_and_logged_once_with_its_route() {
    // At the end of the request, and by a commit of the handler, which is tried again there.
    for commits in [false, true] {
        let at = common::memory();
        let rival = at.app(counter());
        let browser = Browser::default();
        let tab = browser.clone();
        let beaten = move |session: Optimistic| async move {
            session.insert("count", 7)?;
            tab.copy().get(&rival, "/count").await.is(200, "2");
            if commits {
                assert!(session.commit().await.unwrap_err().is_conflict());
            }
            Ok::<_, Error>(())
        };
        let app = at.app(counter().route("/beaten", get(beaten)));
        let mut rows = Vec::new();
        let log = logged(|| {
            rows = counted(|| {
                runtime().block_on(async {
                    browser.get(&app, "/count").await.is(200, "1");
                    assert_eq!(browser.get(&app, "/beaten").await.status, 409);
                });
            });
        });
        let counted = row(telemetry::CONFLICTS, "optimistic", "GET /beaten", 1);
        assert!(rows.contains(&counted), "{rows:?}");
        let faster = |line: &&str| line.contains("another request was faster");
        let lines: Vec<_> = log.lines().filter(faster).collect();
        let [line] = lines[..] else { panic!("{lines:?}") };
        assert!(line.contains("GET /beaten") && line.contains("INFO"), "{line}");
    }
}

#[test]
fn a_change_after_a_release_is_reported_with_its_route_and_without_values_or_ids() {
    let app = common::memory().app(slow_routes());
    let browser = Browser::default();
    let log = logged(|| {
        runtime().block_on(async {
            browser.get(&app, "/early").await.is(200, "");
            assert_eq!(browser.get(&app, "/late/7").await.status, 500);
        });
    });
    let line = log.lines().find(|line| line.contains("changed after it was released")).unwrap();
    assert!(line.contains("WARN") && line.contains("GET /late/{of}"), "{line}");
    assert!(!log.contains("nobody should log"), "{log}");
    let cookies = browser.cookies();
    let value = cookies.split_once('=').unwrap().1;
    assert!(value.split('.').all(|part| !log.contains(part)), "{log}");
    // The hold is a span, and its end tells how long it took.
    assert!(log.contains(" session{route=\"GET /early\" access=\"exclusive\""), "{log}");
}

#[test]
fn who_waits_too_long_is_logged_with_the_route_of_the_holder() {
    let opened = Arc::new(Notify::new());
    let has_opened = Arc::clone(&opened);
    let hang = move |_: Session| {
        has_opened.notify_one();
        pending::<Result<(), Error>>()
    };
    let soon = settings().lock_wait(Duration::from_millis(5));
    let at = common::file();
    let app = at.app_with(soon, counter().route("/hang/{of}", get(hang)));
    let browser = Browser::default();
    let mut rows = Vec::new();
    let log = logged(|| {
        rows = counted(|| {
            runtime().block_on(async {
                browser.get(&app, "/count").await.is(200, "1");
                let (tab, same) = (browser.clone(), app.clone());
                let hanging = tokio::spawn(async move { tab.get(&same, "/hang/7").await });
                opened.notified().await;
                assert_eq!(browser.get(&app, "/count").await.status, 503);
                hanging.abort();
            });
        });
    });
    let line = log.lines().find(|line| line.contains("WARN")).unwrap();
    assert!(line.contains("route=\"GET /count\""), "{line}");
    assert!(line.contains("holder_route=\"GET /hang/{of}\""), "{line}");
    assert!(rows.contains(&row(telemetry::TIMEOUTS, "exclusive", "GET /count", 1)), "{rows:?}");
    // One that was granted, and the one that was not.
    assert!(rows.contains(&row(telemetry::WAIT, "exclusive", "GET /count", 2)), "{rows:?}");
}
