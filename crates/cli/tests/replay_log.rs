//! `replay` with access logs of every kind. All of them are made here.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};

use common::{Ended, TestFile, cloakroom, gzip, har, run, run_line};
use serde_json::Value;
use tempfile::TempDir;

/// A line in the combined format: a request in that second of a minute.
fn line(second: u32, address: &str, request: &str, agent: &str) -> String {
    format!(
        r#"{address} - - [17/May/2015:10:05:{second:02} +0000] "{request} HTTP/1.1" 200 512 "http://shop.example/" "{agent}""#
    )
}

/// A log of these lines, each with this behind it.
fn log(lines: &[String], end: &str) -> String {
    lines.iter().map(|line| format!("{line}{end}\n")).collect()
}

/// A small site: in each of ten seconds a page with two calls by each of three clients, two of
/// which share an address, and one picture.
fn site() -> Vec<String> {
    let second = |second: u32| {
        let page = move |(address, agent): (&str, &str)| {
            [
                line(second, address, "GET /", agent),
                line(second, address, "GET /api/cart?id=1", agent),
                line(second, address, "POST /api/seen", agent),
            ]
        };
        let pages = [("192.0.2.1", "A/1"), ("192.0.2.1", "B/2"), ("2001:db8::1", "A/1")];
        pages.into_iter().flat_map(page).chain([line(second, "192.0.2.1", "GET /a.png", "A/1")])
    };
    (0..10).flat_map(second).collect()
}

/// One client that asks for 40 things within a second.
fn impatient() -> Vec<String> {
    (0..40).map(|_| line(0, "192.0.2.7", "POST /api/add", "A/1")).collect()
}

fn replay(content: impl AsRef<[u8]>, more: &str) -> Ended {
    let file = TestFile::new("access.log", content);
    let path = file.path.to_str().expect("a path of text");
    run(["replay", path].into_iter().chain(more.split_whitespace()))
}

fn replay_json(content: impl AsRef<[u8]>, more: &str) -> Value {
    replay(content, &format!("{more} --format json")).document()
}

/// What is in a log.
fn check(content: impl AsRef<[u8]>, more: &str) -> Value {
    replay_json(content, &format!("{more} --check"))["log"].clone()
}

fn from_stdin(content: &[u8], args: &[&str]) -> Ended {
    let file = TestFile::new("input", content);
    let input = File::open(&file.path).expect("the file is there");
    let output = cloakroom().args(args).stdin(input).output().expect("the binary starts");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("the output is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("the messages are UTF-8"),
    }
}

#[test]
fn every_access_replays_every_request_with_a_session_for_each_client() {
    let document = replay_json(log(&site(), ""), "--speed 100");
    let runs = document["runs"].as_array().expect("runs");
    let accesses: Vec<_> = runs.iter().map(|run| &run["access"]).collect();
    assert_eq!(accesses, ["exclusive", "released", "shared", "optimistic", "none"]);
    for run in runs {
        assert_eq!(run["pattern"], "replay");
        assert_eq!(run["operations"], 100);
        assert_eq!(run["sessions"], 3);
        assert_eq!(run["clients"], 64);
        assert_eq!(run["lost_updates"], 0);
        assert_eq!(run["errors"], 0);
        assert_eq!(run["open_loop"], true);
        assert_eq!(run["page_load_ms"], Value::Null);
        for figure in ["p50", "p99", "max"] {
            assert!(
                run["latency_us"][figure].is_number() && run["lock_wait_us"][figure].is_number()
            );
        }
        // The last request is due at 9.9 s of the log.
        let seconds = run["seconds"].as_f64().expect("a number");
        assert!(seconds >= 0.099, "{seconds}: arrival times are kept");
    }
    let log = &document["log"];
    assert_eq!(log["lines"], 100);
    assert_eq!(log["requests"], 100);
    assert_eq!(log["sessions"], 3);
    assert_eq!(log["session_by"], "address and agent");
    assert_eq!(log["malformed"], 0);
    assert_eq!(log["timed"], 0);
    assert_eq!(log["first"], "2015-05-17T10:05:00Z");
    assert_eq!(log["last"], "2015-05-17T10:05:09Z");
}

#[test]
fn the_table_tells_what_was_replayed_what_it_cost_and_who_suffered() {
    let more = "--speed 10 --access exclusive --access released";
    let ended = replay(log(&impatient(), " 60000"), more);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr, "");
    for words in [
        "40 of 40 requests (every one), 1 session by address and agent",
        "handlers worked as long as the log says",
        "time ran 10 times faster",
        "exclusive   locked until the response",
        "p99",
        "The sessions that suffered most, `exclusive`:",
        "192.0.2.7 A/1",
        "Advice: ",
    ] {
        assert!(ended.stdout.contains(words), "`{words}` is not in: {}", ended.stdout);
    }
    let widest = ended.stdout.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{}", ended.stdout);
}

#[test]
fn handlers_work_as_long_as_the_log_says_and_requests_of_a_session_wait_for_each_other() {
    let document = replay_json(log(&impatient(), " 60000"), "--speed 10 --access exclusive");
    let run = &document["runs"][0];
    assert_eq!(run["handler_us"], 6_000.0, "60 ms, ten times faster");
    // They come within 100 ms, and each has to wait for all before it.
    assert!(run["seconds"].as_f64() >= Some(0.24), "{run}");
    let suffered = &run["suffered"][0];
    assert_eq!(suffered["session"], "192.0.2.7 A/1");
    assert_eq!(suffered["requests"], 40);
    assert!(suffered["waited_us"].as_f64() >= suffered["longest_wait_us"].as_f64());
    assert_eq!(run["lock_wait_us"]["max"], suffered["longest_wait_us"]);
}

#[test]
fn updates_are_lost_where_nothing_is_locked_or_checked() {
    let log = log(&impatient(), " 200000");
    let document = replay_json(log, "--speed 20 --access last-write-wins --access optimistic");
    let lost = |run: usize| document["runs"][run]["lost_updates"].as_u64().expect("a number");
    assert!(lost(0) > 0, "handlers of 10 ms that begin every 1.25 ms overwrite each other");
    assert_eq!(lost(1), 0);
    assert!(document["runs"][1]["conflicts"].as_u64() > Some(0));
}

#[test]
fn time_runs_as_fast_as_it_is_told_to() {
    let days: Vec<String> = (10..20)
        .map(|day| line(0, "192.0.2.1", "GET /", "A/1").replace("17/May", &format!("{day}/May")))
        .collect();
    let days = log(&days, "");
    replay(&days, "").refused_with(2, &["spread over 216 h", "--speed 12960", "--speed max"]);
    let run = &replay_json(&days, "--speed 1e9 --access exclusive")["runs"][0];
    assert_eq!(run["operations"], 10);
    assert!(run["behind_ms"].is_number());
    let run = &replay_json(&days, "--speed max --handler 1s --access exclusive")["runs"][0];
    assert_eq!(run["operations"], 10);
    assert_eq!(run["open_loop"], false);
    assert_eq!(run["behind_ms"], Value::Null);
    assert_eq!(run["handler_us"], 0.0);
    let ended = replay(&days, "--speed max");
    assert!(ended.stdout.contains("a closed loop"), "{}", ended.stdout);
}

#[test]
fn a_log_may_be_compressed_and_may_come_from_standard_input() {
    let plain = log(&site(), "");
    let expected = check(&plain, "");
    let packed = gzip(&plain);
    let two_members = [gzip(&plain[..777]), gzip(&plain[777..])].concat();
    for content in [plain.as_bytes(), &packed, &two_members] {
        let mut logs = vec![check(content, "")];
        let args = ["replay", "-", "--check", "--format", "json"];
        logs.push(from_stdin(content, &args).document()["log"].clone());
        for log in logs {
            for count in ["bytes", "lines", "requests", "sessions", "first", "last"] {
                assert_eq!(log[count], expected[count], "{count}");
            }
        }
    }
    let ended = from_stdin(&packed, &["replay", "-", "--speed", "max", "--store", "memory:"]);
    assert!(ended.stdout.starts_with("standard input: 100 of 100"), "{}", ended.stdout);
}

#[test]
fn requests_are_chosen_by_their_path() {
    let log = log(&site(), "");
    let chosen = |choice: &str| check(&log, &format!("--requests {choice}"))["chosen"].clone();
    assert_eq!(chosen("all"), 100);
    assert_eq!(chosen("dynamic"), 90);
    assert_eq!(chosen("^/api/"), 60);
    assert_eq!(chosen(r"[?]id=\d$"), 30);
    let run = &replay_json(&log, "--requests ^/api/ --speed max --access shared")["runs"][0];
    assert_eq!(run["operations"], 60);
    replay(&log, "--requests nothing").refused_with(2, &["none of the log's 100", "all"]);
    replay(&log, "--requests cookies").refused_with(2, &["--session-by cookie:NAME"]);
}

#[test]
fn what_makes_a_session_can_be_told() {
    let mut lines = site();
    for (line, number) in lines.iter_mut().zip(0..) {
        match number % 5 {
            0 => line.push_str(r#" "-""#),
            1 => line.push_str(r#" "theme=dark""#),
            _ => line.push_str(&format!(r#" "theme=dark; sid=s3cret{}; x=y""#, number % 5)),
        }
    }
    let log = log(&lines, "");
    let sessions = |by: &str| {
        let log = check(&log, &format!("--session-by {by}"));
        (log["sessions"].as_u64().expect("a number"), log["no_session"].as_u64().expect("one"))
    };
    assert_eq!(sessions("client"), (3, 0));
    assert_eq!(sessions("address"), (2, 0));
    assert_eq!(sessions("cookie:sid"), (3, 40));
    assert_eq!(sessions("cookie:theme"), (1, 20));
    assert_eq!(sessions(r"^(\d+)\."), (1, 30));
    let run =
        &replay_json(&log, "--session-by cookie:sid --speed max --access exclusive")["runs"][0];
    assert_eq!(run["operations"], 60, "requests without the cookie are left out");
    replay(&log, "--session-by cookie:nothing")
        .refused_with(2, &["none of 100", "cookie nothing", "%{Cookie}i", "$http_cookie"]);
    replay(&log, "--session-by (zzz)").refused_with(2, &["none of 100", "without --session-by"]);
}

#[test]
fn a_cookie_is_shown_nowhere() {
    let lines: Vec<String> =
        impatient().iter().map(|line| format!(r#"{line} 60000 "sid=s3cret""#)).collect();
    let log = log(&lines, "");
    for by in ["cookie:sid", "sid=([^;\"]+)"] {
        for format in ["table", "json"] {
            let more = format!("--speed 40 --access exclusive --format {format} --session-by {by}");
            let ended = replay(&log, &more);
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            assert!(!ended.stdout.contains("s3cret"), "{}", ended.stdout);
            assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
            assert!(ended.stdout.contains(".. (first in line 1)"), "{}", ended.stdout);
        }
    }
}

#[test]
fn the_time_that_a_request_took_is_found_where_servers_log_it() {
    for (end, more, handler_us) in [
        (" 20000", "", 20_000.0),
        (" 0/20000", "", 20_000.0),
        (" 0.020", "", 20_000.0),
        (r#" "203.0.113.9" rt=0.020 uct="0.001" urt="0.019""#, "", 20_000.0),
        (" 439 0.020 [shop-80] [] 192.0.2.80:8080 52 0.019 200 f00d", "", 20_000.0),
        (" 20", "--time-unit ms", 20_000.0),
        (" 439 2100 20", "--time-unit ms", 20_000.0),
        (" 439 2100", "", 0.0),
        (" -", "--handler 7ms", 7_000.0),
        ("", "", 0.0),
    ] {
        let document = replay_json(log(&site(), end), &format!("{more} --access none --speed 100"));
        let timed = if more.starts_with("--handler") || handler_us == 0.0 { 0 } else { 100 };
        assert_eq!(document["log"]["timed"], timed, "{end}");
        assert_eq!(document["runs"][0]["handler_us"], handler_us / 100.0, "{end}");
    }
}

#[test]
fn formats_that_begin_or_end_otherwise_are_understood() {
    let combined = log(&site(), "");
    let common = combined
        .replace(r#" "http://shop.example/" "A/1""#, "")
        .replace(r#" "http://shop.example/" "B/2""#, "");
    let with_host = combined.replace("192.0.2.1 - -", "shop.example:443 192.0.2.1 - -");
    let with_user = combined.replace("192.0.2.1 - -", "192.0.2.1 - Alice B. Carrol");
    let by_syslog = combined.replace("192.0.2.1 - -", "May 17 10:05:03 web nginx: 192.0.2.1 - -");
    let on_windows = combined.replace('\n', "\r\n");
    let marked = format!("\u{feff}{combined}");
    let blank_lines = combined.replace('\n', "\n\n \r\n");
    for (log, sessions) in [
        (common, 2),
        (with_host, 3),
        (with_user, 3),
        (by_syslog, 3),
        (on_windows, 3),
        (marked, 3),
        (blank_lines, 3),
        (combined.trim_end().to_owned(), 3),
        (combined.replace(r#"A/1""#, r#"say \"A\" \\""#), 3),
    ] {
        let counts = check(&log, "");
        let shown: String = log.chars().take(200).collect();
        assert_eq!(counts["requests"], 100, "{shown}");
        assert_eq!(counts["malformed"], 0, "{shown}");
        assert_eq!(counts["sessions"], sessions, "{shown}");
    }
}

#[test]
fn dates_out_of_order_are_put_in_order() {
    let mut lines = site();
    lines.reverse();
    lines.swap(3, 70);
    let document = replay_json(log(&lines, ""), "--speed 100 --access exclusive");
    assert_eq!(document["log"]["first"], "2015-05-17T10:05:00Z");
    assert_eq!(document["log"]["last"], "2015-05-17T10:05:09Z");
    let run = &document["runs"][0];
    assert_eq!(run["operations"], 100);
    assert!(run["seconds"].as_f64() >= Some(0.099), "{run}");
}

#[test]
fn malformed_lines_are_skipped_counted_and_the_first_three_shown() {
    let mut lines = site();
    let long = "x".repeat(1 << 20);
    lines.insert(2, "\u{1b}[31mred".to_owned());
    lines.insert(4, line(0, "192.0.2.1", "GET /", "A/1").replace("May", "Mai"));
    lines.insert(6, long);
    lines.insert(7, format!("\0\0\0{}", line(0, "192.0.2.1", "GET /", "A/1")));
    lines.push(line(0, "192.0.2.1", "GET /", "A/1").replace(" 200 512", ""));
    let log = log(&lines, "");
    let ended = replay(&log, "--speed max");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let complaint: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(complaint.len(), 4, "{}", ended.stderr);
    for (complaint, words) in complaint.iter().zip([
        ["malformed and skipped", "5 of 105 lines"],
        ["line 3: no date in brackets", r"\x1b[31mred"],
        ["line 5: no month in English", "17/Mai/2015"],
        ["line 7: longer than 128 KiB", "xxx.."],
    ]) {
        assert!(words.iter().all(|word| complaint.contains(word)), "{complaint}");
        assert!(complaint.len() < 200 && !complaint.contains('\u{1b}'), "{complaint}");
    }
    assert!(ended.stdout.contains("left out: 5 malformed lines"), "{}", ended.stdout);
    let counts = check(&log, "");
    assert_eq!(counts["requests"], 100);
    assert_eq!(counts["malformed"], 5);
    let shown = counts["first_malformed"].as_array().expect("a list");
    let lines: Vec<_> = shown.iter().map(|skipped| &skipped["line"]).collect();
    assert_eq!(lines, [3, 5, 7]);
}

#[test]
fn connections_without_a_request_open_no_session() {
    let mut lines = site();
    for request in ["-", r"\x16\x03\x01", ""] {
        lines.push(line(0, "198.51.100.1", "GET /", "A/1").replace("GET / HTTP/1.1", request));
    }
    let counts = check(log(&lines, ""), "");
    assert_eq!(counts["no_request"], 3);
    assert_eq!(counts["malformed"], 0);
    assert_eq!(counts["requests"], 100);
    assert_eq!(counts["sessions"], 3);
}

#[test]
fn what_is_no_log_is_refused_with_the_first_line_and_why() {
    let binary: Vec<u8> = (0..40_000_u32).map(|n| (n * n / 7 % 251) as u8).collect();
    let nothing = "no line of it is in the common or combined format of Apache and nginx";
    let refused = |content: &[u8], words: &[&str]| {
        let ended = replay(content, "--speed max");
        ended.refused_with(2, &[&["access.log"], words].concat());
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert!(ended.stderr.len() < 400, "{}", ended.stderr);
    };
    let error_log = "[Fri Sep 09 10:42:29.902022 2011] [core:error] [pid 35708] not found\n";
    refused(error_log.as_bytes(), &[nothing, "line 1: no date as [17/May/2015"]);
    refused(b"#Fields: date time\n2015-05-17 10:05:03 GET /\n", &[nothing, "no date in brackets"]);
    refused(log(&site(), "").replace("May", "mai").as_bytes(), &[nothing, "no month in English"]);
    refused(b"time=12 [2015-05-17T10:05:03Z] \"GET /\" 200 1\n", &[nothing, "17/May/2015"]);
    refused(b"{\"time\": 1}\n{\"time\": 2}\n", &["not a HAR recording", "common or combined"]);
    refused(&binary, &[nothing]);
    refused(&vec![0; 1 << 20], &[nothing, "longer than 128 KiB"]);
    refused("x".repeat(3 << 20).as_bytes(), &[nothing, "longer than 128 KiB"]);
    refused("\n\n\n".repeat(100).as_bytes(), &["the file is empty"]);
    refused(b"", &["the file is empty"]);
    let packed = gzip(&log(&site(), ""));
    refused(&packed[..packed.len() / 2], &["gzip data is cut off"]);
    refused(&packed[..5], &["gzip data is cut off"]);
    from_stdin(b"nonsense", &["replay", "-"]).refused_with(2, &["standard input: ", "nonsense"]);
}

#[test]
fn an_endless_line_is_given_up() {
    if !std::path::Path::new("/dev/zero").exists() {
        return;
    }
    run_line("replay /dev/zero --check").refused_with(2, &["/dev/zero", "longer than 128 KiB"]);
}

#[test]
fn options_for_the_other_kind_of_input_are_refused() {
    for option in
        ["--check", "--session-by address", "--handler 1ms", "--time-unit ms", "--clients 5"]
    {
        let name = option.split(' ').next().expect("a name");
        replay(har(&[]), option).refused_with(2, &[name, "is for an access log"]);
    }
    replay(log(&site(), ""), "--page 1").refused_with(2, &["--page", "is for a HAR recording"]);
    for (line, words) in [
        ("--session-by adress", "cookie:NAME"),
        ("--session-by cookie:", "name of the cookie"),
        ("--session-by (", "regex"),
        ("--time-unit min", "min"),
        ("--handler 5", "unit is missing"),
        ("--clients 0", "0"),
        ("--clients 5000", "5000"),
        ("--speed 1e99", "max"),
    ] {
        replay(log(&site(), ""), line).refused_with(2, &[words]);
    }
}

#[test]
fn a_store_that_is_in_use_is_left_as_it_was() {
    let directory = TempDir::new().expect("a temporary directory");
    for kind in ["file", "map"] {
        let url = format!("{kind}:{}", directory.path().join(kind).display());
        let more = format!("--speed max --access optimistic --store {url}");
        let document = replay_json(log(&site(), ""), &more);
        assert_eq!(document["runs"][0]["store"], url.as_str());
        assert_eq!(common::sessions(&url), 0);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let file = TestFile::new("access.log", log(&site(), ""));
    for more in [&["--check"][..], &["--speed", "max"], &["--speed", "max", "--format", "json"]] {
        let mut child = cloakroom()
            .arg("replay")
            .arg(&file.path)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        drop(child.stdout.take());
        let mut messages = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut messages).expect("text");
        assert_eq!(messages, "");
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
    }
}

/// The log has 24 MB of text, and the limit leaves less than that beside the binary itself.
#[cfg(target_os = "linux")]
#[test]
fn a_log_of_any_length_takes_no_more_memory() {
    let lines = log(&site(), "");
    let packed = TestFile::gzip("access.log.gz", &lines.repeat(24_000_000 / lines.len()));
    let script = "ulimit -v 40000; exec \"$0\" replay \"$1\" --check --format json";
    let output = std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_cloakroom")])
        // Each further arena of the C library reserves 64 MB of address space.
        .env("MALLOC_ARENA_MAX", "1")
        .arg(&packed.path)
        .output()
        .expect("a shell");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let document: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert!(document["log"]["bytes"].as_u64() > Some(23_000_000));
    assert_eq!(document["log"]["sessions"], 3);
}

/// Starts a command that does not end by itself, with a directory for its temporary store.
#[cfg(target_os = "linux")]
fn start(args: &[&str], directory: &TempDir) -> Child {
    cloakroom()
        .args(args)
        .env("TMPDIR", directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts")
}

#[cfg(target_os = "linux")]
fn interrupt(child: &mut Child) {
    let status =
        std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(status.expect("kill is there").success());
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_while_replaying_leaves_nothing() {
    let lines = [line(0, "192.0.2.1", "GET /", "A/1"), line(59, "192.0.2.1", "GET /", "A/1")];
    let file = TestFile::new("access.log", log(&lines, ""));
    let path = file.path.to_str().expect("a path of text");
    let directory = TempDir::new().expect("a temporary directory");
    let mut child = start(&["replay", path, "--access", "exclusive"], &directory);
    while common::session_files(directory.path()) == 0 {
        assert!(child.try_wait().expect("a process").is_none(), "it replays for a minute");
        std::thread::yield_now();
    }
    interrupt(&mut child);
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_while_reading_ends_the_command() {
    let directory = TempDir::new().expect("a temporary directory");
    let mut child = start(&["replay", "-", "--check"], &directory);
    let mut input = child.stdin.take().expect("a pipe");
    // More than a pipe holds: once it is written, the command is reading.
    let lines = log(&site(), "").repeat(20);
    input.write_all(lines.as_bytes()).expect("the command reads");
    interrupt(&mut child);
}
