//! The list of locks names who holds what and counts who waits, whatever process that is.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/process.rs"]
mod process;
mod rig;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use cloakroom::blocking::wait;
use cloakroom::{Access, Calling, FileStore, Inventory as _, Key, Locked, OpenRequest, Store as _};
use process::{Child, listen, role, say, watched};
use rig::tap::{Answer, Call, Method, Tap, Tapped};
use rig::{key, open, put, read, sys, until};
use rustix::fs::{CWD, FileType, Mode};

struct Bench {
    store: FileStore,
    directory: tempfile::TempDir,
}

impl Bench {
    /// A store with these sessions.
    fn new(sessions: &[&str]) -> Self {
        let directory = rig::directory();
        let store = FileStore::open(directory.path()).unwrap();
        let bench = Self { store, directory };
        bench.fill(sessions);
        bench
    }

    fn fill(&self, sessions: &[impl AsRef<str>]) {
        for id in sessions {
            put(&self.store, &key(id.as_ref()), b"data");
        }
    }

    fn locks(&self) -> Vec<Locked> {
        wait(self.store.locks(Calling::Blocking)).unwrap()
    }

    /// The only session that is listed.
    fn locked(&self) -> Locked {
        let mut locks = self.locks();
        assert_eq!(locks.len(), 1, "{locks:?}");
        locks.remove(0)
    }

    /// Another process that opens sessions and then says so.
    fn start(&self, access: Access, sessions: &str) -> Child {
        let role = format!("{}\n{access}\n{sessions}", self.directory.path().display());
        Child::start("child", &role)
    }

    fn holder(&self, access: Access, sessions: &str) -> Child {
        let mut child = self.start(access, sessions);
        child.expect("held");
        child
    }
}

/// Not a test of its own: another process, which opens each session named, says so, and holds them
/// until it is told.
#[test]
fn child() {
    let Some(role) = role("child") else { return };
    let mut words = role.lines();
    let store = FileStore::open(words.next().unwrap()).unwrap();
    let access = match words.next().unwrap() {
        "shared" => Access::Shared,
        "storm" => return storm(&store),
        _ => Access::Exclusive,
    };
    let forks = words.clone().any(|id| id == "fork");
    let held: Vec<_> = words
        .filter(|id| *id != "fork")
        .map(|id| open(&store, &key(id), access).unwrap())
        .collect();
    if forks {
        // It ends with the test, not with its parent.
        let mut alive = fs::File::open(store.directory().join("alive")).unwrap();
        sys::fork(|| i32::from(std::io::Read::read(&mut alive, &mut [0]).is_err()));
    }
    say("held");
    listen();
    drop(held);
}

/// Opens and releases sessions until the test is over.
fn storm(store: &FileStore) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (done, key) = (&done, key(&format!("storm {}", (thread + std::process::id()) % 8)));
            scope.spawn(move || {
                while !done.load(Ordering::Acquire) {
                    put(store, &key, b"storm");
                }
            });
        }
        say("held");
        listen();
        done.store(true, Ordering::Release);
    });
}

fn held(id: &str, exclusive: bool, holders: &[u32]) -> Locked {
    let mut holders = holders.to_vec();
    holders.sort_unstable();
    Locked { key: Some(key(id)), exclusive, holders, waiters: vec![], waiting: 0 }
}

#[test]
fn a_holder_in_another_process_is_named_until_it_lets_go_or_is_killed() {
    watched(|| {
        let bench = Bench::new(&["a", "b", "free"]);
        assert_eq!(bench.locks(), []);
        let first = bench.holder(Access::Exclusive, "a");
        assert_eq!(bench.locks(), [held("a", true, &[first.pid()])]);
        let second = bench.holder(Access::Exclusive, "b");
        let mut both = [held("a", true, &[first.pid()]), held("b", true, &[second.pid()])];
        both.sort_unstable_by_key(|locked| locked.key);
        assert_eq!(bench.locks(), both);
        first.finish();
        assert_eq!(bench.locks(), [held("b", true, &[second.pid()])]);
        second.kill();
        assert_eq!(bench.locks(), []);
    });
}

#[test]
fn readers_in_several_processes_are_all_named() {
    watched(|| {
        let bench = Bench::new(&["a"]);
        let readers = [(); 3].map(|()| bench.holder(Access::Shared, "a"));
        let ours = open(&bench.store, &key("a"), Access::Shared).unwrap();
        let mut pids: Vec<u32> = readers.iter().map(Child::pid).collect();
        pids.push(std::process::id());
        assert_eq!(bench.locks(), [held("a", false, &pids)]);
        drop(ours);
        pids.pop();
        assert_eq!(bench.locks(), [held("a", false, &pids)]);
    });
}

/// One of them waits for the lock, one for each byte of the gate, and the others behind that.
#[test]
fn every_process_that_waits_is_counted() {
    watched(|| {
        let bench = Bench::new(&["a"]);
        for access in [Access::Exclusive, Access::Shared] {
            let holder = bench.holder(Access::Exclusive, "a");
            let mut waiters: Vec<Child> = Vec::new();
            for count in 1..=5 {
                waiters.push(bench.start(access, "a"));
                until("a waiter more", || bench.locked().waiting == count);
                let locked = bench.locked();
                assert_eq!((locked.exclusive, &locked.holders[..]), (true, &[holder.pid()][..]));
                assert!(!locked.waiters.is_empty(), "the first one is known");
                let known = |pid: &u32| waiters.iter().any(|child| child.pid() == *pid);
                assert!(locked.waiters.iter().all(known), "{locked:?}");
            }
            // One that gives up counts no more.
            waiters.remove(0).kill();
            until("a waiter less", || bench.locked().waiting == 4);
            holder.finish();
            if access == Access::Shared {
                waiters.iter_mut().for_each(|child| child.expect("held"));
                let pids: Vec<u32> = waiters.iter().map(Child::pid).collect();
                assert_eq!(bench.locks(), [held("a", false, &pids)]);
            } else {
                // Whoever is next. Until it has the file nobody does, and who waits cannot be named.
                until(
                    "one of them holds it",
                    || matches!(&bench.locks()[..], [Locked { holders, waiting: 3, .. }] if holders.len() == 1),
                );
            }
            waiters.clear();
            until("they are gone", || bench.locks().is_empty());
        }
    });
}

/// In the kernel a process waits once for a session, however many of its requests do.
#[test]
fn a_process_in_which_many_wait_counts_as_one() {
    watched(|| {
        let bench = Bench::new(&["a"]);
        let holder = bench.holder(Access::Exclusive, "a");
        let id = key("a");
        let mut context = Context::from_waker(Waker::noop());
        let mut waits: Vec<_> = (0..3)
            .map(|_| {
                let request = OpenRequest::new(Access::Exclusive, Calling::Async);
                Box::pin(bench.store.open(&id, request))
            })
            .collect();
        for waiting in &mut waits {
            assert!(waiting.as_mut().poll(&mut context).is_pending());
        }
        until("it waits", || bench.locked().waiting > 0);
        let waiters = vec![std::process::id()];
        let expected = Locked { waiters, waiting: 1, ..held("a", true, &[holder.pid()]) };
        assert_eq!(bench.locked(), expected);
    });
}

#[test]
fn what_is_locked_elsewhere_is_not_listed() {
    watched(|| {
        let (bench, other) = (Bench::new(&["a"]), Bench::new(&["a"]));
        // The same sessions, as after a copy, on the same device.
        let _other = other.holder(Access::Exclusive, "a");
        let file = fs::File::create(bench.directory.path().join("README")).unwrap();
        file.lock().unwrap();
        let beside = tempfile::NamedTempFile::new_in(bench.directory.path().parent().unwrap());
        beside.as_ref().unwrap().as_file().lock().unwrap();
        assert_eq!(bench.locks(), []);
        let holder = bench.holder(Access::Exclusive, "a");
        assert_eq!(bench.locks(), [held("a", true, &[holder.pid()])]);
    });
}

/// A lock belongs to the open file, which a forked child shares: the kernel names the process that
/// took it, long after that has ended.
#[test]
fn a_child_that_keeps_the_lock_of_its_killed_parent_is_named() {
    watched(|| {
        let bench = Bench::new(&["a", "b", "free"]);
        let alive = bench.directory.path().join("alive");
        rustix::fs::mknodat(CWD, &alive, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let alive = fs::File::options().read(true).write(true).open(alive).unwrap();
        let parent = bench.holder(Access::Exclusive, "a\nb\nfork");
        let tasks = fs::read_dir(format!("/proc/{}/task", parent.pid())).unwrap();
        let children: String = tasks
            .map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap())
            .collect();
        let child = children.trim().parse().unwrap();
        let pid = parent.pid();
        let both = |pid| {
            let mut both = [held("a", true, &[pid]), held("b", true, &[pid])];
            both.sort_unstable_by_key(|locked| locked.key);
            both
        };
        assert_eq!(bench.locks(), both(pid), "while it lives it is the holder");
        sys::send(i32::try_from(pid).unwrap(), libc::SIGKILL);
        until("it ended, and nobody was told", || bench.locks() == both(child));
        parent.kill();
        assert_eq!(bench.locks(), both(child), "it is not even known any more");
        drop(alive);
        until("nobody keeps it", || bench.locks().is_empty());
    });
}

/// Who may not look into the holder's files goes through the names in the store.
#[test]
fn sessions_are_named_that_another_user_holds() {
    let name = "sessions_are_named_that_another_user_holds";
    if !rig::child::is_root() {
        println!("not root, so there is no other user");
        return;
    }
    let mut keep = None;
    let give_away = |command: &mut std::process::Command| {
        use std::os::unix::process::CommandExt as _;
        let bench = Bench::new(&["a", "free"]);
        let hold = open(&bench.store, &key("a"), Access::Exclusive).unwrap();
        own(bench.directory.path(), rig::child::NOBODY);
        command.env("CLOAKROOM_TEST_STORE", bench.directory.path());
        command.uid(rig::child::NOBODY).gid(rig::child::NOBODY);
        keep = Some((bench, hold));
    };
    rig::child::alone_as(name, give_away, || {
        let store = FileStore::open(std::env::var("CLOAKROOM_TEST_STORE").unwrap()).unwrap();
        let holder = std::os::unix::process::parent_id();
        fs::read_dir(format!("/proc/{holder}/fd")).unwrap_err();
        let locks = wait(store.locks(Calling::Blocking)).unwrap();
        assert_eq!(locks, [held("a", true, &[holder])]);
    });
}

fn own(path: &Path, user: u32) {
    std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            own(&entry.unwrap().path(), user);
        }
    }
}

#[test]
fn a_thousand_held_sessions_are_listed_as_their_holders_have_them() {
    watched(|| {
        let bench = Bench::new(&[]);
        let mut expected = Vec::new();
        let mut holders = Vec::new();
        for process in 0..4 {
            let ids: Vec<String> = (0..250).map(|index| format!("{process} {index}")).collect();
            bench.fill(&ids);
            let holder = bench.holder(Access::Exclusive, &ids.join("\n"));
            expected.extend(ids.iter().map(|id| held(id, true, &[holder.pid()])));
            holders.push(holder);
        }
        expected.sort_unstable_by_key(|locked| locked.key);
        assert!(bench.locks() == expected);
    });
}

/// The kernel's list is read in pieces and moves between them.
#[test]
fn no_holder_is_overlooked_while_others_lock_and_unlock() {
    watched(|| {
        let bench = Bench::new(&[]);
        let ids: Vec<String> = (0..200).map(|index| format!("steady {index}")).collect();
        bench.fill(&ids);
        let holder = bench.holder(Access::Exclusive, &ids.join("\n"));
        let storms = [(); 2].map(|()| {
            let role = format!("{}\nstorm", bench.directory.path().display());
            let mut storm = Child::start("child", &role);
            storm.expect("held");
            storm
        });
        let steady: Vec<Key> = ids.iter().map(|id| key(id)).collect();
        for round in 0..40 {
            let locks = bench.locks();
            let mut found = 0;
            for locked in &locks {
                if locked.key.is_some_and(|key| steady.contains(&key)) {
                    assert_eq!(locked.holders, [holder.pid()]);
                    found += 1;
                } else if locked.exclusive && locked.key.is_some() {
                    assert!(locked.holders.len() <= 1, "{locked:?}");
                }
            }
            assert_eq!(found, 200, "round {round}");
        }
        storms.into_iter().for_each(Child::finish);
    });
}

/// Whoever passed the gate may be stopped before it asks for the lock: then others wait, and nothing
/// tells for which session.
#[test]
fn who_waits_behind_one_that_was_stopped_at_the_gate_is_counted() {
    struct Stopped(Arc<AtomicBool>);
    impl Tap for Stopped {
        fn before(&self, call: &Call<'_>) -> Answer {
            while call.method == Method::Lock && self.0.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            Answer::Pass
        }
    }
    watched(|| {
        let bench = Bench::new(&["a"]);
        let stopped = Arc::new(AtomicBool::new(true));
        let tap = Tapped(Arc::new(Stopped(Arc::clone(&stopped))));
        let at_gate = FileStore::builder(bench.directory.path()).file_system(tap).open().unwrap();
        let hold = open(&bench.store, &key("a"), Access::Exclusive).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| read(&at_gate, &key("a"), Access::Exclusive).unwrap());
            let gate = bench.directory.path().join("gate");
            until("it passed the gate", || {
                let Ok(gate) = fs::metadata(&gate) else { return false };
                let locks = fs::read_to_string("/proc/locks").unwrap();
                locks.lines().any(|line| line.contains(&format!(":{} ", gate.ino())))
            });
            let behind = bench.start(Access::Exclusive, "a");
            until("another waits", || bench.locked().waiting == 1);
            assert_eq!(
                bench.locked(),
                Locked { waiting: 1, ..held("a", true, &[std::process::id()]) }
            );
            drop(hold);
            let nobody = Locked { key: None, waiting: 1, ..held("a", true, &[]) };
            assert_eq!(bench.locked(), nobody);
            stopped.store(false, Ordering::Release);
            drop(behind);
        });
    });
}
