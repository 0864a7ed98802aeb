//! What a copy did.

use std::fmt::Display;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::args::Format;
use crate::args::operate::CopyArgs;
use crate::error::CliError;
use crate::operate::trouble::Trouble;
use crate::report::json;
use crate::report::output::{complain, say};
use crate::units::{counted, grouped, human};

/// What one pass did and found.
#[derive(Default, Serialize)]
pub struct Tally {
    /// Sessions that stand in FROM, expired ones included.
    #[serde(rename = "sessions")]
    pub seen: u64,
    /// Those that are over and wait for the sweep.
    pub expired: u64,
    /// New in TO.
    pub copied: u64,
    /// Replaced in TO by a later state.
    pub caught_up: u64,
    /// Ended in TO because they ended in FROM.
    pub ended_in_from: u64,
    /// Compared and found as they were copied.
    pub verified: u64,
    /// Committed in TO since they were copied.
    #[serde(rename = "went_on_in_to")]
    pub went_on: u64,
    /// Ended in TO since they were copied.
    pub ended_in_to: u64,
    /// In TO another session stands under their key.
    #[serde(rename = "other_in_to")]
    pub other_life: u64,
    /// Neither as they were copied nor later.
    pub different: u64,
    /// Left for the next pass: in use in TO for too long, or unreadable at that moment.
    pub failed: u64,
    /// What else was found in FROM.
    #[serde(flatten)]
    pub trouble: Trouble,
}

impl Tally {
    /// How many sessions changed since they were last looked at.
    pub const fn carried(&self) -> u64 {
        self.copied + self.caught_up
    }

    /// Counts a session that is left for the next pass, and names the first few.
    pub fn fail(&mut self, error: &dyn Display) {
        self.failed += 1;
        name(self.failed, error);
    }

    /// Counts a copy that is not as it should be, and names the first few.
    pub fn differ(&mut self, error: &dyn Display) {
        self.different += 1;
        name(self.different, error);
    }
}

fn name(count: u64, error: &dyn Display) {
    if count <= NAMED {
        complain(&format!("note: {error}"));
    }
}

/// What all passes did, and what the last one found.
#[derive(Serialize)]
pub struct Report {
    from: String,
    to: String,
    passes: u32,
    seconds: f64,
    /// Whether each session of FROM that can be read is in TO, as of its copy or later, or ended.
    complete: bool,
    #[serde(flatten)]
    tally: Tally,
}

impl Report {
    /// The report of what `work` does.
    pub fn of(
        args: &CopyArgs,
        work: impl FnOnce(&mut Self) -> Result<(), CliError>,
    ) -> Result<Self, CliError> {
        let begun = Instant::now();
        let mut report = Self {
            from: args.from.to_string(),
            to: args.to.to_string(),
            passes: 0,
            seconds: 0.0,
            complete: false,
            tally: Tally::default(),
        };
        work(&mut report)?;
        let Tally { different, failed, trouble, .. } = &report.tally;
        report.complete = different + failed + trouble.unreadable == 0;
        report.seconds = begun.elapsed().as_secs_f64();
        Ok(report)
    }

    /// Adds a pass.
    pub fn add(&mut self, pass: Tally) {
        self.passes += 1;
        let before = std::mem::replace(&mut self.tally, pass);
        self.tally.copied += before.copied;
        self.tally.caught_up += before.caught_up;
        self.tally.ended_in_from += before.ended_in_from;
    }

    /// How many there were.
    pub const fn passes(&self) -> u32 {
        self.passes
    }

    /// Whether each session of FROM that can be read is in TO, as of its copy or later, or ended.
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether each session of FROM could be read.
    pub const fn is_whole(&self) -> bool {
        self.tally.trouble.hidden() == 0
    }

    /// Prints it.
    pub fn print(&self, format: Format) -> Result<(), CliError> {
        match format {
            Format::Json => json::print(self),
            Format::Table => say(&self.text()),
        }
    }

    fn text(&self) -> String {
        let Self { from, to, passes, seconds, complete, tally } = self;
        let mut text = format!(
            "{from} to {to}: {}, {passes} passes in {}\n",
            counted(tally.seen, "session", "sessions"),
            human(Duration::from_secs_f64(*seconds))
        );
        for (count, what) in [
            (tally.copied, "copied"),
            (tally.caught_up, "caught up with what changed since"),
            (tally.ended_in_from, "ended, as they ended in FROM since"),
            (tally.verified, "compared: as they were copied"),
            (tally.went_on, "went on in TO since they were copied, and were left alone"),
            (tally.ended_in_to, "ended in TO since they were copied, and stay so"),
            (tally.other_life, "left alone, as TO has a session of its own of that key"),
            (tally.expired, "expired, not copied"),
            (tally.trouble.damaged, "DAMAGED in FROM, not copied"),
            (tally.trouble.unreadable, "UNREADABLE in FROM"),
            (tally.failed, "NOT COPIED"),
            (tally.different, "NOT AS THEY WERE COPIED"),
        ] {
            if count > 0 {
                text.push_str(&format!("{:>12} {what}\n", grouped(count)));
            }
        }
        if *complete && !self.is_whole() {
            text.push_str(
                "The copy is complete but for these. `cloakroom verify` names what is damaged in FROM.\n",
            );
        } else if *complete {
            text.push_str(
                "The copy is complete as of now. The same command carries over what changes in FROM \
                 from now on.\n",
            );
        }
        text
    }
}

/// More than so many are only counted.
const NAMED: u64 = 3;
