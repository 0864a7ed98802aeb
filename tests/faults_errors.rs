//! Each variant of each error of a store is produced here, for real, and says what it should.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::{
    Access, CommitError, Durability, FileStore, Layout, MemoryStore, OpenError, OpenRequest,
    Store as _, StoreError, Unsupported,
};
use rig::tap::{Answer, Call, Method, Tap, Tapped};
use rig::{child, commit, commit_and_keep, destroy, key, open, put, renew, sys, try_open};

/// A disk that has no room, and does not keep which names were taken away.
struct FullAndBroken;

impl Tap for FullAndBroken {
    fn before(&self, call: &Call<'_>) -> Answer {
        match call.method {
            Method::WriteAt => Answer::Fail(libc::ENOSPC),
            Method::SyncDirectory => Answer::Fail(libc::EIO),
            _ => Answer::Pass,
        }
    }
}

/// Fails calls of one method once there are sessions.
struct Broken(Method, i32);

impl Tap for Broken {
    fn before(&self, call: &Call<'_>) -> Answer {
        let of_store = call.path.is_some_and(|path| path.starts_with("store.toml"));
        if call.method == self.0 && !of_store { Answer::Fail(self.1) } else { Answer::Pass }
    }
}

struct Bench {
    directory: tempfile::TempDir,
    store: FileStore,
}

impl Bench {
    fn new() -> Self {
        let directory = rig::directory();
        let store =
            FileStore::builder(directory.path().join("sessions")).max_waiters(1).open().unwrap();
        put(&store, &key("a"), b"one");
        Self { directory, store }
    }

    fn broken(&self, method: Method, errno: i32) -> FileStore {
        FileStore::builder(self.directory.path().join("sessions"))
            .file_system(Tapped(Arc::new(Broken(method, errno))))
            .open()
            .unwrap()
    }
}

/// The name of a variant, by an exhaustive look at those that are known here.
fn open_variant(error: &OpenError) -> &'static str {
    match error {
        OpenError::LockTimeout(_) => "LockTimeout",
        OpenError::TooManyWaiters { .. } => "TooManyWaiters",
        OpenError::Gone { .. } => "Gone",
        OpenError::Corrupt(_) => "Corrupt",
        OpenError::NotASession { .. } => "NotASession",
        OpenError::Unsupported(_) => "Unsupported",
        OpenError::StoreGone { .. } => "StoreGone",
        OpenError::Forked => "Forked",
        OpenError::Io(_) => "Io",
        _ => "unknown",
    }
}

fn commit_variant(error: &CommitError) -> &'static str {
    match error {
        CommitError::Conflict(_) => "Conflict",
        CommitError::AlreadyExists { .. } => "AlreadyExists",
        CommitError::Gone { .. } => "Gone",
        CommitError::Retired { .. } => "Retired",
        CommitError::ReadOnly { .. } => "ReadOnly",
        CommitError::Released => "Released",
        CommitError::TooLarge { .. } => "TooLarge",
        CommitError::OutOfSpace(_) => "OutOfSpace",
        CommitError::SyncFailed(_) => "SyncFailed",
        CommitError::Unsynced(_) => "Unsynced",
        CommitError::Poisoned => "Poisoned",
        CommitError::Open(_) => "Open",
        CommitError::Io(_) => "Io",
        _ => "unknown",
    }
}

fn store_variant(error: &StoreError) -> &'static str {
    match error {
        StoreError::NotAStore { .. } => "NotAStore",
        StoreError::Missing { .. } => "Missing",
        StoreError::Mismatch { .. } => "Mismatch",
        StoreError::Description { .. } => "Description",
        StoreError::Setting { .. } => "Setting",
        StoreError::Io(_) => "Io",
        _ => "unknown",
    }
}

/// The variants that an error type declares, from its source: a new one without a test fails here.
fn declared(name: &str) -> BTreeSet<String> {
    let source = include_str!("../src/error.rs");
    let body = source.split_once(&format!("pub enum {name} {{")).unwrap().1;
    let body = body.split_once("\n}").unwrap().0;
    body.lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()))
        .map(|line| line.split(['(', '{', ',', ' ']).next().unwrap().to_owned())
        .collect()
}

fn assert_all_seen(name: &str, seen: &[(&str, String)]) {
    let variants: BTreeSet<String> =
        seen.iter().map(|(variant, _)| (*variant).to_owned()).collect();
    assert_eq!(variants, declared(name));
    for (variant, text) in seen {
        assert!(text.len() > 20 && !text.ends_with('.'), "{variant}: {text}");
    }
}

#[test]
fn every_error_of_an_open_can_happen() {
    child::alone("every_error_of_an_open_can_happen", || {
        let bench = Bench::new();
        let store = &bench.store;
        let id = key("a");
        let mut seen = Vec::new();
        let mut note = |wanted: &str, error: OpenError, says: &str| {
            let text = error.to_string();
            assert_eq!(open_variant(&error), wanted, "{text}");
            assert!(text.contains(says), "{text} lacks {says}");
            seen.push((open_variant(&error), text));
        };
        let failed =
            |store: &FileStore, access| try_open(store, &id, access).map(drop).unwrap_err();

        let request =
            OpenRequest::new(Access::Exclusive, cloakroom::Calling::Blocking).label("GET /");
        let mut holder = cloakroom::blocking::wait(store.open(&id, request)).unwrap();
        note("LockTimeout", failed(store, Access::Exclusive), "in `GET /`");
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| rig::open_in_turn(store, &id, Access::Exclusive).map(drop));
            rig::until("a full queue", || rig::is_full(store, &id));
            let request = OpenRequest::new(Access::Shared, cloakroom::Calling::Blocking);
            let full = cloakroom::blocking::wait(store.open(&id, request));
            note("TooManyWaiters", full.map(drop).unwrap_err(), "max_waiters");
            rig::destroy(&mut holder).unwrap();
            note("Gone", waiter.join().unwrap().unwrap_err(), "destroyed while");
        });
        drop(holder);
        put(store, &id, b"one");
        fs::write(store.place(&id), b"garbage").unwrap();
        note("Corrupt", failed(store, Access::Exclusive), "moved to");
        fs::create_dir(store.place(&id)).unwrap();
        note("NotASession", failed(store, Access::Snapshot), "a directory");
        fs::remove_dir(store.place(&id)).unwrap();
        note("Io", failed(&bench.broken(Method::Open, libc::EMFILE), Access::Shared), "ulimit -n");
        // A store that offers every access has no use for this one; the type is for the others.
        let unsupported = Unsupported {
            store: MemoryStore::new().name(),
            access: Access::Exclusive,
            offers: &[Access::Snapshot, Access::Optimistic],
        };
        note("Unsupported", unsupported.into(), "`snapshot`, `optimistic`");
        let (mut told, mut tell) = std::io::pipe().unwrap();
        let child = sys::fork(|| {
            let error = failed(store, Access::Exclusive);
            std::io::Write::write_all(&mut tell, open_variant(&error).as_bytes()).unwrap();
            0
        });
        drop(tell);
        let mut text = String::new();
        std::io::Read::read_to_string(&mut told, &mut text).unwrap();
        assert_eq!((sys::wait_for(child), text.as_str()), (sys::End::Exit(0), "Forked"));
        note("Forked", OpenError::Forked, "open the store again in the child");
        fs::remove_dir_all(store.directory()).unwrap();
        note("StoreGone", rig::sweep(store).unwrap_err(), "removed or emptied");
        assert_all_seen("OpenError", &seen);
    });
}

#[test]
fn every_error_of_a_commit_can_happen() {
    let bench = Bench::new();
    let store = &bench.store;
    let (id, new) = (key("a"), key("new"));
    let mut seen = Vec::new();
    let mut note = |wanted: &str, error: CommitError, says: &str| {
        let text = error.to_string();
        assert_eq!(commit_variant(&error), wanted, "{text}");
        assert!(text.contains(says), "{text} lacks {says}");
        seen.push((commit_variant(&error), text));
    };
    let optimist = |id| open(store, id, Access::Optimistic).unwrap();

    let (mut slow, mut slower) = (optimist(&id), optimist(&id));
    let mut late_birth = optimist(&new);
    put(store, &id, b"two");
    put(store, &new, b"born");
    note("Conflict", commit(&mut slow, b"x").unwrap_err(), "version 1 was read, 2 stands");
    note("AlreadyExists", commit(&mut late_birth, b"x").unwrap_err(), "created by another");
    let mut holder = open(store, &id, Access::Exclusive).unwrap();
    let huge = vec![0; cloakroom::limits::PAYLOAD_MAX + 1];
    note("TooLarge", commit(&mut holder, &huge).unwrap_err(), "67108865 bytes");
    drop(huge);
    let request =
        OpenRequest::new(Access::Optimistic, cloakroom::Calling::Blocking).wait(Duration::ZERO);
    let mut impatient = cloakroom::blocking::wait(store.open(&id, request)).unwrap();
    note("Open", commit(&mut impatient, b"x").unwrap_err(), "held by process");
    rig::destroy(&mut holder).unwrap();
    note("Gone", commit(&mut slower, b"x").unwrap_err(), "stays destroyed");
    put(store, &id, b"again");
    let mut reader = open(store, &id, Access::Shared).unwrap();
    note("ReadOnly", commit(&mut reader, b"x").unwrap_err(), "`shared`");
    drop(reader);
    let mut done = open(store, &id, Access::Exclusive).unwrap();
    commit(&mut done, b"done").unwrap();
    note("Released", commit(&mut done, b"x").unwrap_err(), "open it again");
    let mut holder = open(store, &id, Access::Exclusive).unwrap();
    renew(&mut holder, &key("renewed"), b"renewed", Duration::from_secs(60)).unwrap();
    let mut old = open(store, &id, Access::Exclusive).unwrap();
    note("Retired", commit(&mut old, b"x").unwrap_err(), "until its grace ends");
    drop(old);
    let full = bench.broken(Method::WriteAt, libc::ENOSPC);
    let mut hold = open(&full, &new, Access::Exclusive).unwrap();
    note("OutOfSpace", commit_and_keep(&mut hold, b"x").unwrap_err(), "old value is intact");
    drop(hold);
    let broken = bench.broken(Method::WriteAt, libc::EIO);
    let mut hold = open(&broken, &new, Access::Exclusive).unwrap();
    note("Io", commit(&mut hold, b"x").unwrap_err(), "write ");
    drop(hold);

    let root = bench.directory.path().join("power");
    let power = FileStore::builder(&root).durability(Durability::Power).open().unwrap();
    put(&power, &id, b"one");
    put(&power, &id, b"two");
    let unsynced = FileStore::builder(&root)
        .file_system(Tapped(Arc::new(Broken(Method::Sync, libc::EIO))))
        .open()
        .unwrap();
    let mut hold = open(&unsynced, &id, Access::Exclusive).unwrap();
    note("SyncFailed", commit_and_keep(&mut hold, b"x").unwrap_err(), "withdrawn");
    note("Poisoned", commit_and_keep(&mut hold, b"x").unwrap_err(), "open the store again");
    drop(hold);
    let full =
        FileStore::builder(&root).file_system(Tapped(Arc::new(FullAndBroken))).open().unwrap();
    let mut hold = open(&full, &id, Access::Exclusive).unwrap();
    note("Unsynced", destroy(&mut hold).unwrap_err(), "the change stands");
    drop(hold);
    assert_eq!(rig::read(&power, &id, Access::Snapshot).unwrap(), None);
    assert_all_seen("CommitError", &seen);
}

#[test]
fn every_error_of_opening_a_store_can_happen() {
    let bench = Bench::new();
    let mut seen = Vec::new();
    let mut note = |wanted: &str, opened: Result<FileStore, StoreError>, says: &str| {
        let error = opened.unwrap_err();
        let text = error.to_string();
        assert_eq!(store_variant(&error), wanted, "{text}");
        assert!(text.contains(says), "{text} lacks {says}");
        seen.push((store_variant(&error), text));
    };
    let sessions = bench.directory.path().join("sessions");
    note("NotAStore", FileStore::open(bench.directory.path()), "is not empty");
    note("Mismatch", FileStore::builder(&sessions).layout(Layout::FLAT).open(), "flat");
    let missing = bench.directory.path().join("missing");
    note("Missing", FileStore::builder(&missing).must_exist().open(), "missing");
    assert!(!missing.exists(), "it was created");
    let wild = Layout { levels: 9, digits: 9 };
    note("Setting", FileStore::builder(&sessions).layout(wild).open(), "0 to 3 levels");
    fs::write(sessions.join("store.toml"), b"format = 2").unwrap();
    note("Description", FileStore::open(&sessions), "format 2");
    note("Io", FileStore::open(sessions.join("store.toml")), "store.toml");
    assert_all_seen("StoreError", &seen);
}
