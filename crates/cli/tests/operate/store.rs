//! A store for a test, with sessions of any age.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use cloakroom::blocking::Sessions;
use cloakroom::seams::Clock;
use cloakroom::{Access, FileStore, FileStoreBuilder, Key, Lifetime, SessionError, SessionId};
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Ended, run};

/// A store in a directory that goes with it.
pub struct TestStore {
    pub directory: PathBuf,
    pub store: FileStore,
    clock: SetClock,
    _temporary: TempDir,
}

impl TestStore {
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// A store with other settings.
    pub fn with(settings: impl FnOnce(FileStoreBuilder) -> FileStoreBuilder) -> Self {
        let temporary = TempDir::new().unwrap();
        let directory = temporary.path().join("sessions");
        let clock = SetClock::default();
        let builder = settings(FileStore::builder(&directory).clock(clock.clone()));
        Self { store: builder.open().unwrap(), directory, clock, _temporary: temporary }
    }

    pub fn url(&self) -> String {
        format!("file:{}", self.directory.display())
    }

    /// A directory beside the store that is not there yet, and its URL.
    pub fn beside(&self, name: &str) -> (PathBuf, String) {
        let directory = self.directory.with_file_name(name);
        let url = format!("file:{}", directory.display());
        (directory, url)
    }

    /// Sets the clock so far back for what is done from now on.
    pub fn back(&self, age: Duration) {
        self.clock.0.store(u64::try_from(age.as_millis()).unwrap(), Ordering::Relaxed);
    }

    pub fn sessions(&self) -> Sessions<FileStore> {
        self.sessions_for(Duration::from_secs(86_400))
    }

    /// Sessions with this idle limit.
    pub fn sessions_for(&self, idle: Duration) -> Sessions<FileStore> {
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

    /// Writes nonsense over a session.
    pub fn damage(&self, key: &Key) -> PathBuf {
        let place = self.store.place(key);
        let size = std::fs::metadata(&place).unwrap().len();
        std::fs::write(&place, vec![0xa5; usize::try_from(size).unwrap()]).unwrap();
        place
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
pub fn put(
    sessions: &Sessions<FileStore>,
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
pub fn get(directory: &Path, id: &str, name: &str) -> Option<Value> {
    let sessions = Sessions::new(FileStore::open(directory).unwrap());
    let session = sessions.open(&SessionId::from(id), Access::Snapshot).unwrap();
    session.get(name).unwrap()
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
        let now = cloakroom::Timestamp::from(SystemTime::now()).as_millis();
        cloakroom::Timestamp::from_millis(now - self.0.load(Ordering::Relaxed))
    }
}
