//! web.py's counter.

use crate::browser::Browser;
use crate::server::{Home, Server};

#[test]
fn it_counts_to_three_and_after_a_reset_from_one() {
    for kind in ["file", "map", "memory"] {
        let home = Home::new();
        let server = Server::start(&home.store(kind), &[]);
        let browser = Browser::new();
        let seen = ["/count", "/count", "/count", "/reset", "/count"]
            .map(|path| browser.text(&server, path));
        assert_eq!(seen, ["1", "2", "3", "Reset", "1"], "{kind}");
    }
}

#[test]
fn two_browsers_are_two_sessions() {
    for kind in ["file", "map", "memory"] {
        let home = Home::new();
        let server = Server::start(&home.store(kind), &[]);
        let [one, other] = [Browser::new(), Browser::new()];
        assert_eq!(one.text(&server, "/count"), "1", "{kind}");
        assert_eq!(one.text(&server, "/count"), "2", "{kind}");
        assert_eq!(other.text(&server, "/count"), "1", "{kind}");
        assert_eq!(other.text(&server, "/reset"), "Reset", "{kind}");
        assert_eq!(one.text(&server, "/count"), "3", "{kind}");
    }
}

#[test]
fn the_cookie_is_that_of_plain_http_and_is_given_out_once() {
    let server = Server::start("memory:", &[]);
    let browser = Browser::new();
    let first = browser.get(&server, "/count");
    let cookie = first.headers("set-cookie")[0].to_owned();
    let (name, attributes) = cookie.split_once(';').unwrap();
    assert!(name.starts_with("session_id="), "{cookie}");
    assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Lax");
    assert_eq!(first.headers("cache-control"), ["private, no-cache"]);
    assert!(browser.get(&server, "/count").headers("set-cookie").is_empty());
}

#[test]
fn every_response_is_protected_and_pages_without_a_session_make_none() {
    let home = Home::new();
    let server = Server::start(&home.store("file"), &[]);
    let browser = Browser::new();
    for (path, status) in [
        ("/", 200),
        ("/page.css", 200),
        ("/lab", 200),
        ("/lab/lab.css", 200),
        ("/lab/lab.js", 200),
        ("/lab/setup", 200),
        ("/logout", 200),
        ("/login", 200),
        ("/session", 200),
        ("/favorite_color", 200),
        ("/favorite_color/7", 400),
        ("/no/such/page", 404),
    ] {
        let answer = browser.get(&server, path);
        assert_eq!(answer.status, status, "{path}");
        let policy = ["default-src 'self'; frame-ancestors 'none'"];
        assert_eq!(answer.headers("content-security-policy"), policy, "{path}");
        assert_eq!(answer.headers("x-content-type-options"), ["nosniff"], "{path}");
        assert_eq!(answer.headers("referrer-policy"), ["no-referrer"], "{path}");
        assert!(answer.headers("set-cookie").is_empty(), "{path}");
    }
    assert_eq!(crate::common::session_files(&home.sessions()), 0);
    let index = browser.text(&server, "/");
    for path in ["/count", "/reset", "/login", "/logout", "/favorite_color", "/session", "/lab"] {
        assert!(index.contains(&format!("href=\"{path}\"")), "{path} is not linked");
    }
}

#[test]
fn parallel_requests_of_one_session_lose_no_count() {
    for kind in ["file", "map", "memory"] {
        let home = Home::new();
        let server = Server::start(&home.store(kind), &[]);
        let browser = Browser::new();
        assert_eq!(browser.text(&server, "/count"), "1");
        let asked: Vec<_> = (0..10).map(|_| browser.start(&server, "/count", &[])).collect();
        let mut counts: Vec<u32> =
            asked.into_iter().map(|asked| asked.answer().body.parse().unwrap()).collect();
        counts.sort_unstable();
        assert_eq!(counts, (2..=11).collect::<Vec<_>>(), "{kind}");
    }
}
