//! Repairing a store, and seeing who holds what.

use crate::access::Access;
use crate::conformance::stage::{Stage, key};
use crate::inventory::{Inventory, Locked, Repaired};

pub(in super::super) fn a_sound_session_is_left_alone_by_a_repair<S: Inventory>(stage: &Stage<S>) {
    let [sound, absent] = ["sound", "absent"].map(key);
    let stored = stage.put(&sound, b"payload");
    for key in [sound, absent] {
        let repaired = stage.wait(stage.store().repair(&key, stage.calling));
        assert!(matches!(repaired, Ok(Repaired::Sound)), "{repaired:?}");
    }
    assert_eq!(stage.seen(&sound), Some((stored, b"payload".to_vec())));
    stage.assert_absent(&absent, "a repair creates nothing");
}

pub(in super::super) fn a_session_that_nobody_holds_is_not_listed<S: Inventory>(stage: &Stage<S>) {
    stage.put(&key("free"), b"");
    for access in stage.lookers() {
        let _hold = stage.open(&key("free"), access);
        assert_eq!(stage.locks(), [], "{access} takes no lock");
    }
}

pub(in super::super) fn a_locked_session_is_listed_with_its_holder<S: Inventory>(stage: &Stage<S>) {
    let names = ["one", "another", "free"].map(key);
    for key in &names {
        stage.put(key, b"");
    }
    for store in stage.handles() {
        let mut holds = [0, 1].map(|index| stage.open_in(store, &names[index], Access::Exclusive));
        let expected = |key| Locked {
            key: Some(key),
            exclusive: true,
            holders: vec![std::process::id()],
            waiters: vec![],
            waiting: 0,
        };
        let mut both = [names[0], names[1]];
        both.sort();
        assert_eq!(stage.locks(), both.map(expected), "in the order of their keys");
        stage.release(&mut holds[0]);
        assert_eq!(stage.locks(), [expected(names[1])], "the other one was released");
        drop(holds);
        assert_eq!(stage.locks(), [], "both were released");
    }
}

pub(in super::super) fn readers_are_listed_as_such<S: Inventory>(stage: &Stage<S>) {
    let key = key("read");
    stage.put(&key, b"");
    let _first = stage.open(&key, Access::Shared);
    let _second = stage.open_in(stage.handle(1), &key, Access::Shared);
    let locked = stage.locks();
    assert_eq!(locked.len(), 1, "one session, however many read it: {locked:?}");
    assert!(!locked[0].exclusive, "who reads may not write");
    assert_eq!(locked[0].holders, [std::process::id()], "a process is named once");
}

pub(in super::super) fn who_waits_for_a_session_is_counted<S: Inventory>(stage: &Stage<S>) {
    let key = key("awaited");
    stage.put(&key, b"");
    for (holder, waiter) in [(0, 0), (0, 1)] {
        let (holder, waiter) = (stage.handle(holder), stage.handle(waiter));
        let mut hold = stage.open_in(holder, &key, Access::Exclusive);
        let mut opening = stage.opening(waiter, &key, Access::Exclusive);
        opening.assert_waits("the session is held");
        stage.settle();
        // Who waits in the same handle may be known to that handle alone.
        let counted = || std::ptr::eq(holder, waiter) || stage.locks()[0].waiting == 1;
        assert!((0..LOOKS).any(|_| counted()), "who waits is not counted");
        let locked = stage.locks();
        assert_eq!((locked.len(), locked[0].key), (1, Some(key)));
        assert_eq!(locked[0].holders, [std::process::id()], "who waits does not hold");
        stage.release(&mut hold);
        drop(opening.finish("the session is free"));
    }
    assert_eq!(stage.locks(), [], "nobody holds it and nobody waits");
}

/// How often a case looks whether a waiter stands in the queue by now.
const LOOKS: usize = 2_000;
