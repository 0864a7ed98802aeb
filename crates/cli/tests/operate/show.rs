//! `show`.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;

use cloakroom::blocking::{Sessions, wait};
use cloakroom::{Access, Calling, Hold, Key, OpenRequest, SessionId, Terms};
use serde_json::{Value, json};

use crate::common::{Ended, cloakroom};
use crate::store::{TestStore, TestedStore, over_both};

over_both! {
    a_session_is_found_by_its_key_and_by_its_id,
    an_id_of_the_engine_looks_like_a_key_and_is_found_all_the_same,
    the_id_of_an_application_needs_its_namespace,
    an_id_can_be_kept_out_of_the_list_of_processes,
    values_of_every_kind_are_shown,
    secrets_are_hidden_unless_asked_for,
    bytes_that_are_no_values_are_shown_in_hex_only_when_asked_for,
    an_expired_session_is_shown_as_such,
}

fn shown(ended: &Ended) -> Value {
    ended.document()
}

fn a_session_is_found_by_its_key_and_by_its_id<S: TestedStore>(store: &TestStore<S>) {
    let key = store.put("user-7", "cart", ["shoes"]).to_string();
    for name in [key.as_str(), "user-7"] {
        let session = shown(&store.tool("show", &[name, "--format", "json"]));
        assert_eq!(session["key"], key);
        assert_eq!(session["version"], 1);
        assert_eq!(session["values"], json!({"cart": ["shoes"]}));
        assert_eq!(session["expired"], false);
    }
}

fn an_id_of_the_engine_looks_like_a_key_and_is_found_all_the_same<S: TestedStore>(
    store: &TestStore<S>,
) {
    let id = SessionId::generate().unwrap();
    let key = store.put(id.to_str().unwrap(), "a", 1);
    let session = shown(&store.tool("show", &[id.to_str().unwrap(), "--format", "json"]));
    assert_eq!(session["key"], key.to_string());
}

fn the_id_of_an_application_needs_its_namespace<S: TestedStore>(store: &TestStore<S>) {
    let sessions = Sessions::builder(store.store.clone()).namespace("shop").build();
    let key = crate::store::put(&sessions, "user-7", "a", 1).to_string();
    let session = store.tool("show", &["user-7", "--namespace", "shop", "--format", "json"]);
    assert_eq!(shown(&session)["key"], key);
    let ended = store.tool("show", &["user-7"]);
    ended.refused_with(1, &["no session", "--namespace"]);
    assert!(!ended.stderr.contains("user-7"), "an id is a secret: {}", ended.stderr);
}

fn an_id_can_be_kept_out_of_the_list_of_processes<S: TestedStore>(store: &TestStore<S>) {
    let key = store.put("user-7", "a", 1).to_string();
    let show = |input: &str| {
        let mut child = cloakroom()
            .args(["show", &store.url(), "-", "--format", "json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = show("\n user-7\r\n");
    let session: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(session["key"], key);
    let output = show("\n\n");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("names no session"));
}

fn values_of_every_kind_are_shown<S: TestedStore>(store: &TestStore<S>) {
    store.put("all", "a nothing", Value::Null);
    store.put("all", "b float", 0.5);
    store.put("all", "c infinite", f64::NEG_INFINITY);
    store.put("all", "d big", u64::MAX);
    store.put("all", "e small", i64::MIN);
    store.put("all", "f numbered", BTreeMap::from([(-1, "minus one"), (2, "two")]));
    store.put("all", "g bytes", serde_bytes_of(&[0, 0xff]));
    store.put("all", "h nested", json!({"x": [true, {"y": "ü"}]}));
    let session = shown(&store.tool("show", &["all", "--format", "json"]));
    assert_eq!(
        session["values"],
        json!({
            "a nothing": null,
            "b float": 0.5,
            "c infinite": "-inf",
            "d big": u64::MAX,
            "e small": i64::MIN,
            "f numbered": {"-1": "minus one", "2": "two"},
            "g bytes": {"$hex": "00ff"},
            "h nested": {"x": [true, {"y": "ü"}]},
        })
    );
}

/// A value that is encoded as bytes and not as a list of numbers.
fn serde_bytes_of(bytes: &[u8]) -> impl serde::Serialize {
    struct Bytes(Vec<u8>);
    impl serde::Serialize for Bytes {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(&self.0)
        }
    }
    Bytes(bytes.to_vec())
}

fn secrets_are_hidden_unless_asked_for<S: TestedStore>(store: &TestStore<S>) {
    store.put("user", "csrf_token", "s3cret");
    store.put("user", "login", json!({"name": "ada", "Password": "s3cret"}));
    store.put("user", "email", "ada@example.org");
    let ended = store.tool("show", &["user"]);
    assert_eq!(ended.code, Some(0));
    assert!(!ended.stdout.contains("s3cret") && ended.stdout.contains("ada@"), "{}", ended.stdout);
    assert!(ended.stderr.contains("csrf_token`, `login.Password"), "{}", ended.stderr);
    assert!(ended.stderr.contains("--reveal"), "{}", ended.stderr);

    let ended = store.tool("show", &["user", "--mask", "^email$", "--format", "json"]);
    let session = shown(&ended);
    assert_eq!(session["values"]["email"], "(hidden)");
    assert_eq!(session["values"]["csrf_token"], "(hidden)");
    assert_eq!(session["values"]["login"]["name"], "ada");
    assert_eq!(session["masked"], json!(["csrf_token", "email", "login.Password"]));

    let session = shown(&store.tool("show", &["user", "--reveal", "--format", "json"]));
    assert_eq!(session["values"]["csrf_token"], "s3cret");
    assert_eq!(session["masked"], json!([]));
}

fn bytes_that_are_no_values_are_shown_in_hex_only_when_asked_for<S: TestedStore>(
    store: &TestStore<S>,
) {
    let key = Key::new("raw", &SessionId::from("x"));
    let request = OpenRequest::new(Access::Optimistic, Calling::Blocking);
    let mut hold = wait(store.store.open(&key, request)).unwrap();
    wait(hold.commit(&[0xfe, 1, 2], Terms::default())).unwrap();
    let name = key.to_string();
    let ended = store.tool("show", &[&name]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.stdout.contains("3 bytes that are no map of values"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("fe0102") && ended.stderr.contains("--reveal"));
    let session = shown(&store.tool("show", &[&name, "--reveal", "--format", "json"]));
    assert_eq!((&session["values"], &session["payload_hex"]), (&Value::Null, &json!("fe0102")));
}

fn an_expired_session_is_shown_as_such<S: TestedStore>(store: &TestStore<S>) {
    let key = store.expired("old").to_string();
    let session = shown(&store.tool("show", &[&key, "--format", "json"]));
    assert_eq!(session["expired"], true);
    assert!(store.tool("show", &[&key]).stdout.contains("expired"));
}

#[test]
fn showing_changes_no_byte_and_waits_for_no_lock() {
    let store = TestStore::new();
    let key = store.put("user", "a", 1).to_string();
    let before = store.bytes();
    let held = store.sessions().open(&SessionId::from("user"), Access::Exclusive).unwrap();
    assert_eq!(store.tool("show", &[&key]).code, Some(0));
    drop(held);
    assert!(store.bytes() == before);
}

#[test]
fn a_damaged_session_is_named_and_left_where_it_is() {
    let store = TestStore::new();
    let key = store.put("user", "a", 1);
    let place = store.damage(&key);
    store
        .tool("show", &[&key.to_string()])
        .refused_with(1, &["is damaged", place.to_str().unwrap()]);
    assert!(place.exists());
}
