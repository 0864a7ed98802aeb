//! The early exits, and what an error leaves.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::access::Access;
use crate::conformance::stage::{Stage, assert_refused, keeping, key};
use crate::error::{CommitError, OpenError};
use crate::limits::PAYLOAD_MAX;
use crate::store::{Hold as _, Store};

pub(in super::super) fn a_release_frees_at_once_and_what_was_read_stays_readable<S: Store>(
    stage: &Stage<S>,
) {
    let key = key("released");
    let stored = stage.put(&key, b"stored");
    for access in stage.accesses() {
        let mut hold = stage.open(&key, access);
        stage.release(&mut hold);
        for store in stage.handles() {
            let next = stage.try_open_in(store, &key, stage.accesses()[0]);
            assert!(next.is_ok(), "the first waiter goes on at once ({access})");
        }
        assert_eq!(hold.record(), Some(&stored), "what was read stays readable ({access})");
        assert_eq!(hold.payload(), b"stored", "what was read stays readable ({access})");
        stage.release(&mut hold);
        assert_eq!(hold.payload(), b"stored", "once more is no error ({access})");
    }
    assert_eq!(stage.seen(&key), Some((stored, b"stored".to_vec())), "a release writes nothing");
}

pub(in super::super) fn nothing_is_written_after_a_release<S: Store>(stage: &Stage<S>) {
    let [key, new] = [key("released"), key("renewed")];
    let stored = stage.put(&key, b"stored");
    for writer in stage.writers() {
        let mut hold = stage.open(&key, writer);
        stage.release(&mut hold);
        let commit = stage.commit(&mut hold, b"late");
        assert_refused!(commit, CommitError::Released, format!("a late commit ({writer})"));
        let destroy = stage.wait(hold.destroy());
        assert_refused!(destroy, CommitError::Released, format!("a late destroy ({writer})"));
        let renew = stage.renew(&mut hold, &new, b"late", Duration::ZERO);
        assert_refused!(renew, CommitError::Released, format!("a late renew ({writer})"));
        assert_eq!(stage.seen(&key), Some((stored, b"stored".to_vec())), "nothing was written");
        stage.assert_absent(&new, "nothing was renewed");
    }
}

pub(in super::super) fn nothing_is_written_after_the_hold_ended<S: Store>(stage: &Stage<S>) {
    for writer in stage.writers() {
        let [key, new] = ["old", "new"].map(|name| self::key(&format!("{name} {writer}")));
        let mut committed = stage.open(&key, writer);
        let record = stage.commit(&mut committed, b"committed").expect("it is free");
        let told = stage.commit(&mut committed, b"late");
        assert_refused!(told, CommitError::Released, "a commit releases");
        assert_eq!(stage.seen(&key), Some((record, b"committed".to_vec())));

        let mut renewed = stage.open(&key, writer);
        stage.renew(&mut renewed, &new, b"renewed", Duration::ZERO).expect("the new id is free");
        let told = stage.commit(&mut renewed, b"late");
        assert_refused!(told, CommitError::Released, "a renewal releases");
        stage.assert_absent(&key, "the old id is dead");

        let mut destroyed = stage.open(&new, writer);
        stage.destroy(&mut destroyed);
        let told = stage.commit(&mut destroyed, b"late");
        assert_refused!(told, CommitError::Released, "a destroy releases");
        stage.assert_absent(&new, "the session stays destroyed");
    }
}

pub(in super::super) fn every_way_out_frees_the_lock<S: Store>(stage: &Stage<S>) {
    type WayOut<S> = fn(&Stage<S>, <S as Store>::Hold);
    let ways: [(&str, WayOut<S>); 6] = [
        ("a drop", |_, hold| drop(hold)),
        ("a release", |stage, mut hold| stage.release(&mut hold)),
        ("a commit", |stage, mut hold| {
            stage.commit(&mut hold, b"committed").expect("it is ours");
        }),
        ("a kept commit and a drop", |stage, mut hold| {
            stage.commit_on(&mut hold, b"committed", keeping()).expect("it is ours");
        }),
        ("a destroy", |stage, mut hold| stage.destroy(&mut hold)),
        ("a renewal", |stage, mut hold| {
            let new = key(&format!("renewed {}", hold.record().is_some()));
            stage.renew(&mut hold, &new, b"", Duration::ZERO).expect("the new id is free");
        }),
    ];
    for stored in [true, false] {
        for (name, way_out) in ways {
            let key = key(&format!("left by {name}, {stored}"));
            if stored {
                stage.put(&key, b"stored");
            }
            way_out(stage, stage.open(&key, Access::Exclusive));
            for store in stage.handles() {
                let next = stage.try_open_in(store, &key, Access::Exclusive);
                assert!(next.is_ok(), "{name} frees the lock: {:?}", next.err());
            }
        }
    }
}

pub(in super::super) fn a_dropped_hold_writes_nothing<S: Store>(stage: &Stage<S>) {
    let [key, absent] = [key("dropped"), key("absent")];
    let stored = stage.put(&key, b"stored");
    for access in stage.accesses() {
        drop(stage.open(&key, access));
        drop(stage.open(&absent, access));
    }
    assert_eq!(stage.seen(&key), Some((stored, b"stored".to_vec())));
    stage.assert_absent(&absent, "a drop creates nothing");
}

pub(in super::super) fn a_panic_with_a_hold_frees_it_and_writes_nothing<S: Store>(
    stage: &Stage<S>,
) {
    let key = key("panicked");
    let stored = stage.put(&key, b"stored");
    for access in stage.accesses() {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _hold = stage.open(&key, access);
            // Without the hook's message: this one is no failure.
            std::panic::resume_unwind(Box::new("the handler failed"));
        }));
        assert!(panicked.is_err());
        for store in stage.handles() {
            assert!(stage.try_open_in(store, &key, stage.accesses()[0]).is_ok(), "it is free");
        }
    }
    assert_eq!(stage.seen(&key), Some((stored, b"stored".to_vec())), "nothing was written");
}

pub(in super::super) fn a_commit_that_keeps_the_hold_keeps_the_lock<S: Store>(stage: &Stage<S>) {
    for name in ["new", "stored"] {
        let key = key(name);
        if name == "stored" {
            stage.put(&key, b"stored");
        }
        let mut hold = stage.open(&key, Access::Exclusive);
        for length in [10, 10_000, 0] {
            stage.commit_on(&mut hold, &vec![b'x'; length], keeping()).expect("it is ours");
            for store in stage.handles() {
                let refused = stage.try_open_in(store, &key, Access::Exclusive);
                assert_refused!(refused, OpenError::LockTimeout(_), "the lock is kept");
            }
        }
        stage.release(&mut hold);
        assert!(stage.try_open(&key, Access::Exclusive).is_ok(), "until the release");
    }
}

pub(in super::super) fn a_failed_commit_leaves_the_old_value_and_the_hold_as_it_was<S: Store>(
    stage: &Stage<S>,
) {
    let too_large = vec![0; PAYLOAD_MAX + 1];
    for writer in stage.writers() {
        let key = key(&format!("too large for {writer}"));
        let stored = stage.put(&key, b"stored");
        let mut hold = stage.open(&key, writer);
        match stage.commit(&mut hold, &too_large) {
            Err(CommitError::TooLarge { bytes, limit }) => {
                assert_eq!(bytes, too_large.len(), "the error names the size");
                assert!(limit <= PAYLOAD_MAX, "the error names the limit");
            }
            other => panic!("a payload beyond every limit is refused, got {other:?}"),
        }
        let renewed = self::key(&format!("renewed {writer}"));
        let told = stage.renew(&mut hold, &renewed, &too_large, Duration::ZERO);
        assert_refused!(told, CommitError::TooLarge { .. }, "so is one in a renewal");
        stage.assert_absent_by_look(&renewed, "and nothing is renewed");
        assert_eq!(hold.record(), Some(&stored), "the hold shows what it read");
        assert_eq!(stage.seen(&key), Some((stored, b"stored".to_vec())), "the old value stands");
        if writer == Access::Exclusive {
            let refused = stage.try_open(&key, Access::Exclusive);
            assert_refused!(refused, OpenError::LockTimeout(_), "the lock is kept");
        }
        let again = stage.commit(&mut hold, b"smaller");
        assert!(again.is_ok(), "the commit can be tried again: {again:?}");
    }
}
