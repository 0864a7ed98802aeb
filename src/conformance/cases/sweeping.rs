//! Giving back the space of expired sessions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::access::Access;
use crate::conformance::stage::{Stage, key, number};
use crate::record::Lifetime;
use crate::store::{Hold as _, Store, Swept, Terms};

pub(in super::super) fn a_sweep_removes_what_expired_and_nothing_else<S: Store>(stage: &Stage<S>) {
    // Long and short lives in both orders: what a sweep does about one session must not depend on
    // the one before.
    let lives = |index: u64| if index.is_multiple_of(3) { 10_000 } else { index };
    let names: Vec<_> = (1..=60).map(|index| key(&format!("session {index}"))).collect();
    for (index, key) in (1..).zip(&names) {
        let lifetime = Lifetime::default().idle(Duration::from_secs(lives(index)));
        stage.put_for(key, &number(index), lifetime);
    }
    assert_eq!(stage.sweep_all(1_000).removed, 0, "nothing has expired yet");
    stage.clock.advance(Duration::from_secs(30));
    let is_over = |index: u64| lives(index) <= 30;
    let over = (1..=60).filter(|index| is_over(*index)).count();
    let kept_until_swept = stage.open(&names[0], Access::Snapshot).expired();
    let swept = stage.sweep_all(1_000);
    assert_eq!((swept.in_use, swept.failed), (0, 0), "{swept:?}");
    if kept_until_swept {
        assert_eq!(swept.removed, over, "each one that expired is removed, once: {swept:?}");
    }
    for (index, key) in (1..).zip(&names) {
        let hold = stage.open(key, Access::Snapshot);
        assert_eq!(hold.record().is_none(), is_over(index), "session {index}");
        assert!(!hold.expired(), "of what was swept nothing is left");
        if !is_over(index) {
            assert_eq!(hold.payload(), number(index), "what lives is as it was");
        }
    }
    assert_eq!(stage.sweep_all(1_000).removed, 0, "a second sweep finds nothing");
}

pub(in super::super) fn a_sweep_goes_as_far_as_its_budget_and_on_from_there<S: Store>(
    stage: &Stage<S>,
) {
    for budget in [1, 7, 40, 100] {
        let names: Vec<_> =
            (0..40).map(|index| key(&format!("session {index} of {budget}"))).collect();
        for (index, key) in (0_u64..).zip(&names) {
            let seconds = if index.is_multiple_of(2) { 10 } else { 100_000 };
            stage.put_for(key, b"", Lifetime::default().idle(Duration::from_secs(seconds)));
        }
        stage.clock.advance(Duration::from_secs(10));
        // Asserts the budget at each step.
        let swept = stage.sweep_all(budget);
        assert!(swept.removed <= 20, "only what expired: {swept:?}");
        for (index, key) in (0_u64..).zip(&names) {
            let hold = stage.open(key, Access::Snapshot);
            assert_eq!(hold.record().is_none(), index.is_multiple_of(2));
            assert!(!hold.expired(), "a complete sweep has been everywhere (budget {budget})");
        }
    }
}

pub(in super::super) fn a_sweep_without_a_budget_does_nothing<S: Store>(stage: &Stage<S>) {
    stage.put_for(&key("expired"), b"", Lifetime::default().idle(Duration::from_secs(1)));
    stage.clock.advance(Duration::from_secs(1));
    let Swept { examined, removed, in_use, failed, .. } = stage.sweep(0);
    assert_eq!((examined, removed, in_use, failed), (0, 0, 0, 0));
}

pub(in super::super) fn a_sweep_of_an_empty_store_is_complete<S: Store>(stage: &Stage<S>) {
    for _ in 0..3 {
        let swept = stage.sweep(100);
        assert_eq!(swept, Swept { complete: true, ..Swept::default() });
    }
}

pub(in super::super) fn a_sweep_leaves_a_session_alone_that_is_held<S: Store>(stage: &Stage<S>) {
    for holder in stage.handles() {
        let key = key("held past its deadline");
        let stored =
            stage.put_for(&key, b"stored", Lifetime::default().idle(Duration::from_secs(1)));
        let mut hold = stage.open_in(holder, &key, Access::Exclusive);
        stage.clock.advance(Duration::from_secs(60));
        let swept = stage.sweep_all(100);
        assert_eq!(swept.removed, 0, "it is in use: {swept:?}");
        assert_eq!(swept.in_use, 1, "and the sweep says so: {swept:?}");
        let record = stage.commit(&mut hold, b"after the sweep");
        let record = record.unwrap_or_else(|error| panic!("the holder's commit stands: {error}"));
        assert_eq!((record.birth, record.version), (stored.birth, stored.version + 1));
        assert_eq!(stage.seen(&key), Some((record, b"after the sweep".to_vec())));
        stage.destroy_key(&key);
    }
}

pub(in super::super) fn a_sweep_removes_what_a_grace_left<S: Store>(stage: &Stage<S>) {
    let [old, new] = ["old", "new"].map(key);
    stage.put(&old, b"before");
    let mut hold = stage.open(&old, stage.writers()[0]);
    let grace = Duration::from_secs(60);
    stage.renew(&mut hold, &new, b"after", grace).expect("the new id is free");
    drop(hold);
    stage.sweep_all(100);
    assert!(stage.seen(&old).is_some(), "in its grace it is there");
    stage.clock.advance(grace);
    stage.sweep_all(100);
    assert!(!stage.open(&old, Access::Snapshot).expired(), "the sweep removed it");
    assert_eq!(stage.payload(&new).as_deref(), Some(&b"after"[..]));
}

pub(in super::super) fn no_session_is_lost_to_a_sweep_beside_it<S: Store>(stage: &Stage<S>) {
    const SESSIONS: u64 = 24;
    const ROUNDS: u64 = 12;
    let names: Vec<_> = (0..SESSIONS).map(|index| key(&format!("session {index}"))).collect();
    let brief = Lifetime::default().idle(Duration::from_secs(1));
    for round in 1..=ROUNDS {
        for key in &names {
            stage.put_for(key, b"brief", brief);
        }
        stage.clock.advance(Duration::from_secs(1));
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let sweeper = scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    stage.sweep(5);
                }
            });
            let writers = [0, 1].map(|half| {
                let names = &names;
                scope.spawn(move || {
                    for key in names.iter().skip(half).step_by(2) {
                        let mut hold = stage.open_in(stage.handle(half), key, stage.writers()[0]);
                        assert_eq!(hold.record(), None, "it has expired");
                        let created = stage.wait(hold.commit(&number(round), Terms::default()));
                        assert!(created.is_ok(), "a sweep is in nobody's way: {created:?}");
                    }
                })
            });
            let joined = writers.map(std::thread::ScopedJoinHandle::join);
            done.store(true, Ordering::Release);
            sweeper.join().expect("the sweeper goes on");
            joined.into_iter().for_each(|joined| joined.expect("the writers go on"));
        });
        stage.sweep_all(5);
        for key in &names {
            assert_eq!(stage.payload(key).as_deref(), Some(&number(round)[..]), "it was lost");
        }
    }
}
