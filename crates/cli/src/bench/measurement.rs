//! One measurement: the books are opened, the clients run, the books are checked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::plan::{Limit, Plan};
use super::sessions::Prepared;
use super::tally::{Ledger, Tally};
use super::workload::Workload;
use super::{ajax, steady};
use crate::driver::{Driver, Ticket};
use crate::error::CliError;
use crate::interrupt;
use crate::processes;
use crate::progress;

/// What one measurement has shown.
pub struct Measured {
    /// What happened.
    pub tally: Tally,
    /// Acknowledged increments that are gone.
    pub lost: u64,
    /// What happened in each process.
    pub of_processes: Vec<Tally>,
}

/// Runs the plan in as many processes as it wants, and checks the books afterwards.
pub fn measure(label: &str, prepared: &Prepared, plan: Plan) -> Result<Measured, CliError> {
    let before = prepared.sum_of_counters()?;
    let of_processes = if plan.processes > 1 {
        processes::run(label, plan)?
    } else {
        let done = AtomicU64::new(0);
        let tally = watched(label, &plan, &done, || {
            run_here(&*prepared.driver, &plan, &prepared.tickets, &done)
        })?;
        vec![tally]
    };
    interrupt::check()?;
    let mut tally = Tally::new();
    for of_process in &of_processes {
        tally.add(of_process.clone());
    }
    let after = prepared.sum_of_counters()?;
    let ledger = Ledger { before, acknowledged: tally.acknowledged, after };
    let lost = ledger.lost() + tally.churned.lost;
    Ok(Measured { tally, lost, of_processes })
}

/// Runs the plan in this process; `done` counts operations while they run.
pub fn run_here(
    driver: &dyn Driver,
    plan: &Plan,
    tickets: &[Ticket],
    done: &AtomicU64,
) -> Result<Tally, CliError> {
    match plan.workload {
        Workload::Steps(blend) => steady::run(driver, plan, blend, tickets, done),
        Workload::Pages => ajax::run(driver, plan, tickets, done),
    }
}

/// Does the `work` of a plan while a bar shows how far it is.
pub fn watched<T>(label: &str, plan: &Plan, done: &AtomicU64, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match plan.limit {
        Limit::Time(time) => progress::during(
            label,
            millis(plan.warmup + time),
            move || millis(begun.elapsed()),
            work,
        ),
        Limit::Operations(all) => {
            progress::during(label, all, || done.load(Ordering::Relaxed), work)
        }
    }
}
