//! Settings: what makes no sense is an error when a manager is made, and what goes out is as documented.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use cloakroom::MemoryStore;
use cloakroom_web::{SameSite, SessionManager, Settings, SettingsError};
use common::{Browser, begin, settings};

fn refused(settings: Settings) -> String {
    let error = SessionManager::new(MemoryStore::new(), settings.clone()).unwrap_err();
    let sealed = SessionManager::sealed(settings).unwrap_err();
    assert_eq!(error, sealed);
    error.to_string()
}

fn attributes(settings: Settings) -> String {
    let manager = SessionManager::new(MemoryStore::new(), settings).unwrap();
    let visit = begin(&manager, &Browser::default());
    let open = cloakroom::blocking::wait(visit.session().open()).unwrap();
    open.insert("count", 1).unwrap();
    let departure = cloakroom::blocking::wait(visit.finish(200));
    let cookie = departure.cookies.first().unwrap().to_string();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    format!("{} {attributes}", pair.split('=').next().unwrap())
}

#[test]
fn the_cookie_of_the_defaults_is_the_safest_there_is() {
    assert_eq!(attributes(settings()), "__Host-session_id Path=/; Secure; HttpOnly; SameSite=Lax");
}

#[test]
fn every_attribute_goes_out_as_it_was_set() {
    let settings = settings()
        .host_prefix(false)
        .cookie_name("shop")
        .cookie_domain(".example.com")
        .cookie_path("/shop")
        .max_age(Duration::from_secs(3_600))
        .http_only(false)
        .same_site(SameSite::None);
    assert_eq!(
        attributes(settings),
        "shop Max-Age=3600; Path=/shop; Domain=example.com; Secure; SameSite=None"
    );
}

#[test]
fn plain_http_drops_what_needs_encryption() {
    assert_eq!(attributes(settings().plain_http()), "session_id Path=/; HttpOnly; SameSite=Lax");
    let named = settings().cookie_name("__Host-mine");
    assert!(attributes(named).starts_with("__Host-mine Path=/;"));
}

#[test]
fn a_short_or_simple_key_is_refused_first_or_retired() {
    for key in ["", "fLjUfxqXtfNoIldA0A0J", &"x".repeat(64), &"secret".repeat(9)] {
        let text = refused(Settings::new(key));
        assert!(text.contains("32 random bytes"), "{text}");
        assert!(key.is_empty() || !text.contains(key), "{text}");
        refused(settings().retired_key(key));
    }
}

#[test]
fn what_cannot_stand_in_a_cookie_is_refused() {
    for name in ["", "a b", "a=b", "a;b", "a\r\nb", "\u{e9}", "a\0", "\"a\"", &"n".repeat(4_000)] {
        assert!(refused(settings().cookie_name(name)).contains("cookie_name"), "{name}");
    }
    let open = || settings().host_prefix(false);
    for domain in
        ["", ".", "a..b", "a b", "a;b", "a\r\nSet-Cookie: x=y", "b\u{fc}cher.example", "http://x"]
    {
        assert!(refused(open().cookie_domain(domain)).contains("cookie_domain"), "{domain}");
    }
    for path in ["", "shop", "/a;b", "/a\r\n", "/\u{e9}", "/\x7f"] {
        assert!(refused(open().cookie_path(path)).contains("cookie_path"), "{path}");
    }
}

#[test]
fn combinations_that_browsers_refuse_are_refused_with_the_remedy() {
    let texts = [
        refused(settings().cookie_domain("example.com")),
        refused(settings().cookie_path("/shop")),
        refused(settings().host_prefix(false).cookie_name("__host-x").cookie_path("/shop")),
    ];
    assert!(texts.iter().all(|text| text.contains("`host_prefix(false)`")), "{texts:?}");
    assert!(refused(settings().secure(false)).contains("`plain_http()`"));
    assert!(refused(settings().plain_http().cookie_name("__Secure-x")).contains("Secure"));
    assert!(refused(settings().plain_http().same_site(SameSite::None)).contains("SameSite=None"));
}

#[test]
fn numbers_out_of_bounds_and_wrong_proxies_are_refused() {
    assert!(refused(settings().timeout(Duration::ZERO)).contains("timeout"));
    assert!(refused(settings().absolute_timeout(Duration::ZERO)).contains("absolute_timeout"));
    assert!(refused(settings().max_age(Duration::from_millis(999))).contains("max_age"));
    assert!(refused(settings().trusted_proxy("10.0.0.0/99")).contains("10.0.0.0/99"));
}

#[test]
fn what_is_for_the_other_kind_of_session_is_refused() {
    let stored = |settings| SessionManager::new(MemoryStore::new(), settings).unwrap_err();
    let sealed = |settings| SessionManager::sealed(settings).unwrap_err();
    let grace = Duration::from_secs(1);
    assert_eq!(stored(settings().split(true)), SettingsError::SealedOnly("split"));
    assert_eq!(
        stored(settings().compression_level(6)),
        SettingsError::SealedOnly("compression_level")
    );
    assert_eq!(sealed(settings().renew_grace(grace)), SettingsError::StoredOnly("renew_grace"));
    assert!(sealed(settings().compression_level(11)).to_string().contains("1 to 10"));
    assert!(stored(settings().renew_grace(601 * grace)).to_string().contains("10 minutes"));
}

#[test]
fn no_key_shows_in_debug_texts() {
    let settings = settings().retired_key(common::OTHER);
    let manager = SessionManager::new(MemoryStore::new(), settings.clone()).unwrap();
    let visit = begin(&manager, &Browser::default());
    let lazy = visit.session();
    let session = cloakroom::blocking::wait(lazy.open()).unwrap();
    session.insert("user", "ada").unwrap();
    let text = format!("{settings:?} {manager:?} {visit:?} {lazy:?} {session:?}");
    let departure = cloakroom::blocking::wait(visit.finish(200));
    let value = departure.cookies.first().unwrap().as_str().split(['=', ';']).nth(1).unwrap();
    let text = format!("{text} {departure:?}");
    for secret in [common::SECRET, common::OTHER, value, "ada"] {
        assert!(!text.contains(secret), "{text}");
    }
}
