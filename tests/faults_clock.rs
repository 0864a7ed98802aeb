//! The clock jumps: nothing panics, no duration is negative, and sessions end when they should.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::{Access, CommitError, FileStore, Hold as _, Key, Lifetime, Terms, Timestamp};
use rig::{SetClock, commit, destroy, key, open, put, read, renew};

const HOUR: u64 = 3_600_000;
const YEAR: u64 = 365 * 24 * HOUR;
const NOW: u64 = 1_700_000_000_000;

struct Bench {
    clock: SetClock,
    store: FileStore,
    _directory: tempfile::TempDir,
}

impl Bench {
    fn new(now: u64) -> Self {
        let directory = rig::directory();
        let clock = SetClock::at(now);
        let store = FileStore::builder(directory.path()).clock(clock.clone()).open().unwrap();
        Self { clock, store, _directory: directory }
    }

    fn put_for(&self, key: &Key, payload: &[u8], lifetime: Lifetime) {
        let mut hold = open(&self.store, key, Access::Exclusive).unwrap();
        wait(hold.commit(payload, Terms { lifetime, ..Terms::default() })).unwrap();
    }

    fn is_alive(&self, key: &Key) -> bool {
        let seen = Access::ALL.map(|access| {
            let hold = open(&self.store, key, access).unwrap();
            // Opening takes an expired file away, so only the first may say so.
            assert!(hold.record().is_none() || !hold.expired());
            hold.record().is_some()
        });
        assert!(seen.iter().all(|alive| *alive == seen[0]), "{seen:?}");
        seen[0]
    }
}

/// Every time a clock may show, and all the ways from one to another.
const TIMES: [u64; 12] = [
    0,
    1,
    HOUR,
    NOW - 10 * YEAR,
    NOW - HOUR,
    NOW,
    NOW + HOUR,
    2_147_483_648_000,
    NOW + 10 * YEAR,
    u64::MAX / 2,
    u64::MAX - 1,
    u64::MAX,
];

#[test]
fn no_jump_of_the_clock_makes_anything_panic_or_a_time_negative() {
    let lifetimes = [
        Lifetime::default(),
        Lifetime { idle: None, absolute: None },
        Lifetime { idle: Some(Duration::ZERO), absolute: None },
        Lifetime { idle: Some(Duration::MAX), absolute: Some(Duration::MAX) },
        Lifetime::default().absolute(Duration::from_secs(1)),
    ];
    for from in TIMES {
        for to in TIMES {
            for lifetime in lifetimes {
                let bench = Bench::new(from);
                let (a, b, c) = (key("a"), key("b"), key("c"));
                bench.put_for(&a, b"one", lifetime);
                let mut late = open(&bench.store, &a, Access::Optimistic).unwrap();
                bench.clock.set(to);
                let mut hold = open(&bench.store, &a, Access::Exclusive).unwrap();
                if let Some(record) = hold.record().copied() {
                    assert!(!record.is_expired(Timestamp::from_millis(to)));
                    assert!(record.deadline().is_none_or(|end| end.as_millis() > to));
                    let _ = record.wants_touch(Timestamp::from_millis(to));
                    assert_eq!(record.created.as_millis(), from);
                }
                commit(&mut hold, b"two").unwrap();
                wait(hold.touch()).unwrap();
                wait(late.touch()).unwrap();
                let mut hold = open(&bench.store, &a, Access::Exclusive).unwrap();
                match renew(&mut hold, &b, b"three", Duration::from_secs(600)) {
                    Ok(_) | Err(CommitError::AlreadyExists { .. }) => {}
                    Err(error) => panic!("{from} to {to}: {error}"),
                }
                drop(hold);
                bench.clock.set(from);
                rig::sweep(&bench.store).unwrap();
                for id in [&a, &b, &c] {
                    for access in Access::ALL {
                        let hold = open(&bench.store, id, access).unwrap();
                        assert!(hold.record().is_some() || hold.payload().is_empty());
                    }
                    destroy(&mut open(&bench.store, id, Access::Exclusive).unwrap()).unwrap();
                }
            }
        }
    }
}

#[test]
fn a_session_ends_at_its_deadline_and_not_before() {
    let bench = Bench::new(NOW);
    let id = key("a");
    let idle = Lifetime { idle: Some(Duration::from_millis(HOUR)), absolute: None };
    bench.put_for(&id, b"idle", idle);
    bench.clock.set(NOW + HOUR - 1);
    assert!(bench.is_alive(&id));
    bench.clock.set(NOW + HOUR);
    assert!(!bench.is_alive(&id));
    // Used, it lives on; never beyond its absolute limit.
    bench.clock.set(NOW);
    bench.put_for(&id, b"both", idle.absolute(Duration::from_millis(2 * HOUR)));
    for half in 1..4 {
        bench.clock.set(NOW + half * HOUR / 2);
        wait(open(&bench.store, &id, Access::Snapshot).unwrap().touch()).unwrap();
    }
    bench.clock.set(NOW + 2 * HOUR - 1);
    assert!(bench.is_alive(&id));
    bench.clock.set(NOW + 2 * HOUR);
    assert!(!bench.is_alive(&id));
}

#[test]
fn a_clock_set_back_ends_no_session_and_one_set_forward_ends_those_that_are_over() {
    for jump in [HOUR, 10 * YEAR] {
        let bench = Bench::new(NOW);
        let (a, b) = (key("a"), key("b"));
        put(&bench.store, &a, b"data");
        bench.put_for(&b, b"for ever", Lifetime { idle: None, absolute: None });
        bench.clock.set(NOW - jump);
        assert!(bench.is_alive(&a) && bench.is_alive(&b), "set back by {jump}");
        assert_eq!(rig::sweep(&bench.store).unwrap().removed, 0);
        bench.clock.set(NOW + jump);
        // An hour is within the day that it lives, ten years are not.
        assert_eq!(bench.is_alive(&a), jump == HOUR);
        assert!(bench.is_alive(&b));
    }
}

/// A touch while the clock was far ahead. Once the clock is right again, the next commit or touch
/// counts from the right time, else the session would live for ten years unused.
#[test]
fn a_touch_from_the_future_is_taken_back_by_the_next_use() {
    for use_again in ["commit", "touch and commit"] {
        let bench = Bench::new(NOW);
        let id = key("a");
        let lifetime = Lifetime { idle: None, absolute: None };
        bench.put_for(&id, b"data", lifetime);
        bench.clock.set(NOW + 10 * YEAR);
        wait(open(&bench.store, &id, Access::Snapshot).unwrap().touch()).unwrap();
        bench.clock.set(NOW + 1);
        if use_again != "commit" {
            wait(open(&bench.store, &id, Access::Snapshot).unwrap().touch()).unwrap();
        }
        bench.put_for(&id, b"data", Lifetime::default());
        bench.clock.set(NOW + 2);
        let hold = open(&bench.store, &id, Access::Snapshot).unwrap();
        let accessed = hold.record().unwrap().accessed.as_millis();
        assert!(accessed <= NOW + 2, "{use_again}: last used in the future, {accessed}");
        drop(hold);
        bench.clock.set(NOW + 2 * YEAR);
        assert!(!bench.is_alive(&id), "{use_again}: unused for two years, and alive");
    }
}

#[test]
fn a_grace_ends_when_it_should() {
    let bench = Bench::new(NOW);
    let (a, b) = (key("a"), key("b"));
    put(&bench.store, &a, b"old");
    let mut hold = open(&bench.store, &a, Access::Exclusive).unwrap();
    renew(&mut hold, &b, b"new", Duration::from_secs(60)).unwrap();
    bench.clock.set(NOW + 59_999);
    assert_eq!(read(&bench.store, &a, Access::Exclusive).unwrap().unwrap(), b"old");
    let mut hold = open(&bench.store, &a, Access::Exclusive).unwrap();
    let error = commit(&mut hold, b"more").unwrap_err();
    assert!(matches!(error, CommitError::Retired { .. }), "{error}");
    // A touch does not prolong it.
    wait(hold.touch()).unwrap();
    drop(hold);
    bench.clock.set(NOW + 60_000);
    assert!(!bench.is_alive(&a));
    assert_eq!(read(&bench.store, &b, Access::Shared).unwrap().unwrap(), b"new");
}

/// The control: a session that nobody ends would be seen.
#[test]
fn a_session_without_limits_is_alive_at_the_end_of_time() {
    let bench = Bench::new(0);
    let id = key("a");
    bench.put_for(&id, b"data", Lifetime { idle: None, absolute: None });
    for now in TIMES {
        bench.clock.set(now);
        assert!(bench.is_alive(&id), "{now}");
    }
}
