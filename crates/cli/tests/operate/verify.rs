//! `verify`.

use std::os::unix::fs::PermissionsExt as _;

use crate::store::{TestStore, TestedStore, over_both};

over_both! {
    a_sound_store_is_said_to_be_sound,
}

fn a_sound_store_is_said_to_be_sound<S: TestedStore>(store: &TestStore<S>) {
    store.fill(25);
    store.expired("old");
    let before = store.keys();
    let ended = store.tool("verify", &[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    assert!(ended.stdout.starts_with("26 sessions are sound"), "{}", ended.stdout);
    assert!(ended.stdout.ends_with("; 1 expired\n"), "{}", ended.stdout);
    let document = store.tool("verify", &["--format", "json"]).document();
    assert_eq!(document["sessions"], 26);
    assert_eq!(document["finds"], serde_json::json!([]));
    assert_eq!(store.keys(), before);
}

#[test]
fn every_damaged_session_is_named_and_repair_takes_it_out_of_service() {
    let store = TestStore::new();
    let keys = store.fill(25);
    let places: Vec<_> = keys[..3].iter().map(|key| store.damage(key)).collect();
    let before = store.bytes();
    let ended = store.tool("verify", &[]);
    assert_eq!(ended.code, Some(1));
    for place in &places {
        assert!(
            ended.stdout.contains(&format!("damaged: {}", place.display())),
            "{}",
            ended.stdout
        );
    }
    assert!(ended.stdout.contains("22 sessions are sound") && ended.stdout.contains("; 3 damaged"));
    assert!(ended.stdout.contains("cloakroom verify --repair file:"), "{}", ended.stdout);
    assert!(store.bytes() == before, "without --repair it changes nothing");

    let ended = store.tool("verify", &["--repair", "--format", "json"]);
    let document = ended.document();
    assert_eq!((&document["damaged"], &document["quarantined"]), (&3.into(), &3.into()));
    for find in document["finds"].as_array().unwrap() {
        let moved = find["repair"]["quarantined"].as_str().unwrap();
        assert!(moved.contains("/quarantine/") && std::path::Path::new(moved).exists(), "{moved}");
    }
    assert!(places.iter().all(|place| !place.exists()));
    let ended = store.tool("verify", &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    // The id is free again.
    store.put("s0", "counter", 1);
    assert!(places[0].exists());
}

#[test]
fn a_damaged_session_in_use_is_left_and_said_to_be() {
    let store = TestStore::new();
    let key = store.put("held", "x", 1);
    let held = store
        .sessions()
        .open(&cloakroom::SessionId::from("held"), cloakroom::Access::Exclusive)
        .unwrap();
    let place = store.damage(&key);
    let ended = store.tool("verify", &["--repair"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.contains("somebody holds it"), "{}", ended.stdout);
    assert!(place.exists());
    drop(held);
}

#[test]
fn what_is_not_of_the_store_is_named_and_never_touched() {
    let store = TestStore::new();
    let key = store.put("a", "x", 1);
    let notes = store.directory.join("notes.txt");
    std::fs::write(&notes, "mine").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", store.store.place(&key).with_file_name("link"))
        .unwrap();
    let left = format!("{}.new", store.store.place(&key).display());
    std::fs::write(&left, "half").unwrap();
    let ended = store.tool("verify", &["--repair"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    assert!(ended.stdout.contains("notes.txt") && ended.stdout.contains("a symbolic link"));
    assert!(ended.stdout.contains("1 left over; 2 foreign"), "{}", ended.stdout);
    assert!(notes.exists() && std::path::Path::new(&left).exists());
}

#[test]
fn a_session_that_others_may_read_is_suspect_and_no_damage() {
    let store = TestStore::new();
    let key = store.put("a", "x", 1);
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(store.store.place(&key), open).unwrap();
    let ended = store.tool("verify", &[]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.stdout.contains("suspect: ") && ended.stdout.contains("1 suspect"));
    assert!(ended.stdout.contains("\n1 session is sound"), "{}", ended.stdout);
}
