//! That the models can fail: each ordering and each rule left out, one at a time.

use std::env;
use std::process::Command;

use super::order::{LEAVE_OUT, ORDERINGS, RULES};

#[test]
fn a_model_fails_with_any_one_ordering_or_rule_left_out() {
    if env::var_os(LEAVE_OUT).is_some() {
        return;
    }
    assert_eq!(failing("nothing", 1), [""; 0], "models fail as it is");
    // Shuttle knows no orderings.
    let orderings = if cfg!(shuttle) { &[][..] } else { ORDERINGS };
    let mut unneeded = Vec::new();
    println!("| left out | models that fail | the first of them |\n|---|---|---|");
    for name in orderings.iter().chain(RULES) {
        // Few need two preemptions, which take ten times as long.
        let failing = (1..=2).map(|preemptions| failing(name, preemptions));
        let failing = failing.into_iter().find(|failing| !failing.is_empty()).unwrap_or_default();
        let first = failing.iter().min().map_or("", String::as_str);
        println!("| {} | {} | {first} |", name.replace('_', " "), failing.len());
        if failing.is_empty() {
            unneeded.push(*name);
        }
    }
    assert!(unneeded.is_empty(), "no model fails without {unneeded:?}");
}

/// The models that fail without the ordering or rule of this name.
fn failing(name: &str, preemptions: u8) -> Vec<String> {
    let mut models = Command::new(env::current_exe().unwrap());
    models.args(["map_model::", "--skip", "weaken", "--skip", "word"]).env(LEAVE_OUT, name);
    models.env("LOOM_MAX_PREEMPTIONS", preemptions.to_string());
    // A backtrace takes longer than the models.
    let output = models.env("RUST_BACKTRACE", "0").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let is_failed = |line: &&str| line.starts_with("test ") && line.ends_with("... FAILED");
    let name = |line: &str| Some(line.split_whitespace().nth(1)?.rsplit("::").next()?.to_owned());
    let failed: Vec<_> = text.lines().filter(is_failed).filter_map(name).collect();
    assert_eq!(output.status.success(), failed.is_empty(), "{text}");
    failed
}
