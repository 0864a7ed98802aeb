//! Deadlines: stored with each session, checked on every load.

use std::time::Duration;

use crate::access::Access;
use crate::conformance::stage::{Stage, assert_refused, key};
use crate::error::CommitError;
use crate::record::Lifetime;
use crate::store::{Hold as _, Store, Terms};

pub(in super::super) fn an_idle_session_is_absent_from_its_deadline_on<S: Store>(stage: &Stage<S>) {
    assert_ends(stage, NO_LIMIT.idle(Duration::from_secs(100)), Duration::from_secs(100));
}

pub(in super::super) fn a_session_is_absent_from_its_absolute_deadline_on<S: Store>(
    stage: &Stage<S>,
) {
    assert_ends(stage, NO_LIMIT.absolute(Duration::from_secs(70)), Duration::from_secs(70));
}

pub(in super::super) fn of_two_deadlines_the_earlier_one_counts<S: Store>(stage: &Stage<S>) {
    let [short, long] = [30, 90].map(Duration::from_secs);
    assert_ends(stage, NO_LIMIT.idle(short).absolute(long), short);
    assert_ends(stage, NO_LIMIT.idle(long).absolute(short), short);
}

pub(in super::super) fn a_session_without_limits_never_ends<S: Store>(stage: &Stage<S>) {
    let key = key("for ever");
    let record = stage.put_for(&key, b"stored", NO_LIMIT);
    assert_eq!(record.deadline(), None);
    stage.clock.advance(Duration::from_secs(500 * 365 * 86_400));
    assert_eq!(stage.seen(&key), Some((record, b"stored".to_vec())));
    assert_eq!(stage.sweep_all(10).removed, 0, "nor is it swept");
    assert_eq!(stage.seen(&key), Some((record, b"stored".to_vec())));
}

pub(in super::super) fn each_session_ends_at_its_own_deadline<S: Store>(stage: &Stage<S>) {
    let name = |seconds: u64| key(&format!("lives {seconds} s"));
    let start = stage.now();
    for seconds in [50, 10, 40, 20, 30] {
        stage.put_for(&name(seconds), b"", NO_LIMIT.idle(Duration::from_secs(seconds)));
    }
    for passed in [5, 15, 25, 35, 45, 55] {
        stage.clock.set(start.plus(Duration::from_secs(passed)));
        for seconds in [10, 20, 30, 40, 50] {
            let seen = stage.seen(&name(seconds));
            assert_eq!(seen.is_some(), passed < seconds, "{seconds} s of life after {passed} s");
        }
    }
}

pub(in super::super) fn a_commit_moves_the_idle_deadline_and_sets_the_lifetime<S: Store>(
    stage: &Stage<S>,
) {
    let key = key("committed");
    let ten = NO_LIMIT.idle(Duration::from_secs(10));
    for _ in 0..5 {
        stage.put_for(&key, b"stored", ten);
        stage.clock.advance(Duration::from_secs(9));
    }
    let longer = NO_LIMIT.idle(Duration::from_secs(1_000));
    let record = stage.put_for(&key, b"stored", longer);
    assert_eq!(record.version, 6, "it never ended meanwhile");
    stage.clock.advance(Duration::from_secs(999));
    assert_eq!(stage.seen(&key).map(|(record, _)| record.lifetime), Some(longer));
    stage.clock.advance(Duration::from_secs(1));
    stage.assert_absent(&key, "it ends by the lifetime of its last commit");
}

pub(in super::super) fn neither_touch_nor_commit_moves_the_absolute_deadline<S: Store>(
    stage: &Stage<S>,
) {
    let key = key("absolute");
    let lifetime = NO_LIMIT.idle(Duration::from_secs(10)).absolute(Duration::from_secs(25));
    for _ in 0..3 {
        stage.put_for(&key, b"stored", lifetime);
        stage.touch(&mut stage.open(&key, stage.accesses()[0]));
        stage.clock.advance(Duration::from_secs(8));
    }
    assert!(stage.seen(&key).is_some(), "24 of 25 seconds have passed");
    stage.clock.advance(Duration::from_secs(1));
    stage.assert_absent(&key, "the absolute deadline stands");
}

pub(in super::super) fn a_touch_moves_the_idle_deadline_and_nothing_else<S: Store>(
    stage: &Stage<S>,
) {
    for access in stage.accesses() {
        let key = key(&format!("touched with {access}"));
        let lifetime = NO_LIMIT.idle(Duration::from_secs(10));
        let stored = stage.put_for(&key, b"stored", lifetime);
        for _ in 0..5 {
            stage.clock.advance(Duration::from_secs(9));
            let mut hold = stage.open(&key, access);
            stage.touch(&mut hold);
            drop(hold);
            let (record, payload) = stage.seen(&key).expect("each touch gives it ten seconds");
            assert_eq!(record.accessed, stage.now(), "a touch is an access ({access})");
            assert_eq!((record.birth, record.version), (stored.birth, stored.version));
            assert_eq!((record.created, record.lifetime), (stored.created, lifetime));
            assert_eq!(payload, b"stored");
        }
        stage.clock.advance(Duration::from_secs(10));
        stage.assert_absent(&key, "and no more");
    }
}

pub(in super::super) fn a_touch_beside_a_holder_waits_for_nobody_and_outlives_its_commit<
    S: Store,
>(
    stage: &Stage<S>,
) {
    let key = key("touched beside");
    let lifetime = NO_LIMIT.idle(Duration::from_secs(10));
    let terms = Terms { lifetime, ..Terms::default() };
    for length in [10, 100_000] {
        stage.put_for(&key, b"stored", lifetime);
        let mut holder = stage.open(&key, stage.writers()[0]);
        for access in stage.lookers() {
            stage.clock.advance(Duration::from_secs(9));
            stage.touch(&mut stage.open(&key, access));
            assert_eq!(stage.seen(&key).map(|(record, _)| record.accessed), Some(stage.now()));
        }
        let record = stage.commit_on(&mut holder, &vec![b'x'; length], terms);
        assert!(record.is_ok(), "a touch is no conflict: {record:?}");
        stage.clock.advance(Duration::from_secs(9));
        assert!(stage.seen(&key).is_some(), "the commit counts as an access");
    }
}

pub(in super::super) fn a_touch_raises_no_session_that_expired<S: Store>(stage: &Stage<S>) {
    for access in stage.accesses() {
        let key = key(&format!("touched too late with {access}"));
        stage.put_for(&key, b"stored", NO_LIMIT.idle(Duration::from_secs(10)));
        let mut hold = stage.open(&key, access);
        stage.clock.advance(Duration::from_secs(10));
        stage.touch(&mut hold);
        drop(hold);
        stage.assert_absent(&key, "a touch that comes too late changes nothing");
    }
}

pub(in super::super) fn an_expired_session_can_be_created_anew<S: Store>(stage: &Stage<S>) {
    for writer in stage.writers() {
        let key = key(&format!("anew by {writer}"));
        let first = stage.put_for(&key, b"first", NO_LIMIT.idle(Duration::from_secs(10)));
        stage.clock.advance(Duration::from_secs(11));
        let mut hold = stage.open(&key, writer);
        assert!(hold.expired(), "it was there");
        let second = stage.commit(&mut hold, b"second").expect("expired is absent");
        assert_ne!(first.birth, second.birth, "it is another session");
        assert_eq!((second.version, second.created), (1, stage.now()));
        assert_eq!(stage.seen(&key), Some((second, b"second".to_vec())));
        assert!(!stage.open(&key, writer).expired(), "the new one has not expired");
    }
}

pub(in super::super) fn an_optimistic_commit_does_not_raise_a_session_that_expired_since<
    S: Store,
>(
    stage: &Stage<S>,
) {
    let key = key("expired meanwhile");
    stage.put_for(&key, b"stored", NO_LIMIT.idle(Duration::from_secs(10)));
    let mut hold = stage.open(&key, Access::Optimistic);
    stage.clock.advance(Duration::from_secs(10));
    let told = stage.commit(&mut hold, b"late");
    assert_refused!(told, CommitError::Gone { .. }, "expired is absent");
    stage.assert_absent(&key, "it stays so");
}

pub(in super::super) fn a_session_does_not_expire_under_its_exclusive_holder<S: Store>(
    stage: &Stage<S>,
) {
    let key = key("held past its deadline");
    let stored = stage.put_for(&key, b"stored", NO_LIMIT.idle(Duration::from_secs(10)));
    let mut hold = stage.open(&key, Access::Exclusive);
    stage.clock.advance(Duration::from_secs(3_600));
    let record = stage.commit(&mut hold, b"after a long request");
    let record = record.expect("under an exclusive lock the condition always holds");
    assert_eq!((record.birth, record.version), (stored.birth, stored.version + 1));
    assert_eq!(stage.seen(&key), Some((record, b"after a long request".to_vec())));
}

/// Asserts that a session with this lifetime ends after `end`, to the millisecond.
fn assert_ends<S: Store>(stage: &Stage<S>, lifetime: Lifetime, end: Duration) {
    for access in stage.accesses() {
        let key = key(&format!("{lifetime:?} {access}"));
        let stored = stage.put_for(&key, b"stored", lifetime);
        assert_eq!(stored.deadline(), Some(stage.now().plus(end)));
        stage.clock.advance(end - Duration::from_millis(1));
        let hold = stage.open(&key, access);
        assert_eq!(hold.record(), Some(&stored), "a millisecond before the deadline ({access})");
        assert!(!hold.expired());
        drop(hold);
        stage.clock.advance(Duration::from_millis(1));
        let hold = stage.open(&key, access);
        assert_eq!(hold.record(), None, "expired is absent ({access})");
        assert!(hold.payload().is_empty(), "none of an expired session is shown ({access})");
        assert!(hold.expired(), "and the hold says why ({access})");
        drop(hold);
        stage.assert_absent(&key, "it stays so");
    }
}

const NO_LIMIT: Lifetime = Lifetime { idle: None, absolute: None };
