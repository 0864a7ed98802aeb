//! `kill -9` of processes that share a map store: at any moment, 2,000 times in all. What was
//! acknowledged stays, what was destroyed stays destroyed, the next one opens at once, and what the
//! dead left is found again.
//!
//! By default a share of the kills; all of them with
//! `CLOAKROOM_KILLS=2000 cargo test --release --test map_kill`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod rig;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::{
    Access, Calling, CommitError, Durability, Hold as _, Key, MapStore, Store as _, SweepBudget,
};
use rig::map::{census, heap_length, reboot, run_directory};
use rig::tap::{Answer, Call, Tap, Tapped};
use rig::{Random, child, commit, destroy, key, open, put, read, renew, sys};

/// Sessions that all workers count in.
const HOT: usize = 6;
const WORKERS: usize = 3;

/// How many kills there are in each mode.
fn kills() -> u64 {
    let asked = std::env::var("CLOAKROOM_KILLS").ok().and_then(|kills| kills.parse().ok());
    asked.unwrap_or(100)
}

/// What a worker says before and after each deed, in a file that outlives it.
struct Diary {
    file: File,
    written: u64,
}

/// One line of a diary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// It begins to count in this hot session.
    Counts(usize),
    Counted(usize),
    /// It begins to bring its own session of this number to this version; 0: destroyed.
    Makes(u64, u64),
    Made(u64, u64),
}

impl Diary {
    fn new(path: &Path) -> Self {
        Self { file: File::create_new(path).unwrap(), written: 0 }
    }

    fn say(&mut self, line: Line) {
        let words = match line {
            Line::Counts(hot) => [1, hot as u64, 0],
            Line::Counted(hot) => [2, hot as u64, 0],
            Line::Makes(number, version) => [3, number, version],
            Line::Made(number, version) => [4, number, version],
        };
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        self.file.write_all_at(&bytes, self.written).unwrap();
        self.written += bytes.len() as u64;
    }

    fn read(path: &Path) -> Vec<Line> {
        let bytes = fs::read(path).unwrap();
        let words: Vec<u64> = bytes.as_chunks().0.iter().map(|b| u64::from_le_bytes(*b)).collect();
        let line = |words: &[u64; 3]| match *words {
            [1, hot, _] => Line::Counts(usize::try_from(hot).unwrap()),
            [2, hot, _] => Line::Counted(usize::try_from(hot).unwrap()),
            [3, number, version] => Line::Makes(number, version),
            [4, number, version] => Line::Made(number, version),
            _ => panic!("no line: {words:?}"),
        };
        words.as_chunks().0.iter().map(line).collect()
    }
}

fn hot_key(hot: usize) -> Key {
    key(&format!("hot {hot}"))
}

fn own_key((worker, number): Own) -> Key {
    key(&format!("worker {worker}, session {number}"))
}

/// Names its session and version, so that nothing else is taken for it; of many lengths.
fn own_payload((worker, number): Own, version: u64) -> Vec<u8> {
    let name = format!("worker {worker}, session {number}, version {version}. ").into_bytes();
    let mut random = Random(worker ^ number << 20 ^ version << 40);
    let length = match random.below(20) {
        0 => random.below(40_000),
        1..5 => random.below(3_000),
        _ => random.below(300),
    };
    let mut payload = name.repeat(1 + usize::try_from(length).unwrap() / name.len());
    payload.push(version.to_le_bytes()[0]);
    payload
}

/// Does everything that a store is used for until it is killed.
fn work_until_killed(root: &Path, worker: u64, mut diary: Diary) {
    let mut random = Random(worker);
    let store = MapStore::open(root).unwrap();
    let mut last = 0;
    let mut versions: BTreeMap<u64, u64> = BTreeMap::new();
    loop {
        let some = versions.keys().nth(usize::try_from(random.below(8)).unwrap()).copied();
        match (random.below(16), some) {
            (0..6, _) => {
                let hot = usize::try_from(random.below(HOT as u64)).unwrap();
                diary.say(Line::Counts(hot));
                count(&store, hot);
                diary.say(Line::Counted(hot));
            }
            (6..9, Some(number)) => {
                let version = versions[&number] + 1;
                diary.say(Line::Makes(number, version));
                put(&store, &own_key((worker, number)), &own_payload((worker, number), version));
                diary.say(Line::Made(number, version));
                versions.insert(number, version);
            }
            (9, Some(number)) => {
                diary.say(Line::Makes(number, 0));
                let own = own_key((worker, number));
                destroy(&mut open(&store, &own, Access::Optimistic).unwrap()).unwrap();
                diary.say(Line::Made(number, 0));
                versions.remove(&number);
            }
            (10, Some(number)) => {
                last += 1;
                // Both may stand in between; so both are announced.
                diary.say(Line::Makes(number, 0));
                diary.say(Line::Makes(last, 1));
                let own = own_key((worker, number));
                let mut hold = open(&store, &own, Access::Optimistic).unwrap();
                let new = own_key((worker, last));
                renew(&mut hold, &new, &own_payload((worker, last), 1), Duration::ZERO).unwrap();
                diary.say(Line::Made(last, 1));
                diary.say(Line::Made(number, 0));
                versions.remove(&number);
                versions.insert(last, 1);
            }
            (11, _) => {
                let budget = SweepBudget { sessions: 50 };
                wait(store.sweep(budget, Calling::Blocking)).unwrap();
            }
            (12, _) => rise_and_fall(&store, &mut random),
            _ if versions.len() < 30 => {
                last += 1;
                diary.say(Line::Makes(last, 1));
                put(&store, &own_key((worker, last)), &own_payload((worker, last), 1));
                diary.say(Line::Made(last, 1));
                versions.insert(last, 1);
            }
            _ => {}
        }
    }
}

/// Adds one to a hot session; others do, too.
fn count(store: &MapStore, hot: usize) {
    loop {
        let mut hold = open(store, &hot_key(hot), Access::Optimistic).unwrap();
        let (count, filler) = hold.payload().split_first_chunk().unwrap();
        let count = u64::from_le_bytes(*count);
        assert!(filler.iter().all(|byte| *byte == count.to_le_bytes()[0]), "a torn record");
        match commit(&mut hold, &hot_payload(count + 1)) {
            Ok(_) => return,
            Err(CommitError::Conflict(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn hot_payload(count: u64) -> Vec<u8> {
    let mut payload = count.to_le_bytes().to_vec();
    payload.resize(8 + usize::try_from(count % 5 * 150).unwrap(), count.to_le_bytes()[0]);
    payload
}

/// A session that everybody creates and destroys.
fn rise_and_fall(store: &MapStore, random: &mut Random) {
    let mut hold = open(store, &key("phoenix"), Access::Optimistic).unwrap();
    let filler = u8::try_from(random.below(256)).unwrap();
    assert!(hold.payload().iter().all(|byte| Some(byte) == hold.payload().first()), "torn");
    let done = if random.below(2) == 0 {
        destroy(&mut hold)
    } else {
        commit(&mut hold, &vec![filler; 1 + usize::try_from(random.below(900)).unwrap()]).map(drop)
    };
    match done {
        Ok(())
        | Err(
            CommitError::Conflict(_) | CommitError::Gone { .. } | CommitError::AlreadyExists { .. },
        ) => {}
        Err(error) => panic!("{error}"),
    }
}

/// A session that only one worker writes to: the worker and the session's number. A renewed one has a
/// new number.
type Own = (u64, u64);

/// What is known of all sessions.
#[derive(Default)]
struct Ledger {
    /// How often each hot session was counted at least, and at most, by the dead.
    counted: [(u64, u64); HOT],
    /// The versions that each other session may have, by worker and number; 0: absent.
    owned: BTreeMap<Own, BTreeSet<u64>>,
}

impl Ledger {
    /// Takes in what a dead worker wrote. Which sessions it touched.
    fn take_in(&mut self, worker: u64, lines: &[Line]) -> Vec<Own> {
        for line in lines {
            match *line {
                Line::Counts(hot) => self.counted[hot].1 += 1,
                Line::Counted(hot) => self.counted[hot].0 += 1,
                Line::Makes(number, version) => {
                    let may = self.owned.entry((worker, number));
                    may.or_insert_with(|| BTreeSet::from([0])).insert(version);
                }
                Line::Made(number, version) => {
                    self.owned.insert((worker, number), BTreeSet::from([version]));
                }
            }
        }
        self.owned.range((worker, 0)..(worker + 1, 0)).map(|(own, _)| *own).collect()
    }

    /// Looks at these sessions: each is what it may be.
    fn check<'a>(
        &self,
        store: &MapStore,
        sessions: impl IntoIterator<Item = &'a Own>,
    ) -> Result<(), String> {
        for own in sessions {
            let seen = read(store, &own_key(*own), Access::Snapshot).map_err(|e| e.to_string())?;
            let may = &self.owned[own];
            let is = |version| (version != 0).then(|| own_payload(*own, version)) == seen;
            if !may.iter().any(|version| is(*version)) {
                let head =
                    seen.map(|seen| String::from_utf8_lossy(&seen).chars().take(60).collect());
                let head: String = head.unwrap_or_else(|| "absent".to_owned());
                return Err(format!("{own:?} is {head}, it may have versions {may:?}"));
            }
        }
        Ok(())
    }

    /// After all are dead: each hot session was counted as often as was acknowledged, and no more
    /// often than was begun.
    fn check_counts(&self, store: &MapStore) -> Result<(), String> {
        for (hot, (acknowledged, begun)) in self.counted.iter().enumerate() {
            let seen = read(store, &hot_key(hot), Access::Snapshot).map_err(|e| e.to_string())?;
            let seen = seen.as_deref().and_then(<[u8]>::first_chunk).copied();
            let seen = seen.map_or(0, u64::from_le_bytes);
            if !(*acknowledged..=*begun).contains(&seen) {
                return Err(format!("{hot} counts {seen}, due {acknowledged} to {begun}"));
            }
        }
        Ok(())
    }
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
                work_until_killed(&self.root, worker, diary);
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

/// Kills this process at its k-th call of the file system.
struct Executioner {
    calls: AtomicU64,
    last: u64,
}

impl Tap for Executioner {
    fn before(&self, _: &Call<'_>) -> Answer {
        if self.calls.fetch_add(1, Ordering::Relaxed) + 1 == self.last {
            sys::die();
        }
        Answer::Pass
    }
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
                    let tap = Executioner { calls: AtomicU64::new(0), last: step };
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
