//! Clients that take their time.

use std::io::{BufRead, BufReader, Read, Write};

use crate::browser::{Answer, Browser};
use crate::server::Server;

#[test]
fn half_a_head_keeps_nobody_waiting() {
    let server = Server::start("file:", &[]);
    let browser = Browser::new();
    assert_eq!(browser.text(&server, "/count"), "1");
    let cookie = browser.cookie("session_id").unwrap();
    let mut slow = server.connect();
    write!(slow, "GET /count HTTP/1.1\r\nHost: localhost\r\nCookie: session_id={cookie}\r\n")
        .unwrap();
    for count in 2..=5 {
        assert_eq!(browser.text(&server, "/count"), count.to_string());
    }
    slow.write_all(b"Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert_eq!(Answer::parse(&answer).body, "6");
}

#[test]
fn a_head_that_never_ends_is_ended_by_the_server() {
    let server = Server::start("memory:", &[]);
    let mut slow = server.connect();
    slow.write_all(b"GET /count HTTP/1.1\r\nHost: ").unwrap();
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[test]
fn a_form_that_comes_slowly_locks_no_session() {
    for store in ["file:", "map:", "memory:"] {
        let server = Server::start(store, &[]);
        let browser = Browser::new();
        assert_eq!(browser.text(&server, "/count"), "1");
        let cookie = browser.cookie("session_id").unwrap();
        let form = "user=ada&passwd=lovelace";
        let (begin, rest) = form.split_at(9);
        let mut slow = server.connect();
        write!(
            slow,
            "POST /login HTTP/1.1\r\nHost: localhost\r\nCookie: session_id={cookie}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\
             Expect: 100-continue\r\nConnection: close\r\n\r\n",
            form.len()
        )
        .unwrap();
        let mut answers = BufReader::new(slow.try_clone().unwrap());
        let mut line = String::new();
        // The server says this when it waits for the body.
        answers.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 100 "), "{line}");
        answers.read_line(&mut line).unwrap();
        slow.write_all(begin.as_bytes()).unwrap();
        for count in 2..=4 {
            assert_eq!(browser.text(&server, "/count"), count.to_string(), "{store}");
        }
        slow.write_all(rest.as_bytes()).unwrap();
        let mut answer = String::new();
        answers.read_to_string(&mut answer).unwrap();
        assert_eq!(Answer::parse(&answer).status, 303, "{store}: {answer}");
    }
}
