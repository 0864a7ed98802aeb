//! What a session means to a request, over both stores. Rows are those of the parity table in
//! `reference/web2py-and-webpy.md`, section 6.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "common/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use cloakroom::blocking::{Session, Sessions, wait};
use cloakroom::seams::{FileSystem, OsFileSystem};
use cloakroom::{
    Access, Calling, CommitError, Ended, FileStore, Hold as _, Key, Lifetime, OnConflict,
    OnCorrupt, OpenError, OpenRequest, SessionError, SessionId, Store, SweepBudget, Terms,
    ValueError,
};
use serde::{Deserialize, Serialize};
use world::{World, with_stores};

with_stores! {
    /// Row 22: `None`, as in web2py; web.py raises `AttributeError`.
    fn a_missing_key_reads_as_none(world) {
        let session = world.sessions().open(&world.id(), Access::Exclusive).unwrap();
        assert_eq!(session.get::<u32>("visits").unwrap(), None);
        assert!(!session.contains("visits"));
        assert!(session.is_new() && session.is_empty() && !session.is_changed());
        let session = world.sessions().open(&world.stored("other"), Access::Exclusive).unwrap();
        assert_eq!(session.get::<String>("visits").unwrap(), None);
    }

    fn values_of_any_serde_type_come_back(world) {
        let id = world.id();
        let basket = Basket {
            items: vec![Item { name: "coat".into(), price: -7 }],
            notes: BTreeMap::from([("gift".to_owned(), Some("yes".to_owned()))]),
        };
        let mut session = world.sessions().open(&id, Access::Exclusive).unwrap();
        session.insert("basket", &basket).unwrap();
        session.insert("pi", 3.25).unwrap();
        session.insert("big", u64::MAX).unwrap();
        session.insert("small", i64::MIN).unwrap();
        session.insert("nothing", None::<u8>).unwrap();
        session.insert("", "a name may be empty").unwrap();
        session.insert("text", "NUL \0, quote \", caf\u{e9}").unwrap();
        session.commit().unwrap();
        let session = world.look(&id);
        assert_eq!(session.get("basket").unwrap(), Some(basket));
        assert_eq!(session.get("pi").unwrap(), Some(3.25));
        assert_eq!(session.get("big").unwrap(), Some(u64::MAX));
        assert_eq!(session.get("small").unwrap(), Some(i64::MIN));
        assert_eq!(session.get::<Option<u8>>("nothing").unwrap(), Some(None));
        assert_eq!(session.get::<String>("").unwrap().as_deref(), Some("a name may be empty"));
        let text = session.get::<String>("text").unwrap();
        assert_eq!(text.as_deref(), Some("NUL \0, quote \", caf\u{e9}"));
        let names: Vec<&str> = session.keys().collect();
        assert_eq!(names, ["", "basket", "big", "nothing", "pi", "small", "text"]);
        assert_eq!(session.len(), 7);
    }

    fn a_wrong_type_is_an_error_that_names_the_value_and_both_types(world) {
        let id = world.id();
        let mut session = world.sessions().open(&id, Access::Exclusive).unwrap();
        session.insert("visits", "many").unwrap();
        let error = session.get::<u32>("visits").unwrap_err();
        assert!(matches!(&error, SessionError::Value(ValueError::WrongType { .. })));
        let text = error.to_string();
        for part in ["`visits`", "a string", "u32"] {
            assert!(text.contains(part), "{text} lacks {part}");
        }
        assert!(!text.contains("many"), "a value does not get into an error text: {text}");
        let added = session.update("visits", |visits: Option<u32>| visits.unwrap_or(0) + 1);
        assert!(added.is_err(), "and an update of a value of another type changes nothing");
        assert_eq!(session.get::<String>("visits").unwrap().as_deref(), Some("many"));
    }

    /// web.py's `initializer`.
    fn an_initializer_fills_a_new_session_and_alone_stores_nothing(world) {
        let fill = |session: &mut cloakroom::Initial| session.insert("count", 0);
        let sessions = world.builder().initializer(fill).build();
        let id = world.id();
        for access in Access::ALL {
            let mut session = sessions.open(&id, access).unwrap();
            assert_eq!(session.get("count").unwrap(), Some(0), "{access}");
            assert!(session.is_new() && !session.is_changed());
            session.commit().unwrap();
        }
        assert!(world.look(&id).is_new(), "alone it is not stored");
        let mut session = sessions.open(&id, Access::Exclusive).unwrap();
        session.insert("count", 0).unwrap();
        session.commit().unwrap();
        assert!(world.look(&id).is_new(), "an equal value is no change either");
        let mut session = sessions.open(&id, Access::Exclusive).unwrap();
        session.insert("user", "ada").unwrap();
        session.commit().unwrap();
        assert_eq!(world.value(&id, "count"), Some(0), "with a change it is stored, too");
        sessions.update(&id, |session| session.insert("count", 5)).unwrap();
        let session = sessions.open(&id, Access::Exclusive).unwrap();
        assert_eq!(session.get("count").unwrap(), Some(5), "a stored session is not filled again");
    }

    fn what_an_initializer_put_in_can_be_removed(world) {
        let fill = |session: &mut cloakroom::Initial| session.insert("count", 0);
        let sessions = world.builder().initializer(fill).build();
        let id = world.id();
        let mut session = sessions.open(&id, Access::Exclusive).unwrap();
        assert!(session.remove("count").unwrap());
        session.commit().unwrap();
        let session = sessions.open(&id, Access::Exclusive).unwrap();
        assert!(!session.is_new(), "that is a change, and it is stored");
        assert!(session.is_empty(), "and stays");
    }

    fn an_initializer_that_fails_fails_the_open(world) {
        let failing = |_: &mut cloakroom::Initial| Err(SessionError::Ended(Ended::Forgotten));
        let sessions = world.builder().initializer(failing).build();
        let id = world.id();
        assert!(matches!(sessions.open(&id, Access::Exclusive), Err(SessionError::Ended(_))));
        assert!(is_free(world, &id), "and leaves no lock");
    }

    /// Row 19.
    fn an_unchanged_session_is_not_written(world) {
        let id = world.stored("visits");
        let before = world.trace(&id);
        for access in Access::ALL {
            let mut session = world.sessions().open(&id, access).unwrap();
            assert_eq!(session.get("visits").unwrap(), Some(1));
            session.commit().unwrap();
        }
        assert_eq!(world.trace(&id), before, "not a byte, nor the time of the last write");
    }

    /// Row 19.
    fn an_equal_reassignment_is_not_written(world) {
        let id = world.stored("visits");
        let before = world.trace(&id);
        let mut session = world.sessions().open(&id, Access::Exclusive).unwrap();
        session.insert("visits", 1).unwrap();
        assert!(!session.is_changed());
        session.update("visits", |visits: Option<u8>| visits.unwrap()).unwrap();
        assert!(!session.remove("nothing of this name").unwrap());
        session.commit().unwrap();
        assert_eq!(world.trace(&id), before);
    }

    /// Row 19.
    fn a_change_that_is_taken_back_is_not_written(world) {
        let id = world.stored("visits");
        let before = world.trace(&id);
        let mut session = world.sessions().open(&id, Access::Exclusive).unwrap();
        session.insert("visits", 2).unwrap();
        session.insert("temporary", true).unwrap();
        assert!(session.is_changed());
        session.insert("visits", 1).unwrap();
        session.remove("temporary").unwrap();
        assert!(!session.is_changed());
        session.commit().unwrap();
        assert_eq!(world.trace(&id), before);
    }

    /// Row 19.
    fn a_nested_change_is_written(world) {
        let id = world.id();
        let mut basket = Basket::default();
        world.sessions().update(&id, |session| session.insert("basket", &basket)).unwrap();
        let version = world.trace(&id).record.unwrap().version;
        basket.items.push(Item { name: "coat".into(), price: 90 });
        basket.notes.insert("gift".into(), None);
        world.sessions().update(&id, |session| session.insert("basket", &basket)).unwrap();
        assert_eq!(world.trace(&id).record.unwrap().version, version + 1);
        assert_eq!(world.look(&id).get("basket").unwrap(), Some(basket));
    }

    /// Row 20.
    fn ten_thousand_cookieless_hits_create_no_files(world) {
        let sessions = world.sessions();
        for hit in 0..10_000 {
            let mut session = sessions.start().unwrap();
            if hit % 2 == 0 {
                session.insert("seen", true).unwrap();
                session.remove("seen").unwrap();
            }
            session.commit().unwrap();
        }
        assert!(world.files().is_none_or(|files| files == 0), "{:?}", world.files());
        let swept = sessions.sweep(SweepBudget { sessions: 100_000 }).unwrap();
        assert_eq!((swept.examined, swept.removed), (0, 0), "nothing was stored");
    }

    /// Row 21: web2py #657.
    fn ensure_saved_stores_an_empty_session_so_that_a_burst_of_first_calls_shares_it(world) {
        let sessions = world.sessions();
        let mut session = sessions.start().unwrap();
        let id = session.id().clone();
        session.ensure_saved().unwrap();
        assert!(!session.is_new());
        assert!(!world.look(&id).is_new(), "it is stored");
        assert!(!is_free(world, &id), "and held");
        session.ensure_saved().unwrap();
        assert_eq!(world.trace(&id).record.unwrap().version, 1, "once is enough");
        session.insert("page", 1).unwrap();
        session.commit().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut session = sessions.open(&id, Access::Exclusive).unwrap();
                    assert!(!session.is_new());
                    session.update("page", |page: Option<u64>| page.unwrap() + 1).unwrap();
                    session.commit().unwrap();
                });
            }
        });
        assert_eq!(world.value(&id, "page"), Some(4));
    }

    fn ensure_saved_writes_changes_of_a_stored_session_and_keeps_it(world) {
        let id = world.stored("visits");
        let mut session = world.sessions().open(&id, Access::Exclusive).unwrap();
        session.insert("visits", 2).unwrap();
        session.ensure_saved().unwrap();
        assert_eq!(world.value(&id, "visits"), Some(2));
        assert!(!is_free(world, &id));
        session.insert("visits", 3).unwrap();
        session.commit().unwrap();
        assert_eq!(world.value(&id, "visits"), Some(3));
        assert!(is_free(world, &id));
    }

    /// Row 8: `session.forget(response)`.
    fn a_release_lets_the_next_request_in_and_what_was_read_stays_readable(world) {
        let id = world.stored("visits");
        let mut session = world.sessions().open(&id, Access::Exclusive).unwrap();
        session.insert("visits", 2).unwrap();
        assert!(!is_free(world, &id));
        session.release();
        assert!(is_free(world, &id));
        assert_eq!(session.get("visits").unwrap(), Some(2), "what this request saw");
        assert_eq!(world.value(&id, "visits"), Some(1), "its change is dropped");
    }

    /// Row 9: `session.forget()`.
    fn a_forget_keeps_the_lock_to_the_end_and_discards(world) {
        let id = world.stored("visits");
        let before = world.trace(&id);
        for end in ["commit", "drop", "release"] {
            let mut session = world.sessions().open(&id, Access::Exclusive).unwrap();
            session.insert("visits", 2).unwrap();
            session.forget();
            assert!(!is_free(world, &id), "the lock is kept until the {end}");
            assert_eq!(session.get("visits").unwrap(), Some(2));
            match end {
                "commit" => session.commit().unwrap(),
                "release" => session.release(),
                _ => drop(session),
            }
            assert!(is_free(world, &id), "the {end} lets it go");
            assert_eq!(world.trace(&id), before, "nothing is written");
        }
    }

    /// A late automatic save after an early exit is no error: cherrypy #1345.
    fn a_commit_after_an_early_exit_is_ok_and_writes_nothing(world) {
        for (exit, ended) in exits::<S>() {
            let id = world.stored("visits");
            let mut session = world.sessions().open(&id, Access::Exclusive).unwrap();
            session.insert("visits", 2).unwrap();
            exit(&mut session);
            let before = world.trace(&id);
            for _ in 0..2 {
                session.commit().unwrap();
            }
            drop(session);
            assert_eq!(world.trace(&id), before, "{ended}");
            assert!(is_free(world, &id), "{ended}");
        }
    }

    fn a_change_after_an_early_exit_is_an_error_that_says_so_and_nothing_is_written(world) {
        for (exit, ended) in exits::<S>() {
            let id = world.stored("visits");
            let mut session = world.sessions().open(&id, Access::Exclusive).unwrap();
            exit(&mut session);
            let before = world.trace(&id);
            let names: Vec<String> = session.keys().map(str::to_owned).collect();
            let errors = [
                session.insert("late", 1).unwrap_err(),
                session.remove("visits").unwrap_err(),
                session.clear().unwrap_err(),
                session.update("visits", |_: Option<u8>| 9).unwrap_err(),
                session.renew(Duration::ZERO).unwrap_err(),
                session.ensure_saved().unwrap_err(),
                session.destroy().unwrap_err(),
            ];
            for error in errors {
                assert!(matches!(&error, SessionError::Ended(by) if *by == ended), "{error:?}");
                let text = error.to_string();
                assert!(text.contains(&ended.to_string()) && text.contains("this change was not made"));
            }
            assert!(session.keys().eq(names.iter().map(String::as_str)), "nor in memory");
            session.commit().unwrap();
            drop(session);
            assert_eq!(world.trace(&id), before, "{ended}");
        }
    }

    fn a_second_early_exit_is_no_error(world) {
        for (first, _) in exits::<S>() {
            let id = world.stored("visits");
            let mut session = world.sessions().open(&id, Access::Exclusive).unwrap();
            first(&mut session);
            session.release();
            session.forget();
            session.commit().unwrap();
            drop(session);
            assert!(is_free(world, &id));
        }
    }

    fn an_access_that_reads_refuses_changes_and_names_those_that_may(world) {
        let id = world.stored("visits");
        for access in [Access::Shared, Access::Snapshot] {
            let mut session = world.sessions().open(&id, access).unwrap();
            let error = session.insert("visits", 2).unwrap_err();
            let text = error.to_string();
            assert!(
                matches!(error, SessionError::Commit(CommitError::ReadOnly { access: a }) if a == access)
            );
            assert!(text.contains("`exclusive`") && text.contains("`optimistic`"), "{text}");
            assert!(session.renew(Duration::ZERO).is_err() && session.clear().is_err());
            session.commit().unwrap();
        }
        assert_eq!(world.value(&id, "visits"), Some(1));
    }

    /// Row 10: an error or a panic does not save, and frees the lock.
    fn a_session_dropped_by_an_error_or_a_panic_is_not_saved_and_free(world) {
        let id = world.stored("visits");
        let before = world.trace(&id);
        let sessions = world.sessions();
        let handler = || -> Result<(), SessionError> {
            let mut session = sessions.open(&id, Access::Exclusive)?;
            session.insert("visits", 2)?;
            session.get::<String>("visits")?;
            session.commit()
        };
        assert!(handler().is_err());
        assert!(is_free(world, &id));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut session = sessions.open(&id, Access::Exclusive).unwrap();
            session.insert("visits", 2).unwrap();
            std::panic::resume_unwind(Box::new("the handler failed"));
        }));
        assert!(panicked.is_err());
        assert!(is_free(world, &id));
        assert_eq!(world.trace(&id), before);
    }

    /// Row 12.
    fn a_lock_timeout_names_the_route_that_holds(world) {
        let id = world.stored("visits");
        let sessions = world.builder().lock_wait(Duration::from_millis(10)).build();
        let request = OpenRequest::new(Access::Exclusive, Calling::Blocking);
        let _slow = sessions.open_with(&id, request.label("GET /report")).unwrap();
        let error = sessions.open(&id, Access::Exclusive).unwrap_err();
        assert!(matches!(error, SessionError::Open(OpenError::LockTimeout(_))), "{error:?}");
        assert!(error.to_string().contains("GET /report"), "{error}");
    }

    /// Row 13: a waiter never sees the data of a user who logged out.
    fn a_request_that_waits_while_the_session_is_destroyed_is_told_that_it_is_gone(world) {
        let id = world.stored("visits");
        let sessions = world.sessions();
        let asynchronous = cloakroom::Sessions::new(world.store.clone());
        let mut session = sessions.open(&id, Access::Exclusive).unwrap();
        let mut waiting = Box::pin(asynchronous.open(&id, Access::Exclusive));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        session.destroy().unwrap();
        let error = wait(waiting).unwrap_err();
        assert!(matches!(error, SessionError::Open(OpenError::Gone { .. })), "{error:?}");
        assert!(world.look(&id).is_new());
    }

    fn a_conflict_rejects_by_default_and_writes_nothing(world) {
        let id = world.stored("visits");
        let mut loser = world.sessions().open(&id, Access::Optimistic).unwrap();
        world.sessions().update(&id, |session| session.insert("visits", 5)).unwrap();
        loser.insert("other", 1).unwrap();
        let error = loser.commit().unwrap_err();
        let SessionError::Commit(CommitError::Conflict(conflict)) = error else {
            panic!("expected a conflict: {error}")
        };
        assert_eq!((conflict.read, conflict.found), (1, 2));
        assert_eq!(world.value(&id, "other"), None);
        assert!(loser.commit().is_err(), "nor at the second try");
        assert_eq!(world.value(&id, "visits"), Some(5));
    }

    fn an_optimistic_session_without_changes_has_no_conflicts(world) {
        let id = world.stored("visits");
        let mut reader = world.sessions().open(&id, Access::Optimistic).unwrap();
        world.sessions().update(&id, |session| session.insert("visits", 5)).unwrap();
        reader.commit().unwrap();
        assert_eq!(world.value(&id, "visits"), Some(5));
    }

    fn merged_sessions_keep_the_changes_of_both_where_they_differ(world) {
        let sessions = world.builder().on_conflict(OnConflict::Merge).build();
        let id = world.id();
        sessions
            .update(&id, |session| {
                ["kept", "mine", "theirs", "removed by me", "removed by them"]
                    .into_iter()
                    .try_for_each(|name| session.insert(name, 1))
            })
            .unwrap();
        let mut mine = sessions.open(&id, Access::Optimistic).unwrap();
        mine.insert("mine", 2).unwrap();
        mine.insert("new of mine", 2).unwrap();
        mine.remove("removed by me").unwrap();
        let mut theirs = sessions.open(&id, Access::Optimistic).unwrap();
        theirs.insert("theirs", 3).unwrap();
        theirs.insert("new of theirs", 3).unwrap();
        theirs.remove("removed by them").unwrap();
        theirs.commit().unwrap();
        mine.commit().unwrap();
        assert_eq!(mine.get("theirs").unwrap(), Some(3), "the session shows the merged values");
        let session = world.look(&id);
        let names: Vec<&str> = session.keys().collect();
        assert_eq!(names, ["kept", "mine", "new of mine", "new of theirs", "theirs"]);
        for (name, value) in [("kept", 1), ("mine", 2), ("theirs", 3), ("new of mine", 2)] {
            assert_eq!(session.get(name).unwrap(), Some(value));
        }
        assert_eq!(session.record().unwrap().version, 3);
    }

    fn a_merge_of_one_name_changed_on_both_sides_is_a_conflict_that_names_it(world) {
        let sessions = world.builder().on_conflict(OnConflict::Merge).build();
        let changes: [(&str, Change<S>); 3] = [
            ("another value", |session| session.insert("count", 7)),
            ("an equal value", |session| session.insert("count", 2)),
            ("a removal", |session| session.remove("count").map(drop)),
        ];
        for (name, change) in changes {
            let id = world.stored("count");
            let mut mine = sessions.open(&id, Access::Optimistic).unwrap();
            change(&mut mine).unwrap();
            mine.insert("unrelated", 1).unwrap();
            sessions.update(&id, |session| session.insert("count", 2)).unwrap();
            let error = mine.commit().unwrap_err();
            assert!(error.to_string().contains("`count`"), "{name}: {error}");
            let SessionError::Commit(CommitError::Conflict(conflict)) = error else {
                panic!("{name}: expected a conflict: {error}")
            };
            assert_eq!(conflict.names, ["count"], "{name}");
            assert_eq!(world.value(&id, "count"), Some(2), "{name}: nothing was written");
            assert_eq!(world.value(&id, "unrelated"), None, "{name}: not even a part");
        }
    }

    fn a_clear_merges_with_no_change_of_the_other_side(world) {
        let sessions = world.builder().on_conflict(OnConflict::Merge).build();
        let id = world.stored("count");
        let mut mine = sessions.open(&id, Access::Optimistic).unwrap();
        mine.clear().unwrap();
        sessions.update(&id, |session| session.insert("new", 1)).unwrap();
        let error = mine.commit().unwrap_err();
        assert!(
            matches!(&error, SessionError::Commit(CommitError::Conflict(c)) if c.names == ["new"]),
            "{error}"
        );
        assert_eq!(world.value(&id, "new"), Some(1), "what came meanwhile is not wiped");

        let mut mine = sessions.open(&id, Access::Optimistic).unwrap();
        mine.insert("mine", 1).unwrap();
        sessions.update(&id, |session| session.clear()).unwrap();
        let merged = mine.commit();
        assert!(
            matches!(&merged, Err(SessionError::Commit(CommitError::Conflict(_)))),
            "a clear conflicts with every change, whoever was first: {merged:?}"
        );
        assert!(world.look(&id).is_empty(), "what was cleared stays cleared");
    }

    fn a_merge_raises_no_session_that_was_destroyed(world) {
        let sessions = world.builder().on_conflict(OnConflict::Merge).build();
        for recreated in [false, true] {
            let id = world.stored("count");
            let mut mine = sessions.open(&id, Access::Optimistic).unwrap();
            mine.insert("mine", 1).unwrap();
            sessions.destroy(&id).unwrap();
            if recreated {
                sessions.update(&id, |session| session.insert("second life", 1)).unwrap();
            }
            let before = world.trace(&id);
            let error = mine.commit().unwrap_err();
            assert!(matches!(error, SessionError::Commit(CommitError::Gone { .. })), "{error}");
            assert_eq!(world.trace(&id), before);
        }
    }

    fn many_merges_at_once_lose_nothing(world) {
        let sessions = world.builder().on_conflict(OnConflict::Merge).build();
        let id = world.stored("count");
        let together = Barrier::new(6);
        std::thread::scope(|scope| {
            for name in ["a", "b", "c", "d", "e", "f"] {
                let (sessions, id, together) = (&sessions, &id, &together);
                scope.spawn(move || {
                    let mut session = sessions.open(id, Access::Optimistic).unwrap();
                    session.insert(name, 1).unwrap();
                    together.wait();
                    session.commit().unwrap();
                });
            }
        });
        let session = world.look(&id);
        let names: Vec<&str> = session.keys().collect();
        assert_eq!(names, ["a", "b", "c", "count", "d", "e", "f"]);
        assert_eq!(session.record().unwrap().version, 7);
    }

    /// Row 16: web2py's and web.py's database sessions.
    fn the_last_write_wins_where_that_was_asked_for(world) {
        let sessions = world.builder().on_conflict(OnConflict::LastWriteWins).build();
        let id = world.stored("count");
        let [mut first, mut last] =
            [(); 2].map(|()| sessions.open(&id, Access::Optimistic).unwrap());
        first.insert("first", 1).unwrap();
        first.insert("count", 10).unwrap();
        last.insert("count", 20).unwrap();
        first.commit().unwrap();
        last.commit().unwrap();
        assert_eq!(world.value(&id, "count"), Some(20));
        assert_eq!(world.value(&id, "first"), None, "the other update is lost");
        assert_eq!(world.trace(&id).record.unwrap().version, 3);
    }

    /// Row 25: no resurrection at commit.
    fn a_last_write_raises_no_session_that_was_destroyed(world) {
        let sessions = world.builder().on_conflict(OnConflict::LastWriteWins).build();
        for recreated in [false, true] {
            let id = world.stored("count");
            let mut late = sessions.open(&id, Access::Optimistic).unwrap();
            late.insert("count", 9).unwrap();
            sessions.destroy(&id).unwrap();
            if recreated {
                sessions.update(&id, |session| session.insert("second life", 1)).unwrap();
            }
            let before = world.trace(&id);
            let error = late.commit().unwrap_err();
            assert!(matches!(error, SessionError::Commit(CommitError::Gone { .. })), "{error}");
            assert_eq!(world.trace(&id), before);
        }
    }

    fn an_update_is_repeated_with_the_winners_data_until_nobody_was_faster(world) {
        let (id, sessions) = (world.stored("count"), world.sessions());
        let mut calls = 0;
        let count = sessions.update(&id, |session| {
            calls += 1;
            let count = session.update("count", |count: Option<u64>| count.unwrap() + 1)?;
            if calls <= 5 {
                let add = |other: &mut cloakroom::blocking::Session<S>| {
                    other.update("count", |count: Option<u64>| count.unwrap() + 100)
                };
                sessions.update(&id, add)?;
            }
            Ok::<_, SessionError>(count)
        });
        assert_eq!(count.unwrap(), 502, "the value of the last call");
        assert_eq!(calls, 6);
        assert_eq!(world.value(&id, "count"), Some(502));
    }

    fn an_update_that_always_loses_takes_the_session_exclusively_and_comes_to_an_end(world) {
        let (id, sessions) = (world.stored("count"), world.sessions());
        let mut calls = 0;
        let won = sessions.update(&id, |session| {
            calls += 1;
            session.insert("mine", calls)?;
            if session.access() == Access::Optimistic {
                sessions.update(&id, |other| other.insert("theirs", calls))?;
            }
            Ok::<_, SessionError>(())
        });
        won.unwrap();
        assert_eq!(calls, cloakroom::limits::UPDATE_RACES + 1);
        assert_eq!(world.value(&id, "mine"), Some(calls.into()));
        assert_eq!(world.value(&id, "theirs"), Some((calls - 1).into()));
    }

    fn an_update_loses_nothing_where_the_last_write_wins(world) {
        let sessions = world.builder().on_conflict(OnConflict::LastWriteWins).build();
        let id = world.stored("count");
        let mut calls = 0;
        let add = |count: Option<u64>| count.unwrap_or(0) + 1;
        sessions
            .update(&id, |session| {
                calls += 1;
                session.update("count", add)?;
                if calls == 1 {
                    sessions.update(&id, |other| other.update("count", add))?;
                }
                Ok::<_, SessionError>(())
            })
            .unwrap();
        assert_eq!(calls, 2, "the lost race was not repeated");
    }

    fn an_update_creates_a_session_and_of_two_both_count(world) {
        let (id, sessions) = (world.id(), world.sessions());
        let mut calls = 0;
        let add = |session: &mut cloakroom::blocking::Session<S>| {
            session.update("count", |count: Option<u64>| count.unwrap_or(0) + 1)
        };
        sessions
            .update(&id, |session| {
                calls += 1;
                add(session)?;
                if calls == 1 { sessions.update(&id, add) } else { Ok(0) }
            })
            .unwrap();
        assert_eq!((calls, world.value(&id, "count")), (2, Some(2)));
    }

    fn an_update_does_not_raise_a_session_that_is_destroyed_meanwhile(world) {
        for recreated in [false, true] {
            let (id, sessions) = (world.stored("count"), world.sessions());
            let mut calls = 0;
            let update = sessions.update(&id, |session| {
                calls += 1;
                session.insert("late", 1)?;
                sessions.destroy(&id)?;
                if recreated {
                    sessions.update(&id, |session| session.insert("second life", 1))?;
                }
                Ok::<_, SessionError>(())
            });
            let error = update.unwrap_err();
            assert!(matches!(error, SessionError::Commit(CommitError::Gone { .. })), "{error}");
            assert_eq!(calls, 1, "it is not tried again");
            assert_eq!(world.value(&id, "late"), None);
            assert_eq!(world.look(&id).is_new(), !recreated);
        }
    }

    /// A race first, then a destroy: the second try must not take the absent id for a new session.
    fn an_update_does_not_raise_a_session_that_is_destroyed_between_two_tries(world) {
        let (id, sessions) = (world.stored("count"), world.sessions());
        let mut calls = 0;
        let update = sessions.update(&id, |session| {
            calls += 1;
            session.insert("late", 1)?;
            sessions.update(&id, |other| other.insert("count", calls + 1))?;
            let mut other = sessions.open(&id, Access::Exclusive)?;
            if calls == 3 {
                other.destroy()?;
            }
            Ok::<_, SessionError>(())
        });
        let error = update.unwrap_err();
        assert!(matches!(error, SessionError::Commit(CommitError::Gone { .. })), "{error}");
        assert_eq!(calls, 3);
        assert!(world.look(&id).is_new());
    }

    fn what_the_closure_returns_ends_an_update_and_nothing_is_written(world) {
        #[derive(Debug)]
        enum Failed {
            InTheShop,
            InTheSession,
        }
        impl From<SessionError> for Failed {
            fn from(_: SessionError) -> Self {
                Self::InTheSession
            }
        }
        let id = world.stored("count");
        let update = world.sessions().update(&id, |session| {
            session.insert("count", 2)?;
            Err::<(), _>(Failed::InTheShop)
        });
        assert!(matches!(update, Err(Failed::InTheShop)));
        assert_eq!(world.value(&id, "count"), Some(1));
        let update = world.sessions().update(&id, |session| {
            session.get::<String>("count")?;
            Ok::<_, Failed>(())
        });
        assert!(matches!(update, Err(Failed::InTheSession)));
    }

    /// Row 15.
    fn counters_in_threads_lose_no_update(world) {
        let (id, sessions) = (world.stored("count"), world.sessions());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (id, sessions) = (&id, &sessions);
                scope.spawn(move || {
                    for _ in 0..50 {
                        if thread % 2 == 0 {
                            let mut session = sessions.open(id, Access::Exclusive).unwrap();
                            session.update("count", |n: Option<u64>| n.unwrap() + 1).unwrap();
                            session.commit().unwrap();
                        } else {
                            let add = |session: &mut cloakroom::blocking::Session<S>| {
                                session.update("count", |n: Option<u64>| n.unwrap() + 1)
                            };
                            sessions.update(id, add).unwrap();
                        }
                    }
                });
            }
        });
        assert_eq!(world.value(&id, "count"), Some(201));
    }

    /// Row 24.
    fn a_login_renews_the_id_and_the_old_one_is_dead(world) {
        let (old, sessions) = (world.stored("basket"), world.sessions());
        let created = world.trace(&old).record.unwrap().created;
        world.clock.advance(Duration::from_secs(5));
        let mut session = sessions.open(&old, Access::Exclusive).unwrap();
        session.insert("user", 7).unwrap();
        let new = session.renew(Duration::ZERO).unwrap().clone();
        assert_ne!(new, old);
        assert_eq!(session.id(), &new, "the id for the cookie is the new one");
        assert!(world.look(&new).is_new(), "but nothing happens before the commit");
        assert_eq!(world.value(&old, "user"), None);
        session.commit().unwrap();
        assert_eq!(session.id(), &new);
        assert_eq!(session.key(), &sessions.key(&new));
        assert_eq!(world.value(&new, "basket"), Some(1), "the data goes along");
        assert_eq!(world.value(&new, "user"), Some(7));
        assert_eq!(world.trace(&new).record.unwrap().created, created);
        assert!(world.look(&old).is_new(), "the old id is dead");
        assert_eq!(world.files(), world.files().map(|_| 1));
        sessions.update(&old, |session| session.insert("user", 1)).unwrap();
        assert_eq!(world.value(&new, "user"), Some(7), "whoever uses it gets another session");
    }

    fn a_new_session_that_was_renewed_is_not_new_any_more(world) {
        let mut session = world.sessions().start().unwrap();
        session.renew(Duration::ZERO).unwrap();
        session.insert("user", "ada").unwrap();
        session.commit().unwrap();
        assert!(!session.is_new());
        let record = *session.record().unwrap();
        let again = world.sessions().open(session.id(), Access::Snapshot).unwrap();
        assert_eq!(again.record(), Some(&record));
    }

    fn a_renewal_without_a_change_is_a_renewal(world) {
        let (old, sessions) = (world.stored("basket"), world.sessions());
        let mut session = sessions.open(&old, Access::Exclusive).unwrap();
        let new = session.renew(Duration::ZERO).unwrap().clone();
        session.commit().unwrap();
        assert_eq!(world.value(&new, "basket"), Some(1));
        assert!(world.look(&old).is_new());
    }

    fn a_renewal_that_is_dropped_or_forgotten_leaves_the_old_id(world) {
        let (old, sessions) = (world.stored("basket"), world.sessions());
        for end in ["drop", "forget", "release"] {
            let mut session = sessions.open(&old, Access::Exclusive).unwrap();
            let new = session.renew(Duration::ZERO).unwrap().clone();
            match end {
                "forget" => session.forget(),
                "release" => session.release(),
                _ => {}
            }
            drop(session);
            assert!(world.look(&new).is_new(), "{end}");
            assert_eq!(world.value(&old, "basket"), Some(1), "{end}");
        }
    }

    fn in_its_grace_an_old_id_shows_what_was_there_before_the_login(world) {
        let (old, sessions) = (world.stored("basket"), world.sessions());
        let mut session = sessions.open(&old, Access::Exclusive).unwrap();
        session.insert("user", 7).unwrap();
        let new = session.renew(Duration::from_secs(10)).unwrap().clone();
        session.commit().unwrap();
        assert_eq!(world.value(&old, "basket"), Some(1));
        assert_eq!(world.value(&old, "user"), None, "an id known before is worth nothing after");
        let error = sessions.update(&old, |session| session.insert("basket", 2)).unwrap_err();
        assert!(matches!(error, SessionError::Commit(CommitError::Retired { .. })), "{error}");
        world.clock.advance(Duration::from_secs(10));
        assert!(world.look(&old).is_new());
        assert_eq!(world.value(&new, "user"), Some(7));
    }

    fn a_grace_is_ten_minutes_at_most(world) {
        let (old, sessions) = (world.stored("basket"), world.sessions());
        let mut session = sessions.open(&old, Access::Exclusive).unwrap();
        session.renew(Duration::from_secs(86_400)).unwrap();
        session.commit().unwrap();
        world.clock.advance(cloakroom::limits::GRACE_MAX - Duration::from_millis(1));
        assert!(!world.look(&old).is_new());
        world.clock.advance(Duration::from_millis(1));
        assert!(world.look(&old).is_new());
    }

    /// Rows 3 and 24: a login of a session that was never stored.
    fn a_new_session_can_be_renewed_before_it_is_stored(world) {
        let mut session = world.sessions().start().unwrap();
        let old = session.id().clone();
        session.insert("user", 7).unwrap();
        let new = session.renew(Duration::ZERO).unwrap().clone();
        session.commit().unwrap();
        assert_eq!(world.value(&new, "user"), Some(7));
        assert!(world.look(&old).is_new());
    }

    /// Row 20, at a login: a new session with nothing in it is never stored.
    fn a_new_session_with_nothing_in_it_is_not_stored_by_a_renewal(world) {
        let mut session = world.sessions().start().unwrap();
        let new = session.renew(Duration::ZERO).unwrap().clone();
        session.commit().unwrap();
        assert!(world.look(&new).is_new());
        assert!(world.files().is_none_or(|files| files == 0));
    }

    /// Row 27.
    fn a_session_that_is_only_read_is_touched_after_a_tenth_of_its_idle_time(world) {
        let lifetime = Lifetime::default().idle(Duration::from_secs(1_000));
        let sessions = world.builder().lifetime(lifetime).build();
        let id = world.id();
        sessions.update(&id, |session| session.insert("user", 7)).unwrap();
        let before = world.trace(&id);
        for _ in 0..99 {
            world.clock.advance(Duration::from_secs(1));
            for access in Access::ALL {
                sessions.open(&id, access).unwrap().commit().unwrap();
            }
        }
        assert_eq!(world.trace(&id), before, "no write in the first tenth");
        world.clock.advance(Duration::from_secs(1));
        for access in Access::ALL {
            let now = cloakroom::seams::Clock::now(&world.clock);
            sessions.open(&id, access).unwrap().commit().unwrap();
            let record = world.trace(&id).record.unwrap();
            assert_eq!(record.accessed, now, "a tenth has passed ({access})");
            assert_eq!(record.version, 1, "a touch is no version");
            world.clock.advance(Duration::from_secs(100));
        }
    }

    fn a_touch_by_hand_is_one_at_once(world) {
        let id = world.stored("user");
        for access in Access::ALL {
            world.clock.advance(Duration::from_secs(1));
            let mut session = world.sessions().open(&id, access).unwrap();
            session.touch().unwrap();
            let now = cloakroom::seams::Clock::now(&world.clock);
            assert_eq!(world.trace(&id).record.unwrap().accessed, now, "{access}");
        }
    }

    /// Row 26.
    fn a_session_ends_at_its_deadline_though_no_sweeper_ran(world) {
        let lifetime = Lifetime::default().idle(Duration::from_secs(10));
        let sessions = world.builder().lifetime(lifetime).build();
        let id = world.id();
        sessions.update(&id, |session| session.insert("user", 7)).unwrap();
        world.clock.advance(Duration::from_secs(10));
        for access in Access::ALL.into_iter().rev() {
            let session = sessions.open(&id, access).unwrap();
            assert!(session.is_new() && session.was_expired() && session.is_empty(), "{access}");
        }
        let mut session = sessions.open(&id, Access::Exclusive).unwrap();
        session.insert("user", 8).unwrap();
        session.commit().unwrap();
        assert!(!world.look(&id).was_expired());
        assert_eq!(world.value(&id, "user"), Some(8));
    }

    /// Row 25.
    fn a_destroy_is_idempotent_and_nothing_is_left(world) {
        let (id, sessions) = (world.stored("user"), world.sessions());
        let mut session = sessions.open(&id, Access::Exclusive).unwrap();
        session.insert("user", 2).unwrap();
        session.destroy().unwrap();
        assert!(session.is_empty(), "nothing of it is shown any more");
        session.commit().unwrap();
        sessions.destroy(&id).unwrap();
        sessions.destroy(&world.id()).unwrap();
        assert!(world.look(&id).is_new());
        assert!(world.files().is_none_or(|files| files == 0));
    }

    /// Row 25: `clear` alone empties; the session lives on.
    fn a_clear_empties_the_session_and_it_lives_on(world) {
        let (id, sessions) = (world.stored("user"), world.sessions());
        let birth = world.trace(&id).record.unwrap().birth;
        for _ in 0..2 {
            let mut session = sessions.open(&id, Access::Exclusive).unwrap();
            session.clear().unwrap();
            session.commit().unwrap();
            let record = world.trace(&id).record.unwrap();
            assert_eq!((record.birth, record.version), (birth, 2), "the second changes nothing");
            assert!(world.look(&id).is_empty());
        }
    }

    fn a_destroy_by_id_waits_for_the_exclusive_holder(world) {
        let (id, sessions) = (world.stored("user"), world.sessions());
        let brief = world.builder().lock_wait(Duration::ZERO).build();
        let mut session = sessions.open(&id, Access::Exclusive).unwrap();
        let error = brief.destroy(&id).unwrap_err();
        assert!(error.to_string().contains("held by process"), "{error}");
        session.insert("user", 2).unwrap();
        session.commit().unwrap();
        brief.destroy(&id).unwrap();
        assert!(world.look(&id).is_new());
    }

    fn a_commit_that_fails_can_be_tried_again(world) {
        let (id, sessions) = (world.stored("user"), world.sessions());
        let mut session = sessions.open(&id, Access::Exclusive).unwrap();
        session.insert("user", 2).unwrap();
        session.insert("huge", "x".repeat(cloakroom::limits::PAYLOAD_MAX)).unwrap();
        let error = session.commit().unwrap_err();
        assert!(matches!(error, SessionError::Commit(CommitError::TooLarge { .. })));
        assert!(!is_free(world, &id), "the lock is kept");
        assert_eq!(world.value(&id, "user"), Some(1), "the old value stands");
        session.remove("huge").unwrap();
        session.commit().unwrap();
        assert_eq!(world.value(&id, "user"), Some(2));
    }

    fn debug_output_and_error_texts_contain_neither_values_nor_ids(world) {
        let (sessions, id) = (world.sessions(), SessionId::from("the-secret-ticket"));
        let mut session = sessions.open(&id, Access::Exclusive).unwrap();
        session.insert("password", "hunter2").unwrap();
        let shown = [
            format!("{session:?}"),
            format!("{session:#?}"),
            format!("{sessions:?}"),
            format!("{id:?}"),
            format!("{:?}", session.key()),
            format!("{:?}", session.get::<u8>("password").unwrap_err()),
            sessions
                .open_with(
                    &id,
                    OpenRequest::new(Access::Exclusive, Calling::Blocking)
                        .wait(Duration::ZERO),
                )
                .unwrap_err()
                .to_string(),
        ];
        for text in shown {
            assert!(!text.contains("hunter2"), "a value in {text}");
            assert!(!text.contains("the-secret-ticket"), "an id in {text}");
        }
        assert!(format!("{session:?}").contains("password"), "names are fine");
    }

    /// Row 33: web2py's masterapp.
    fn two_applications_of_one_namespace_share_their_sessions(world) {
        let id = world.id();
        let [admin, shop] = ["shared", "shared"].map(|name| world.builder().namespace(name).build());
        let other = world.builder().namespace("other").build();
        admin.update(&id, |session| session.insert("user", 7)).unwrap();
        assert_eq!(shop.open(&id, Access::Snapshot).unwrap().get("user").unwrap(), Some(7));
        assert!(other.open(&id, Access::Snapshot).unwrap().is_new());
    }
}

/// Row 23: web2py starts a new session silently, web.py answers 500 for ever.
#[test]
fn a_damaged_session_is_an_error_once_or_a_fresh_start_and_kept_in_the_quarantine() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 4] = [
        ("garbage", |bytes| *bytes = b"not a session at all".repeat(100)),
        ("truncated", |bytes| bytes.truncate(bytes.len() / 2)),
        ("a flipped bit", |bytes| {
            // In the payload of the first slot.
            bytes[512 + 96 + 1] ^= 1;
        }),
        ("zeros", |bytes| bytes[512..].fill(0)),
    ];
    for (name, damage) in damages {
        for access in Access::ALL {
            let world = World::file();
            let sessions = world.sessions();
            let fresh = world.builder().on_corrupt(OnCorrupt::StartFresh).build();
            let [id, other] = [world.stored("user"), world.stored("user")];
            for id in [&id, &other] {
                let place = world.store.place(&sessions.key(id));
                let mut bytes = std::fs::read(&place).unwrap();
                damage(&mut bytes);
                std::fs::write(&place, bytes).unwrap();
            }
            let error = sessions.open(&id, access).unwrap_err();
            let SessionError::Open(OpenError::Corrupt(corrupt)) = &error else {
                panic!("{name}, {access}: expected damage to be found: {error}")
            };
            let kept = corrupt.quarantine.as_ref().unwrap();
            assert!(kept.is_file(), "{name}, {access}: {error}");
            assert!(sessions.open(&id, access).unwrap().is_new(), "{name}: the id is free again");

            let session = fresh.open(&other, access).unwrap();
            assert!(session.is_new() && session.is_empty(), "{name}, {access}");
            drop(session);
            fresh.update(&other, |session| session.insert("user", 2)).unwrap();
            assert_eq!(world.value(&other, "user"), Some(2));
        }
    }
}

/// Row 23: a payload of another format is whole, so it stays where it is.
#[test]
fn a_payload_of_an_unknown_format_is_an_error_that_says_so() {
    let world = World::file();
    let (sessions, id) = (world.sessions(), world.id());
    let request = OpenRequest::new(Access::Exclusive, Calling::Blocking);
    let hold = wait(world.store.open(&sessions.key(&id), request));
    let commit =
        async { cloakroom::Hold::commit(&mut hold.unwrap(), b"{}", Default::default()).await };
    wait(commit).unwrap();
    let error = sessions.open(&id, Access::Exclusive).unwrap_err();
    assert!(matches!(error, SessionError::Payload { .. }), "{error}");
    assert!(error.to_string().contains("format"), "{error}");
    assert!(is_free(&world, &id), "and no lock is left");
}

/// A reader without a lock reads in steps. Between two of them a writer committed into the slot
/// that was read already and was in the middle of the next one: the reader then fell back on what
/// it had in its buffer, and showed a version older than one it had shown before.
#[test]
fn a_snapshot_is_never_older_than_what_was_committed_before_it_began() {
    for commits_before in 1..=2 {
        let directory = tempfile::tempdir().unwrap();
        let meddling = Meddling::default();
        let [writer, reader] = [(); 2].map(|()| {
            let builder = FileStore::builder(directory.path());
            builder.file_system(meddling.clone()).open().unwrap()
        });
        let key = Key::new("", &SessionId::from("read in steps"));
        let commit = move |store: &FileStore, size: usize| {
            let request = OpenRequest::new(Access::Exclusive, Calling::Blocking);
            let mut hold = wait(store.open(&key, request)).unwrap();
            // Bytes of its own for each version, or a torn one could be whole by chance.
            let payload = vec![size.to_le_bytes()[0] ^ size.to_le_bytes()[1]; size];
            wait(hold.commit(&payload, Terms::default())).unwrap().version
        };
        // Slots so large that no one read has both; then a small version and a large one.
        for _ in 0..commits_before {
            commit(&writer, 20_000);
        }
        commit(&writer, 100);
        let committed = commit(&writer, 9_000);

        let [(begin, begun), (halt, halted), (resume, resumed)] = [(); 3].map(|()| channel());
        meddling.in_the_middle_of_a_write(96 + HALTED, move || {
            halt.send(()).unwrap();
            resumed.recv().unwrap();
        });
        let late = std::thread::spawn(move || {
            begun.recv().unwrap();
            commit(&writer, 8_000);
            commit(&writer, HALTED);
        });
        let late_begins = begin.clone();
        meddling.before_a_read_behind_the_first(move || {
            late_begins.send(()).unwrap();
            halted.recv().unwrap();
        });
        let request = OpenRequest::new(Access::Snapshot, Calling::Blocking);
        let seen = wait(reader.open(&key, request)).unwrap().record().unwrap().version;
        // In case nobody read in steps.
        begin.send(()).unwrap();
        resume.send(()).unwrap();
        late.join().unwrap();
        assert!(seen >= committed, "version {seen} was seen after {committed} was committed");
    }

    /// A payload of this size is written in two halves.
    const HALTED: usize = 8_500;
}

/// A file system that lets something happen in the middle of a read or a write, once.
#[derive(Clone, Default)]
struct Meddling {
    read: Arc<Mutex<Option<Meddle>>>,
    write: Arc<Mutex<Option<(usize, Meddle)>>>,
}

type Meddle = Box<dyn FnOnce() + Send>;

impl Meddling {
    fn before_a_read_behind_the_first(&self, meddle: impl FnOnce() + Send + 'static) {
        *self.read.lock().unwrap() = Some(Box::new(meddle));
    }

    fn in_the_middle_of_a_write(&self, length: usize, meddle: impl FnOnce() + Send + 'static) {
        *self.write.lock().unwrap() = Some((length, Box::new(meddle)));
    }
}

impl FileSystem for Meddling {
    fn read_at(&self, file: &File, buffer: &mut Vec<u8>, offset: u64) -> io::Result<usize> {
        let meddle = self.read.lock().unwrap().take_if(|_| offset > 0);
        if let Some(meddle) = meddle {
            meddle();
        }
        OsFileSystem.read_at(file, buffer, offset)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let meddle = self.write.lock().unwrap().take_if(|(length, _)| *length == bytes.len());
        let Some((_, meddle)) = meddle else { return OsFileSystem.write_at(file, bytes, offset) };
        let (half, _) = bytes.split_at(bytes.len() / 2);
        let written = OsFileSystem.write_at(file, half, offset)?;
        meddle();
        Ok(written)
    }
}

/// Row 28: web.py's `testRemovedSessionDir`.
#[test]
fn a_prefix_directory_that_vanishes_takes_its_sessions_and_no_more() {
    let world = World::file();
    let (sessions, id) = (world.sessions(), world.stored("user"));
    let place = world.store.place(&sessions.key(&id));
    std::fs::remove_dir_all(place.parent().unwrap()).unwrap();
    assert!(sessions.sweep(SweepBudget { sessions: 10 }).unwrap().complete);
    assert!(world.look(&id).is_new());
    sessions.destroy(&id).unwrap();
    sessions.update(&id, |session| session.insert("user", 2)).unwrap();
    assert_eq!(world.value(&id, "user"), Some(2));
}

/// Row 28.
#[test]
fn a_sweep_leaves_files_alone_that_are_no_sessions() {
    let world = World::file();
    let sessions = world.sessions();
    let place = world.store.place(&sessions.key(&world.stored("user")));
    let directory = place.parent().unwrap();
    let foreign = [directory.join("README"), directory.join(".nfs0001"), directory.join("ab")];
    for file in &foreign {
        std::fs::write(file, b"not ours").unwrap();
    }
    world.clock.advance(Duration::from_secs(100 * 86_400));
    let swept = sessions.sweep(SweepBudget { sessions: 100 }).unwrap();
    assert!(swept.complete && swept.removed == 1 && swept.failed == 0, "{swept:?}");
    assert!(foreign.iter().all(|file| file.is_file()), "they are as they were");
}

/// A session of one thread at a time: the seal of all of this.
#[test]
fn two_threads_are_never_in_one_exclusive_session_at_once() {
    let world = World::file();
    let (sessions, id, inside) = (world.sessions(), world.stored("n"), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let mut session = sessions.open(&id, Access::Exclusive).unwrap();
                    assert!(!inside.swap(true, Ordering::AcqRel));
                    session.update("n", |n: Option<u64>| n.unwrap() + 1).unwrap();
                    assert!(inside.swap(false, Ordering::AcqRel));
                    session.commit().unwrap();
                }
            });
        }
    });
    assert_eq!(world.value(&id, "n"), Some(401));
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Basket {
    items: Vec<Item>,
    notes: BTreeMap<String, Option<String>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Item {
    name: String,
    price: i32,
}

type Change<S> = fn(&mut Session<S>) -> Result<(), SessionError>;
type Exit<S> = fn(&mut Session<S>);

/// Every way a session ends before its request does.
fn exits<S: Store>() -> [(Exit<S>, Ended); 4] {
    [
        (|session| session.release(), Ended::Released),
        (|session| session.forget(), Ended::Forgotten),
        (|session| session.commit().unwrap(), Ended::Committed),
        (|session| session.destroy().unwrap(), Ended::Destroyed),
    ]
}

/// Whether nobody holds the session's lock.
fn is_free<S: Store + Clone>(world: &World<S>, id: &SessionId) -> bool {
    let sessions: Sessions<S> = world.builder().lock_wait(Duration::ZERO).build();
    match sessions.open(id, Access::Exclusive) {
        Err(SessionError::Open(OpenError::LockTimeout(_))) => false,
        // A session that cannot be read has been locked to find that out.
        Ok(_) | Err(SessionError::Payload { .. }) => true,
        Err(error) => panic!("it is free or held: {error}"),
    }
}
