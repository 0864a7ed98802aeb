//! A store for a test, with sessions of any age.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cloakroom::blocking::Sessions;
use cloakroom::seams::{Clock, OsClock};
use cloakroom::{
    Access, FileStore, FileStoreBuilder, Inventory, Key, Lifetime, MapStore, SessionError,
    SessionId,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Ended, run};

/// A store in a directory that goes with it.
pub struct TestStore<S = FileStore> {
    pub directory: PathBuf,
    pub store: S,
    clock: SetClock,
    _temporary: TempDir,
}

/// A kind of store that the tools work on.
pub trait TestedStore: Inventory + Clone {
    /// How its URL begins.
    const SCHEME: &str;

    /// Opens or creates one.
    fn in_directory(directory: &Path, clock: impl Clock) -> Self;
}

impl TestedStore for FileStore {
    const SCHEME: &str = "file";

    fn in_directory(directory: &Path, clock: impl Clock) -> Self {
        Self::builder(directory).clock(clock).open().unwrap()
    }
}

impl TestedStore for MapStore {
    const SCHEME: &str = "map";

    fn in_directory(directory: &Path, clock: impl Clock) -> Self {
        Self::builder(directory).clock(clock).open().unwrap()
    }
}

/// Makes tests of functions that take a new store of any kind.
macro_rules! over_both {
    ($($name:ident,)*) => {
        mod of_files {
            $(#[test] fn $name() { super::$name(&crate::store::TestStore::new()); })*
        }
        mod of_a_map {
            $(#[test] fn $name() { super::$name(&crate::store::TestStore::of_map()); })*
        }
    };
}
pub(crate) use over_both;

impl TestStore {
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// A store with other settings.
    pub fn with(settings: impl FnOnce(FileStoreBuilder) -> FileStoreBuilder) -> Self {
        Self::opened_by(|directory, clock| {
            settings(FileStore::builder(directory).clock(clock)).open().unwrap()
        })
    }

    /// Writes nonsense over a session.
    pub fn damage(&self, key: &Key) -> PathBuf {
        let place = self.store.place(key);
        let size = std::fs::metadata(&place).unwrap().len();
        std::fs::write(&place, vec![0xa5; usize::try_from(size).unwrap()]).unwrap();
        place
    }
}

impl TestStore<MapStore> {
    pub fn of_map() -> Self {
        Self::opened_by(MapStore::in_directory)
    }
}

impl<S: TestedStore> TestStore<S> {
    fn opened_by(open: impl FnOnce(&Path, SetClock) -> S) -> Self {
        let temporary = TempDir::new().unwrap();
        let directory = temporary.path().join("sessions");
        let clock = SetClock::default();
        let store = open(&directory, clock.clone());
        Self { store, directory, clock, _temporary: temporary }
    }

    pub fn url(&self) -> String {
        url::<S>(&self.directory)
    }

    /// A directory beside the store that is not there yet, and its URL.
    pub fn beside(&self, name: &str) -> (PathBuf, String) {
        let directory = self.directory.with_file_name(name);
        let url = url::<S>(&directory);
        (directory, url)
    }

    /// Sets the clock so far back for what is done from now on.
    pub fn back(&self, age: Duration) {
        self.clock.0.store(u64::try_from(age.as_millis()).unwrap(), Ordering::Relaxed);
    }

    pub fn sessions(&self) -> Sessions<S> {
        self.sessions_for(Duration::from_secs(86_400))
    }

    /// Sessions with this idle limit.
    pub fn sessions_for(&self, idle: Duration) -> Sessions<S> {
        Sessions::builder(self.store.clone())
            .lifetime(Lifetime::default().idle(idle))
            .clock(self.clock.clone())
            .build()
    }

    /// Sets a value in the session of this id.
    pub fn put(&self, id: &str, name: &str, value: impl serde::Serialize) -> Key {
        put(&self.sessions(), id, name, value)
    }

    /// Sessions whose ids count up from `s0`.
    pub fn fill(&self, count: u32) -> Vec<Key> {
        (0..count).map(|number| self.put(&format!("s{number}"), "counter", number)).collect()
    }

    /// A session that has expired.
    pub fn expired(&self, id: &str) -> Key {
        self.back(Duration::from_secs(100));
        let key = put(&self.sessions_for(Duration::from_secs(50)), id, "old", true);
        self.back(Duration::ZERO);
        key
    }

    /// The keys that it lists.
    pub fn keys(&self) -> Vec<String> {
        keys(&self.url())
    }

    /// Runs a tool on it.
    pub fn tool(&self, tool: &str, rest: &[&str]) -> Ended {
        run([&[tool, &self.url()], rest].concat())
    }

    /// Every file of the store with its bytes.
    pub fn bytes(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        collect(&self.directory, &mut files);
        files.sort();
        files
    }
}

/// Sets a value in the session of this id.
pub fn put<S: TestedStore>(
    sessions: &Sessions<S>,
    id: &str,
    name: &str,
    value: impl serde::Serialize,
) -> Key {
    let id = SessionId::from(id);
    sessions
        .update(&id, |session| session.insert(name, &value))
        .map_err(|e: SessionError| e)
        .unwrap();
    sessions.key(&id)
}

/// A value of the session of this id in the store of a directory; none: there is no such session.
pub fn get<S: TestedStore>(directory: &Path, id: &str, name: &str) -> Option<Value> {
    let sessions = Sessions::new(S::in_directory(directory, OsClock));
    let session = sessions.open(&SessionId::from(id), Access::Snapshot).unwrap();
    session.get(name).unwrap()
}

/// The URL of a store of this kind.
pub fn url<S: TestedStore>(directory: &Path) -> String {
    format!("{}:{}", S::SCHEME, directory.display())
}

/// The keys that the store of this URL lists.
pub fn keys(url: &str) -> Vec<String> {
    let listed = run(["ls", url, "--sort", "key", "--format", "keys"]);
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    listed.stdout.lines().map(str::to_owned).collect()
}

/// The lines of JSON that a tool printed.
pub fn json_lines(ended: &Ended) -> Vec<Value> {
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn collect(directory: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
}

/// The time of day, so many milliseconds ago.
#[derive(Clone, Default)]
struct SetClock(Arc<AtomicU64>);

impl Clock for SetClock {
    fn now(&self) -> cloakroom::Timestamp {
        // The tools' own clock: a precise one is ahead of it, and a touch in the future is none.
        let now = OsClock.now().as_millis();
        cloakroom::Timestamp::from_millis(now - self.0.load(Ordering::Relaxed))
    }
}
