//! The life of a request, over every store and over sealed cookies.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::{Durability, FileStore, Store};
use cloakroom_web::{Arrival, Departure, Error, SessionManager};
use common::{Browser, Stage, begin, count, look, request, settings};

over!([memory file map sealed] [
    a_counter_counts_and_another_browser_has_its_own
    a_request_that_does_not_ask_for_its_session_costs_nothing
    an_empty_new_session_is_never_stored
    what_the_initializer_put_in_is_not_stored_alone
    an_empty_session_can_be_stored_for_the_page_s_first_calls
    a_redirect_and_a_404_save_and_a_500_does_not
    a_dropped_visit_saves_nothing_and_its_handles_say_so
    all_parts_of_a_request_share_one_session
    after_a_release_the_session_is_read_and_a_change_is_an_error_that_names_the_route
    what_was_committed_stays_whatever_the_status_is
    a_forgotten_session_is_not_stored
    a_destroyed_session_is_forgotten_by_the_browser
    a_cleared_session_goes_on_empty
    an_unchanged_session_tells_the_browser_nothing
    a_session_ends_when_it_was_not_used_and_begins_anew
    a_session_in_use_lives_on_until_its_absolute_end
    who_is_to_be_told_of_the_end_is_told_once
    a_lasting_cookie_is_given_out_anew_as_the_session_is_used
    a_change_in_the_middle_of_an_update_is_refused_and_not_waited_for
    a_wrong_type_is_an_error_and_changes_nothing
    the_last_of_two_handles_of_one_request_sees_what_the_first_wrote
]);

fn a_counter_counts_and_another_browser_has_its_own<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let (mut ada, mut bob) = (Browser::default(), Browser::default());
    assert_eq!([count(&manager, &mut ada), count(&manager, &mut ada)], [1, 2]);
    assert_eq!(count(&manager, &mut bob), 1);
    assert_eq!(count(&manager, &mut ada), 3);
    assert_ne!(ada.value(), bob.value());
}

fn a_request_that_does_not_ask_for_its_session_costs_nothing<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let before = at.opens();
    let departure = wait(begin(&manager, &browser).finish(200));
    assert!(departure.cookies.is_empty() && departure.saved.is_ok());
    assert_eq!(at.opens(), before);
}

fn an_empty_new_session_is_never_stored<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    request(&manager, &mut browser, 200, |session| {
        assert_eq!(session.get::<u32>("count")?, None);
        session.insert("count", 1)?;
        session.remove("count")?;
        session.renew()
    })
    .unwrap();
    assert!(browser.cookies.is_empty());
}

fn what_the_initializer_put_in_is_not_stored_alone<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings().initializer(|session| session.insert("count", 7)));
    let mut browser = Browser::default();
    assert_eq!(look(&manager, &browser), Some(7));
    assert!(browser.cookies.is_empty());
    assert_eq!([count(&manager, &mut browser), count(&manager, &mut browser)], [8, 9]);
}

fn an_empty_session_can_be_stored_for_the_page_s_first_calls<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    request(&manager, &mut browser, 500, |session| wait(session.ensure_saved())).unwrap();
    let known = request(&manager, &mut browser, 200, |session| session.is_new()).unwrap();
    assert!(!known && browser.cookies.len() == 1);
}

fn a_redirect_and_a_404_save_and_a_500_does_not<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    for (status, expected) in [(303, 1), (404, 2), (500, 2), (503, 2), (200, 3)] {
        request(&manager, &mut browser, status, |session| {
            session.update("count", |count: Option<u32>| count.unwrap_or(0) + 1)
        })
        .unwrap();
        assert_eq!(look(&manager, &browser), Some(expected), "{status}");
    }
}

fn a_dropped_visit_saves_nothing_and_its_handles_say_so<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let visit = begin(&manager, &browser);
    let (lazy, session) = (visit.session(), wait(visit.session().open()).unwrap());
    session.insert("count", 99).unwrap();
    drop(visit);
    let errors = [
        session.insert("count", 100).unwrap_err(),
        wait(session.commit()).unwrap_err(),
        wait(lazy.open()).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::RequestOver { .. }), "{error}");
        assert!(error.to_string().contains("`GET /test`"), "{error}");
    }
    assert_eq!(count(&manager, &mut browser), 2);
}

fn all_parts_of_a_request_share_one_session<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let before = at.opens();
    let visit = begin(&manager, &browser);
    for expected in 2..10 {
        let session = wait(visit.session().open()).unwrap();
        assert_eq!(session.update("count", |n: Option<u32>| n.unwrap_or(0) + 1).unwrap(), expected);
    }
    let Departure { cookies, saved } = wait(visit.finish(200));
    saved.unwrap();
    browser.take(&cookies);
    assert!(at.opens() <= before + 1);
    assert_eq!(look(&manager, &browser), Some(9));
}

fn the_last_of_two_handles_of_one_request_sees_what_the_first_wrote<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let visit = begin(&manager, &Browser::default());
    let first = wait(visit.session().open()).unwrap();
    first.insert("name", "ada").unwrap();
    let second = wait(visit.session().open_as(manager.access())).unwrap();
    assert_eq!(second.get::<String>("name").unwrap().as_deref(), Some("ada"));
    assert_eq!(second.keys().unwrap(), ["name"]);
    let departure = wait(visit.finish(200));
    assert_eq!(departure.cookies.len(), 1);
}

fn after_a_release_the_session_is_read_and_a_change_is_an_error_that_names_the_route<S: Store>(
    at: &Stage<S>,
) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    request(&manager, &mut browser, 200, |session| {
        session.insert("count", 99)?;
        wait(session.release())?;
        wait(session.release())?;
        let error = session.insert("count", 100).expect_err("it was released");
        let text = error.to_string();
        assert!(text.contains("`GET /test`") && text.contains("released"), "{text}");
        assert_eq!(error.status(), 500);
        session.get::<u32>("count")
    })
    .unwrap();
    assert_eq!(look(&manager, &browser), Some(1));
}

fn what_was_committed_stays_whatever_the_status_is<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    request(&manager, &mut browser, 500, |session| {
        session.insert("count", 5)?;
        wait(session.commit())?;
        wait(session.commit())?;
        let error = session.insert("count", 6).expect_err("it was committed");
        assert!(error.to_string().contains("committed"), "{error}");
        Ok(())
    })
    .unwrap();
    assert_eq!(look(&manager, &browser), Some(5));
}

fn a_forgotten_session_is_not_stored<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    request(&manager, &mut browser, 200, |session| {
        session.insert("count", 99)?;
        session.forget()
    })
    .unwrap();
    assert_eq!(look(&manager, &browser), Some(1));
}

fn a_destroyed_session_is_forgotten_by_the_browser<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    request(&manager, &mut browser, 200, |session| wait(session.destroy())).unwrap();
    assert!(browser.cookies.is_empty());
    assert_eq!(count(&manager, &mut browser), 1);
    request(&manager, &mut Browser::default(), 200, |session| wait(session.destroy())).unwrap();
}

fn a_cleared_session_goes_on_empty<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    request(&manager, &mut browser, 200, |session| session.clear()).unwrap();
    request(&manager, &mut browser, 200, |session| {
        assert!(session.keys()?.is_empty() && !session.is_new()?);
        Ok(())
    })
    .unwrap();
}

fn an_unchanged_session_tells_the_browser_nothing<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let visit = begin(&manager, &browser);
    let session = wait(visit.session().open()).unwrap();
    session.insert("count", 1).unwrap();
    let Departure { cookies, saved } = wait(visit.finish(200));
    assert!(cookies.is_empty() && saved.is_ok());
}

fn a_session_ends_when_it_was_not_used_and_begins_anew<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings().timeout(MINUTE));
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let old = browser.clone();
    at.clock.advance(MINUTE - SECOND);
    assert_eq!(count(&manager, &mut browser), 2);
    at.clock.advance(MINUTE);
    assert_eq!(look(&manager, &browser), None);
    assert_eq!(look(&manager, &old), None);
    assert_eq!(count(&manager, &mut browser), 1);
    assert_ne!(browser.value(), old.value());
}

fn a_session_in_use_lives_on_until_its_absolute_end<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings().timeout(MINUTE).absolute_timeout(3 * MINUTE));
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    // Reading is use.
    for _ in 0..5 {
        at.clock.advance(MINUTE / 2);
        let seen = request(&manager, &mut browser, 200, |session| session.get::<u32>("count"));
        assert_eq!(seen.unwrap(), Some(1));
    }
    at.clock.advance(MINUTE / 2);
    assert_eq!(look(&manager, &browser), None);
}

fn who_is_to_be_told_of_the_end_is_told_once<S: Store>(at: &Stage<S>) {
    let settings = settings().timeout(MINUTE).ignore_expiry(false).expired_message("Adieu");
    let manager = at.manager(settings);
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    at.clock.advance(MINUTE);
    let visit = begin(&manager, &browser);
    for _ in 0..2 {
        let error = wait(visit.session().open()).expect_err("it is over");
        assert!(matches!(&error, Error::Expired { .. }) && error.message() == "Adieu", "{error}");
        assert_eq!(error.status(), 403);
    }
    browser.take(&wait(visit.finish(403)).cookies);
    assert!(browser.cookies.is_empty());
    assert_eq!(count(&manager, &mut browser), 1);
}

fn a_lasting_cookie_is_given_out_anew_as_the_session_is_used<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings().max_age(10 * MINUTE).timeout(10 * MINUTE));
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let read = || {
        let visit = begin(&manager, &browser);
        wait(visit.session().open()).unwrap();
        wait(visit.finish(200)).cookies
    };
    assert!(read().is_empty());
    at.clock.advance(MINUTE);
    let cookies = read();
    assert_eq!(cookies.len(), 1);
    assert!(cookies.iter().all(|cookie| cookie.as_str().contains("; Max-Age=600;")));
}

fn a_change_in_the_middle_of_an_update_is_refused_and_not_waited_for<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    request(&manager, &mut Browser::default(), 200, |session| {
        let again = session.clone();
        session.update("count", |_: Option<u32>| {
            let error = again.insert("count", 5).expect_err("in the middle of an update");
            assert!(matches!(error, Error::Busy { .. }), "{error}");
            1
        })
    })
    .unwrap();
}

fn a_wrong_type_is_an_error_and_changes_nothing<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    request(&manager, &mut browser, 200, |session| {
        let error = session.get::<String>("count").expect_err("it is a number");
        assert!(error.to_string().contains("`count`") && error.status() == 500);
        assert!(!error.message().contains("count"));
        Ok(())
    })
    .unwrap();
    assert_eq!(look(&manager, &browser), Some(1));
}

/// The commit may have given the session another id, which the browser was not told.
#[test]
fn a_request_whose_commit_was_cancelled_does_not_end_as_if_nothing_had_been() {
    let directory = tempfile::tempdir().unwrap();
    // Its commits wait for the medium, so that one can be dropped in the middle.
    let store = FileStore::builder(directory.path().join("sessions"));
    let store = store.durability(Durability::Power).open().unwrap();
    let manager = SessionManager::new(store, settings()).unwrap();
    for (status, fails) in [(200, true), (404, true), (500, false)] {
        let visit = manager.begin(Arrival::new());
        let session = wait(visit.session().open()).unwrap();
        session.insert("count", 1).unwrap();
        session.renew().unwrap();
        {
            let mut commit = pin!(session.commit());
            let mut context = Context::from_waker(Waker::noop());
            assert!(commit.as_mut().poll(&mut context).is_pending());
        }
        let saved = wait(visit.finish(status)).saved;
        assert_eq!(matches!(saved, Err(Error::Interrupted { .. })), fails, "{status}: {saved:?}");
    }
}

#[test]
fn handles_and_futures_can_go_to_other_threads() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    fn is_shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    let manager = common::memory().manager(settings());
    let visit = is_send(manager.begin(Arrival::new()));
    let lazy = visit.session();
    is_shared(&lazy);
    let session = wait(is_send(lazy.open())).unwrap();
    is_shared(&session);
    wait(is_send(session.commit())).unwrap();
    wait(is_send(session.release())).unwrap();
    wait(is_send(visit.finish(200))).saved.unwrap();
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
