//! Looking through a store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::access::Access;
use crate::conformance::stage::{Stage, if_alive, keeping, key, number};
use crate::id::Key;
use crate::inventory::{Depth, Found, Inventory, Summary};
use crate::record::Lifetime;
use crate::store::Hold as _;

pub(in super::super) fn a_walk_sees_every_session_once_with_its_record<S: Inventory>(
    stage: &Stage<S>,
) {
    let stored: BTreeMap<_, _> = (0..300)
        .map(|index| {
            let key = key(&format!("session {index}"));
            (key, stage.put(&key, &vec![b'x'; index]))
        })
        .collect();
    for store in stage.handles() {
        for (depth, limit) in
            [(Depth::Current, 1), (Depth::Current, 7), (Depth::Current, 10_000), (Depth::Whole, 64)]
        {
            let found = sessions(&stage.walk(store, depth, limit));
            assert_eq!(found.len(), 300, "each session is seen, and seen once");
            for (key, Summary { record, payload, stored: bytes, expired, .. }) in &found {
                assert_eq!(stored.get(key), Some(record), "with the record of its commit");
                assert_eq!(stage.payload(key).map(|bytes| bytes.len() as u64), Some(*payload));
                assert!(bytes >= payload, "what it takes includes its payload");
                assert!(!expired, "none has expired");
            }
        }
    }
}

pub(in super::super) fn a_walk_of_an_empty_store_finds_nothing<S: Inventory>(stage: &Stage<S>) {
    for depth in [Depth::Current, Depth::Whole] {
        let found = stage.walk(stage.store(), depth, 10);
        assert_eq!(sessions(&found), BTreeMap::new());
    }
}

pub(in super::super) fn a_walk_sees_the_last_commit_and_the_last_touch<S: Inventory>(
    stage: &Stage<S>,
) {
    let key = key("session");
    stage.put(&key, b"first");
    stage.clock.advance(Duration::from_secs(10));
    let committed = stage.put(&key, b"second, and longer");
    assert_eq!(stage.summary(&key).map(|seen| (seen.record, seen.payload)), Some((committed, 18)));
    stage.clock.advance(Duration::from_secs(10));
    stage.touch(&mut stage.open(&key, stage.writers()[0]));
    let touched = stage.seen(&key).expect("it is there").0;
    assert!(touched.accessed > committed.accessed);
    assert_eq!(stage.summary(&key).map(|seen| seen.record), Some(touched));
}

pub(in super::super) fn a_walk_sees_no_session_that_was_destroyed<S: Inventory>(stage: &Stage<S>) {
    let names: Vec<Key> = (0..20).map(|index| key(&format!("session {index}"))).collect();
    for key in &names {
        stage.put(key, b"");
    }
    let (dead, alive) = names.split_at(10);
    for key in dead {
        stage.destroy_key(key);
    }
    let found = sessions(&stage.walk(stage.store(), Depth::Whole, 100));
    assert!(dead.iter().all(|key| !found.contains_key(key)), "the dead are seen");
    assert!(alive.iter().all(|key| found.contains_key(key)), "the living are missed");
    let again = stage.put(&names[0], b"");
    assert_eq!(stage.summary(&names[0]).map(|seen| seen.record), Some(again), "the next life");
}

/// A store may remove what has expired of its own accord; but it must not call it alive.
pub(in super::super) fn a_walk_says_which_sessions_have_expired<S: Inventory>(stage: &Stage<S>) {
    let [brief, long] = ["brief", "long"].map(key);
    let lifetime = |seconds| Lifetime::default().idle(Duration::from_secs(seconds));
    let stored = stage.put_for(&brief, b"", lifetime(10));
    stage.put_for(&long, b"", lifetime(1_000));
    assert!(!stage.summary(&brief).expect("it lives").expired);
    stage.clock.advance(Duration::from_secs(10));
    if let Some(seen) = stage.summary(&brief) {
        assert!(seen.expired, "its deadline has passed");
        assert_eq!(seen.record, stored, "it is seen as it was");
    }
    assert!(!stage.summary(&long).expect("it lives").expired);
    stage.sweep_all(100);
    assert_eq!(stage.summary(&brief), None, "it was swept");
}

pub(in super::super) fn a_walk_waits_for_no_holder<S: Inventory>(stage: &Stage<S>) {
    let key = key("held");
    let stored = stage.put(&key, b"stored");
    let mut hold = stage.open(&key, Access::Exclusive);
    assert_eq!(stage.summary(&key).map(|seen| seen.record), Some(stored));
    let committed = stage.commit_on(&mut hold, b"committed", keeping()).expect("it is held");
    assert_eq!(stage.summary(&key).map(|seen| seen.record), Some(committed));
}

pub(in super::super) fn a_walk_beside_commits_sees_every_session_once_and_whole<S: Inventory>(
    stage: &Stage<S>,
) {
    const WALKS: u64 = 30;
    let names: Vec<Key> = (0..40).map(|index| key(&format!("session {index}"))).collect();
    // A version has its own length, also a longer one than any before: a mixture would show.
    let length = |version: u64| usize::try_from(version * 37 % (version + 997)).unwrap();
    for key in &names {
        stage.put(key, &vec![b'x'; length(1)]);
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for half in [0, 1] {
            let (names, done) = (&names, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Acquire) {
                    for key in names.iter().skip(half).step_by(2) {
                        let store = stage.handle(half);
                        let mut hold = stage.open_in(store, key, stage.writers()[0]);
                        let version = hold.record().expect("it lives").version + 1;
                        let payload = vec![b'x'; length(version)];
                        stage.commit_on(&mut hold, &payload, if_alive()).expect("it is stored");
                    }
                }
            });
        }
        let walks = thread::Builder::new().spawn_scoped(scope, || {
            let mut versions = BTreeMap::new();
            for _ in 0..WALKS {
                let found = stage.walk(stage.store(), Depth::Whole, 16);
                assert_eq!(found.iter().find(|found| is_wrong(found)), None);
                let found = sessions(&found);
                assert_eq!(found.len(), names.len(), "every session, and each once");
                for (key, seen) in found {
                    let version = seen.record.version;
                    assert_eq!(seen.payload, length(version) as u64, "version {version}");
                    let before = versions.insert(key, version);
                    assert!(before <= Some(version), "the versions go back");
                }
            }
        });
        let walked = walks.expect("a thread starts").join();
        done.store(true, Ordering::Release);
        walked.expect("the walks go on");
    });
}

pub(in super::super) fn a_walk_beside_births_and_deaths_misses_none_of_those_that_stay<
    S: Inventory,
>(
    stage: &Stage<S>,
) {
    const WALKS: u64 = 30;
    let staying: Vec<Key> = (0..40).map(|index| key(&format!("stays {index}"))).collect();
    let passing: Vec<Key> = (0..40).map(|index| key(&format!("passes {index}"))).collect();
    for key in &staying {
        stage.put(key, b"stays");
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                for key in &passing {
                    stage.put(key, b"passes");
                }
                for key in &passing {
                    stage.destroy_key(key);
                }
            }
        });
        let walks = thread::Builder::new().spawn_scoped(scope, || {
            for _ in 0..WALKS {
                let found = stage.walk(stage.store(), Depth::Current, 16);
                assert_eq!(found.iter().find(|found| is_wrong(found)), None);
                let found = sessions(&found);
                assert!(staying.iter().all(|key| found.contains_key(key)), "one was missed");
                let known = |key| staying.contains(key) || passing.contains(key);
                assert!(found.keys().all(known), "there is one that nobody made");
            }
        });
        let walked = walks.expect("a thread starts").join();
        done.store(true, Ordering::Release);
        walked.expect("the walks go on");
    });
}

pub(in super::super) fn every_session_is_in_one_of_the_shards<S: Inventory>(stage: &Stage<S>) {
    let shards = stage.store().shards();
    assert!(shards > 0, "a store has a part at least");
    for index in 0..1_000 {
        let key = Key::new("", &crate::id::SessionId::from(&number(index)[..]));
        let shard = stage.store().shard(&key);
        assert!(shard < shards, "shard {shard} of {shards}");
        assert!(stage.handles().iter().all(|store| store.shard(&key) == shard));
    }
}

/// Whether a find says that something is wrong with the store.
fn is_wrong(found: &Found) -> bool {
    !matches!(found, Found::Session(_) | Found::Leftover { .. })
}

/// The sessions among the finds. Asserts that none comes twice.
fn sessions(found: &[Found]) -> BTreeMap<Key, Summary> {
    let mut sessions = BTreeMap::new();
    for found in found {
        if let Found::Session(summary) = found {
            let twice = sessions.insert(summary.key, *summary);
            assert_eq!(twice, None, "a session was seen twice");
        }
    }
    sessions
}
