//! Applications over each kind of store, and a browser for them.

#![allow(dead_code, reason = "not every test file uses all of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

pub mod server;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{Request, Response};
use axum::routing::get;
use cloakroom::{FileStore, MapStore, MemoryStore, Store};
use cloakroom_axum::{
    CookieStore, Error, Session, SessionLayer, SessionManager, Settings, Snapshot,
};
use parking_lot::Mutex;
use tower::ServiceExt as _;

pub const SECRET: &str = "a secret key of the tests, 32 bytes and more";

pub fn settings() -> Settings {
    Settings::new(SECRET).plain_http()
}

/// `/count`, `/look`, which only looks, and `/reset`.
pub fn counter() -> Router {
    async fn count(session: Session) -> Result<String, Error> {
        let count = session.update("count", |count: Option<u32>| count.unwrap_or(0) + 1)?;
        Ok(count.to_string())
    }
    async fn look(session: Snapshot) -> Result<String, Error> {
        Ok(format!("{:?}", session.get::<u32>("count")?))
    }
    async fn reset(session: Session) -> Result<&'static str, Error> {
        session.destroy().await?;
        Ok("Reset")
    }
    Router::new()
        .route("/count", get(count).post(count))
        .route("/look", get(look))
        .route("/reset", get(reset))
}

/// A store, and whatever it lives in.
pub struct Stage<S: Store> {
    manager: Box<dyn Fn(Settings) -> SessionManager<S>>,
    _directory: Option<tempfile::TempDir>,
}

impl<S: Store> Stage<S> {
    /// The routes with their sessions in this store.
    pub fn app(&self, routes: Router) -> Router {
        self.app_with(settings(), routes)
    }

    pub fn app_with(&self, settings: Settings, routes: Router) -> Router {
        routes.layer(SessionLayer::new((self.manager)(settings)))
    }

    pub fn manager(&self, settings: Settings) -> SessionManager<S> {
        (self.manager)(settings)
    }
}

pub fn memory() -> Stage<MemoryStore> {
    let store = MemoryStore::new();
    let manager = move |settings| SessionManager::new(store.clone(), settings).unwrap();
    Stage { manager: Box::new(manager), _directory: None }
}

pub fn file() -> Stage<FileStore> {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::open(directory.path().join("sessions")).unwrap();
    let manager = move |settings| SessionManager::new(store.clone(), settings).unwrap();
    Stage { manager: Box::new(manager), _directory: Some(directory) }
}

pub fn map() -> Stage<MapStore> {
    let directory = tempfile::tempdir().unwrap();
    let store = MapStore::open(directory.path().join("sessions")).unwrap();
    let manager = move |settings| SessionManager::new(store.clone(), settings).unwrap();
    Stage { manager: Box::new(manager), _directory: Some(directory) }
}

pub fn sealed() -> Stage<CookieStore> {
    let manager = |settings| SessionManager::sealed(settings).unwrap();
    Stage { manager: Box::new(manager), _directory: None }
}

/// A browser. Its clones are tabs: they share the cookies.
#[derive(Clone, Default)]
pub struct Browser(Arc<Mutex<BTreeMap<String, String>>>);

impl Browser {
    pub fn cookies(&self) -> String {
        let jar = self.0.lock();
        let pairs = jar.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    /// Another browser with the same cookies.
    pub fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.0.lock().clone())))
    }

    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    pub fn request(&self, method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
        let request = Request::builder().method(method).uri(path).header(COOKIE, self.cookies());
        request.body(body.into()).unwrap()
    }

    pub fn take<B>(&self, response: &Response<B>) {
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.0.lock().remove(name);
            } else {
                self.0.lock().insert(name.to_owned(), value.to_owned());
            }
        }
    }

    pub async fn send(&self, app: &Router, method: &str, path: &str) -> Answer {
        let response = app.clone().oneshot(self.request(method, path, Body::empty())).await;
        self.read(response.unwrap()).await
    }

    pub async fn get(&self, app: &Router, path: &str) -> Answer {
        self.send(app, "GET", path).await
    }

    pub async fn post(&self, app: &Router, path: &str) -> Answer {
        self.send(app, "POST", path).await
    }

    pub async fn read(&self, response: Response<Body>) -> Answer {
        self.take(&response);
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status.as_u16(),
            body: String::from_utf8(body.to_vec()).unwrap(),
            headers: parts.headers,
        }
    }
}

/// A response, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
    pub headers: axum::http::HeaderMap,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn is(&self, status: u16, body: &str) {
        assert_eq!((self.status, &*self.body), (status, body));
    }
}

/// Each of these tests over each of these stages.
#[macro_export]
macro_rules! over {
    ([$($stage:ident)*] $tests:tt) => { $( $crate::over!(@ $stage $tests); )* };
    (@ $stage:ident [$($test:ident)*]) => {
        mod $stage {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() { super::$test(&$crate::common::$stage()).await; }
            )*
        }
    };
}
