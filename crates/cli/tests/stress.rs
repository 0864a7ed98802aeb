//! `stress contend`: the exit status is the verdict.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::run_line;

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
    let runs = document["runs"].as_array().expect("runs");
    let accesses: Vec<_> = runs.iter().filter_map(|run| run["access"].as_str()).collect();
    assert_eq!(accesses, ["exclusive", "optimistic", "last-write-wins"]);
    for run in runs {
        assert_eq!(run["pattern"], "contend");
        assert_eq!(run["lost_updates"] == 0, run["access"] != "last-write-wins", "{run}");
    }
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
