//! How the command ends when somebody goes away: its reader, its workers, its parent, its user.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{cloakroom, sessions};

/// A long run of several processes on a temporary store in this directory.
fn long_run(store: &str, directory: &Path) -> Child {
    cloakroom()
        .args(["bench", "hot", "--processes", "3", "--seconds", "600", "--access", "optimistic"])
        .args(["--store", store])
        .env("TMPDIR", directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

/// The workers of a process, once all are there.
fn workers(parent: &Child, expected: usize) -> Vec<u32> {
    let path = format!("/proc/{0}/task/{0}/children", parent.id());
    loop {
        let children = std::fs::read_to_string(&path).expect("the parent runs");
        let children: Vec<u32> =
            children.split_whitespace().map(|pid| pid.parse().expect("a number")).collect();
        if children.len() == expected {
            return children;
        }
        std::thread::yield_now();
    }
}

fn signal(signal: &str, pid: u32) {
    let status = Command::new("kill").args([signal, &pid.to_string()]).status();
    assert!(status.expect("kill is there").success());
}

/// Returns when the process has ended. A test whose process never ends runs into its time limit.
fn wait_for_end(pid: u32) {
    // A process that has ended, but was not waited for, has a state of Z.
    let running = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with(['Z', 'X']))
    };
    while running() {
        std::thread::yield_now();
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    for line in ["--help", "bench hot --operations 10 --format json", "bench hot --operations 10"] {
        let mut child = cloakroom()
            .args(line.split_whitespace())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        drop(child.stdout.take());
        let mut messages = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut messages).expect("text");
        assert_eq!(messages, "", "{line}");
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{line}");
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for (line, words) in [
        ("--help", "Exit status"),
        ("replay --help", "Examples"),
        ("bench --help", "Examples"),
        ("stress --help", "Examples"),
        ("--version", env!("CARGO_PKG_VERSION")),
    ] {
        let ended = common::run_line(line);
        assert_eq!(ended.code, Some(0), "{line}");
        assert!(ended.stdout.contains(words), "{line}");
        assert!(!ended.stdout.contains("worker  "), "the hidden command is not shown");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_worker_that_is_killed_ends_the_run_with_an_error() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let mut parent = long_run("map:", directory.path());
    let workers = workers(&parent, 3);
    signal("-KILL", workers[1]);
    let mut messages = String::new();
    parent.stderr.take().expect("a pipe").read_to_string(&mut messages).expect("text");
    assert_eq!(parent.wait().expect("it ends").code(), Some(1));
    assert!(messages.contains(&format!("worker process {}", workers[1])), "{messages}");
    assert!(messages.contains("signal: 9"), "{messages}");
    workers.into_iter().for_each(wait_for_end);
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_leaves_neither_processes_nor_files() {
    let signals = [("-HUP", 129), ("-INT", 130), ("-TERM", 143)];
    for ((name, code), store) in signals.into_iter().zip(["file:", "map:", "map:"]) {
        let directory = tempfile::TempDir::new().expect("a temporary directory");
        let mut parent = long_run(store, directory.path());
        let workers = workers(&parent, 3);
        signal(name, parent.id());
        assert_eq!(parent.wait().expect("it ends").code(), Some(code));
        workers.into_iter().for_each(wait_for_end);
        assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 0);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_removes_the_sessions_of_a_run_from_the_users_store() {
    let runs = [("spread", "1"), ("spread", "2"), ("churn", "1"), ("churn", "2")];
    for ((pattern, processes), kind) in
        runs.into_iter().flat_map(|run| ["file", "map"].map(|kind| (run, kind)))
    {
        let directory = tempfile::TempDir::new().expect("a temporary directory");
        let url = format!("{kind}:{}", directory.path().join("sessions").display());
        let line = ["bench", pattern, "--seconds", "600", "--sessions", "50", "--store", &url];
        let mut parent = cloakroom()
            .args(line.into_iter().chain(["--processes", processes]))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        while sessions(&url) < 40 {
            std::thread::yield_now();
        }
        signal("-INT", parent.id());
        let mut messages = String::new();
        parent.stderr.take().expect("a pipe").read_to_string(&mut messages).expect("text");
        assert_eq!(parent.wait().expect("it ends").code(), Some(130));
        assert_eq!(messages, "");
        assert_eq!(sessions(&url), 0, "{pattern}, {processes} processes, {kind}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn workers_whose_parent_is_killed_end_by_themselves() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let mut parent = long_run("map:", directory.path());
    let workers = workers(&parent, 3);
    signal("-KILL", parent.id());
    parent.wait().expect("it ends");
    workers.into_iter().for_each(wait_for_end);
}

#[test]
fn a_worker_without_a_plan_says_what_it_is() {
    let mut child = cloakroom()
        .arg("worker")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut line = String::new();
    let messages = child.stderr.take().expect("a pipe");
    BufReader::new(messages).read_line(&mut line).expect("text");
    assert!(line.contains("started by other cloakroom commands"), "{line}");
    assert_eq!(child.wait().expect("it ends").code(), Some(2));
}
