//! Cookies that no server gave out.

use crate::browser::{Answer, Browser};
use crate::server::{Home, Server};

/// What the counter answers to these `Cookie` headers.
fn count(server: &Server, cookies: &[&[u8]]) -> Answer {
    let mut request = b"GET /count HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".to_vec();
    for cookie in cookies {
        request.extend_from_slice(b"Cookie: ");
        request.extend_from_slice(cookie);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    Answer::parse(&server.raw(&request))
}

#[test]
fn whatever_a_cookie_says_the_request_gets_a_fresh_session() {
    let id = "0".repeat(64);
    let long = vec![b'a'; 30_000];
    let made_up = format!("session_id={id}");
    let signed = format!("session_id={id}.{}", "A".repeat(43));
    let quoted = format!("session_id=\"{id}\"");
    let cookies: Vec<Vec<&[u8]>> = vec![
        vec![],
        vec![b""],
        vec![b";;;=;session_id"],
        vec![b"session_id="],
        vec![b"session_id=../../../etc/passwd"],
        vec![b"session_id=%0d%0aSet-Cookie:%20a=b"],
        vec![b"session_id=\xff\xfe\x80"],
        vec![b"session_id=\"\xf0\x9f\xa7\xa5\"; \xff=\xff"],
        vec![made_up.as_bytes()],
        vec![signed.as_bytes()],
        vec![quoted.as_bytes()],
        vec![b"session_id=", &long],
        vec![&long],
        vec![signed.as_bytes(); 50],
        vec![b"session_id=a; session_id=b; session_id=c", signed.as_bytes()],
    ];
    for kind in ["file", "map", "memory"] {
        let home = Home::new();
        let server = Server::start(&home.store(kind), &[]);
        for cookies in &cookies {
            let answer = count(&server, cookies);
            let shown = cookies.iter().map(|cookie| cookie.escape_ascii().to_string());
            let shown: String = shown.collect::<Vec<_>>().join(" | ").chars().take(80).collect();
            assert_eq!((answer.status, answer.body.as_str()), (200, "1"), "{kind}: {shown}");
            let set = answer.headers("set-cookie");
            assert!(set.len() == 1 && !set[0].contains(&id), "{kind}: {shown}: {set:?}");
        }
    }
}

#[test]
fn bytes_that_no_header_may_have_are_refused_before_any_session() {
    let server = Server::start("memory:", &[]);
    for cookie in [&b"session_id=a\rb"[..], b"session_id=a\0b", b"session_id=a\nb"] {
        let answer = count(&server, &[cookie]);
        assert_eq!(answer.status, 400, "{}", cookie.escape_ascii());
        assert!(answer.headers("set-cookie").is_empty());
    }
    let huge = vec![b'a'; 100_000];
    assert!(matches!(count(&server, &[&huge]).status, 200 | 431));
}

#[test]
fn a_genuine_cookie_among_made_up_ones_counts() {
    let server = Server::start("memory:", &[]);
    let browser = Browser::new();
    assert_eq!(browser.text(&server, "/count"), "1");
    let genuine = format!("session_id={}", browser.cookie("session_id").unwrap());
    let answer = count(&server, &[b"session_id=planted; theme=dark", genuine.as_bytes()]);
    assert_eq!((answer.status, answer.body.as_str()), (200, "2"));
}
