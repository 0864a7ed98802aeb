//! `kill -9` at every step and at random moments: always the old value or the new one, the lock
//! free at once, nothing left behind that a sweep does not clear.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::collections::BTreeSet;
use std::io::{Read as _, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::{
    Access, Calling, CommitError, Durability, FileStore, Hold as _, Key, Lifetime, OpenError,
    OpenRequest, Store as _,
};
use rig::tap::{Executioner, Tapped};
use rig::{
    Random, child, commit, commit_and_keep, destroy, key, open, put, read, renew, sys, try_open,
};

/// What a victim does to its session. Each payload names the session and what wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Create,
    Commit,
    Grow,
    Destroy,
    Renew,
    RenewWithGrace,
    Optimistic,
    Sweep,
}

const DEEDS: [Deed; 8] = [
    Deed::Create,
    Deed::Commit,
    Deed::Grow,
    Deed::Destroy,
    Deed::Renew,
    Deed::RenewWithGrace,
    Deed::Optimistic,
    Deed::Sweep,
];

fn old_payload(id: &str) -> Vec<u8> {
    format!("{id} old").into_bytes()
}

fn new_payload(id: &str, deed: Deed) -> Vec<u8> {
    let length = if deed == Deed::Grow { 3_000 } else { 100 };
    format!("{id} new ").repeat(length).into_bytes().into_iter().take(length).collect()
}

fn prepare(store: &FileStore, id: &str, deed: Deed) {
    match deed {
        Deed::Create => {}
        Deed::Sweep => {
            let mut hold = open(store, &key(id), Access::Exclusive).unwrap();
            let terms = cloakroom::Terms {
                lifetime: Lifetime::default().idle(Duration::ZERO),
                ..cloakroom::Terms::default()
            };
            cloakroom::blocking::wait(hold.commit(&old_payload(id), terms)).unwrap();
        }
        _ => {
            put(store, &key(id), b"older");
            put(store, &key(id), &old_payload(id));
        }
    }
}

fn perform(store: &FileStore, id: &str, deed: Deed) {
    let access = if deed == Deed::Optimistic { Access::Optimistic } else { Access::Exclusive };
    if deed == Deed::Sweep {
        rig::sweep(store).unwrap();
        return;
    }
    let mut hold = open(store, &key(id), access).unwrap();
    let (new, renewed) = (new_payload(id, deed), key(&format!("{id} renewed")));
    match deed {
        Deed::Destroy => destroy(&mut hold).unwrap(),
        Deed::Renew => {
            renew(&mut hold, &renewed, &new, Duration::ZERO).unwrap();
        }
        Deed::RenewWithGrace => {
            renew(&mut hold, &renewed, &new, Duration::from_secs(600)).unwrap();
        }
        _ => {
            commit(&mut hold, &new).unwrap();
        }
    }
}

/// After a kill in the middle of a deed: what stands is the state before it or the one after.
fn check(store: &FileStore, id: &str, deed: Deed, acknowledged: bool) -> Result<(), String> {
    let (old, new) = (Some(old_payload(id)), Some(new_payload(id, deed)));
    let main = key(id);
    let renewed = key(&format!("{id} renewed"));
    // At once, without waiting: the lock of the dead is free.
    for access in [Access::Exclusive, Access::Shared, Access::Snapshot, Access::Optimistic] {
        if let Err(error) = try_open(store, &main, access) {
            return Err(format!("{access}: {error}"));
        }
    }
    let seen = |key: &Key| read(store, key, Access::Exclusive).map_err(|error| error.to_string());
    let stands = (seen(&main)?, seen(&renewed)?);
    let before = match deed {
        Deed::Create | Deed::Sweep => (None, None),
        _ => (old.clone(), None),
    };
    let after = match deed {
        Deed::Destroy | Deed::Sweep => (None, None),
        Deed::Renew => (None, new.clone()),
        Deed::RenewWithGrace => (old.clone(), new.clone()),
        _ => (new.clone(), None),
    };
    // Between birth of the new and death of the old both stand: documented.
    let between = matches!(deed, Deed::Renew) && stands == (old, new);
    let fine = stands == after || !acknowledged && (stands == before || between);
    if !fine {
        return Err(format!("acknowledged: {acknowledged}, but {stands:?} stands"));
    }
    // And everything still works.
    for key in [main, renewed] {
        let mut hold = try_open(store, &key, Access::Exclusive).map_err(|e| e.to_string())?;
        match commit(&mut hold, b"the next") {
            Ok(_) => {}
            Err(CommitError::Retired { .. }) if deed == Deed::RenewWithGrace => {}
            Err(error) => return Err(error.to_string()),
        }
        drop(hold);
        let mut hold = try_open(store, &key, Access::Exclusive).map_err(|e| e.to_string())?;
        destroy(&mut hold).map_err(|error| error.to_string())?;
    }
    rig::sweep(store).map_err(|error| error.to_string())?;
    let files: BTreeSet<PathBuf> = rig::names(store.directory())
        .into_iter()
        .filter(|path| store.directory().join(path).is_file())
        .collect();
    if files.iter().any(|file| file.to_str() != Some("store.toml") && file.to_str() != Some("gate"))
    {
        return Err(format!("leftovers: {files:?}"));
    }
    Ok(())
}

#[test]
fn a_kill_at_any_step_leaves_the_old_state_or_the_new() {
    child::alone("a_kill_at_any_step_leaves_the_old_state_or_the_new", || {
        let mut kills = 0;
        for durability in [Durability::Process, Durability::Power] {
            for deed in DEEDS {
                let directory = rig::directory();
                let root = directory.path().join("sessions");
                let store = FileStore::builder(&root).durability(durability).open().unwrap();
                let start = kills;
                for step in 1.. {
                    prepare(&store, "a", deed);
                    let pid = sys::fork(|| {
                        let tap = Executioner::at(step);
                        let fs = Tapped(Arc::new(tap));
                        let store = FileStore::builder(&root).file_system(fs).open().unwrap();
                        perform(&store, "a", deed);
                        0
                    });
                    let end = sys::wait_for(pid);
                    let done = end == sys::End::Exit(0);
                    assert!(done || end == sys::End::Signal(libc::SIGKILL), "{deed:?}: {end:?}");
                    let context = format!("{durability}, {deed:?}, killed at step {step}");
                    check(&store, "a", deed, done).unwrap_or_else(|e| panic!("{context}: {e}"));
                    if done {
                        break;
                    }
                    kills += 1;
                }
                assert!(kills - start >= 8, "{deed:?} has more steps than {}", kills - start);
            }
        }
        println!("{kills} kills");
    });
}

/// A store that is being created is killed at each step: the next opener has a store.
#[test]
fn a_kill_while_a_store_is_created_leaves_a_place_for_a_store() {
    child::alone("a_kill_while_a_store_is_created_leaves_a_place_for_a_store", || {
        for step in 1.. {
            let directory = rig::directory();
            let root = directory.path().join("sessions");
            let pid = sys::fork(|| {
                let tap = Executioner::at(step);
                FileStore::builder(&root).file_system(Tapped(Arc::new(tap))).open().unwrap();
                0
            });
            let end = sys::wait_for(pid);
            let store = FileStore::builder(&root).durability(Durability::Process).open().unwrap();
            put(&store, &key("a"), b"data");
            let drafts = |path: &PathBuf| {
                path.to_str().is_some_and(|n| n.starts_with("store.toml") && n != "store.toml")
            };
            let left = rig::names(&root).into_iter().filter(drafts).count();
            assert!(left <= 1, "step {step}");
            if end == sys::End::Exit(0) {
                assert!(left == 0 && step > 8);
                break;
            }
        }
    });
}

/// What a victim tells before and after each deed: the number of the deed.
const TOLD: usize = 9;

/// Commits, grows, destroys, creates and renews over a few sessions until it is killed. Tells
/// before each deed that it begins and after it that it is done.
fn live_until_killed(root: &PathBuf, seed: u64, tell: &mut impl Write) {
    let store = FileStore::open(root).unwrap();
    let mut random = Random(seed);
    for number in 0_u64.. {
        let mut say = |done: u8| {
            let mut bytes = vec![done];
            bytes.extend(number.to_le_bytes());
            tell.write_all(&bytes).unwrap();
        };
        let id = key("hot");
        say(0);
        let mut hold = open(&store, &id, Access::Exclusive).unwrap();
        match deed_of(seed, number) {
            (Deed::Destroy, _) => destroy(&mut hold).unwrap(),
            (Deed::Renew, _) => {
                let other = key(&format!("{seed} {number}"));
                renew(&mut hold, &other, b"gone", Duration::ZERO).unwrap();
                destroy(&mut open(&store, &other, Access::Exclusive).unwrap()).unwrap();
            }
            (_, length) => {
                let payload = payload_of(number, length);
                if random.below(2) == 0 {
                    commit(&mut hold, &payload).unwrap();
                } else {
                    commit_and_keep(&mut hold, &payload).unwrap();
                }
            }
        }
        drop(hold);
        say(1);
    }
}

fn deed_of(seed: u64, number: u64) -> (Deed, usize) {
    let mut random = Random(seed ^ number.wrapping_mul(0x1234_5678_9abc_def1));
    match random.below(10) {
        0 => (Deed::Destroy, 0),
        1 => (Deed::Renew, 0),
        2 => (Deed::Grow, usize::try_from(random.below(9_000)).unwrap()),
        _ => (Deed::Commit, usize::try_from(random.below(300)).unwrap()),
    }
}

fn payload_of(number: u64, length: usize) -> Vec<u8> {
    let mut payload = number.to_le_bytes().to_vec();
    payload.resize(8 + length, number.to_le_bytes()[0]);
    payload
}

/// The state that a deed leaves; `None`: absent.
fn state_after(seed: u64, number: u64) -> Option<Vec<u8>> {
    match deed_of(seed, number) {
        (Deed::Destroy | Deed::Renew, _) => None,
        (_, length) => Some(payload_of(number, length)),
    }
}

/// One victim, killed at a random moment after a random number of deeds. The judgement knows what
/// was begun and what was acknowledged from the pipe, which outlives the victim.
fn one_kill(
    root: &PathBuf,
    seed: u64,
    before: Option<Vec<u8>>,
    in_the_middle: &mut u64,
) -> Option<Vec<u8>> {
    let (mut told, mut tell) = std::io::pipe().unwrap();
    let pid = sys::fork(|| {
        live_until_killed(root, seed, &mut tell);
        0
    });
    drop(tell);
    let mut random = Random(seed);
    let mut bytes = Vec::new();
    for _ in 0..random.below(30) {
        let mut one = [0; TOLD];
        told.read_exact(&mut one).unwrap();
        bytes.extend(one);
    }
    for _ in 0..random.below(60_000) {
        std::hint::spin_loop();
    }
    sys::send(pid, libc::SIGKILL);
    assert_eq!(sys::wait_for(pid), sys::End::Signal(libc::SIGKILL));
    told.read_to_end(&mut bytes).unwrap();
    let mut acknowledged = before;
    let mut attempted = None;
    for record in bytes.chunks_exact(TOLD) {
        let (done, number) = record.split_first().unwrap();
        let number = u64::from_le_bytes(number.try_into().unwrap());
        if *done == 1 {
            acknowledged = state_after(seed, number);
            attempted = None;
        } else {
            attempted = Some(state_after(seed, number));
        }
    }
    *in_the_middle += u64::from(attempted.is_some());
    let store = FileStore::open(root).unwrap();
    let hold = try_open(&store, &key("hot"), Access::Exclusive)
        .unwrap_or_else(|error| panic!("seed {seed}: the lock is not free: {error}"));
    let stands = hold.record().map(|_| hold.payload().to_vec());
    drop(hold);
    let fine = stands == acknowledged || attempted.as_ref() == Some(&stands);
    assert!(
        fine,
        "seed {seed}: acknowledged {acknowledged:?}, attempted {attempted:?}, {stands:?}"
    );
    for access in [Access::Shared, Access::Snapshot] {
        assert_eq!(read(&store, &key("hot"), access).unwrap(), stands, "seed {seed}");
    }
    stands
}

const KILLS: u64 = 500;

#[test]
fn five_hundred_kills_at_random_moments_lose_nothing_acknowledged() {
    child::alone("five_hundred_kills_at_random_moments_lose_nothing_acknowledged", || {
        let directory = rig::directory();
        let root = directory.path().join("sessions");
        let (mut stands, mut in_the_middle) = (None, 0);
        for seed in 0..KILLS {
            stands = one_kill(&root, seed, stands, &mut in_the_middle);
        }
        println!("{in_the_middle} of {KILLS} in the middle of a deed");
        assert!(in_the_middle > KILLS / 2);
        // What was renewed at the moment of a kill may have left its new session; nothing else.
        let store = FileStore::open(&root).unwrap();
        let far = rig::SetClock::at(u64::MAX - 1);
        let later = FileStore::builder(&root).clock(far).open().unwrap();
        destroy(&mut open(&store, &key("hot"), Access::Exclusive).unwrap()).unwrap();
        rig::sweep(&later).unwrap();
        let mut files = rig::names(&root);
        files.retain(|path| root.join(path).is_file() && path.to_str() != Some("gate"));
        assert_eq!(files, [PathBuf::from("store.toml")]);
    });
}

/// The control: a victim that acknowledges before it commits is caught.
#[test]
fn the_judge_of_kills_catches_an_early_acknowledgement() {
    child::alone("the_judge_of_kills_catches_an_early_acknowledgement", || {
        for deed in [Deed::Create, Deed::Commit, Deed::Grow, Deed::Destroy, Deed::Renew] {
            let directory = rig::directory();
            // Killed before it did anything, but told to have been done.
            let store = FileStore::open(directory.path().join("early")).unwrap();
            prepare(&store, "a", deed);
            check(&store, "a", deed, true).unwrap_err();
            // A payload from nowhere.
            let store = FileStore::open(directory.path().join("foreign")).unwrap();
            prepare(&store, "a", deed);
            put(&store, &key("a"), b"from nowhere");
            check(&store, "a", deed, false).unwrap_err();
            // A lock that the dead still has.
            let store = FileStore::open(directory.path().join("locked")).unwrap();
            prepare(&store, "a", deed);
            put(&store, &key("a"), &old_payload("a"));
            let holder = open(&store, &key("a"), Access::Exclusive).unwrap();
            check(&store, "a", deed, false).unwrap_err();
            drop(holder);
        }
    });
}

#[test]
fn a_killed_holder_lets_the_next_waiter_go_on_with_the_old_value() {
    child::alone("a_killed_holder_lets_the_next_waiter_go_on_with_the_old_value", || {
        for access in [Access::Exclusive, Access::Shared] {
            let directory = rig::directory();
            let root = directory.path().join("sessions");
            let store = FileStore::open(&root).unwrap();
            put(&store, &key("a"), b"old");
            let (mut told, mut tell) = std::io::pipe().unwrap();
            let pid = sys::fork(|| {
                let store = FileStore::open(&root).unwrap();
                let hold = open(&store, &key("a"), Access::Exclusive).unwrap();
                tell.write_all(b"!").unwrap();
                loop {
                    std::thread::park();
                    std::hint::black_box(&hold);
                }
            });
            told.read_exact(&mut [0]).unwrap();
            assert_holder(pid, || try_open(&store, &key("a"), access).map(drop).unwrap_err());
            // Waits in the kernel, on a thread of the engine, until the holder is killed.
            let seen = std::thread::scope(|scope| {
                let waiter = scope.spawn(|| read(&store, &key("a"), access));
                rig::until("a thread to wait for the kernel", || {
                    rig::waiters(&[&store.place(&key("a"))]) > 0 || waiter.is_finished()
                });
                sys::send(pid, libc::SIGKILL);
                sys::wait_for(pid);
                waiter.join().unwrap()
            });
            assert_eq!(seen.unwrap().unwrap(), b"old");
        }
    });
}

#[test]
fn a_stopped_holder_is_named_to_those_who_wait_in_vain() {
    child::alone("a_stopped_holder_is_named_to_those_who_wait_in_vain", || {
        let directory = rig::directory();
        let root = directory.path().join("sessions");
        let store = FileStore::open(&root).unwrap();
        put(&store, &key("a"), b"old");
        let pid = sys::fork(|| {
            let store = FileStore::open(&root).unwrap();
            let mut hold = open(&store, &key("a"), Access::Exclusive).unwrap();
            sys::send(std::process::id().try_into().unwrap(), libc::SIGSTOP);
            commit(&mut hold, b"after the stop").unwrap();
            0
        });
        sys::wait_for_stop(pid);
        for access in [Access::Exclusive, Access::Shared] {
            for wait in [0, 1, 30] {
                assert_holder(pid, || {
                    let request = OpenRequest::new(access, Calling::Blocking)
                        .wait(Duration::from_millis(wait));
                    let opened = cloakroom::blocking::wait(store.open(&key("a"), request));
                    opened.map(drop).unwrap_err()
                });
            }
        }
        let mut hold = try_open(&store, &key("a"), Access::Optimistic).unwrap();
        assert_eq!(hold.payload(), b"old", "who takes no lock reads on");
        assert_holder(pid, || match commit(&mut hold, b"faster").unwrap_err() {
            CommitError::Open(error) => error,
            error => panic!("{error}"),
        });
        sys::send(pid, libc::SIGCONT);
        assert_eq!(sys::wait_for(pid), sys::End::Exit(0));
        // No lock was stolen meanwhile, so its commit stands; those who gave up are forgotten.
        assert_eq!(read(&store, &key("a"), Access::Exclusive).unwrap().unwrap(), b"after the stop");
        let error = commit(&mut hold, b"slower").unwrap_err();
        assert!(matches!(error, CommitError::Conflict(_)), "{error}");
    });
}

/// The attempt times out and names this holder, never another. The kernel's list of locks skips
/// lines while it changes, so it may take more than one attempt until somebody is named.
fn assert_holder(pid: i32, mut attempt: impl FnMut() -> OpenError) {
    rig::until("the holder to be named", || {
        let error = attempt();
        let OpenError::LockTimeout(timeout) = &error else { panic!("{error}") };
        let Some(holder) = &timeout.holder else { return false };
        assert_eq!(holder.pid, u32::try_from(pid).unwrap(), "{error}");
        assert!(error.to_string().contains(&format!("process {pid}")), "{error}");
        true
    });
}
