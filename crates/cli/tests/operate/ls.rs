//! `ls`.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::Duration;

use crate::common::cloakroom;
use crate::store::{TestStore, TestedStore, json_lines, over_both, put};

over_both! {
    filters_narrow_the_list_and_work_together,
    programs_get_a_line_of_json_per_session,
    each_session_is_a_line_of_plain_columns,
    a_limit_without_an_order_ends_the_list,
    the_sorted_list_is_the_same_however_long,
    an_empty_store_has_an_empty_list,
}

/// Three sessions: a large one, an old one, an expired one.
fn three<S: TestedStore>(store: &TestStore<S>) -> [String; 3] {
    let large = store.put("large", "text", "x".repeat(5_000));
    store.back(Duration::from_secs(3 * 86_400));
    let month = Duration::from_secs(30 * 86_400);
    let old = put(&store.sessions_for(month), "old", "a", 1);
    let expired = store.expired("expired");
    [large, old, expired].map(|key| key.to_string())
}

fn each_session_is_a_line_of_plain_columns<S: TestedStore>(store: &TestStore<S>) {
    let keys = three(store);
    let ended = store.tool("ls", &["--sort", "size"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr, "");
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "no header in a pipe: {}", ended.stdout);
    let cells: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(cells[..4], [keys[0].as_str(), "1", "4.90", "KiB"]);
    let old = lines.iter().find(|line| line.starts_with(&keys[1])).unwrap();
    assert!(old.contains("3 d 0 h") && old.ends_with("26 d 23 h"), "{old}");
    let expired = lines.iter().find(|line| line.starts_with(&keys[2])).unwrap();
    assert!(expired.ends_with("expired"), "{expired}");
}

fn programs_get_a_line_of_json_per_session<S: TestedStore>(store: &TestStore<S>) {
    let keys = three(store);
    let lines = json_lines(&store.tool("ls", &["--format", "json", "--sort", "age"]));
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["key"], keys[1]);
    assert_eq!(lines[0]["version"], 1);
    assert_eq!(lines[0]["expired"], false);
    let age = lines[0]["age_s"].as_f64().unwrap();
    assert!((259_200.0..260_000.0).contains(&age), "{age}");
    let lasts = lines[0]["ends_ms"].as_u64().unwrap() - lines[0]["accessed_ms"].as_u64().unwrap();
    assert_eq!(lasts, 30 * 86_400_000);
    assert!(lines[0]["stored_bytes"].as_u64() > lines[0]["payload_bytes"].as_u64());
    assert_eq!(lines[1]["key"], keys[2]);
    assert_eq!(lines[1]["expired"], true);
}

fn filters_narrow_the_list_and_work_together<S: TestedStore>(store: &TestStore<S>) {
    let keys = three(store);
    let listed = |filters: &str| {
        let filters: Vec<&str> = filters.split_whitespace().collect();
        let ended =
            store.tool("ls", &[&["--format", "keys", "--sort", "size"], &filters[..]].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let place = |line| keys.iter().position(|key| key == line).unwrap();
        let mut places: Vec<usize> = ended.stdout.lines().map(place).collect();
        places.sort_unstable();
        places
    };
    assert_eq!(listed(""), [0, 1, 2]);
    assert_eq!(listed("--expired"), [2]);
    assert_eq!(listed("--live"), [0, 1]);
    assert_eq!(listed("--older-than 2d"), [1]);
    assert_eq!(listed("--newer-than 2d"), [0, 2]);
    assert_eq!(listed("--idle-for 10s"), [1, 2]);
    assert_eq!(listed("--idle-for 10s --live"), [1]);
    assert_eq!(listed("--larger-than 4kB"), [0]);
    assert_eq!(listed("--larger-than 4kB --expired"), [0; 0]);
    assert_eq!(listed(&format!("--key {}", &keys[1][..20])), [1]);
    assert_eq!(listed("--limit 1"), [0]);
    assert_eq!(listed("--limit 2").len(), 2);
}

fn a_limit_without_an_order_ends_the_list<S: TestedStore>(store: &TestStore<S>) {
    store.fill(200);
    for limit in ["1", "16", "17", "199", "200", "201"] {
        let ended = store.tool("ls", &["--limit", limit]);
        assert_eq!(ended.stdout.lines().count(), limit.parse::<usize>().unwrap().min(200));
    }
}

fn the_sorted_list_is_the_same_however_long<S: TestedStore>(store: &TestStore<S>) {
    let mut keys: Vec<String> = store.fill(300).iter().map(ToString::to_string).collect();
    keys.sort();
    let ended = store.tool("ls", &["--sort", "key", "--format", "keys"]);
    assert!(ended.stdout.lines().eq(keys.iter()));
    let ended = store.tool("ls", &["--sort", "key", "--format", "keys", "--limit", "7"]);
    assert!(ended.stdout.lines().eq(keys.iter().take(7)));
}

#[test]
fn a_damaged_session_is_named_aside_and_the_status_says_so() {
    let store = TestStore::new();
    let keys = store.fill(20);
    let place = store.damage(&keys[7]);
    let ended = store.tool("ls", &["--format", "keys"]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.stdout.lines().count(), 19);
    assert!(ended.stderr.contains(place.to_str().unwrap()), "{}", ended.stderr);
    assert!(ended.stderr.contains("cloakroom verify --repair"), "{}", ended.stderr);
    assert!(place.exists(), "the list changes nothing");
}

fn an_empty_store_has_an_empty_list<S: TestedStore>(store: &TestStore<S>) {
    for format in ["table", "json", "keys"] {
        let ended = store.tool("ls", &["--format", format]);
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(0), "", ""));
    }
}

#[test]
fn a_list_changes_no_byte_and_waits_for_no_lock() {
    let store = TestStore::new();
    three(&store);
    let id = cloakroom::SessionId::from("large");
    let before = store.bytes();
    let held = store.sessions().open(&id, cloakroom::Access::Exclusive).unwrap();
    assert_eq!(store.tool("ls", &[]).stdout.lines().count(), 3);
    drop(held);
    assert!(store.bytes() == before);
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_list_quietly() {
    let store = TestStore::new();
    // More than a pipe holds, so that the list is still being written when its reader goes.
    store.fill(1_200);
    for format in ["table", "json"] {
        let mut child = cloakroom()
            .args(["ls", &store.url(), "--format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut reader = BufReader::with_capacity(64, child.stdout.take().unwrap());
        reader.read_line(&mut String::new()).unwrap();
        drop(reader);
        let mut messages = String::new();
        child.stderr.take().unwrap().read_to_string(&mut messages).unwrap();
        assert_eq!(messages, "");
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}
