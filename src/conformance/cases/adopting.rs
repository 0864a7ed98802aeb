//! Taking sessions in from another store.

use std::thread;
use std::time::Duration;

use crate::access::Access;
use crate::conformance::stage::{Stage, assert_refused, key, number, to_number};
use crate::error::CommitError;
use crate::inventory::{Adopted, Inventory, Look};
use crate::limits::PAYLOAD_MAX;
use crate::record::{Lifetime, Record};
use crate::seams::Timestamp;
use crate::store::{Hold as _, Terms};

/// A session of another store that was used a while ago.
fn record<S: Inventory>(stage: &Stage<S>) -> Record {
    let now = stage.now().as_millis();
    Record {
        birth: 0x00c0_ffee,
        version: 7,
        created: Timestamp::from_millis(now - 100_000),
        accessed: Timestamp::from_millis(now - 40_000),
        lifetime: Lifetime::default()
            .idle(Duration::from_secs(60))
            .absolute(Duration::from_secs(1_000)),
        retired_until: None,
    }
}

pub(in super::super) fn an_adopted_session_is_as_it_was_in_the_other_store<S: Inventory>(
    stage: &Stage<S>,
) {
    let (key, record) = (key("adopted"), record(stage));
    assert_eq!(stage.adopt(&key, record, b"payload"), Adopted::Created);
    for store in stage.handles() {
        assert_eq!(stage.seen_in(store, &key), Some((record, b"payload".to_vec())));
    }
    let summary = stage.summary(&key).expect("a walk sees it");
    assert_eq!((summary.record, summary.payload), (record, 7));
}

pub(in super::super) fn an_adopted_session_goes_on_from_its_version<S: Inventory>(
    stage: &Stage<S>,
) {
    for access in stage.writers() {
        let (key, record) = (key(&format!("adopted for {access}")), record(stage));
        stage.adopt(&key, record, b"payload");
        let mut hold = stage.open(&key, access);
        let committed = stage.commit(&mut hold, b"more").expect("nobody is in the way");
        let Record { birth, version, created, .. } = committed;
        assert_eq!((birth, version, created), (record.birth, 8, record.created), "{access}");
        drop(hold);
        stage.destroy_key(&key);
        stage.assert_absent(&key, "it was destroyed");
    }
}

pub(in super::super) fn an_adoption_replaces_earlier_versions_of_the_same_life_alone<
    S: Inventory,
>(
    stage: &Stage<S>,
) {
    let (key, seventh) = (key("adopted"), record(stage));
    let version = |version| Record { version, ..seventh };
    stage.adopt(&key, seventh, b"seventh");
    for (record, payload, adopted) in [
        (seventh, "again", Adopted::Kept),
        (version(6), "earlier", Adopted::Kept),
        (version(8), "next", Adopted::Replaced),
        (version(8), "again", Adopted::Kept),
        (version(100), "far ahead, and longer than any before: it needs room", Adopted::Replaced),
        (version(99), "earlier", Adopted::Kept),
        (Record { birth: 1, ..version(1_000) }, "another life", Adopted::OtherLife),
        (Record { birth: 1, ..version(1) }, "another life", Adopted::OtherLife),
    ] {
        let before = stage.seen(&key);
        assert_eq!(stage.adopt(&key, record, payload.as_bytes()), adopted, "{payload}");
        let expected = match adopted {
            Adopted::Replaced => Some((record, payload.as_bytes().to_vec())),
            _ => before,
        };
        assert_eq!(stage.seen(&key), expected, "{payload}");
    }
    // One that was created here is another life, too.
    stage.destroy_key(&key);
    let ours = stage.put(&key, b"ours");
    assert_eq!(stage.adopt(&key, version(1_000), b"theirs"), Adopted::OtherLife);
    assert_eq!(stage.seen(&key), Some((ours, b"ours".to_vec())));
}

pub(in super::super) fn what_goes_on_or_ends_after_an_adoption_is_not_adopted_again<
    S: Inventory,
>(
    stage: &Stage<S>,
) {
    for access in stage.writers() {
        let (key, seventh) = (key(&format!("adopted for {access}")), record(stage));
        let version = |version| Record { version, ..seventh };
        stage.adopt(&key, seventh, b"seventh");
        assert_eq!(stage.adopt_again(&key, version(10), 7), Adopted::Replaced, "it is as it was");
        assert_eq!(stage.adopt_again(&key, version(12), 9), Adopted::Kept, "it is not as it was");
        stage.commit(&mut stage.open(&key, access), b"ours").expect("nobody is in the way");
        assert_eq!(stage.adopt_again(&key, version(12), 10), Adopted::Kept, "it went on here");
        assert_eq!(stage.payload(&key).as_deref(), Some(&b"ours"[..]));
        stage.destroy_key(&key);
        assert_eq!(stage.adopt_again(&key, version(12), 10), Adopted::Gone, "it ended here");
        stage.assert_absent(&key, "a destroyed session is not raised");
        stage.put(&key, b"another");
        assert_eq!(stage.adopt_again(&key, version(12), 10), Adopted::OtherLife);
    }
}

pub(in super::super) fn a_look_sees_what_was_committed_and_what_is_over<S: Inventory>(
    stage: &Stage<S>,
) {
    let (key, record) = (key("looked at"), record(stage));
    assert_eq!(stage.look(&key), None);
    stage.adopt(&key, record, b"payload");
    let look = |expired| Some(Look { record, payload: b"payload".to_vec(), expired });
    assert_eq!(stage.look(&key), look(false));
    if stage.offers(Access::Exclusive) {
        let mut hold = stage.open(&key, Access::Exclusive);
        assert_eq!(stage.look(&key), look(false), "it waits for nobody");
        stage.release(&mut hold);
    }
    stage.clock.advance(Duration::from_secs(20));
    assert_eq!(stage.look(&key), look(true), "it is no use of the session");
    stage.put(&key, b"another");
    stage.destroy_key(&key);
    assert_eq!(stage.look(&key), None);
}

pub(in super::super) fn an_adopted_session_ends_when_it_would_have_ended_in_the_other_store<
    S: Inventory,
>(
    stage: &Stage<S>,
) {
    // 40 of its 60 idle seconds have passed.
    let key = key("adopted");
    stage.adopt(&key, record(stage), b"payload");
    stage.clock.advance(Duration::from_secs(19));
    assert!(stage.seen(&key).is_some(), "it has a second left");
    stage.clock.advance(Duration::from_secs(1));
    stage.assert_absent(&key, "it was not used for so long");
}

pub(in super::super) fn a_later_touch_is_adopted_without_a_new_version<S: Inventory>(
    stage: &Stage<S>,
) {
    let (key, record) = (key("adopted"), record(stage));
    stage.adopt(&key, record, b"payload");
    let touched = Record { accessed: stage.now(), ..record };
    assert_eq!(stage.adopt(&key, touched, b"payload"), Adopted::Replaced);
    assert_eq!(stage.adopt(&key, record, b"payload"), Adopted::Kept);
    assert_eq!(stage.seen(&key), Some((touched, b"payload".to_vec())));
    stage.clock.advance(Duration::from_secs(59));
    assert!(stage.seen(&key).is_some(), "the touch moved its deadline");
    stage.touch(&mut stage.open(&key, stage.writers()[0]));
    stage.clock.advance(Duration::from_secs(59));
    assert!(stage.seen(&key).is_some(), "it can be touched as any other");
}

pub(in super::super) fn a_session_that_is_over_is_not_adopted<S: Inventory>(stage: &Stage<S>) {
    let (key, record) = (key("over"), record(stage));
    stage.clock.advance(Duration::from_secs(20));
    assert_eq!(stage.adopt(&key, record, b"payload"), Adopted::Expired);
    stage.assert_absent(&key, "it was over before it came");
    let ours = stage.put(&key, b"ours");
    assert_eq!(stage.adopt(&key, record, b"payload"), Adopted::Expired);
    assert_eq!(stage.seen(&key), Some((ours, b"ours".to_vec())));
}

pub(in super::super) fn an_adopted_session_of_a_renewed_id_is_read_only_and_stays_so<
    S: Inventory,
>(
    stage: &Stage<S>,
) {
    let (key, record) = (key("renewed"), record(stage));
    stage.adopt(&key, record, b"payload");
    let retired_until = Some(stage.now().plus(Duration::from_secs(10)));
    let retired = Record { retired_until, ..record };
    assert_eq!(stage.adopt(&key, retired, b"payload"), Adopted::Replaced, "it was renewed since");
    assert_eq!(stage.seen(&key), Some((retired, b"payload".to_vec())));
    for version in [7, 8] {
        let alive = Record { version, ..record };
        assert_eq!(stage.adopt(&key, alive, b"alive"), Adopted::Kept, "the old id is raised");
    }
    for access in stage.writers() {
        let committed = stage.commit(&mut stage.open(&key, access), b"more");
        assert_refused!(committed, CommitError::Retired { .. }, access);
    }
    stage.clock.advance(Duration::from_secs(10));
    stage.assert_absent(&key, "its grace has ended");
}

pub(in super::super) fn payloads_of_every_size_are_adopted<S: Inventory>(stage: &Stage<S>) {
    let first = record(stage);
    for (version, length) in (10..).zip([0, 1, 416, 417, 5_000, 300_000, 20]) {
        let payload: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
        let (new, old) = (key(&format!("{length} bytes")), key("grows"));
        let record = Record { version, ..first };
        assert_eq!(stage.adopt(&new, record, &payload), Adopted::Created);
        assert_ne!(stage.adopt(&old, record, &payload), Adopted::Kept);
        for key in [new, old] {
            assert!(stage.seen(&key) == Some((record, payload.clone())), "{length} bytes");
        }
    }
    let too_large = vec![0; PAYLOAD_MAX + 1];
    let adopted = stage.try_adopt(&key("too large"), first, &too_large);
    assert_refused!(adopted, CommitError::TooLarge { .. }, "a limit holds for all");
    stage.assert_absent(&key("too large"), "it was refused");
}

pub(in super::super) fn an_adoption_waits_for_the_holder<S: Inventory>(stage: &Stage<S>) {
    for holder in stage.handles() {
        let (key, record) = (key("held"), record(stage));
        stage.adopt(&key, record, b"seventh");
        let mut hold = stage.open_in(holder, &key, Access::Exclusive);
        let next = Record { version: 8, ..record };
        let mut adopting = stage.adopting(&key, next, b"eighth");
        adopting.assert_waits("the session is held");
        assert_eq!(stage.seen(&key), Some((record, b"seventh".to_vec())));
        stage.release(&mut hold);
        let adopted = adopting.finish("the session is free");
        assert_eq!(adopted.expect("it is adopted"), Adopted::Replaced);
        assert_eq!(stage.seen(&key), Some((next, b"eighth".to_vec())));
        stage.destroy_key(&key);
    }
}

pub(in super::super) fn a_hold_from_before_an_adoption_meets_a_conflict<S: Inventory>(
    stage: &Stage<S>,
) {
    let (key, record) = (key("adopted"), record(stage));
    stage.adopt(&key, record, b"seventh");
    let mut hold = stage.open(&key, Access::Optimistic);
    stage.adopt(&key, Record { version: 9, ..record }, b"ninth");
    match stage.commit(&mut hold, b"eighth") {
        Err(CommitError::Conflict(conflict)) => {
            assert_eq!((conflict.read, conflict.found), (7, 9));
        }
        other => panic!("expected a conflict, got {other:?}"),
    }
    assert_eq!(stage.payload(&key).as_deref(), Some(&b"ninth"[..]));
}

pub(in super::super) fn a_creator_is_told_of_a_session_that_was_adopted_since<S: Inventory>(
    stage: &Stage<S>,
) {
    let (key, record) = (key("adopted"), record(stage));
    let mut hold = stage.open(&key, Access::Optimistic);
    stage.adopt(&key, record, b"theirs");
    let created = stage.commit(&mut hold, b"ours");
    assert_refused!(created, CommitError::AlreadyExists { .. }, "another was first");
    assert_eq!(stage.seen(&key), Some((record, b"theirs".to_vec())));
}

pub(in super::super) fn of_many_adoptions_at_once_the_latest_version_stands<S: Inventory>(
    stage: &Stage<S>,
) {
    let (key, record) = (key("adopted"), record(stage));
    for round in 0..20 {
        let life = Record { birth: round, ..record };
        thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for version in (1..=20).filter(|version| version % 4 == thread) {
                        let (store, record) = (stage.handle(version), version as u64);
                        let payload = number(record);
                        let record = Record { version: record, ..life };
                        let adopting = store.adopt(&key, record, &payload, None, stage.calling);
                        stage.wait(adopting).expect("nobody is in the way for long");
                    }
                });
            }
        });
        let (stands, payload) = stage.seen(&key).expect("it was adopted");
        assert_eq!((stands.birth, stands.version), (round, 20), "a later version was lost");
        assert_eq!(to_number(&payload), 20);
        let mut hold = stage.open(&key, stage.writers()[0]);
        stage.wait(hold.commit(b"", Terms::default())).expect("it goes on");
        stage.destroy_key(&key);
    }
}
