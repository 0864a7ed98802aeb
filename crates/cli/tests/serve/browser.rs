//! curl with a jar of cookies.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::server::Server;

/// A browser: whatever server it asks, it has the same cookies.
pub struct Browser {
    directory: TempDir,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in small letters.
    headers: Vec<(String, String)>,
    pub body: String,
}

/// A request that is not answered yet.
pub struct Asked(Child);

impl Browser {
    pub fn new() -> Self {
        Self { directory: TempDir::new().expect("a temporary directory") }
    }

    fn jar(&self) -> PathBuf {
        self.directory.path().join("jar")
    }

    /// The value of its cookie of this name.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let jar = fs::read_to_string(self.jar()).unwrap_or_default();
        let fields = jar.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        let mut found = fields.filter(|fields| fields.len() == 7 && fields[5] == name);
        found.next().map(|fields| fields[6].to_owned())
    }

    pub fn get(&self, server: &Server, path: &str) -> Answer {
        self.ask(server, path, &[])
    }

    /// The body of an answer that must be good.
    pub fn text(&self, server: &Server, path: &str) -> String {
        let answer = self.get(server, path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    /// Asks until the answer counts so much. It leaves the jar alone, which another request may be reading.
    pub fn wait_for_count(&self, server: &Server, path: &str, count: u64) {
        while self.start(server, path, &[]).answer().json()["count"] != count {
            std::thread::yield_now();
        }
    }

    pub fn post(&self, server: &Server, path: &str, form: &str) -> Answer {
        self.ask(server, path, &["--data", form])
    }

    /// Asks, and keeps the cookies of the answer.
    fn ask(&self, server: &Server, path: &str, more: &[&str]) -> Answer {
        let jar = self.jar();
        let keep = ["--cookie-jar", jar.to_str().expect("text")];
        self.start(server, path, &[&keep, more].concat()).answer()
    }

    /// Asks, and waits for nothing. Cookies of the answer are not kept: several at a time would spoil the jar.
    pub fn start(&self, server: &Server, path: &str, more: &[&str]) -> Asked {
        let curl = Command::new("curl")
            .args(["--silent", "--show-error", "--include", "--noproxy", "*", "--cookie"])
            .arg(self.jar())
            .args(more)
            .arg(format!("http://{}{path}", server.address()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Asked(curl.expect("curl is there"))
    }
}

impl Asked {
    pub fn answer(self) -> Answer {
        let output = self.0.wait_with_output().expect("curl ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "curl: {said}");
        Answer::parse(&String::from_utf8(output.stdout).expect("the answer is text"))
    }

    /// Waits for its end, answered or not.
    pub fn end(self) {
        self.0.wait_with_output().expect("curl ends");
    }
}

impl Answer {
    /// Reads an answer with its head.
    pub fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
        let headers = lines.map(|line| line.split_once(": ").expect("a header"));
        Self {
            status: status.parse().expect("a number"),
            headers: headers.map(|(n, value)| (n.to_lowercase(), value.to_owned())).collect(),
            body: body.to_owned(),
        }
    }

    /// All headers of this name.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|header| header.0 == name);
        named.map(|header| header.1.as_str()).collect()
    }

    pub fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.headers("content-type"), ["application/json"]);
        serde_json::from_str(&self.body).expect("JSON")
    }
}
