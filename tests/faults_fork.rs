//! A forked child has no part in the locks of its parent, and an executed one inherits nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::Command;
use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::{
    Access, Calling, CommitError, FileStore, Hold as _, OpenError, Store as _, SweepBudget,
};
use rig::{child, commit, commit_and_keep, destroy, key, open, put, read, renew, sys, try_open};

fn is_busy(store: &FileStore, id: &str) -> bool {
    matches!(try_open(store, &key(id), Access::Exclusive), Err(OpenError::LockTimeout(_)))
}

#[test]
fn a_child_that_drops_what_it_inherited_frees_no_lock_of_its_parent() {
    child::alone("a_child_that_drops_what_it_inherited_frees_no_lock_of_its_parent", || {
        for access in [Access::Exclusive, Access::Shared] {
            let directory = rig::directory();
            let store = FileStore::open(directory.path()).unwrap();
            let stranger = FileStore::open(directory.path()).unwrap();
            put(&store, &key("a"), b"old");
            let mut hold = Some(open(&store, &key("a"), access).unwrap());
            for how in 0..3 {
                let pid = sys::fork(|| {
                    match how {
                        0 => drop(hold.take()),
                        1 => wait(hold.as_mut().unwrap().release()),
                        _ => {
                            drop(hold.take());
                            drop(store.clone());
                        }
                    }
                    0
                });
                assert_eq!(sys::wait_for(pid), sys::End::Exit(0));
                assert!(is_busy(&stranger, "a"), "{access}: the child unlocked it");
            }
            let mut hold = hold.unwrap();
            if access == Access::Exclusive {
                commit_and_keep(&mut hold, b"new").unwrap();
            }
            assert!(is_busy(&stranger, "a"));
            drop(hold);
            assert!(!is_busy(&stranger, "a"), "{access}: the child kept it");
        }
    });
}

/// The parent's release is an unlock and not only a close, so a living child does not keep it.
#[test]
fn a_child_that_lives_on_keeps_no_lock_that_its_parent_released() {
    child::alone("a_child_that_lives_on_keeps_no_lock_that_its_parent_released", || {
        let directory = rig::directory();
        let store = FileStore::open(directory.path()).unwrap();
        let stranger = FileStore::open(directory.path()).unwrap();
        for end in ["drop", "commit", "destroy"] {
            put(&store, &key("a"), b"old");
            let mut hold = open(&store, &key("a"), Access::Exclusive).unwrap();
            let (mut gun, mut trigger) = std::io::pipe().unwrap();
            let pid = sys::fork(|| {
                gun.read_exact(&mut [0]).unwrap();
                std::hint::black_box(&hold);
                0
            });
            match end {
                "drop" => {}
                "commit" => drop(commit(&mut hold, b"new").map_err(|error| panic!("{error}"))),
                _ => destroy(&mut hold).unwrap(),
            }
            drop(hold);
            assert!(!is_busy(&stranger, "a"), "{end}: the child keeps the lock");
            trigger.write_all(b"!").unwrap();
            assert_eq!(sys::wait_for(pid), sys::End::Exit(0));
        }
    });
}

#[test]
fn every_use_of_an_inherited_store_says_that_it_was_forked() {
    child::alone("every_use_of_an_inherited_store_says_that_it_was_forked", || {
        let directory = rig::directory();
        let store = FileStore::open(directory.path()).unwrap();
        put(&store, &key("a"), b"old");
        let mut exclusive = open(&store, &key("a"), Access::Exclusive).unwrap();
        let mut optimistic = open(&store, &key("a"), Access::Optimistic).unwrap();
        let mut absent = open(&store, &key("b"), Access::Exclusive).unwrap();
        let before = rig::tree(directory.path());
        let pid = sys::fork(|| {
            for access in Access::ALL {
                let opened = try_open(&store, &key("c"), access);
                assert!(matches!(opened, Err(OpenError::Forked)), "{access}");
            }
            let swept = wait(store.sweep(SweepBudget { sessions: 1 }, Calling::Blocking));
            assert!(matches!(swept, Err(OpenError::Forked)));
            for hold in [&mut exclusive, &mut optimistic, &mut absent] {
                let forked = |error| matches!(error, CommitError::Open(OpenError::Forked));
                assert!(forked(commit_and_keep(hold, b"new").unwrap_err()));
                assert!(forked(renew(hold, &key("d"), b"new", Duration::ZERO).unwrap_err()));
                assert!(forked(destroy(hold).unwrap_err()));
                assert!(forked(wait(hold.touch()).unwrap_err()));
            }
            // What was read is a copy, and stays readable.
            assert_eq!(exclusive.payload(), b"old");
            // Opened again, the store is good, and the parent's lock is seen as anybody's.
            let again = FileStore::open(directory.path()).unwrap();
            assert!(is_busy(&again, "a"));
            put(&again, &key("of the child"), b"data");
            0
        });
        assert_eq!(sys::wait_for(pid), sys::End::Exit(0));
        let mut after = rig::tree(directory.path());
        after.retain(|path, _| before.contains_key(path));
        assert!(after == before, "the child changed something of its parent");
        commit(&mut exclusive, b"new").unwrap();
        assert_eq!(read(&store, &key("of the child"), Access::Shared).unwrap().unwrap(), b"data");
    });
}

/// As documented: the kernel's lock belongs to the open file, which parent and child share. A
/// parent that is killed while it holds, and whose child lives on with the inherited descriptor,
/// leaves the lock until the child closes it or ends.
#[test]
fn a_lock_of_a_killed_parent_lasts_until_its_children_end() {
    child::alone("a_lock_of_a_killed_parent_lasts_until_its_children_end", || {
        let directory = rig::directory();
        let stranger = FileStore::open(directory.path()).unwrap();
        put(&stranger, &key("a"), b"old");
        let (mut told, mut tell) = std::io::pipe().unwrap();
        let (mut gun, mut trigger) = std::io::pipe().unwrap();
        let (mut ended, end) = std::io::pipe().unwrap();
        let parent = sys::fork(|| {
            let store = FileStore::open(directory.path()).unwrap();
            let mut hold = Some(open(&store, &key("a"), Access::Exclusive).unwrap());
            sys::fork(|| {
                gun.read_exact(&mut [0]).unwrap();
                drop(hold.take());
                tell.write_all(b"!").unwrap();
                gun.read_exact(&mut [0]).unwrap();
                std::hint::black_box(&end);
                0
            });
            tell.write_all(b"!").unwrap();
            sys::die()
        });
        drop(end);
        told.read_exact(&mut [0]).unwrap();
        assert_eq!(sys::wait_for(parent), sys::End::Signal(libc::SIGKILL));
        assert!(is_busy(&stranger, "a"));
        trigger.write_all(b"!").unwrap();
        told.read_exact(&mut [0]).unwrap();
        // Closed by the child, which lives.
        assert!(!is_busy(&stranger, "a"));
        trigger.write_all(b"!").unwrap();
        assert_eq!(ended.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn an_executed_program_inherits_no_descriptor() {
    child::alone("an_executed_program_inherits_no_descriptor", || {
        let directory = rig::directory();
        let store = FileStore::open(directory.path()).unwrap();
        for id in ["a", "b", "c"] {
            put(&store, &key(id), b"data");
        }
        let links = || {
            // `/proc/self/fd` of the executed program itself.
            let listed = Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
            String::from_utf8(listed.stdout).unwrap()
        };
        let _exclusive = open(&store, &key("a"), Access::Exclusive).unwrap();
        let _shared = open(&store, &key("b"), Access::Shared).unwrap();
        // In the middle of a sweep its directories are open.
        wait(store.sweep(SweepBudget { sessions: 1 }, Calling::Blocking)).unwrap();
        // A waiter of the kernel, on a thread of the engine.
        let stranger = FileStore::open(directory.path()).unwrap();
        std::thread::scope(|scope| {
            let hold = open(&stranger, &key("c"), Access::Exclusive).unwrap();
            let waiter = scope.spawn(|| read(&store, &key("c"), Access::Exclusive));
            rig::until("a thread to wait", || rig::waiters(&[&store.place(&key("c"))]) > 0);
            let here = directory.path().to_str().unwrap();
            let ours = fs::read_dir("/proc/self/fd")
                .unwrap()
                .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
            assert!(ours.filter(|link| link.starts_with(here)).count() >= 7, "nothing to inherit");
            let inherited = links();
            assert!(inherited.contains("/proc/"), "the list is empty: {inherited}");
            assert!(!inherited.contains(here), "{inherited}");
            // The control: what is not closed on execution does show.
            let leak = fs::File::open(directory.path()).unwrap();
            rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
            assert!(links().contains(here));
            drop(hold);
            waiter.join().unwrap().unwrap();
        });
    });
}

/// A lock is not lost by a fork in the middle of other threads' work either.
#[test]
fn a_parent_of_many_children_keeps_its_exclusion() {
    child::alone("a_parent_of_many_children_keeps_its_exclusion", || {
        let directory = rig::directory();
        let store = FileStore::open(directory.path()).unwrap();
        let stranger = FileStore::open(directory.path()).unwrap();
        put(&store, &key("a"), &0_u64.to_le_bytes());
        let mut children = Vec::new();
        for round in 0..50_u64 {
            let mut hold = open(&store, &key("a"), Access::Exclusive).unwrap();
            let count = u64::from_le_bytes(hold.payload().try_into().unwrap());
            assert_eq!(count, round);
            children.push(sys::fork(|| {
                // Its copy of the hold closes when it ends.
                0
            }));
            assert!(is_busy(&stranger, "a"));
            commit(&mut hold, &(count + 1).to_le_bytes()).unwrap();
            assert!(!is_busy(&stranger, "a"));
        }
        for pid in children {
            assert_eq!(sys::wait_for(pid), sys::End::Exit(0));
        }
    });
}
