//! Publishing a record: seen whole or not at all, and each commit on what was read.

use super::check;
use super::format::Key;
use super::process::{Process, World};

const KEY: Key = Key { position: 0, id: 5 };

/// A world with one session of version 1.
fn with_session(cells: usize) -> (World, Process) {
    let world = World::new(1);
    let mut process = world.process(1, cells);
    assert!(process.put(KEY, None, 1));
    (world, process)
}

#[test]
fn a_new_session_is_seen_whole_or_not_at_all() {
    check(|first| {
        let world = World::new(1);
        let mut writer = world.process(1, 1);
        let reader = world.process(2, 0);
        let write = move || assert!(writer.put(KEY, None, 7));
        let read = move || {
            let seen = reader.look(KEY);
            assert!(seen.is_none_or(|seen| seen.version == 7));
            reader
        };
        let ((), reader) = first.run(write, read);
        assert_eq!(reader.look(KEY).map(|seen| seen.version), Some(7));
    });
}

#[test]
fn of_two_that_create_one_session_one_wins() {
    check(|first| {
        let world = World::new(1);
        let [mut a, mut b] = [1, 2].map(|number| world.process(number, 1));
        let (a_won, b_won) = first.run(move || a.put(KEY, None, 1), move || b.put(KEY, None, 2));
        assert!(a_won != b_won, "{a_won} {b_won}");
        let winner = if a_won { 1 } else { 2 };
        assert_eq!(world.process(3, 0).look(KEY).map(|seen| seen.version), Some(winner));
    });
}

#[test]
fn of_two_commits_on_the_same_version_one_wins() {
    check(|first| {
        let (world, mut a) = with_session(2);
        let mut b = world.process(2, 1);
        let seen = a.look(KEY);
        let ((a_won, a), (b_won, b)) =
            first.run(move || (a.put(KEY, seen, 3), a), move || (b.put(KEY, b.look(KEY), 2), b));
        // The second may have read the version of the first.
        assert!(a_won || b_won);
        let seen = a.look(KEY).map(|seen| seen.version);
        assert!(seen == Some(3) && a_won || seen == Some(2) && b_won, "{seen:?}");
        a.check();
        b.check();
    });
}

#[test]
fn a_reader_beside_commits_that_use_cells_again_sees_one_version_whole_and_never_an_older_one() {
    check(|first| {
        let (world, mut writer) = with_session(2);
        let reader = world.process(2, 0);
        let write = move || {
            // The third version goes where the first was.
            assert_eq!(writer.update(KEY), Some(2));
            assert_eq!(writer.update(KEY), Some(3));
        };
        let read = move || {
            let [early, late] = [(); 2].map(|()| reader.look(KEY).unwrap().version);
            assert!(1 <= early && early <= late && late <= 3, "{early} {late}");
        };
        first.run(write, read);
    });
}

#[test]
fn no_update_is_lost_though_cells_are_used_again() {
    check(|first| {
        let (world, mut a) = with_session(2);
        let mut b = world.process(2, 1);
        let seen = a.look(KEY).unwrap();
        let twice = move || {
            assert!(b.update(KEY).is_some());
            assert!(b.update(KEY).is_some());
            b
        };
        let once = move || (a.put(KEY, Some(seen), seen.version + 1), a);
        let ((won, a), b) = first.run(once, twice);
        assert_eq!(a.look(KEY).unwrap().version, if won { 4 } else { 3 }, "an update is lost");
        a.check();
        b.check();
        assert_eq!(world.count(|usage| usage == super::word::Use::Live), 1);
    });
}
