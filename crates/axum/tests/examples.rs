//! The examples do what their heads say, for a client that knows nothing of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::server::{Connection, Example};

fn start(name: &str) -> (Example, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("sessions");
    (Example::start(name, &[store.to_str().unwrap()]), directory)
}

#[test]
fn the_counter_counts_and_goes_on_after_a_kill() {
    let (mut server, directory) = start("axum_counter");
    let mut connection = Connection::open(server.address);
    let first = connection.get("/count", "");
    let cookie = first.cookie().unwrap();
    assert_eq!(first.body, "1");
    assert_eq!(connection.get("/count", &cookie).body, "2");
    server.kill();
    let store = directory.path().join("sessions");
    let server = Example::start("axum_counter", &[store.to_str().unwrap()]);
    let mut connection = Connection::open(server.address);
    assert_eq!(connection.get("/count", &cookie).body, "3");
    assert_eq!(connection.get("/reset", &cookie).body, "Reset");
    assert_eq!(connection.get("/count", &cookie).body, "1");
}

#[test]
fn a_login_gives_a_new_id_and_a_logout_ends_the_session() {
    let (server, _directory) = start("login");
    let mut connection = Connection::open(server.address);
    assert_eq!(connection.get("/", "").status, 401);
    let wrong = connection.post("/login", "", "user=ada&password=babbage");
    assert_eq!((wrong.status, wrong.cookie()), (401, None));
    let login = connection.post("/login", "", "user=bob&password=builder");
    let bob = login.cookie().unwrap();
    assert_eq!(login.status, 303);
    assert_eq!(connection.get("/", &bob).body, r#"{"name":"bob","admin":false}"#);
    // Somebody else on the same browser: the id of the first is worth nothing any more.
    let login = connection.post("/login", &bob, "user=ada&password=lovelace");
    let ada = login.cookie().unwrap();
    assert_eq!(connection.get("/", &ada).body, r#"{"name":"ada","admin":true}"#);
    assert_eq!(connection.get("/", &bob).status, 401);
    assert_eq!(connection.post("/logout", &ada, "").status, 303);
    assert_eq!(connection.get("/", &ada).status, 401);
}

#[test]
fn the_calls_of_the_dashboard_find_one_session_and_lose_nothing() {
    let (server, _directory) = start("dashboard");
    let page = Connection::open(server.address).get("/", "");
    let cookie = page.cookie().unwrap();
    assert!(page.body.contains("/cart"));
    let calls = [
        ("GET", "/news"),
        ("GET", "/report"),
        ("POST", "/seen"),
        ("POST", "/seen"),
        ("POST", "/cart"),
        ("POST", "/cart"),
    ];
    let connections = calls.map(|(method, path)| {
        let mut connection = Connection::open(server.address);
        connection.send(method, path, cookie.as_bytes(), "").unwrap();
        connection
    });
    let mut answers = connections.map(|mut connection| connection.read().unwrap());
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    answers.sort_by(|a, b| a.body.cmp(&b.body));
    let bodies = answers.map(|answer| answer.body);
    let expected = ["item 1", "item 1, item 2", "news for ada", "report 1", "seen 1", "seen 2"];
    assert_eq!(bodies, expected);
}

#[test]
fn the_sealed_notes_are_in_the_cookie_until_they_are_too_many() {
    let server = Example::start("sealed", &[]);
    let mut connection = Connection::open(server.address);
    let mut cookie = String::new();
    for (note, answer) in [("milk", "1 notes"), ("bread", "2 notes")] {
        let added = connection.get(&format!("/note/{note}"), &cookie);
        assert_eq!(added.body, answer);
        cookie = added.cookie().unwrap();
    }
    assert_eq!(connection.get("/", &cookie).body, "milk\nbread");
    // Nothing that can be compressed.
    let mut noise = 1_u64;
    let long: String = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'a' + (noise >> 40) as u8 % 26)
    })
    .take(6_000)
    .collect();
    let refused = connection.get(&format!("/note/{long}"), &cookie);
    assert_eq!((refused.status, refused.cookie()), (413, None));
    assert_eq!(connection.get("/", &cookie).body, "milk\nbread");
}
