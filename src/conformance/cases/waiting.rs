//! Waiting for a lock: in order, bounded, with a deadline, and cancelled without a trace.

use std::task::Poll;
use std::thread;
use std::time::Duration;

use crate::access::{Access, Calling};
use crate::conformance::stage::{Stage, assert_refused, key};
use crate::error::{LockTimeout, OpenError};
use crate::store::{Hold as _, OpenRequest, Store};

pub(in super::super) fn a_lock_timeout_names_the_holder_its_label_and_since_when<S: Store>(
    stage: &Stage<S>,
) {
    let key = key("held");
    for stored in [false, true] {
        if stored {
            stage.put(&key, b"stored");
        }
        let request = stage.request(Access::Exclusive).label("GET /slow");
        let _hold =
            stage.wait(stage.store().open(&key, request)).map_err(|error| error.to_string());
        for calling in [stage.calling, Calling::Async] {
            for wait in [Duration::ZERO, Duration::from_millis(20)] {
                let request = OpenRequest::new(Access::Exclusive, calling).wait(wait);
                let timeout = match stage.wait(stage.store().open(&key, request)) {
                    Err(OpenError::LockTimeout(timeout)) => timeout,
                    other => panic!("the deadline passed, got {:?}", other.map(drop)),
                };
                assert_eq!(timeout.key, key);
                assert!(timeout.waited >= wait, "it waited as long as it was told to");
                let text = timeout.to_string();
                let LockTimeout { holder: Some(holder), .. } = timeout else {
                    panic!("the error names the holder: {text}");
                };
                assert_eq!(holder.pid, std::process::id());
                assert_eq!(holder.label.as_deref(), Some("GET /slow"));
                assert!(holder.held.is_some(), "the error says since when: {text}");
                assert!(text.contains("GET /slow") && text.contains(&holder.pid.to_string()));
            }
        }
    }
}

pub(in super::super) fn a_wait_that_times_out_leaves_the_holder_and_the_queue_alone<S: Store>(
    stage: &Stage<S>,
) {
    for store in stage.handles() {
        let key = key("timed out");
        let stored = stage.put(&key, b"stored");
        let hold = stage.open(&key, Access::Exclusive);
        let request = OpenRequest::new(Access::Exclusive, Calling::Async);
        let brief = stage.task(store.open(&key, request.wait(Duration::from_millis(20))));
        let mut patient = stage.opening(store, &key, Access::Exclusive);
        assert_refused!(
            brief.finish("the deadline passes"),
            OpenError::LockTimeout(_),
            "the deadline passed"
        );
        patient.assert_waits("the session is held still");
        drop(hold);
        let next = patient.finish("the holder is gone").map_err(|error| error.to_string());
        let next = next.unwrap_or_else(|error| panic!("the next one goes on: {error}"));
        assert_eq!(next.record(), Some(&stored));
    }
}

pub(in super::super) fn waiters_are_served_in_the_order_they_came<S: Store>(stage: &Stage<S>) {
    for stored in [true, false] {
        let key = key(&format!("queued for, stored: {stored}"));
        if stored {
            stage.put(&key, b"stored");
        }
        let hold = stage.open(&key, Access::Exclusive);
        let mut waiters: Vec<_> = (0..12)
            .map(|number| {
                let mut waiter = stage.opening(stage.store(), &key, Access::Exclusive);
                waiter.assert_waits(&format!("waiter {number} waits for the holder"));
                stage.settle();
                waiter
            })
            .collect();
        let mut holder = hold;
        let mut number = 0;
        while !waiters.is_empty() {
            drop(holder);
            for later in waiters.iter_mut().skip(1) {
                later.assert_waits(&format!("nobody goes before waiter {number}"));
            }
            let next = waiters.remove(0).finish("the first in the queue goes on");
            holder = next.unwrap_or_else(|error| panic!("waiter {number} goes on: {error}"));
            for later in &mut waiters {
                later.assert_waits(&format!("nobody goes beside waiter {number}"));
            }
            number += 1;
        }
    }
}

pub(in super::super) fn a_reader_does_not_overtake_a_waiting_writer<S: Store>(stage: &Stage<S>) {
    let key = key("read and written");
    stage.put(&key, b"stored");
    let reading = stage.open(&key, Access::Shared);
    let mut writer = stage.opening(stage.store(), &key, Access::Exclusive);
    writer.assert_waits("a reader is in");
    stage.settle();
    let mut readers = [(); 3].map(|()| stage.opening(stage.store(), &key, Access::Shared));
    for reader in &mut readers {
        reader.assert_waits("a writer came before");
    }
    stage.settle();
    drop(reading);
    let writing = writer.finish("the reader is gone");
    let writing = writing.unwrap_or_else(|error| panic!("the writer goes first: {error}"));
    for reader in &mut readers {
        reader.assert_waits("the writer is in");
    }
    drop(writing);
    let readers = readers.map(|reader| reader.finish("the writer is gone"));
    for reader in &readers {
        if let Err(error) = reader {
            panic!("the readers go on: {error}");
        }
    }
}

pub(in super::super) fn a_waiter_sees_what_was_committed_while_it_waited<S: Store>(
    stage: &Stage<S>,
) {
    for store in stage.handles() {
        for access in locks(stage) {
            for (before, after) in [(10, 20), (10, 50_000), (0, 0)] {
                let key = key(&format!("waited for {access} {after}"));
                stage.put(&key, &vec![b'a'; before]);
                let mut hold = stage.open(&key, Access::Exclusive);
                let mut waiter = stage.opening(store, &key, access);
                waiter.assert_waits("the session is held");
                stage.settle();
                let written = stage.commit(&mut hold, &vec![b'b'; after]).expect("it is ours");
                let next = waiter.finish("the holder is gone");
                let next = next.unwrap_or_else(|error| panic!("the waiter goes on: {error}"));
                assert_eq!(next.record(), Some(&written), "it sees the commit it waited for");
                assert_eq!(next.payload(), vec![b'b'; after], "it sees the commit it waited for");
            }
        }
    }
}

pub(in super::super) fn a_waiter_for_a_new_session_sees_the_first_commit<S: Store>(
    stage: &Stage<S>,
) {
    let key = key("new");
    let mut hold = stage.open(&key, Access::Exclusive);
    let mut waiter = stage.opening(stage.store(), &key, Access::Exclusive);
    waiter.assert_waits("the new session is held");
    stage.settle();
    let written = stage.commit(&mut hold, b"first").expect("it is ours");
    let next = waiter.finish("the holder is gone");
    let next = next.unwrap_or_else(|error| panic!("the waiter goes on: {error}"));
    assert_eq!(next.record(), Some(&written));
    assert_eq!(next.payload(), b"first");
}

pub(in super::super) fn everybody_who_waits_for_a_destroyed_session_is_told_that_it_is_gone<
    S: Store,
>(
    stage: &Stage<S>,
) {
    for store in stage.handles() {
        for access in locks(stage) {
            let key = key(&format!("destroyed under {access}"));
            stage.put(&key, b"the data of a user who logs out");
            let mut hold = stage.open(&key, Access::Exclusive);
            let mut waiters = [(); 3].map(|()| stage.opening(store, &key, access));
            for waiter in &mut waiters {
                waiter.assert_waits("the session is held");
            }
            stage.settle();
            stage.destroy(&mut hold);
            for waiter in waiters {
                let told = waiter.finish("the session is gone");
                assert_refused!(told, OpenError::Gone { .. }, "a waiter never sees the old data");
            }
            stage.assert_absent(&key, "it stays destroyed");
        }
    }
}

pub(in super::super) fn who_waits_while_a_session_is_destroyed_and_recreated_never_sees_the_old_one<
    S: Store,
>(
    stage: &Stage<S>,
) {
    for store in stage.handles() {
        let key = key("destroyed and recreated");
        stage.put(&key, b"old");
        let mut hold = stage.open(&key, Access::Exclusive);
        let mut waiter = stage.opening(store, &key, Access::Exclusive);
        waiter.assert_waits("the session is held");
        stage.settle();
        stage.destroy(&mut hold);
        thread::scope(|scope| {
            let waiting = scope.spawn(move || match waiter.finish("the old session is gone") {
                Err(OpenError::Gone { .. }) => {}
                Ok(hold) => assert_ne!(hold.payload(), b"old", "the old session is never shown"),
                Err(error) => panic!("the session is gone, or another one: {error}"),
            });
            // The waiter may be in before the first commit; then that one waits for it.
            let mut again = stage.open(&key, Access::Optimistic);
            let told = stage.commit(&mut again, b"new");
            waiting.join().expect("a waiter never sees the old session");
            assert!(told.is_ok(), "the id is free: {told:?}");
        });
        stage.destroy_key(&key);
    }
}

pub(in super::super) fn the_number_of_waiters_is_bounded<S: Store>(stage: &Stage<S>) {
    let key = key("crowded");
    stage.put(&key, b"stored");
    let hold = stage.open(&key, Access::Exclusive);
    let mut waiters = Vec::new();
    let told = loop {
        assert!(waiters.len() < 100_000, "somebody is refused some time");
        let mut waiter = stage.opening(stage.store(), &key, Access::Exclusive);
        match waiter.poll() {
            Poll::Pending => waiters.push(waiter),
            Poll::Ready(Ok(_)) => panic!("the session is held"),
            Poll::Ready(Err(error)) => break error,
        }
    };
    match told {
        OpenError::TooManyWaiters { key: of, limit } => {
            assert_eq!((of, limit), (key, waiters.len()), "the error names session and limit");
        }
        error => panic!("one too many is told so: {error}"),
    }
    assert!(stage.try_open(&self::key("another"), Access::Exclusive).is_ok(), "not elsewhere");
    let first = waiters.remove(0);
    drop(hold);
    assert!(first.finish("the holder is gone").is_ok(), "the others wait on");
    drop(waiters);
    let again = stage.open(&key, Access::Exclusive);
    let mut waiter = stage.opening(stage.store(), &key, Access::Exclusive);
    waiter.assert_waits("those who gave up take no place");
    drop(again);
}

pub(in super::super) fn a_cancelled_wait_leaves_nothing_behind<S: Store>(stage: &Stage<S>) {
    for store in stage.handles() {
        for access in locks(stage) {
            for cancelled in ["before its first poll", "while it waits", "after its grant"] {
                let key = key(&format!("{access} cancelled {cancelled}"));
                let stored = stage.put(&key, b"stored");
                let mut hold = Some(stage.open(&key, Access::Exclusive));
                let mut waiter = stage.opening(store, &key, access);
                if cancelled != "before its first poll" {
                    waiter.assert_waits("the session is held");
                    stage.settle();
                }
                if cancelled == "after its grant" {
                    drop(hold.take());
                    waiter.assert_woken("the holder is gone");
                }
                drop(waiter);
                drop(hold.take());
                for store in stage.handles() {
                    let next = stage.open_in(store, &key, Access::Exclusive);
                    assert_eq!(next.record(), Some(&stored), "{access} cancelled {cancelled}");
                }
            }
        }
    }
}

pub(in super::super) fn a_waiter_that_is_cancelled_after_its_grant_passes_the_lock_on<S: Store>(
    stage: &Stage<S>,
) {
    for store in stage.handles() {
        for access in locks(stage) {
            let key = key(&format!("passed on by {access}"));
            stage.put(&key, b"stored");
            let hold = stage.open(&key, Access::Exclusive);
            let mut first = stage.opening(store, &key, access);
            first.assert_waits("the session is held");
            stage.settle();
            let mut second = stage.opening(store, &key, Access::Exclusive);
            second.assert_waits("the session is held");
            stage.settle();
            drop(hold);
            first.assert_woken("the holder is gone");
            drop(first);
            let next = second.finish("the one before was cancelled");
            assert!(next.is_ok(), "the next one goes on: {:?}", next.err());
        }
    }
}

pub(in super::super) fn a_cancelled_commit_happens_as_a_whole_or_not_at_all<S: Store>(
    stage: &Stage<S>,
) {
    for writer in stage.writers() {
        for polls in 0..3 {
            for length in [20, 30_000] {
                let key = key(&format!("{writer}, {polls} polls, {length} bytes"));
                let stored = stage.put(&key, b"old");
                let request = OpenRequest::new(writer, Calling::Async);
                let hold = stage.wait(stage.store().open(&key, request));
                let mut hold = hold.unwrap_or_else(|error| panic!("it is free: {error}"));
                let new = vec![b'n'; length];
                let mut commit = stage.task(hold.commit(&new, crate::Terms::default()));
                for _ in 0..polls {
                    if commit.poll().is_ready() {
                        break;
                    }
                }
                drop(commit);
                drop(hold);
                // Whoever has the lock sees what is going to stay.
                let next = stage.open(&key, stage.accesses()[0]);
                let seen = next.record().map(|record| (record.birth, record.version));
                let old = (stored.birth, stored.version);
                match next.payload() {
                    b"old" => assert_eq!(seen, Some(old)),
                    payload if payload == new => assert_eq!(seen, Some((old.0, old.1 + 1))),
                    payload => panic!("{} bytes are neither old nor new", payload.len()),
                }
            }
        }
    }
}

pub(in super::super) fn a_commit_that_is_cancelled_while_it_waits_writes_nothing<S: Store>(
    stage: &Stage<S>,
) {
    let key = key("cancelled behind a holder");
    let stored = stage.put(&key, b"stored");
    let hold = stage.open(&key, Access::Exclusive);
    let request = OpenRequest::new(Access::Optimistic, Calling::Async);
    let beside = stage.wait(stage.store().open(&key, request));
    let mut beside = beside.unwrap_or_else(|error| panic!("it never waits: {error}"));
    let mut commit = stage.task(beside.commit(b"beside", crate::Terms::default()));
    commit.assert_waits("somebody holds the session exclusively");
    stage.settle();
    drop(commit);
    drop(beside);
    drop(hold);
    let next = stage.open(&key, Access::Exclusive);
    assert_eq!(next.record(), Some(&stored));
    assert_eq!(next.payload(), b"stored");
}

/// The accesses with a lock that this store offers.
fn locks<S: Store>(stage: &Stage<S>) -> Vec<Access> {
    [Access::Exclusive, Access::Shared].into_iter().filter(|access| stage.offers(*access)).collect()
}
