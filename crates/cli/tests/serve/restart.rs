//! Servers that end in the middle, and several on one store.

use crate::browser::Browser;
use crate::server::{Home, LASTING, Server};

#[test]
fn a_killed_server_loses_no_count() {
    for kind in LASTING {
        let home = Home::new();
        let browser = Browser::new();
        for first in [1, 3, 5] {
            let server = Server::start(&home.store(kind), &[]);
            for count in [first, first + 1] {
                assert_eq!(browser.text(&server, "/count"), count.to_string(), "{kind}");
            }
            server.kill();
        }
    }
}

#[test]
fn what_was_committed_before_the_work_survives_a_kill_in_its_middle() {
    for kind in LASTING {
        let home = Home::new();
        let browser = Browser::new();
        let server = Server::start(&home.store(kind), &[]);
        let lab = format!("/lab/{kind}");
        browser.post(&server, &format!("{lab}/begin"), "").json();
        // A map store does not lock, so nothing is released early there: the call is over with its commit.
        let path = match kind {
            "file" => format!("{lab}/released?ms=5000"),
            _ => format!("{lab}/optimistic?ms=0"),
        };
        let asked = browser.start(&server, &path, &["--data", ""]);
        let count = format!("{lab}/count");
        browser.wait_for_count(&server, &count, 1);
        server.kill();
        asked.end();
        let server = Server::start(&home.store(kind), &[]);
        assert_eq!(browser.get(&server, &count).json()["count"], 1, "{kind}");
    }
}

#[test]
fn servers_on_one_store_share_its_sessions() {
    for kind in LASTING {
        let home = Home::new();
        let servers = [(); 3].map(|()| Server::start(&home.store(kind), &[]));
        let browser = Browser::new();
        for (count, server) in (1..=9).zip(servers.iter().cycle()) {
            assert_eq!(browser.text(server, "/count"), count.to_string(), "{kind}");
        }
    }
}

#[test]
fn expired_sessions_are_swept() {
    use std::time::Duration;

    use cloakroom::blocking::Sessions;
    use cloakroom::{Access, FileStore, Lifetime, SessionId};

    let home = Home::new();
    let store = FileStore::open(home.sessions()).unwrap();
    let idle = Some(Duration::from_millis(1));
    let sessions = Sessions::builder(store).lifetime(Lifetime { idle, ..Lifetime::default() });
    let sessions = sessions.build();
    for number in 0..20 {
        let id = SessionId::from(format!("id {number}"));
        let mut session = sessions.open(&id, Access::Exclusive).unwrap();
        session.insert("number", number).unwrap();
        session.commit().unwrap();
    }
    assert_eq!(crate::common::session_files(&home.sessions()), 20);
    let _server = Server::start(&home.store("file"), &[]);
    while crate::common::session_files(&home.sessions()) > 0 {
        std::thread::yield_now();
    }
}
