//! After a mixed workload, with timeouts, cancelled waits and failures, nothing is left: no
//! descriptor, no thread, no file.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::{
    Access, Calling, Durability, FileStore, Hold as _, OpenError, OpenRequest, Store as _,
    SweepBudget, Terms,
};
use rig::tap::{Answer, Call, Method, Tap, Tapped};
use rig::{child, commit, commit_and_keep, destroy, key, open, put, read, renew, try_open};

/// What this process has open, without the directory it reads this from.
fn descriptors() -> Vec<PathBuf> {
    let mut open: Vec<PathBuf> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .filter(|link| !link.starts_with("/proc"))
        .collect();
    open.sort();
    open
}

fn threads() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok())
        .collect();
    names.sort();
    names
}

fn files(root: &Path) -> BTreeSet<PathBuf> {
    rig::names(root).into_iter().filter(|path| root.join(path).is_file()).collect()
}

/// Everything a store is used for, and every way out of it.
fn mixed_workload(root: &Path, durability: Durability, round: u64) {
    let clock = rig::SetClock::at(1_000_000 + round);
    let store = FileStore::builder(root)
        .durability(durability)
        .clock(clock.clone())
        .max_waiters(3)
        .open()
        .unwrap();
    let stranger = FileStore::builder(root).clock(clock.clone()).open().unwrap();
    for index in 0..8 {
        let id = key(&format!("{index}"));
        put(&store, &id, b"one");
        put(&store, &id, &[2; 2_000]);
        for access in Access::ALL {
            read(&store, &id, access).unwrap();
        }
        let mut hold = open(&store, &id, Access::Exclusive).unwrap();
        commit_and_keep(&mut hold, b"two").unwrap();
        // In this process: no wait, a short one, a full queue.
        try_open(&store, &id, Access::Exclusive).map(drop).unwrap_err();
        // In another, as far as the kernel knows: a helper of the engine waits in vain.
        for access in [Access::Exclusive, Access::Shared] {
            let request =
                OpenRequest::new(access, Calling::Blocking).wait(Duration::from_millis(1));
            wait(stranger.open(&id, request)).map(drop).unwrap_err();
        }
        std::thread::scope(|scope| {
            let waiters = [(); 3].map(|()| {
                scope.spawn(|| {
                    rig::open_in_turn(&store, &id, Access::Shared)
                        .map(|hold| hold.payload().to_vec())
                })
            });
            rig::until("a full queue", || rig::is_full(&store, &id));
            drop(hold);
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap().unwrap(), b"two");
            }
        });
        let mut hold = open(&store, &id, Access::Exclusive).unwrap();
        let renewed = key(&format!("{index} renewed"));
        renew(&mut hold, &renewed, b"three", Duration::from_secs(u64::from(index % 2 == 0)))
            .unwrap();
        fs::write(store.place(&renewed), b"garbage").unwrap();
        try_open(&store, &renewed, Access::Snapshot).map(drop).unwrap_err();
    }
    // Tasks: some finish, some time out, some are dropped at any point of their wait.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let id = key("async");
    put(&store, &id, b"one");
    let holder = open(&stranger, &id, Access::Exclusive).unwrap();
    for wait_ms in [0, 1, 30_000] {
        let tasks = [(); 3].map(|()| {
            let store = store.clone();
            runtime.spawn(async move {
                let request = OpenRequest::new(Access::Exclusive, Calling::Async)
                    .wait(Duration::from_millis(wait_ms));
                let mut hold = store.open(&key("async"), request).await?;
                hold.commit(b"two", Terms::default()).await.unwrap();
                Ok::<(), OpenError>(())
            })
        });
        for task in tasks {
            if wait_ms > 1 {
                task.abort();
                let _ = runtime.block_on(task);
            } else {
                runtime.block_on(task).unwrap().unwrap_err();
            }
        }
    }
    drop(holder);
    runtime.block_on(async {
        let request = OpenRequest::new(Access::Exclusive, Calling::Async);
        let mut hold = store.open(&id, request).await.unwrap();
        hold.commit(&[3; 9_000], Terms::default()).await.unwrap();
        let request = OpenRequest::new(Access::Optimistic, Calling::Async);
        let mut hold = store.open(&id, request).await.unwrap();
        hold.destroy().await.unwrap();
        // Given up in the middle of a sweep.
        store.sweep(SweepBudget { sessions: 1 }, Calling::Async).await.unwrap();
    });
    drop(runtime);
    clock.set(u64::MAX - 1);
    let all = SweepBudget { sessions: usize::MAX };
    while !wait(store.sweep(all, Calling::Blocking)).unwrap().complete {}
    wait(store.sweep(all, Calling::Blocking)).unwrap();
    destroy(&mut open(&store, &id, Access::Exclusive).unwrap()).unwrap();
}

#[test]
fn a_mixed_workload_leaves_no_descriptor_no_thread_and_no_file() {
    child::alone("a_mixed_workload_leaves_no_descriptor_no_thread_and_no_file", || {
        let directory = rig::directory();
        for durability in [Durability::Process, Durability::Power] {
            let root = directory.path().join(durability.to_string());
            let before = (descriptors(), threads());
            for round in 0..3 {
                mixed_workload(&root, durability, round);
                let left = files(&root);
                let due = |path: &PathBuf| {
                    path.starts_with("quarantine")
                        || matches!(path.to_str(), Some("gate" | "store.toml"))
                };
                assert!(left.iter().all(due), "{left:?}");
                // Eight damaged files a round, none twice.
                let damaged = left.iter().filter(|path| path.starts_with("quarantine")).count();
                assert_eq!(damaged, 8 * (usize::try_from(round).unwrap() + 1));
                // Helper threads end by themselves when their store is gone, a moment later.
                rig::until("the helper threads to end", || threads() == before.1);
                rig::until("the descriptors to be closed", || descriptors() == before.0);
            }
        }
    });
}

/// Failures leave nothing either.
#[test]
fn failures_leave_no_descriptor() {
    struct Broken(Method);
    impl Tap for Broken {
        fn before(&self, call: &Call<'_>) -> Answer {
            if call.method == self.0 { Answer::Fail(libc::EIO) } else { Answer::Pass }
        }
    }
    child::alone("failures_leave_no_descriptor", || {
        let directory = rig::directory();
        let root = directory.path().join("sessions");
        let healthy = FileStore::open(&root).unwrap();
        put(&healthy, &key("old"), b"data");
        read(&healthy, &key("old"), Access::Shared).unwrap();
        let before = descriptors();
        let mut failures = 0;
        for method in [
            Method::ReadAt,
            Method::WriteAt,
            Method::SetSize,
            Method::Stat,
            Method::StatPath,
            Method::Rename,
            Method::Unlink,
            Method::TryLock,
            Method::TryLockByte,
            Method::List,
        ] {
            let opened =
                FileStore::builder(&root).file_system(Tapped(Arc::new(Broken(method)))).open();
            let Ok(store) = opened else {
                failures += 1;
                assert_eq!(descriptors(), before, "{method:?}");
                continue;
            };
            for id in ["old", "new"].map(key) {
                for access in Access::ALL {
                    let Ok(mut hold) = try_open(&store, &id, access) else {
                        failures += 1;
                        continue;
                    };
                    failures += usize::from(commit(&mut hold, &[1; 5_000]).is_err());
                }
                if let Ok(mut hold) = try_open(&store, &id, Access::Exclusive) {
                    failures += usize::from(destroy(&mut hold).is_err());
                }
                put(&healthy, &key("old"), b"data");
            }
            failures += usize::from(rig::sweep(&store).is_err());
            drop(store);
            assert_eq!(descriptors(), before, "{method:?}");
        }
        assert!(failures > 20, "{failures}");
    });
}

/// A crowd of waiters at many sessions of another process needs a thread each, and no more than
/// the engine's bound; when it is over, they end.
#[test]
fn helper_threads_are_bounded_and_end() {
    child::alone("helper_threads_are_bounded_and_end", || {
        const SESSIONS: usize = 300;
        const BOUND: usize = 256;
        let directory = rig::directory();
        let store = FileStore::open(directory.path()).unwrap();
        let stranger = FileStore::open(directory.path()).unwrap();
        let ids: Vec<_> = (0..SESSIONS).map(|index| key(&format!("{index}"))).collect();
        let holds: Vec<_> = ids
            .iter()
            .map(|id| {
                put(&stranger, id, b"data");
                open(&stranger, id, Access::Exclusive).unwrap()
            })
            .collect();
        let before = threads();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let local = tokio::task::LocalSet::new();
        let tasks: Vec<_> = ids
            .iter()
            .map(|id| {
                let (store, id) = (store.clone(), *id);
                local.spawn_local(async move {
                    let request =
                        OpenRequest::new(Access::Exclusive, Calling::Async).wait(rig::WATCHDOG);
                    store.open(&id, request).await.map(|hold| hold.payload().to_vec())
                })
            })
            .collect();
        let helpers = || threads().len() - before.len();
        rig::until("the helpers to be at work", || {
            runtime.block_on(local.run_until(tokio::task::yield_now()));
            helpers() >= BOUND
        });
        // One thread more keeps the deadlines of tasks.
        assert!(helpers() <= BOUND + 1, "{}", helpers());
        drop(holds);
        for task in tasks {
            let seen = runtime.block_on(local.run_until(task)).unwrap();
            assert_eq!(seen.unwrap(), b"data");
        }
        assert!(helpers() <= BOUND + 1, "{}", helpers());
        drop((store, local, runtime));
        rig::until("the helpers to end", || threads() == before);
    });
}

/// The control: what is left is seen.
#[test]
fn the_count_of_descriptors_and_threads_sees_a_leak() {
    child::alone("the_count_of_descriptors_and_threads_sees_a_leak", || {
        let directory = rig::directory();
        let before = (descriptors(), threads());
        let store = FileStore::open(directory.path()).unwrap();
        put(&store, &key("a"), b"data");
        let _forgotten = open(&store, &key("a"), Access::Exclusive).unwrap();
        assert_eq!(descriptors().len(), before.0.len() + 2, "the root and the session");
        let (end, park) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || park.recv());
        rig::until("the thread to be there", || threads().len() == before.1.len() + 1);
        drop(end);
        let _ = thread.join().unwrap();
    });
}
