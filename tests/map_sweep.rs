//! What the sweep of a map store takes and what it leaves: leftovers wherever they are, expired sessions
//! at the price of a few syncs, and nothing that the index leads to.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod rig;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cloakroom::blocking::wait;
use cloakroom::{
    Access, Calling, Depth, Durability, Found, Inventory as _, Key, MapStore, Repaired, Store as _,
    SweepBudget, Walk as _,
};
use rig::map::census;
use rig::tap::{Answer, Call, Method, Tap, Tapped};
use rig::{SetClock, child, key, put, read, sys};

fn id(number: usize) -> Key {
    key(&format!("session {number}"))
}

/// Where in the heap the record of this key has its key.
fn key_offset(root: &Path, key: &Key) -> u64 {
    let heap = fs::read(root.join("heap")).unwrap();
    let found = heap.windows(32).position(|bytes| bytes == key.as_bytes());
    found.unwrap() as u64
}

/// The key that `verify` reports a damaged record by.
fn damaged_key(store: &MapStore) -> Key {
    let mut walk = wait(store.walk(Depth::Current, Calling::Blocking)).unwrap();
    loop {
        let mut found = Vec::new();
        wait(walk.next(1_000, &mut found)).unwrap();
        assert!(!found.is_empty(), "nothing is damaged");
        for found in found {
            if let Found::Damaged { key, .. } = found {
                return key;
            }
        }
    }
}

/// Put back into use, the cell would show what comes there under the damaged session's entry.
#[test]
fn a_record_whose_key_is_damaged_is_kept_until_it_is_repaired() {
    // A bit by which the index goes, and one of the others.
    for byte in [7, 31] {
        let directory = rig::directory();
        let store = MapStore::open(directory.path()).unwrap();
        for number in 0..3 {
            put(&store, &id(number), b"payload");
        }
        let heap = File::options().write(true).open(directory.path().join("heap")).unwrap();
        let offset = key_offset(directory.path(), &id(1)) + byte;
        heap.write_all_at(&[!id(1).as_bytes()[usize::try_from(byte).unwrap()]], offset).unwrap();
        for _ in 0..3 {
            rig::sweep(&store).unwrap();
            let census = census(&store);
            assert_eq!((census.wrong.len(), census.leftovers), (1, 0), "{census:?}");
        }
        for number in 3..50 {
            put(&store, &id(number), b"payload");
        }
        assert_eq!(read(&store, &id(1), Access::Snapshot).unwrap(), None);
        let damaged = damaged_key(&store);
        let repaired = wait(store.repair(&damaged, Calling::Blocking)).unwrap();
        assert!(matches!(repaired, Repaired::Quarantined(_)), "{repaired:?}");
        assert_eq!(census(&store).leftovers, 1);
        rig::sweep(&store).unwrap();
        let census = census(&store);
        assert_eq!((census.wrong, census.leftovers), (Vec::new(), 0));
        assert_eq!(census.sessions.len(), 49);
    }
}

/// Counts syncs.
#[derive(Default)]
struct Syncs(AtomicUsize);

impl Tap for Syncs {
    fn before(&self, call: &Call<'_>) -> Answer {
        self.0.fetch_add(usize::from(call.method == Method::Sync), Ordering::Relaxed);
        Answer::Pass
    }
}

#[test]
fn all_that_a_sweep_ends_shares_its_syncs() {
    let (directory, clock, syncs) =
        (rig::directory(), SetClock::at(1_000), Arc::new(Syncs::default()));
    let store = MapStore::builder(directory.path())
        .durability(Durability::Power)
        .clock(clock.clone())
        .file_system(Tapped(Arc::clone(&syncs)))
        .open()
        .unwrap();
    for number in 0..200 {
        put(&store, &id(number), b"payload");
    }
    clock.set(1_000 + 90_000 * 1_000);
    put(&store, &id(200), b"fresh");
    let before = syncs.0.load(Ordering::Relaxed);
    let swept = rig::sweep(&store).unwrap();
    let syncs = syncs.0.load(Ordering::Relaxed) - before;
    assert_eq!((swept.removed, swept.failed), (200, 0));
    assert!((1..=2).contains(&syncs), "{syncs} syncs");
    assert_eq!(census(&store).sessions.into_keys().collect::<Vec<_>>(), [id(200)]);
}

#[test]
fn processes_that_sweep_a_little_find_what_is_left_anywhere() {
    const SESSIONS: usize = 2_001;
    child::alone("processes_that_sweep_a_little_find_what_is_left_anywhere", || {
        let directory = rig::directory();
        let root = directory.path();
        drop(MapStore::open(root).unwrap());
        let killed = sys::fork(|| {
            let store = MapStore::open(root).unwrap();
            // It takes some cells at a time, so some are left, in the last of several extents.
            for number in 0..SESSIONS {
                put(&store, &id(number), &[1; 3_000]);
            }
            sys::die()
        });
        assert_eq!(sys::wait_for(killed), sys::End::Signal(libc::SIGKILL));
        let leftovers = || census(&MapStore::open(root).unwrap()).leftovers;
        let before = leftovers();
        assert!(before > 0);
        rig::until("all leftovers are found", || {
            for _ in 0..50 {
                let store = MapStore::open(root).unwrap();
                wait(store.sweep(SweepBudget { sessions: 10 }, Calling::Blocking)).unwrap();
            }
            leftovers() == 0
        });
        let store = MapStore::open(root).unwrap();
        let is_there =
            |number: &usize| read(&store, &id(*number), Access::Snapshot).unwrap().is_some();
        assert!((0..SESSIONS).all(|number| is_there(&number)));
    });
}
