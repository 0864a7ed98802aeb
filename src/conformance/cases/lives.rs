//! Births, versions, and that the dead stay dead.

use std::time::Duration;

use crate::access::Access;
use crate::conformance::stage::{Stage, assert_refused, if_alive, keeping, key};
use crate::error::CommitError;
use crate::record::Lifetime;
use crate::store::{Condition, Hold as _, Store, Terms};

pub(in super::super) fn opening_an_absent_session_creates_nothing<S: Store>(stage: &Stage<S>) {
    let key = key("nobody");
    for access in stage.accesses() {
        let mut hold = stage.open(&key, access);
        assert_eq!(hold.access(), access, "the hold knows how it was taken");
        assert_eq!(hold.record(), None, "an absent session has no record ({access})");
        assert!(hold.payload().is_empty(), "and no payload ({access})");
        assert!(!hold.expired(), "and it did not expire ({access})");
        stage.touch(&mut hold);
        stage.release(&mut hold);
        drop(hold);
        drop(stage.open(&key, access));
        stage.assert_absent(&key, "opening, touching and releasing creates nothing");
    }
    assert_eq!(stage.sweep_all(100).removed, 0, "and leaves nothing to sweep");
}

pub(in super::super) fn the_first_commit_is_version_1_and_each_one_after_adds_1<S: Store>(
    stage: &Stage<S>,
) {
    for writer in stage.writers() {
        let key = key(&format!("counted by {writer}"));
        let lifetime = Lifetime::default().absolute(Duration::from_secs(7_000));
        let start = stage.now();
        for version in 1..=20 {
            let payload = format!("payload {version}").into_bytes();
            let mut hold = stage.open(&key, writer);
            assert_eq!(hold.record().map_or(0, |record| record.version), version - 1);
            let terms = Terms { lifetime, ..Terms::default() };
            let record = stage.commit_on(&mut hold, &payload, terms);
            let record = record.expect("nobody else is at it");
            assert_eq!(record.version, version, "one more with each commit ({writer})");
            assert_eq!(record.created, start, "the time of creation stays");
            assert_eq!(record.accessed, stage.now(), "a commit is an access");
            assert_eq!(record.lifetime, lifetime);
            assert_eq!(record.retired_until, None);
            assert_eq!(hold.record(), Some(&record), "the hold shows what it wrote");
            assert_eq!(hold.payload(), payload, "the hold shows what it wrote");
            for store in stage.handles() {
                let seen = stage.seen_in(store, &key);
                assert_eq!(seen, Some((record, payload.clone())), "the next open reads the same");
            }
            stage.clock.advance(Duration::from_millis(1_500));
        }
    }
}

pub(in super::super) fn the_birth_stays_over_commits_and_no_two_sessions_share_one<S: Store>(
    stage: &Stage<S>,
) {
    let mut births = Vec::new();
    for number in 0..50 {
        let key = key(&format!("session {number}"));
        let [first, second] = [stage.put(&key, b"a"), stage.put(&key, b"b")];
        assert_eq!(first.birth, second.birth, "a commit does not change the birth");
        births.push(first.birth);
    }
    births.sort_unstable();
    births.dedup();
    assert_eq!(births.len(), 50, "births are random numbers");
}

pub(in super::super) fn a_recreated_session_has_another_birth_and_starts_at_version_1<S: Store>(
    stage: &Stage<S>,
) {
    for writer in stage.writers() {
        let key = key(&format!("again by {writer}"));
        stage.put(&key, b"first life");
        let first = stage.put(&key, b"first life");
        stage.destroy(&mut stage.open(&key, writer));
        stage.assert_absent(&key, "a destroyed session is absent");
        stage.clock.advance(Duration::from_secs(1));
        let mut hold = stage.open(&key, writer);
        let second = stage.commit(&mut hold, b"second life").expect("the id is free again");
        assert_ne!(first.birth, second.birth, "another life has another birth");
        assert_eq!(second.version, 1, "another life starts over");
        assert_eq!(second.created, stage.now(), "another life was created later");
        assert_eq!(stage.payload(&key).as_deref(), Some(&b"second life"[..]));
    }
}

pub(in super::super) fn the_second_creator_is_told_that_the_session_exists<S: Store>(
    stage: &Stage<S>,
) {
    for (name, terms) in [("unchanged", Terms::default()), ("alive", if_alive())] {
        for writer in stage.writers() {
            let key = key(&format!("created twice, {name}, {writer}"));
            let mut late = stage.open(&key, Access::Optimistic);
            let mut early = stage.open(&key, writer);
            stage.commit(&mut early, b"early").expect("the first creates it");
            let told = stage.commit_on(&mut late, b"late", terms);
            assert_refused!(told, CommitError::AlreadyExists { .. }, "the second is told");
            assert_eq!(stage.payload(&key).as_deref(), Some(&b"early"[..]), "the first one stands");
        }
    }
}

pub(in super::super) fn an_optimistic_commit_after_another_is_a_conflict_that_names_both_versions<
    S: Store,
>(
    stage: &Stage<S>,
) {
    for store in stage.handles() {
        let key = key("contended");
        let read = stage.put(&key, b"base");
        let mut loser = stage.open_in(store, &key, Access::Optimistic);
        stage.put(&key, b"one");
        let winner = stage.put(&key, b"winner");
        match stage.commit(&mut loser, b"loser") {
            Err(CommitError::Conflict(conflict)) => {
                assert_eq!(conflict.key, key);
                assert_eq!(conflict.read, read.version, "the conflict names what was read");
                assert_eq!(conflict.found, winner.version, "the conflict names what stands");
            }
            other => panic!("the loser of a race is told: expected a conflict, got {other:?}"),
        }
        assert_eq!(stage.seen(&key), Some((winner, b"winner".to_vec())), "nothing was written");
        let again = stage.commit(&mut loser, b"loser");
        assert_refused!(again, CommitError::Conflict(_), "and is told so each time");
        assert_eq!(loser.payload(), b"base", "the loser keeps what it read");
    }
}

pub(in super::super) fn an_optimistic_commit_of_equal_bytes_still_counts_as_a_commit<S: Store>(
    stage: &Stage<S>,
) {
    let key = key("equal");
    stage.put(&key, b"same");
    let mut late = stage.open(&key, Access::Optimistic);
    stage.put(&key, b"same");
    let told = stage.commit(&mut late, b"same");
    assert_refused!(told, CommitError::Conflict(_), "versions are compared, not bytes");
}

pub(in super::super) fn a_last_write_on_the_condition_alive_wins_with_the_next_version<S: Store>(
    stage: &Stage<S>,
) {
    let key = key("overwritten");
    stage.put(&key, b"base");
    let mut late = stage.open(&key, Access::Optimistic);
    let other = stage.put(&key, b"other");
    let record = stage.commit_on(&mut late, b"late", if_alive()).expect("the last write wins");
    assert_eq!(record.version, other.version + 1, "the version goes on from what stood");
    assert_eq!(record.birth, other.birth);
    assert_eq!(stage.seen(&key), Some((record, b"late".to_vec())));
}

pub(in super::super) fn a_late_commit_never_raises_a_destroyed_session<S: Store>(stage: &Stage<S>) {
    for condition in [Condition::Unchanged, Condition::Alive] {
        let key = key(&format!("destroyed under {condition:?}"));
        stage.put(&key, b"alive");
        let mut late = stage.open(&key, Access::Optimistic);
        stage.destroy_key(&key);
        let terms = Terms { condition, ..Terms::default() };
        for _ in 0..2 {
            let told = stage.commit_on(&mut late, b"undead", terms);
            assert_refused!(told, CommitError::Gone { .. }, "the session is gone");
            stage.assert_absent(&key, "it stays destroyed");
        }
        let told = stage.renew(&mut late, &self::key("undead"), b"undead", Duration::ZERO);
        assert_refused!(told, CommitError::Gone { .. }, "a renewal would raise it, too");
        stage.assert_absent(&self::key("undead"), "and it is not raised under another id");
        stage.touch(&mut late);
        stage.assert_absent(&key, "a touch raises nothing");
    }
}

pub(in super::super) fn a_late_commit_never_reaches_the_next_life_of_the_id<S: Store>(
    stage: &Stage<S>,
) {
    for condition in [Condition::Unchanged, Condition::Alive] {
        let key = key(&format!("reused under {condition:?}"));
        stage.put(&key, b"first life");
        let mut late = stage.open(&key, Access::Optimistic);
        stage.destroy_key(&key);
        let second = stage.put(&key, b"second life");
        let terms = Terms { condition, ..Terms::default() };
        let told = stage.commit_on(&mut late, b"first life, late", terms);
        assert_refused!(told, CommitError::Gone { .. }, "the life that was opened is over");
        assert_eq!(stage.seen(&key), Some((second, b"second life".to_vec())));
        stage.clock.advance(Duration::from_secs(5));
        stage.touch(&mut late);
        let (record, _) = stage.seen(&key).expect("it lives");
        assert_eq!(record.accessed, second.accessed, "its touch does not reach the next life");
        stage.destroy(&mut late);
        assert_eq!(
            stage.seen(&key),
            Some((second, b"second life".to_vec())),
            "nor does its destroy"
        );
    }
}

pub(in super::super) fn destroying_an_absent_session_or_one_twice_is_no_error<S: Store>(
    stage: &Stage<S>,
) {
    let key = key("destroyed twice");
    for writer in stage.writers() {
        stage.destroy(&mut stage.open(&key, writer));
        stage.put(&key, b"alive");
        let mut hold = stage.open(&key, writer);
        stage.destroy(&mut hold);
        drop(hold);
        stage.destroy(&mut stage.open(&key, writer));
        stage.assert_absent(&key, "it stays destroyed");
    }
}

pub(in super::super) fn two_holders_may_destroy_one_session<S: Store>(stage: &Stage<S>) {
    let key = key("destroyed by two");
    stage.put(&key, b"alive");
    let mut holds = [(); 2].map(|()| stage.open(&key, Access::Optimistic));
    for hold in &mut holds {
        stage.destroy(hold);
    }
    stage.assert_absent(&key, "it stays destroyed");
}

pub(in super::super) fn an_optimistic_destroy_ends_whatever_version_stands<S: Store>(
    stage: &Stage<S>,
) {
    let key = key("destroyed late");
    stage.put(&key, b"base");
    let mut hold = stage.open(&key, Access::Optimistic);
    stage.put(&key, b"newer");
    stage.destroy(&mut hold);
    stage.assert_absent(&key, "a logout is not undone by a commit that was faster");
}

pub(in super::super) fn a_hold_that_was_kept_commits_again_on_what_it_wrote<S: Store>(
    stage: &Stage<S>,
) {
    for writer in stage.writers() {
        let key = key(&format!("kept by {writer}"));
        let mut hold = stage.open(&key, writer);
        for version in 1..=5 {
            let payload = vec![b'x'; 200 * usize::try_from(version).expect("it is small")];
            let record = stage.commit_on(&mut hold, &payload, keeping()).expect("the hold goes on");
            assert_eq!(record.version, version, "each commit is a version ({writer})");
            assert_eq!(hold.payload(), payload);
        }
        let record = stage.commit(&mut hold, b"the last").expect("the hold goes on");
        assert_eq!(stage.seen(&key), Some((record, b"the last".to_vec())));
        let told = stage.commit(&mut hold, b"too late");
        assert_refused!(told, CommitError::Released, "the last commit released it");
    }
}

pub(in super::super) fn a_kept_optimistic_hold_still_meets_its_conflicts<S: Store>(
    stage: &Stage<S>,
) {
    let key = key("kept and contended");
    let mut hold = stage.open(&key, Access::Optimistic);
    stage.commit_on(&mut hold, b"mine", keeping()).expect("nobody else is at it");
    let other = stage.put(&key, b"other");
    let told = stage.commit_on(&mut hold, b"mine again", keeping());
    assert_refused!(told, CommitError::Conflict(_), "somebody else was faster");
    assert_eq!(stage.seen(&key), Some((other, b"other".to_vec())));
}
