//! A server under test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::common::cloakroom;

/// A server at work. Dropping it kills it.
pub struct Server {
    child: Child,
    /// What it printed, without the last slash.
    pub url: String,
    /// Where its temporary files are, which it leaves behind when it is killed.
    _temporary: TempDir,
}

/// The stores that outlive their server.
pub const LASTING: [&str; 2] = ["file", "map"];

/// A directory for the store of a test.
pub struct Home(TempDir);

impl Home {
    pub fn new() -> Self {
        Self(TempDir::new().expect("a temporary directory"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where the sessions are.
    pub fn sessions(&self) -> PathBuf {
        self.path().join("sessions")
    }

    /// The store of this kind in it.
    pub fn store(&self, kind: &str) -> String {
        match kind {
            "memory" => "memory:".to_owned(),
            _ => format!("{kind}:{}", self.sessions().display()),
        }
    }
}

impl Server {
    /// Starts one on any free port of the loopback address.
    pub fn start(store: &str, more: &[&str]) -> Self {
        Self::of(command(store).args(["--addr", "127.0.0.1:0"]).args(more))
    }

    /// Starts this one.
    pub fn of(command: &mut Command) -> Self {
        let temporary = TempDir::new().expect("a temporary directory");
        if command.get_envs().all(|(name, _)| name != "TMPDIR") {
            command.env("TMPDIR", temporary.path());
        }
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("text");
        let Some(url) = line.strip_suffix("/\n") else {
            let mut why = String::new();
            child.stderr.take().expect("a pipe").read_to_string(&mut why).expect("text");
            panic!("it did not start: {why}");
        };
        Self { child, url: url.to_owned(), _temporary: temporary }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        let address = self.url.strip_prefix("http://").expect("a URL");
        let mut address: SocketAddr = address.parse().expect("an address");
        if address.ip().is_unspecified() {
            address.set_ip([127, 0, 0, 1].into());
        }
        address
    }

    /// A connection to it.
    pub fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).expect("it listens")
    }

    /// What it answers to these bytes, until it closes the connection.
    pub fn raw(&self, request: &[u8]) -> String {
        let mut connection = self.connect();
        connection.write_all(request).expect("it reads");
        let mut response = Vec::new();
        connection.read_to_end(&mut response).expect("it answers");
        String::from_utf8(response).expect("its answers are text")
    }

    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(status.expect("kill is there").success());
    }

    /// Its exit status, none if it was killed, and what it said.
    pub fn wait(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
        (self.child.wait().expect("it ends").code(), said)
    }

    /// Kills it, so that it can do nothing about it.
    pub fn kill(self) {
        self.signal("-KILL");
        assert_eq!(self.wait().0, None);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that is not started yet.
pub fn command(store: &str) -> Command {
    let mut command = cloakroom();
    command.args(["serve", "--store", store]).env_remove("CLOAKROOM_SECRET_KEY");
    command
}
