//! `locks`.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};

use cloakroom::{Access, SessionId};
use serde_json::{Value, json};

use crate::common::cloakroom;
use crate::rm::await_waiters;
use crate::store::{TestStore, json_lines};

fn listed(store: &TestStore) -> BTreeMap<String, Value> {
    let ended = store.tool("locks", &["--format", "json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let lines = json_lines(&ended);
    lines.into_iter().map(|lock| (lock["key"].as_str().unwrap().to_owned(), lock)).collect()
}

#[test]
fn nobody_holds_anything_in_a_store_at_rest() {
    let store = TestStore::new();
    store.fill(3);
    for format in ["table", "json"] {
        let ended = store.tool("locks", &["--format", format]);
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(0), "", ""));
    }
}

#[test]
fn the_list_is_what_the_holders_say() {
    let store = TestStore::new();
    let keys = store.fill(300);
    let sessions = store.sessions();
    let open = |number: usize| {
        let access = if number.is_multiple_of(3) { Access::Shared } else { Access::Exclusive };
        sessions.open(&SessionId::from(format!("s{number}")), access).unwrap()
    };
    let mut holds: Vec<_> = (0..200).map(open).collect();
    let me = json!([{"pid": std::process::id(), "name": own_name()}]);
    let check = |held: std::ops::Range<usize>| {
        let locks = listed(&store);
        assert_eq!(locks.len(), held.len());
        for number in held {
            let lock = &locks[&keys[number].to_string()];
            let access = if number.is_multiple_of(3) { "shared" } else { "exclusive" };
            assert_eq!((&lock["access"], &lock["holders"]), (&json!(access), &me));
            assert_eq!(lock["waiting"], 0);
        }
    };
    check(0..200);
    drop(holds.split_off(50));
    check(0..50);
    drop(holds);
    check(0..0);
}

#[test]
fn processes_that_wait_are_counted_and_the_most_awaited_come_first() {
    let store = TestStore::new();
    store.fill(3);
    let sessions = store.sessions();
    let hold = |id| sessions.open(&SessionId::from(id), Access::Exclusive).unwrap();
    let holds = ["s0", "s1", "s2"].map(hold);
    let mut waiters: Vec<Child> = ["s1", "s1", "s1", "s2"].map(|id| rm(&store, id)).into();
    await_waiters(&store, 4);
    let ended = store.tool("locks", &[]);
    let rows: Vec<Vec<&str>> =
        ended.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let [s1, s2, s0] = ["s1", "s2", "s0"].map(|id| sessions.key(&SessionId::from(id)).to_string());
    let pid = std::process::id().to_string();
    for (row, key, waiting) in [(&rows[0], s1, "3"), (&rows[1], s2, "1"), (&rows[2], s0, "0")] {
        assert_eq!(row[..4], [&key, "exclusive", waiting, pid.as_str()]);
    }
    drop(holds);
    for waiter in &mut waiters {
        waiter.wait().unwrap();
    }
    assert_eq!(listed(&store).len(), 0);
}

/// A process that waits for a session, to end it.
fn rm(store: &TestStore, id: &str) -> Child {
    let mut command = cloakroom();
    command.args(["rm", &store.url(), id, "--wait", "600"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn own_name() -> String {
    std::fs::read_to_string("/proc/self/comm").unwrap().trim_end().to_owned()
}
