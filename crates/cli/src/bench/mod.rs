//! `bench`: an access pattern on every store with every access.

mod ajax;
mod client;
mod plan;
mod sessions;
mod steady;
mod summary;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Verdict;
use crate::args::{Api, BenchArgs, Format, Pattern};
use crate::driver::{self, Driver, Ticket};
use crate::error::CliError;
use crate::mode::Mode;
use crate::processes;
use crate::progress;
use crate::report::json::Document;
use crate::report::output;
use crate::store_url::{Place, StoreUrl};

pub use self::plan::{Handler, Ledger, Limit, Plan, Tally};
pub use self::sessions::Prepared;
pub use self::summary::{Finished, Setting};

/// Runs `bench`.
pub fn run(args: &BenchArgs) -> Result<Verdict, CliError> {
    let stores = match args.store.as_slice() {
        [] => &[StoreUrl::File(None)],
        stores => stores,
    };
    for store in stores {
        store.check_processes(args.processes)?;
    }
    let modes = match args.access.as_slice() {
        [] => &DEFAULT_MODES,
        modes => modes,
    };
    let setting = setting(args);
    let everybody = setting.processes * setting.clients;
    let lock_wait = driver::lock_wait(args.handler * everybody);
    let mut finished = Vec::new();
    for store in stores {
        let place = Place::open(store)?;
        let driver = place.driver(args.api, lock_wait);
        for mode in modes {
            driver::check_offered(&*driver, *mode)?;
        }
        let prepared = Prepared::create(&place, driver, setting.sessions, setting.payload)?;
        for mode in modes {
            let plan = plan(args, &setting, &prepared, &place, *mode, lock_wait);
            finished.push(measure(&place, &prepared, &setting, plan)?.0);
        }
    }
    report(args, &setting, &finished)
}

/// Runs the plan in as many processes as it wants, and checks the books afterwards. Also returns
/// the tally of each process.
pub fn measure(
    place: &Place,
    prepared: &Prepared,
    setting: &Setting,
    plan: Plan,
) -> Result<(Finished, Vec<Tally>), CliError> {
    let mode = plan.mode;
    let before = prepared.sum_of_counters()?;
    let label = format!("{} {mode} {}", setting.pattern, place.url);
    let tallies = if plan.processes > 1 {
        processes::run(&label, plan.of_processes())?
    } else {
        let done = AtomicU64::new(0);
        watched(&label, plan.limit, &done, || {
            run_here(&*prepared.driver, &plan, &prepared.tickets, &done)
        })
        .map(|tally| vec![tally])?
    };
    let mut tally = Tally::new();
    for of_process in &tallies {
        tally.add(of_process.clone());
    }
    let after = prepared.sum_of_counters()?;
    let ledger = Ledger { before, acknowledged: tally.acknowledged, after };
    let finished = Finished::new(place.url.to_string(), mode, setting, tally, ledger.lost());
    finished.complain();
    Ok((finished, tallies))
}

/// Runs the plan in this process; `done` counts operations while they run.
pub fn run_here(
    driver: &dyn Driver,
    plan: &Plan,
    tickets: &[Ticket],
    done: &AtomicU64,
) -> Result<Tally, CliError> {
    match plan.pattern {
        Pattern::Hot | Pattern::Spread => steady::run(driver, plan, tickets, done),
        Pattern::Ajax => ajax::run(driver, plan, tickets, done),
    }
}

/// Does `work` while a bar shows how far it is on its way to `limit`.
pub fn watched<T>(label: &str, limit: Limit, done: &AtomicU64, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match limit {
        Limit::Time(time) => {
            progress::during(label, millis(time), move || millis(begun.elapsed()), work)
        }
        Limit::Operations(all) => {
            progress::during(label, all, || done.load(Ordering::Relaxed), work)
        }
    }
}

fn setting(args: &BenchArgs) -> Setting {
    let sessions = match args.pattern {
        Pattern::Hot => 1,
        Pattern::Spread => args.sessions.unwrap_or(1_000),
        Pattern::Ajax => args.sessions.unwrap_or(100),
    };
    if args.sessions.is_some_and(|asked| asked != sessions) {
        output::complain("note: `hot` has one session; --sessions is not used");
    }
    Setting {
        pattern: match args.pattern {
            Pattern::Hot => "hot",
            Pattern::Spread => "spread",
            Pattern::Ajax => "ajax",
        },
        processes: args.processes,
        clients: args.clients,
        sessions,
        payload: args.payload,
        handler: args.handler,
    }
}

fn plan(
    args: &BenchArgs,
    setting: &Setting,
    prepared: &Prepared,
    place: &Place,
    mode: Mode,
    lock_wait: Duration,
) -> Plan {
    Plan {
        store: place.resolved.clone(),
        api: args.api,
        mode,
        pattern: args.pattern,
        run: prepared.run.clone(),
        sessions: setting.sessions,
        process: 0,
        processes: setting.processes,
        clients: setting.clients,
        handler: Handler::Fixed(setting.handler),
        limit: args.operations.map_or_else(
            || Limit::Time(args.seconds.unwrap_or(SECONDS_DEFAULT)),
            Limit::Operations,
        ),
        seed: SEED,
        lock_wait,
        holds_timed: 0,
    }
}

fn report(args: &BenchArgs, setting: &Setting, finished: &[Finished]) -> Result<Verdict, CliError> {
    match args.format {
        Format::Table => output::say(&summary::table(setting, args.api, finished))?,
        Format::Json => {
            let runs: Vec<_> = finished.iter().map(Finished::run).collect();
            Document::new(&runs).print()?;
        }
    }
    Ok(Verdict::of(finished.iter().all(Finished::kept)))
}

impl Api {
    /// The name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Bytes => "bytes",
        }
    }
}

/// Compared unless other accesses are asked for: the three that keep every update, and the
/// control.
const DEFAULT_MODES: [Mode; 4] =
    [Mode::Exclusive, Mode::Released, Mode::Optimistic, Mode::LastWriteWins];

const SECONDS_DEFAULT: Duration = Duration::from_secs(2);

/// Runs of the same command choose the same sessions.
const SEED: u64 = 1;
