//! What the stall tests share: a road to the file system on which a process stops itself, the signals,
//! and work on a map store that can be counted afterwards.

mod signal;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::seams::{
    Clock, Entropy, FileSystem, OpenMode, OsClock, OsEntropy, OsFileSystem, Timestamp,
};
use cloakroom::{
    Access, Calling, CommitError, Hold as _, Key, Lifetime, MapHold, MapStore, OpenRequest,
    SessionId, Store as _, SweepBudget, Terms,
};
use rustix::process::{Signal, getpid, set_parent_process_death_signal};
pub use signal::{is_stopped, pid, resume, stop, wait_until_stopped};

/// Stops this process at one of the calls it makes to the outside world, once.
#[derive(Clone)]
pub struct Stopper(Arc<Calls>);

struct Calls {
    armed: AtomicBool,
    left: AtomicU64,
    told: Told,
}

/// Whom a [`Stopper`] tells the call at which it stops.
type Told = Box<dyn Fn(&str) + Send + Sync>;

impl Stopper {
    /// Stops before the `number`th call, counted from 1 and from [`arm`](Self::arm) on.
    pub fn at(number: u64, told: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let (armed, left) = (AtomicBool::new(false), AtomicU64::new(number));
        Self(Arc::new(Calls { armed, left, told: Box::new(told) }))
    }

    pub fn arm(&self) {
        self.0.armed.store(true, Ordering::Relaxed);
    }

    pub fn disarm(&self) {
        self.0.armed.store(false, Ordering::Relaxed);
    }

    fn pass(&self, call: &str) {
        if self.0.armed.load(Ordering::Relaxed) && self.0.left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            (self.0.told)(call);
            stop(getpid());
        }
    }
}

/// The calls that change something or lead to another file.
impl FileSystem for Stopper {
    fn open(&self, root: &File, path: &Path, mode: OpenMode) -> io::Result<File> {
        self.pass("open");
        OsFileSystem.open(root, path, mode)
    }

    fn allocate(&self, file: &File, offset: u64, length: u64) -> io::Result<()> {
        self.pass(if offset == 0 { "allocate" } else { "allocate-more" });
        OsFileSystem.allocate(file, offset, length)
    }

    fn punch(&self, file: &File, offset: u64, length: u64) -> io::Result<()> {
        self.pass("punch");
        OsFileSystem.punch(file, offset, length)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.pass("sync");
        OsFileSystem.sync(file)
    }

    fn rename(&self, root: &File, from: &Path, to: &Path) -> io::Result<()> {
        self.pass("rename");
        OsFileSystem.rename(root, from, to)
    }

    fn link(&self, root: &File, from: &Path, to: &Path) -> io::Result<()> {
        self.pass("link");
        OsFileSystem.link(root, from, to)
    }

    fn unlink(&self, root: &File, path: &Path) -> io::Result<()> {
        self.pass("unlink");
        OsFileSystem.unlink(root, path)
    }

    fn create_directory(&self, root: &File, path: &Path) -> io::Result<()> {
        self.pass("create-directory");
        OsFileSystem.create_directory(root, path)
    }

    fn try_lock_byte(&self, file: &File, offset: u64) -> io::Result<bool> {
        self.pass("try-lock-byte");
        OsFileSystem.try_lock_byte(file, offset)
    }

    fn unlock_byte(&self, file: &File, offset: u64) -> io::Result<()> {
        self.pass("unlock-byte");
        OsFileSystem.unlock_byte(file, offset)
    }
}

impl Clock for Stopper {
    fn now(&self) -> Timestamp {
        self.pass("clock");
        OsClock.now()
    }
}

impl Entropy for Stopper {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        self.pass("entropy");
        OsEntropy.fill(bytes)
    }
}

/// A directory that goes when it is dropped; in memory where there is such a place.
pub fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Ends this process, stopped or not, when its parent ends.
pub fn end_with_parent() {
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
}

pub fn key(id: &str) -> Key {
    Key::new("", &SessionId::from(id))
}

pub fn open(store: &MapStore, key: &Key) -> MapHold {
    wait(store.open(key, OpenRequest::new(Access::Optimistic, Calling::Blocking))).unwrap()
}

/// Whether a race was lost, which is a reason to come again.
fn is_lost<T>(done: Result<T, CommitError>) -> bool {
    match done {
        Ok(_) => false,
        Err(CommitError::Conflict(_) | CommitError::AlreadyExists { .. }) => true,
        Err(error) => panic!("{error}"),
    }
}

/// Counts one more in a session, in a payload of this length.
pub fn increment(store: &MapStore, key: &Key, length: usize) {
    loop {
        let mut hold = open(store, key);
        let mut payload = (number(hold.payload()) + 1).to_le_bytes().to_vec();
        payload.resize(length.max(payload.len()), 7);
        if !is_lost(wait(hold.commit(&payload, Terms::default()))) {
            return;
        }
    }
}

/// What was counted in a session.
pub fn count(store: &MapStore, key: &Key) -> u64 {
    number(open(store, key).payload())
}

fn number(payload: &[u8]) -> u64 {
    payload.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Creates a session that nobody else knows of.
pub fn create(store: &MapStore, id: &str, length: usize) {
    let created = wait(open(store, &key(id)).commit(&vec![1; length], Terms::default()));
    assert_eq!(created.unwrap().version, 1);
}

/// Creates one that is expired at once.
pub fn create_expired(store: &MapStore, id: &str, length: usize) {
    let lifetime = Lifetime::default().idle(Duration::ZERO);
    let terms = Terms { lifetime, ..Terms::default() };
    wait(open(store, &key(id)).commit(&vec![2; length], terms)).unwrap();
}

/// Ends a session that is there.
pub fn destroy(store: &MapStore, id: &str) {
    let mut hold = open(store, &key(id));
    assert!(hold.record().is_some(), "{id} is not there");
    wait(hold.destroy()).unwrap();
}

/// Sweeps from where the handle is to the end of the store.
pub fn sweep(store: &MapStore) {
    loop {
        let budget = SweepBudget { sessions: 10_000 };
        let swept = wait(store.sweep(budget, Calling::Blocking)).unwrap();
        assert_eq!(swept.failed, 0);
        if swept.complete {
            return;
        }
    }
}

/// Whether there is such a session.
pub fn is_there(store: &MapStore, id: &str) -> bool {
    open(store, &key(id)).record().is_some()
}

/// The directory of this boot in a store's.
pub fn run(directory: &Path) -> PathBuf {
    let run = |entry: io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        path.file_name()?.to_str()?.starts_with("run.").then_some(path)
    };
    std::fs::read_dir(directory).unwrap().find_map(run).unwrap()
}

/// Which generation of the index is the newest.
pub fn generation(directory: &Path) -> u64 {
    let number = |entry: io::Result<std::fs::DirEntry>| {
        let name = entry.ok()?.file_name();
        name.to_str()?.strip_prefix("index.")?.parse::<u64>().ok()
    };
    std::fs::read_dir(run(directory)).unwrap().filter_map(number).max().unwrap()
}
