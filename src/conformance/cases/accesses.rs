//! The matrix of accesses: who waits for whom, and who may write.

use std::time::Duration;

use crate::access::Access;
use crate::conformance::stage::{Stage, assert_refused, keeping, key};
use crate::error::{CommitError, OpenError};
use crate::store::{Hold as _, Store};

pub(in super::super) fn an_access_that_is_not_offered_is_refused_with_the_alternatives<S: Store>(
    stage: &Stage<S>,
) {
    assert!(!stage.accesses().is_empty(), "a store offers an access");
    for access in Access::ALL.into_iter().filter(|access| !stage.offers(*access)) {
        stage.assert_unsupported(access);
    }
    for access in stage.accesses() {
        assert_eq!(stage.open(&key("any"), access).access(), access, "what is offered is granted");
    }
}

pub(in super::super) fn an_exclusive_holder_excludes_every_other_lock<S: Store>(stage: &Stage<S>) {
    for (here, there) in pairs(stage) {
        let key = key("locked");
        stage.put(&key, b"stored");
        let hold = stage.open_in(here, &key, Access::Exclusive);
        for access in locks(stage) {
            let refused = stage.try_open_in(there, &key, access);
            assert_refused!(refused, OpenError::LockTimeout(_), format!("{access} is excluded"));
        }
        drop(hold);
        for access in locks(stage) {
            assert!(stage.try_open_in(there, &key, access).is_ok(), "{access} goes on after it");
        }
    }
}

pub(in super::super) fn an_exclusive_holder_of_one_session_is_in_nobodys_way_elsewhere<S: Store>(
    stage: &Stage<S>,
) {
    let names: Vec<_> = (0..200).map(|number| key(&format!("session {number}"))).collect();
    let holds: Vec<_> =
        names.iter().map(|key| stage.try_open(key, Access::Exclusive).ok()).collect();
    assert!(holds.iter().all(Option::is_some), "sessions are locked one by one");
}

pub(in super::super) fn shared_holders_are_in_together_and_exclude_a_writer<S: Store>(
    stage: &Stage<S>,
) {
    for (here, there) in pairs(stage) {
        let key = key("shared");
        stage.put(&key, b"stored");
        let first = stage.open_in(here, &key, Access::Shared);
        let second = stage.try_open_in(there, &key, Access::Shared);
        let second = second.unwrap_or_else(|error| panic!("readers are together: {error}"));
        assert_eq!(first.payload(), b"stored");
        assert_eq!(second.payload(), b"stored");
        if stage.offers(Access::Exclusive) {
            for reader in [first, second] {
                let refused = stage.try_open_in(there, &key, Access::Exclusive);
                assert_refused!(refused, OpenError::LockTimeout(_), "a reader excludes a writer");
                drop(reader);
            }
            assert!(stage.try_open_in(there, &key, Access::Exclusive).is_ok(), "none is left");
        }
    }
}

pub(in super::super) fn who_takes_no_lock_waits_for_nobody<S: Store>(stage: &Stage<S>) {
    let key = key("looked at");
    let stored = stage.put(&key, b"stored");
    let mut hold = stage.open(&key, stage.writers()[0]);
    let mut waiter = stage.offers(Access::Exclusive).then(|| {
        let mut waiter = stage.opening(stage.store(), &key, Access::Exclusive);
        waiter.assert_waits("the session is held");
        waiter
    });
    stage.settle();
    for store in stage.handles() {
        for access in stage.lookers() {
            let look = stage.try_open_in(store, &key, access);
            let look = look.unwrap_or_else(|error| panic!("`{access}` never waits: {error}"));
            assert_eq!(look.record(), Some(&stored), "it sees what was committed last");
            assert_eq!(look.payload(), b"stored", "it sees what was committed last");
        }
    }
    let written = stage.commit_on(&mut hold, b"written", keeping()).expect("it is ours");
    for store in stage.handles() {
        for access in stage.lookers() {
            let look = stage.try_open_in(store, &key, access);
            let look = look.unwrap_or_else(|error| panic!("`{access}` never waits: {error}"));
            assert_eq!(look.record(), Some(&written), "a commit is seen while its holder stays");
            assert_eq!(look.payload(), b"written", "a commit is seen while its holder stays");
        }
    }
    drop(waiter.take());
}

pub(in super::super) fn an_access_that_reads_can_neither_commit_nor_destroy_nor_renew<S: Store>(
    stage: &Stage<S>,
) {
    let [key, new] = [key("read"), key("renewed")];
    let stored = stage.put(&key, b"stored");
    for reader in stage.readers() {
        let mut hold = stage.open(&key, reader);
        let refusals = [
            stage.commit(&mut hold, b"changed").map(drop),
            stage.wait(hold.destroy()),
            stage.renew(&mut hold, &new, b"changed", Duration::ZERO).map(drop),
        ];
        for refusal in refusals {
            match refusal {
                Err(CommitError::ReadOnly { access }) => assert_eq!(access, reader),
                other => panic!("`{reader}` is read-only, got {other:?}"),
            }
        }
        assert_eq!(hold.payload(), b"stored", "the hold is as it was");
        drop(hold);
        assert_eq!(stage.seen(&key), Some((stored, b"stored".to_vec())), "nothing was written");
        stage.assert_absent(&new, "nothing was renewed");
    }
    let absent = self::key("absent");
    for reader in stage.readers() {
        let mut hold = stage.open(&absent, reader);
        let told = stage.commit(&mut hold, b"created");
        assert_refused!(told, CommitError::ReadOnly { .. }, "a reader creates nothing");
    }
    stage.assert_absent(&absent, "a reader creates nothing");
}

pub(in super::super) fn what_was_read_stays_as_it_was_read<S: Store>(stage: &Stage<S>) {
    for access in stage.lookers() {
        let key = key(&format!("read with {access}"));
        let before = stage.put(&key, &[b'a'; 3_000]);
        let hold = stage.open(&key, access);
        for length in [10, 3_000, 20_000, 0] {
            stage.put(&key, &vec![b'b'; length]);
            assert_eq!(hold.record(), Some(&before));
            assert_eq!(hold.payload(), [b'a'; 3_000], "a later commit does not reach into a hold");
        }
        stage.destroy_key(&key);
        assert_eq!(hold.payload(), [b'a'; 3_000], "nor does a destroy");
    }
}

pub(in super::super) fn an_optimistic_commit_waits_for_an_exclusive_holder<S: Store>(
    stage: &Stage<S>,
) {
    for (here, there) in pairs(stage) {
        let key = key("committed beside a holder");
        stage.put(&key, b"stored");
        let hold = stage.open_in(here, &key, Access::Exclusive);
        let request = stage.request(Access::Optimistic).wait(Duration::ZERO);
        let mut beside = match stage.wait(there.open(&key, request)) {
            Ok(beside) => beside,
            Err(error) => panic!("an optimistic open never waits: {error}"),
        };
        let told = stage.commit(&mut beside, b"beside");
        assert_refused!(
            told,
            CommitError::Open(OpenError::LockTimeout(_)),
            "nobody writes beside an exclusive holder"
        );
        assert_eq!(stage.payload(&key).as_deref(), Some(&b"stored"[..]));
        drop(hold);
        let told = stage.commit(&mut beside, b"beside");
        assert!(told.is_ok(), "after an error the hold stands as before: {told:?}");
    }
}

pub(in super::super) fn a_commit_beside_an_exclusive_holder_that_writes_is_a_conflict<S: Store>(
    stage: &Stage<S>,
) {
    let key = key("overtaken");
    stage.put(&key, b"stored");
    let mut beside = stage.open(&key, Access::Optimistic);
    let mut hold = stage.open(&key, Access::Exclusive);
    stage.commit(&mut hold, b"written").expect("it is ours");
    let told = stage.commit(&mut beside, b"beside");
    assert_refused!(told, CommitError::Conflict(_), "the holder's commit is not overwritten");
    assert_eq!(stage.payload(&key).as_deref(), Some(&b"written"[..]));
}

/// The accesses with a lock that this store offers.
fn locks<S: Store>(stage: &Stage<S>) -> Vec<Access> {
    [Access::Exclusive, Access::Shared].into_iter().filter(|access| stage.offers(*access)).collect()
}

/// Every pair of handles: who is there first, and who comes then.
fn pairs<S: Store>(stage: &Stage<S>) -> Vec<(&S, &S)> {
    let handles = stage.handles();
    handles.iter().flat_map(|here| handles.iter().map(move |there| (*here, *there))).collect()
}
