//! The example serves what its head says, to a client that knows nothing of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The example at work; it ends with the test.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(directory: &Path) -> Self {
        let mut child = Command::new(example())
            .args(["127.0.0.1:0".as_ref(), directory.as_os_str()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").unwrap();
        let address = address.strip_suffix("/count").unwrap().to_owned();
        Self { child, address }
    }

    /// The body, and the cookie if one was set.
    fn get(&self, path: &str, cookie: &str) -> (String, Option<String>) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let set = head.lines().find_map(|line| line.strip_prefix("Set-Cookie: "));
        let pair = set.and_then(|set| set.split(';').next()).map(str::to_owned);
        (body.to_owned(), pair)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Cargo builds examples beside the tests.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let example = test.parent().unwrap().parent().unwrap().join("examples/plain");
    assert!(example.exists(), "build it first: `cargo build -p cloakroom-web --examples`");
    example
}

#[test]
fn it_counts_goes_on_after_a_kill_and_begins_anew_after_a_reset() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("sessions");
    let server = Server::start(&store);
    let (body, cookie) = server.get("/count", "");
    let cookie = cookie.unwrap();
    assert_eq!(body, "1");
    assert_eq!(server.get("/count", &cookie), ("2".to_owned(), None));
    drop(server);
    let server = Server::start(&store);
    assert_eq!(server.get("/count", &cookie), ("3".to_owned(), None));
    assert_eq!(server.get("/reset", &cookie), ("Reset".to_owned(), Some("session_id=".to_owned())));
    assert_eq!(server.get("/count", &cookie).0, "1");
    assert_eq!(server.get("/elsewhere", &cookie), ("Not found".to_owned(), None));
}
