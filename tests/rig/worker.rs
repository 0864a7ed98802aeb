//! Processes that use a map store until they end, what each said of it, and what is known of the sessions
//! from that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::{Access, Calling, CommitError, Hold as _, Key, MapStore, Store as _, SweepBudget};

use super::{Random, commit, destroy, key, open, put, read, renew};

/// Sessions that all workers count in.
pub const HOT: usize = 6;

/// What a worker says before and after each deed, in a file that outlives it.
pub struct Diary {
    file: File,
    written: u64,
}

/// One line of a diary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// It begins to count in this hot session.
    Counts(usize),
    Counted(usize),
    /// It begins to bring its own session of this number to this version; 0: destroyed.
    Makes(u64, u64),
    Made(u64, u64),
}

impl Diary {
    pub fn new(path: &Path) -> Self {
        Self { file: File::create_new(path).unwrap(), written: 0 }
    }

    pub fn say(&mut self, line: Line) {
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

    pub fn read(path: &Path) -> Vec<Line> {
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

pub fn hot_key(hot: usize) -> Key {
    key(&format!("hot {hot}"))
}

pub fn own_key((worker, number): Own) -> Key {
    key(&format!("worker {worker}, session {number}"))
}

/// Names its session and version, so that nothing else is taken for it; of many lengths.
pub fn own_payload((worker, number): Own, version: u64) -> Vec<u8> {
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
pub fn work_until_killed(store: &MapStore, worker: u64, mut diary: Diary) {
    let mut random = Random(worker);
    let mut last = 0;
    let mut versions: BTreeMap<u64, u64> = BTreeMap::new();
    loop {
        let some = versions.keys().nth(usize::try_from(random.below(8)).unwrap()).copied();
        match (random.below(16), some) {
            (0..6, _) => {
                let hot = usize::try_from(random.below(HOT as u64)).unwrap();
                diary.say(Line::Counts(hot));
                count(store, hot);
                diary.say(Line::Counted(hot));
            }
            (6..9, Some(number)) => {
                let version = versions[&number] + 1;
                diary.say(Line::Makes(number, version));
                put(store, &own_key((worker, number)), &own_payload((worker, number), version));
                diary.say(Line::Made(number, version));
                versions.insert(number, version);
            }
            (9, Some(number)) => {
                diary.say(Line::Makes(number, 0));
                let own = own_key((worker, number));
                destroy(&mut open(store, &own, Access::Optimistic).unwrap()).unwrap();
                diary.say(Line::Made(number, 0));
                versions.remove(&number);
            }
            (10, Some(number)) => {
                last += 1;
                // Both may stand in between; so both are announced.
                diary.say(Line::Makes(number, 0));
                diary.say(Line::Makes(last, 1));
                let own = own_key((worker, number));
                let mut hold = open(store, &own, Access::Optimistic).unwrap();
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
            (12, _) => rise_and_fall(store, &mut random),
            _ if versions.len() < 30 => {
                last += 1;
                diary.say(Line::Makes(last, 1));
                put(store, &own_key((worker, last)), &own_payload((worker, last), 1));
                diary.say(Line::Made(last, 1));
                versions.insert(last, 1);
            }
            _ => {}
        }
    }
}

/// Adds one to a hot session; others do, too.
pub fn count(store: &MapStore, hot: usize) {
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

pub fn hot_payload(count: u64) -> Vec<u8> {
    let mut payload = count.to_le_bytes().to_vec();
    payload.resize(8 + usize::try_from(count % 5 * 150).unwrap(), count.to_le_bytes()[0]);
    payload
}

/// A session that everybody creates and destroys.
pub fn rise_and_fall(store: &MapStore, random: &mut Random) {
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
pub type Own = (u64, u64);

/// What is known of all sessions.
#[derive(Default)]
pub struct Ledger {
    /// How often each hot session was counted at least, and at most, by the dead.
    pub counted: [(u64, u64); HOT],
    /// The versions that each other session may have, by worker and number; 0: absent.
    pub owned: BTreeMap<Own, BTreeSet<u64>>,
    /// All versions that they ever were to have.
    pub ever: BTreeMap<Own, BTreeSet<u64>>,
}

impl Ledger {
    /// Takes in what a dead worker wrote. Which sessions it touched.
    pub fn take_in(&mut self, worker: u64, lines: &[Line]) -> Vec<Own> {
        for line in lines {
            match *line {
                Line::Counts(hot) => self.counted[hot].1 += 1,
                Line::Counted(hot) => self.counted[hot].0 += 1,
                Line::Makes(number, version) => {
                    let may = self.owned.entry((worker, number));
                    may.or_insert_with(|| BTreeSet::from([0])).insert(version);
                    let ever = self.ever.entry((worker, number));
                    ever.or_insert_with(|| BTreeSet::from([0])).insert(version);
                }
                Line::Made(number, version) => {
                    self.owned.insert((worker, number), BTreeSet::from([version]));
                }
            }
        }
        self.owned.range((worker, 0)..(worker + 1, 0)).map(|(own, _)| *own).collect()
    }

    /// Looks at these sessions: each is what it may be.
    pub fn check<'a>(
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
    pub fn check_counts(&self, store: &MapStore) -> Result<(), String> {
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
