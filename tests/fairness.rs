//! Who gets the lock: in a process, between processes, and after a holder that was killed.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "common/process.rs"]
mod process;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::{
    Access, Calling, CommitError, FileStore, Hold as _, Key, MemoryStore, OpenRequest, SessionId,
    Store, Terms,
};
use process::{Child, listen, role, say, watched};

#[test]
fn threads_are_served_in_the_order_they_came_in_memory() {
    watched(|| served_in_order(&MemoryStore::new()));
}

#[test]
fn threads_are_served_in_the_order_they_came_on_files() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::open(directory.path()).unwrap();
    watched(move || served_in_order(&store));
}

fn served_in_order<S: Store>(store: &S) {
    for mode in [Calling::Blocking, Calling::Async] {
        let key = key();
        put(store, &key, 1);
        let holder = open(store, &key, Access::Exclusive);
        let order = Mutex::new(Vec::new());
        thread::scope(|scope| {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            for number in 0..64 {
                // A task of its own thread: polled once, in order, so that it stands in the queue.
                let request = OpenRequest::new(Access::Exclusive, Calling::Async);
                let mut waiting = Box::pin(store.open(&key, request));
                assert!(waiting.as_mut().poll(&mut context).is_pending());
                let order = &order;
                scope.spawn(move || {
                    let mut hold = wait(waiting).unwrap();
                    order.lock().unwrap().push(number);
                    if mode == Calling::Blocking {
                        let count = count(&hold) + 1;
                        wait(hold.commit(&count.to_le_bytes(), Terms::default())).unwrap();
                    }
                });
            }
            drop(holder);
        });
        assert!(order.into_inner().unwrap().is_sorted(), "first come, first served");
    }
}

#[test]
fn a_writer_gets_in_between_overlapping_readers_of_its_process() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::open(directory.path()).unwrap();
    watched(move || {
        let key = key();
        put(&store, &key, 1);
        let (turns, done) = (AtomicU64::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(|| {
                    while !done.load(Ordering::Acquire) {
                        let hold = open(&store, &key, Access::Shared);
                        turns.fetch_add(1, Ordering::AcqRel);
                        thread::sleep(READ);
                        drop(hold);
                    }
                });
            }
            for round in 1..=ROUNDS {
                // Let the readers be in again.
                let seen = turns.load(Ordering::Acquire);
                while turns.load(Ordering::Acquire) < seen + READERS {
                    thread::yield_now();
                }
                let before = turns.load(Ordering::Acquire);
                let mut hold = open(&store, &key, Access::Exclusive);
                let passed = turns.load(Ordering::Acquire) - before;
                assert!(passed <= 2 * READERS, "{passed} readers passed the writer by");
                wait(hold.commit(&(round + 1).to_le_bytes(), Terms::default())).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        assert_eq!(count(&open(&store, &key, Access::Snapshot)), ROUNDS + 1);
    });
}

#[test]
fn a_writer_gets_in_between_overlapping_readers_of_other_processes() {
    let directory = tempfile::tempdir().unwrap();
    watched(move || {
        let store = FileStore::open(directory.path().join("store")).unwrap();
        let key = key();
        put(&store, &key, 1);
        let tallies: Vec<PathBuf> =
            (0..READERS).map(|number| directory.path().join(format!("tally {number}"))).collect();
        let mut readers: Vec<Child> = tallies
            .iter()
            .map(|tally| {
                fs::write(tally, [0; 8]).unwrap();
                let role = format!("{}\nread\n{}", directory.path().display(), tally.display());
                Child::start("child", &role)
            })
            .collect();
        for reader in &mut readers {
            reader.expect("ready");
        }
        let turns = || tallies.iter().map(|tally| read_tally(tally)).sum::<u64>();
        let mut worst = 0;
        for round in 1..=ROUNDS {
            let seen: Vec<u64> = tallies.iter().map(|tally| read_tally(tally)).collect();
            while tallies.iter().zip(&seen).any(|(tally, seen)| read_tally(tally) == *seen) {
                thread::yield_now();
            }
            let before = turns();
            let mut hold = open(&store, &key, Access::Exclusive);
            worst = worst.max(turns() - before);
            wait(hold.commit(&(round + 1).to_le_bytes(), Terms::default())).unwrap();
        }
        // Without the gate it is hundreds: the readers overlap all the time.
        assert!(worst <= 4 * READERS, "{worst} readers passed the writer by");
        for mut reader in readers {
            reader.tell();
            reader.finish();
        }
        assert_eq!(count(&open(&store, &key, Access::Snapshot)), ROUNDS + 1);
    });
}

#[test]
fn two_processes_with_threads_lose_no_exclusive_update_and_take_turns() {
    watched(|| contend("exclusive"));
}

#[test]
fn two_processes_with_threads_lose_no_optimistic_update() {
    watched(|| contend("optimistic"));
}

/// Two processes count until each has `COUNTS`: so they do contend, and neither starves.
fn contend(access: &str) {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::open(directory.path().join("store")).unwrap();
    let key = key();
    put(&store, &key, 0);
    let tallies = [0, 1].map(|number| directory.path().join(format!("tally {number}")));
    let mut counters = [0, 1].map(|number: usize| {
        let tally = tallies[number].display();
        let role = format!("{}\ncount {access}\n{number}\n{tally}", directory.path().display());
        Child::start("child", &role)
    });
    for counter in &mut counters {
        counter.expect("ready");
    }
    for counter in &mut counters {
        counter.tell();
    }
    counters.into_iter().for_each(Child::finish);
    let hold = open(&store, &key, Access::Snapshot);
    let counts = [0, 1].map(|number| number_at(hold.payload(), 8 * number));
    assert_eq!(counts, tallies.map(|tally| read_tally(&tally)), "what was acknowledged counts");
    assert_eq!(hold.record().unwrap().version, 1 + counts[0] + counts[1]);
    if access == "exclusive" {
        // One may start before the other, and then they take turns: a process keeps the lock
        // among its threads four times at most.
        let (fewer, more) = (counts[0].min(counts[1]), counts[0].max(counts[1]));
        assert!(more <= 8 * fewer, "the shares were {counts:?}");
    }
}

#[test]
fn after_a_holder_is_killed_the_next_waiters_go_on_with_the_old_value() {
    let directory = tempfile::tempdir().unwrap();
    watched(move || {
        let store = FileStore::open(directory.path().join("store")).unwrap();
        let key = key();
        for round in 0..10 {
            let birth = put(&store, &key, round);
            let version = open(&store, &key, Access::Snapshot).record().unwrap().version;
            let role = |role: &str| format!("{}\n{role}\n", directory.path().display());
            let mut holder = Child::start("child", &role("hold"));
            holder.expect("held");
            let mut elsewhere = Child::start("child", &role("count once"));
            elsewhere.expect("ready");
            elsewhere.tell();
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let waiting = [Access::Exclusive, Access::Shared].map(|access| {
                let request = OpenRequest::new(access, Calling::Async);
                let mut waiting = Box::pin(store.open(&key, request));
                assert!(waiting.as_mut().poll(&mut context).is_pending(), "the child holds it");
                waiting
            });
            holder.kill();
            for waiting in waiting {
                let hold = wait(waiting).unwrap();
                let record = hold.record().unwrap();
                assert_eq!(record.birth, birth);
                let old = (record.version, count(&hold)) == (version, round);
                let next = (record.version, count(&hold)) == (version + 1, round + 1);
                assert!(old || next, "it is the old value, or the next waiter's");
            }
            elsewhere.finish();
            assert_eq!(count(&open(&store, &key, Access::Exclusive)), round + 1);
        }
    });
}

#[test]
fn a_timeout_names_the_process_that_holds() {
    let directory = tempfile::tempdir().unwrap();
    watched(move || {
        let store = FileStore::open(directory.path().join("store")).unwrap();
        let key = key();
        put(&store, &key, 1);
        let mut holder = Child::start("child", &format!("{}\nhold\n", directory.path().display()));
        holder.expect("held");
        for patience in [Duration::ZERO, Duration::from_millis(20)] {
            for access in [Access::Exclusive, Access::Shared] {
                let request = OpenRequest::new(access, Calling::Blocking).wait(patience);
                let error = wait(store.open(&key, request)).map(drop).unwrap_err();
                let cloakroom::OpenError::LockTimeout(timeout) = &error else {
                    panic!("a timeout was expected: {error}")
                };
                let pid = timeout.holder.as_ref().map(|holder| holder.pid);
                assert_eq!(pid, Some(holder.pid()), "{access}: {error}");
            }
        }
        holder.tell();
        holder.finish();
        drop(open(&store, &key, Access::Exclusive));
    });
}

/// Not a test: what the children of the others do.
#[test]
fn child() {
    let Some(role) = role("child") else { return };
    let mut words = role.lines();
    let store = FileStore::open(Path::new(words.next().unwrap()).join("store")).unwrap();
    let key = key();
    match words.next().unwrap() {
        "hold" => {
            let _hold = open(&store, &key, Access::Exclusive);
            say("held");
            listen();
        }
        "read" => read_in_turns(&store, &key, Path::new(words.next().unwrap())),
        "count once" => {
            say("ready");
            listen();
            add(&store, &key, Access::Exclusive, 0);
        }
        counting => {
            let access = match counting {
                "count exclusive" => Access::Exclusive,
                _ => Access::Optimistic,
            };
            say("ready");
            listen();
            let number: usize = words.next().unwrap().parse().unwrap();
            let tally = Path::new(words.next().unwrap());
            let acknowledged = AtomicU64::new(0);
            thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        while add(&store, &key, access, number).iter().any(|n| *n < COUNTS) {
                            acknowledged.fetch_add(1, Ordering::AcqRel);
                        }
                        acknowledged.fetch_add(1, Ordering::AcqRel);
                    });
                }
            });
            fs::write(tally, acknowledged.into_inner().to_le_bytes()).unwrap();
        }
    }
}

/// Takes the session as a reader again and again, and writes down how often, until told to stop.
fn read_in_turns(store: &FileStore, key: &Key, tally: &Path) {
    let tally = OpenOptions::new().write(true).open(tally).unwrap();
    let done = AtomicBool::new(false);
    say("ready");
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut turns = 0_u64;
            while !done.load(Ordering::Acquire) {
                let _hold = open(store, key, Access::Shared);
                turns += 1;
                tally.write_all_at(&turns.to_le_bytes(), 0).unwrap();
                thread::sleep(READ);
            }
        });
        listen();
        done.store(true, Ordering::Release);
    });
}

/// Adds 1 to one of two numbers; returns both.
fn add(store: &FileStore, key: &Key, access: Access, which: usize) -> [u64; 2] {
    loop {
        let mut hold = open(store, key, access);
        let mut counts = [0, 1].map(|number| number_at(hold.payload(), 8 * number));
        counts[which] += 1;
        match wait(hold.commit(counts.map(u64::to_le_bytes).as_flattened(), Terms::default())) {
            Ok(_) => return counts,
            Err(CommitError::Conflict(_)) if access == Access::Optimistic => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn open<S: Store>(store: &S, key: &Key, access: Access) -> S::Hold {
    match wait(store.open(key, OpenRequest::new(access, Calling::Blocking))) {
        Ok(hold) => hold,
        Err(error) => panic!("{error}"),
    }
}

/// Stores the number; returns the session's birth.
fn put<S: Store>(store: &S, key: &Key, number: u64) -> u64 {
    let mut hold = open(store, key, Access::Exclusive);
    wait(hold.commit(&number.to_le_bytes(), Terms::default())).unwrap().birth
}

fn count(hold: &impl cloakroom::Hold) -> u64 {
    number_at(hold.payload(), 0)
}

fn number_at(payload: &[u8], offset: usize) -> u64 {
    let bytes = payload.get(offset..offset + 8).map(|bytes| bytes.try_into().unwrap());
    bytes.map_or(0, u64::from_le_bytes)
}

fn read_tally(tally: &Path) -> u64 {
    number_at(&fs::read(tally).unwrap(), 0)
}

fn key() -> Key {
    Key::new("", &SessionId::from("the session that all want"))
}

/// So many readers overlap.
const READERS: u64 = 3;
/// How long each reads.
const READ: Duration = Duration::from_millis(5);
/// How often the writer comes.
const ROUNDS: u64 = 20;
/// Threads of each process that counts.
const THREADS: u64 = 3;
/// How often each process counts at least.
const COUNTS: u64 = 1_000;
