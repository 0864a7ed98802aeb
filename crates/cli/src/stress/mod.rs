//! `stress contend`: all clients fight for one session.
//!
//! Two accesses must keep every update, and under the exclusive one, where the store has it, no two
//! may be inside at once. The control, `last-write-wins`, must lose updates under the very same load: if it does
//! not, the load was too weak for the trial to mean anything, and the verdict says so.

mod overlap;
mod report;
mod trial;

use std::time::Duration;

use cloakroom::limits;

use crate::Verdict;
use crate::args::{Api, Format, StressArgs};
use crate::bench::{
    self, Blend, Finished, Handler, Limit, Measured, Plan, Prepared, Setting, Workload,
};
use crate::error::CliError;
use crate::mode::Mode;
use crate::report::json::Document;
use crate::report::output;
use crate::store_url::{Place, StoreUrl};

use self::trial::Trial;

/// Runs `stress contend`.
pub fn run(args: &StressArgs) -> Result<Verdict, CliError> {
    let processes = args.processes.unwrap_or(match args.store {
        StoreUrl::Memory => 1,
        StoreUrl::Directory(..) => PROCESSES_DEFAULT,
    });
    args.store.check_processes(processes)?;
    if processes * args.clients < 2 {
        return Err(CliError::NobodyToContend);
    }
    let setting = Setting {
        pattern: "contend",
        processes,
        clients: args.clients,
        sessions: 1,
        payload: PAYLOAD,
        handler: HANDLER_MAX / 2,
        skew: None,
        writes: None,
        rate: None,
        warmup: Duration::ZERO,
        api: Api::Bytes,
    };
    let place = Place::open(&args.store)?;
    let driver = place.driver(setting.api, limits::LOCK_WAIT);
    let prepared = Prepared::create(&place, driver, setting.sessions, setting.payload)?;
    let mut trial = Trial::new(args.seed);
    for mode in args.store.offered(&MODES) {
        let plan = plan(args, &setting, &prepared, &place, mode);
        let label = format!("{} {mode} {}", setting.pattern, place.url);
        let Measured { tally, lost, of_processes } = bench::measure(&label, &prepared, plan)?;
        let url = place.url.to_string();
        let finished = Finished::new(url, mode, &setting, [(tally, lost)]);
        finished.complain();
        trial.judge(finished, &of_processes);
    }
    match args.format {
        Format::Table => output::say(&report::text(&trial, &setting, args))?,
        Format::Json => {
            let runs: Vec<_> = trial.finished.iter().map(Finished::run).collect();
            Document::new(&runs).stress(trial.verdict()).print()?;
        }
    }
    Ok(Verdict::of(trial.passed()))
}

fn plan(
    args: &StressArgs,
    setting: &Setting,
    prepared: &Prepared,
    place: &Place,
    mode: Mode,
) -> Plan {
    let everybody = (setting.processes * setting.clients) as usize;
    Plan {
        store: place.resolved.clone(),
        api: setting.api,
        mode,
        workload: Workload::Steps(Blend::Hot),
        run: prepared.run.clone(),
        sessions: setting.sessions,
        process: 0,
        processes: setting.processes,
        clients: setting.clients,
        payload: setting.payload,
        handler: Handler::Random(HANDLER_MAX),
        limit: Limit::Time(args.seconds),
        warmup: setting.warmup,
        rate: setting.rate,
        seed: args.seed,
        lock_wait: limits::LOCK_WAIT,
        holds_timed: if mode == Mode::Exclusive { HOLDS_TIMED_MAX / everybody } else { 0 },
    }
}

/// The two that must lose nothing, and the control. Where there are no locks the first is left out.
const MODES: [Mode; 3] = [Mode::Exclusive, Mode::Optimistic, Mode::LastWriteWins];

const PROCESSES_DEFAULT: u32 = 4;

const PAYLOAD: usize = 256;

/// Long enough that a handler is interrupted by others, short enough for many holds.
const HANDLER_MAX: Duration = Duration::from_micros(100);

/// How many holds are compared: 16 MB of time stamps, minutes of holds.
const HOLDS_TIMED_MAX: usize = 1_000_000;
