//! The verdict: what must be true of the runs.

use super::overlap::overlaps;
use crate::bench::{Finished, Tally};
use crate::mode::Mode;
use crate::report::json::Stress;
use crate::units::grouped;

/// The trial and what it has shown so far.
pub struct Trial {
    /// The runs judged so far.
    pub finished: Vec<Finished>,
    /// What was not as it must be.
    pub violations: Vec<String>,
    /// Exclusive holds whose time stamps were compared.
    pub holds_checked: u64,
    /// Those that began before an earlier one had ended.
    pub overlaps: u64,
    /// Operations of each process under the access that was tried first.
    pub shares: Vec<u64>,
    seed: u64,
}

impl Trial {
    /// The trial of this seed; nothing shown yet.
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            finished: Vec::new(),
            violations: Vec::new(),
            holds_checked: 0,
            overlaps: 0,
            shares: Vec::new(),
        }
    }

    /// Judges one run, given also the tally of each process.
    pub fn judge(&mut self, finished: Finished, tallies: &[Tally]) {
        let Finished { mode, lost, ref tally, .. } = finished;
        let mut violated = |text: String| self.violations.push(text);
        if tally.errors > 0 {
            violated(format!("{mode}: {} operation(s) failed", grouped(tally.errors)));
        }
        if mode.may_lose() && lost == 0 {
            violated(format!(
                "the control {mode} lost nothing, so this load could not have shown a loss; \
                 raise --processes, --clients or --seconds"
            ));
        }
        if !mode.may_lose() && lost > 0 {
            violated(format!("{mode}: {} update(s) lost", grouped(lost)));
        }
        if mode == Mode::Exclusive {
            let mut holds = tally.holds.clone();
            self.overlaps = overlaps(&mut holds);
            self.holds_checked = holds.len() as u64;
            if self.overlaps > 0 {
                let overlaps = grouped(self.overlaps);
                violated(format!("{mode}: two held the session at once, {overlaps} time(s)"));
            }
            if holds.len() < 2 {
                violated(format!("{mode}: fewer than two holds, nothing could be compared"));
            }
        }
        if self.finished.is_empty() {
            self.shares = tallies.iter().map(|tally| tally.operations).collect();
        }
        self.finished.push(finished);
    }

    /// How many exclusive holds there were.
    pub fn holds(&self) -> u64 {
        self.finished
            .iter()
            .filter(|run| run.mode == Mode::Exclusive)
            .map(|run| run.tally.operations)
            .sum()
    }

    /// Whether everything is as it must be.
    pub const fn passed(&self) -> bool {
        self.violations.is_empty()
    }

    /// The verdict for programs.
    pub fn verdict(&self) -> Stress {
        Stress {
            passed: self.passed(),
            violations: self.violations.clone(),
            seed: self.seed,
            holds: self.holds(),
            holds_checked: self.holds_checked,
            overlaps: self.overlaps,
            shares: self.shares.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::args::Api;
    use crate::bench::Setting;

    fn finished(mode: Mode, lost: u64, tally: Tally) -> Finished {
        let setting = Setting {
            pattern: "contend",
            processes: 2,
            clients: 1,
            sessions: 1,
            payload: 256,
            handler: Duration::ZERO,
            skew: None,
            writes: None,
            rate: None,
            warmup: Duration::ZERO,
            api: Api::Bytes,
        };
        Finished::new("memory:".to_owned(), mode, &setting, [(tally, lost)])
    }

    fn holding(holds: &[(u64, u64)]) -> Tally {
        Tally { holds: holds.to_vec(), ..Tally::new() }
    }

    fn verdict(mode: Mode, lost: u64, tally: Tally) -> Vec<String> {
        let mut trial = Trial::new(1);
        trial.judge(finished(mode, lost, tally), &[]);
        trial.violations
    }

    #[test]
    fn a_broken_lock_fails_the_trial() {
        let kept = holding(&[(1, 2), (3, 4)]);
        assert_eq!(verdict(Mode::Exclusive, 0, kept), Vec::<String>::new());
        let broken = verdict(Mode::Exclusive, 0, holding(&[(1, 3), (2, 4)]));
        assert!(broken.concat().contains("two held the session at once"), "{broken:?}");
    }

    #[test]
    fn a_lost_update_fails_the_trial() {
        let broken = verdict(Mode::Exclusive, 1, holding(&[(1, 2), (3, 4)]));
        assert!(broken.concat().contains("1 update(s) lost"), "{broken:?}");
        assert_eq!(verdict(Mode::Optimistic, 7, Tally::new()).len(), 1);
        assert!(verdict(Mode::Optimistic, 0, Tally::new()).is_empty());
    }

    #[test]
    fn a_control_that_loses_nothing_fails_the_trial() {
        let broken = verdict(Mode::LastWriteWins, 0, Tally::new());
        assert!(broken.concat().contains("could not have shown a loss"), "{broken:?}");
        assert!(verdict(Mode::LastWriteWins, 5, Tally::new()).is_empty());
    }

    #[test]
    fn failed_operations_and_missing_time_stamps_fail_the_trial() {
        assert_eq!(verdict(Mode::Optimistic, 0, Tally { errors: 1, ..Tally::new() }).len(), 1);
        assert_eq!(verdict(Mode::Exclusive, 0, Tally::new()).len(), 1);
    }
}
