//! A store that goes away while it is read.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use crate::common::cloakroom;
use crate::store::TestStore;

#[test]
fn a_store_that_disappears_while_it_is_read_ends_the_list_with_an_error() {
    let store = TestStore::new();
    // More than a pipe and the tool's own buffer hold, so that the list stops in the middle.
    store.fill(2_500);
    let mut child = cloakroom()
        .args(["ls", &store.url(), "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::with_capacity(64, child.stdout.take().unwrap());
    reader.read_line(&mut String::new()).unwrap();
    std::fs::remove_dir_all(&store.directory).unwrap();
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert!(rest.lines().count() < 2_499, "it was in the middle");
    let mut messages = String::new();
    child.stderr.take().unwrap().read_to_string(&mut messages).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{messages}");
    assert!(messages.contains("failed to read the store"), "{messages}");
    assert!(messages.contains(store.directory.to_str().unwrap()), "{messages}");
}
