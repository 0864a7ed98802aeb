//! `rm`.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use cloakroom::{Access, FileStore, OpenError, OpenRequest, SessionError, SessionId};

use crate::common::cloakroom;
use crate::store::{TestStore, TestedStore, over_both};

over_both! {
    sessions_end_by_key_and_by_id,
    a_dry_run_ends_nothing,
    one_that_is_not_there_is_named_and_the_others_are_ended,
    the_list_of_one_tool_is_the_input_of_the_other,
    an_expired_session_is_left_to_the_sweep,
}

fn sessions_end_by_key_and_by_id<S: TestedStore>(store: &TestStore<S>) {
    let keys = store.fill(4);
    let ended = store.tool("rm", &[&keys[0].to_string(), "s1"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "2 ended\n"), "{}", ended.stderr);
    let mut left = [&keys[2], &keys[3]].map(ToString::to_string);
    left.sort();
    assert_eq!(store.keys(), left);
}

fn a_dry_run_ends_nothing<S: TestedStore>(store: &TestStore<S>) {
    store.fill(2);
    let ended = store.tool("rm", &["s0", "s1", "--dry-run"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "2 would be ended\n"));
    assert_eq!(store.keys().len(), 2);
}

fn one_that_is_not_there_is_named_and_the_others_are_ended<S: TestedStore>(store: &TestStore<S>) {
    let keys = store.fill(3);
    let ended = store.tool("rm", &["s0", "nobody", "s2", "--format", "json"]);
    assert_eq!(ended.code, Some(1));
    let document: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&document["ended"], &document["absent"]), (&2.into(), &1.into()));
    let key = cloakroom::Key::new("", &SessionId::from("nobody")).to_string();
    assert!(ended.stderr.contains(&key) && !ended.stderr.contains("nobody"), "{}", ended.stderr);
    assert_eq!(store.keys(), [keys[1].to_string()]);
}

fn the_list_of_one_tool_is_the_input_of_the_other<S: TestedStore>(store: &TestStore<S>) {
    store.fill(50);
    let large: Vec<String> =
        (0..9).map(|n| store.put(&format!("l{n}"), "x", "x".repeat(2_000)).to_string()).collect();
    let listed = store.tool("ls", &["--larger-than", "1kB", "--format", "keys"]);
    let mut child = cloakroom()
        .args(["rm", &store.url(), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(listed.stdout.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "9 ended\n");
    let left = store.tool("ls", &["--format", "keys"]).stdout;
    assert_eq!(left.lines().count(), 50);
    assert!(large.iter().all(|key| !left.contains(key)));
}

fn an_expired_session_is_left_to_the_sweep<S: TestedStore>(store: &TestStore<S>) {
    let key = store.expired("old").to_string();
    let ended = store.tool("rm", &[&key]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "0 ended, 1 expired before\n"));
    assert!(ended.stderr.contains("the sweep removes it"), "{}", ended.stderr);
}

#[test]
fn a_session_that_is_held_too_long_is_named_with_its_holder() {
    let store = TestStore::new();
    store.fill(2);
    let held = store.sessions().open(&SessionId::from("s0"), Access::Exclusive).unwrap();
    let ended = store.tool("rm", &["s0", "s1", "--wait", "0.01"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), "1 ended, 1 failed\n"));
    let holder = format!("held by process {}", std::process::id());
    assert!(ended.stderr.contains(&holder), "{}", ended.stderr);
    drop(held);
    assert!(store.tool("rm", &["s0"]).code == Some(0));
}

#[test]
fn an_interrupt_says_how_many_were_ended_until_then() {
    let store = TestStore::new();
    store.fill(3);
    let held = store.sessions().open(&SessionId::from("s1"), Access::Exclusive).unwrap();
    let child = cloakroom()
        .args(["rm", &store.url(), "s0", "s1", "s2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    await_waiters(&store, 1);
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(signal.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "note: interrupted: 1 ended\n");
    drop(held);
    assert_eq!(store.keys().len(), 2);
}

#[test]
fn whoever_waits_for_the_session_is_told_that_it_ended() {
    let store = TestStore::new();
    store.fill(1);
    let id = SessionId::from("s0");
    let held = store.sessions().open(&id, Access::Exclusive).unwrap();
    let url = store.url();
    let tool = thread::spawn(move || crate::common::run(["rm", &url, "s0"]));
    // The tool's process is in the kernel's queue; another opener of this process comes behind it.
    await_waiters(&store, 1);
    let sessions = store.sessions();
    let waiter = thread::spawn(move || {
        let request = OpenRequest::new(Access::Exclusive, cloakroom::Calling::Blocking)
            .wait(Duration::from_secs(20));
        sessions.open_with(&id, request).map(|session| session.is_new())
    });
    drop(held);
    assert_eq!(tool.join().unwrap().code, Some(0));
    // It may have been granted the lock before the tool was; then it sees the session once more.
    match waiter.join().unwrap() {
        Err(SessionError::Open(OpenError::Gone { .. })) | Ok(_) => {}
        Err(error) => panic!("{error}"),
    }
    assert_eq!(crate::store::get::<FileStore>(&store.directory, "s0", "counter"), None);
}

/// Returns when so many processes wait for a session of the store.
pub fn await_waiters(store: &TestStore, count: u64) {
    loop {
        let locks = crate::store::json_lines(&store.tool("locks", &["--format", "json"]));
        if locks.iter().filter_map(|lock| lock["waiting"].as_u64()).sum::<u64>() >= count {
            return;
        }
    }
}
