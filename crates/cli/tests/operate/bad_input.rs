//! Input that is wrong: a clear error with the remedy, exit status 2, no panic, and nothing made.

use tempfile::TempDir;

use crate::common::{run, run_line};
use crate::store::TestStore;

pub const TOOLS: [&str; 8] = ["ls", "show", "rm", "sweep", "verify", "stats", "locks", "copy"];

/// A tool on a URL, with what else it needs.
pub fn line(tool: &str, url: &str) -> Vec<String> {
    let mut line = vec![tool.to_owned(), url.to_owned()];
    match tool {
        "show" | "rm" => line.push("some-id".to_owned()),
        "copy" => line.push("file:/no/such/place/for/a/copy".to_owned()),
        _ => {}
    }
    line
}

#[test]
fn a_place_that_is_no_store_is_refused_and_left_as_it_is() {
    let place = TempDir::new().unwrap();
    let missing = place.path().join("missing");
    let empty = place.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let other = place.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("precious.txt"), "data").unwrap();
    let file = other.join("precious.txt");
    for tool in TOOLS {
        for path in [&missing, &empty, &other, &file] {
            for kind in ["file", "map"] {
                let ended = run(line(tool, &format!("{kind}:{}", path.display())));
                ended.refused_with(2, &[path.to_str().unwrap(), "no session store"]);
            }
        }
    }
    assert!(!missing.exists());
    assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 1);
}

#[test]
fn a_store_of_a_newer_format_is_refused_by_its_number() {
    let store = TestStore::new();
    let description = store.directory.join("store.toml");
    let text = std::fs::read_to_string(&description).unwrap();
    std::fs::write(&description, text.replace("format = 1", "format = 9")).unwrap();
    for tool in TOOLS {
        let ended = run(line(tool, &store.url()));
        ended.refused_with(2, &["store.toml", "format 9", "use the version that wrote it"]);
    }
    let sound = TestStore::new();
    run(["copy", &sound.url(), &store.url()]).refused_with(2, &["format 9"]);
}

#[test]
fn urls_that_name_no_lasting_store_are_refused_with_the_remedy() {
    for tool in TOOLS {
        for (url, words) in [
            ("memory:", "goes with its process"),
            ("file:", "the directory is missing; write `file:DIR`"),
            ("map:", "the directory is missing; write `map:DIR`"),
            ("/srv/sessions", "write `file:/srv/sessions`"),
            ("redis://host", "no such store"),
            ("", "no such store"),
        ] {
            run(line(tool, url)).refused_with(2, &[words]);
        }
    }
}

#[test]
fn a_directory_that_holds_other_things_is_not_copied_into() {
    let store = TestStore::new();
    store.fill(1);
    let place = TempDir::new().unwrap();
    std::fs::write(place.path().join("precious.txt"), "data").unwrap();
    let url = format!("file:{}", place.path().display());
    run(["copy", &store.url(), &url]).refused_with(2, &["no session store"]);
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    for (line, words) in [
        ("ls", "URL"),
        ("show file:/x", "ID|KEY"),
        ("rm file:/x", "ID|KEY"),
        ("copy file:/x", "TO"),
        ("ls file:/x --expired --live", "cannot be used with"),
        ("ls file:/x --key xyz", "hex digits"),
        ("ls file:/x --key ABC", "lower case"),
        ("ls file:/x --older-than 7", "its unit"),
        ("ls file:/x --older-than=-7d", "its unit"),
        ("ls file:/x --newer-than -1s", "its unit"),
        ("ls file:/x --idle-for soon", "its unit"),
        ("ls file:/x --larger-than 1TB", "TB"),
        ("ls file:/x --sort beauty", "size"),
        ("ls file:/x --limit 0", "0"),
        ("ls file:/x --format xml", "json"),
        ("show file:/x id --mask (", "regex"),
        ("show file:/x id --mask a --reveal", "cannot be used with"),
        ("rm file:/x id --wait soon", "number"),
        ("sweep file:/x --budget 0", "0"),
        ("sweep file:/x --budget many", "many"),
        ("copy file:/x file:/y --layout 4x1", "1 to 3"),
        ("copy file:/x file:/y --layout 1x5", "1 to 4"),
        ("copy file:/x file:/y --layout wide", "2x2"),
        ("copy file:/x file:/y --durability forever", "`power`"),
        ("copy file:/x file:/y --passes 0", "0"),
        ("completions", "SHELL"),
    ] {
        run_line(line).refused_with(2, &[words]);
    }
}

#[test]
fn a_line_that_is_too_long_for_an_id_is_refused() {
    use std::io::Write;
    let store = TestStore::new();
    let mut child = crate::common::cloakroom()
        .args(["rm", &store.url(), "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // It may be refused before all of it is written.
    let _ = child.stdin.take().unwrap().write_all(&vec![b'x'; 1 << 20]);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("too long"));
}

#[test]
fn every_tool_has_examples_in_its_help() {
    for tool in TOOLS.into_iter().chain(["completions", "man"]) {
        let ended = run([tool, "--help"]);
        assert_eq!(ended.code, Some(0));
        assert!(ended.stdout.contains(&format!("  cloakroom {tool}")), "{tool}");
    }
}
