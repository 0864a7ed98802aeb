//! The page that shows the session.

use cloakroom::blocking::Sessions;
use cloakroom::{Access, FileStore, Inventory, MapStore, SessionId};

use crate::browser::Browser;
use crate::server::{Home, Server, command};

/// Puts a value into a session of this store, as another program would.
fn put<S: Inventory + Clone>(store: S, id: &str, name: &str, value: &str) {
    let sessions = Sessions::new(store);
    let mut session = sessions.open(&SessionId::from(id.to_owned()), Access::Optimistic).unwrap();
    session.insert(name, value).unwrap();
    session.commit().unwrap();
}

#[test]
fn it_shows_values_and_the_record_but_no_secret() {
    for kind in ["file", "map"] {
        let home = Home::new();
        let server = Server::start(&home.store(kind), &[]);
        let browser = Browser::new();
        assert!(browser.text(&server, "/session").contains("none is stored yet"));
        assert_eq!(browser.cookie("session_id"), None);
        browser.text(&server, "/count");
        let cookie = browser.cookie("session_id").unwrap();
        let (id, signature) = cookie.split_once('.').unwrap();
        for (name, value) in [("csrf_token", "very-secret"), ("note", "</pre><script>alert(1)")] {
            match kind {
                "file" => put(FileStore::open(home.sessions()).unwrap(), id, name, value),
                _ => put(MapStore::open(home.sessions()).unwrap(), id, name, value),
            }
        }
        let page = browser.text(&server, "/session");
        let shown = ["&quot;count&quot;: 1", "(hidden)", "csrf_token", "snapshot", "<td>3</td>"];
        for words in shown.into_iter().chain(["SameSite=Lax", "&lt;script&gt;", "created"]) {
            assert!(page.contains(words), "{kind}: `{words}` is not in: {page}");
        }
        for secret in ["very-secret", id, signature, "<script"] {
            assert!(!page.contains(secret), "{kind}: `{secret}` is in: {page}");
        }
        let key = crate::common::run(["ls", &home.store(kind), "--format", "keys"]).stdout;
        assert!(page.contains(key.trim()), "{kind}: {key} is not in: {page}");
    }
}

#[test]
fn it_waits_for_nobody() {
    let home = Home::new();
    let server = Server::start(&home.store("file"), &[]);
    let browser = Browser::new();
    browser.text(&server, "/count");
    let cookie = browser.cookie("session_id").unwrap();
    let (id, _) = cookie.split_once('.').unwrap();
    let sessions = Sessions::new(FileStore::open(home.sessions()).unwrap());
    let held = sessions.open(&SessionId::from(id.to_owned()), Access::Exclusive).unwrap();
    assert!(browser.text(&server, "/session").contains("&quot;count&quot;: 1"));
    assert!(browser.text(&server, "/login").contains("name=\"passwd\""));
    drop(held);
}

#[test]
fn others_see_it_only_in_development() {
    for (more, status) in [(&[][..], 404), (&["--development"], 200)] {
        let server = Server::of(command("memory:").args(["--addr", "0.0.0.0:0"]).args(more));
        let browser = Browser::new();
        let page = browser.get(&server, "/session");
        assert_eq!(page.status, status);
        // Who does not see it learns where it is seen.
        assert_eq!(page.body.contains("--development"), status == 404, "{}", page.body);
        assert_eq!(browser.text(&server, "/count"), "1");
    }
}
