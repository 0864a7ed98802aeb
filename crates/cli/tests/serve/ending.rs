//! How a server ends.

use std::process::Stdio;

use crate::browser::Browser;
use crate::server::{Home, Server, command};

#[test]
fn a_running_request_ends_before_the_server_does() {
    for (signal, code) in [("-HUP", 129), ("-INT", 130), ("-TERM", 143)] {
        let server = Server::start("file:", &[]);
        let browser = Browser::new();
        browser.post(&server, "/lab/file/begin", "").json();
        let asked = browser.start(&server, "/lab/file/released?ms=1000&call=7", &["--data", ""]);
        // It counts first, so this shows that it is at work.
        browser.wait_for_count(&server, "/lab/file/count", 1);
        server.signal(signal);
        let (status, said) = server.wait();
        assert_eq!(status, Some(code), "{said}");
        assert!(!said.contains("warning"), "{said}");
        let answer = asked.answer().json();
        assert_eq!((&answer["call"], &answer["count"]), (&7.into(), &1.into()));
    }
}

#[test]
fn connections_that_ask_for_nothing_do_not_keep_a_server() {
    let server = Server::start("memory:", &[]);
    let idle: Vec<_> = (0..10).map(|_| server.connect()).collect();
    assert_eq!(Browser::new().text(&server, "/count"), "1");
    server.signal("-TERM");
    let (status, said) = server.wait();
    assert_eq!(status, Some(143));
    assert!(!said.contains("warning"), "{said}");
    drop(idle);
}

#[test]
fn temporary_stores_go_with_the_server() {
    for store in ["file:", "map:", "memory:"] {
        let home = Home::new();
        let mut command = command(store);
        let server = Server::of(command.args(["--addr", "127.0.0.1:0"]).env("TMPDIR", home.path()));
        assert_eq!(Browser::new().text(&server, "/count"), "1");
        assert_ne!(std::fs::read_dir(home.path()).unwrap().count(), 0);
        server.signal("-TERM");
        assert_eq!(server.wait().0, Some(143));
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "{store}");
    }
}

#[test]
fn it_says_where_the_sessions_are_and_what_plain_http_means() {
    let home = Home::new();
    let server = Server::start(&home.store("file"), &[]);
    server.signal("-TERM");
    let (_, said) = server.wait();
    for words in [&*home.store("file"), "plain HTTP", "`Secure`", "`__Host-`", "sessions.key"] {
        assert!(said.contains(words), "`{words}` is not in: {said}");
    }
}

#[test]
fn nobody_who_reads_what_it_prints_is_no_failure() {
    let mut child = command("memory:")
        .args(["--addr", "127.0.0.1:0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(child.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut said, &mut String::new()).unwrap();
    assert!(child.try_wait().unwrap().is_none(), "it serves");
    child.kill().unwrap();
    child.wait().unwrap();
}
