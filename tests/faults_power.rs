//! With `Durability::Power` what was acknowledged survives a power cut at any step, and a sync that
//! fails ends the trust in its handle.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::{
    Access, Calling, CommitError, Durability, FileStore, Hold as _, Inventory as _, Key, Lifetime,
    Record, Timestamp,
};
use rig::disk::{Disk, Event, Luck, Plant, Recorder};
use rig::tap::{Answer, Call, Method, Tap, Tapped};
use rig::{commit, destroy, key, open, put, read, renew, try_open};

/// A store on a disk that is recorded.
struct Bench {
    recorder: Arc<Recorder>,
    store: FileStore,
    _directory: tempfile::TempDir,
}

fn recorded(recorder: &Arc<Recorder>, root: &Path) -> FileStore {
    FileStore::builder(root)
        .durability(Durability::Power)
        .file_system(Tapped(Arc::clone(recorder)))
        .open()
        .unwrap()
}

impl Bench {
    /// `late_sync`: see the recorder.
    fn new(plant: Option<Plant>, late_sync: bool) -> Self {
        let directory = rig::directory();
        let root = directory.path().join("sessions");
        std::fs::create_dir(&root).unwrap();
        let mut recorder = Recorder::new(&root, plant);
        recorder.late_sync = late_sync;
        let recorder = Arc::new(recorder);
        let store = recorded(&recorder, &root);
        // From here on a cut finds a store.
        recorder.begin(&[]);
        recorder.end(true);
        recorder.armed.store(true, Ordering::Relaxed);
        Self { recorder, store, _directory: directory }
    }

    /// Another handle of the same store, as another process has it.
    fn again(&mut self) {
        let root = self.store.directory().to_owned();
        self.store = recorded(&self.recorder, &root);
    }

    fn deed<T>(
        &self,
        states: &[(Key, Option<&[u8]>)],
        deed: impl FnOnce(&FileStore) -> Result<T, CommitError>,
    ) -> Result<T, CommitError> {
        let states: Vec<_> =
            states.iter().map(|(key, state)| (*key, state.map(<[u8]>::to_vec))).collect();
        self.recorder.begin(&states);
        let done = deed(&self.store);
        self.recorder.end(done.is_ok());
        done
    }

    fn commit(&self, id: &str, access: Access, payload: &[u8]) -> Result<(), CommitError> {
        let id = key(id);
        self.deed(&[(id, Some(payload))], |store| {
            commit(&mut open(store, &id, access)?, payload).map(drop)
        })
    }

    fn destroy(&self, id: &str, access: Access) -> Result<(), CommitError> {
        let id = key(id);
        self.deed(&[(id, None)], |store| destroy(&mut open(store, &id, access)?))
    }

    fn adopt(&self, id: &str, version: u64, payload: &[u8]) -> Result<(), CommitError> {
        let (id, never) = (key(id), Lifetime { idle: None, absolute: None });
        let record = Record {
            birth: 7,
            version,
            created: Timestamp::from_millis(1),
            accessed: Timestamp::from_millis(1),
            lifetime: never,
            retired_until: None,
        };
        let adopt =
            |store: &FileStore| wait(store.adopt(&id, record, payload, None, Calling::Blocking));
        self.deed(&[(id, Some(payload))], adopt).map(drop)
    }

    fn renew(&self, old: &str, new: &str, grace: Duration) -> Result<(), CommitError> {
        let (old, new) = (key(old), key(new));
        let hold = open(&self.store, &old, Access::Exclusive)?;
        let before = hold.payload().to_vec();
        let states =
            [(new, Some(&b"renewed"[..])), (old, (!grace.is_zero()).then_some(&before[..]))];
        let mut hold = hold;
        self.deed(&states, |_| renew(&mut hold, &new, b"renewed", grace).map(drop))
    }

    /// Commits of several sectors each, which a cut may tear.
    fn large_commits(&self, marks: std::ops::RangeInclusive<u8>) -> Result<(), CommitError> {
        for mark in marks {
            self.commit("a", Access::Exclusive, &[mark; 1_500])?;
        }
        Ok(())
    }

    /// All that happens to sessions.
    fn workload(&self) -> Result<(), CommitError> {
        self.commit("a", Access::Exclusive, b"one")?;
        self.commit("a", Access::Exclusive, b"two")?;
        self.commit("a", Access::Optimistic, b"three")?;
        self.commit("a", Access::Exclusive, &[4; 1_500])?;
        self.commit("a", Access::Exclusive, &[5; 1_400])?;
        wait(open(&self.store, &key("a"), Access::Snapshot)?.touch())?;
        self.commit("a", Access::Exclusive, &[6; 1_600])?;
        self.renew("a", "b", Duration::ZERO)?;
        self.commit("b", Access::Exclusive, b"seven")?;
        self.renew("b", "c", Duration::from_secs(600))?;
        self.destroy("c", Access::Exclusive)?;
        self.commit("c", Access::Exclusive, b"again")?;
        self.commit("d", Access::Optimistic, b"eight")?;
        self.destroy("d", Access::Optimistic)?;
        self.destroy("b", Access::Exclusive)?;
        self.adopt("e", 3, b"nine")?;
        self.adopt("e", 5, b"ten")?;
        self.adopt("e", 9, &[11; 1_500])?;
        self.commit("e", Access::Exclusive, b"twelve")?;
        rig::sweep(&self.store)?;
        Ok(())
    }
}

/// Cuts the power at every step of a record: how many disks were built, or what one of them lost.
fn cut_everywhere(events: &[Event], samples: u64, again: bool) -> Result<usize, String> {
    let mut disk = Disk::default();
    let mut born = false;
    let mut disks = 0;
    for (step, event) in events.iter().enumerate() {
        disk.step(event);
        // Before the store was there nothing was promised.
        born |= matches!(event, Event::Acknowledged);
        if !born {
            continue;
        }
        let lucks = (0..samples).map(|n| Luck::Some(step as u64 * 1_000 + n));
        for luck in [Luck::None, Luck::All].into_iter().chain(lucks) {
            let directory = rig::directory();
            disk.cut(luck, directory.path());
            disks += 1;
            look_at(&disk, directory.path())
                .map_err(|lost| format!("cut after step {step} ({event:?}), {luck:?}: {lost}"))?;
            // Every so often a second cut, while the survivors are being written.
            if again && disks % 16 == 0 {
                disks += cut_while_recovering(&disk, luck)?;
            }
        }
    }
    Ok(disks)
}

/// After a cut: each session is in the state that was acknowledged, or attempted since.
fn look_at(disk: &Disk, root: &Path) -> Result<(), String> {
    let store = FileStore::open(root).map_err(|error| error.to_string())?;
    for (key, state) in states_of(disk) {
        let seen = read(&store, &key, Access::Snapshot).map_err(|error| error.to_string())?;
        let locked = read(&store, &key, Access::Exclusive).map_err(|error| error.to_string())?;
        if seen != locked {
            return Err(format!("{key} is {locked:?} with a lock, {seen:?} without"));
        }
        if !state.contains(&locked) {
            return Err(format!("{key} is {locked:?}, due is one of {state:?}"));
        }
    }
    Ok(())
}

fn states_of(disk: &Disk) -> Vec<(Key, Vec<Option<Vec<u8>>>)> {
    let mut keys: Vec<Key> =
        disk.attempted.keys().chain(disk.acknowledged.keys()).copied().collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .map(|key| {
            let mut states = disk.attempted.get(&key).cloned().unwrap_or_default();
            states.push(disk.acknowledged.get(&key).cloned().flatten());
            (key, states)
        })
        .collect()
}

fn cut_while_recovering(disk: &Disk, luck: Luck) -> Result<usize, String> {
    let directory = rig::directory();
    disk.cut(luck, directory.path());
    let recorder = Arc::new(Recorder::new(directory.path(), None));
    let store = recorded(&recorder, directory.path());
    for (key, _) in states_of(disk) {
        let seen = read(&store, &key, Access::Snapshot).unwrap();
        recorder.begin(&[(key, seen)]);
        recorder.end(true);
    }
    for (key, _) in states_of(disk) {
        let mut hold = open(&store, &key, Access::Exclusive).unwrap();
        if hold.record().is_some_and(|record| record.retired_until.is_some()) {
            continue;
        }
        recorder.begin(&[(key, Some(b"recovered".to_vec()))]);
        commit(&mut hold, b"recovered").unwrap();
        recorder.end(true);
    }
    cut_everywhere(&recorder.events(), 2, false).map_err(|lost| format!("{luck:?}, again: {lost}"))
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_at_any_step() {
    let bench = Bench::new(None, false);
    bench.workload().unwrap();
    let disks = cut_everywhere(&bench.recorder.events(), 12, true).unwrap();
    println!("{disks} disks");
    assert!(disks > 1_000, "{disks}");
}

/// A writer is killed between its write and its sync; the next one builds on what it finds in the
/// page cache.
#[test]
fn a_commit_on_top_of_one_that_was_never_synced_survives_a_power_cut() {
    // Before the sync of a birth, of its two directories, of commits, of a growth, of its rename.
    for nth in 1..=12 {
        let mut bench = Bench::new(Some(killed_before_sync(nth)), false);
        let done = catch_unwind(AssertUnwindSafe(|| bench.workload()));
        assert!(done.is_err(), "it was to be killed");
        bench.recorder.end(false);
        bench.again();
        // Whatever stands is the next one's base; its commits overwrite the older slot first.
        for payload in [&b"next"[..], b"second next", &[9; 2_000]] {
            bench.commit("a", Access::Exclusive, payload).unwrap();
        }
        bench.destroy("a", Access::Exclusive).unwrap();
        cut_everywhere(&bench.recorder.events(), 6, false)
            .unwrap_or_else(|lost| panic!("killed before sync {nth}: {lost}"));
    }
    // The birth takes three syncs, each commit one.
    for nth in [4, 5] {
        let mut bench = Bench::new(Some(killed_before_sync(nth)), false);
        catch_unwind(AssertUnwindSafe(|| bench.large_commits(1..=4))).unwrap_err();
        bench.recorder.end(false);
        bench.again();
        bench.large_commits(5..=7).unwrap();
        cut_everywhere(&bench.recorder.events(), 40, false)
            .unwrap_or_else(|lost| panic!("killed before sync {nth}: {lost}"));
    }
}

/// Dies, as far as the file system is concerned, before the n-th sync; once.
fn killed_before_sync(nth: usize) -> Plant {
    let syncs = AtomicUsize::new(0);
    Box::new(move |call| {
        let counts = matches!(call.method, Method::Sync | Method::SyncDirectory);
        if counts && syncs.fetch_add(1, Ordering::Relaxed) + 1 == nth {
            std::panic::panic_any("killed");
        }
        Answer::Pass
    })
}

/// The n-th sync of files fails, once, and the kernel drops what was dirty.
fn fails_at_sync(nth: usize) -> Plant {
    let syncs = AtomicUsize::new(0);
    Box::new(move |call| {
        let counts = matches!(call.method, Method::Sync | Method::SyncDirectory);
        if counts && syncs.fetch_add(1, Ordering::Relaxed) + 1 == nth {
            return Answer::Fail(libc::EIO);
        }
        Answer::Pass
    })
}

#[test]
fn a_failed_sync_and_a_power_cut_lose_nothing_acknowledged() {
    for nth in 1.. {
        let mut bench = Bench::new(Some(fails_at_sync(nth)), false);
        let done = bench.workload();
        match done {
            Ok(()) => {
                assert!(nth > 20, "{nth}");
                break;
            }
            Err(CommitError::SyncFailed(_)) => {}
            Err(error) => panic!("sync {nth}: {error}"),
        }
        bench.again();
        for id in ["a", "d"] {
            bench.commit(id, Access::Exclusive, b"by another handle").unwrap();
            bench.commit(id, Access::Exclusive, &[7; 3_000]).unwrap();
        }
        cut_everywhere(&bench.recorder.events(), 3, false)
            .unwrap_or_else(|lost| panic!("sync {nth} failed: {lost}"));
    }
}

/// The controls: each of these bugs loses something in a power cut, and the rig sees it.
#[test]
fn the_power_cut_catches_lost_late_and_forgotten_syncs() {
    let no_sync: fn() -> Plant = || {
        Box::new(|call| match call.method {
            Method::Sync => Answer::Pretend,
            _ => Answer::Pass,
        })
    };
    let no_directory_sync: fn() -> Plant = || {
        Box::new(|call| match call.method {
            Method::SyncDirectory => Answer::Pretend,
            _ => Answer::Pass,
        })
    };
    let every_other_sync: fn() -> Plant = || {
        let syncs = AtomicUsize::new(0);
        Box::new(move |call| match call.method {
            Method::Sync if syncs.fetch_add(1, Ordering::Relaxed) % 2 == 1 => Answer::Pretend,
            _ => Answer::Pass,
        })
    };
    let bugs: [(&str, Option<Plant>, bool); 4] = [
        ("no file is ever synced", Some(no_sync()), false),
        ("no directory is ever synced", Some(no_directory_sync()), false),
        ("every other sync is skipped", Some(every_other_sync()), false),
        ("a larger file is synced after the rename", None, true),
    ];
    for (bug, plant, late_sync) in bugs {
        let bench = Bench::new(plant, late_sync);
        bench.workload().unwrap();
        let cut = cut_everywhere(&bench.recorder.events(), 12, false);
        println!("{bug}: {cut:?}");
        assert!(cut.is_err(), "not caught: {bug}");
    }
}

/// The control of the test above it: without the sync of the slot that a killed writer left, the
/// next commit overwrites the only slot that is on the medium.
#[test]
fn the_power_cut_catches_a_base_that_was_not_synced() {
    for nth in [4, 5] {
        let killed = killed_before_sync(nth);
        let dead = Arc::new(AtomicBool::new(false));
        let skipped = AtomicBool::new(false);
        let after = Arc::clone(&dead);
        let plant: Plant = Box::new(move |call| {
            if after.load(Ordering::Relaxed) {
                // The first sync of the next writer is the one of what it found.
                let first = call.method == Method::Sync && !skipped.swap(true, Ordering::Relaxed);
                return if first { Answer::Pretend } else { Answer::Pass };
            }
            killed(call)
        });
        let mut bench = Bench::new(Some(plant), false);
        catch_unwind(AssertUnwindSafe(|| bench.large_commits(1..=4))).unwrap_err();
        bench.recorder.end(false);
        bench.again();
        dead.store(true, Ordering::Relaxed);
        bench.large_commits(5..=7).unwrap();
        let cut = cut_everywhere(&bench.recorder.events(), 40, false);
        assert!(cut.is_err(), "not caught, killed before sync {nth}");
    }
}

/// The order of calls, as the record shows it.
#[test]
fn syncs_come_in_the_order_that_the_format_needs() {
    let bench = Bench::new(None, false);
    let mut done = bench.recorder.events().len();
    let mut next = |what: &str| {
        let events = bench.recorder.events();
        let new: Vec<Event> = events.get(done..).unwrap().to_vec();
        done = events.len();
        assert!(!new.is_empty(), "{what} did nothing");
        new
    };
    let slot_written =
        |event: &Event| matches!(event, Event::Write { offset, .. } if *offset >= 512);
    let synced = |event: &Event| matches!(event, Event::Sync { .. });
    let directory = |event: &Event| matches!(event, Event::SyncDirectory { .. });
    let acknowledged = |event: &Event| matches!(event, Event::Acknowledged);
    let renamed = |event: &Event| matches!(event, Event::Rename { .. });
    let unlinked = |event: &Event| matches!(event, Event::Unlink { .. });
    type Is<'a> = &'a dyn Fn(&Event) -> bool;
    let in_order = |what: &str, events: &[Event], wanted: &[Is<'_>]| {
        let mut events = events.iter();
        for (index, wanted) in wanted.iter().enumerate() {
            assert!(events.any(wanted), "{what}: number {index} is not in its place");
        }
    };
    bench.commit("a", Access::Exclusive, b"one").unwrap();
    // The file, then its directory and the one above it, which is new too.
    let birth: &[Is<'_>] = &[&slot_written, &synced, &directory, &directory, &acknowledged];
    in_order("birth", &next("birth"), birth);
    bench.commit("a", Access::Exclusive, b"two").unwrap();
    let in_place = next("commit");
    in_order("commit", &in_place, &[&slot_written, &synced, &acknowledged]);
    assert_eq!(in_place.iter().filter(|e| synced(e)).count(), 1, "what is synced is synced once");
    bench.commit("a", Access::Exclusive, &[3; 2_000]).unwrap();
    let growth: &[Is<'_>] = &[&slot_written, &synced, &renamed, &directory, &acknowledged];
    in_order("growth", &next("growth"), growth);
    bench.renew("a", "b", Duration::ZERO).unwrap();
    let renewal: &[Is<'_>] =
        &[&slot_written, &synced, &directory, &slot_written, &synced, &acknowledged];
    in_order("renew", &next("renew"), renewal);
    bench.destroy("b", Access::Exclusive).unwrap();
    let end: &[Is<'_>] = &[&slot_written, &synced, &unlinked, &acknowledged];
    in_order("destroy", &next("destroy"), end);
    // The control of this test: the reverse is not found.
    let reversed = catch_unwind(AssertUnwindSafe(|| {
        in_order("reversed", &in_place, &[&synced, &slot_written]);
    }));
    assert!(reversed.is_err());
}

/// A new store, and the directories above it that it makes, are themselves names on a disk.
#[test]
fn the_directories_of_a_new_store_are_synced_where_they_are_named() {
    #[derive(Default)]
    struct Directories(Mutex<Vec<u64>>);
    impl Tap for Directories {
        fn before(&self, call: &Call<'_>) -> Answer {
            use std::os::unix::fs::MetadataExt as _;
            if call.method == Method::SyncDirectory {
                self.0.lock().unwrap().push(call.file.metadata().unwrap().ino());
            }
            Answer::Pass
        }
    }
    let directory = rig::directory();
    let synced = Arc::new(Directories::default());
    FileStore::builder(directory.path().join("one/two/sessions"))
        .durability(Durability::Power)
        .file_system(Tapped(Arc::clone(&synced)))
        .open()
        .unwrap();
    for named in ["", "one", "one/two", "one/two/sessions"] {
        use std::os::unix::fs::MetadataExt as _;
        let inode = std::fs::metadata(directory.path().join(named)).unwrap().ino();
        assert!(synced.0.lock().unwrap().contains(&inode), "`{named}` was not synced");
    }
}

/// Fails one sync, and counts all.
#[derive(Default)]
struct Faulty {
    fail_at: AtomicUsize,
    syncs: AtomicUsize,
}

impl Tap for Faulty {
    fn before(&self, call: &Call<'_>) -> Answer {
        if !matches!(call.method, Method::Sync | Method::SyncDirectory) {
            return Answer::Pass;
        }
        let count = self.syncs.fetch_add(1, Ordering::Relaxed) + 1;
        if count == self.fail_at.load(Ordering::Relaxed) {
            Answer::Fail(libc::EIO)
        } else {
            Answer::Pass
        }
    }
}

#[test]
fn a_failed_sync_withdraws_the_commit_and_poisons_the_handle() {
    type Deed =
        (&'static str, fn(&mut rig::Held) -> Result<(), CommitError>, Option<&'static [u8]>);
    let deeds: [Deed; 6] = [
        ("commit", |hold| commit(hold, b"new").map(drop), Some(b"old")),
        ("growth", |hold| commit(hold, &[1; 3_000]).map(drop), Some(b"old")),
        ("birth", |hold| commit(hold, b"new").map(drop), None),
        ("destroy", destroy, Some(b"old")),
        ("renew", |h| renew(h, &key("b"), b"new", Duration::ZERO).map(drop), Some(b"old")),
        ("retire", |h| renew(h, &key("b"), b"new", Duration::from_secs(9)).map(drop), Some(b"old")),
    ];
    for (what, deed, old) in deeds {
        let mut failures = 0;
        for nth in 1.. {
            let directory = rig::directory();
            let root = directory.path().join("sessions");
            let faulty = Arc::new(Faulty::default());
            let store = FileStore::builder(&root)
                .durability(Durability::Power)
                .file_system(Tapped(Arc::clone(&faulty)))
                .open()
                .unwrap();
            let id = key("a");
            if let Some(old) = old {
                put(&store, &id, b"older");
                put(&store, &id, old);
            }
            put(&store, &key("other"), b"other");
            let mut hold = open(&store, &id, Access::Exclusive).unwrap();
            faulty.fail_at.store(faulty.syncs.load(Ordering::Relaxed) + nth, Ordering::Relaxed);
            match deed(&mut hold) {
                Ok(()) => break,
                Err(CommitError::SyncFailed(error)) => {
                    assert_eq!(error.source.raw_os_error(), Some(libc::EIO), "{what}: {error}");
                }
                Err(error) => panic!("{what}, sync {nth}: {error}"),
            }
            failures += 1;
            // Withdrawn: other handles read the old value, with a lock and without.
            let other = FileStore::open(&root).unwrap();
            let seen = read(&other, &id, Access::Snapshot).unwrap();
            assert_eq!(seen.as_deref(), old, "{what}, sync {nth}");
            drop(hold);
            let seen = read(&other, &id, Access::Exclusive).unwrap();
            assert_eq!(seen.as_deref(), old, "{what}, sync {nth}");
            // Poisoned, and never synced again.
            let syncs = faulty.syncs.load(Ordering::Relaxed);
            for id in ["a", "other", "never born"].map(key) {
                for access in [Access::Exclusive, Access::Optimistic] {
                    let before = read(&other, &id, Access::Exclusive).unwrap();
                    let mut hold = try_open(&store, &id, access).unwrap();
                    let error = commit(&mut hold, b"more").unwrap_err();
                    assert!(matches!(error, CommitError::Poisoned), "{what}: {error}");
                    drop(hold);
                    let mut hold = try_open(&store, &id, access).unwrap();
                    let error = renew(&mut hold, &key("c"), b"more", Duration::ZERO).unwrap_err();
                    assert!(matches!(error, CommitError::Poisoned), "{what}: {error}");
                    drop(hold);
                    if before.is_some() {
                        let mut hold = try_open(&store, &id, access).unwrap();
                        let error = destroy(&mut hold).unwrap_err();
                        assert!(matches!(error, CommitError::Poisoned), "{what}: {error}");
                        drop(hold);
                    }
                    assert_eq!(read(&other, &id, Access::Exclusive).unwrap(), before);
                }
            }
            assert_eq!(faulty.syncs.load(Ordering::Relaxed), syncs, "{what}: it was synced again");
            // The other handle, and one that is opened now, work.
            put(&other, &id, b"newer");
            put(&FileStore::open(&root).unwrap(), &key("other"), b"newer");
        }
        assert!(failures > 0, "{what} syncs nothing");
    }
}
