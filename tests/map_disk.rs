//! A map store on a full disk, real ones and one that only says so: a typed error and never a SIGBUS,
//! no session lost, and it works on when there is room.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::{
    Access, Calling, CommitError, Durability, Hold as _, MapStore, OpenRequest, Store as _,
    StoreError, SweepBudget, Terms,
};
use rig::map::{MapHeld, census, heap_length, reboot};
use rig::small_disk::SmallDisk;
use rig::tap::{Answer, Call, Method, Tap, Tapped};
use rig::{child, commit, destroy, errno, key, open, put, read, renew, sys};

/// A place where room is refused until it is told to give some.
trait Tight {
    fn directory(&self) -> &Path;
    fn fill(&mut self);
    fn free(&mut self);
    fn open(&self, durability: Durability) -> Result<MapStore, StoreError> {
        MapStore::builder(self.directory().join("sessions")).durability(durability).open()
    }
}

impl Tight for SmallDisk {
    fn directory(&self) -> &Path {
        SmallDisk::directory(self)
    }

    fn fill(&mut self) {
        SmallDisk::fill(self);
    }

    fn free(&mut self) {
        SmallDisk::free(self);
    }
}

/// A road on which files get no room.
#[derive(Default)]
struct NoRoom {
    full: AtomicBool,
    refused: AtomicUsize,
}

impl Tap for NoRoom {
    fn before(&self, call: &Call<'_>) -> Answer {
        if call.method == Method::Allocate && self.full.load(Ordering::Relaxed) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Answer::Fail(libc::ENOSPC);
        }
        Answer::Pass
    }
}

struct RefusedRoom {
    directory: tempfile::TempDir,
    road: Arc<NoRoom>,
}

impl Tight for RefusedRoom {
    fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn fill(&mut self) {
        self.road.full.store(true, Ordering::Relaxed);
    }

    fn free(&mut self) {
        self.road.full.store(false, Ordering::Relaxed);
    }

    fn open(&self, durability: Durability) -> Result<MapStore, StoreError> {
        let fs = Tapped(Arc::clone(&self.road));
        let builder = MapStore::builder(self.directory().join("sessions"));
        builder.durability(durability).file_system(fs).open()
    }
}

impl RefusedRoom {
    fn new() -> Self {
        Self { directory: rig::directory(), road: Arc::default() }
    }
}

/// A limit on the size of files, which the signal handler does not see.
struct SizeLimit(tempfile::TempDir);

impl SizeLimit {
    fn new() -> Self {
        sys::ignore(libc::SIGXFSZ);
        Self(rig::directory())
    }
}

impl Tight for SizeLimit {
    fn directory(&self) -> &Path {
        self.0.path()
    }

    fn fill(&mut self) {
        sys::Limit::FileSize.set(Some(4_096));
    }

    fn free(&mut self) {
        sys::Limit::FileSize.set(None);
    }
}

fn assert_out_of_space(what: &str, done: Result<impl Sized, CommitError>) {
    match done.map(drop) {
        Err(CommitError::OutOfSpace(error)) => {
            let errno = error.source.raw_os_error();
            assert!(matches!(errno, Some(libc::ENOSPC | libc::EFBIG)), "{what}: {error}");
        }
        Err(error) => panic!("{what}: {error}"),
        Ok(()) => panic!("{what}: there was space"),
    }
}

/// Half an extent, so that two sessions take all there is.
fn large(mark: u8) -> Vec<u8> {
    vec![mark; 900_000]
}

fn take(store: &MapStore, id: &str, calling: Calling) -> MapHeld {
    wait(store.open(&key(id), OpenRequest::new(Access::Optimistic, calling))).unwrap()
}

/// Every write of a session meets a full disk: a typed error, the old value, and it works again when
/// there is room.
fn every_write_survives(mut disk: impl Tight, durability: Durability) {
    let store = disk.open(durability).unwrap();
    for calling in [Calling::Blocking, Calling::Async] {
        for id in ["commits", "grows", "renews", "graceful", "logs out"] {
            put(&store, &key(id), b"old");
        }
        put(&store, &key("large"), &large(b'1'));
        disk.fill();
        // Whatever free cells of the large size there are, they come to an end.
        let mut fillers = 0;
        let refused = loop {
            let mut hold = take(&store, &format!("filler {fillers}"), calling);
            match wait(hold.commit(&large(b'f'), Terms::default())) {
                Ok(_) => fillers += 1,
                refused => {
                    assert!(hold.record().is_none());
                    break refused;
                }
            }
        };
        assert!(fillers < 8, "the disk is not full");
        assert_out_of_space("birth", refused);
        for id in ["large", "grows"] {
            let mut hold = take(&store, id, calling);
            let before = hold.payload().to_vec();
            assert_out_of_space(id, wait(hold.commit(&large(b'2'), Terms::default())));
            assert_eq!(hold.payload(), before);
            assert!(read(&store, &key(id), Access::Snapshot).unwrap() == Some(before), "{id}");
        }
        for (id, grace) in [("renews", Duration::ZERO), ("graceful", Duration::from_secs(60))] {
            let mut hold = take(&store, id, calling);
            assert_out_of_space(id, renew(&mut hold, &key("new"), &large(b'2'), grace));
            assert_eq!(read(&store, &key(id), Access::Snapshot).unwrap().unwrap(), b"old");
            assert_eq!(read(&store, &key("new"), Access::Snapshot).unwrap(), None);
        }
        // Where there are free cells of the size, commits go on; and the way out needs no room.
        put(&store, &key("commits"), b"in a free cell");
        destroy(&mut take(&store, "logs out", calling)).unwrap();
        assert_eq!(read(&store, &key("logs out"), Access::Snapshot).unwrap(), None);
        wait(store.sweep(SweepBudget { sessions: 1_000 }, calling)).unwrap();
        if fillers > 0 {
            destroy(&mut take(&store, "filler 0", calling)).unwrap();
            put(&store, &key("grows"), &large(b'3'));
        }
        disk.free();
        for id in ["large", "grows"] {
            put(&store, &key(id), &large(b'4'));
            assert!(read(&store, &key(id), Access::Snapshot).unwrap().unwrap() == large(b'4'));
        }
        let mut hold = take(&store, "renews", calling);
        renew(&mut hold, &key("new"), &large(b'5'), Duration::ZERO).unwrap();
        let found = census(&store);
        assert_eq!(found.wrong, Vec::<String>::new());
        for key in found.sessions.keys() {
            destroy(&mut open(&store, key, Access::Optimistic).unwrap()).unwrap();
        }
        rig::sweep(&store).unwrap();
    }
}

/// The index has to grow on a full disk: the births beyond its end are refused, nothing else is.
fn the_index_survives(mut disk: impl Tight, durability: Durability) {
    let store = disk.open(durability).unwrap();
    let id = |number: u32| key(&format!("session {number}"));
    // Most of the first table.
    for number in 0..2_900 {
        put(&store, &id(number), b"old");
    }
    disk.fill();
    let refused = (2_900..6_000).find_map(|number| {
        let mut hold = open(&store, &id(number), Access::Optimistic).unwrap();
        commit(&mut hold, b"old").err().map(|error| (number, error))
    });
    let (born, error) = refused.unwrap();
    assert_out_of_space("a birth beyond the index", Err::<(), _>(error));
    for number in 0..born {
        put(&store, &id(number), b"new");
    }
    for number in 0..10 {
        destroy(&mut open(&store, &id(number), Access::Optimistic).unwrap()).unwrap();
    }
    disk.free();
    for number in 0..6_000 {
        put(&store, &id(number), b"newer");
    }
    for number in 0..6_000 {
        assert_eq!(read(&store, &id(number), Access::Snapshot).unwrap().unwrap(), b"newer");
    }
    rig::sweep(&store).unwrap();
    let census = census(&store);
    assert_eq!((census.sessions.len(), census.leftovers, census.wrong), (6_000, 0, Vec::new()));
    println!("full at {born} sessions");
}

/// A store is created, and its index built anew, where there is no room, then where there is.
fn building_survives(mut disk: impl Tight) {
    let root = disk.directory().join("sessions");
    fs::create_dir(&root).unwrap();
    for stored in [false, true] {
        disk.fill();
        let error = disk.open(Durability::Process).unwrap_err();
        let full = matches!(errno(&error), Some(libc::ENOSPC | libc::EFBIG));
        assert!(full && matches!(error, StoreError::Io(_)), "{error}");
        let names = rig::names(&root);
        let is_draft = |name: &PathBuf| name.to_string_lossy().contains("draft");
        assert!(!names.iter().any(is_draft), "leftovers: {names:?}");
        disk.free();
        let store = disk.open(Durability::Process).unwrap();
        if stored {
            assert_eq!(read(&store, &key("old"), Access::Snapshot).unwrap().unwrap(), b"old");
        }
        put(&store, &key("old"), b"old");
        drop(store);
        reboot(&root);
    }
}

fn skipped() -> bool {
    let skipped = !child::is_root();
    if skipped {
        println!("skipped: mounting a small disk needs root");
    }
    skipped
}

const SMALL: &str = "size=12m,mode=0700";

#[test]
fn a_full_disk_costs_no_session() {
    child::alone("a_full_disk_costs_no_session", || {
        for durability in [Durability::Process, Durability::Power] {
            if !skipped() {
                every_write_survives(SmallDisk::new(SMALL), durability);
            }
            every_write_survives(RefusedRoom::new(), durability);
            every_write_survives(SizeLimit::new(), durability);
        }
    });
}

#[test]
fn an_index_that_has_to_grow_on_a_full_disk_costs_no_session() {
    child::alone("an_index_that_has_to_grow_on_a_full_disk_costs_no_session", || {
        if !skipped() {
            the_index_survives(SmallDisk::new(SMALL), Durability::Process);
        }
        the_index_survives(RefusedRoom::new(), Durability::Process);
    });
}

#[test]
fn a_store_is_not_half_built_on_a_full_disk() {
    child::alone("a_store_is_not_half_built_on_a_full_disk", || {
        if !skipped() {
            building_survives(SmallDisk::new(SMALL));
        }
        building_survives(RefusedRoom::new());
    });
}

/// The control: a store that believes in room it was not given dies of it, and the rig sees that.
#[test]
fn room_that_was_promised_and_not_given_is_a_dead_process() {
    /// Sets the length and gives no room.
    struct Promise;
    impl Tap for Promise {
        fn before(&self, call: &Call<'_>) -> Answer {
            if call.method == Method::Allocate && call.path.is_none() {
                let length = call.offset.max(call.file.metadata().unwrap().len()) + (2 << 20);
                call.file.set_len(length).unwrap();
                return Answer::Pretend;
            }
            Answer::Pass
        }
    }
    child::alone("room_that_was_promised_and_not_given_is_a_dead_process", || {
        if skipped() {
            return;
        }
        let disk = SmallDisk::new(SMALL);
        let root = disk.directory().join("sessions");
        drop(disk.open(Durability::Process).unwrap());
        disk.fill();
        let pid = sys::fork(|| {
            let fs = Tapped(Arc::new(Promise));
            let store = MapStore::builder(&root).file_system(fs).open().unwrap();
            put(&store, &key("a"), &large(b'1'));
            0
        });
        assert_eq!(sys::wait_for(pid), sys::End::Signal(libc::SIGBUS));
        assert!(heap_length(&root) > 0);
    });
}
