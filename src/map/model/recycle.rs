//! Cells that change hands.

use super::area::Area;
use super::format::{self, Key};
use super::process::{EXTENT, EXTENT_WORDS, World};
use super::size::{Class, Extent};
use super::word::{Owner, Use};
use super::{check, thread};
use crate::sync::Arc;

const KEY: Key = Key { position: 0, id: 5 };
const OTHER: Key = Key { position: 1 << 63, id: 6 };

#[test]
fn a_record_that_is_read_while_its_cell_passes_to_another_process_counts_for_nothing() {
    check(|first| {
        let world = World::new(1);
        let [mut ender, taker] = [1, 2].map(|number| world.process(number, 1));
        // All cells but those two and this one are out of the game.
        let reader = world.process(3, 1);
        assert!(ender.put(KEY, None, 1));
        let seen = ender.look(KEY).unwrap();
        let end = move || {
            assert!(ender.end(seen));
            let cell = ender.cells.pop().unwrap();
            ender.world.heap.give_up(cell);
        };
        let taker = thread::spawn(move || {
            if let Some(cell) = taker.take() {
                // The same session again, but not in the index yet.
                format::write(&taker.world.heap, cell.place, KEY, 9);
            }
        });
        let read = move || {
            if let Some(seen) = reader.look(KEY) {
                assert_eq!(seen.version, 1, "a record that was never in the index");
            }
        };
        first.run(end, read);
        taker.join().unwrap();
    });
}

#[test]
fn a_cell_that_is_found_by_the_sweep_and_by_who_unlinks_it_is_given_back_once() {
    check(|first| {
        let world = World::new(1);
        let mut writer = world.process(1, 2);
        let sweeper = world.process(2, 1);
        assert!(writer.put(KEY, None, 1));
        let place = writer.look(KEY).unwrap().spot.place().unwrap();
        let write = move || {
            assert_eq!(writer.update(KEY), Some(2));
            writer
        };
        let (mut writer, swept) = first.run(write, move || sweeper.sweep(place));
        writer.check();
        assert_eq!(writer.cells.is_empty(), swept);
        assert_eq!(world.count(|usage| usage == Use::Free), usize::from(swept));
        // And the cell still serves.
        if swept {
            let cell = writer.take().unwrap();
            writer.cells.push(cell);
        }
        assert_eq!(writer.update(KEY), Some(3));
    });
}

#[test]
fn a_sweep_that_goes_on_late_leaves_the_next_record_in_the_cell_alone() {
    check(|first| {
        let world = World::new(1);
        let mut writer = world.process(1, 3);
        let sweeper = world.process(2, 0);
        assert!(writer.put(KEY, None, 1));
        let place = writer.look(KEY).unwrap().spot.place().unwrap();
        let write = move || {
            // The third version goes where the first was, unless that was swept.
            assert_eq!(writer.update(KEY), Some(2));
            assert_eq!(writer.update(KEY), Some(3));
            writer
        };
        let (writer, _) = first.run(write, move || sweeper.sweep(place));
        writer.check();
        let place = writer.look(KEY).unwrap().spot.place().unwrap();
        assert_eq!(world.heap.state(place).map(|state| state.usage()), Some(Use::Live));
    });
}

#[test]
fn the_sweep_leaves_a_record_alone_that_is_just_put_into_the_index() {
    check(|first| {
        let world = World::new(1);
        let mut writer = world.process(1, 1);
        let sweeper = world.process(2, 0);
        // The cell has held a record of another session.
        let place = writer.cells.first().unwrap().place;
        format::write(&world.heap, place, OTHER, 1);
        let sweep = move || {
            assert!(!sweeper.sweep(place), "a record in the index was given back");
            sweeper
        };
        let ((), sweeper) = first.run(move || assert!(writer.put(KEY, None, 2)), sweep);
        assert_eq!(sweeper.look(KEY).map(|seen| seen.version), Some(2));
        assert_eq!(world.count(|usage| usage == Use::Live), 1);
    });
}

#[test]
fn an_extent_that_changes_its_cell_size_has_no_cell_of_the_old_one_in_use() {
    check(|first| {
        let world = World::new(1);
        let (small, large) = (Class::SMALLEST, Class::all().last().unwrap());
        let taker = world.process(1, 0);
        let changer = world.clone();
        let change = move || {
            let heap = &changer.heap;
            if !heap.unassign(EXTENT, small, Owner(2)) {
                return Vec::new();
            }
            assert!(heap.assign(EXTENT, large));
            let mut cells = Vec::new();
            heap.take_from(EXTENT, large, Owner(2), 1, &mut cells);
            cells
        };
        let take = move || {
            let mut cells = Vec::new();
            taker.world.heap.take_from(EXTENT, small, taker.me, 1, &mut cells);
            cells
        };
        let (large_cells, cells) = first.run(change, take);
        assert!(cells.is_empty() || large_cells.is_empty(), "cells of two sizes in one extent");
        if !cells.is_empty() {
            assert_eq!(world.heap.class_of(EXTENT), Some(small));
        }
        for cell in cells.iter().chain(&large_cells) {
            assert_eq!(world.heap.state(cell.place), Some(cell.state));
        }
    });
}

#[test]
fn what_the_dead_put_into_the_index_stays_there_though_their_number_is_given_out_again() {
    check(|first| {
        let world = World::new(1);
        let writer = world.process(1, 1);
        let sweeper = world.process(2, 0);
        let cell = *writer.cells.first().unwrap();
        // The cell has held a record of another session.
        format::write(&world.heap, cell.place, OTHER, 1);
        let seats = Arc::clone(&world.seats);
        let successor = thread::spawn(move || seats.enter(1));
        let seats = Arc::clone(&world.seats);
        let write_and_die = move || {
            format::write(&writer.world.heap, cell.place, KEY, 2);
            let read = |place| format::read(&writer.world.heap, place, KEY);
            assert!(writer.index.insert(KEY.hash(), cell.place, read).unwrap().is_some());
            seats.leave(writer.me);
        };
        let sweep = move || {
            assert!(!sweeper.sweep(cell.place), "a record in the index was given back");
        };
        first.run(write_and_die, sweep);
        successor.join().unwrap();
        assert_eq!(world.owner(Owner(3)).look(KEY).map(|seen| seen.version), Some(2));
    });
}

#[test]
fn who_learns_of_an_extent_finds_it_in_the_file() {
    check(|first| {
        let world = World::empty(Area::new(2 * EXTENT_WORDS).cut_to(EXTENT_WORDS), 2);
        world.heap.grown(0);
        let grower = world.clone();
        let grow = move || {
            grower.heap.cells().lengthen(2 * EXTENT_WORDS);
            grower.heap.grown(1);
        };
        let take = move || {
            let last = Extent(world.heap.extents() - 1);
            assert!(world.heap.state(last.place(Class::SMALLEST, 0)).is_some());
        };
        first.run(grow, take);
    });
}
