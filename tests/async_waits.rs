//! Waiting in async code: it blocks no thread of a runtime, takes no slot of its blocking pool,
//! needs no runtime at all, and can be dropped anywhere.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/executor.rs"]
mod executor;
#[path = "common/process.rs"]
mod process;

use std::fs::File;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::seams::FileSystem;
use cloakroom::{
    Access, Calling, CommitError, Durability, FileStore, Hold, Key, Lifetime, MemoryStore,
    OpenError, OpenRequest, SessionId, Sessions, Store, Terms,
};
use executor::Executor;
use process::{Child, listen, role, say, watched};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// denoland/deno#22504: 33 waiters froze all file input and output.
#[test]
fn thirty_two_tasks_that_wait_for_one_session_leave_the_runtime_to_the_others() {
    // In memory, behind a holder of this process, and behind one that is as good as elsewhere.
    let memory = MemoryStore::new();
    crowd(two_threads(), memory.clone(), memory);
    let (_guard, [here, _]) = two_handles(Durability::Process);
    crowd(two_threads(), here.clone(), here);
    for durability in [Durability::Process, Durability::Power] {
        let (_guard, [here, there]) = two_handles(durability);
        crowd(two_threads(), here, there);
    }
}

/// The one thread that the runtime has for what blocks is busy to the end: whatever the engine
/// does, it does without it.
#[test]
fn waiting_tasks_take_no_slot_of_the_runtimes_blocking_pool() {
    for durability in [Durability::Process, Durability::Power] {
        let (_guard, [here, there]) = two_handles(durability);
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime =
            builder.worker_threads(2).max_blocking_threads(1).enable_time().build().unwrap();
        let (release, blocked) = channel::<()>();
        let busy = runtime.spawn_blocking(move || blocked.recv());
        crowd_on(&runtime, here, there);
        assert!(!busy.is_finished(), "the slot was busy all the time");
        drop(release);
        assert!(runtime.block_on(busy).unwrap().is_err());
    }
}

fn crowd<S: Store + Clone>(runtime: Runtime, holders: S, waiters: S) {
    watched(move || crowd_on(&runtime, holders, waiters));
}

/// 32 tasks wait for a session that `holders` holds; others work with another one meanwhile.
fn crowd_on<S: Store + Clone>(runtime: &Runtime, holders: S, waiters: S) {
    let (held, other) = (key("held"), key("another"));
    let waiting = Arc::new(AtomicUsize::new(0));
    runtime.block_on(async move {
        add(&holders, &held).await;
        let hold = open(&holders, &held).await;
        let crowd: Vec<_> = (0..CROWD)
            .map(|_| {
                let (store, waiting) = (waiters.clone(), Arc::clone(&waiting));
                tokio::spawn(async move {
                    let open = store.open(&held, request(Access::Exclusive));
                    let hold = announced(open, &waiting).await;
                    increment(&mut hold.unwrap_or_else(|error| panic!("{error}"))).await;
                })
            })
            .collect();
        while waiting.load(Ordering::Acquire) < CROWD {
            tokio::task::yield_now().await;
        }
        let work: Vec<_> = (0..4)
            .map(|_| {
                let store = waiters.clone();
                tokio::spawn(async move {
                    for _ in 0..25 {
                        add(&store, &other).await;
                    }
                })
            })
            .collect();
        for task in work {
            task.await.unwrap();
        }
        assert_eq!(count(&waiters, &other).await, 100, "another session's requests go on");
        assert!(crowd.iter().all(|task| !task.is_finished()), "they wait still");
        drop(hold);
        for task in crowd {
            task.await.unwrap();
        }
        assert_eq!(count(&holders, &held).await, 1 + CROWD as u64);
    });
}

#[test]
fn no_runtime_is_needed_to_wait() {
    watched(|| {
        let memory = MemoryStore::new();
        crowd_on_one_thread(&memory, &memory);
        for durability in [Durability::Process, Durability::Power] {
            let (_guard, [here, there]) = two_handles(durability);
            crowd_on_one_thread(&here, &here);
            crowd_on_one_thread(&here, &there);
        }
    });
}

/// The same on an executor of one thread, which any blocking call would stop for good.
fn crowd_on_one_thread<S: Store + Clone>(holders: &S, waiters: &S) {
    let (held, other) = (key("held"), key("another"));
    let before = wait(count(holders, &held));
    wait(add(holders, &held));
    let mut hold = Some(wait(open(holders, &held)));
    let executor = Executor::new();
    let [waiting, worked, done] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
    for _ in 0..CROWD {
        let (store, waiting, done) = (waiters.clone(), Arc::clone(&waiting), Arc::clone(&done));
        executor.spawn(async move {
            let hold = announced(store.open(&held, request(Access::Exclusive)), &waiting).await;
            increment(&mut hold.unwrap_or_else(|error| panic!("{error}"))).await;
            done.fetch_add(1, Ordering::AcqRel);
        });
    }
    executor.run_until(|| waiting.load(Ordering::Acquire) == CROWD);
    for _ in 0..4 {
        let (store, worked) = (waiters.clone(), Arc::clone(&worked));
        executor.spawn(async move {
            for _ in 0..25 {
                add(&store, &other).await;
            }
            worked.fetch_add(1, Ordering::AcqRel);
        });
    }
    executor.run_until(|| worked.load(Ordering::Acquire) == 4);
    assert_eq!(done.load(Ordering::Acquire), 0, "they wait still");
    drop(hold.take());
    executor.run_until(|| done.load(Ordering::Acquire) == CROWD);
    let after = wait(count(holders, &held));
    assert_eq!(after, before + 1 + CROWD as u64);
}

#[test]
fn a_deadline_fires_though_nothing_else_wakes_the_task() {
    watched(|| {
        let memory = MemoryStore::new();
        deadlines(&memory, &memory);
        let (_guard, [here, there]) = two_handles(Durability::Process);
        deadlines(&here, &here);
        deadlines(&here, &there);
    });
}

fn deadlines<S: Store + Clone>(holders: &S, waiters: &S) {
    let held = key("held");
    wait(add(holders, &held));
    let hold = wait(open(holders, &held));
    let timed_out = Arc::new(AtomicUsize::new(0));
    let executor = Executor::new();
    // The latest first, so that an earlier alarm has to overtake it.
    for millis in [40, 5, 20, 10, 30, 1] {
        for access in [Access::Exclusive, Access::Shared] {
            let (store, timed_out) = (waiters.clone(), Arc::clone(&timed_out));
            executor.spawn(async move {
                let request = request(access).wait(Duration::from_millis(millis));
                let waited = store.open(&held, request).await.map(drop);
                assert!(matches!(waited, Err(OpenError::LockTimeout(_))), "{waited:?}");
                timed_out.fetch_add(1, Ordering::AcqRel);
            });
        }
    }
    executor.run_until(|| timed_out.load(Ordering::Acquire) == 12);
    drop(hold);
    wait(open(waiters, &held));
}

#[test]
fn a_task_can_be_dropped_at_any_point_of_its_wait() {
    let memory = MemoryStore::new();
    drops(memory.clone(), memory);
    for durability in [Durability::Process, Durability::Power] {
        let (_guard, [here, there]) = two_handles(durability);
        drops(here.clone(), here.clone());
        drops(here, there);
    }
}

/// Tasks take a session again and again, and each time somebody loses patience: at the first poll,
/// while it waits, just as it is granted, while it commits.
fn drops<S: Store + Clone>(holders: S, waiters: S) {
    watched(move || {
        let runtime = two_threads();
        let contended = key("contended");
        let committed = Arc::new(AtomicUsize::new(0));
        let begun = Arc::new(AtomicUsize::new(0));
        runtime.block_on(async {
            add(&holders, &contended).await;
            let before = count(&holders, &contended).await;
            let tasks: Vec<_> = (0..8_u64)
                .map(|number| {
                    let store = if number % 2 == 0 { holders.clone() } else { waiters.clone() };
                    let (committed, begun) = (Arc::clone(&committed), Arc::clone(&begun));
                    tokio::spawn(async move {
                        for round in 0..40_u64 {
                            let work = async {
                                let mut hold = open(&store, &contended).await;
                                tokio::task::yield_now().await;
                                begun.fetch_add(1, Ordering::AcqRel);
                                increment(&mut hold).await;
                                committed.fetch_add(1, Ordering::AcqRel);
                            };
                            let patience = Duration::from_micros((number * 37 + round * 61) % 900);
                            tokio::select! {
                                biased;
                                () = work => {}
                                () = yields((number + round) % 7) => {}
                                () = tokio::time::sleep(patience) => {}
                            }
                        }
                    })
                })
                .collect();
            // And some whole tasks are aborted, wherever they are.
            for (number, task) in tasks.into_iter().enumerate() {
                if number % 3 == 2 {
                    task.abort();
                }
                let ended = task.await;
                assert!(ended.is_ok() || ended.unwrap_err().is_cancelled());
            }
            for store in [&holders, &waiters] {
                let hold = open(store, &contended).await;
                let count = number(hold.payload());
                let record = hold.record().unwrap();
                assert_eq!(record.version, count, "each commit happened as a whole");
                let [least, most] = [&committed, &begun].map(|n| n.load(Ordering::Acquire) as u64);
                let happened = least..=most;
                assert!(happened.contains(&(count - before)), "{count} - {before}: {happened:?}");
            }
        });
    });
}

#[test]
fn a_commit_dropped_in_the_middle_of_its_sync_leaves_old_or_new_and_a_free_lock() {
    const SMALL: &[u8] = &[1; 8];
    const GROWN: &[u8] = &[1; 50_000];
    for (what, access, payload) in [
        ("in place", Access::Exclusive, SMALL),
        ("growing", Access::Exclusive, GROWN),
        ("optimistic", Access::Optimistic, SMALL),
    ] {
        stopped_in_sync(move |store, key, gate| {
            let mut hold = at_once(store.open(&key, request(access))).unwrap();
            let version = hold.record().unwrap().version;
            gate.close();
            {
                let mut commit = pin!(hold.commit(payload, Terms::default()));
                assert!(poll(commit.as_mut()).is_pending(), "{what}: it waits for the sync");
                gate.arrived();
            }
            drop(hold);
            // Snapshots wait for nothing, not even for this.
            let look = at_once(store.open(&key, request(Access::Snapshot))).unwrap();
            assert!(look.record().is_some(), "{what}");
            let mut next = pin!(store.open(&key, request(Access::Exclusive)));
            assert!(poll(next.as_mut()).is_pending(), "{what}: the commit is under way");
            gate.open();
            let next = wait(next).unwrap();
            match next.payload() {
                BEFORE => assert_eq!(next.record().unwrap().version, version),
                seen if seen == payload => {
                    assert_eq!(next.record().unwrap().version, version + 1);
                }
                seen => panic!("{what}: {} bytes are neither old nor new", seen.len()),
            }
        });
    }
}

#[test]
fn a_destroy_or_a_renewal_dropped_in_the_middle_happens_or_not_as_a_whole() {
    for (what, grace) in [("destroy", None), ("renewal", Some(0)), ("renewal with grace", Some(60))]
    {
        stopped_in_sync(move |store, key, gate| {
            let new = self::key("renewed");
            let mut hold = at_once(store.open(&key, request(Access::Exclusive))).unwrap();
            gate.close();
            {
                let mut ending = pin!(async {
                    match grace {
                        None => hold.destroy().await.map(drop),
                        Some(seconds) => {
                            let grace = Duration::from_secs(seconds);
                            let lifetime = Lifetime::default();
                            hold.renew(&new, b"renewed", lifetime, grace).await.map(drop)
                        }
                    }
                });
                assert!(poll(ending.as_mut()).is_pending(), "{what}: it waits for the sync");
                gate.arrived();
            }
            drop(hold);
            gate.open();
            let old = match wait(store.open(&key, request(Access::Exclusive))) {
                Err(OpenError::Gone { .. }) => None,
                next => next.unwrap().record().copied(),
            };
            let new = at_once(store.open(&new, request(Access::Snapshot))).unwrap();
            match (grace, old, new.record()) {
                (None, _, None) | (Some(_), Some(_), None) | (Some(0), None, Some(_)) => {}
                (Some(60), Some(old), Some(_)) if old.retired_until.is_some() => {}
                (_, old, new) => panic!("{what}: the old id has {old:?}, the new one {new:?}"),
            }
        });
    }
}

#[test]
fn while_one_commit_syncs_the_runtime_goes_on() {
    stopped_in_sync(|store, key, gate| {
        let runtime = two_threads();
        gate.close();
        let commit = runtime.spawn({
            let (store, key) = (store.clone(), key);
            async move { add(&store, &key).await }
        });
        gate.arrived();
        runtime.block_on(async {
            for _ in 0..100 {
                let look = store.open(&key, request(Access::Snapshot)).await.unwrap();
                assert!(look.record().is_some());
                drop(open(store, &self::key("another")).await);
            }
        });
        assert!(!commit.is_finished());
        gate.open();
        runtime.block_on(commit).unwrap();
    });
}

#[test]
fn tasks_wait_for_a_holder_in_another_process_and_name_it_when_they_give_up() {
    let directory = tempfile::tempdir().unwrap();
    watched(move || {
        let store = FileStore::open(directory.path()).unwrap();
        let held = key("held");
        wait(add(&store, &held));
        let mut holder = Child::start("child", &directory.path().display().to_string());
        holder.expect("held");
        let executor = Executor::new();
        let [waiting, timed_out, done] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
        let pid = holder.pid();
        for number in 0..16 {
            let store = store.clone();
            let [waiting, timed_out, done] = [&waiting, &timed_out, &done].map(Arc::clone);
            executor.spawn(async move {
                if number % 2 == 0 {
                    let brief = request(Access::Exclusive).wait(Duration::from_millis(30));
                    let error = announced(store.open(&held, brief), &waiting).await.map(drop);
                    let Err(OpenError::LockTimeout(timeout)) = error else {
                        panic!("a timeout was expected: {error:?}")
                    };
                    assert_eq!(timeout.holder.map(|holder| holder.pid), Some(pid));
                    timed_out.fetch_add(1, Ordering::AcqRel);
                } else {
                    let hold = store.open(&held, request(Access::Exclusive));
                    increment(&mut announced(hold, &waiting).await.unwrap()).await;
                    done.fetch_add(1, Ordering::AcqRel);
                }
            });
        }
        executor.run_until(|| waiting.load(Ordering::Acquire) == 16);
        executor.run_until(|| timed_out.load(Ordering::Acquire) == 8);
        assert_eq!(done.load(Ordering::Acquire), 0, "the others wait on");
        holder.tell();
        executor.run_until(|| done.load(Ordering::Acquire) == 8);
        holder.finish();
        assert_eq!(wait(count(&store, &held)), 9);
    });
}

/// Not a test: the process that holds.
#[test]
fn child() {
    let Some(directory) = role("child") else { return };
    let store = FileStore::open(directory).unwrap();
    let _hold = wait(open(&store, &key("held")));
    say("held");
    listen();
}

#[test]
fn a_hold_moves_between_tasks_and_sessions_are_opened_by_many() {
    watched(|| {
        let runtime = two_threads();
        let directory = tempfile::tempdir().unwrap();
        let sessions = Sessions::new(FileStore::open(directory.path()).unwrap());
        let id = SessionId::generate().unwrap();
        runtime.block_on(async {
            let mut session = sessions.open(&id, Access::Exclusive).await.unwrap();
            let moved = tokio::spawn(async move {
                session.insert("count", 1).unwrap();
                session.commit().await.unwrap();
            });
            moved.await.unwrap();
            let tasks: Vec<_> = (0..20)
                .map(|_| {
                    let (sessions, id) = (sessions.clone(), id.clone());
                    tokio::spawn(async move {
                        let mut session = sessions.open(&id, Access::Exclusive).await.unwrap();
                        tokio::task::yield_now().await;
                        session.update("count", |n: Option<u64>| n.unwrap() + 1).unwrap();
                        session.commit().await.unwrap();
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            let session = sessions.open(&id, Access::Snapshot).await.unwrap();
            assert_eq!(session.get("count").unwrap(), Some(21));
        });
    });
}

/// A session in a store whose syncs can be stopped.
fn stopped_in_sync(body: impl FnOnce(&FileStore, Key, &Gate) + Send + 'static) {
    watched(move || {
        let directory = tempfile::tempdir().unwrap();
        let gate = Arc::new(Gate::default());
        let store = FileStore::builder(directory.path())
            .durability(Durability::Power)
            .file_system(GatedSync(Arc::clone(&gate)))
            .open()
            .unwrap();
        let key = key("synced");
        let mut hold = wait(open(&store, &key));
        wait(hold.commit(BEFORE, Terms::default())).unwrap();
        drop(hold);
        body(&store, key, &gate);
        gate.open();
    });
}

/// Holds up every sync while it is closed.
#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    closed: bool,
    arrived: bool,
}

impl Gate {
    fn close(&self) {
        *self.state.lock().unwrap() = GateState { closed: true, arrived: false };
    }

    fn open(&self) {
        self.state.lock().unwrap().closed = false;
        self.changed.notify_all();
    }

    /// Returns once somebody stands at the gate.
    fn arrived(&self) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |state| !state.arrived).unwrap());
    }

    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.arrived = true;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| state.closed).unwrap());
    }
}

struct GatedSync(Arc<Gate>);

impl FileSystem for GatedSync {
    fn sync(&self, file: &File) -> io::Result<()> {
        self.0.pass();
        file.sync_data()
    }
}

fn two_threads() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_time().build().unwrap()
}

/// Two opens of one store: they share the directory and nothing else.
fn two_handles(durability: Durability) -> (TempDir, [FileStore; 2]) {
    let directory = tempfile::tempdir().unwrap();
    let stores = [(); 2]
        .map(|()| FileStore::builder(directory.path()).durability(durability).open().unwrap());
    (directory, stores)
}

/// Counts the future once it waits, or is done at once.
fn announced<T>(
    future: impl Future<Output = T> + Send,
    waiting: &AtomicUsize,
) -> impl Future<Output = T> + Send {
    let mut future = Box::pin(future);
    let mut first = true;
    poll_fn(move |context| {
        let poll = future.as_mut().poll(context);
        if std::mem::take(&mut first) {
            waiting.fetch_add(1, Ordering::AcqRel);
        }
        poll
    })
}

fn request(access: Access) -> OpenRequest {
    OpenRequest::new(access, Calling::Async)
}

async fn open<S: Store>(store: &S, key: &Key) -> S::Hold {
    match store.open(key, request(Access::Exclusive)).await {
        Ok(hold) => hold,
        Err(error) => panic!("{error}"),
    }
}

async fn increment(hold: &mut impl Hold) {
    let next = number(hold.payload()) + 1;
    match hold.commit(&next.to_le_bytes(), Terms::default()).await {
        Ok(_) => {}
        Err(error) => panic!("{error}"),
    }
}

async fn add<S: Store>(store: &S, key: &Key) {
    loop {
        let mut hold = open(store, key).await;
        let next = number(hold.payload()) + 1;
        match hold.commit(&next.to_le_bytes(), Terms::default()).await {
            Ok(_) => return,
            // Two handles may both hold a session that is absent.
            Err(CommitError::AlreadyExists { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

async fn count<S: Store>(store: &S, key: &Key) -> u64 {
    match store.open(key, request(Access::Snapshot)).await {
        Ok(hold) => number(hold.payload()),
        Err(error) => panic!("{error}"),
    }
}

/// Pending so many times.
async fn yields(times: u64) {
    for _ in 0..times * 5 {
        tokio::task::yield_now().await;
    }
}

fn number(payload: &[u8]) -> u64 {
    payload.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn key(name: &str) -> Key {
    Key::new("", &SessionId::from(name))
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// What is ready at the first poll.
fn at_once<F: Future>(future: F) -> F::Output {
    match poll(pin!(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it had to wait"),
    }
}

/// The payload of a session whose syncs can be stopped.
const BEFORE: &[u8] = &[7; 16];

const CROWD: usize = 32;
