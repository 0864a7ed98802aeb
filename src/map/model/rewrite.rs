//! Tables that give way to the next while they are used.

use super::format::Key;
use super::process::{Process, World};
use super::table::Table;
use super::word::{Owner, Use};
use super::{check, check_alone, thread};

const KEY: Key = Key { position: 0, id: 5 };
/// Its first slot is the same.
const OTHER: Key = Key { position: 1, id: 6 };
/// Its first slot is another one.
const FAR: Key = Key { position: 1 << 63, id: 7 };

/// A session of version 1 in a table that has a successor.
fn in_rewrite(log2: u32, next: u32, cells: usize) -> (World, Process) {
    let world = World::new(log2);
    let mut process = world.process(1, cells);
    assert!(process.put(KEY, None, 1));
    world.tables.create(2, next).unwrap();
    (world, process)
}

/// How many entries lead to a record.
fn entries(table: &Table) -> usize {
    let mut found = Vec::new();
    table.visit(0, table.slots(), |place| place, &mut found);
    found.len()
}

/// Moves all of a table.
fn finish(world: &World, number: u64) {
    while !world.help(number, 1) {}
}

/// A helper that moves the session, and knows the first two tables already.
fn settling(world: &World) -> impl FnOnce() + Send + 'static {
    let (world, table, next) = (world.clone(), world.table(1), world.table(2));
    move || table.settle(KEY.hash(), &next, &world.hash_at())
}

#[test]
fn who_helped_last_finds_in_the_next_table_what_others_moved() {
    check(|first| {
        let (world, _) = in_rewrite(2, 1, 1);
        let helper = world.clone();
        let find = move || {
            finish(&world, 1);
            // A table that is done is never asked again.
            world.tables.pass_on_to(2);
            let late = world.process(3, 0);
            assert_eq!(late.look(KEY).map(|seen| seen.version), Some(1));
        };
        first.run(move || helper.help(1, 1), find);
    });
}

#[test]
fn a_session_is_found_at_any_point_of_a_rewrite() {
    check(|first| {
        let (world, reader) = in_rewrite(1, 1, 1);
        let helper = world.clone();
        let read = move || assert_eq!(reader.look(KEY).map(|seen| seen.version), Some(1));
        first.run(move || finish(&helper, 1), read);
        assert_eq!(entries(&world.table(2)), 1);
    });
}

#[test]
fn a_commit_beside_a_rewrite_is_kept_and_stands_alone() {
    check(|first| {
        let (world, mut writer) = in_rewrite(1, 1, 3);
        let helper = world.clone();
        let write = move || {
            assert_eq!(writer.update(KEY), Some(2));
            assert_eq!(writer.update(KEY), Some(3));
            writer
        };
        let ((), writer) = first.run(move || finish(&helper, 1), write);
        finish(&world, 1);
        assert_eq!(writer.look(KEY).map(|seen| seen.version), Some(3));
        assert_eq!(entries(&world.table(2)), 1);
        writer.check();
        assert_eq!(world.count(|usage| usage == Use::Live), 1);
    });
}

#[test]
fn a_session_that_is_ended_beside_a_rewrite_never_comes_back() {
    check(|first| {
        let (world, mut ender) = in_rewrite(1, 1, 1);
        let helper = world.clone();
        let end = move || {
            while let Some(seen) = ender.look(KEY) {
                if ender.end(seen) {
                    break;
                }
            }
            assert!(ender.look(KEY).is_none());
            ender
        };
        let ((), ender) = first.run(move || finish(&helper, 1), end);
        finish(&world, 1);
        assert!(ender.look(KEY).is_none());
        assert_eq!(entries(&world.table(2)), 0);
        ender.check();
    });
}

#[test]
fn of_two_that_create_one_session_beside_a_rewrite_one_wins() {
    check(|first| {
        let world = World::new(1);
        let [mut a, mut b] = [1, 2].map(|number| world.process(number, 1));
        world.tables.create(2, 1).unwrap();
        let helper = world.clone();
        let help_and_put = move || {
            helper.help(1, 1);
            a.put(KEY, None, 1)
        };
        let (a_won, (b_won, b)) = first.run(help_and_put, move || (b.put(KEY, None, 2), b));
        assert!(a_won != b_won, "{a_won} {b_won}");
        finish(&world, 1);
        assert_eq!(entries(&world.table(2)), 1);
        let winner = if a_won { 1 } else { 2 };
        assert_eq!(b.look(KEY).map(|seen| seen.version), Some(winner));
    });
}

#[test]
fn a_helper_that_goes_on_late_brings_nothing_back() {
    check(|first| {
        let (world, mut writer) = in_rewrite(1, 1, 3);
        let settle = settling(&world);
        let shared = world.clone();
        let go_on = move || {
            let world = shared;
            finish(&world, 1);
            world.tables.pass_on_to(2);
            assert_eq!(writer.update(KEY), Some(2));
            assert_eq!(writer.update(KEY), Some(3));
            writer
        };
        let (writer, ()) = first.run(go_on, settle);
        assert_eq!(writer.look(KEY).map(|seen| seen.version), Some(3));
        assert_eq!(entries(&world.table(2)), 1);
        writer.check();
    });
}

#[test]
fn a_helper_that_goes_on_late_leaves_a_table_alone_that_was_given_back() {
    check(|first| {
        let (world, mut writer) = in_rewrite(1, 1, 2);
        let settle = settling(&world);
        let (given_back, world_2) = (world.table(2), world.table(2));
        let shared = world.clone();
        let go_on = move || {
            let world = shared;
            finish(&world, 1);
            world.tables.pass_on_to(2);
            world.tables.create(3, 1).unwrap();
            finish(&world, 2);
            world.tables.pass_on_to(3);
            world.tables.give_back(2, &world_2);
            assert_eq!(writer.update(KEY), Some(2));
            writer
        };
        let (writer, ()) = first.run(go_on, settle);
        assert_eq!(writer.look(KEY).map(|seen| seen.version), Some(2));
        assert_eq!(entries(&world.table(3)), 1);
        assert_eq!(entries(&given_back), 0);
    });
}

#[test]
fn sessions_that_share_a_slot_keep_apart_in_a_rewrite() {
    check(|first| {
        let (world, mut a) = in_rewrite(1, 2, 2);
        let mut b = world.process(2, 1);
        assert!(b.put(OTHER, None, 1));
        let helper = world.clone();
        let write = move || {
            assert_eq!(a.update(KEY), Some(2));
            a
        };
        let ((), a) = first.run(move || finish(&helper, 1), write);
        for (key, version) in [(KEY, 2), (OTHER, 1)] {
            assert_eq!(a.look(key).map(|seen| seen.version), Some(version));
        }
        finish(&world, 1);
        assert_eq!(entries(&world.table(2)), 2);
    });
}

#[test]
fn two_helpers_and_a_commit_leave_one_entry() {
    check(|first| {
        let (world, mut writer) = in_rewrite(1, 1, 2);
        let [a, b] = [world.clone(), world.clone()].map(|helper| {
            let (table, next) = (helper.table(1), helper.table(2));
            move || table.settle(KEY.hash(), &next, &helper.hash_at())
        });
        let b = thread::spawn(b);
        let write = move || {
            assert_eq!(writer.update(KEY), Some(2));
            writer
        };
        let ((), writer) = first.run(a, write);
        b.join().unwrap();
        finish(&world, 1);
        assert_eq!(writer.look(KEY).map(|seen| seen.version), Some(2));
        assert_eq!(entries(&world.table(2)), 1);
    });
}

#[test]
fn a_slot_whose_session_ended_leads_nobody_astray() {
    check(|first| {
        let world = World::new(2);
        let [mut a, mut b] = [1, 2].map(|number| world.process(number, 1));
        assert!(b.put(OTHER, None, 1));
        let seen = b.look(OTHER).unwrap();
        let end_and_put = move || {
            assert!(b.end(seen));
            b.put(KEY, None, 2)
        };
        let (a_won, b_won) = first.run(move || a.put(KEY, None, 1), end_and_put);
        assert!(a_won != b_won);
        assert_eq!(entries(&world.table(1)), 1);
    });
}

#[test]
fn a_helper_that_goes_on_late_puts_nothing_into_a_table_that_gives_way_itself() {
    check(|first| {
        let (world, mut writer) = in_rewrite(1, 2, 2);
        let settle = settling(&world);
        let shared = world.clone();
        let go_on = move || {
            let world = shared;
            finish(&world, 1);
            world.tables.pass_on_to(2);
            world.tables.create(3, 2).unwrap();
            // One part of it is moved, the other is not.
            world.help(2, 1);
            assert_eq!(writer.update(KEY), Some(2));
            writer
        };
        let (writer, ()) = first.run(go_on, settle);
        finish(&world, 2);
        assert_eq!(writer.look(KEY).map(|seen| seen.version), Some(2));
        assert_eq!(entries(&world.table(3)), 1);
    });
}

#[test]
fn a_helper_that_goes_on_late_does_not_take_the_next_record_in_the_cell_for_the_one_it_moves() {
    check(|first| {
        let (world, mut writer) = in_rewrite(1, 1, 1);
        let settle = settling(&world);
        let shared = world.clone();
        let go_on = move || {
            finish(&shared, 1);
            shared.tables.pass_on_to(2);
            let seen = writer.look(KEY).unwrap();
            assert!(writer.end(seen));
            assert!(writer.put(FAR, None, 2));
            writer
        };
        let (writer, ()) = first.run(go_on, settle);
        assert!(writer.look(KEY).is_none());
        assert_eq!(writer.look(FAR).map(|seen| seen.version), Some(2));
        assert_eq!(entries(&world.table(2)), 1);
    });
}

#[test]
fn who_opens_the_index_finds_in_it_what_others_moved_there() {
    check(|first| {
        let (world, _) = in_rewrite(1, 1, 1);
        let helper = world.clone();
        let go_on = move || {
            finish(&helper, 1);
            helper.tables.pass_on_to(2);
        };
        let open = move || {
            let opened = world.owner(Owner(2));
            assert_eq!(opened.look(KEY).map(|seen| seen.version), Some(1));
        };
        first.run(go_on, open);
    });
}

#[test]
fn a_table_that_is_made_too_late_under_a_name_that_is_free_again_is_not_taken_for_the_index() {
    check(|first| {
        let (world, mut late) = in_rewrite(1, 1, 2);
        finish(&world, 1);
        world.tables.create(3, 1).unwrap();
        finish(&world, 2);
        let (maker, others, old) = (world.clone(), world.clone(), world.table(2));
        // Stopped since it found that table 1 has no successor.
        let maker = thread::spawn(move || maker.tables.create(2, 1).unwrap());
        let go_on = move || {
            others.tables.pass_on_to(3);
            others.tables.give_back(2, &old);
        };
        let look = move || {
            // It knows table 1 only.
            assert_eq!(late.update(KEY), Some(2));
            assert_eq!(late.look(KEY).map(|seen| seen.version), Some(2));
        };
        first.run(go_on, look);
        maker.join().unwrap();
        assert_eq!(world.owner(Owner(2)).look(KEY).map(|seen| seen.version), Some(2));
        assert_eq!(entries(&world.table(3)), 1);
    });
}

#[test]
fn a_small_table_after_a_large_one_has_room_for_what_comes_meanwhile() {
    check_alone(|| {
        let world = World::of(4, 4);
        let mut process = world.process(1, 12);
        // The last to be moved.
        let last = Key { position: u64::MAX, id: 5 };
        assert!(process.put(last, None, 1));
        let guest = |id| Key { position: 0, id };
        for id in 10..22 {
            assert!(process.put(guest(id), None, 1));
            let seen = process.look(guest(id)).unwrap();
            assert!(process.end(seen));
        }
        for id in 30..40 {
            assert!(process.put(guest(id), None, 1));
            assert_eq!(process.look(last).map(|seen| seen.version), Some(1), "lost at {id}");
        }
    });
}

#[test]
fn a_table_full_of_sessions_that_ended_gives_way() {
    check_alone(|| {
        let world = World::new(1);
        let mut process = world.process(1, 1);
        for id in 10..13 {
            let guest = Key { position: 0, id };
            assert!(process.put(guest, None, 1));
            let seen = process.look(guest).unwrap();
            assert!(process.end(seen));
        }
        assert!(process.put(KEY, None, 1));
    });
}
