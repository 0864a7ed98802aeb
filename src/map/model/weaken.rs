//! That the models can fail: each ordering and each rule left out, one at a time.

use std::env;
use std::process::Command;

use super::order::{LEAVE_OUT, ORDERINGS, RULES};

#[test]
fn a_model_fails_with_any_one_ordering_or_rule_left_out() {
    if env::var_os(LEAVE_OUT).is_some() {
        return;
    }
    // Shuttle knows no orderings.
    let orderings = if cfg!(shuttle) { &[][..] } else { ORDERINGS };
    let mut unneeded = Vec::new();
    println!("| left out | models that fail | the first of them |\n|---|---|---|");
    for name in orderings.iter().chain(RULES) {
        let mut models = Command::new(env::current_exe().unwrap());
        models.env(LEAVE_OUT, name).args(["map_model::", "--skip", "weaken", "--skip", "word"]);
        let output = models.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let is_failed = |line: &&str| line.starts_with("test ") && line.ends_with("... FAILED");
        let failed: Vec<_> = text.lines().filter(is_failed).collect();
        let first = failed.iter().min().and_then(|line| line.split_whitespace().nth(1));
        let first = first.and_then(|path| path.rsplit("::").next()).unwrap_or_default();
        println!("| {name} | {} | {first} |", failed.len());
        if output.status.success() || failed.is_empty() {
            unneeded.push(*name);
        }
    }
    assert!(unneeded.is_empty(), "no model fails without {unneeded:?}");
}
