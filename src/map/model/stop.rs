//! Processes that stop for good: wherever it happens, the others go on, and find all of it again.

use super::check_alone;
#[cfg(model = "loom")]
use super::check_with;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::format::Key;
use super::process::{Process, World};
use super::size::{Class, Extent};
use super::steps::until_stop;
use super::word::{Owner, Use};

const KEY: Key = Key { position: 0, id: 5 };
/// Its first slot is the same.
const OTHER: Key = Key { position: 1, id: 6 };
/// Its first slot is another one.
const FAR: Key = Key { position: 1 << 63, id: 7 };

/// What a process may be in the middle of.
const ERRANDS: [fn(&mut Process); 5] = [update, end, create, grow, sweep];

fn update(process: &mut Process) {
    process.update(KEY);
}

fn end(process: &mut Process) {
    while let Some(seen) = process.look(KEY) {
        process.end(seen);
    }
}

fn create(process: &mut Process) {
    process.put(OTHER, None, 1);
}

/// As many sessions come and go as a table has slots.
fn grow(process: &mut Process) {
    for id in 10..12 {
        let guest = Key { position: 1 << 63, id };
        process.put(guest, None, 1);
        if let Some(seen) = process.look(guest) {
            process.end(seen);
        }
    }
}

fn sweep(process: &mut Process) {
    for place in places() {
        process.sweep(place);
    }
}

fn places() -> impl Iterator<Item = u32> {
    (0..EXTENTS).flat_map(|extent| Extent(extent).places(Class::SMALLEST))
}

/// A world with one session, and two processes: one that stops after so many steps.
fn world(steps: usize) -> (World, Process, Process) {
    let world = World::of(1, EXTENTS);
    let [mut a, b] = [1, 2].map(|number| world.process(number, 2));
    assert!(a.put(KEY, None, 1));
    a.steps.stop_after(steps);
    (world, a, b)
}

/// Works on all sessions; `b` is alive, and nobody waits for the other one.
fn go_on(b: &mut Process) {
    let version = b.look(KEY).map(|seen| seen.version);
    assert_eq!(b.update(KEY), version.map(|version| version + 1));
    assert!(b.put(FAR, None, 7));
    grow(b);
    assert_eq!(b.look(FAR).map(|seen| seen.version), Some(7));
    let seen = b.look(FAR).unwrap();
    assert!(b.end(seen));
    assert!(b.look(FAR).is_none());
}

/// All is found again of what the dead one had.
fn take_stock(world: &World, dead: Owner, b: &mut Process) {
    world.seats.leave(dead);
    sweep(b);
    let mut live = 0;
    for place in places() {
        match world.heap.state(place).unwrap().usage() {
            Use::Free => {}
            Use::Live => live += 1,
            Use::Ended => panic!("no session ends in Power here"),
            Use::Owned(owner) => {
                assert_eq!(owner, b.me, "the cell {place} of a dead process is lost");
                assert!(b.cells.iter().any(|cell| cell.place == place));
            }
        }
    }
    let mut sessions: Vec<_> = b.walk().into_iter().map(|(key, _)| key.id).collect();
    sessions.sort_unstable();
    sessions.dedup();
    assert_eq!(live, sessions.len(), "a record is not in the index");
    b.check();
}

#[test]
fn whoever_is_stopped_at_any_step_is_in_nobodys_way_and_leaves_nothing_behind() {
    for errand in ERRANDS {
        let mut steps = 0;
        loop {
            let done = Arc::new(AtomicBool::new(false));
            let is_done = Arc::clone(&done);
            check_alone(move || {
                let (world, mut a, mut b) = world(steps);
                let finished = until_stop(|| errand(&mut a)).is_some();
                is_done.store(finished, Ordering::Relaxed);
                go_on(&mut b);
                take_stock(&world, a.me, &mut b);
            });
            if done.load(Ordering::Relaxed) {
                break;
            }
            steps += 1;
        }
        println!("{steps} steps");
    }
}

#[cfg(model = "loom")]
#[test]
fn whoever_stops_beside_others_is_in_their_way_at_no_step() {
    for errand in ERRANDS {
        for steps in (0..60).step_by(7) {
            check_with(1, move |first| {
                let (world, mut a, mut b) = world(steps);
                let stop = move || {
                    until_stop(|| errand(&mut a));
                    a.me
                };
                let update = move || {
                    b.update(KEY);
                    b
                };
                let (dead, mut b) = first.run(stop, update);
                go_on(&mut b);
                take_stock(&world, dead, &mut b);
            });
        }
    }
}

const EXTENTS: u32 = 4;
