//! `rm`: ends sessions for every request.

use cloakroom::blocking::wait;
use cloakroom::{Access, Calling, Hold, Inventory, Key, OpenRequest};
use serde::Serialize;

use super::target::{self, Target};
use crate::Verdict;
use crate::args::Format;
use crate::args::operate::RmArgs;
use crate::driver::OperationError;
use crate::error::CliError;
use crate::interrupt;
use crate::report::json;
use crate::report::output::{complain, say};
use crate::store_url::Task;
use crate::units::grouped;

/// Ends the named sessions.
pub fn run(args: &RmArgs) -> Result<Verdict, CliError> {
    super::open(&args.store)?.with(args)
}

impl Task for &RmArgs {
    type Output = Result<Verdict, CliError>;

    fn run<S: Inventory + Clone>(self, store: &S) -> Self::Output {
        let mut tally = Tally { dry_run: self.dry_run, ..Tally::default() };
        let note = |tally: &Tally| {
            interrupt::at_end_say(&format!("note: interrupted: {}", tally.text()));
        };
        note(&tally);
        for target in target::all(&self.sessions, &self.namespace) {
            let target = target?;
            match self.end(store, &target) {
                Ok(End::Ended) => tally.ended += 1,
                Ok(End::Expired(key)) => {
                    tally.expired += 1;
                    complain(&format!("note: session {key} has expired; the sweep removes it"));
                }
                Ok(End::Absent) => {
                    tally.absent += 1;
                    complain(&format!("note: no session {}", target.name()));
                }
                Err(error) => {
                    tally.failed += 1;
                    complain(&format!("note: {error}"));
                }
            }
            note(&tally);
        }
        tally.print(self.format)?;
        Ok(Verdict::of(tally.absent + tally.failed == 0))
    }
}

impl RmArgs {
    fn end<S: Inventory>(&self, store: &S, target: &Target) -> Result<End, OperationError> {
        let found = target.find(|key| {
            let looked = wait(store.look(key, Calling::Blocking));
            looked.map(|found| found.map(|look| (*key, look.expired)))
        })?;
        let key = match found {
            None => return Ok(End::Absent),
            Some((key, true)) => return Ok(End::Expired(key)),
            Some((_, false)) if self.dry_run => return Ok(End::Ended),
            Some((key, false)) => key,
        };
        // Opened without the lock: the end takes it for itself, and meets no later life.
        let request = OpenRequest::new(Access::Optimistic, Calling::Blocking).wait(self.wait);
        let mut hold = wait(store.open(&key, request))?;
        if hold.record().is_none() {
            return Ok(End::Absent);
        }
        wait(hold.destroy())?;
        Ok(End::Ended)
    }
}

/// What became of a session.
enum End {
    Ended,
    Expired(Key),
    Absent,
}

/// What was done.
#[derive(Default, Serialize)]
struct Tally {
    dry_run: bool,
    ended: u64,
    expired: u64,
    absent: u64,
    failed: u64,
}

impl Tally {
    fn print(&self, format: Format) -> Result<(), CliError> {
        match format {
            Format::Json => json::print(self),
            Format::Table => say(&format!("{}\n", self.text())),
        }
    }

    fn text(&self) -> String {
        let Self { dry_run, ended, expired, absent, failed } = self;
        let mut text = match dry_run {
            true => format!("{} would be ended", grouped(*ended)),
            false => format!("{} ended", grouped(*ended)),
        };
        for (count, what) in
            [(expired, "expired before"), (absent, "not there"), (failed, "failed")]
        {
            if *count > 0 {
                text.push_str(&format!(", {} {what}", grouped(*count)));
            }
        }
        text
    }
}
