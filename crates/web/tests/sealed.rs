//! Sessions sealed in the cookie: sizes, pieces, and what a sealed cookie cannot do.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use cloakroom::Access;
use cloakroom::blocking::wait;
use cloakroom_web::{Error, SessionManager, Settings, SettingsError, limits};
use common::{Browser, OTHER, SECRET, begin, count, look, request, sealed, settings};

/// Text that no compression makes shorter by much.
fn noise(length: usize) -> String {
    let mut state = 1_u64;
    let step = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'!' + (state >> 58) as u8)
    };
    (0..length).map(step).collect()
}

#[test]
fn a_session_that_is_too_large_is_an_error_with_the_sizes_and_the_browser_keeps_what_it_had() {
    let manager = sealed().manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let before = browser.value();
    let error = request(&manager, &mut browser, 200, |session| {
        session.insert("cart", noise(4_000))?;
        let error = wait(session.commit()).expect_err("it is too large");
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
        Ok(())
    })
    .expect_err("it is still too large");
    let Error::TooLarge { source, .. } = &error else { panic!("{error}") };
    assert!(source.session > 4_000 && source.cookie > source.session * 4 / 3, "{source}");
    assert_eq!((source.limit, source.split), (limits::COOKIE_MAX, false));
    assert!(error.to_string().contains(&source.cookie.to_string()), "{error}");
    assert_eq!(error.status(), 413);
    assert_eq!(browser.value(), before);
}

#[test]
fn split_a_larger_session_comes_back_and_one_that_shrinks_leaves_no_piece() {
    let manager = sealed().manager(settings().split(true));
    let mut browser = Browser::default();
    for (length, pieces) in [(10, 1), (4_000, 2), (5_700, 2), (100, 1), (3_500, 2), (1, 1)] {
        request(&manager, &mut browser, 200, |session| session.insert("cart", noise(length)))
            .unwrap();
        assert_eq!(browser.cookies.len(), pieces, "{length}");
        let cart = request(&manager, &mut browser, 200, |session| session.get("cart"));
        assert_eq!(cart.unwrap(), Some(noise(length)));
    }
    let error =
        request(&manager, &mut browser, 200, |session| session.insert("cart", noise(7_000)));
    let Err(Error::TooLarge { source, .. }) = error else { panic!("{error:?}") };
    assert_eq!((source.limit, source.split), (limits::PIECES_MAX, true));
    request(&manager, &mut browser, 200, |session| session.insert("cart", noise(5_000))).unwrap();
    request(&manager, &mut browser, 200, |session| wait(session.destroy())).unwrap();
    assert!(browser.cookies.is_empty());
}

#[test]
fn pieces_of_two_seals_open_nothing_and_of_two_complete_sets_the_newest_counts() {
    let at = sealed();
    let manager = at.manager(settings().split(true));
    let put = |browser: &mut Browser, count: u32| {
        request(&manager, browser, 200, |session| {
            session.insert("count", count)?;
            session.insert("cart", noise(5_000))
        })
        .unwrap();
    };
    let mut old = Browser::default();
    put(&mut old, 1);
    at.clock.advance(Duration::from_secs(1));
    let mut new = old.clone();
    put(&mut new, 2);
    let mut mixed = old.clone();
    let (name, value) = new.cookies.first_key_value().unwrap();
    mixed.cookies.insert(name.clone(), value.clone());
    assert_eq!(look(&manager, &mixed), None);
    for header in [[old.header(), new.header()], [new.header(), old.header()]] {
        let header = header.join("; ");
        let visit = manager.begin(cloakroom_web::Arrival::new().cookie(header.as_bytes()));
        let session = wait(visit.session().open()).unwrap();
        assert_eq!(session.get("count").unwrap(), Some(2));
    }
}

#[test]
fn an_expired_seal_that_is_played_back_opens_nothing() {
    let at = sealed();
    let manager = at.manager(settings().timeout(Duration::from_secs(60)));
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let copy = browser.clone();
    at.clock.advance(Duration::from_secs(59));
    assert_eq!(look(&manager, &copy), Some(1));
    at.clock.advance(Duration::from_secs(1));
    assert_eq!(look(&manager, &copy), None);
    // The deadline is in the seal: another setting now does not bring it back.
    assert_eq!(look(&at.manager(settings()), &copy), None);
}

#[test]
fn the_last_response_wins_and_a_late_one_undoes_a_logout() {
    let manager = sealed().manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let slow = begin(&manager, &browser);
    wait(slow.session().open()).unwrap().insert("count", 7).unwrap();
    request(&manager, &mut browser, 200, |session| wait(session.destroy())).unwrap();
    assert!(browser.cookies.is_empty());
    browser.take(&wait(slow.finish(200)).cookies);
    assert_eq!(look(&manager, &browser), Some(7));
}

#[test]
fn a_lock_is_refused_with_what_there_is_instead() {
    let manager = sealed().manager(settings());
    let visit = begin(&manager, &Browser::default());
    let error = wait(visit.session().open_as(Access::Exclusive)).expect_err("there is no lock");
    assert!(error.to_string().contains("it offers `snapshot`, `optimistic`"), "{error}");
    let error = SessionManager::sealed(settings().access(Access::Exclusive)).unwrap_err();
    assert!(matches!(error, SettingsError::Access(_)), "{error}");
    let session = wait(visit.session().open_as(Access::Snapshot)).unwrap();
    assert!(session.insert("count", 1).is_err());
}

#[test]
fn a_seal_of_a_retired_key_is_made_anew_even_if_nothing_changed_and_of_an_unknown_one_opens_nothing()
 {
    let at = sealed();
    let mut browser = Browser::default();
    count(&at.manager(settings()), &mut browser);
    let rotated = at.manager(Settings::new(OTHER).retired_key(SECRET));
    request(&rotated, &mut browser, 200, |session| session.get::<u32>("count")).unwrap();
    assert_eq!(look(&at.manager(settings()), &browser), None);
    assert_eq!(look(&at.manager(Settings::new(OTHER)), &browser), Some(1));
}

#[test]
fn nothing_of_the_session_shows_in_the_cookie_and_compression_makes_it_shorter() {
    let plain = sealed().manager(settings());
    let packed = sealed().manager(settings().compression_level(6));
    let text = "confidential ".repeat(100);
    let size = |manager| {
        let mut browser = Browser::default();
        request(manager, &mut browser, 200, |session| session.insert("note", &text)).unwrap();
        assert!(!browser.value().contains("confidential"));
        let note = request(&plain, &mut browser, 200, |session| session.get::<String>("note"));
        assert_eq!(note.unwrap().as_deref(), Some(&*text));
        browser.value().len()
    };
    assert!(size(&packed) * 5 < size(&plain));
}

#[test]
fn a_seal_is_good_for_its_cookie_and_its_application_only() {
    let at = sealed();
    let mut browser = Browser::default();
    count(&at.manager(settings().plain_http().cookie_name("shop")), &mut browser);
    let mut moved = Browser::default();
    moved.cookies.insert("admin".to_owned(), browser.value());
    assert_eq!(look(&at.manager(settings().plain_http().cookie_name("admin")), &moved), None);
    let elsewhere = settings().plain_http().cookie_name("shop").namespace("other");
    assert_eq!(look(&at.manager(elsewhere), &browser), None);
}

#[test]
fn many_sealed_sessions_of_one_request_cost_no_more_than_a_few() {
    let manager = sealed().manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let header = format!("{}; ", browser.header()).repeat(5_000);
    let visit = manager.begin(cloakroom_web::Arrival::new().cookie(header.as_bytes()));
    assert_eq!(wait(visit.session().open()).unwrap().get("count").unwrap(), Some(1));
}
