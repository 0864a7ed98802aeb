//! `sweep`: removes expired sessions and what killed processes left.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use cloakroom::blocking::wait;
use cloakroom::{Calling, Depth, Found, Inventory, Store, SweepBudget};
use serde::Serialize;

use super::{failed, walk};
use crate::Verdict;
use crate::args::Format;
use crate::args::operate::SweepArgs;
use crate::error::CliError;
use crate::progress;
use crate::report::json;
use crate::report::output::{complain, say};
use crate::store_url::Task;
use crate::units::grouped;

/// Sweeps the store.
pub fn run(args: &SweepArgs) -> Result<Verdict, CliError> {
    super::open(&args.store)?.with(args)
}

impl Task for &SweepArgs {
    type Output = Result<Verdict, CliError>;

    fn run<S: Inventory + Clone>(self, store: &S) -> Self::Output {
        let budget = self.budget.unwrap_or(u64::MAX);
        let mut totals = if self.dry_run { count(store, budget)? } else { sweep(store, budget)? };
        totals.dry_run = self.dry_run;
        match self.format {
            Format::Json => json::print(&totals)?,
            Format::Table => say(&totals.text())?,
        }
        if totals.failed > 0 {
            complain(&format!(
                "note: {} could not be read or removed; `cloakroom verify {}` names what cannot be \
                 read, and whoever sweeps must be the user of the program",
                grouped(totals.failed),
                self.store
            ));
        }
        Ok(Verdict::of(totals.failed == 0))
    }
}

fn sweep<S: Store>(store: &S, budget: u64) -> Result<Totals, CliError> {
    let examined = AtomicU64::new(0);
    let total = if budget == u64::MAX { 0 } else { budget };
    progress::during(
        "sweep",
        total,
        || examined.load(Ordering::Relaxed),
        || {
            let mut totals = Totals::default();
            while totals.examined < budget && !totals.complete {
                let sessions = usize::try_from(budget - totals.examined).unwrap_or(STEP).min(STEP);
                let swept = wait(store.sweep(SweepBudget { sessions }, Calling::Blocking))
                    .map_err(failed("sweep the store"))?;
                totals.examined += swept.examined as u64;
                totals.removed += swept.removed as u64;
                totals.in_use += swept.in_use as u64;
                totals.failed += swept.failed as u64;
                totals.complete = swept.complete;
                examined.store(totals.examined, Ordering::Relaxed);
            }
            Ok(totals)
        },
    )
}

/// What a sweep would do.
fn count<S: Inventory>(store: &S, budget: u64) -> Result<Totals, CliError> {
    let mut totals = Totals { complete: true, ..Totals::default() };
    let gauge = walk::Gauge::new(store);
    gauge.during("sweep", || {
        // What killed processes left in a map store only a look at the whole of it shows.
        walk::pages(store, Depth::Whole, |page| {
            gauge.pass(store, page);
            for found in page {
                if totals.examined == budget {
                    totals.complete = false;
                    return Ok(ControlFlow::Break(()));
                }
                totals.examined += 1;
                match found {
                    Found::Session(session) => totals.removed += u64::from(session.expired),
                    Found::Leftover { .. } => totals.removed += 1,
                    Found::Damaged { .. } => {}
                    Found::Unreadable { .. } => totals.failed += 1,
                    _ => totals.examined -= 1,
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    })?;
    Ok(totals)
}

/// What was done.
#[derive(Default, Serialize)]
struct Totals {
    dry_run: bool,
    examined: u64,
    removed: u64,
    in_use: u64,
    failed: u64,
    /// Whether the end of the store was reached.
    complete: bool,
}

impl Totals {
    fn text(&self) -> String {
        let Self { dry_run, examined, removed, in_use, failed, complete } = self;
        let done = if *dry_run { "would be removed" } else { "removed" };
        let mut text = format!("{} examined, {} {done}", grouped(*examined), grouped(*removed));
        for (count, what) in [(in_use, "left, as they are in use"), (failed, "failed")] {
            if *count > 0 {
                text.push_str(&format!(", {} {what}", grouped(*count)));
            }
        }
        text.push_str(if *complete { "\n" } else { "; more of the store is left\n" });
        text
    }
}

/// Sessions between two looks at the progress.
const STEP: usize = 1_000;
