//! Full disks, size limits and too many open files, all of them real.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::{
    Access, Calling, CommitError, Durability, FileStore, Hold as _, OpenRequest, Store as _,
    StoreError, Terms,
};
use rig::small_disk::SmallDisk;
use rig::{
    child, commit, commit_and_keep, destroy, errno, key, open, put, read, renew, sweep, sys,
};

/// A place where writing fails for want of space until it is told to give some.
trait Tight {
    fn directory(&self) -> &Path;
    fn fill(&mut self);
    fn free(&mut self);
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

/// A limit on the size of files, which the signal handler does not see.
struct SizeLimit {
    directory: tempfile::TempDir,
    bytes: u64,
}

impl SizeLimit {
    fn new(bytes: u64) -> Self {
        sys::ignore(libc::SIGXFSZ);
        Self { directory: rig::directory(), bytes }
    }

    fn set(bytes: Option<u64>) {
        sys::Limit::FileSize.set(bytes);
    }
}

impl Tight for SizeLimit {
    fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn fill(&mut self) {
        Self::set(Some(self.bytes));
    }

    fn free(&mut self) {
        Self::set(None);
    }
}

/// So large that neither slot shares a page with anything else.
fn large(mark: u8) -> Vec<u8> {
    vec![mark; 20_000]
}

/// What the disk looked like, leftovers and all.
fn files_of(store: &FileStore) -> Vec<PathBuf> {
    let mut files = rig::names(store.directory());
    files.retain(|path| !store.directory().join(path).is_dir() && path != Path::new("gate"));
    files
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

/// Holds an exclusive session in a blocking or an async call; both go different ways inside.
fn take(store: &FileStore, id: &str, calling: Calling) -> rig::Held {
    let request = OpenRequest::new(Access::Exclusive, calling);
    wait(store.open(&key(id), request)).unwrap()
}

/// Every write of a session meets a full disk: a typed error, the old value, no leftovers, and it
/// works again when there is space.
fn every_write_survives(mut disk: impl Tight, durability: Durability) {
    let root = disk.directory().join("sessions");
    let store = FileStore::builder(&root).durability(durability).open().unwrap();
    for calling in [Calling::Blocking, Calling::Async] {
        for id in ["commits", "grows", "renews", "logs out", "logs out late", "graceful"] {
            // Twice as large as the first, so that the second slot was never written.
            put(&store, &key(id), &large(b'1'));
        }
        // A prefix directory for what is to be created.
        put(&store, &key("new"), b"x");
        destroy(&mut take(&store, "new", calling)).unwrap();
        let late = key("logs out late");
        let mut late = open(&store, &late, Access::Optimistic).unwrap();
        let before = files_of(&store);
        disk.fill();

        let mut hold = take(&store, "new", calling);
        assert_out_of_space("first commit", wait(hold.commit(&large(b'2'), Terms::default())));
        assert!(hold.record().is_none());
        assert_out_of_space("again", wait(hold.commit(&large(b'2'), Terms::default())));
        drop(hold);

        let mut hold = take(&store, "commits", calling);
        assert_out_of_space("in place", wait(hold.commit(&large(b'2'), Terms::default())));
        assert_eq!(hold.payload(), large(b'1'));
        drop(hold);
        for access in Access::ALL {
            let seen = read(&store, &key("commits"), access).unwrap();
            assert_eq!(seen.unwrap(), large(b'1'), "{access}");
        }

        let mut hold = take(&store, "grows", calling);
        assert_out_of_space("growth", wait(hold.commit(&[b'2'; 100_000], Terms::default())));
        drop(hold);

        for (id, grace) in [("renews", Duration::ZERO), ("graceful", Duration::from_secs(60))] {
            let mut hold = take(&store, id, calling);
            assert_out_of_space("renew", renew(&mut hold, &key("new"), &large(b'2'), grace));
            drop(hold);
        }
        assert_eq!(files_of(&store), before, "leftovers");

        // The way out must not need space.
        destroy(&mut take(&store, "logs out", calling)).unwrap();
        destroy(&mut late).unwrap();
        for id in ["logs out", "logs out late"] {
            assert_eq!(read(&store, &key(id), Access::Exclusive).unwrap(), None);
        }
        sweep(&store).unwrap();

        disk.free();
        for id in ["commits", "grows", "renews", "graceful"] {
            let seen = read(&store, &key(id), Access::Exclusive).unwrap();
            assert_eq!(seen.unwrap(), large(b'1'), "{id}");
            commit_and_keep(&mut take(&store, id, calling), &[b'3'; 100_000]).unwrap();
        }
        let mut hold = take(&store, "renews", calling);
        renew(&mut hold, &key("new"), &large(b'4'), Duration::ZERO).unwrap();
        assert_eq!(read(&store, &key("new"), Access::Shared).unwrap().unwrap(), large(b'4'));
        for id in ["new", "commits", "grows", "graceful"] {
            destroy(&mut take(&store, id, calling)).unwrap();
        }
        assert_eq!(files_of(&store), [PathBuf::from("store.toml")]);
    }
}

fn skipped() -> bool {
    let skipped = !child::is_root();
    if skipped {
        println!("skipped: mounting a small disk needs root");
    }
    skipped
}

#[test]
fn a_full_disk_costs_no_session_and_hinders_no_logout() {
    child::alone("a_full_disk_costs_no_session_and_hinders_no_logout", || {
        if !skipped() {
            every_write_survives(SmallDisk::new("size=1024k,mode=0700"), Durability::Process);
        }
    });
}

#[test]
fn a_full_disk_costs_no_session_with_power_durability() {
    child::alone("a_full_disk_costs_no_session_with_power_durability", || {
        if !skipped() {
            every_write_survives(SmallDisk::new("size=1024k,mode=0700"), Durability::Power);
        }
    });
}

#[test]
fn a_limit_on_file_sizes_costs_no_session() {
    child::alone("a_limit_on_file_sizes_costs_no_session", || {
        // It ends a write in the middle of a slot: of the first, of its header, of the second.
        for bytes in [0, 100, 512, 513, 600, 10_000, 20_700, 20_992, 20_993, 21_050, 30_000] {
            every_write_survives(SizeLimit::new(bytes), Durability::Process);
        }
    });
}

/// A write that is cut by the limit has written a part. If what the slot held before happens to
/// end like the new value, the part completes it: reported as failed, it must not stand.
#[test]
fn a_commit_that_was_cut_short_does_not_stand_by_chance() {
    child::alone("a_commit_that_was_cut_short_does_not_stand_by_chance", || {
        let mut disk = SizeLimit::new(0);
        let store = FileStore::open(disk.directory().join("sessions")).unwrap();
        let id = key("chance");
        let payload = |mark: u8| [vec![mark; 100], vec![b'='; 200]].concat();
        // Slot 0, slot 1, slot 0: now slot 1 has the tail already.
        for mark in [b'1', b'2', b'3'] {
            put(&store, &id, &payload(mark));
        }
        disk.bytes = 1_024 + 96 + 150;
        disk.fill();
        let mut hold = open(&store, &id, Access::Exclusive).unwrap();
        assert_out_of_space("cut short", commit_and_keep(&mut hold, &payload(b'4')));
        for _ in 0..2 {
            let seen = read(&store, &id, Access::Snapshot).unwrap().unwrap();
            assert!(seen == payload(b'3'), "the commit that failed stands");
            hold.release_blocking();
        }
        disk.free();
        put(&store, &id, &payload(b'5'));
        assert_eq!(read(&store, &id, Access::Exclusive).unwrap().unwrap(), payload(b'5'));
    });
}

trait ReleaseBlocking {
    fn release_blocking(&mut self);
}

impl ReleaseBlocking for rig::Held {
    fn release_blocking(&mut self) {
        wait(self.release());
    }
}

/// A store is created where there is no space, then where there is.
fn creation_survives(disk: &mut impl Tight) {
    let root = disk.directory().join("sessions");
    fs::create_dir(&root).unwrap();
    disk.fill();
    match FileStore::open(&root) {
        Err(StoreError::Io(error)) => {
            let errno = error.source.raw_os_error();
            assert!(matches!(errno, Some(libc::ENOSPC | libc::EFBIG)), "{error}");
        }
        opened => panic!("{opened:?}"),
    }
    assert_eq!(rig::names(&root), Vec::<PathBuf>::new(), "leftovers");
    disk.free();
    let store = FileStore::open(&root).unwrap();
    put(&store, &key("first"), b"data");
}

#[test]
fn a_store_is_not_half_created_on_a_full_disk() {
    child::alone("a_store_is_not_half_created_on_a_full_disk", || {
        // One that ends in the middle of the description.
        for bytes in [0, 1, 10, 50, 90] {
            creation_survives(&mut SizeLimit::new(bytes));
        }
        if !skipped() {
            creation_survives(&mut SmallDisk::new("size=64k,mode=0700"));
        }
    });
}

/// No space for a name: the disk is out of inodes.
#[test]
fn a_disk_without_inodes_is_out_of_space() {
    child::alone("a_disk_without_inodes_is_out_of_space", || {
        if skipped() {
            return;
        }
        let disk = SmallDisk::new("size=1024k,nr_inodes=64,mode=0700");
        let store = FileStore::open(disk.directory().join("sessions")).unwrap();
        put(&store, &key("old"), b"old");
        let mut spare = 0;
        while File::create_new(disk.directory().join(format!("spare{spare}"))).is_ok() {
            spare += 1;
        }
        for id in ["old", "new"] {
            let mut hold = open(&store, &key(id), Access::Exclusive).unwrap();
            assert_out_of_space(id, commit(&mut hold, &large(b'2')));
        }
        assert_eq!(read(&store, &key("old"), Access::Exclusive).unwrap().unwrap(), b"old");
        put(&store, &key("old"), b"in place");
        for index in 0..spare {
            fs::remove_file(disk.directory().join(format!("spare{index}"))).unwrap();
        }
        put(&store, &key("old"), &large(b'3'));
        put(&store, &key("new"), &large(b'3'));
    });
}

/// Takes every descriptor but so many.
fn hog(left: usize) -> Vec<File> {
    let mut hogged: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    hogged.truncate(hogged.len() - left);
    hogged
}

#[test]
fn too_many_open_files_is_an_error_that_passes() {
    child::alone("too_many_open_files_is_an_error_that_passes", || {
        let directory = rig::directory();
        let root = directory.path().join("sessions");
        // No kept file that could give way.
        let store = FileStore::builder(&root).open_files(0).open().unwrap();
        put(&store, &key("old"), b"1");
        sys::Limit::OpenFiles.set(Some(64));
        let mut failures = [0; 5];
        let mut stands = b"1".to_vec();
        for (left, failures) in failures.iter_mut().enumerate() {
            for access in Access::ALL {
                let before = files_of(&store);
                let hogged = hog(left);
                let mut told = |error: &(dyn std::error::Error + 'static)| {
                    assert_eq!(errno(error), Some(libc::EMFILE), "{error}");
                    assert!(error.to_string().contains("ulimit -n"), "no advice: {error}");
                    *failures += 1;
                };
                let value = format!("{left} {access}").repeat(40 * (left + 1)).into_bytes();
                match open(&store, &key("old"), access) {
                    Err(error) => told(&error),
                    Ok(mut hold) if access.may_write() => match commit(&mut hold, &value) {
                        Ok(_) => stands = value,
                        Err(error) => told(&error),
                    },
                    Ok(hold) => assert_eq!(hold.payload(), stands),
                }
                match open(&store, &key("new"), access) {
                    Err(error) => told(&error),
                    Ok(mut hold) if access.may_write() => match commit(&mut hold, b"new") {
                        Ok(_) => destroy(&mut open(&store, &key("new"), access).unwrap()).unwrap(),
                        Err(error) => told(&error),
                    },
                    Ok(_) => {}
                }
                if let Err(error) = sweep(&store) {
                    told(&error);
                }
                if let Err(error) = FileStore::open(&root) {
                    told(&error);
                }
                drop(hogged);
                assert_eq!(read(&store, &key("old"), Access::Exclusive).unwrap().unwrap(), stands);
                // A destroyed session whose name could not be taken away is swept.
                sweep(&store).unwrap();
                assert_eq!(files_of(&store), before, "{left} left, {access}");
            }
        }
        let [none, .., enough] = failures;
        // Opens of two sessions, a sweep and a store, with each of four accesses.
        assert_eq!(none, 16, "without a descriptor nothing opens");
        assert_eq!(enough, 0, "four descriptors are enough for anything");
    });
}
