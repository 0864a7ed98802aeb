//! A destroyed session is gone for everybody: for those who wait, for those who opened it before,
//! and for those who find its name taken away or taken by another.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod rig;

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::{
    Access, Calling, CommitError, FileStore, Hold as _, Lifetime, OpenError, OpenRequest,
    Store as _,
};
use rig::tap::{Answer, Call, Method, Tap, Tapped};
use rig::{child, commit, commit_anyway, destroy, key, open, put, read, renew, sys, try_open};

const SECRET: &[u8] = b"the data of a user who logged out";

/// Waits until so many requests stand in the queue of this process: one more is one too many.
fn until_waiting(store: &FileStore, id: &cloakroom::Key) {
    rig::until("the queue to be full", || rig::is_full(store, id));
}

#[test]
fn threads_that_wait_for_a_destroyed_session_see_that_it_is_gone() {
    const WAITERS: usize = 6;
    for _ in 0..20 {
        let directory = rig::directory();
        let store = FileStore::builder(directory.path()).max_waiters(WAITERS).open().unwrap();
        let id = key("a");
        put(&store, &id, SECRET);
        let mut holder = open(&store, &id, Access::Exclusive).unwrap();
        std::thread::scope(|scope| {
            let waiters: Vec<_> = (0..WAITERS)
                .map(|index| {
                    let access = [Access::Exclusive, Access::Shared][index % 2];
                    let (store, id) = (&store, &id);
                    scope.spawn(move || {
                        rig::open_in_turn(store, id, access).map(|hold| hold.payload().to_vec())
                    })
                })
                .collect();
            until_waiting(&store, &id);
            destroy(&mut holder).unwrap();
            for waiter in waiters {
                let seen = waiter.join().unwrap();
                assert!(matches!(seen, Err(OpenError::Gone { .. })), "{seen:?}");
            }
        });
        assert_eq!(read(&store, &id, Access::Exclusive).unwrap(), None);
        assert!(!store.place(&id).exists());
    }
}

/// Tells through a pipe that a wait for the kernel begins.
struct Herald(std::io::PipeWriter);

impl Tap for Herald {
    fn before(&self, call: &Call<'_>) -> Answer {
        if call.method == Method::Lock {
            (&self.0).write_all(b"!").unwrap();
        }
        Answer::Pass
    }
}

/// Four processes wait for a session that a fifth holds; what each of them sees, as its exit code.
fn waiters_in_processes(root: &Path, end: impl FnOnce(), codes: &[i32]) {
    const WAITERS: usize = 4;
    let (mut told, tell) = std::io::pipe().unwrap();
    let children: Vec<i32> = (0..WAITERS)
        .map(|index| {
            let access = [Access::Exclusive, Access::Shared][index % 2];
            let herald = Herald(tell.try_clone().unwrap());
            sys::fork(|| {
                let fs = Tapped(Arc::new(herald));
                let store = FileStore::builder(root).file_system(fs).open().unwrap();
                let seen = open(&store, &key("a"), access);
                match seen {
                    Err(OpenError::Gone { .. }) => 1,
                    Ok(hold) if hold.record().is_none() => 2,
                    Ok(hold) if hold.payload() == SECRET => 3,
                    Ok(_) => 4,
                    Err(_) => 5,
                }
            })
        })
        .collect();
    // The first is at the file, the others at the file or at the gate before it.
    told.read_exact(&mut [0]).unwrap();
    let place = FileStore::open(root).unwrap().place(&key("a"));
    let places = [place.as_path(), &root.join("gate")];
    rig::until("all to wait", || rig::waiters(&places) >= WAITERS);
    end();
    for pid in children {
        match sys::wait_for(pid) {
            sys::End::Exit(code) if codes.contains(&code) => {}
            other => panic!("a waiter saw {other:?}, due was {codes:?}"),
        }
    }
}

#[test]
fn processes_that_wait_for_a_destroyed_session_see_that_it_is_gone() {
    child::alone("processes_that_wait_for_a_destroyed_session_see_that_it_is_gone", || {
        for round in 0..8 {
            let directory = rig::directory();
            let root = directory.path().join("sessions");
            let store = FileStore::open(&root).unwrap();
            put(&store, &key("a"), SECRET);
            let mut holder = open(&store, &key("a"), Access::Exclusive).unwrap();
            let end = || match round % 4 {
                0 => destroy(&mut holder).unwrap(),
                1 => drop(
                    renew(&mut holder, &key("b"), b"renewed", Duration::ZERO)
                        .unwrap_or_else(|e| panic!("{e}")),
                ),
                // Destroyed, and the id used again before anybody else comes.
                2 => {
                    destroy(&mut holder).unwrap();
                    put(&store, &key("a"), b"another user");
                }
                // By an outsider, and the holder lets go.
                _ => {
                    fs::remove_file(store.place(&key("a"))).unwrap();
                    drop(holder);
                }
            };
            // In the third case a waiter may see the session that is there now.
            let codes: &[i32] = if round % 4 == 2 { &[1, 4] } else { &[1] };
            waiters_in_processes(&root, end, codes);
        }
    });
}

/// The control: released instead of destroyed, the waiters do see the data.
#[test]
fn processes_that_wait_for_a_released_session_see_its_data() {
    child::alone("processes_that_wait_for_a_released_session_see_its_data", || {
        let directory = rig::directory();
        let root = directory.path().join("sessions");
        let store = FileStore::open(&root).unwrap();
        put(&store, &key("a"), SECRET);
        let holder = open(&store, &key("a"), Access::Exclusive).unwrap();
        waiters_in_processes(&root, || drop(holder), &[3]);
    });
}

#[test]
fn a_session_created_again_is_not_the_one_that_was_opened() {
    let directory = rig::directory();
    let store = FileStore::open(directory.path()).unwrap();
    let id = key("a");
    for same_version in [false, true] {
        put(&store, &id, b"first life");
        let mut strict = open(&store, &id, Access::Optimistic).unwrap();
        let mut last_wins = open(&store, &id, Access::Optimistic).unwrap();
        let mut destroys = open(&store, &id, Access::Optimistic).unwrap();
        let mut renews = open(&store, &id, Access::Optimistic).unwrap();
        let mut touches = open(&store, &id, Access::Snapshot).unwrap();
        destroy(&mut open(&store, &id, Access::Exclusive).unwrap()).unwrap();
        for hold in [&mut strict, &mut last_wins] {
            let error = commit_anyway(hold, b"undead").unwrap_err();
            assert!(matches!(error, CommitError::Gone { .. }), "{error}");
        }
        assert_eq!(read(&store, &id, Access::Exclusive).unwrap(), None);
        put(&store, &id, b"second life");
        if !same_version {
            put(&store, &id, b"second life");
        }
        let error = commit(&mut strict, b"undead").unwrap_err();
        assert!(matches!(error, CommitError::Gone { .. }), "{error}");
        let error = commit_anyway(&mut last_wins, b"undead").unwrap_err();
        assert!(matches!(error, CommitError::Gone { .. }), "{error}");
        let error = renew(&mut renews, &key("b"), b"undead", Duration::ZERO).unwrap_err();
        assert!(matches!(error, CommitError::Gone { .. }), "{error}");
        wait(touches.touch()).unwrap();
        // A destroy of the first life leaves the second alone.
        destroy(&mut destroys).unwrap();
        assert_eq!(read(&store, &id, Access::Exclusive).unwrap().unwrap(), b"second life");
        destroy(&mut open(&store, &id, Access::Exclusive).unwrap()).unwrap();
        assert_eq!(read(&store, &key("b"), Access::Exclusive).unwrap(), None);
    }
}

#[test]
fn a_file_that_an_outsider_removed_takes_no_commit() {
    let directory = rig::directory();
    let store = FileStore::open(directory.path()).unwrap();
    let id = key("a");
    let place = store.place(&id);
    for recreated in [false, true] {
        type Deed<'a> = &'a dyn Fn(&mut rig::Held) -> Result<(), CommitError>;
        let deeds: [(&str, Deed<'_>); 5] = [
            ("commit", &|hold| commit(hold, b"more").map(drop)),
            ("growth", &|hold| commit(hold, &[1; 5_000]).map(drop)),
            ("renew", &|hold| renew(hold, &key("b"), b"new", Duration::ZERO).map(drop)),
            ("renew with grace", &|hold| {
                renew(hold, &key("b"), b"new", Duration::from_secs(60)).map(drop)
            }),
            ("destroy", &|hold| destroy(hold)),
        ];
        for (what, deed) in deeds {
            put(&store, &id, SECRET);
            let mut hold = open(&store, &id, Access::Exclusive).unwrap();
            fs::remove_file(&place).unwrap();
            rig::a_tick_later();
            let other = FileStore::open(directory.path()).unwrap();
            if recreated {
                // By another handle, which is not in this one's queue.
                put(&other, &id, b"another user");
            }
            let done = deed(&mut hold);
            drop(hold);
            let stands = read(&other, &id, Access::Exclusive).unwrap();
            assert_eq!(stands.as_deref(), recreated.then_some(&b"another user"[..]), "{what}");
            // An end is no error, for the session is over; everything else is.
            match done {
                Err(CommitError::Gone { .. }) => {}
                Ok(()) if what == "destroy" => {}
                done => panic!("{what}, recreated: {recreated}: {done:?}"),
            }
            assert_eq!(read(&store, &key("b"), Access::Exclusive).unwrap(), None, "{what}");
            if recreated {
                destroy(&mut open(&store, &id, Access::Exclusive).unwrap()).unwrap();
            }
        }
    }
}

#[test]
fn an_expired_session_is_absent_to_all_and_its_waiters() {
    let directory = rig::directory();
    let clock = rig::SetClock::at(1_000_000);
    let store = FileStore::builder(directory.path()).clock(clock.clone()).open().unwrap();
    let id = key("a");
    for access in Access::ALL {
        let mut hold = open(&store, &id, Access::Exclusive).unwrap();
        let terms = cloakroom::Terms {
            lifetime: Lifetime::default().idle(Duration::from_secs(1)),
            ..cloakroom::Terms::default()
        };
        wait(hold.commit(SECRET, terms)).unwrap();
        let mut late = open(&store, &id, Access::Optimistic).unwrap();
        clock.set(clock.millis() + 1_000);
        let hold = open(&store, &id, access).unwrap();
        assert!(hold.record().is_none() && hold.expired() && hold.payload().is_empty(), "{access}");
        drop(hold);
        let error = commit_anyway(&mut late, b"undead").unwrap_err();
        assert!(matches!(error, CommitError::Gone { .. }), "{access}: {error}");
    }
}

/// An async task that waits is told as well, and one that is dropped leaves nothing.
#[test]
fn tasks_that_wait_for_a_destroyed_session_see_that_it_is_gone() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let directory = rig::directory();
    let store = FileStore::builder(directory.path()).max_waiters(8).open().unwrap();
    let id = key("a");
    put(&store, &id, SECRET);
    let mut holder = open(&store, &id, Access::Exclusive).unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            runtime.spawn(async move {
                loop {
                    let request = OpenRequest::new(Access::Exclusive, Calling::Async);
                    match store.open(&key("a"), request).await {
                        Err(OpenError::TooManyWaiters { .. }) => tokio::task::yield_now().await,
                        opened => return opened.map(|hold| hold.payload().to_vec()),
                    }
                }
            })
        })
        .collect();
    until_waiting(&store, &id);
    let mut tasks = tasks.into_iter();
    for task in tasks.by_ref().take(3) {
        task.abort();
        assert!(runtime.block_on(task).unwrap_err().is_cancelled());
    }
    destroy(&mut holder).unwrap();
    for task in tasks {
        let seen = runtime.block_on(task).unwrap();
        assert!(matches!(seen, Err(OpenError::Gone { .. })), "{seen:?}");
    }
    assert!(try_open(&store, &id, Access::Exclusive).unwrap().record().is_none());
}
