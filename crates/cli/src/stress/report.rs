//! The outcome for people.

use super::trial::Trial;
use super::{HANDLER_MAX, StressArgs};
use crate::bench::Setting;
use crate::machine::Machine;
use crate::mode::Mode;
use crate::report::table::{Figures, wrapped};
use crate::units::{counted, grouped, human};

/// The page for people.
pub fn text(trial: &Trial, setting: &Setting, args: &StressArgs) -> String {
    let mut text = wrapped(&format!(
        "stress contend: {} of {} on one session in {}, handlers of 0 to {}, {} for each \
         access, seed {}",
        counted(setting.processes, "process", "processes"),
        counted(setting.clients, "client", "clients"),
        args.store,
        human(HANDLER_MAX),
        human(args.seconds),
        args.seed,
    ));
    text.push('\n');
    let header =
        ["access", "operations", "per second", "worst wait", "conflicts", "lost", "failed"];
    let mut table = Figures::new(1, &header);
    for run in &trial.finished {
        table.row(vec![
            run.mode.to_string(),
            grouped(run.tally.operations),
            grouped(run.rate().median().round() as u64),
            human(run.tally.lock_wait.max()),
            grouped(run.tally.conflicts),
            grouped(run.lost),
            grouped(run.tally.errors),
        ]);
    }
    text.push_str(&table.text());
    text.push('\n');
    let locked = trial.finished.iter().any(|run| run.mode == Mode::Exclusive);
    if locked {
        text.push_str(&format!(
            "exclusive: {} of {} holds compared, {} overlapped\n",
            grouped(trial.holds_checked),
            grouped(trial.holds()),
            grouped(trial.overlaps),
        ));
    }
    if let Some(first) = trial.finished.first() {
        text.push_str(&shares_text(first.mode, &trial.shares));
    }
    text.push_str(&Machine::here().line());
    text.push_str("\n\n");
    if trial.passed() {
        let kept = if locked {
            "exclusive and optimistic lost nothing, nobody shared the lock"
        } else {
            "optimistic lost nothing without any lock"
        };
        text.push_str(&wrapped(&format!(
            "PASSED: {kept}, and the control shows that this load loses updates where nothing \
             prevents it.",
        )));
    }
    for violation in &trial.violations {
        text.push_str(&format!("FAILED: {violation}\n"));
    }
    text
}

/// How the processes shared the session.
fn shares_text(mode: Mode, shares: &[u64]) -> String {
    let (Some(min), Some(max)) = (shares.iter().min(), shares.iter().max()) else {
        return String::new();
    };
    if shares.len() < 2 {
        return String::new();
    }
    let mean = shares.iter().sum::<u64>() as f64 / shares.len() as f64;
    let part = |share: u64| if mean > 0.0 { share as f64 / mean } else { 0.0 };
    format!(
        "{mode}: operations per process {} on average, fewest {} ({:.2}x), most {} ({:.2}x)\n",
        grouped(mean.round() as u64),
        grouped(*min),
        part(*min),
        grouped(*max),
        part(*max),
    )
}
