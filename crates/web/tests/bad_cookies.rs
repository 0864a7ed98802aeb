//! Whatever a browser sends: a fresh session, no error, no panic, nothing of other sessions.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::IpAddr;

use cloakroom::Store;
use cloakroom::blocking::wait;
use cloakroom_web::{Arrival, Departure, Error, SessionManager, SetCookie};
use common::{Browser, Stage, count, settings};

over!([memory file map sealed] [
    what_no_manager_made_is_a_fresh_session
    any_byte_of_a_cookie_changed_is_a_fresh_session
    no_sequence_of_odd_bytes_is_more_than_a_fresh_session
    a_genuine_cookie_is_found_behind_others_of_its_name_quoted_or_in_another_header
    from_another_address_the_session_does_not_open_and_its_owner_goes_on
    a_header_from_an_undeclared_proxy_does_not_move_a_client
]);

/// What a request with these `Cookie` headers sees of the counter, and the cookies it gets.
fn ask<S: Store>(manager: &SessionManager<S>, headers: &[&[u8]]) -> (Option<u32>, Vec<SetCookie>) {
    let visit = manager.begin(Arrival::new().cookies(headers.iter().copied()));
    let session = wait(visit.session().open()).unwrap();
    let seen = session.get("count").unwrap();
    let Departure { cookies, saved } = wait(visit.finish(200));
    saved.unwrap();
    (seen, cookies)
}

fn what_no_manager_made_is_a_fresh_session<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let (name, value) = browser.cookies.pop_first().unwrap();
    let long = "a".repeat(1 << 20);
    let values: [&[u8]; 18] = [
        b"",
        b"/etc/password",
        b"\"/etc/password\"",
        b"../../x",
        b"\0",
        b"\xff\xfe\xfd",
        b"abc\r\nSet-Cookie: a=b",
        "\u{1f9e5}".as_bytes(),
        b"%2e%2e",
        b"a.b",
        b"a.b.c",
        b".",
        b"..",
        b"....",
        b"1:2",
        b"null",
        long.as_bytes(),
        b"hmac256:00:AAAA",
    ];
    for bad in values {
        let header = [name.as_bytes(), b"=", bad].concat();
        let (seen, cookies) = ask(&manager, &[&header]);
        assert_eq!(seen, None, "{}", String::from_utf8_lossy(bad));
        assert!(cookies.is_empty());
    }
    for cookie in [
        value.to_uppercase(),
        value.replace('.', "%2E") + "%",
        format!("{value}{value}"),
        value.chars().rev().collect(),
    ] {
        assert_eq!(ask(&manager, &[format!("{name}={cookie}").as_bytes()]).0, None, "{cookie}");
    }
    assert_eq!(ask(&manager, &[format!("{}={value}", name.to_lowercase()).as_bytes()]).0, None);
}

fn any_byte_of_a_cookie_changed_is_a_fresh_session<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let mut browser = Browser::default();
    count(&manager, &mut browser);
    let header = browser.header().into_bytes();
    assert_eq!(ask(&manager, &[&header]).0, Some(1));
    for at in 0..header.len() {
        for flip in [1, 2, 32, 128] {
            let mut changed = header.clone();
            *changed.get_mut(at).unwrap() ^= flip;
            let (seen, cookies) = ask(&manager, &[&changed]);
            assert_eq!(seen, None, "{flip} at {at}");
            assert!(cookies.is_empty());
        }
    }
}

fn no_sequence_of_odd_bytes_is_more_than_a_fresh_session<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings());
    let name = manager.cookie_name().to_owned();
    let pieces: [&[u8]; 16] = [
        name.as_bytes(),
        b"=",
        b";",
        b"\"",
        b" ",
        b".",
        b"0",
        b"1",
        b"\0",
        b"\r\n",
        b"\xff",
        b"A",
        b"%3D",
        b",",
        b"-_",
        b"=AAAAAAAA.0.1.",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..300 {
        let mut headers = [Vec::new(), Vec::new()];
        for header in &mut headers {
            for _ in 0..16 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
                header
                    .extend_from_slice(pieces.get(usize::try_from(state >> 60).unwrap()).unwrap());
            }
        }
        let (seen, cookies) = ask(&manager, &headers.each_ref().map(Vec::as_slice));
        assert!(seen.is_none() && cookies.is_empty());
    }
}

fn a_genuine_cookie_is_found_behind_others_of_its_name_quoted_or_in_another_header<S: Store>(
    at: &Stage<S>,
) {
    let manager = at.manager(settings());
    let (mut browser, mut stale) = (Browser::default(), Browser::default());
    count(&manager, &mut browser);
    count(&at.manager(settings().namespace("elsewhere")), &mut stale);
    let (name, value) = browser.cookies.pop_first().unwrap();
    let good = format!("{name}={value}");
    let stale = stale.header();
    for headers in [
        vec![format!("theme=dark; {good}; lang=en")],
        vec![format!("{name}=\"{value}\"")],
        vec![format!("{name}=x; {good}")],
        vec![format!("{stale}; {good}")],
        vec!["theme=dark".to_owned(), good.clone()],
        vec![format!("{name}=; {name}; ={name};;; \u{1f9e5}=1;{good}")],
    ] {
        let bytes: Vec<&[u8]> = headers.iter().map(|header| header.as_bytes()).collect();
        assert_eq!(ask(&manager, &bytes).0, Some(1), "{headers:?}");
    }
}

/// What a request from this peer sees of the counter.
fn from<S: Store>(
    manager: &SessionManager<S>,
    browser: &Browser,
    peer: &str,
    forwarded: &str,
) -> Result<Option<u32>, Error> {
    let header = browser.header();
    let arrival = Arrival::new()
        .cookie(header.as_bytes())
        .peer(peer.parse::<IpAddr>().ok())
        .forwarded_for([forwarded.as_bytes()]);
    let visit = manager.begin(arrival);
    wait(visit.session().open())?.get("count")
}

fn home<S: Store>(manager: &SessionManager<S>, peer: &str) -> Browser {
    let visit = manager.begin(Arrival::new().peer(peer.parse().ok()));
    wait(visit.session().open()).unwrap().insert("count", 1).unwrap();
    let mut browser = Browser::default();
    browser.take(&wait(visit.finish(200)).cookies);
    browser
}

fn from_another_address_the_session_does_not_open_and_its_owner_goes_on<S: Store>(at: &Stage<S>) {
    let manager = at.manager(settings().ignore_change_ip(false));
    let browser = home(&manager, "192.0.2.1");
    let opens = at.opens();
    let error = from(&manager, &browser, "198.51.100.7", "").unwrap_err();
    assert!(matches!(error, Error::AddressChanged { .. }), "{error}");
    assert_eq!((error.status(), error.message()), (403, "Session expired"));
    assert!(at.opens() <= opens + 1, "at most a fresh id was asked for");
    assert_eq!(from(&manager, &browser, "192.0.2.1", "").unwrap(), Some(1));
    // A cookie that is bound to no address is not accepted where addresses count.
    let free = home(&at.manager(settings()), "192.0.2.1");
    assert!(from(&manager, &free, "192.0.2.1", "").is_err());
    assert_eq!(from(&at.manager(settings()), &browser, "198.51.100.7", "").unwrap(), Some(1));
}

fn a_header_from_an_undeclared_proxy_does_not_move_a_client<S: Store>(at: &Stage<S>) {
    let settings = settings().ignore_change_ip(false).trusted_proxy("10.0.0.0/8");
    let manager = at.manager(settings);
    let browser = home(&manager, "192.0.2.1");
    assert!(from(&manager, &browser, "198.51.100.7", "192.0.2.1").is_err());
    assert_eq!(from(&manager, &browser, "192.0.2.1", "198.51.100.7").unwrap(), Some(1));
    assert_eq!(from(&manager, &browser, "10.0.0.1", "192.0.2.1").unwrap(), Some(1));
    assert!(from(&manager, &browser, "10.0.0.1", "192.0.2.1, 198.51.100.7").is_err());
    let visit = manager
        .begin(Arrival::new().peer("10.0.0.1".parse().ok()).forwarded_for([&b"192.0.2.1"[..]]));
    assert_eq!(visit.session().client(), "192.0.2.1".parse().ok());
}
