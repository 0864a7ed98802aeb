//! `replay` with recordings of every kind.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{TestFile, entry, har, run, run_line, small_page};
use serde_json::Value;

fn replay_json(file: &TestFile, more: &str) -> Value {
    let path = file.path.to_str().expect("a path of text");
    let args = ["replay", path, "--format", "json"];
    run(args.into_iter().chain(more.split_whitespace())).document()
}

fn accesses(document: &Value) -> Vec<&str> {
    let runs = document["runs"].as_array().expect("runs");
    runs.iter().map(|run| run["access"].as_str().expect("an access")).collect()
}

#[test]
fn without_a_file_the_demo_page_is_replayed_and_explained() {
    let ended = run_line("replay");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr, "", "nothing to complain about, and no bar without a terminal");
    for words in ["demo page", "waiting for the session", "exclusive", "released", "Advice: "] {
        assert!(ended.stdout.contains(words), "`{words}` is not in: {}", ended.stdout);
    }
    let widest = ended.stdout.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{}", ended.stdout);
}

#[test]
fn the_json_of_a_replay_has_one_run_per_access() {
    let page = TestFile::new("page.har", small_page());
    let document = replay_json(&page, "");
    assert_eq!(accesses(&document), ["exclusive", "released", "shared", "optimistic", "none"],);
    for run in document["runs"].as_array().expect("runs") {
        assert_eq!(run["pattern"], "replay");
        assert_eq!(run["operations"], 4, "the document and three calls");
        assert_eq!(run["lost_updates"], 0);
        assert_eq!(run["errors"], 0);
        assert_eq!(run["sessions"], 1);
        assert!(run["lock_wait_us"]["sum"].is_number());
        assert!(run["page_load_ms"]["p50"].is_number());
    }
}

#[test]
fn the_session_may_live_in_memory_or_in_a_directory_that_is_left_clean() {
    let page = TestFile::new("page.har", small_page());
    let memory = replay_json(&page, "--store memory: --access exclusive");
    assert_eq!(memory["runs"][0]["store"], "memory:");
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    for kind in ["file", "map"] {
        let url = format!("{kind}:{}", directory.path().join(kind).display());
        let replayed = replay_json(&page, &format!("--store {url} --access optimistic"));
        assert_eq!(replayed["runs"][0]["store"], url.as_str());
        assert_eq!(common::sessions(&url), 0);
    }
}

#[test]
fn a_store_without_locks_is_replayed_with_what_it_offers() {
    let page = TestFile::new("page.har", small_page());
    let document = replay_json(&page, "--store map:");
    assert_eq!(accesses(&document), ["snapshot", "optimistic", "none"]);
    for run in document["runs"].as_array().expect("runs") {
        assert_eq!((&run["errors"], &run["lost_updates"]), (&0.into(), &0.into()), "{run}");
    }
    let path = page.path.to_str().expect("a path of text");
    let advice = run(["replay", path, "--store", "map:"]).stdout;
    assert!(advice.contains("compare with `--store file: --access exclusive`"), "{advice}");
}

#[test]
fn a_compressed_recording_is_the_same_recording() {
    let page = TestFile::gzip("page.har.gz", &small_page());
    let document = replay_json(&page, "--access none");
    assert_eq!(document["runs"][0]["operations"], 4);
}

#[test]
fn a_recording_may_come_from_standard_input() {
    let page = TestFile::gzip("page.har.gz", &small_page());
    let output = common::cloakroom()
        .args(["replay", "-", "--access", "none", "--format", "json"])
        .stdin(std::fs::File::open(&page.path).expect("the file is there"))
        .output()
        .expect("the binary starts");
    let document: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(document["runs"][0]["operations"], 4);
}

#[test]
fn requests_are_chosen_by_their_kind_or_their_url() {
    let page = TestFile::new("page.har", small_page());
    let operations = |choice: &str| {
        let document = replay_json(&page, &format!("--access none --requests {choice}"));
        document["runs"][0]["operations"].as_u64().expect("a number")
    };
    assert_eq!(operations("dynamic"), 4);
    assert_eq!(operations("all"), 6);
    assert_eq!(operations("api[.]shop"), 3);
}

#[test]
fn a_page_with_too_few_requests_names_the_way_to_take_all() {
    let lonely = TestFile::new(
        "lonely.har",
        har(&[
            entry(0, 5, "GET", "https://www.shop.example/", "text/html"),
            entry(9, 1, "GET", "https://www.shop.example/style.css", "text/css"),
        ]),
    );
    let path = lonely.path.to_str().expect("a path of text");
    run(["replay", path]).refused_with(2, &["only 1 of the recording's 2", "--requests all"]);
    run(["replay", path, "--requests", "cookies"])
        .refused_with(2, &["none of", "--requests all", "no cookies at all"]);
    run(["replay", path, "--requests", "nowhere"]).refused_with(2, &["--requests all"]);
    let nothing = TestFile::new("nothing.har", har(&[]));
    let path = nothing.path.to_str().expect("a path of text");
    run(["replay", path, "--requests", "all"]).refused_with(2, &["record a page"]);
}

#[test]
fn fields_that_programs_write_each_in_their_way_are_understood() {
    let odd = r#"{"log": {"pages": null, "entries": [
        {"startedDateTime": "2026-01-02T03:04:05Z", "pageref": null,
         "request": {"method": null, "url": "https://shop.example/a"}},
        {"startedDateTime": "2026-01-02T05:04:05.0009+0200",
         "request": {"method": "GET", "url": "https://shop.example/b", "headers": null},
         "response": null, "timings": {"wait": -1}, "cache": {}, "_unknown": [[{}]]},
        {"startedDateTime": "2026-01-02T03:04:05.001",
         "request": {"method": "GET", "url": "https://shop.example/c", "cookies": 5},
         "response": {"status": "200", "content": null}, "timings": {"wait": null}},
        {"startedDateTime": "2026-01-02T03:04:05.002Z", "_fromCache": "disk",
         "request": {"method": "GET", "url": "https://shop.example/d"}}
    ]}, "other": 1}"#;
    for text in [odd.to_owned(), format!("\u{feff}{odd}\r\n")] {
        let file = TestFile::new("odd.har", text);
        let document = replay_json(&file, "--access exclusive");
        assert_eq!(document["runs"][0]["operations"], 3, "all but the one from the cache");
    }
}

#[test]
fn one_page_of_several_can_be_taken() {
    let page = |number: u32, start: u32| {
        entry(start, 1, "GET", "https://shop.example/", "text/html").replacen(
            '{',
            &format!(r#"{{"pageref": "page_{number}", "#),
            1,
        )
    };
    let entries = [page(1, 0), page(1, 1), page(2, 20), page(2, 21), page(2, 22)];
    let text = har(&entries)
        .replace(r#""entries""#, r#""pages": [{"id": "page_1"}, {"id": "page_2"}], "entries""#);
    let file = TestFile::new("pages.har", text);
    let operations =
        |more: &str| replay_json(&file, more)["runs"][0]["operations"].as_u64().expect("a number");
    assert_eq!(operations("--access none"), 5);
    assert_eq!(operations("--access none --page 2"), 3);
    let path = file.path.to_str().expect("a path of text");
    run(["replay", path, "--page", "3"]).refused_with(2, &["--page 3", "2 page(s)"]);
}
