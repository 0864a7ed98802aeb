//! The secret key.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::browser::Browser;
use crate::common::TestFile;
use crate::server::{Home, LASTING, Server, command};

const KEY: &str = "b2Y0uJ8m1wQ7c5T3z9LxVd6KpHs4RgNaEfUyXiOq";

#[test]
fn a_store_has_its_key_beside_it_for_its_owner_alone() {
    for kind in LASTING {
        let home = Home::new();
        let file = home.path().join("sessions.key");
        let browser = Browser::new();
        let mut keys = Vec::new();
        for count in ["1", "2"] {
            let server = Server::start(&home.store(kind), &[]);
            assert_eq!(browser.text(&server, "/count"), count);
            keys.push(fs::read_to_string(&file).unwrap());
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
            server.signal("-TERM");
            let said = server.wait().1;
            assert!(!said.contains(keys[0].trim()), "the key is not said");
        }
        assert_eq!(keys[0], keys[1], "{kind}");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2, "nothing else is left");
    }
}

#[test]
fn servers_that_start_at_once_have_one_key() {
    let home = Home::new();
    let servers: Vec<Server> = std::thread::scope(|scope| {
        let start = || Server::start(&home.store("file"), &[]);
        let starting: Vec<_> = (0..6).map(|_| scope.spawn(start)).collect();
        starting.into_iter().map(|server| server.join().unwrap()).collect()
    });
    let browser = Browser::new();
    for (count, server) in (1..).zip(&servers) {
        assert_eq!(browser.text(server, "/count"), count.to_string());
    }
}

#[test]
fn a_key_that_is_given_goes_before_that_of_the_store() {
    let home = Home::new();
    let browser = Browser::new();
    let file = TestFile::new("key", format!("{KEY}\n"));
    fs::set_permissions(&file.path, fs::Permissions::from_mode(0o644)).unwrap();
    let path = file.path.to_str().unwrap();
    let server = Server::start(&home.store("file"), &["--secret-key-file", path]);
    assert_eq!(browser.text(&server, "/count"), "1");
    server.signal("-TERM");
    let said = server.wait().1;
    assert!(said.contains("others can read") && said.contains("chmod 600"), "{said}");
    // The same key, from the environment.
    let mut command = command(&home.store("file"));
    let server =
        Server::of(command.args(["--addr", "127.0.0.1:0"]).env("CLOAKROOM_SECRET_KEY", KEY));
    assert_eq!(browser.text(&server, "/count"), "2");
    server.signal("-TERM");
    let said = server.wait().1;
    assert!(said.contains("CLOAKROOM_SECRET_KEY") && !said.contains(KEY), "{said}");
    assert!(!home.path().join("sessions.key").exists());
}

#[test]
fn another_key_accepts_no_cookie_of_the_first() {
    let home = Home::new();
    let browser = Browser::new();
    let server = Server::start(&home.store("file"), &[]);
    assert_eq!(browser.text(&server, "/count"), "1");
    let file = TestFile::new("key", KEY);
    let server =
        Server::start(&home.store("file"), &["--secret-key-file", file.path.to_str().unwrap()]);
    assert_eq!(browser.text(&server, "/count"), "1");
}
