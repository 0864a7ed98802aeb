//! One test body over both stores: `with_stores!` makes a `#[test]` for each of them.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cloakroom::blocking::{Session, Sessions, SessionsBuilder, wait};
use cloakroom::conformance::ManualClock;
use cloakroom::seams::OsEntropy;
use cloakroom::{
    Access, Calling, FileStore, Hold as _, MemoryStore, OpenRequest, Record, SessionId, Store,
};
use tempfile::TempDir;

/// A store with its clock, and its files if it has any.
pub struct World<S> {
    pub store: S,
    pub clock: ManualClock,
    place: Option<(TempDir, Place<S>)>,
}

type Place<S> = fn(&S, &cloakroom::Key) -> PathBuf;

impl World<MemoryStore> {
    pub fn memory() -> Self {
        let clock = ManualClock::new();
        Self { store: MemoryStore::with(clock.clone(), OsEntropy), clock, place: None }
    }
}

impl World<FileStore> {
    pub fn file() -> Self {
        let (clock, directory) = (ManualClock::new(), tempfile::tempdir().unwrap());
        let store = FileStore::builder(directory.path()).clock(clock.clone()).open().unwrap();
        Self { store, clock, place: Some((directory, FileStore::place)) }
    }
}

impl<S: Store + Clone> World<S> {
    pub fn sessions(&self) -> Sessions<S> {
        self.builder().build()
    }

    /// Settings for sessions that go by the world's clock.
    pub fn builder(&self) -> SessionsBuilder<S> {
        Sessions::builder(self.store.clone()).clock(self.clock.clone())
    }

    pub fn id(&self) -> SessionId {
        SessionId::generate().unwrap()
    }

    /// A session with `name` set to 1.
    pub fn stored(&self, name: &str) -> SessionId {
        let id = self.id();
        let mut session = self.sessions().open(&id, Access::Exclusive).unwrap();
        session.insert(name, 1).unwrap();
        session.commit().unwrap();
        id
    }

    /// Everything there is of a session, down to its file and when that was written.
    pub fn trace(&self, id: &SessionId) -> Trace {
        let key = self.sessions().key(id);
        let request = OpenRequest::new(Access::Snapshot, Calling::Blocking);
        let hold = wait(self.store.open(&key, request)).unwrap();
        let file = self.place.as_ref().map(|(_, place)| place(&self.store, &key)).map(|place| {
            let written = std::fs::metadata(&place).and_then(|metadata| metadata.modified());
            (std::fs::read(&place).unwrap_or_default(), written.ok())
        });
        Trace { record: hold.record().copied(), payload: hold.payload().to_vec(), file }
    }

    /// The number in `name`, as the next request sees it.
    pub fn value(&self, id: &SessionId, name: &str) -> Option<u64> {
        self.look(id).get(name).unwrap()
    }

    pub fn look(&self, id: &SessionId) -> Session<S> {
        self.sessions().open(id, Access::Snapshot).unwrap()
    }

    /// How many files of sessions there are; `None` for a store without files.
    pub fn files(&self) -> Option<usize> {
        fn count(directory: &Path) -> usize {
            let entries = std::fs::read_dir(directory).unwrap();
            let count = entries.map(|entry| entry.unwrap()).map(|entry| {
                if entry.file_type().unwrap().is_dir() {
                    count(&entry.path())
                } else {
                    usize::from(entry.file_name().len() >= 64)
                }
            });
            count.sum()
        }
        self.place.as_ref().map(|(directory, _)| count(directory.path()))
    }
}

#[derive(Debug, PartialEq)]
pub struct Trace {
    pub record: Option<Record>,
    pub payload: Vec<u8>,
    pub file: Option<(Vec<u8>, Option<SystemTime>)>,
}

/// Test bodies over any store, each run over a `MemoryStore` and over a `FileStore`.
macro_rules! with_stores {
    ($($(#[doc = $doc:literal])* fn $name:ident($world:ident) $body:block)*) => {
        $($(#[doc = $doc])* fn $name<S: Store + Clone + Debug>($world: &World<S>) $body)*

        mod memory_store {
            $(#[test] fn $name() { super::$name(&super::World::memory()); })*
        }

        mod file_store {
            $(#[test] fn $name() { super::$name(&super::World::file()); })*
        }
    };
}
pub(crate) use with_stores;
