//! Sessions in a store: ids, locks, races, two managers.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::pin::pin;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::{Access, FileStore, Store};
use cloakroom_web::{Arrival, Error, SessionManager, SettingsError};
use common::{Browser, OTHER, SECRET, Stage, begin, count, look, request, settings};

over!([memory file map] [
    a_cookie_that_was_not_signed_here_never_reaches_the_store
    a_genuine_id_that_the_store_does_not_hold_is_never_adopted
    two_managers_on_one_store_share_sessions_and_a_restart_loses_none
    applications_that_share_a_store_and_a_key_are_kept_apart_by_name
    a_renewed_session_has_another_id_and_the_old_one_is_dead
    a_session_that_is_renewed_in_its_first_request_is_found_again
    a_renewal_that_was_not_saved_leaves_the_old_id
    a_browser_that_has_the_cookie_of_its_session_is_told_nothing
    during_the_grace_the_old_id_is_read_and_not_written
    a_logout_is_not_undone_by_a_slow_request_that_saves_later
    of_two_optimistic_requests_the_second_is_told_and_repeats
    a_snapshot_reads_and_does_not_write
    a_part_that_wants_more_than_the_first_took_is_told_so
    no_increment_of_many_threads_is_lost
]);

mod with_locks {
    use super::*;
    over!([memory file] [
        who_waits_too_long_learns_the_holder_s_route_and_the_client_learns_nothing
        a_dropped_visit_frees_the_lock_at_once
        a_failed_response_frees_the_lock
        released_in_the_handler_the_next_request_goes_on
        who_waited_for_a_session_that_was_destroyed_gets_a_new_one
    ]);
}

fn a_cookie_that_was_not_signed_here_never_reaches_the_store<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut genuine = Browser::default();
    count(&manager, &mut genuine);
    let ticket = genuine.value();
    let (id, mac) = ticket.split_once('.').unwrap();
    let forged = [
        id.to_owned(),
        format!("{id}."),
        format!("{id}.{}", "A".repeat(43)),
        format!("{}.{mac}", "0".repeat(64)),
        format!("{id}..{mac}"),
        format!("{id}.AAAA.{mac}"),
        ticket.to_uppercase(),
    ];
    for value in forged {
        let mut browser = genuine.clone();
        browser.cookies.values_mut().for_each(|cookie| cookie.clone_from(&value));
        let before = at.opens();
        let mut fresh = Browser::default();
        assert_eq!(count(&manager, &mut fresh), 1);
        let of_a_fresh_one = at.opens() - before;
        assert_eq!(count(&manager, &mut browser), 1, "{value}");
        assert_eq!(at.opens() - before, 2 * of_a_fresh_one, "asked for nothing but a fresh id");
        assert!(!browser.value().contains(id));
    }
}

fn a_genuine_id_that_the_store_does_not_hold_is_never_adopted<S: Store>(at: &Stage<S>) {
    let elsewhere = common::memory().manager(settings());
    let mut browser = Browser::default();
    count(&elsewhere, &mut browser);
    let old = browser.value();
    assert_eq!(count(&at.manager(settings()), &mut browser), 1);
    assert_ne!(browser.value().get(..64), old.get(..64));
}

fn two_managers_on_one_store_share_sessions_and_a_restart_loses_none<S: Store>(at: &Stage<S>) {
    let (one, two) = (at.manager(settings()), at.manager(settings()));
    let mut browser = Browser::default();
    let mut counts = vec![count(&one, &mut browser), count(&two, &mut browser)];
    drop((one, two));
    let again = at.manager(settings());
    counts.push(count(&again, &mut browser));
    assert_eq!(counts, [1, 2, 3]);
}

fn applications_that_share_a_store_and_a_key_are_kept_apart_by_name<S: Store>(at: &Stage<S>) {
    let shop = at.manager(settings().namespace("shop"));
    let admin = at.manager(settings().namespace("admin"));
    let mut browser = Browser::default();
    count(&shop, &mut browser);
    assert_eq!(look(&admin, &browser), None);
    assert_eq!(look(&at.manager(settings().namespace("shop")), &browser), Some(1));
}

fn a_renewed_session_has_another_id_and_the_old_one_is_dead<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let old = browser.clone();
    request(&manager, &mut browser, 200, |session| {
        session.renew()?;
        session.insert("user", "ada")
    })
    .unwrap();
    assert_ne!(browser.value(), old.value());
    assert_eq!(look(&manager, &old), None);
    assert_eq!(count(&manager, &mut browser), 2);
}

/// A login without a session before: the browser was told nothing, and the user was not logged in.
fn a_session_that_is_renewed_in_its_first_request_is_found_again<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    request(&manager, &mut browser, 200, |session| {
        session.renew()?;
        session.insert("count", 7)?;
        wait(session.commit())?;
        assert!(!session.is_new()?);
        Ok(())
    })
    .unwrap();
    assert_eq!(count(&manager, &mut browser), 8);
}

fn a_renewal_that_was_not_saved_leaves_the_old_id<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let old = browser.value();
    request(&manager, &mut browser, 500, |session| session.renew()).unwrap();
    assert_eq!(browser.value(), old);
    assert_eq!(look(&manager, &browser), Some(1));
    // Committed by the handler, it stands, and the browser must learn of it even so.
    request(&manager, &mut browser, 500, |session| {
        session.renew()?;
        wait(session.commit())
    })
    .unwrap();
    assert_ne!(browser.value(), old);
    assert_eq!(look(&manager, &browser), Some(1));
    // Nor does a browser learn an id that it could not use, if it is new itself.
    let mut new = Browser::default();
    request(&manager, &mut new, 500, |session| {
        session.insert("count", 5)?;
        wait(session.ensure_saved())?;
        session.renew()
    })
    .unwrap();
    assert_eq!(look(&manager, &new), Some(5));
}

fn a_browser_that_has_the_cookie_of_its_session_is_told_nothing<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let visit = begin(&manager, &browser);
    wait(visit.session().open()).unwrap().insert("count", 2).unwrap();
    assert!(wait(visit.finish(200)).cookies.is_empty());
    assert_eq!(look(&manager, &browser), Some(2));
}

fn during_the_grace_the_old_id_is_read_and_not_written<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings().renew_grace(Duration::from_secs(10)));
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let mut old = browser.clone();
    request(&manager, &mut browser, 200, |session| session.renew()).unwrap();
    assert_eq!(look(&manager, &old), Some(1));
    let error = request(&manager, &mut old, 200, |session| session.insert("count", 7));
    assert_eq!(error.expect_err("the id was renewed").status(), 409);
    at.clock.advance(Duration::from_secs(10));
    assert_eq!(look(&manager, &old), None);
}

fn a_logout_is_not_undone_by_a_slow_request_that_saves_later<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let slow = begin(&manager, &browser);
    let session = wait(slow.session().open_as(Access::Optimistic)).unwrap();
    session.insert("user", "alice").unwrap();
    let old = browser.clone();
    let logout = begin(&manager, &browser);
    let out = wait(logout.session().open_as(Access::Optimistic)).unwrap();
    wait(out.destroy()).unwrap();
    browser.take(&wait(logout.finish(200)).cookies);
    let late = wait(slow.finish(200));
    assert_eq!(late.saved.expect_err("it was destroyed").status(), 409);
    browser.take(&late.cookies);
    assert!(browser.cookies.is_empty());
    assert_eq!(look(&manager, &old), None);
}

fn of_two_optimistic_requests_the_second_is_told_and_repeats<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings().access(Access::Optimistic));
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let visits = [begin(&manager, &browser), begin(&manager, &browser)];
    let sessions = visits.each_ref().map(|visit| wait(visit.session().open()).unwrap());
    for session in &sessions {
        session.update("count", |count: Option<u32>| count.unwrap_or(0) + 1).unwrap();
    }
    let [first, second] = visits.map(|visit| wait(visit.finish(200)).saved);
    first.unwrap();
    let error = second.expect_err("the first was faster");
    assert!(error.is_conflict() && error.status() == 409, "{error}");
    assert_eq!(count(&manager, &mut browser), 3);
}

fn a_snapshot_reads_and_does_not_write<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    // Somebody holds it as the store can; a snapshot waits for nobody.
    let holder = begin(&manager, &browser);
    wait(holder.session().open()).unwrap();
    let visit = begin(&manager, &browser);
    visit.session().set_access(Access::Snapshot);
    let session = wait(visit.session().open()).unwrap();
    assert_eq!(session.get("count").unwrap(), Some(1));
    let error = session.insert("count", 2).expect_err("a snapshot");
    assert!(error.to_string().contains("read-only"), "{error}");
    wait(visit.finish(200)).saved.unwrap();
}

fn a_part_that_wants_more_than_the_first_took_is_told_so<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let visit = begin(&manager, &Browser::default());
    wait(visit.session().open_as(Access::Snapshot)).unwrap();
    let error = wait(visit.session().open_as(Access::Optimistic)).expect_err("it is a snapshot");
    let text = error.to_string();
    assert!(matches!(error, Error::Access { .. }), "{text}");
    assert!(text.contains("`snapshot`") && text.contains("`optimistic`"), "{text}");
    let visit = begin(&manager, &Browser::default());
    wait(visit.session().open()).unwrap();
    wait(visit.session().open_as(Access::Snapshot)).unwrap();
}

fn no_increment_of_many_threads_is_lost<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let add = |session: cloakroom_web::Session| {
        session.update("count", |count: Option<u32>| count.unwrap_or(0) + 1)
    };
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    while let Err(error) = request(&manager, &mut browser.clone(), 200, add) {
                        assert!(error.is_conflict(), "{error}");
                    }
                }
            });
        }
    });
    assert_eq!(look(&manager, &browser), Some(401));
}

fn who_waits_too_long_learns_the_holder_s_route_and_the_client_learns_nothing<S: Store>(
    at: &Stage<S>,
) {
    let manager = at.manager(settings().lock_wait(Duration::from_millis(5)));
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let header = browser.header();
    let slow = manager.begin(Arrival::new().cookie(header.as_bytes()).route("GET /slow"));
    let session = wait(slow.session().open()).unwrap();
    let error = request(&manager, &mut browser, 200, |_| Ok(())).expect_err("it is held");
    let text = error.to_string();
    assert!(text.contains("`GET /slow`") && text.contains("`GET /test`"), "{text}");
    assert_eq!(error.status(), 503);
    assert!(error.retry_after().is_some());
    let key = session.key().unwrap().to_string();
    assert!(!error.message().contains(&key) && !error.message().contains("slow"));
}

fn a_dropped_visit_frees_the_lock_at_once<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings().lock_wait(Duration::ZERO));
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let visit = begin(&manager, &browser);
    let handle = wait(visit.session().open()).unwrap();
    assert!(request(&manager, &mut browser, 200, |_| Ok(())).is_err());
    drop(visit);
    assert_eq!(count(&manager, &mut browser), 2);
    drop(handle);
}

fn a_failed_response_frees_the_lock<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings().lock_wait(Duration::ZERO));
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let visit = begin(&manager, &browser);
    let handle = wait(visit.session().open()).unwrap();
    handle.insert("count", 99).unwrap();
    wait(visit.finish(500)).saved.unwrap();
    assert_eq!(count(&manager, &mut browser), 2);
    assert!(handle.get::<u32>("count").is_err());
}

fn released_in_the_handler_the_next_request_goes_on<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings().lock_wait(Duration::ZERO));
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let visit = begin(&manager, &browser);
    let session = wait(visit.session().open()).unwrap();
    wait(session.release()).unwrap();
    assert_eq!(count(&manager, &mut browser), 2);
    assert_eq!(session.get("count").unwrap(), Some(1));
    wait(visit.finish(200)).saved.unwrap();
    assert_eq!(look(&manager, &browser), Some(2));
}

fn who_waited_for_a_session_that_was_destroyed_gets_a_new_one<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let logout = begin(&manager, &browser);
    let session = wait(logout.session().open()).unwrap();
    let waiting = begin(&manager, &browser);
    let lazy = waiting.session();
    let mut open = pin!(lazy.open());
    assert!(open.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    wait(session.destroy()).unwrap();
    let fresh = wait(open).unwrap();
    assert_eq!(fresh.get::<u32>("count").unwrap(), None);
    assert_ne!(fresh.key().unwrap(), session.key().unwrap());
}

#[test]
fn a_store_without_locks_is_taken_optimistically_and_refuses_locks_at_the_start() {
    let at = common::map();
    assert_eq!(at.manager(settings()).access(), Access::Optimistic);
    assert_eq!(common::file().manager(settings()).access(), Access::Exclusive);
    let directory = tempfile::tempdir().unwrap();
    let store = cloakroom::MapStore::open(directory.path().join("sessions")).unwrap();
    let error = SessionManager::new(store, settings().access(Access::Exclusive)).unwrap_err();
    assert!(matches!(error, SettingsError::Access(_)), "{error}");
    assert!(error.to_string().contains("`optimistic`"), "{error}");
}

#[test]
fn a_damaged_session_begins_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sessions");
    let manager = SessionManager::new(FileStore::open(&path).unwrap(), settings()).unwrap();
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let key = request(&manager, &mut browser, 200, |session| session.key()).unwrap();
    let file = manager.sessions().unwrap().store().place(&key);
    std::fs::write(&file, vec![b'x'; 2_000]).unwrap();
    assert_eq!(count(&manager, &mut browser), 1);
    assert_eq!(count(&manager, &mut browser), 2);
}

#[test]
fn a_retired_key_is_accepted_and_its_cookie_made_anew_an_unknown_one_is_not() {
    let at = common::memory();
    let mut browser = Browser::default();
    count(&at.manager(settings()), &mut browser);
    let old = browser.value();
    let rotated = at.manager(cloakroom_web::Settings::new(OTHER).retired_key(SECRET));
    assert_eq!(count(&rotated, &mut browser), 2);
    let new = browser.value();
    assert_eq!(old[..64], new[..64], "the session is the same");
    assert_ne!(old, new);
    let only_new = at.manager(cloakroom_web::Settings::new(OTHER));
    assert_eq!(look(&only_new, &browser), Some(2));
    browser.cookies.values_mut().for_each(|cookie| cookie.clone_from(&old));
    assert_eq!(look(&only_new, &browser), None);
}

#[test]
fn a_cancelled_commit_lets_the_session_go_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::builder(directory.path().join("sessions"))
        .durability(cloakroom::Durability::Power)
        .open()
        .unwrap();
    let manager = SessionManager::new(store, settings()).unwrap();
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let visit = begin(&manager, &browser);
    let session = wait(visit.session().open()).unwrap();
    session.insert("count", 2).unwrap();
    {
        let commit = pin!(session.commit());
        assert!(commit.poll(&mut Context::from_waker(Waker::noop())).is_pending(), "it syncs");
    }
    let error = session.insert("count", 3).expect_err("its commit was cancelled");
    assert!(matches!(error, Error::Interrupted { .. }), "{error}");
    let saved = wait(visit.finish(200)).saved;
    assert!(matches!(saved, Err(Error::Interrupted { .. })), "{saved:?}");
    assert!([Some(1), Some(2)].contains(&look(&manager, &browser)));
}

#[test]
fn a_request_that_ends_while_its_session_is_opened_leaves_no_lock() {
    let at = common::memory();
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let holder = begin(&manager, &browser);
    wait(holder.session().open()).unwrap();
    let waiting = begin(&manager, &browser);
    let lazy = waiting.session();
    let mut open = pin!(lazy.open());
    assert!(open.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(waiting);
    wait(holder.finish(200)).saved.unwrap();
    assert!(matches!(wait(open), Err(Error::RequestOver { .. })));
    assert_eq!(count(&manager, &mut browser), 2);
}
