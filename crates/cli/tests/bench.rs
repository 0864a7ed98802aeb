//! `bench`: every pattern, access, interface, loop and number of processes; rounds; saving and
//! comparing; the JSON document.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{TestFile, run, run_line, sessions};
use serde_json::Value;

const PATTERNS: [&str; 7] = ["hot", "spread", "zipf", "read-mostly", "ajax", "churn", "mixed"];

const LOCK_FREE_ACCESSES: &str =
    "--access snapshot --access optimistic --access last-write-wins --access none";

const ALL_ACCESSES: &str = "--access exclusive --access released --access shared \
    --access snapshot --access optimistic --access last-write-wins --access none";

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn the_json_document_has_the_fields_of_its_contract() {
    let document =
        run_line("bench ajax --operations 40 --clients 4 --store memory: --format json").document();
    let mut found = keys(&document);
    found.sort_unstable();
    assert_eq!(found, ["machine", "runs", "schema"]);
    assert_eq!(document["schema"], 1);
    for field in ["os", "cpus", "kernel", "cloakroom"] {
        assert!(!document["machine"][field].is_null(), "{field}");
    }
    let run = &document["runs"][0];
    let mut fields = vec![
        "store",
        "access",
        "pattern",
        "processes",
        "clients",
        "sessions",
        "payload_bytes",
        "handler_us",
        "seconds",
        "operations",
        "operations_per_second",
        "latency_us",
        "lock_wait_us",
        "conflicts",
        "lost_updates",
        "errors",
        "page_load_ms",
        "api",
        "open_loop",
        "rate_asked",
        "behind_ms",
        "kept_up",
        "skew",
        "writes_percent",
        "warmup_seconds",
        "rounds",
        "rounds_spread",
        "churn",
    ];
    let mut found = keys(run);
    fields.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, fields);
    let mut quantiles = vec!["p50", "p90", "p99", "p999", "max"];
    for (distribution, more) in [("latency_us", None), ("lock_wait_us", Some("sum"))] {
        quantiles.extend(more);
        for quantile in &quantiles {
            assert!(run[distribution][quantile].is_number(), "{distribution}.{quantile}");
        }
        assert_eq!(keys(&run[distribution]).len(), quantiles.len());
    }
    assert!(run["page_load_ms"]["p50"].is_number() && run["page_load_ms"]["p99"].is_number());
    assert_eq!(run["operations"], 40);
}

#[test]
fn fields_come_in_the_order_of_the_contract() {
    let ended = run_line("bench hot --operations 10 --store memory: --format json");
    let order = ["schema", "machine", "runs", "store", "access", "seconds", "lost_updates"];
    let places: Vec<_> =
        order.iter().map(|field| ended.stdout.find(&format!("\"{field}\""))).collect();
    assert!(places.is_sorted() && !places.contains(&None), "{}", ended.stdout);
    assert!(ended.document()["runs"][0]["page_load_ms"].is_null());
}

#[test]
fn every_pattern_runs_with_every_access_on_every_store_through_both_interfaces() {
    let stores = [
        (format!("--store file: --store memory: {ALL_ACCESSES}"), 14),
        (format!("--store map: {LOCK_FREE_ACCESSES}"), 4),
    ];
    for pattern in PATTERNS {
        for (api, (stores, count)) in
            ["session", "bytes"].into_iter().flat_map(|api| stores.each_ref().map(|of| (api, of)))
        {
            let document = run_line(&format!(
                "bench {pattern} --api {api} --operations 60 --clients 3 --payload 100 \
                 --sessions 9 {stores} --format json"
            ))
            .document();
            let runs = document["runs"].as_array().expect("runs");
            assert_eq!(runs.len(), *count);
            for run in runs {
                assert_eq!(run["operations"], 60, "{run}");
                assert_eq!(run["errors"], 0, "{run}");
                if run["access"] != "last-write-wins" {
                    assert_eq!(run["lost_updates"], 0, "{run}");
                }
            }
        }
    }
}

#[test]
fn each_store_is_measured_with_what_it_offers_unless_told_otherwise() {
    let document = run_line(
        "bench read-mostly --store map: --store memory: --operations 9 --clients 1 --format json",
    )
    .document();
    let accesses = |store: &str| -> Vec<&str> {
        let runs = document["runs"].as_array().expect("runs").iter();
        let of_store = runs.filter(|run| run["store"] == store);
        of_store.filter_map(|run| run["access"].as_str()).collect()
    };
    assert_eq!(accesses("map:"), ["snapshot", "optimistic", "last-write-wins"]);
    assert_eq!(accesses("memory:").len(), 6);
    for access in ["exclusive", "released", "shared"] {
        let directory = tempfile::TempDir::new().expect("a temporary directory");
        let url = format!("map:{}", directory.path().join("sessions").display());
        for command in [&["bench", "hot"][..], &["replay"]] {
            let more = ["--store", &url, "--access", "optimistic", "--access", access];
            run([command, &more].concat()).refused_with(
                2,
                &[
                    &format!("`--access {access}` needs a lock"),
                    "use one of `snapshot`, `optimistic`",
                ],
            );
        }
        assert!(!directory.path().join("sessions").exists(), "nothing was made");
    }
}

#[test]
fn every_pattern_runs_in_several_processes_and_keeps_its_books() {
    let stores = [
        "file: --access exclusive --access shared --access optimistic",
        "map: --access snapshot --access optimistic",
    ];
    for (pattern, store) in PATTERNS.iter().flat_map(|pattern| stores.map(|of| (*pattern, of))) {
        let document = run_line(&format!(
            "bench {pattern} --processes 2 --clients 2 --operations 300 --sessions 5 \
             --store {store} --format json"
        ))
        .document();
        for run in document["runs"].as_array().expect("runs") {
            assert_eq!(run["operations"], 300, "{run}");
            assert_eq!(run["errors"], 0, "{run}");
            assert_eq!(run["lost_updates"], 0, "{run}");
            assert_eq!(run["churn"].is_null(), !matches!(pattern, "churn" | "mixed"), "{run}");
        }
    }
}

#[test]
fn several_processes_share_the_operations_and_lose_no_update() {
    let document = run_line(
        "bench hot --processes 3 --clients 2 --operations 500 --handler 50us \
         --access exclusive --access optimistic --format json",
    )
    .document();
    for run in document["runs"].as_array().expect("runs") {
        assert_eq!(run["operations"], 500);
        assert_eq!(run["lost_updates"], 0);
        assert_eq!(run["processes"], 3);
    }
    assert_eq!(document["runs"][0]["conflicts"], 0, "nobody overtakes an exclusive holder");
}

#[test]
fn the_control_loses_updates_and_is_not_blamed_for_it() {
    let document = run_line(
        "bench hot --clients 8 --operations 2000 --handler 100us --store memory: \
         --access last-write-wins --format json",
    )
    .document();
    assert!(document["runs"][0]["lost_updates"].as_u64() > Some(0));
}

#[test]
fn a_run_in_a_directory_of_the_user_leaves_no_session_behind() {
    for kind in ["file", "map"] {
        let directory = tempfile::TempDir::new().expect("a temporary directory");
        let url = format!("{kind}:{}", directory.path().join("sessions").display());
        let line = ["bench", "spread", "--sessions", "20", "--operations", "50", "--store", &url];
        for _ in 0..2 {
            let ended = run(line);
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            assert_eq!(run(["stats", &url]).stdout.lines().next(), Some("0 sessions: 0 live"));
        }
    }
}

#[test]
fn a_temporary_store_is_gone_afterwards() {
    for store in ["file:", "map:"] {
        let directory = tempfile::TempDir::new().expect("a temporary directory");
        let ended = common::cloakroom()
            .args(["bench", "hot", "--operations", "10", "--processes", "2", "--store", store])
            .env("TMPDIR", directory.path())
            .output()
            .expect("the binary starts");
        assert!(ended.status.success());
        assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 0);
    }
}

#[test]
fn the_table_is_for_people() {
    let ended = run_line("bench ajax --clients 2 --operations 20 --access exclusive");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for words in ["access", "page", "conflicts", "lost", "exclusive"] {
        assert!(ended.stdout.contains(words), "`{words}` is not in: {}", ended.stdout);
    }
    let widest = ended.stdout.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{}", ended.stdout);
    assert_eq!(ended.stderr, "");
}

#[test]
fn churned_sessions_are_destroyed_or_swept_and_none_is_left() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    for (kind, processes) in [("file", "1"), ("file", "2"), ("map", "1"), ("map", "2")] {
        let url = format!("{kind}:{}", directory.path().join(kind).display());
        let line = ["bench", "churn", "--operations", "3000", "--sessions", "40", "--store", &url];
        let ended = run(line.into_iter().chain(["--processes", processes, "--format", "json"]));
        let document = ended.document();
        for run in document["runs"].as_array().expect("runs") {
            let churn = &run["churn"];
            let count = |name: &str| churn[name].as_u64().expect("a count");
            assert!(count("destroyed") > 0 && count("expired") > 0, "{churn}");
            assert_eq!(count("created"), count("destroyed") + count("expired"), "{churn}");
            assert!(count("swept") >= count("expired"), "{churn}");
            assert_eq!((count("left"), count("lost")), (0, 0), "{churn}");
        }
        assert_eq!(sessions(&url), 0);
    }
}

#[test]
fn popular_sessions_are_fought_over() {
    let document = run_line(
        "bench zipf --skew 10 --clients 8 --operations 2000 --sessions 99 --handler 100us \
         --store memory: --access optimistic --access last-write-wins --format json",
    )
    .document();
    let runs = &document["runs"];
    assert!(runs[0]["conflicts"].as_u64() > Some(0), "99 sessions, and one of them hot");
    assert!(runs[1]["lost_updates"].as_u64() > Some(0));
    assert_eq!(runs[0]["skew"], 10.0);
}

#[test]
fn who_only_reads_loses_and_overtakes_nothing() {
    let document = run_line(
        "bench read-mostly --writes 0 --skew 5 --clients 8 --operations 1000 --sessions 9 \
         --handler 100us --access optimistic --access last-write-wins --access shared \
         --format json",
    )
    .document();
    for run in document["runs"].as_array().expect("runs") {
        assert_eq!((&run["conflicts"], &run["lost_updates"]), (&0.into(), &0.into()), "{run}");
        assert_eq!(run["writes_percent"], 0.0);
    }
}

#[test]
fn an_open_loop_serves_all_who_arrive_if_it_can() {
    for pattern in PATTERNS {
        let document = run_line(&format!(
            "bench {pattern} --rate 20000 --operations 200 --processes 2 --sessions 9 \
             --access exclusive --format json"
        ))
        .document();
        let run = &document["runs"][0];
        assert_eq!((&run["operations"], &run["lost_updates"]), (&200.into(), &0.into()), "{run}");
        assert_eq!((&run["open_loop"], &run["rate_asked"]), (&true.into(), &20_000.0.into()));
    }
}

#[test]
fn an_open_loop_that_cannot_keep_up_says_so() {
    // Locked for 5 ms each, a session serves 200 per second, whatever the machine.
    let line = "bench hot --rate 10000 --handler 5ms --seconds 0.3 --access exclusive";
    let ended = run_line(line);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("CANNOT KEEP UP"), "{}", ended.stdout);
    let ended = run_line(&format!("{line} --format json"));
    assert!(ended.stderr.contains("asked for 10,000 per second"), "{}", ended.stderr);
    let run = &ended.document()["runs"][0];
    assert_eq!(run["kept_up"], false);
}

#[test]
fn a_closed_loop_says_that_it_is_one() {
    let ended = run_line("bench hot --operations 10 --store memory:");
    assert!(ended.stdout.contains("coordinated omission"), "{}", ended.stdout);
    let ended = run_line("bench hot --operations 10 --store memory: --rate 1000");
    assert!(!ended.stdout.contains("coordinated omission"), "{}", ended.stdout);
}

#[test]
fn rounds_are_measured_one_by_one_and_a_warm_up_before_each() {
    let document = run_line(
        "bench hot --operations 100 --rounds 3 --warmup 0.01 --store memory: --store file: \
         --access exclusive --access optimistic --format json",
    )
    .document();
    let runs = document["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 4);
    for run in runs {
        assert_eq!(run["rounds"].as_array().map(Vec::len), Some(3));
        assert_eq!((&run["operations"], &run["lost_updates"]), (&300.into(), &0.into()), "{run}");
        let rate = |round: usize| run["rounds"][round]["operations_per_second"].as_f64();
        let mut rates = [rate(0), rate(1), rate(2)];
        rates.sort_by(|a, b| a.partial_cmp(b).expect("figures"));
        assert_eq!(run["operations_per_second"].as_f64(), rates[1], "the median");
        assert!(run["rounds_spread"].is_number());
    }
}

#[test]
fn all_patterns_run_in_one_go() {
    let document =
        run_line("bench all --operations 30 --rounds 2 --warmup 0 --store memory: --format json")
            .document();
    let runs = document["runs"].as_array().expect("runs");
    let mut patterns: Vec<_> = runs.iter().filter_map(|run| run["pattern"].as_str()).collect();
    patterns.dedup();
    assert_eq!(patterns, PATTERNS);
    assert!(runs.iter().all(|run| run["operations"] == 60 && run["errors"] == 0));
}

#[test]
fn a_saved_run_is_measured_again_and_compared() {
    let directory = tempfile::TempDir::new().expect("a temporary directory");
    let file = |name: &str| directory.path().join(name).to_str().expect("text").to_owned();
    let (old, new) = (file("old.json"), file("new.json"));
    let settings = "bench zipf --store memory: --access exclusive --access optimistic --clients 3";
    let effort = ["--operations", "200", "--rounds", "3"];
    let ended = run(settings.split(' ').chain(effort).chain(["--save", &old, "--format", "json"]));
    let first = ended.document();

    // The same again, by the file alone.
    let ended = run(["bench", "--compare", &old, "--save", &new, "--format", "json"]);
    let document = ended.document();
    let runs = document["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 2);
    for (run, saved) in runs.iter().zip(first["runs"].as_array().expect("runs")) {
        for setting in ["store", "access", "pattern", "clients", "sessions", "operations", "skew"] {
            assert_eq!(run[setting], saved[setting], "{setting}");
        }
    }
    let rows = document["comparison"].as_array().expect("a comparison");
    assert_eq!(rows.len(), 6, "three figures of two runs");
    // A figure that went through a file may differ in its last digit.
    let same = |one: &Value, other: &Value| {
        let (one, other) = (one.as_f64().expect("a figure"), other.as_f64().expect("a figure"));
        assert!((one / other - 1.0).abs() < 1e-9, "{one} and {other}");
    };
    same(&rows[0]["old"], &first["runs"][0]["operations_per_second"]);
    same(&rows[0]["new"], &runs[0]["operations_per_second"]);

    // Two files, without measuring; a run is no different from itself.
    let ended = run(["bench", "--compare", &old, "--with", &old]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout.matches("within noise").count(), 6, "{}", ended.stdout);
    let ended = run(["bench", "--compare", &old, "--with", &new, "--format", "json"]);
    let document = ended.document();
    assert_eq!(document["runs"].as_array().map(Vec::len), Some(0));
    let again = document["comparison"].as_array().expect("a comparison");
    assert_eq!(again.len(), rows.len());
    for (row, again) in rows.iter().zip(again) {
        assert_eq!((&row["figure"], &row["access"]), (&again["figure"], &again["access"]));
        same(&row["old"], &again["old"]);
        same(&row["new"], &again["new"]);
    }

    // More effort is fine, other settings are not.
    let ended = run(["bench", "--compare", &old, "--operations", "30", "--rounds", "1"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("assumed"), "{}", ended.stdout);
    for other in [["--clients", "4"], ["--skew", "2"], ["--store", "file:"]] {
        let ended = run(["bench", "--compare", &old].into_iter().chain(other));
        ended.refused_with(2, &["old.json", &other.join(" "), "cannot be compared"]);
    }
    run(["bench", "hot", "--compare", &old]).refused_with(2, &["`zipf`", "`hot`"]);

    // Of stores that offer different accesses each is measured with its own again.
    let both = "bench hot --store map: --store memory: --operations 20 --rounds 1 --save";
    assert_eq!(run(both.split(' ').chain([new.as_str()])).code, Some(0));
    let document = run(["bench", "--compare", &new, "--format", "json"]).document();
    assert_eq!(document["comparison"].as_array().map(Vec::len), Some(3 * 6));
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 2);
}

#[test]
fn a_file_that_is_no_saved_run_is_refused_with_the_remedy() {
    let saved = TestFile::new("saved.json", "");
    let path = saved.path.to_str().expect("text");
    let ended = run(["bench", "hot", "--operations", "5", "--store", "memory:", "--save", path]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let text = std::fs::read_to_string(path).expect("it is saved");
    let other = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    };
    for (content, words) in [
        (String::new(), "cut off"),
        (text[..text.len() / 2].to_owned(), "cut off"),
        ("PATTERN".to_owned(), "not JSON"),
        ("{}".to_owned(), "--save FILE"),
        ("{\"schema\": 1}".to_owned(), "--format json"),
        (other("\"cloakroom_bench\":1", "\"cloakroom_bench\":2"), "format 2"),
        (other("\"access\":\"exclusive\"", "\"access\":\"shy\""), "damaged"),
        (other("\"latency\":{\"counts\":[", "\"latency\":{\"counts\":[[1e99,1],"), "damaged"),
        (
            other(
                "\"latency\":{\"counts\":[",
                "\"latency\":{\"counts\":[[18446744073709551615,1],",
            ),
            "out of range",
        ),
        (other("\"--clients\",\"4\"", "\"--clients\",\"4000000000\""), "4000000000"),
        (other("\"--clients\"", "\"--customers\""), "--customers"),
        (other("\"hot\"", "\"--version\""), "not understood"),
        (other("\"memory:\"", "\"redis:\""), "no such store"),
    ] {
        let file = TestFile::new("broken.json", &content);
        let path = file.path.to_str().expect("text");
        run(["bench", "--compare", path]).refused_with(2, &["broken.json", words]);
        run(["bench", "--compare", path, "--with", path]).refused_with(2, &["broken.json"]);
    }
    run(["bench", "--compare", "/no/such/file"]).refused_with(2, &["/no/such/file", "No such"]);
}

#[test]
fn what_cannot_be_saved_is_refused_before_the_run() {
    let directory = std::env::temp_dir();
    let directory = directory.to_str().expect("text");
    for (path, words) in [("/no/such/directory/run.json", "exists"), (directory, "directory")] {
        // A run of a day, which would be the test's end.
        let line = ["bench", "hot", "--seconds", "86400", "--save", path];
        run(line).refused_with(2, &[path, words]);
    }
    // What is no file is written, not replaced.
    let line = "bench hot --operations 5 --store memory: --save /dev/null";
    assert_eq!(run_line(line).code, Some(0));
    let kind = std::fs::metadata("/dev/null").expect("it is there").file_type();
    assert!(!kind.is_file());
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for (line, word) in [
        ("bench zipf --skew -1", "-1"),
        ("bench zipf --skew 11", "between 0 and 10"),
        ("bench read-mostly --writes 101", "between 0 and 100"),
        ("bench read-mostly --writes some", "number"),
        ("bench hot --rate 0", "between"),
        ("bench hot --rate 5000/min", "unknown unit"),
        ("bench hot --warmup 5ms", "unknown unit"),
        ("bench hot --rounds 0", "0"),
        ("bench --save x", "PATTERN"),
        ("bench hot --with x", "--compare"),
    ] {
        run_line(line).refused_with(2, &[word]);
    }
    let ended = run_line("bench hot --sessions 5 --writes 3 --operations 5 --store memory:");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("makes no use of --sessions"), "{}", ended.stderr);
    assert!(ended.stderr.contains("makes no use of --writes"), "{}", ended.stderr);
}
