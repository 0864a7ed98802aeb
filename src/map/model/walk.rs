//! Walks over all sessions.

use super::check;
use super::format::{Key, Reading};
use super::process::{Process, World};
use super::word::Owner;

const KEY: Key = Key { position: 0, id: 5 };
const FAR: Key = Key { position: 1 << 63, id: 7 };

/// The versions of a session that a walk finds, all of them whole.
fn versions(walker: &Process, key: Key) -> Vec<u64> {
    let version = |reading| match reading {
        Reading::Whole { version } => version,
        Reading::Damaged => panic!("a torn record"),
    };
    let found = walker.walk().into_iter();
    found.filter(|(found, _)| *found == key).map(|(_, reading)| version(reading)).collect()
}

#[test]
fn a_walk_beside_commits_that_use_cells_again_finds_whole_records_and_every_session() {
    check(|first| {
        let world = World::new(1);
        let mut writer = world.process(1, 2);
        assert!(writer.put(KEY, None, 1));
        let walker = world.owner(Owner(2));
        let write = move || {
            assert_eq!(writer.update(KEY), Some(2));
            assert_eq!(writer.update(KEY), Some(3));
        };
        let walk = move || assert!(!versions(&walker, KEY).is_empty());
        first.run(write, walk);
    });
}

#[test]
fn a_walk_finds_a_new_session_whole_or_not_at_all() {
    check(|first| {
        let world = World::new(1);
        let mut writer = world.process(1, 1);
        let walker = world.owner(Owner(2));
        let walk = move || assert!(versions(&walker, KEY).iter().all(|version| *version == 7));
        first.run(move || assert!(writer.put(KEY, None, 7)), walk);
    });
}

#[test]
fn a_walk_finds_whole_what_was_moved_while_it_looked_elsewhere() {
    check(|first| {
        let world = World::new(1);
        let mut writer = world.process(1, 1);
        let walker = world.owner(Owner(2));
        world.tables.create(2, 1).unwrap();
        let write_and_move = move || {
            assert!(writer.put(KEY, None, 7));
            writer.world.help(1, 1);
        };
        let walk = move || assert!(versions(&walker, KEY).iter().all(|version| *version == 7));
        first.run(write_and_move, walk);
    });
}

#[test]
fn a_walk_beside_a_rewrite_finds_every_session() {
    check(|first| {
        let world = World::new(1);
        let mut writer = world.process(1, 1);
        assert!(writer.put(FAR, None, 1));
        let walker = world.owner(Owner(2));
        world.tables.create(2, 1).unwrap();
        let walk = move || assert!(!versions(&walker, FAR).is_empty());
        first.run(move || while !world.help(1, 1) {}, walk);
    });
}
