//! `bench`: every pattern, access, interface and number of processes; the JSON document.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{run, run_line, session_files};
use serde_json::Value;

const ALL_ACCESSES: &str = "--access exclusive --access released --access shared \
    --access snapshot --access optimistic --access last-write-wins --access none";

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn the_json_document_has_the_fields_of_its_contract() {
    let document =
        run_line("bench ajax --operations 40 --clients 4 --store memory: --format json").document();
    let mut found = keys(&document);
    found.sort_unstable();
    assert_eq!(found, ["machine", "runs", "schema"]);
    assert_eq!(document["schema"], 1);
    for field in ["os", "cpus", "kernel", "cloakroom"] {
        assert!(!document["machine"][field].is_null(), "{field}");
    }
    let run = &document["runs"][0];
    let mut fields = vec![
        "store",
        "access",
        "pattern",
        "processes",
        "clients",
        "sessions",
        "payload_bytes",
        "handler_us",
        "seconds",
        "operations",
        "operations_per_second",
        "latency_us",
        "lock_wait_us",
        "conflicts",
        "lost_updates",
        "errors",
        "page_load_ms",
    ];
    let mut found = keys(run);
    fields.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, fields);
    let mut quantiles = vec!["p50", "p90", "p99", "p999", "max"];
    for (distribution, more) in [("latency_us", None), ("lock_wait_us", Some("sum"))] {
        quantiles.extend(more);
        for quantile in &quantiles {
            assert!(run[distribution][quantile].is_number(), "{distribution}.{quantile}");
        }
        assert_eq!(keys(&run[distribution]).len(), quantiles.len());
    }
    assert!(run["page_load_ms"]["p50"].is_number() && run["page_load_ms"]["p99"].is_number());
    assert_eq!(run["operations"], 40);
}

#[test]
fn fields_come_in_the_order_of_the_contract() {
    let ended = run_line("bench hot --operations 10 --store memory: --format json");
    let order = ["schema", "machine", "runs", "store", "access", "seconds", "lost_updates"];
    let places: Vec<_> =
        order.iter().map(|field| ended.stdout.find(&format!("\"{field}\""))).collect();
    assert!(places.is_sorted() && !places.contains(&None), "{}", ended.stdout);
    assert!(ended.document()["runs"][0]["page_load_ms"].is_null());
}

#[test]
fn every_pattern_runs_with_every_access_on_every_store_through_both_interfaces() {
    for pattern in ["hot", "spread", "ajax"] {
        for api in ["session", "bytes"] {
            let document = run_line(&format!(
                "bench {pattern} --api {api} --operations 60 --clients 3 --payload 100 \
                 --store file: --store memory: {ALL_ACCESSES} --format json"
            ))
            .document();
            let runs = document["runs"].as_array().expect("runs");
            assert_eq!(runs.len(), 14);
            for run in runs {
                assert_eq!(run["operations"], 60, "{run}");
                assert_eq!(run["errors"], 0, "{run}");
                if run["access"] != "last-write-wins" {
                    assert_eq!(run["lost_updates"], 0, "{run}");
                }
            }
        }
    }
}

#[test]
fn several_processes_share_the_operations_and_lose_no_update() {
    let document = run_line(
        "bench hot --processes 3 --clients 2 --operations 500 --handler 50us \
         --access exclusive --access optimistic --format json",
    )
    .document();
    for run in document["runs"].as_array().expect("runs") {
        assert_eq!(run["operations"], 500);
        assert_eq!(run["lost_updates"], 0);
        assert_eq!(run["processes"], 3);
    }
    assert_eq!(document["runs"][0]["conflicts"], 0, "nobody overtakes an exclusive holder");
}

#[test]
fn the_control_loses_updates_and_is_not_blamed_for_it() {
    let document = run_line(
        "bench hot --clients 8 --operations 2000 --handler 100us --store memory: \
         --access last-write-wins --format json",
    )
    .document();
    assert!(document["runs"][0]["lost_updates"].as_u64() > Some(0));
}

#[test]
fn a_run_in_a_directory_of_the_user_leaves_no_session_behind() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let url = format!("file:{}", directory.path().join("sessions").display());
    let line = ["bench", "spread", "--sessions", "20", "--operations", "50", "--store", &url];
    for _ in 0..2 {
        let ended = run(line);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_eq!(session_files(directory.path()), 0);
    }
}

#[test]
fn a_temporary_store_is_gone_afterwards() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let ended = common::cloakroom()
        .args(["bench", "hot", "--operations", "10", "--processes", "2"])
        .env("TMPDIR", directory.path())
        .output()
        .expect("the binary starts");
    assert!(ended.status.success());
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 0);
}

#[test]
fn the_table_is_for_people() {
    let ended = run_line("bench ajax --clients 2 --operations 20 --access exclusive");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for words in ["access", "page", "conflicts", "lost", "exclusive"] {
        assert!(ended.stdout.contains(words), "`{words}` is not in: {}", ended.stdout);
    }
    let widest = ended.stdout.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{}", ended.stdout);
    assert_eq!(ended.stderr, "");
}
