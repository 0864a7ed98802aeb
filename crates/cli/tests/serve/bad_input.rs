//! Wrong use.

use crate::common::{Ended, TestFile, run};
use crate::server::{Home, Server, command};

#[test]
fn an_address_in_use_is_said_and_nothing_is_created() {
    let home = Home::new();
    let server = Server::start("memory:", &[]);
    let address = server.address().to_string();
    let ended = run(["serve", "--addr", &address, "--store", &home.store("file")]);
    ended.refused_with(2, &["failed to listen", &address, "in use", "another port"]);
    assert!(!home.sessions().exists());
}

#[test]
fn wrong_values_are_refused_with_what_to_do() {
    for (line, words) in [
        ("--addr nowhere", &["failed to listen on nowhere", "HOST:PORT"][..]),
        ("--addr 127.0.0.1:99999", &["failed to listen", "HOST:PORT"]),
        ("--addr 192.0.2.1:0", &["failed to listen", "of this machine"]),
        ("--store redis://host", &["no such store"]),
        ("--timeout 0", &["--timeout"]),
        ("--timeout soon", &["--timeout"]),
        ("--trusted-proxy proxy.example", &["proxy.example", "10.0.0.0/8"]),
        ("--trusted-proxy 10.0.0.0/33", &["10.0.0.0/33"]),
        ("--secret-key-file /no/such/file", &["/no/such/file", "openssl rand"]),
        ("--log loud", &["loud", "warn"]),
        ("more", &["unexpected argument"]),
    ] {
        let given: Vec<_> = line.split(' ').collect();
        let mut all = vec!["serve"];
        for pair in [["--addr", "127.0.0.1:0"], ["--store", "memory:"]] {
            if pair[0] != given[0] {
                all.extend(pair);
            }
        }
        all.extend(given);
        run(all).refused_with(2, words);
    }
}

#[test]
fn a_weak_key_is_refused_and_not_printed() {
    for key in ["short-one", "", &"abc".repeat(20)] {
        let file = TestFile::new("key", key);
        let ended = run([
            "serve",
            "--addr",
            "127.0.0.1:0",
            "--store",
            "memory:",
            "--secret-key-file",
            file.path.to_str().unwrap(),
        ]);
        ended.refused_with(2, &["no secret key", "openssl rand"]);
        assert!(key.is_empty() || !ended.stderr.contains(key));
        let mut command = command("memory:");
        let output =
            command.args(["--addr", "127.0.0.1:0"]).env("CLOAKROOM_SECRET_KEY", key).output();
        let output = output.unwrap();
        let ended = Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        ended.refused_with(2, &["CLOAKROOM_SECRET_KEY", "openssl rand"]);
        assert!(key.is_empty() || !ended.stderr.contains(key));
    }
}

#[test]
fn the_help_ends_with_examples() {
    let ended = run(["serve", "--help"]);
    assert_eq!(ended.code, Some(0));
    for words in ["--addr", "--secret-key-file", "--trusted-proxy", "--development", "Examples:"] {
        assert!(ended.stdout.contains(words), "{words}");
    }
    assert!(run(["--help"]).stdout.contains("serve"));
}

#[test]
fn settings_and_keys_that_make_no_sense_create_nothing() {
    for wrong in [["--trusted-proxy", "10.0.0.0/33"], ["--secret-key-file", "/no/such/file"]] {
        let home = Home::new();
        let store = home.store("file");
        let ended =
            run([&["serve", "--addr", "127.0.0.1:0", "--store", &store][..], &wrong].concat());
        assert_eq!(ended.code, Some(2), "{wrong:?}");
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "{wrong:?}");
    }
}

#[test]
fn a_store_of_another_kind_is_refused_and_gets_no_key() {
    let home = Home::new();
    drop(cloakroom::FileStore::open(home.sessions()).unwrap());
    let ended = run(["serve", "--addr", "127.0.0.1:0", "--store", &home.store("map")]);
    ended.refused_with(2, &["failed to open map:"]);
    assert!(!home.path().join("sessions.key").exists());
}
