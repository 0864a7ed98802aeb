//! Input that is wrong: a clear error with the place, the exit status 2, and no panic.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::fs::File;
use std::io::{BufWriter, Write};

use common::{TestFile, entry, gzip, har, run, run_line, small_page};

fn refused(content: impl AsRef<[u8]>, words: &[&str]) {
    let file = TestFile::new("broken.har", content);
    let path = file.path.to_str().expect("a path of text");
    let ended = run(["replay", path]);
    ended.refused_with(2, words);
    assert!(ended.stderr.contains("broken.har"), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}

#[test]
fn a_recording_that_is_not_there_is_named() {
    run(["replay", "/no/such/file.har"]).refused_with(2, &["/no/such/file.har", "No such file"]);
    let directory = std::env::temp_dir();
    run(["replay", directory.to_str().expect("a path of text")])
        .refused_with(2, &["Is a directory"]);
}

#[test]
fn an_empty_recording_is_refused() {
    refused("", &["the file is empty"]);
    refused(gzip(""), &["the file is empty"]);
    refused("\u{feff}", &["the file is empty"]);
    refused("  \n", &["the file is empty"]);
}

#[test]
fn a_recording_that_is_cut_off_is_refused_wherever_it_ends() {
    let page = small_page();
    refused(&page.as_bytes()[..page.len() / 2], &["cut off", "line", "column"]);
    let packed = gzip(&page);
    refused(&packed[..packed.len() / 2], &["gzip data is cut off"]);
    for end in (1..page.len()).step_by(97) {
        refused(&page.as_bytes()[..end], &["cut off"]);
    }
}

#[test]
fn an_input_that_is_packed_otherwise_names_what_unpacks_it() {
    for (packed, tool) in [
        (&b"\x28\xb5\x2f\xfd\x24\x00"[..], "zstd -dc FILE |"),
        (b"\xfd7zXZ\x00\x00\x04", "xz -dc FILE |"),
        (b"BZh91AY&SY", "bzip2 -dc FILE |"),
        (b"PK\x03\x04\x14\x00", "unzip -p FILE |"),
    ] {
        refused(packed, &["packed", tool, "replay -"]);
    }
}

#[test]
fn a_recording_that_is_not_utf_8_is_refused_with_the_place() {
    let mut page = small_page().into_bytes();
    let place = page.len() / 2;
    page[place] = 0xff;
    refused(&page, &["not UTF-8", &format!("byte {place} ")]);
    let utf_16: Vec<u8> = small_page().encode_utf16().flat_map(u16::to_le_bytes).collect();
    refused([vec![0xff, 0xfe], utf_16].concat(), &["not UTF-8", "UTF-16", "save it as UTF-8"]);
}

#[test]
fn what_is_no_recording_is_refused_with_the_place() {
    refused("{<html>}", &["not JSON", "line 1 column 2"]);
    refused("{} trailing", &["log"]);
    refused("{\"log\": {}}", &["not a HAR recording", "entries"]);
    refused("{\"log\": {\"entries\": 5}}", &["not a HAR recording", "line 1 column"]);
    for text in ["<html>", "[]", "5"] {
        refused(text, &["no HAR recording", "line 1: no date in brackets", text]);
    }
    refused(format!("{} x", small_page()), &["not JSON", "trailing"]);
    refused(vec![0_u8; 4_096], &["no HAR recording", "line 1: it holds NUL bytes"]);
    refused("[".repeat(100_000), &["no HAR recording"]);
    refused(format!("{{\"log\": {}", "[".repeat(100_000)), &["broken.har"]);
}

#[test]
fn a_broken_entry_is_named_by_its_number() {
    let good = entry(0, 1, "GET", "https://shop.example/", "text/html");
    let with = |bad: String| har(&[good.clone(), good.clone(), bad]);
    let no_date = good.replace("startedDateTime", "started");
    refused(with(no_date), &["log.entries[2].startedDateTime is missing", "line", "column"]);
    let bad_date = good.replace("2026-01-02", "yesterday");
    refused(with(bad_date), &["log.entries[2].startedDateTime is no date"]);
    let no_url = good.replace("\"url\"", "\"uri\"");
    refused(with(no_url), &["log.entries[2].request.url is missing"]);
    let no_request = good.replace("\"request\"", "\"question\"");
    refused(with(no_request), &["log.entries[2].request is missing"]);
}

#[test]
fn dates_and_times_from_the_ends_of_the_scale_do_no_harm() {
    let at = |date: &str, wait: &str| {
        entry(0, 1, "GET", "https://shop.example/", "text/html")
            .replace("2026-01-02T03:04:00.000+01:00", date)
            .replace("\"wait\": 1", &format!("\"wait\": {wait}"))
    };
    let first = at("-009999-01-02T01:59:59Z", "1");
    refused(har(&[first, at("2026-01-01T00:00:00Z", "1")]), &["broken.har"]);
    let year_one = at("0001-01-01T00:00:00Z", "1");
    let file = TestFile::new("long.har", har(&[year_one, at("9990-01-01T00:00:00Z", "1e300")]));
    let path = file.path.to_str().expect("a path of text");
    run(["replay", path]).refused_with(2, &["spread over", "--speed"]);
}

#[test]
fn a_recording_of_100_mb_is_read_without_keeping_it_in_memory() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let path = directory.path().join("big.har");
    let mut file = BufWriter::new(File::create(&path).expect("a file"));
    let body = "body ".repeat(1 << 18);
    let entry =
        |number: usize| entry(0, 1, "GET", &format!("https://shop.example/{number}"), "text/html");
    write!(file, r#"{{"log": {{"entries": ["#).expect("written");
    for number in 0..80 {
        let separator = if number == 0 { "" } else { "," };
        let entry = entry(number).replace("\"body\"", &format!("\"{body}\""));
        write!(file, "{separator}{entry}").expect("written");
    }
    write!(file, "]}}}}").expect("written");
    file.into_inner().expect("written").sync_all().expect("written");
    assert!(path.metadata().expect("the file is there").len() > 100 << 20);
    // The shell's limit is on address space, of which threads reserve much: two requests only.
    let script = "ulimit -v 200000; exec \"$0\" replay \"$1\" --requests '/[01]$' --access none \
                  --store memory: --format json";
    let output = std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_cloakroom")])
        // Each further arena of the C library reserves 64 MB of address space.
        .env("MALLOC_ARENA_MAX", "1")
        .arg(&path)
        .output()
        .expect("a shell");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
}

#[test]
fn a_small_file_that_unpacks_to_much_is_read_without_keeping_it_in_memory() {
    let body = " ".repeat(64 << 20);
    let entries = [
        entry(0, 1, "GET", "https://shop.example/", "text/html"),
        entry(1, 1, "GET", "https://shop.example/a", "text/html").replace("\"body\"", &body),
    ];
    let packed = TestFile::gzip("packed.har", &har(&entries));
    assert!(packed.path.metadata().expect("the file is there").len() < 1 << 20);
    let path = packed.path.to_str().expect("a path of text");
    run(["replay", path]).refused_with(2, &["not JSON", "column 67108"]);
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    for (line, words) in [
        ("", "Usage"),
        ("dance", "dance"),
        ("bench", "PATTERN"),
        ("bench tepid", "tepid"),
        ("stress relax", "relax"),
        ("bench hot --store redis://host", "no such store"),
        ("bench hot --store /srv/sessions", "file:DIR"),
        ("bench hot --store memory:x", "memory:"),
        ("bench hot --access shy", "shy"),
        ("bench hot --handler 50", "unit is missing"),
        ("bench hot --handler 5parsecs", "parsecs"),
        ("bench hot --handler -1ms", "-1"),
        ("bench hot --payload 1TB", "TB"),
        ("bench hot --payload 3", "from 8"),
        ("bench hot --seconds 0", "0.001"),
        ("bench hot --seconds soon", "number"),
        ("bench hot --seconds 1 --operations 5", "cannot be used with"),
        ("bench hot --operations 0", "0"),
        ("bench hot --clients 0", "0"),
        ("bench hot --clients 99999999", "99999999"),
        ("bench hot --processes 0", "0"),
        ("bench spread --sessions 0", "0"),
        ("bench hot --format xml", "xml"),
        ("replay --speed 0", "0.01"),
        ("replay --speed fast", "number"),
        ("replay --page 0", "0"),
        ("replay --requests (", "regex"),
        ("worker", "started by other cloakroom commands"),
    ] {
        run_line(line).refused_with(2, &[words]);
    }
}

#[test]
fn memory_cannot_be_shared_by_processes() {
    run_line("bench hot --store memory: --processes 2").refused_with(2, &["`memory:`", "file:DIR"]);
    run_line("bench hot --store file: --store memory: --processes 2").refused_with(2, &["memory"]);
    run_line("stress contend --store memory: --processes 2").refused_with(2, &["`memory:`"]);
}

#[test]
fn a_directory_that_is_no_store_is_left_alone() {
    let file = TestFile::new("precious.txt", "data");
    let directory = file.path.parent().expect("a directory");
    let url = format!("file:{}", directory.display());
    run(["bench", "hot", "--store", &url]).refused_with(2, &["not empty", "no session store"]);
    assert_eq!(std::fs::read_dir(directory).expect("a directory").count(), 1);
    let url = format!("file:{}", file.path.display());
    let ended = run(["bench", "hot", "--store", &url]);
    assert!(matches!(ended.code, Some(1 | 2)), "{}", ended.stderr);
    assert!(ended.stderr.contains("precious.txt"), "{}", ended.stderr);
}
