//! `kill -9` of processes that share a map store: at any moment, 2,000 times in all. What was
//! acknowledged stays, what was destroyed stays destroyed, the next one opens at once, and what the
//! dead left is found again.
//!
//! By default a share of the kills; all of them with
//! `CLOAKROOM_KILLS=2000 cargo test --release --test map_kill`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use cloakroom::{Access, Durability, Key, MapStore};
use rig::map::{census, heap_length, reboot, run_directory};
use rig::tap::{Executioner, Tapped};
use rig::worker::work_until_killed;
use rig::worker::{
    Diary, HOT, Ledger, Line, Own, count, hot_key, hot_payload, own_key, own_payload,
};
use rig::{Random, child, destroy, key, open, put, read, sys};

const WORKERS: usize = 3;

/// How many kills there are in each mode.
fn kills() -> u64 {
    let asked = std::env::var("CLOAKROOM_KILLS").ok().and_then(|kills| kills.parse().ok());
    asked.unwrap_or(100)
}

/// A store with workers that are killed and replaced.
struct Storm {
    root: PathBuf,
    diaries: PathBuf,
    random: Random,
    workers: Vec<(i32, u64)>,
    started: u64,
    ledger: Ledger,
    _directory: tempfile::TempDir,
}

impl Storm {
    fn new(durability: Durability) -> Self {
        let directory = rig::directory();
        let (root, diaries) = (directory.path().join("sessions"), directory.path().join("diaries"));
        fs::create_dir(&diaries).unwrap();
        let store = MapStore::builder(&root).durability(durability).open().unwrap();
        for hot in 0..HOT {
            put(&store, &hot_key(hot), &hot_payload(0));
        }
        Self {
            root,
            diaries,
            random: Random(7),
            workers: Vec::new(),
            started: 0,
            ledger: Ledger::default(),
            _directory: directory,
        }
    }

    fn diary(&self, worker: u64) -> PathBuf {
        self.diaries.join(worker.to_string())
    }

    /// Starts workers until all are there. No handle of this process may be open.
    fn fill_up(&mut self) {
        while self.workers.len() < WORKERS {
            self.started += 1;
            let worker = self.started;
            let diary = Diary::new(&self.diary(worker));
            let pid = sys::fork(|| {
                work_until_killed(&MapStore::open(&self.root).unwrap(), worker, diary);
                0
            });
            self.workers.push((pid, worker));
        }
    }

    /// Kills a worker at a random moment. The sessions that were its own, and its number.
    fn kill_one(&mut self) -> (Vec<Own>, u64) {
        // Some in their first steps, most in the middle of their work.
        let spins = if self.random.below(4) == 0 { 20_000 } else { 2_000_000 };
        for _ in 0..self.random.below(spins) {
            std::hint::spin_loop();
        }
        let victim = usize::try_from(self.random.below(self.workers.len() as u64)).unwrap();
        let (pid, worker) = self.workers.swap_remove(victim);
        sys::send(pid, libc::SIGKILL);
        let end = sys::wait_for(pid);
        assert_eq!(end, sys::End::Signal(libc::SIGKILL), "worker {worker} failed, see above");
        let touched = self.ledger.take_in(worker, &Diary::read(&self.diary(worker)));
        fs::remove_file(self.diary(worker)).unwrap();
        (touched, worker)
    }

    fn open(&self) -> MapStore {
        MapStore::open(&self.root).unwrap()
    }

    /// Logs out one of the sessions for good.
    fn log_out(&mut self, store: &MapStore, own: Own) {
        destroy(&mut open(store, &own_key(own), Access::Optimistic).unwrap()).unwrap();
        self.ledger.owned.insert(own, BTreeSet::from([0]));
    }
}

/// Kills workers, and looks after each kill what its sessions are. With `reboots` all die now and then
/// and the next ones build the index anew.
fn storm(durability: Durability, kills: u64, reboots: bool) {
    let mut storm = Storm::new(durability);
    let mut bounded = 0;
    for kill in 1..=kills {
        storm.fill_up();
        let (touched, worker) = storm.kill_one();
        let store = storm.open();
        let checked = storm.ledger.check(&store, &touched);
        checked.unwrap_or_else(|error| panic!("kill {kill}, of worker {worker}: {error}"));
        for own in touched.iter().filter(|(_, number)| number % 2 == 0) {
            storm.log_out(&store, *own);
        }
        // None may be open when the next worker is forked.
        drop(store);
        if reboots && kill % 25 == 0 {
            while !storm.workers.is_empty() {
                storm.kill_one();
            }
            if run_directory(&storm.root).exists() {
                reboot(&storm.root);
            }
            if kill % 50 == 0 {
                // Else the workers build the index, at the same time, and some are killed at it.
                let store = storm.open();
                let checked = storm.ledger.check(&store, storm.ledger.owned.keys());
                checked.unwrap_or_else(|error| panic!("reboot after kill {kill}: {error}"));
                storm.ledger.check_counts(&store).unwrap();
            }
        }
        if kill == kills / 2 {
            bounded = heap_length(&storm.root);
        }
    }
    while !storm.workers.is_empty() {
        storm.kill_one();
    }
    let store = storm.open();
    storm.ledger.check(&store, storm.ledger.owned.keys()).unwrap();
    storm.ledger.check_counts(&store).unwrap();
    let before = census(&store);
    assert_eq!(before.wrong, Vec::<String>::new());
    assert!(before.leftovers > 0, "so many kills and nothing leaked?");
    rig::sweep(&store).unwrap();
    let after = census(&store);
    assert_eq!((after.leftovers, after.wrong), (0, Vec::new()));
    let mut due: BTreeSet<Key> = (0..HOT).map(hot_key).collect();
    due.extend(after.sessions.keys().filter(|found| **found == key("phoenix")));
    let lives = |key: &Key| read(&store, key, Access::Snapshot).unwrap().is_some();
    due.extend(storm.ledger.owned.keys().map(|own| own_key(*own)).filter(lives));
    assert_eq!(after.sessions.into_keys().collect::<BTreeSet<_>>(), due);
    let length = heap_length(&storm.root);
    let counted: u64 = storm.ledger.counted.iter().map(|(counted, _)| counted).sum();
    println!(
        "{kills} kills, {durability}: {counted} counted, {} other sessions, {} cells leaked, heap \
         {} KiB half way and {} KiB at the end",
        storm.ledger.owned.len(),
        before.leftovers,
        bounded >> 10,
        length >> 10,
    );
    assert!(counted > kills);
    // Half of what stands was made since; the rest is a growth step of each large cell size.
    assert!(length <= 2 * bounded + (16 << 20), "the heap grows with the kills");
    // And nobody is in anybody's way.
    for hot in 0..HOT {
        count(&store, hot);
    }
}

#[test]
fn kills_at_random_moments_lose_nothing_acknowledged() {
    child::alone("kills_at_random_moments_lose_nothing_acknowledged", || {
        storm(Durability::Process, kills(), false);
    });
}

/// With the index built anew in between, from what the dead left.
#[test]
fn kills_and_reboots_lose_nothing_acknowledged_with_power_durability() {
    child::alone("kills_and_reboots_lose_nothing_acknowledged_with_power_durability", || {
        storm(Durability::Power, kills(), true);
    });
}

/// A process is killed at each step of creating a store, of building its index anew, and of making a
/// new table; the next one goes on at once.
#[test]
fn a_kill_at_any_step_of_building_leaves_a_store() {
    child::alone("a_kill_at_any_step_of_building_leaves_a_store", || {
        let mut kills = [0; 3];
        for (task, kills) in kills.iter_mut().enumerate() {
            for step in 1.. {
                let directory = rig::directory();
                let root = directory.path().join("sessions");
                if task > 0 {
                    put(&MapStore::open(&root).unwrap(), &key("old"), b"old");
                }
                if task == 1 {
                    reboot(&root);
                }
                let pid = sys::fork(|| {
                    let tap = Executioner::at(step);
                    let fs = Tapped(Arc::new(tap));
                    let store = MapStore::builder(&root).file_system(fs).open().unwrap();
                    // So many that the first table is too small.
                    let sessions = if task == 2 { 3_200 } else { 1 };
                    for number in 0..sessions {
                        put(&store, &key(&format!("{number}")), b"new");
                    }
                    0
                });
                let end = sys::wait_for(pid);
                let killed = end == sys::End::Signal(libc::SIGKILL);
                assert!(killed || end == sys::End::Exit(0), "{end:?}");
                let store = MapStore::open(&root).unwrap();
                let old = read(&store, &key("old"), Access::Snapshot).unwrap();
                assert_eq!(old.is_some(), task > 0, "task {task}, step {step}");
                for number in 0..3_200 {
                    put(&store, &key(&format!("{number}")), b"newer");
                    if task != 2 {
                        break;
                    }
                }
                rig::sweep(&store).unwrap();
                let census = census(&store);
                assert_eq!((census.wrong, census.leftovers), (Vec::new(), 0), "step {step}");
                drop(store);
                reboot(&root);
                drop(MapStore::open(&root).unwrap());
                let names = rig::names(&root);
                let is_draft = |name: &PathBuf| name.to_string_lossy().contains("draft");
                assert!(!names.iter().any(is_draft), "task {task}, step {step}: {names:?}");
                if !killed {
                    break;
                }
                *kills += 1;
            }
        }
        println!("{kills:?} kills while creating, rebuilding, growing");
        assert!(kills.iter().all(|kills| *kills > 8), "{kills:?}");
    });
}

/// The control: the judge catches what was acknowledged and is not there, and what is there and was
/// destroyed.
#[test]
fn the_judge_of_kills_catches_lost_commits_and_undone_logouts() {
    let directory = rig::directory();
    let store = MapStore::open(directory.path()).unwrap();
    let mut ledger = Ledger::default();
    let keys = ledger.take_in(1, &[Line::Makes(1, 1), Line::Made(1, 1)]);
    ledger.check(&store, &keys).unwrap_err();
    put(&store, &own_key((1, 1)), &own_payload((1, 1), 1));
    ledger.check(&store, &keys).unwrap();
    ledger.take_in(1, &[Line::Makes(1, 2), Line::Made(1, 2)]);
    ledger.check(&store, &keys).unwrap_err();
    ledger.take_in(1, &[Line::Makes(1, 0)]);
    put(&store, &own_key((1, 1)), &own_payload((1, 1), 2));
    ledger.check(&store, &keys).unwrap();
    ledger.take_in(1, &[Line::Made(1, 0)]);
    ledger.check(&store, &keys).unwrap_err();
    // Counted and not there, and there and never begun.
    for hot in 0..HOT {
        put(&store, &hot_key(hot), &hot_payload(0));
    }
    ledger.check_counts(&store).unwrap();
    ledger.take_in(1, &[Line::Counts(1), Line::Counted(1)]);
    ledger.check_counts(&store).unwrap_err();
    count(&store, 1);
    ledger.check_counts(&store).unwrap();
    count(&store, 1);
    ledger.check_counts(&store).unwrap_err();
}
