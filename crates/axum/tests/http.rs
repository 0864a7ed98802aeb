//! Real connections, and cookies as nobody should send them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;

use cloakroom::Store;
use common::server::{Connection, Raw, Server};
use common::{Stage, counter, settings};
use tokio::task::spawn_blocking;

over!([memory file map] [
    no_acknowledged_increment_of_8_clients_is_lost
    cookies_of_any_shape_get_a_fresh_session_and_nothing_else
]);

async fn no_acknowledged_increment_of_8_clients_is_lost<S: Store>(at: &Stage<S>) {
    let server = Server::start(at.app(counter())).await;
    let address = server.address;
    spawn_blocking(move || {
        let cookie = Connection::open(address).get("/count", "").cookie().unwrap();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut connection = Connection::open(address);
                    for _ in 0..100 {
                        // Where nothing is locked, the loser is told, and tries again.
                        while connection.get("/count", &cookie).status == 409 {}
                    }
                });
            }
        });
        assert_eq!(Connection::open(address).get("/look", &cookie).body, "Some(801)");
    })
    .await
    .unwrap();
}

async fn cookies_of_any_shape_get_a_fresh_session_and_nothing_else<S: Store>(at: &Stage<S>) {
    let server = Server::start(at.app(counter())).await;
    let address = server.address;
    spawn_blocking(move || {
        let genuine = Connection::open(address).get("/count", "").cookie().unwrap();
        let value = genuine.strip_prefix("session_id=").unwrap();
        let (id, mac) = value.split_once('.').unwrap();
        // Another valid first character of the id and of its MAC, whatever it was.
        let other_id = format!("{}{}", if id.starts_with('0') { "1" } else { "0" }, &id[1..]);
        let other_mac = format!("{}{}", if mac.starts_with('A') { "B" } else { "A" }, &mac[1..]);
        let fresh: Vec<Vec<u8>> = vec![
            format!("session_id={id}").into(),
            format!("session_id={id}.").into(),
            format!("session_id={id}.{other_mac}").into(),
            format!("session_id={other_id}.{mac}").into(),
            format!("session_id={}.{mac}", id.to_uppercase()).into(),
            format!("session_id={value}{value}").into(),
            format!("SESSION_ID={value}").into(),
            format!("session_id=%22{value}%22").into(),
            format!("session_id={}", "a".repeat(5_000)).into(),
            b"session_id=/etc/password".to_vec(),
            b"session_id=\"/etc/password\"".to_vec(),
            b"session_id=../../etc/passwd".to_vec(),
            b"session_id=\xff\xfe\x80".to_vec(),
            b"session_id=\xc3\xa9\xc3\xa9".to_vec(),
            b"session_id=".to_vec(),
            b"session_id".to_vec(),
            b"=".to_vec(),
            b";;;;=;=;".to_vec(),
            b"session_id=x; session_id=y; session_id=z".to_vec(),
            b"session_id=x;".repeat(500),
        ];
        for cookie in &fresh {
            let mut connection = Connection::open(address);
            connection.send("GET", "/count", cookie, "").unwrap();
            let answer = connection.read().unwrap();
            let shown = String::from_utf8_lossy(cookie);
            assert_eq!((answer.status, &*answer.body), (200, "1"), "{shown}");
            assert_ne!(answer.cookie().as_deref(), Some(&*genuine), "{shown}");
        }
        // A genuine one among others, twice, or quoted, is found.
        for cookie in [
            format!("a=b; session_id={value}; c=d"),
            format!("session_id=x; session_id={value}"),
            format!("session_id={value}; session_id={value}"),
            format!("session_id=\"{value}\""),
        ] {
            assert_eq!(Connection::open(address).get("/look", &cookie).body, "Some(1)", "{cookie}");
        }
        // What is no HTTP is refused by the server, and is never a 500.
        for head in [
            b"GET /count HTTP/1.1\r\nHost: x\r\nCookie: session_id=a\r\n b\r\n\r\n".to_vec(),
            b"GET /count HTTP/1.1\r\nHost: x\r\nCookie: session_id=a\0b\r\n\r\n".to_vec(),
            [b"GET /count HTTP/1.1\r\nHost: x\r\nCookie: ".as_slice(), &vec![b'a'; 1 << 20], b"\r\n\r\n"]
                .concat(),
        ] {
            let status = status_of(address, &head);
            assert!(matches!(status, None | Some(200 | 400 | 431)), "{status:?}");
        }
        // A line break in a value ends the header, and what follows is a header of the request.
        let injected = b"GET /count HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: session_id=a\r\nSet-Cookie: session_id=injected\r\n\r\n";
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(injected).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("injected"), "{answer}");
        assert_eq!(Connection::open(address).get("/look", &genuine).body, "Some(1)");
    })
    .await
    .unwrap();
}

/// The status that a server answers to these bytes, if it does not just close the connection.
fn status_of(address: std::net::SocketAddr, head: &[u8]) -> Option<u16> {
    let mut connection = Connection::open(address);
    // It may close the connection before all was sent.
    let _ = connection.write(head);
    connection.read().ok().map(|Raw { status, .. }| status)
}

#[test]
fn the_address_of_the_client_counts_and_what_an_undeclared_proxy_says_does_not() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let ask = |address, cookie: &str, forwarded: &str| {
        let mut connection = Connection::open(address);
        let head = "GET /count HTTP/1.1\r\nHost: x\r\nCookie: ";
        let rest = format!("{cookie}\r\nX-Forwarded-For: {forwarded}\r\n\r\n");
        connection.write(format!("{head}{rest}").as_bytes()).unwrap();
        connection.read().unwrap()
    };
    let at = common::memory();
    let bound = settings().ignore_change_ip(false);
    let plain = runtime.block_on(Server::start(at.app_with(bound.clone(), counter())));
    let cookie = ask(plain.address, "", "192.0.2.1").cookie().unwrap();
    let answer = ask(plain.address, &cookie, "192.0.2.2");
    assert_eq!((answer.status, &*answer.body), (200, "2"));
    let behind = bound.trusted_proxy("127.0.0.0/8");
    let behind = runtime.block_on(Server::start(at.app_with(behind, counter())));
    let cookie = ask(behind.address, "", "192.0.2.1").cookie().unwrap();
    let answer = ask(behind.address, &cookie, "192.0.2.2");
    assert_eq!((answer.status, &*answer.body), (403, "Session expired"));
    assert!(answer.head.contains("Max-Age=0"), "{}", answer.head);
    let answer = ask(behind.address, &cookie, "192.0.2.1");
    assert_eq!((answer.status, &*answer.body), (200, "2"));
}
