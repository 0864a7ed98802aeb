//! `sweep`.

use std::time::Duration;

use cloakroom::{Access, SessionId};

use crate::store::{TestStore, TestedStore, over_both, put};

over_both! {
    expired_sessions_go_and_the_others_stay,
    a_budget_ends_it_early,
}

fn expired_sessions_go_and_the_others_stay<S: TestedStore>(store: &TestStore<S>) {
    store.fill(10);
    for number in 0..5 {
        store.expired(&format!("old{number}"));
    }
    let ended = store.tool("sweep", &["--dry-run"]);
    assert_eq!(ended.stdout, "15 examined, 5 would be removed\n", "{}", ended.stderr);
    assert_eq!(store.keys().len(), 15);
    let ended = store.tool("sweep", &[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "15 examined, 5 removed\n"));
    assert_eq!(store.keys().len(), 10);
    let document = store.tool("sweep", &["--format", "json"]).document();
    assert_eq!(document["examined"], 10);
    assert_eq!(document["removed"], 0);
    assert_eq!(document["complete"], true);
}

fn a_budget_ends_it_early<S: TestedStore>(store: &TestStore<S>) {
    store.fill(30);
    for more in [&["--dry-run"][..], &[]] {
        let document = store
            .tool("sweep", &[&["--budget", "7", "--format", "json"], more].concat())
            .document();
        assert_eq!(document["examined"], 7);
        assert_eq!(document["complete"], false);
    }
    let ended = store.tool("sweep", &["--budget", "7"]);
    assert_eq!(ended.stdout, "7 examined, 0 removed; more of the store is left\n");
}

#[test]
fn small_budgets_of_many_processes_get_everywhere() {
    let store = TestStore::new();
    store.fill(20);
    let expired = store.store.place(&store.expired("old"));
    // Each finds it with one chance in five, wherever it begins.
    let sweep = |_| store.tool("sweep", &["--budget", "5"]).code == Some(0) && !expired.exists();
    assert!((0..200).any(sweep));
}

#[test]
fn a_failure_says_who_names_it_and_is_left_alone() {
    let store = TestStore::new();
    let keys = store.fill(3);
    let place = store.store.place(&keys[0]);
    std::fs::remove_file(&place).unwrap();
    std::fs::create_dir(&place).unwrap();
    let ended = store.tool("sweep", &[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), "3 examined, 0 removed, 1 failed\n"));
    assert!(ended.stderr.contains("cloakroom verify file:"), "{}", ended.stderr);
    let place = place.to_str().unwrap();
    assert!(store.tool("verify", &[]).stdout.contains(&format!("foreign: {place} is a directory")));
    assert!(std::path::Path::new(place).is_dir(), "nobody touches it");
}

#[test]
fn what_a_killed_growth_left_goes_too() {
    let store = TestStore::new();
    let key = store.put("a", "x", 1);
    let left = format!("{}.new", store.store.place(&key).display());
    std::fs::write(&left, "half").unwrap();
    let ended = store.tool("sweep", &["--dry-run"]);
    assert_eq!(ended.stdout, "2 examined, 1 would be removed\n", "{}", ended.stderr);
    assert_eq!(store.tool("sweep", &[]).code, Some(0));
    assert!(!std::path::Path::new(&left).exists());
    assert!(store.store.place(&key).exists());
}

#[test]
fn an_expired_session_in_use_is_left_alone() {
    let store = TestStore::new();
    // Its holder's clock is behind, so it was taken while it lived.
    store.back(Duration::from_secs(100));
    let brief = store.sessions_for(Duration::from_secs(50));
    put(&brief, "brief", "x", 1);
    let held = brief.open(&SessionId::from("brief"), Access::Exclusive).unwrap();
    let ended = store.tool("sweep", &[]);
    assert_eq!(ended.stdout, "1 examined, 0 removed, 1 left, as they are in use\n");
    drop(held);
    assert_eq!(store.tool("sweep", &[]).stdout, "1 examined, 1 removed\n");
}
