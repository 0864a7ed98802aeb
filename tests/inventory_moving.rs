//! A walk while the store changes under it, or disappears; and adoptions that fail half-way.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod rig;

use std::fs;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use cloakroom::blocking::wait;
use cloakroom::{
    Access, Adopted, Calling, CommitError, Depth, Durability, FileStore, Found, Hold as _,
    Inventory as _, Key, Layout, Lifetime, OpenError, Record, Timestamp, Walk as _,
};
use rig::tap::{Answer, Call, Method, Tap, Tapped};
use rig::{child, commit, key, open, put, read, sys};

/// A store with so many sessions.
fn filled(root: &Path, layout: Layout, sessions: usize) -> (FileStore, Vec<Key>) {
    let store = FileStore::builder(root).layout(layout).open().unwrap();
    let mut keys: Vec<Key> = (0..sessions).map(|index| key(&format!("{index}"))).collect();
    for key in &keys {
        put(&store, key, b"data");
    }
    keys.sort_unstable();
    (store, keys)
}

fn keys_of(found: Vec<Found>) -> Vec<Key> {
    let mut keys: Vec<Key> = found
        .into_iter()
        .map(|found| match found {
            Found::Session(summary) => summary.key,
            other => panic!("{other:?}"),
        })
        .collect();
    keys.sort_unstable();
    keys
}

const LAYOUTS: [Layout; 3] =
    [Layout::FLAT, Layout { levels: 1, digits: 2 }, Layout { levels: 3, digits: 1 }];

#[test]
fn directories_that_are_removed_meanwhile_are_no_error() {
    let directory = rig::directory();
    let (store, keys) = filled(&directory.path().join("sessions"), Layout::default(), 300);
    let mut walk = wait(store.walk(Depth::Whole, Calling::Blocking)).unwrap();
    let mut found = Vec::new();
    wait(walk.next(1, &mut found)).unwrap();
    // All that the walk has not come to yet, but for one session.
    let first = keys_of(found.clone());
    let last = *keys.iter().rev().find(|key| !first.contains(key)).unwrap();
    for entry in fs::read_dir(store.directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !store.place(&last).starts_with(&path) {
            fs::remove_dir_all(path).unwrap();
        }
    }
    loop {
        let before = found.len();
        wait(walk.next(1_000, &mut found)).unwrap();
        if found.len() == before {
            break;
        }
    }
    let found = keys_of(found);
    assert!(found.contains(&last), "what stays is found");
    assert!(found.len() < keys.len(), "the directories were removed too late to matter");
}

#[test]
fn a_store_that_disappears_is_an_error_that_says_so() {
    for layout in LAYOUTS {
        for emptied in [false, true] {
            let directory = rig::directory();
            let root = directory.path().join("sessions");
            let (store, _) = filled(&root, layout, 50);
            let mut walk = wait(store.walk(Depth::Current, Calling::Blocking)).unwrap();
            let mut found = Vec::new();
            wait(walk.next(1, &mut found)).unwrap();
            fs::remove_dir_all(&root).unwrap();
            if emptied {
                fs::create_dir(&root).unwrap();
            }
            let ended = loop {
                found.clear();
                match wait(walk.next(7, &mut found)) {
                    Ok(()) => assert!(!found.is_empty(), "{layout}: it looks like the end"),
                    Err(error) => break error,
                }
            };
            assert!(matches!(ended, OpenError::StoreGone { .. }), "{layout}: {ended}");
            assert!(ended.to_string().contains(root.to_str().unwrap()), "{ended}");
            let error = wait(store.walk(Depth::Current, Calling::Blocking)).map(drop).unwrap_err();
            assert!(matches!(error, OpenError::StoreGone { .. }), "{layout}: {error}");
            let error = wait(store.locks(Calling::Blocking)).unwrap_err();
            assert!(matches!(error, OpenError::StoreGone { .. }), "{layout}: {error}");
        }
    }
}

/// Polls a future of an async caller once, and drops it.
fn poll_once<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_walk_of_which_pages_are_cancelled_loses_nothing() {
    let directory = rig::directory();
    let (store, keys) = filled(directory.path(), Layout::default(), 500);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut walk = runtime.block_on(store.walk(Depth::Current, Calling::Async)).unwrap();
    let (mut found, mut cancelled) = (Vec::new(), 0);
    loop {
        let before = found.len();
        cancelled += usize::from(poll_once(walk.next(7, &mut found)).is_pending());
        assert!(found.len() <= before + 7);
        runtime.block_on(walk.next(7, &mut found)).unwrap();
        if found.len() == before {
            break;
        }
    }
    assert!(cancelled > 0, "no page was cancelled");
    assert_eq!(keys_of(found), keys);
}

#[test]
fn a_store_that_was_opened_before_a_fork_is_not_looked_through_in_the_child() {
    let name = "a_store_that_was_opened_before_a_fork_is_not_looked_through_in_the_child";
    child::alone(name, || {
        let directory = rig::directory();
        let (store, keys) = filled(directory.path(), Layout::default(), 3);
        let mut walk = wait(store.walk(Depth::Current, Calling::Blocking)).unwrap();
        let pid = sys::fork(|| {
            let calling = Calling::Blocking;
            let refused = [
                matches!(wait(store.walk(Depth::Current, calling)), Err(OpenError::Forked)),
                matches!(wait(walk.next(1, &mut Vec::new())), Err(OpenError::Forked)),
                matches!(wait(store.look(&keys[0], calling)), Err(OpenError::Forked)),
                matches!(wait(store.repair(&keys[0], calling)), Err(OpenError::Forked)),
                matches!(wait(store.locks(calling)), Err(OpenError::Forked)),
                matches!(
                    wait(store.adopt(&keys[0], record(9), b"", None, calling)),
                    Err(CommitError::Open(OpenError::Forked))
                ),
            ];
            i32::from(refused != [true; 6])
        });
        assert_eq!(sys::wait_for(pid), sys::End::Exit(0));
    });
}

fn record(version: u64) -> Record {
    Record {
        birth: 7,
        version,
        created: Timestamp::from_millis(1),
        accessed: Timestamp::from_millis(1),
        lifetime: Lifetime { idle: None, absolute: None },
        retired_until: None,
    }
}

fn adopt(
    store: &FileStore,
    id: &str,
    version: u64,
    payload: &[u8],
) -> Result<Adopted, CommitError> {
    wait(store.adopt(&key(id), record(version), payload, None, Calling::Blocking))
}

/// Fails one call of these methods.
struct FailsAt {
    methods: &'static [Method],
    /// How many pass before.
    left: AtomicUsize,
    errno: i32,
}

impl Tap for FailsAt {
    fn before(&self, call: &Call<'_>) -> Answer {
        let counts = self.methods.contains(&call.method);
        if counts && self.left.fetch_sub(1, Ordering::Relaxed) == 0 {
            Answer::Fail(self.errno)
        } else {
            Answer::Pass
        }
    }
}

#[test]
fn an_adoption_that_fails_anywhere_leaves_what_was_there() {
    const METHODS: [(&[Method], i32); 3] = [
        (&[Method::WriteAt, Method::SetSize, Method::Open], libc::ENOSPC),
        (&[Method::ReadAt, Method::Stat, Method::StatPath, Method::Rename], libc::EIO),
        (&[Method::Sync, Method::SyncDirectory], libc::EIO),
    ];
    for (methods, errno) in METHODS {
        for durability in [Durability::Process, Durability::Power] {
            let mut failed = 0;
            for nth in 0.. {
                let directory = rig::directory();
                let builder = FileStore::builder(directory.path()).durability(durability);
                let store = builder.clone().open().unwrap();
                adopt(&store, "here", 1, b"first").unwrap();
                adopt(&store, "here", 2, b"second").unwrap();
                // None while the store is opened.
                let left = AtomicUsize::new(usize::MAX);
                let fault = Arc::new(FailsAt { methods, left, errno });
                let broken = builder.file_system(Tapped(Arc::clone(&fault))).open().unwrap();
                fault.left.store(nth, Ordering::Relaxed);
                let large = [b'x'; 5_000];
                let results = [
                    ("new", adopt(&broken, "new", 3, b"third"), &b"third"[..]),
                    ("here", adopt(&broken, "here", 3, b"third"), b"third"),
                    ("here", adopt(&broken, "here", 4, &large), &large),
                ];
                let mut expected = [("new", None), ("here", Some(&b"second"[..]))];
                let mut all_done = true;
                for (id, adopted, payload) in &results {
                    match adopted {
                        Ok(Adopted::Created | Adopted::Replaced) => {
                            let standing = expected.iter_mut().find(|(known, _)| known == id);
                            standing.unwrap().1 = Some(payload);
                        }
                        Ok(other) => panic!("{methods:?} {nth}: {other:?}"),
                        Err(_) => all_done = false,
                    }
                }
                for (id, payload) in expected {
                    let seen = read(&store, &key(id), Access::Exclusive).unwrap();
                    assert_eq!(seen.as_deref(), payload, "{methods:?} {nth}: {id}");
                }
                if all_done {
                    break;
                }
                failed += 1;
            }
            let syncs = methods.contains(&Method::Sync);
            assert_eq!(failed > 2, !syncs || durability == Durability::Power, "{methods:?}");
        }
    }
}

#[test]
fn a_damaged_session_is_out_of_the_way_of_the_next_adoption() {
    let directory = rig::directory();
    let (store, keys) = filled(directory.path(), Layout::default(), 1);
    fs::write(store.place(&keys[0]), b"garbage").unwrap();
    match adopt(&store, "0", 3, b"adopted") {
        Err(CommitError::Open(OpenError::Corrupt(corrupt))) => {
            assert!(corrupt.quarantine.unwrap().exists());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(adopt(&store, "0", 3, b"adopted").unwrap(), Adopted::Created);
    let mut hold = open(&store, &keys[0], Access::Exclusive).unwrap();
    assert_eq!(commit(&mut hold, b"next").unwrap().version, 4);
}

/// A record comes from outside: no number in it may do more harm than be wrong.
#[test]
fn records_with_the_strangest_numbers_are_adopted_or_refused() {
    let directory = rig::directory();
    let store = FileStore::open(directory.path()).unwrap();
    let numbers = [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX];
    for (index, number) in numbers.into_iter().enumerate() {
        let time = Timestamp::from_millis(number);
        let span = Some(std::time::Duration::from_millis(number));
        let strange = [
            Record { version: number, ..record(1) },
            Record { birth: number, ..record(1) },
            Record { created: time, accessed: time, ..record(1) },
            Record { lifetime: Lifetime { idle: span, absolute: span }, ..record(1) },
            Record { retired_until: Some(time), ..record(1) },
        ];
        for (kind, record) in strange.into_iter().enumerate() {
            let key = key(&format!("{index} {kind}"));
            let adopted =
                wait(store.adopt(&key, record, b"strange", None, Calling::Blocking)).unwrap();
            let seen = read(&store, &key, Access::Exclusive).unwrap();
            assert_eq!(seen.is_some(), adopted == Adopted::Created, "{record:?}");
            if seen.is_some() && record.retired_until.is_none() {
                let mut hold = open(&store, &key, Access::Exclusive).unwrap();
                commit(&mut hold, b"goes on").unwrap();
            }
        }
    }
}

/// Takes all sessions of one store into the other, as `cloakroom copy` does.
fn copy(from: &FileStore, to: &FileStore) {
    for found in rig::walk(from, Depth::Current).unwrap() {
        let Found::Session(session) = found else { continue };
        let hold = open(from, &session.key, Access::Snapshot).unwrap();
        let Some(record) = hold.record() else { continue };
        let adopting = to.adopt(&session.key, *record, hold.payload(), None, Calling::Blocking);
        let adopted = wait(adopting).unwrap();
        assert_ne!(adopted, Adopted::OtherLife);
    }
}

#[test]
fn a_store_is_copied_to_another_layout_while_it_is_written() {
    let directory = rig::directory();
    let (from, keys) = filled(&directory.path().join("from"), Layout::default(), 40);
    let (to, _) = filled(&directory.path().join("to"), Layout { levels: 2, digits: 1 }, 0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for count in 0_usize.. {
                if done.load(Ordering::Acquire) {
                    break;
                }
                // Its length says its version; growths happen, too.
                let mut hold = open(&from, &keys[count % 40], Access::Exclusive).unwrap();
                let version = hold.record().unwrap().version + 1;
                commit(&mut hold, &vec![b'x'; usize::try_from(version % 2_000).unwrap()]).unwrap();
            }
        });
        let mut versions = vec![0; keys.len()];
        for _ in 0..30 {
            copy(&from, &to);
            for (key, before) in keys.iter().zip(&mut versions) {
                let hold = open(&to, key, Access::Snapshot).unwrap();
                let version = hold.record().unwrap().version;
                assert!(version >= *before, "it went back from {before} to {version}");
                if version > 1 {
                    assert_eq!(hold.payload().len() as u64, version % 2_000);
                }
                *before = version;
            }
        }
        done.store(true, Ordering::Release);
    });
    copy(&from, &to);
    for key in &keys {
        let [theirs, ours] = [&from, &to].map(|store| {
            let hold = open(store, key, Access::Exclusive).unwrap();
            (hold.record().copied(), hold.payload().to_vec())
        });
        assert!(theirs == ours && theirs.0.is_some());
    }
    let copied = rig::walk(&to, Depth::Whole).unwrap();
    assert_eq!(keys_of(copied), keys, "and nothing else");
}
