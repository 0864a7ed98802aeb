//! What processes do to each other, and to the machine, with a map store: races for a new key,
//! destroyed sessions, openers that are stopped, forks, leaks, permissions.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::{
    Access, Calling, CommitError, Durability, Hold as _, MapStore, OpenError, OpenRequest,
    Store as _, SweepBudget, Terms,
};
use rig::map::{MapHeld, census, reboot, run_directory};
use rig::tap::{Answer, Call, Tap, Tapped};
use rig::{
    child, commit, commit_and_keep, commit_anyway, destroy, errno, key, open, put, read, renew, sys,
};

fn optimist(store: &MapStore, id: &str) -> MapHeld {
    open(store, &key(id), Access::Optimistic).unwrap()
}

/// How the races for new keys ended for one of the two.
const WON: u8 = 1;
const TOLD: u8 = 2;
const LATE: u8 = 3;

/// Inserts the same new keys as another process, key by key at the same time.
fn race(root: &Path, me: usize, rounds: u64) {
    let store = MapStore::open(root).unwrap();
    let results = |who: usize| {
        File::options().read(true).write(true).open(root.with_extension(who.to_string())).unwrap()
    };
    let (mine, theirs) = (results(me), results(1 - me));
    let name = me.to_string().into_bytes();
    for round in 0..rounds {
        // The other has finished the round before.
        while round > 0 && theirs.read_at(&mut [0], round - 1).unwrap() == 0 {
            std::hint::spin_loop();
        }
        let mut hold = optimist(&store, &format!("race {round}"));
        let end = match commit(&mut hold, &name) {
            Ok(record) if record.version == 1 => WON,
            Ok(_) => LATE,
            Err(CommitError::AlreadyExists { .. }) => TOLD,
            Err(error) => panic!("{error}"),
        };
        mine.write_all_at(&[end], round).unwrap();
    }
}

#[test]
fn of_two_processes_that_insert_one_key_exactly_one_wins() {
    child::alone("of_two_processes_that_insert_one_key_exactly_one_wins", || {
        // Beyond the first table, so that it is rewritten meanwhile.
        const ROUNDS: u64 = 5_000;
        let directory = rig::directory();
        let root = directory.path().join("sessions");
        drop(MapStore::open(&root).unwrap());
        for who in ["0", "1"] {
            File::create(root.with_extension(who)).unwrap();
        }
        let racers = [0, 1].map(|me| {
            sys::fork(|| {
                race(&root, me, ROUNDS);
                0
            })
        });
        for pid in racers {
            assert_eq!(sys::wait_for(pid), sys::End::Exit(0));
        }
        let results = ["0", "1"].map(|who| fs::read(root.with_extension(who)).unwrap());
        let store = MapStore::open(&root).unwrap();
        let mut told = 0;
        assert!(results.iter().all(|ends| ends.len() == usize::try_from(ROUNDS).unwrap()));
        for (round, ends) in results[0].iter().zip(&results[1]).enumerate() {
            let ends = [*ends.0, *ends.1];
            assert_eq!(ends.iter().filter(|end| **end == WON).count(), 1, "{round}: {ends:?}");
            told += ends.iter().filter(|end| **end == TOLD).count();
            let winner = ends.iter().position(|end| *end == WON).unwrap();
            // Who came late saw the winner's session and replaced it, as is his right.
            let last = if ends.contains(&LATE) { 1 - winner } else { winner };
            let stands = read(&store, &key(&format!("race {round}")), Access::Snapshot).unwrap();
            assert_eq!(stands.unwrap(), last.to_string().into_bytes(), "{round}: {ends:?}");
        }
        assert_eq!(census(&store).sessions.len(), usize::try_from(ROUNDS).unwrap());
        println!("{told} of {ROUNDS} were real races");
        // The control: the rounds were close enough for both to try.
        assert!(told > 0, "no race at all");
    });
}

#[test]
fn a_session_created_again_is_not_the_one_that_was_opened() {
    for durability in [Durability::Process, Durability::Power] {
        let directory = rig::directory();
        let store = MapStore::builder(directory.path()).durability(durability).open().unwrap();
        // Another handle is what another process is.
        let other = MapStore::open(directory.path()).unwrap();
        for same_version in [false, true] {
            put(&store, &key("a"), b"first life");
            let [mut strict, mut last_wins, mut destroys, mut renews] =
                [(); 4].map(|()| optimist(&store, "a"));
            let mut touches = open(&store, &key("a"), Access::Snapshot).unwrap();
            destroy(&mut optimist(&other, "a")).unwrap();
            for hold in [&mut strict, &mut last_wins] {
                let error = commit_anyway(hold, b"undead").unwrap_err();
                assert!(matches!(error, CommitError::Gone { .. }), "{error}");
            }
            put(&other, &key("a"), b"second life");
            if !same_version {
                put(&other, &key("a"), b"second life");
            }
            for error in [
                commit(&mut strict, b"undead").unwrap_err(),
                commit_anyway(&mut last_wins, b"undead").unwrap_err(),
                renew(&mut renews, &key("b"), b"undead", Duration::ZERO).unwrap_err(),
            ] {
                assert!(matches!(error, CommitError::Gone { .. }), "{error}");
            }
            wait(touches.touch()).unwrap();
            destroy(&mut destroys).unwrap();
            assert_eq!(read(&store, &key("a"), Access::Snapshot).unwrap().unwrap(), b"second life");
            assert_eq!(read(&store, &key("b"), Access::Snapshot).unwrap(), None);
            destroy(&mut optimist(&store, "a")).unwrap();
        }
    }
}

/// Stops this process at its k-th call of the file system.
struct Sleeper {
    calls: AtomicU64,
    stop: u64,
}

impl Tap for Sleeper {
    fn before(&self, _: &Call<'_>) -> Answer {
        if self.calls.fetch_add(1, Ordering::Relaxed) + 1 == self.stop {
            sys::send(std::process::id().try_into().unwrap(), libc::SIGSTOP);
        }
        Answer::Pass
    }
}

/// An opener is stopped at each step of building the index: others open, commit and destroy at once,
/// and what they did stands when it wakes up.
#[test]
fn an_opener_that_is_stopped_while_it_rebuilds_is_in_nobodys_way() {
    child::alone("an_opener_that_is_stopped_while_it_rebuilds_is_in_nobodys_way", || {
        let mut stops = 0;
        for stop in 1.. {
            let directory = rig::directory();
            let root = directory.path().join("sessions");
            let store = MapStore::open(&root).unwrap();
            for id in ["old", "changed", "gone"] {
                put(&store, &key(id), b"old");
            }
            drop(store);
            reboot(&root);
            let pid = sys::fork(|| {
                let fs = Tapped(Arc::new(Sleeper { calls: AtomicU64::new(0), stop }));
                let store = MapStore::builder(&root).file_system(fs).open().unwrap();
                let seen = ["old", "changed", "gone", "new"]
                    .map(|id| read(&store, &key(id), Access::Snapshot).unwrap());
                let due = [Some(&b"old"[..]), Some(b"new"), None, Some(b"new")];
                i32::from(seen.each_ref().map(|seen| seen.as_deref()) != due)
            });
            let stopped = sys::stops_or_ends(pid);
            let store = MapStore::open(&root).unwrap();
            assert_eq!(read(&store, &key("old"), Access::Snapshot).unwrap().unwrap(), b"old");
            put(&store, &key("changed"), b"new");
            put(&store, &key("new"), b"new");
            destroy(&mut optimist(&store, "gone")).unwrap();
            rig::sweep(&store).unwrap();
            if !stopped {
                assert!(stops > 10, "{stops}");
                break;
            }
            stops += 1;
            sys::send(pid, libc::SIGCONT);
            assert_eq!(sys::wait_for(pid), sys::End::Exit(0), "stopped at call {stop}");
            for (id, due) in [("old", b"old"), ("changed", b"new"), ("new", b"new")] {
                assert_eq!(read(&store, &key(id), Access::Snapshot).unwrap().unwrap(), due, "{id}");
            }
            let names = rig::names(&root);
            let is_draft = |name: &PathBuf| name.to_string_lossy().contains("draft");
            assert!(!names.iter().any(is_draft), "stopped at call {stop}: {names:?}");
        }
        println!("{stops} stops");
    });
}

#[test]
fn processes_that_rebuild_at_once_get_one_index() {
    child::alone("processes_that_rebuild_at_once_get_one_index", || {
        let directory = rig::directory();
        let root = directory.path().join("sessions");
        let store = MapStore::open(&root).unwrap();
        for number in 0..300 {
            put(&store, &key(&format!("{number}")), b"old");
        }
        drop(store);
        for round in 0..20_u8 {
            // Removed by hand, as the message of a damaged index says, or another boot.
            if round % 2 == 0 {
                fs::remove_dir_all(run_directory(&root)).unwrap();
            } else {
                reboot(&root);
            }
            let openers: Vec<i32> = (0..4)
                .map(|opener| {
                    sys::fork(|| {
                        let store = MapStore::open(&root).unwrap();
                        for number in 0..300 {
                            let id = key(&format!("{number}"));
                            assert!(read(&store, &id, Access::Snapshot).unwrap().is_some());
                        }
                        put(&store, &key(&format!("of {opener}")), &[round]);
                        0
                    })
                })
                .collect();
            for pid in openers {
                assert_eq!(sys::wait_for(pid), sys::End::Exit(0), "round {round}");
            }
            let store = MapStore::open(&root).unwrap();
            for opener in 0..4 {
                let id = key(&format!("of {opener}"));
                assert_eq!(read(&store, &id, Access::Snapshot).unwrap().unwrap(), [round]);
            }
            let census = census(&store);
            assert_eq!((census.sessions.len(), census.wrong), (304, Vec::new()), "round {round}");
        }
    });
}

#[test]
fn every_use_of_an_inherited_store_says_that_it_was_forked() {
    child::alone("every_use_of_an_inherited_store_says_that_it_was_forked", || {
        let directory = rig::directory();
        let store = MapStore::open(directory.path()).unwrap();
        put(&store, &key("a"), b"old");
        let mut hold = optimist(&store, "a");
        let mut absent = optimist(&store, "b");
        // It has cells for its next commits.
        let mut spare = Some(MapStore::open(directory.path()).unwrap());
        put(spare.as_ref().unwrap(), &key("spare"), b"old");
        let pid = sys::fork(|| {
            for access in [Access::Snapshot, Access::Optimistic] {
                let opened = open(&store, &key("c"), access);
                assert!(matches!(opened, Err(OpenError::Forked)), "{access}");
            }
            let swept = wait(store.sweep(SweepBudget { sessions: 1 }, Calling::Blocking));
            assert!(matches!(swept, Err(OpenError::Forked)));
            for hold in [&mut hold, &mut absent] {
                let forked = |error| matches!(error, CommitError::Open(OpenError::Forked));
                assert!(forked(commit_and_keep(hold, b"new").unwrap_err()));
                assert!(forked(renew(hold, &key("d"), b"new", Duration::ZERO).unwrap_err()));
                assert!(forked(destroy(hold).unwrap_err()));
                assert!(forked(wait(hold.touch()).unwrap_err()));
            }
            assert_eq!(hold.payload(), b"old");
            let again = MapStore::open(directory.path()).unwrap();
            put(&again, &key("of the child"), b"data");
            // What it inherited is closed without a word, and gives no cell of its parent away.
            drop(spare.take());
            0
        });
        assert_eq!(sys::wait_for(pid), sys::End::Exit(0));
        commit(&mut hold, b"new").unwrap();
        commit(&mut absent, b"new").unwrap();
        assert_eq!(read(&store, &key("of the child"), Access::Snapshot).unwrap().unwrap(), b"data");
        for number in 0..100 {
            put(spare.as_ref().unwrap(), &key(&format!("{number}")), b"new");
            put(&store, &key(&format!("{}", number + 100)), b"new");
        }
        let census = census(&store);
        assert_eq!((census.sessions.len(), census.leftovers, census.wrong), (204, 0, Vec::new()));
    });
}

/// A commit in `Power` whose task is dropped in the middle is made or not, whole.
#[test]
fn a_cancelled_commit_is_made_or_not() {
    let directory = rig::directory();
    let builder = MapStore::builder(directory.path());
    let store = builder.durability(Durability::Power).open().unwrap();
    put(&store, &key("a"), &[0; 3_000]);
    let mut pending = 0;
    for round in 1..=200_u8 {
        let request = OpenRequest::new(Access::Optimistic, Calling::Async);
        let mut hold = wait(store.open(&key("a"), request)).unwrap();
        let before = hold.payload().to_vec();
        let new = vec![round; 3_000];
        {
            let mut committing = pin!(hold.commit(&new, Terms::default()));
            let mut context = Context::from_waker(Waker::noop());
            pending += usize::from(committing.as_mut().poll(&mut context).is_pending());
        }
        let seen = read(&store, &key("a"), Access::Snapshot).unwrap().unwrap();
        assert!(seen == before || seen == new, "round {round}");
        // And the hold says what became of it, or goes on as if it had not been.
        match commit(&mut hold, &new) {
            Ok(_) | Err(CommitError::Conflict(_) | CommitError::Released) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(pending > 100, "only {pending} were cancelled in the middle");
    drop(store);
    let store = MapStore::open(directory.path()).unwrap();
    rig::sweep(&store).unwrap();
    let census = census(&store);
    assert_eq!((census.sessions.len(), census.leftovers, census.wrong), (1, 0, Vec::new()));
}

/// What this process has: descriptors, mappings, threads, and pages of memory.
fn belongings() -> [usize; 4] {
    let count = |path: &str| fs::read_dir(path).unwrap().count();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let resident = statm.split(' ').nth(1).unwrap().parse().unwrap();
    let ours = maps.lines().filter(|line| line.contains("/sessions/")).count();
    [count("/proc/self/fd"), ours, count("/proc/self/task"), resident]
}

#[test]
fn five_thousand_opens_leak_nothing() {
    child::alone("five_thousand_opens_leak_nothing", || {
        let directory = rig::directory();
        let root = directory.path().join("sessions");
        let round = |number: u64| {
            let store = MapStore::open(&root).unwrap();
            put(&store, &key("a"), &number.to_le_bytes());
            let clone = store.clone();
            drop(store);
            read(&clone, &key("a"), Access::Snapshot).unwrap();
        };
        (0..100).for_each(round);
        let before = belongings();
        (0..5_000).for_each(round);
        let after = belongings();
        assert_eq!(after[..3], before[..3], "descriptors, mappings, threads");
        assert!(after[3] < before[3] + 1_000, "{} pages more", after[3] - before[3]);
        let names = rig::names(&root);
        assert_eq!(names.len(), 5, "{names:?}");
        // The control: one that is forgotten is seen.
        let store = MapStore::open(&root).unwrap();
        let held = belongings();
        assert!(held[0] > after[0] && held[1] > after[1]);
        drop(store);
        assert_eq!(belongings()[..3], after[..3]);
    });
}

/// A handle that is refused leaves nothing either.
#[test]
fn opens_that_fail_leak_nothing() {
    struct Broken(AtomicU64, u64);
    impl Tap for Broken {
        fn before(&self, _: &Call<'_>) -> Answer {
            let now = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            if now == self.1 { Answer::Fail(libc::EIO) } else { Answer::Pass }
        }
    }
    child::alone("opens_that_fail_leak_nothing", || {
        for stored in [false, true] {
            let mut failures = 0;
            for nth in 1.. {
                let directory = rig::directory();
                let root = directory.path().join("sessions");
                if stored {
                    put(&MapStore::open(&root).unwrap(), &key("a"), b"old");
                    reboot(&root);
                }
                let before = belongings();
                let fs = Tapped(Arc::new(Broken(AtomicU64::new(0), nth)));
                let opened = MapStore::builder(&root).file_system(fs).open();
                match opened {
                    Ok(store) => {
                        let seen = read(&store, &key("a"), Access::Snapshot).unwrap();
                        assert_eq!(seen.is_some(), stored, "call {nth}");
                    }
                    Err(error) => {
                        failures += 1;
                        assert_eq!(errno(&error), Some(libc::EIO), "call {nth}: {error}");
                    }
                }
                assert_eq!(belongings()[..3], before[..3], "call {nth}");
                let store = MapStore::open(&root).unwrap();
                put(&store, &key("a"), b"new");
                drop(store);
                let names = rig::names(&root);
                if nth > 60 {
                    assert!(failures > 10, "{failures}");
                    break;
                }
                assert!(names.len() <= 8, "call {nth}: {names:?}");
            }
        }
    });
}

#[test]
fn files_are_for_their_owner_alone() {
    child::alone("files_are_for_their_owner_alone", || {
        sys::umask(0);
        let directory = rig::directory();
        let root = directory.path().join("deep/sessions");
        let store = MapStore::open(&root).unwrap();
        for number in 0..3_200 {
            put(&store, &key(&format!("{number}")), b"data");
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&root), 0o700);
        let names = rig::names(&root);
        assert!(names.len() >= 5, "{names:?}");
        for name in names {
            let path = root.join(&name);
            let due = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&path), due, "{}", name.display());
        }
    });
}

#[test]
fn no_link_below_the_root_is_followed() {
    let directory = rig::directory();
    let outside = directory.path().join("outside");
    for planted in ["heap", "control", "index.1", "run", "store.toml"] {
        for rebuild in [false, true] {
            let root = directory.path().join(format!("{planted} {rebuild}"));
            let store = MapStore::open(&root).unwrap();
            put(&store, &key("a"), b"data");
            drop(store);
            let run = run_directory(&root);
            let place = match planted {
                "control" | "index.1" => run.join(planted),
                "run" => run,
                _ => root.join(planted),
            };
            // What is moved away keeps its contents, so a link that is followed would work.
            let _ = fs::remove_dir_all(&outside);
            let _ = fs::remove_file(&outside);
            fs::rename(&place, &outside).unwrap();
            if rebuild && planted != "run" {
                reboot(&root);
            }
            let place =
                if place.parent().unwrap().is_dir() { place } else { root.join("run.link") };
            symlink(&outside, &place).unwrap();
            let before = if outside.is_dir() { None } else { Some(fs::read(&outside).unwrap()) };
            let opened = MapStore::open(&root);
            match opened {
                Err(error) => {
                    assert!(
                        matches!(errno(&error), Some(libc::ELOOP | libc::ENOTDIR)),
                        "{planted}: {error}"
                    );
                }
                // Built anew beside it.
                Ok(store) => {
                    assert!(rebuild, "{planted}");
                    assert_eq!(
                        read(&store, &key("a"), Access::Snapshot).unwrap().unwrap(),
                        b"data"
                    );
                }
            }
            if let Some(before) = before {
                assert!(
                    fs::read(&outside).unwrap() == before,
                    "{planted}: what it leads to changed"
                );
            }
            assert!(outside.exists(), "{planted}: what it leads to was removed");
        }
    }
}

#[test]
fn what_root_makes_belongs_to_the_owner_of_the_store() {
    if !child::is_root() {
        println!("skipped: to give files away needs root");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("sessions");
    let owner = 65_534;
    fs::create_dir(&root).unwrap();
    chown(&root, Some(owner), Some(owner)).unwrap();
    let look_around = || {
        let store = MapStore::open(&root).unwrap();
        // So many that the index grows.
        for number in 0..5_000 {
            put(&store, &key(&number.to_string()), b"payload");
        }
        let run = run_directory(&root);
        let made = fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().path());
        for path in made.chain([run.clone(), root.join("heap")]) {
            assert_eq!(fs::metadata(&path).unwrap().uid(), owner, "{}", path.display());
        }
    };
    look_around();
    reboot(&root);
    look_around();
}
