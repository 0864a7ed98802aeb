//! Many at once: nobody's update is lost, and of those who race for one thing one wins.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::access::{Access, Calling};
use crate::conformance::stage::{Stage, key, number, to_number};
use crate::error::{CommitError, OpenError};
use crate::id::Key;
use crate::store::{Hold as _, OpenRequest, Store, Terms};

pub(in super::super) fn no_exclusive_update_is_lost<S: Store>(stage: &Stage<S>) {
    let key = key("counted exclusively");
    let inside = AtomicBool::new(false);
    in_threads(|thread| {
        for _ in 0..UPDATES {
            increment_alone(stage, thread, &key, &inside);
        }
    });
    assert_counted(stage, &key, THREADS * UPDATES);
}

pub(in super::super) fn no_optimistic_update_is_lost<S: Store>(stage: &Stage<S>) {
    let key = key("counted optimistically");
    in_threads(|thread| {
        for _ in 0..UPDATES {
            increment_optimistically(stage, thread, &key);
        }
    });
    assert_counted(stage, &key, THREADS * UPDATES);
}

pub(in super::super) fn no_update_is_lost_between_exclusive_and_optimistic_users<S: Store>(
    stage: &Stage<S>,
) {
    let key = key("counted by both");
    let inside = AtomicBool::new(false);
    in_threads(|thread| {
        for _ in 0..UPDATES {
            if thread.is_multiple_of(2) {
                increment_alone(stage, thread, &key, &inside);
            } else {
                increment_optimistically(stage, thread, &key);
            }
        }
    });
    assert_counted(stage, &key, THREADS * UPDATES);
}

pub(in super::super) fn of_many_creators_exactly_one_creates<S: Store>(stage: &Stage<S>) {
    for round in 0..20 {
        let key = key(&format!("created in round {round}"));
        let together = Barrier::new(THREADS);
        let created = in_threads(|thread| {
            let mut hold = stage.open_in(stage.handle(thread), &key, Access::Optimistic);
            assert_eq!(hold.record(), None);
            together.wait();
            match stage.commit(&mut hold, &number(thread as u64)) {
                Ok(record) => Some((thread as u64, record)),
                Err(CommitError::AlreadyExists { .. }) => None,
                Err(error) => panic!("another creator was first: {error}"),
            }
        });
        let created: Vec<_> = created.into_iter().flatten().collect();
        let [(creator, record)] = created[..] else { panic!("{created:?} all created it") };
        assert_eq!(stage.seen(&key), Some((record, number(creator).to_vec())));
    }
}

pub(in super::super) fn of_many_commits_on_one_version_exactly_one_wins<S: Store>(
    stage: &Stage<S>,
) {
    for round in 0..20 {
        let key = key(&format!("contended in round {round}"));
        stage.put(&key, b"base");
        let together = Barrier::new(THREADS);
        let won = in_threads(|thread| {
            let mut hold = stage.open_in(stage.handle(thread), &key, Access::Optimistic);
            together.wait();
            match stage.commit(&mut hold, &number(thread as u64)) {
                Ok(record) => Some((thread as u64, record)),
                Err(CommitError::Conflict(_)) => None,
                Err(error) => panic!("another commit was first: {error}"),
            }
        });
        let won: Vec<_> = won.into_iter().flatten().collect();
        let [(winner, record)] = won[..] else { panic!("{won:?} all won") };
        assert_eq!(record.version, 2);
        assert_eq!(stage.seen(&key), Some((record, number(winner).to_vec())));
    }
}

pub(in super::super) fn of_many_renewals_of_one_session_exactly_one_wins<S: Store>(
    stage: &Stage<S>,
) {
    for (round, grace) in (0..20).zip([Duration::ZERO, Duration::from_secs(60)].iter().cycle()) {
        let old = key(&format!("renewed in round {round}"));
        let new = |thread: usize| key(&format!("successor {thread} of round {round}"));
        stage.put(&old, b"before");
        let together = Barrier::new(THREADS);
        let won = in_threads(|thread| {
            let mut hold = stage.open_in(stage.handle(thread), &old, Access::Optimistic);
            together.wait();
            match stage.renew(&mut hold, &new(thread), b"after", *grace) {
                Ok(_) => true,
                Err(CommitError::Gone { .. }) if grace.is_zero() => false,
                Err(CommitError::Retired { .. }) if !grace.is_zero() => false,
                Err(error) => panic!("another renewal was first: {error}"),
            }
        });
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "one session has one successor");
        for (thread, won) in won.into_iter().enumerate() {
            assert_eq!(stage.seen(&new(thread)).is_some(), won);
        }
    }
}

pub(in super::super) fn no_commit_that_races_a_destroy_raises_the_session<S: Store>(
    stage: &Stage<S>,
) {
    for round in 0..40 {
        let key = key(&format!("destroyed in round {round}"));
        let first = stage.put(&key, b"alive");
        let together = Barrier::new(THREADS);
        in_threads(|thread| {
            let store = stage.handle(thread);
            let writers = stage.writers();
            let mut hold = stage.open_in(store, &key, Access::Optimistic);
            together.wait();
            if thread == 0 {
                stage.destroy(&mut hold);
                let seen = stage.seen(&key);
                assert_eq!(seen, None, "who destroyed a session sees it no more");
                return;
            }
            loop {
                match stage.commit(&mut hold, &[b'x'; 700]) {
                    Err(CommitError::Gone { .. }) => break,
                    Ok(_) | Err(CommitError::Conflict(_)) => {}
                    Err(error) => panic!("it is alive or gone: {error}"),
                }
                let request = stage.request(writers[thread % writers.len()]);
                match stage.wait(store.open(&key, request)) {
                    Ok(next) if next.record().is_none() => break,
                    Ok(next) => {
                        let birth = next.record().map(|record| record.birth);
                        assert_eq!(birth, Some(first.birth), "nobody creates it anew");
                        hold = next;
                    }
                    Err(OpenError::Gone { .. }) => break,
                    Err(error) => panic!("it is alive or gone: {error}"),
                }
            }
        });
        stage.assert_absent(&key, "it stays destroyed");
    }
}

/// Adds 1 under an exclusive lock, and asserts that nobody else is in.
fn increment_alone<S: Store>(stage: &Stage<S>, thread: usize, key: &Key, inside: &AtomicBool) {
    let store = stage.handle(thread / 2);
    // Threads and tasks stand in one queue.
    let calling = if thread.is_multiple_of(2) { stage.calling } else { Calling::Async };
    loop {
        let hold = stage.wait(store.open(key, OpenRequest::new(Access::Exclusive, calling)));
        let mut hold = hold.unwrap_or_else(|error| panic!("everybody gets a turn: {error}"));
        // Of an absent session two handles may both be in; then the second creator is told.
        let exists = hold.record().is_some();
        if exists {
            assert!(!inside.swap(true, Ordering::AcqRel), "two exclusive holders are in");
        }
        let count = to_number(hold.payload()) + 1;
        if exists {
            thread::yield_now();
            assert!(inside.swap(false, Ordering::AcqRel), "somebody else was in");
        }
        match stage.commit(&mut hold, &number(count)) {
            Ok(_) => return,
            Err(CommitError::AlreadyExists { .. }) if !exists => {}
            Err(error) => panic!("an exclusive commit stands: {error}"),
        }
    }
}

fn increment_optimistically<S: Store>(stage: &Stage<S>, thread: usize, key: &Key) {
    for _ in 0..100_000 {
        let mut hold = stage.open_in(stage.handle(thread), key, Access::Optimistic);
        let count = to_number(hold.payload()) + 1;
        match stage.wait(hold.commit(&number(count), Terms::default())) {
            Ok(_) => return,
            Err(CommitError::Conflict(_) | CommitError::AlreadyExists { .. }) => {}
            Err(error) => panic!("an update is done or has a conflict: {error}"),
        }
    }
    panic!("100,000 tries in a row had a conflict");
}

#[track_caller]
fn assert_counted<S: Store>(stage: &Stage<S>, key: &Key, expected: usize) {
    let (record, payload) = stage.seen(key).expect("it was counted");
    assert_eq!(to_number(&payload), expected as u64, "updates were lost");
    assert_eq!(record.version, expected as u64, "each update is a version");
}

/// Does `work` in `THREADS` threads at once.
fn in_threads<T: Send>(work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> =
            (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
        // All end before the first panic goes on, or the message would be the scope's.
        let results: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        let results = results
            .into_iter()
            .map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        results.collect()
    })
}

const THREADS: usize = 4;
const UPDATES: usize = 60;
