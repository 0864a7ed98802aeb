//! Runs the real binary, and makes recordings for it.

#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The binary under test.
pub fn cloakroom() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloakroom"));
    command.stdin(Stdio::null());
    command
}

/// How a command ended.
pub struct Ended {
    /// Its exit status; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ended {
    /// Fails the test unless the command refused its input in words, with this exit status, with
    /// nothing on standard output, and without a panic.
    pub fn refused_with(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        assert_eq!(self.stdout, "");
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not in: {}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }

    /// Fails the test unless the command ended well, and returns the document it printed.
    pub fn document(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        serde_json::from_str(&self.stdout).expect("one JSON document")
    }
}

/// Runs the binary to its end.
pub fn run<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Ended {
    let output = cloakroom().args(args).output().expect("the binary starts");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("the output is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("the messages are UTF-8"),
    }
}

/// Runs the binary with arguments that are separated by spaces.
pub fn run_line(line: &str) -> Ended {
    run(line.split_whitespace())
}

/// A file in a directory that goes when it is dropped.
pub struct TestFile {
    /// Where it is.
    pub path: PathBuf,
    _directory: TempDir,
}

impl TestFile {
    /// A file with this content.
    pub fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let path = directory.path().join(name);
        std::fs::write(&path, content).expect("the file is written");
        Self { path, _directory: directory }
    }

    /// The same content, compressed.
    pub fn gzip(name: &str, content: &str) -> Self {
        Self::new(name, gzip(content))
    }
}

/// Compressed bytes of a text.
pub fn gzip(content: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content.as_bytes()).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

/// A recording of these entries.
pub fn har(entries: &[String]) -> String {
    format!(r#"{{"log": {{"version": "1.2", "entries": [{}]}}}}"#, entries.join(",\n"))
}

/// An entry of a recording: sent so many milliseconds after the first, answered by the server
/// after so many.
pub fn entry(start_ms: u32, wait_ms: i32, method: &str, url: &str, mime: &str) -> String {
    let (seconds, millis) = (start_ms / 1_000, start_ms % 1_000);
    format!(
        r#"{{"startedDateTime": "2026-01-02T03:04:{seconds:02}.{millis:03}+01:00", "time": 1,
        "request": {{"method": "{method}", "url": "{url}", "headers": [], "cookies": []}},
        "response": {{"status": 200, "content": {{"mimeType": "{mime}", "text": "body"}}}},
        "timings": {{"send": 0, "wait": {wait_ms}, "receive": 0}}}}"#
    )
}

/// A small page: a document, three calls of which one writes, a style sheet, a foreign pixel.
pub fn small_page() -> String {
    har(&[
        entry(0, 5, "GET", "https://www.shop.example/", "text/html; charset=utf-8"),
        entry(8, 1, "GET", "https://www.shop.example/style.css", "text/css"),
        entry(10, 20, "GET", "https://api.shop.example/cart", "application/json"),
        entry(10, 20, "GET", "https://api.shop.example/user", "application/json"),
        entry(11, 20, "POST", "https://api.shop.example/seen", "application/json"),
        entry(12, 1, "GET", "https://ads.example/pixel", "image/gif"),
    ])
}

/// How many sessions the store of this URL lists; 0 if there is none yet.
pub fn sessions(url: &str) -> usize {
    run(["ls", url, "--format", "keys"]).stdout.lines().count()
}

/// How many session files are below a directory: those with a key for a name.
pub fn session_files(directory: &std::path::Path) -> usize {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    entries
        .filter_map(Result::ok)
        .map(|entry| {
            let is_key = |name: &str| {
                name.len() >= 60 && name.chars().all(|digit| digit.is_ascii_hexdigit())
            };
            let is_session = entry.file_name().to_str().is_some_and(is_key);
            usize::from(is_session) + session_files(&entry.path())
        })
        .sum()
}
