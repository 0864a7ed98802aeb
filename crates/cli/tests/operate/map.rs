//! What is peculiar to a map store.

use std::fs;
use std::process::Stdio;

use cloakroom::SessionId;

use crate::bad_input::{TOOLS, line};
use crate::common::{cloakroom, run};
use crate::store::TestStore;

#[test]
fn the_list_of_locks_says_that_there_are_none() {
    let store = TestStore::of_map();
    store.fill(3);
    let held = store.sessions().open(&SessionId::from("s0"), cloakroom::Access::Optimistic);
    for format in ["table", "json"] {
        let ended = store.tool("locks", &["--format", format]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""));
        assert!(ended.stderr.contains("is a store without locks"), "{}", ended.stderr);
    }
    assert!(held.is_ok());
}

#[test]
fn a_store_of_the_other_kind_is_refused_by_its_name() {
    let (files, map) = (TestStore::new(), TestStore::of_map());
    let as_map = format!("map:{}", files.directory.display());
    let as_files = format!("file:{}", map.directory.display());
    for tool in TOOLS {
        run(line(tool, &as_map)).refused_with(2, &["describes a `file` store, not a `map` store"]);
        run(line(tool, &as_files))
            .refused_with(2, &["describes a `map` store, not a `file` store"]);
    }
    run(["copy", &files.url(), &as_files]).refused_with(2, &["describes a `map` store"]);
    run(["bench", "hot", "--store", &as_map]).refused_with(2, &["describes a `file` store"]);
}

#[test]
fn a_damaged_record_is_named_and_repair_takes_it_out_of_service() {
    let store = TestStore::of_map();
    store.fill(10);
    let key = store.put("victim", "mark", "mark".repeat(100)).to_string();
    let heap = store.directory.join("heap");
    let mut bytes = fs::read(&heap).unwrap();
    let place = bytes.windows(8).position(|window| window == b"markmark").unwrap();
    bytes[place] ^= 1;
    fs::write(&heap, bytes).unwrap();
    for tool in ["ls", "stats", "verify"] {
        let ended = store.tool(tool, &[]);
        assert_eq!(ended.code, Some(1), "{tool}");
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(said.contains("damaged: ") && said.contains("cloakroom verify --repair"), "{said}");
    }
    store.tool("show", &[&key]).refused_with(1, &["is damaged"]);
    let document = store.tool("verify", &["--repair", "--format", "json"]).document();
    assert_eq!((&document["damaged"], &document["quarantined"]), (&1.into(), &1.into()));
    let moved = document["finds"][0]["repair"]["quarantined"].as_str().unwrap();
    assert!(moved.contains("/quarantine/") && fs::exists(moved).unwrap(), "{moved}");
    assert_eq!(store.tool("verify", &[]).code, Some(0));
    assert_eq!(store.keys().len(), 10);
}

#[test]
fn after_kills_all_is_sound_and_what_they_left_can_be_swept() {
    let store = TestStore::of_map();
    store.fill(20);
    for pattern in ["churn", "hot", "spread", "mixed"] {
        let before = store.keys();
        let mut bench = cloakroom()
            .args(["bench", pattern, "--store", &store.url(), "--access", "optimistic"])
            .args(["--sessions", "50", "--seconds", "600", "--processes", "2"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while store.keys().iter().all(|key| before.contains(key)) {}
        bench.kill().unwrap();
        bench.wait().unwrap();
        assert_eq!(store.tool("verify", &[]).code, Some(0));
    }
    // Workers whose parent was killed end by themselves, and take a moment for it.
    while store.tool("sweep", &["--format", "json"]).document()["removed"] != 0 {}
    let document = store.tool("verify", &["--format", "json"]).document();
    assert_eq!(document["damaged"], 0);
    assert!(document["sessions"].as_u64() >= Some(20), "{document}");
}

#[test]
fn what_a_sweep_would_remove_is_counted_before() {
    let store = TestStore::of_map();
    store.fill(20);
    store.expired("old");
    let mut bench = cloakroom()
        .args(["bench", "spread", "--store", &store.url(), "--sessions", "50", "--seconds", "600"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // When all are there the bench keeps cells for its next commits; before, it may have none.
    while store.keys().len() < 21 + 50 {}
    bench.kill().unwrap();
    bench.wait().unwrap();
    let sweep = |more: &[&str]| {
        let document = store.tool("sweep", &[&["--format", "json"], more].concat()).document();
        document["removed"].as_u64()
    };
    let counted = sweep(&["--dry-run"]);
    assert!(counted >= Some(2), "the expired one and what was killed: {counted:?}");
    assert_eq!(sweep(&[]), counted);
    assert_eq!(sweep(&["--dry-run"]), Some(0));
}
