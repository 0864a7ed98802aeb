//! A real server on loopback, and a client that sends what it is told to, byte by byte if need be.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// An application that serves until it is dropped.
pub struct Server {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(app: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        let task = tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        Self { address, task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An example at work; it ends with the test.
pub struct Example {
    child: Child,
    pub address: SocketAddr,
}

impl Example {
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(path(name))
            .arg("127.0.0.1:0")
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").unwrap().split('/').next().unwrap();
        Self { child, address: address.parse().unwrap() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Cargo builds examples beside the tests.
fn path(example: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("examples").join(example);
    assert!(path.exists(), "build it first: `cargo build -p cloakroom-axum --examples`");
    path
}

/// A connection that is kept open.
pub struct Connection(BufReader<TcpStream>);

/// A response as it came.
#[derive(Clone, Debug)]
pub struct Raw {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        // Not a measure of anything: a server that hangs fails the test instead of stopping it.
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// A request with this `Cookie` header, if it is not empty.
    pub fn send(&mut self, method: &str, path: &str, cookie: &[u8], body: &str) -> io::Result<()> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n").into_bytes();
        if !cookie.is_empty() {
            head.extend_from_slice(b"Cookie: ");
            head.extend_from_slice(cookie);
            head.extend_from_slice(b"\r\n");
        }
        if method != "GET" {
            let form = "Content-Type: application/x-www-form-urlencoded\r\n";
            head.extend_from_slice(format!("{form}Content-Length: {}\r\n", body.len()).as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        head.extend_from_slice(body.as_bytes());
        self.write(&head)
    }

    /// The next response.
    pub fn read(&mut self) -> io::Result<Raw> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Ok(Raw { status, head, body: String::from_utf8(body).unwrap() })
    }

    pub fn get(&mut self, path: &str, cookie: &str) -> Raw {
        self.send("GET", path, cookie.as_bytes(), "").unwrap();
        self.read().unwrap()
    }

    pub fn post(&mut self, path: &str, cookie: &str, body: &str) -> Raw {
        self.send("POST", path, cookie.as_bytes(), body).unwrap();
        self.read().unwrap()
    }
}

impl Raw {
    /// The pair of the only cookie that it sets.
    pub fn cookie(&self) -> Option<String> {
        let mut set = self.head.lines().filter_map(|line| line.strip_prefix("set-cookie: "));
        let pair = set.next()?.split(';').next().unwrap().to_owned();
        assert!(set.next().is_none(), "{}", self.head);
        Some(pair)
    }
}
