//! Crowds: several processes that do whatever there is to do, in random order, while tables and heap
//! grow, cells are used again, and some of them are killed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use shuttle::rand::{Rng, thread_rng};

use super::area::Area;
use super::check_times;
use super::format::{Key, Reading};
use super::process::{EXTENT_WORDS, Process, World};
use super::size::{Class, Extent, UNIT_BYTES};
use super::steps::until_stop;
use super::thread;
use super::word::{Owner, Use};

/// What was promised about the sessions.
#[derive(Clone, Default)]
struct Promises {
    lives: HashMap<u64, Life>,
    /// Commits that were acknowledged, by version.
    commits: Vec<u64>,
}

/// One life of a session.
#[derive(Clone)]
struct Life {
    key: Key,
    /// The last version that was acknowledged; 0: none.
    acknowledged: u64,
    /// Whether somebody set about ending it, and whether it ended.
    is_ending: bool,
    is_ended: bool,
}

/// One of the crowd.
struct Member {
    process: Process,
    promises: Arc<Mutex<Promises>>,
}

impl Member {
    fn live(&mut self) {
        for _ in 0..thread_rng().gen_range(1..ERRANDS) {
            let key = KEYS[thread_rng().gen_range(0..KEYS.len())];
            match thread_rng().gen_range(0..10) {
                0..=2 => self.create(key),
                3..=5 => self.update(key),
                6 => self.end(key),
                7 => self.sweep(),
                8 => self.walk(),
                _ => self.resize(),
            }
            self.process.check();
        }
    }

    /// What stands, which is what was promised.
    fn look(&self, key: Key) -> Option<super::process::Standing> {
        let before = self.promises.lock().unwrap().clone();
        let seen = self.process.look(key);
        match seen {
            Some(seen) => before.check(key, seen.version),
            None => {
                let after = self.promises.lock().unwrap();
                let is_lost = |(birth, life): (&u64, &Life)| {
                    life.key == key && life.acknowledged > 0 && !after.lives[birth].is_ending
                };
                assert!(!before.lives.iter().any(is_lost), "a session is lost");
            }
        }
        seen
    }

    fn create(&mut self, key: Key) {
        if self.look(key).is_some() || !self.has_cell() {
            return;
        }
        let birth = {
            let mut promises = self.promises.lock().unwrap();
            let birth = promises.lives.len() as u64 + 1;
            let life = Life { key, acknowledged: 0, is_ending: false, is_ended: false };
            promises.lives.insert(birth, life);
            birth
        };
        let version = birth << BIRTH | 1;
        if self.process.put(key, None, version) {
            self.acknowledge(version);
        }
    }

    fn update(&mut self, key: Key) {
        if let Some(seen) = self.look(key)
            && self.has_cell()
            && self.process.put(key, Some(seen), seen.version + 1)
        {
            self.acknowledge(seen.version + 1);
        }
    }

    fn end(&mut self, key: Key) {
        let Some(seen) = self.look(key) else { return };
        let birth = seen.version >> BIRTH;
        self.promises.lock().unwrap().lives.get_mut(&birth).unwrap().is_ending = true;
        if self.process.end(seen) {
            self.promises.lock().unwrap().lives.get_mut(&birth).unwrap().is_ended = true;
        }
    }

    fn acknowledge(&self, version: u64) {
        let mut promises = self.promises.lock().unwrap();
        assert!(!promises.commits.contains(&version), "an update is lost");
        promises.commits.push(version);
        let life = promises.lives.get_mut(&(version >> BIRTH)).unwrap();
        life.acknowledged = life.acknowledged.max(version);
    }

    fn sweep(&self) {
        for place in places(&self.process.world) {
            self.process.sweep(place);
        }
    }

    fn walk(&self) {
        for (key, reading) in self.process.walk() {
            let Reading::Whole { version } = reading else { panic!("a torn record") };
            assert_eq!(self.promises.lock().unwrap().lives[&(version >> BIRTH)].key, key);
        }
    }

    /// Uses an extent for a large record for a while.
    fn resize(&self) {
        let (heap, me) = (&self.process.world.heap, self.process.me);
        let extent = Extent(thread_rng().gen_range(0..heap.extents()));
        if heap.unassign(extent, Class::SMALLEST, me) && heap.assign(extent, large()) {
            let mut cells = Vec::new();
            heap.take_from(extent, large(), me, 1, &mut cells);
            for cell in cells {
                heap.write_units(cell.place, LARGE.iter());
                thread::yield_now();
                assert_eq!(heap.read_units(cell.place), Some(LARGE), "a cell of another size");
                assert_eq!(heap.state(cell.place), Some(cell.state));
                heap.give_up(cell);
            }
        }
        if heap.unassign(extent, large(), me) {
            heap.assign(extent, Class::SMALLEST);
        }
    }

    /// Sees to it that the next commit has a cell.
    fn has_cell(&mut self) -> bool {
        while self.process.cells.len() > CELLS {
            let cell = self.process.cells.pop().unwrap();
            self.process.world.heap.give_up(cell);
        }
        while self.process.cells.is_empty() {
            match self.process.take() {
                Some(cell) => self.process.cells.push(cell),
                None if !self.process.world.lengthen(EXTENTS) => return false,
                None => {}
            }
        }
        true
    }
}

impl Promises {
    /// Whether this version of a session may stand now.
    fn check(&self, key: Key, version: u64) {
        // One that is not known was born since.
        if let Some(life) = self.lives.get(&(version >> BIRTH)) {
            assert_eq!(life.key, key);
            assert!(!life.is_ended, "a session is back that ended");
            assert!(version >= life.acknowledged, "an update is undone");
        }
    }
}

/// Whoever dies leaves nothing behind, and nothing that was promised is missing.
fn take_stock(world: &World, promises: Arc<Mutex<Promises>>) {
    let mut heir = Member { process: world.owner(Owner(0)), promises };
    heir.sweep();
    let mut live = 0;
    for place in places(world) {
        match world.heap.state(place).unwrap().usage() {
            Use::Free => {}
            Use::Live => live += 1,
            Use::Ended => panic!("no session ends in Power here"),
            Use::Owned(_) => panic!("a cell of a dead process is lost"),
        }
    }
    let found = KEYS.into_iter().filter(|key| heir.look(*key).is_some()).count();
    assert_eq!(live, found, "a record is not in the index");
    for key in KEYS {
        heir.update(key);
        while heir.process.look(key).is_some() {
            heir.end(key);
        }
    }
    assert!(heir.process.walk().is_empty(), "a session has two entries");
}

fn places(world: &World) -> impl Iterator<Item = u32> {
    let class_of = |extent| Some((extent, world.heap.class_of(extent)?));
    let extents = (0..world.heap.extents()).map(Extent).filter_map(class_of);
    extents.flat_map(|(extent, class)| extent.places(class))
}

fn crowd(members: u32, is_deadly: bool) {
    let world = World::empty(Area::new(EXTENTS as usize * EXTENT_WORDS).cut_to(0), EXTENTS);
    world.start(1);
    world.lengthen(EXTENTS);
    let promises = Arc::new(Mutex::new(Promises::default()));
    let threads: Vec<_> = (1..=members)
        .map(|number| {
            let process = world.process(number, 0);
            let mut member = Member { process, promises: Arc::clone(&promises) };
            thread::spawn(move || {
                if is_deadly && thread_rng().gen_bool(0.7) {
                    member.process.steps.stop_after(thread_rng().gen_range(0..STEPS));
                }
                until_stop(|| member.live());
                member.process.world.seats.leave(member.process.me);
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    take_stock(&world, promises);
}

#[test]
fn a_crowd_loses_nothing_and_brings_nothing_back() {
    check_times(RUNS, |_| crowd(3, false));
}

#[test]
fn a_crowd_some_of_which_are_killed_loses_nothing_and_finds_all_space_again() {
    check_times(RUNS, |_| crowd(4, true));
}

/// A cell of the largest size, and what is written there.
fn large() -> Class {
    Class::all().last().unwrap()
}
const LARGE: [[u8; UNIT_BYTES]; 2] = [[0xaa; UNIT_BYTES], [0xbb; UNIT_BYTES]];

/// Two share a slot.
const KEYS: [Key; 4] = [
    Key { position: 0, id: 5 },
    Key { position: 1, id: 6 },
    Key { position: 1 << 63, id: 7 },
    Key { position: 3 << 62, id: 5 },
];
/// A version has the number of its life from this bit on.
const BIRTH: u32 = 16;
const EXTENTS: u32 = 5;
const ERRANDS: usize = 8;
/// Steps that who is killed takes at most.
const STEPS: usize = 300;
/// Cells that a process keeps at most.
const CELLS: usize = 2;
const RUNS: usize = 4_000;
