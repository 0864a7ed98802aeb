//! A browser, and the stores that every test of a request's life runs over.

#![allow(dead_code, reason = "not every test file uses all of it")]

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cloakroom::blocking::wait;
use cloakroom::conformance::ManualClock;
use cloakroom::seams::OsEntropy;
use cloakroom::{
    Access, Calling, FileStore, Key, MapStore, MemoryStore, OpenError, OpenRequest, Store,
    SweepBudget, Swept,
};
use cloakroom_web::{
    Arrival, CookieStore, Departure, Error, Session, SessionManager, SetCookie, Settings, Visit,
};

pub const SECRET: &str = "a secret key of the tests, 32 bytes and more";
pub const OTHER: &str = "another secret key, for rotation, 32 bytes";

/// Settings of the tests, by the clock of a stage.
pub fn settings() -> Settings {
    Settings::new(SECRET)
}

/// How to make a manager on the same sessions once more, as after a restart.
pub struct Stage<S: Store> {
    manager: Box<dyn Fn(Settings) -> SessionManager<S>>,
    pub clock: ManualClock,
    pub opens: Arc<AtomicUsize>,
    _directory: Option<tempfile::TempDir>,
}

impl<S: Store> Stage<S> {
    pub fn manager(&self, settings: Settings) -> SessionManager<S> {
        (self.manager)(settings.clock(self.clock.clone()))
    }

    pub fn opens(&self) -> usize {
        self.opens.load(Ordering::SeqCst)
    }
}

pub fn memory() -> Stage<Counting<MemoryStore>> {
    let clock = ManualClock::new();
    let store = MemoryStore::with(clock.clone(), OsEntropy);
    stage(clock, None, move || store.clone())
}

pub fn file() -> Stage<Counting<FileStore>> {
    let directory = tempfile::tempdir().unwrap();
    let (clock, path) = (ManualClock::new(), directory.path().join("sessions"));
    let time = clock.clone();
    let open = move || FileStore::builder(&path).clock(time.clone()).open().unwrap();
    stage(clock, Some(directory), open)
}

pub fn map() -> Stage<Counting<MapStore>> {
    let directory = tempfile::tempdir().unwrap();
    let (clock, path) = (ManualClock::new(), directory.path().join("sessions"));
    let time = clock.clone();
    let open = move || MapStore::builder(&path).clock(time.clone()).open().unwrap();
    stage(clock, Some(directory), open)
}

pub fn sealed() -> Stage<CookieStore> {
    Stage {
        manager: Box::new(|settings| SessionManager::sealed(settings).unwrap()),
        clock: ManualClock::new(),
        opens: Arc::default(),
        _directory: None,
    }
}

fn stage<S: Store>(
    clock: ManualClock,
    directory: Option<tempfile::TempDir>,
    open: impl Fn() -> S + 'static,
) -> Stage<Counting<S>> {
    let opens = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opens);
    let manager = move |settings| {
        let store = Counting { store: open(), opens: Arc::clone(&count) };
        SessionManager::new(store, settings).unwrap()
    };
    Stage { manager: Box::new(manager), clock, opens, _directory: directory }
}

/// A store that counts how often it is asked for a session.
pub struct Counting<S> {
    pub store: S,
    opens: Arc<AtomicUsize>,
}

impl<S: Store> Store for Counting<S> {
    type Hold = S::Hold;

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
    ) -> impl Future<Output = Result<S::Hold, OpenError>> + Send {
        self.opens.fetch_add(1, Ordering::SeqCst);
        self.store.open(key, request)
    }

    fn sweep(
        &self,
        budget: SweepBudget,
        calling: Calling,
    ) -> impl Future<Output = Result<Swept, OpenError>> + Send {
        self.store.sweep(budget, calling)
    }
}

/// A browser: it keeps cookies and sends them.
#[derive(Clone, Default)]
pub struct Browser {
    pub cookies: BTreeMap<String, String>,
}

impl Browser {
    pub fn header(&self) -> String {
        let pairs = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    pub fn take(&mut self, cookies: &[SetCookie]) {
        for cookie in cookies {
            let text = cookie.as_str();
            assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{text:?}");
            let (pair, attributes) = text.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// The only cookie's value.
    pub fn value(&self) -> String {
        assert_eq!(self.cookies.len(), 1);
        self.cookies.values().next().unwrap().clone()
    }
}

pub fn begin<S: Store>(manager: &SessionManager<S>, browser: &Browser) -> Visit {
    manager.begin(Arrival::new().cookie(browser.header().as_bytes()).route("GET /test"))
}

/// One request with this status, whose handler is `work`.
pub fn request<S: Store, T>(
    manager: &SessionManager<S>,
    browser: &mut Browser,
    status: u16,
    work: impl FnOnce(Session) -> Result<T, Error>,
) -> Result<T, Error> {
    let visit = begin(manager, browser);
    let done = wait(visit.session().open()).and_then(work);
    let Departure { cookies, saved } = wait(visit.finish(status));
    browser.take(&cookies);
    saved.and(done)
}

/// A request that counts.
pub fn count<S: Store>(manager: &SessionManager<S>, browser: &mut Browser) -> u32 {
    let add = |count: Option<u32>| count.unwrap_or(0) + 1;
    request(manager, browser, 200, |session| session.update("count", add)).unwrap()
}

/// A request that only looks.
pub fn look<S: Store>(manager: &SessionManager<S>, browser: &Browser) -> Option<u32> {
    request(manager, &mut browser.clone(), 200, |session| session.get("count")).unwrap()
}

/// Each of these tests over each of these stages.
#[macro_export]
macro_rules! over {
    ([$($stage:ident)*] $tests:tt) => { $( $crate::over!(@ $stage $tests); )* };
    (@ $stage:ident [$($test:ident)*]) => {
        mod $stage {
            $( #[test] fn $test() { super::$test(&$crate::common::$stage()); } )*
        }
    };
}
