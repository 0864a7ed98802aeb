//! A process that is stopped, at whatever instruction, is in nobody's way: the others read, commit,
//! grow, sweep and open the store while it stands still, and what it was at comes out right
//! afterwards. Progress is counted while the process is seen to be stopped, never timed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/process.rs"]
mod process;
mod stall;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cloakroom::{Durability, MapStore};
use process::{Child, listen, role, say, watched};
use stall::{
    Stopper, count, create, create_expired, destroy, generation, increment, is_there, key, pid,
    resume, stop, sweep,
};

/// What a victim is at when it is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// Opens a store that is there.
    Open,
    /// Opens one whose index is to be built anew.
    Rebuild,
    /// Makes a store of an empty directory.
    Found,
    Increment,
    Create,
    Destroy,
    /// Creates sessions until a new index is made, is current, and the old one is given back.
    GrowIndex,
    /// Creates large sessions until the heap has grown.
    GrowHeap,
    /// Sweeps what expired and what a killed process left.
    Sweep,
}

impl Deed {
    const ALL: [Self; 9] = [
        Self::Open,
        Self::Rebuild,
        Self::Found,
        Self::Increment,
        Self::Create,
        Self::Destroy,
        Self::GrowIndex,
        Self::GrowHeap,
        Self::Sweep,
    ];

    fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|deed| format!("{deed:?}") == name).unwrap()
    }
}

#[test]
fn a_victim_stopped_while_it_opens_a_store_is_in_nobodys_way() {
    let calls = stop_at_each_call(Deed::Open, Durability::Process);
    assert_covers(&calls, &["open", "try-lock-byte"]);
}

#[test]
fn a_victim_stopped_while_it_builds_the_index_anew_is_in_nobodys_way() {
    let calls = stop_at_each_call(Deed::Rebuild, Durability::Process);
    assert_covers(&calls, &["create-directory", "allocate", "link", "rename", "try-lock-byte"]);
}

#[test]
fn a_victim_stopped_while_it_makes_a_store_is_in_nobodys_way() {
    let calls = stop_at_each_call(Deed::Found, Durability::Process);
    assert_covers(&calls, &["create-directory", "link", "rename", "try-lock-byte"]);
}

#[test]
fn a_victim_stopped_in_a_commit_is_in_nobodys_way() {
    for durability in [Durability::Process, Durability::Power] {
        for deed in [Deed::Increment, Deed::Create, Deed::Destroy] {
            let calls = stop_at_each_call(deed, durability);
            assert_covers(&calls, &["clock"]);
            if durability == Durability::Power {
                assert_covers(&calls, &["sync"]);
            }
        }
    }
}

#[test]
fn a_victim_stopped_while_it_grows_the_index_is_in_nobodys_way() {
    let calls = stop_at_each_call(Deed::GrowIndex, Durability::Process);
    assert_covers(&calls, &["open", "allocate", "link", "unlink", "punch"]);
}

#[test]
fn a_victim_stopped_while_it_grows_the_heap_is_in_nobodys_way() {
    let calls = stop_at_each_call(Deed::GrowHeap, Durability::Process);
    assert_covers(&calls, &["allocate-more"]);
}

#[test]
fn a_victim_stopped_in_a_sweep_is_in_nobodys_way() {
    let calls = stop_at_each_call(Deed::Sweep, Durability::Process);
    assert_covers(&calls, &["try-lock-byte", "unlock-byte", "clock"]);
}

#[test]
fn a_victim_stopped_at_any_moment_is_in_nobodys_way() {
    for durability in [Durability::Process, Durability::Power] {
        watched(move || stop_at_random(durability));
    }
}

fn assert_covers(calls: &[String], needed: &[&str]) {
    for call in needed {
        assert!(calls.iter().any(|name| name == call), "no stop at {call}: {calls:?}");
    }
}

/// Stops a victim at its first call, another one at a later one, and so on until one comes to its
/// end. At which calls they stood.
fn stop_at_each_call(deed: Deed, durability: Durability) -> Vec<String> {
    let mut calls = Vec::new();
    let mut number = 1;
    while let Some(call) = watched(move || stop_at(deed, durability, number)) {
        calls.push(call);
        number += deed.step();
        assert!(number < 1_000, "{deed:?} makes too many calls: {calls:?}");
    }
    calls
}

/// Stops a victim at this call of its deed and works meanwhile. `None`: it does not make so many.
fn stop_at(deed: Deed, durability: Durability, number: u64) -> Option<String> {
    let directory = stall::directory();
    let place = directory.path().join("sessions");
    let before = prepare(&place, deed, durability);
    let words = format!("{} {deed:?} {durability:?} {number}", place.display());
    let mut victim = Child::start(VICTIM, &words);
    let process = pid(victim.pid());
    let call = victim.hear().filter(|word| word != "done");
    let mut counted = if deed == Deed::Found { 0 } else { SHARED };
    if let Some(call) = &call {
        stall::wait_until_stopped(process);
        counted += bustle(&place, deed, durability);
        assert!(stall::is_stopped(process), "{deed:?}, {call}: the victim went on by itself");
        resume(process);
        victim.expect("done");
    }
    victim.finish();
    drop(before);
    let store = open(&place, durability);
    counted += INCREMENTS + u64::from(deed == Deed::Increment);
    let found: u64 = shared().map(|id| count(&store, &key(&id))).sum();
    assert_eq!(found, counted, "{deed:?}, {call:?}: updates are lost or double");
    for number in 0..count(&store, &key(KEPT)) {
        assert!(is_there(&store, &kept(number)), "{deed:?}, {call:?}: {} is lost", kept(number));
    }
    assert!(!is_there(&store, DESTROYED), "{deed:?}, {call:?}: a destroyed session is back");
    sweep(&store);
    call
}

/// Makes the store as the victim finds it. What is returned shall outlive the victim.
fn prepare(place: &Path, deed: Deed, durability: Durability) -> Option<MapStore> {
    let store = open(place, durability);
    match deed {
        Deed::Destroy => create(&store, DESTROYED, 100),
        Deed::Sweep => {
            (0..20).for_each(|number| create_expired(&store, &format!("expired {number}"), 100));
            // Cells in the hands of a process that is killed, and whose number is not given out again:
            // there is a lower one that is free.
            let lower = open(place, durability);
            let words = format!("{} {durability:?}", place.display());
            let mut killed = Child::start(KILLED, &words);
            killed.expect("committed");
            killed.kill();
            drop(lower);
        }
        _ => {}
    }
    if deed == Deed::Found {
        drop(store);
        std::fs::remove_dir_all(place).unwrap();
        return None;
    }
    shared().for_each(|id| increment(&store, &key(&id), 100));
    if deed == Deed::Rebuild {
        drop(store);
        std::fs::remove_dir_all(stall::run(place)).unwrap();
        return None;
    }
    Some(store)
}

/// What others do while the victim stands still: everything there is. How often they counted.
fn bustle(place: &Path, deed: Deed, durability: Durability) -> u64 {
    let store = open(place, durability);
    let mut counted = 0;
    let mut increment_all = |store: &MapStore| {
        for id in shared().cycle().take(INCREMENTS_OF_OTHERS) {
            increment(store, &key(&id), 100 + counted as usize % 300);
            counted += 1;
        }
    };
    increment_all(&store);
    let first = generation(place);
    while generation(place) < first + deed.generations() {
        for number in 0..100 {
            let id = format!("passing {number}");
            create(&store, &id, 100);
            destroy(&store, &id);
        }
    }
    grow_heap(&store, place, "bulk");
    increment_all(&store);
    sweep(&store);
    increment_all(&open(place, durability));
    counted
}

/// Creates sessions until the heap is longer.
fn grow_heap(store: &MapStore, place: &Path, name: &str) {
    let length = || std::fs::metadata(place.join("heap")).map_or(0, |heap| heap.len());
    let before = length();
    for number in 0.. {
        create(store, &format!("{name} {number}"), 100_000);
        if length() > before {
            return;
        }
    }
}

#[test]
fn victim() {
    let Some(words) = role(VICTIM) else { return };
    let words: Vec<&str> = words.split(' ').collect();
    let [place, deed, durability, number] = words[..] else { panic!("{words:?}") };
    stall::end_with_parent();
    let (place, deed, durability) = (Path::new(place), Deed::named(deed), named(durability));
    let stopper = Stopper::at(number.parse().unwrap(), say);
    let builder = MapStore::builder(place).durability(durability).file_system(stopper.clone());
    let builder = if deed.is_short() {
        builder.clock(stopper.clone()).entropy(stopper.clone())
    } else {
        builder
    };
    let opens = matches!(deed, Deed::Open | Deed::Rebuild | Deed::Found);
    if opens {
        stopper.arm();
    }
    let store = builder.open().unwrap();
    if !opens {
        // It knows the index and has cells at hand.
        increment(&store, &key(WARM), 100);
        stopper.arm();
    }
    match deed {
        Deed::Open | Deed::Rebuild | Deed::Found => {}
        Deed::Increment => increment(&store, &key(&shared().next().unwrap()), 200),
        Deed::Create => create_and_keep(&store),
        Deed::Destroy => destroy(&store, DESTROYED),
        Deed::GrowIndex => {
            let index = stall::run(place).join(format!("index.{}", generation(place)));
            while index.exists() {
                create_and_keep(&store);
                for number in 0..100 {
                    create(&store, &format!("mine {number}"), 100);
                    destroy(&store, &format!("mine {number}"));
                }
            }
        }
        Deed::GrowHeap => grow_heap(&store, place, "mine"),
        Deed::Sweep => sweep(&store),
    }
    stopper.disarm();
    for id in shared().cycle().take(INCREMENTS as usize) {
        increment(&store, &key(&id), 300);
    }
    create_and_keep(&store);
    say("done");
}

#[test]
fn killed() {
    let Some(words) = role(KILLED) else { return };
    let (place, durability) = words.split_once(' ').unwrap();
    let store = open(Path::new(place), named(durability));
    create(&store, "before the kill", 100);
    say("committed");
    listen();
}

/// Stops a process that is at everything in turn at moments that it does not choose.
fn stop_at_random(durability: Durability) {
    let directory = stall::directory();
    let place = &directory.path().join("sessions");
    drop(open(place, durability));
    let mut victim = Child::start(BUSY, &format!("{} {durability:?}", place.display()));
    victim.expect("begun");
    let process = pid(victim.pid());
    let over = &AtomicBool::new(false);
    let done = &[const { AtomicU64::new(0) }; 2];
    let wait_for_more = |more: u64| {
        let before = done.each_ref().map(|done| done.load(Ordering::Relaxed));
        for (done, before) in done.iter().zip(before) {
            while done.load(Ordering::Relaxed) < before + more {
                std::thread::yield_now();
            }
        }
    };
    let counted: u64 = std::thread::scope(|scope| {
        let work = |number: usize, done| {
            let store = open(place, durability);
            scope.spawn(move || work(&store, &format!("worker {number}"), 64, over, done))
        };
        let workers: Vec<_> = done.iter().enumerate().map(|(n, done)| work(n, done)).collect();
        let mut chance = 0x9e37_79b9_u64;
        for _ in 0..50 {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            wait_for_more(chance >> 56);
            stop(process);
            stall::wait_until_stopped(process);
            wait_for_more(500);
            assert!(stall::is_stopped(process), "the victim went on by itself");
            resume(process);
        }
        over.store(true, Ordering::Relaxed);
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    victim.tell();
    let of_victim: u64 = victim.hear().unwrap().parse().unwrap();
    victim.finish();
    let store = open(place, durability);
    let found: u64 = shared().map(|id| count(&store, &key(&id))).sum();
    assert_eq!(found, counted + of_victim, "updates are lost or double");
}

#[test]
fn busy() {
    let Some(words) = role(BUSY) else { return };
    let (place, durability) = words.split_once(' ').unwrap();
    stall::end_with_parent();
    let store = open(Path::new(place), named(durability));
    let over = &AtomicBool::new(false);
    let counted = std::thread::scope(|scope| {
        let work = |name| {
            let store = &store;
            scope.spawn(move || work(store, name, 4, over, &AtomicU64::new(0)))
        };
        let threads = [work("victim 1"), work("victim 2")];
        say("begun");
        listen();
        over.store(true, Ordering::Relaxed);
        threads.map(|thread| thread.join().unwrap()).iter().sum::<u64>()
    });
    say(&counted.to_string());
}

/// Does everything there is to do, again and again, what takes long each so many rounds; adds up
/// what is done. How often it counted in the shared sessions.
fn work(store: &MapStore, name: &str, rounds: usize, over: &AtomicBool, done: &AtomicU64) -> u64 {
    let mut counted = 0;
    let step = || done.fetch_add(1, Ordering::Relaxed);
    for round in 0.. {
        for id in shared() {
            increment(store, &key(&id), 100 + round % 300);
            counted += 1;
            step();
        }
        // Fills the index, which is small, so that it is rewritten all the time.
        for number in 0..50 {
            let id = format!("{name} {number}");
            create(store, &id, 100);
            destroy(store, &id);
            step();
        }
        create_expired(store, &format!("{name} expired {}", round % 100), 100);
        if round % rounds == 0 {
            // Few of them fill an extent, and the next ones, of another size, need it.
            let ids: Vec<_> = (0..24).map(|number| format!("{name} bulk {number}")).collect();
            for id in &ids {
                create(store, id, 80_000 + round % 3 * 40_000);
            }
            ids.iter().for_each(|id| destroy(store, id));
            sweep(store);
            step();
        }
        if over.load(Ordering::Relaxed) {
            break;
        }
    }
    counted
}

impl Deed {
    /// Whether it reads the clock few times, so that these are moments to stop at as well.
    const fn is_short(self) -> bool {
        matches!(self, Self::Increment | Self::Create | Self::Destroy | Self::Sweep)
    }

    /// How many times the others make a new index meanwhile: where the victim is about to take one,
    /// so often that it is gone, and the one after it, too.
    const fn generations(self) -> u64 {
        if matches!(self, Self::GrowIndex | Self::Open | Self::Rebuild) { 3 } else { 1 }
    }

    /// Stops at each call of the others; a sweep makes the same few calls for each cell.
    const fn step(self) -> u64 {
        if matches!(self, Self::Sweep) { 3 } else { 1 }
    }
}

fn open(place: &Path, durability: Durability) -> MapStore {
    MapStore::builder(place).durability(durability).open().unwrap()
}

/// Creates a session and counts it.
fn create_and_keep(store: &MapStore) {
    let number = count(store, &key(KEPT));
    create(store, &kept(number), 100);
    increment(store, &key(KEPT), 8);
}

fn kept(number: u64) -> String {
    format!("kept {number}")
}

fn named(durability: &str) -> Durability {
    match durability {
        "Power" => Durability::Power,
        _ => Durability::Process,
    }
}

/// The sessions that all work on.
fn shared() -> impl Iterator<Item = String> + Clone {
    (0..SHARED).map(|number| format!("shared {number}"))
}

const SHARED: u64 = 8;

/// How often the victim counts after its deed, and others each time they do.
const INCREMENTS: u64 = 100;
const INCREMENTS_OF_OTHERS: usize = 400;

const DESTROYED: &str = "destroyed";
const KEPT: &str = "kept";
const WARM: &str = "warm";

const VICTIM: &str = "victim";
const KILLED: &str = "killed";
const BUSY: &str = "busy";
