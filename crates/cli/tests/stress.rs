//! `stress contend`: the exit status is the verdict.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::process::{Child, Command, Stdio};

use common::{cloakroom, run, run_line};
use serde_json::Value;

/// The accesses that were tried, each with what it must keep kept.
fn tried(document: &Value) -> Vec<&str> {
    let runs = document["runs"].as_array().expect("runs");
    for run in runs {
        assert_eq!(run["pattern"], "contend");
        assert_eq!(run["lost_updates"] == 0, run["access"] != "last-write-wins", "{run}");
    }
    runs.iter().filter_map(|run| run["access"].as_str()).collect()
}

#[test]
fn processes_that_contend_for_one_session_lose_nothing_but_in_the_control() {
    let document =
        run_line("stress contend --processes 3 --clients 2 --seconds 1 --seed 7 --format json")
            .document();
    let stress = &document["stress"];
    assert_eq!(stress["passed"], true, "{stress}");
    assert_eq!(stress["overlaps"], 0);
    assert_eq!(stress["holds"], stress["holds_checked"]);
    assert_eq!(stress["shares"].as_array().map(Vec::len), Some(3));
    assert_eq!(tried(&document), ["exclusive", "optimistic", "last-write-wins"]);
}

#[test]
fn a_store_without_locks_loses_nothing_either() {
    let document =
        run_line("stress contend --store map: --clients 2 --seconds 0.5 --format json").document();
    let stress = &document["stress"];
    assert_eq!(stress["passed"], true, "{stress}");
    assert_eq!(stress["shares"].as_array().map(Vec::len), Some(4));
    assert_eq!(tried(&document), ["optimistic", "last-write-wins"]);
    let ended = run_line("stress contend --store map: --seconds 0.5");
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("PASSED: optimistic lost nothing"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("exclusive"), "{}", ended.stdout);
}

/// The version of the one session in a store; none: there is none just now.
fn version(url: &str) -> Option<u64> {
    let listed = run(["ls", url, "--format", "json"]).stdout;
    serde_json::from_str::<Value>(listed.lines().next()?).ok()?["version"].as_u64()
}

/// Sends a signal to a process, which may have ended.
fn signal(name: &str, pid: &str) {
    Command::new("kill").args([name, pid]).stderr(Stdio::null()).status().expect("kill is there");
}

/// Stops one worker after the other for a while, until the run ends. How often the session went on
/// meanwhile.
fn freeze_workers(parent: &mut Child, url: &str) -> u32 {
    let children = format!("/proc/{0}/task/{0}/children", parent.id());
    let mut went_on = 0;
    while parent.try_wait().expect("a child").is_none() {
        for pid in std::fs::read_to_string(&children).unwrap_or_default().split_whitespace() {
            signal("-STOP", pid);
            let before = version(url);
            let after = version(url);
            signal("-CONT", pid);
            went_on += u32::from(before.is_some() && after > before);
        }
    }
    went_on
}

#[cfg(target_os = "linux")]
#[test]
fn while_processes_freeze_and_thaw_the_others_go_on_and_nothing_is_lost() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let url = format!("map:{}", directory.path().join("sessions").display());
    let mut parent = cloakroom()
        .args(["stress", "contend", "--store", &url, "--seconds", "1", "--format", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let went_on = freeze_workers(&mut parent, &url);
    let output = parent.wait_with_output().expect("it ends");
    let document: Value = serde_json::from_slice(&output.stdout).expect("a document");
    assert_eq!(document["stress"]["passed"], true, "{}", document["stress"]);
    assert_eq!(tried(&document), ["optimistic", "last-write-wins"]);
    assert!(went_on > 0, "the others went on {went_on} times");
    assert!(run(["verify", &url]).stdout.starts_with("0 sessions are sound"));
}

#[test]
fn threads_of_one_process_contend_in_memory() {
    let ended = run_line("stress contend --store memory: --seconds 0.5");
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("PASSED"), "{}", ended.stdout);
}

#[test]
fn one_client_alone_cannot_contend() {
    run_line("stress contend --processes 1 --clients 1").refused_with(2, &["cannot contend"]);
}
