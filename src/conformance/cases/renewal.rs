//! A new id for a session, as at login.

use std::time::Duration;

use crate::access::Access;
use crate::conformance::stage::{Stage, assert_refused, if_alive, key};
use crate::error::{CommitError, OpenError};
use crate::record::Lifetime;
use crate::store::{Hold as _, Store, Terms};

pub(in super::super) fn a_renewed_session_lives_on_under_the_new_id_alone<S: Store>(
    stage: &Stage<S>,
) {
    for writer in stage.writers() {
        let [old, new] = ["old", "new"].map(|name| key(&format!("{name} by {writer}")));
        let first = stage.put(&old, b"anonymous");
        let before = stage.put(&old, b"anonymous, twice");
        stage.clock.advance(Duration::from_secs(5));
        let mut hold = stage.open(&old, writer);
        let after = stage.renew(&mut hold, &new, b"logged in", Duration::ZERO);
        let after = after.expect("the new id is free");
        assert_eq!(after.version, 1, "the new id starts at version 1");
        assert_ne!(after.birth, before.birth, "with a birth of its own");
        assert_eq!(after.created, first.created, "the session was created when it was created");
        assert_eq!(after.accessed, stage.now());
        assert_eq!(after.retired_until, None);
        assert_eq!(stage.seen(&new), Some((after, b"logged in".to_vec())));
        stage.assert_absent(&old, "the old id is dead");
        let next = stage.put(&new, b"next");
        assert_eq!((next.birth, next.version, next.created), (after.birth, 2, first.created));
    }
}

pub(in super::super) fn a_new_session_can_be_renewed<S: Store>(stage: &Stage<S>) {
    for writer in stage.writers() {
        for grace in [Duration::ZERO, GRACE] {
            let [old, new] = ["old", "new"].map(|name| key(&format!("{name} {writer} {grace:?}")));
            let mut hold = stage.open(&old, writer);
            let record = stage.renew(&mut hold, &new, b"stored", grace).expect("both are free");
            assert_eq!((record.version, record.created), (1, stage.now()));
            assert_eq!(stage.seen(&new), Some((record, b"stored".to_vec())));
            drop(hold);
            stage.assert_absent(&old, "the old id was never stored");
        }
    }
}

pub(in super::super) fn in_its_grace_the_old_id_serves_what_was_committed_before_and_is_read_only<
    S: Store,
>(
    stage: &Stage<S>,
) {
    for writer in stage.writers() {
        let [old, new] = ["old", "new"].map(|name| key(&format!("{name} by {writer}")));
        let before = stage.put(&old, b"before");
        let mut late = stage.open(&old, Access::Optimistic);
        let mut hold = stage.open(&old, writer);
        let end = stage.now().plus(GRACE);
        stage.renew(&mut hold, &new, b"after", GRACE).expect("the new id is free");
        drop(hold);
        for store in stage.handles() {
            for access in stage.accesses() {
                let hold = stage.open_in(store, &old, access);
                let record = hold.record().expect("in its grace the old id is there");
                assert_eq!(hold.payload(), b"before", "what was committed before ({access})");
                assert_eq!((record.birth, record.version), (before.birth, before.version));
                assert_eq!(record.retired_until, Some(end), "the record says until when");
            }
        }
        for terms in [Terms::default(), if_alive()] {
            let told = stage.commit_on(&mut late, b"late", terms);
            assert_refused!(told, CommitError::Retired { .. }, "a commit that was under way");
        }
        for writer in stage.writers() {
            let mut hold = stage.open(&old, writer);
            let told = stage.commit(&mut hold, b"written");
            assert_refused!(told, CommitError::Retired { .. }, format!("a commit ({writer})"));
            let told = stage.renew(&mut hold, &key("third"), b"renewed", Duration::ZERO);
            assert_refused!(told, CommitError::Retired { .. }, format!("a renewal ({writer})"));
        }
        stage.assert_absent(&key("third"), "nothing was renewed");
        assert_eq!(stage.payload(&old).as_deref(), Some(&b"before"[..]));
        assert_eq!(stage.payload(&new).as_deref(), Some(&b"after"[..]));
        stage.clock.advance(GRACE - Duration::from_millis(1));
        stage.touch(&mut stage.open(&old, stage.accesses()[0]));
        assert!(stage.seen(&old).is_some(), "a millisecond before the grace ends");
        stage.clock.advance(Duration::from_millis(1));
        stage.assert_absent(&old, "the grace has ended, and a touch did not extend it");
        assert_eq!(stage.payload(&new).as_deref(), Some(&b"after"[..]), "the new id lives on");
    }
}

pub(in super::super) fn a_grace_does_not_outlive_the_session<S: Store>(stage: &Stage<S>) {
    let [old, new] = ["old", "new"].map(key);
    let lifetime = Lifetime::default().idle(GRACE / 2);
    stage.put_for(&old, b"before", lifetime);
    let mut hold = stage.open(&old, stage.writers()[0]);
    stage.renew(&mut hold, &new, b"after", GRACE).expect("the new id is free");
    drop(hold);
    stage.clock.advance(GRACE / 2);
    stage.assert_absent(&old, "its own deadline comes first");
}

pub(in super::super) fn a_retired_id_can_be_destroyed_and_the_new_one_lives_on<S: Store>(
    stage: &Stage<S>,
) {
    let [old, new] = ["old", "new"].map(key);
    stage.put(&old, b"before");
    let mut hold = stage.open(&old, stage.writers()[0]);
    stage.renew(&mut hold, &new, b"after", GRACE).expect("the new id is free");
    drop(hold);
    stage.destroy_key(&old);
    stage.assert_absent(&old, "a destroy ends the grace");
    assert_eq!(stage.payload(&new).as_deref(), Some(&b"after"[..]));
    let again = stage.put(&old, b"again");
    assert_eq!((again.version, again.retired_until), (1, None), "the id is free again");
}

pub(in super::super) fn who_waits_for_an_id_that_is_renewed_is_told_that_it_is_gone<S: Store>(
    stage: &Stage<S>,
) {
    for store in stage.handles() {
        let [old, new] = ["old", "new"].map(key);
        stage.put(&old, b"before");
        let mut hold = stage.open(&old, Access::Exclusive);
        let mut waiter = stage.opening(store, &old, Access::Exclusive);
        waiter.assert_waits("the session is held");
        stage.settle();
        stage.renew(&mut hold, &new, b"after", Duration::ZERO).expect("the new id is free");
        let told = waiter.finish("the old id is dead");
        assert_refused!(told, OpenError::Gone { .. }, "a waiter never sees the old data");
        stage.destroy_key(&new);
    }
}

pub(in super::super) fn who_waits_for_an_id_that_is_renewed_with_grace_may_read_it<S: Store>(
    stage: &Stage<S>,
) {
    for store in stage.handles() {
        let [old, new] = ["old", "new"].map(key);
        stage.put(&old, b"before");
        let mut hold = stage.open(&old, Access::Exclusive);
        let mut waiter = stage.opening(store, &old, Access::Exclusive);
        waiter.assert_waits("the session is held");
        stage.settle();
        stage.renew(&mut hold, &new, b"after", GRACE).expect("the new id is free");
        let late = waiter.finish("the holder is gone");
        let mut late = late.unwrap_or_else(|error| panic!("the grace is for it: {error}"));
        assert_eq!(late.payload(), b"before");
        let told = stage.commit(&mut late, b"late");
        assert_refused!(told, CommitError::Retired { .. }, "it may only read");
        drop(late);
        stage.destroy_key(&old);
        stage.destroy_key(&new);
    }
}

pub(in super::super) fn a_renewal_onto_a_session_that_exists_changes_neither<S: Store>(
    stage: &Stage<S>,
) {
    for writer in stage.writers() {
        for grace in [Duration::ZERO, GRACE] {
            let [old, new] = ["old", "new"].map(|name| key(&format!("{name} {writer} {grace:?}")));
            let mine = stage.put(&old, b"mine");
            let other = stage.put(&new, b"somebody else's");
            let mut hold = stage.open(&old, writer);
            match stage.renew(&mut hold, &new, b"mine, renewed", grace) {
                Err(CommitError::AlreadyExists { key }) => assert_eq!(key, new),
                other => panic!("the new id is taken, got {other:?}"),
            }
            assert_eq!(stage.seen(&old), Some((mine, b"mine".to_vec())));
            assert_eq!(stage.seen(&new), Some((other, b"somebody else's".to_vec())));
            if writer == Access::Exclusive {
                let refused = stage.try_open(&old, Access::Exclusive);
                assert_refused!(refused, OpenError::LockTimeout(_), "the lock is kept");
            }
            let told = stage.commit(&mut hold, b"mine, changed");
            assert!(told.is_ok(), "the hold stands as before: {told:?}");
        }
    }
}

pub(in super::super) fn a_renewal_onto_a_session_that_expired_replaces_it<S: Store>(
    stage: &Stage<S>,
) {
    let [old, new] = ["old", "new"].map(key);
    stage.put_for(&new, b"expired", Lifetime::default().idle(Duration::from_secs(1)));
    stage.clock.advance(Duration::from_secs(1));
    stage.put(&old, b"mine");
    let mut hold = stage.open(&old, stage.writers()[0]);
    let record = stage.renew(&mut hold, &new, b"renewed", Duration::ZERO);
    let record = record.unwrap_or_else(|error| panic!("expired is absent: {error}"));
    assert_eq!(stage.seen(&new), Some((record, b"renewed".to_vec())));
}

pub(in super::super) fn an_optimistic_renewal_after_another_commit_is_a_conflict<S: Store>(
    stage: &Stage<S>,
) {
    for grace in [Duration::ZERO, GRACE] {
        let [old, new] = ["old", "new"].map(|name| key(&format!("{name} {grace:?}")));
        stage.put(&old, b"before");
        let mut late = stage.open(&old, Access::Optimistic);
        let other = stage.put(&old, b"other");
        let told = stage.renew(&mut late, &new, b"late", grace);
        assert_refused!(told, CommitError::Conflict(_), "the other commit would be lost");
        assert_eq!(stage.seen(&old), Some((other, b"other".to_vec())));
        stage.assert_absent(&new, "nothing was renewed");
    }
}

pub(in super::super) fn of_two_renewals_of_one_session_the_second_is_refused<S: Store>(
    stage: &Stage<S>,
) {
    for grace in [Duration::ZERO, GRACE] {
        let [old, new, other] = ["a", "b", "c"].map(|name| key(&format!("{name} {grace:?}")));
        stage.put(&old, b"before");
        let mut holds = [(); 2].map(|()| stage.open(&old, Access::Optimistic));
        stage.renew(&mut holds[0], &new, b"first", grace).expect("it is the first");
        let told = stage.renew(&mut holds[1], &other, b"second", grace);
        if grace.is_zero() {
            assert_refused!(told, CommitError::Gone { .. }, "the old id is dead");
        } else {
            assert_refused!(told, CommitError::Retired { .. }, "the old id is read-only");
        }
        stage.assert_absent(&other, "one session has one successor");
        assert_eq!(stage.payload(&new).as_deref(), Some(&b"first"[..]));
    }
}

const GRACE: Duration = Duration::from_secs(60);
