//! `bench`: access patterns on every store with every access, in rounds, to be saved and compared.

mod ajax;
mod churn;
mod client;
mod command;
mod compare;
mod measurement;
mod pace;
mod plan;
mod rounds;
mod saved;
mod sessions;
mod steady;
mod suite;
mod summary;
mod table;
mod tally;
mod workload;
mod zipf;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::Verdict;
use crate::args::{BenchArgs, Format, Pattern, Patterns};
use crate::driver::{self, Driver};
use crate::error::CliError;
use crate::mode::Mode;
use crate::report::json::{BenchRun, Document};
use crate::report::output;
use crate::store_url::Place;

use self::saved::Saved;
use self::suite::Suite;

pub use self::churn::Churned;
pub use self::measurement::{Measured, measure, run_here, watched};
pub use self::plan::{Handler, Limit, Plan};
pub use self::saved::SavedError;
pub use self::sessions::Prepared;
pub use self::summary::{Finished, Setting};
pub use self::tally::{Ledger, Tally};
pub use self::workload::{Blend, Workload};

/// Runs `bench`.
pub fn run(args: &BenchArgs) -> Result<Verdict, CliError> {
    let load = |file| Ok::<_, CliError>((file, Saved::load(file)?));
    let old = args.compare.as_deref().map(load).transpose()?;
    if let (Some((file, old)), Some(with)) = (&old, &args.with) {
        return compare_saved(args, file, old, &Saved::load(with)?);
    }
    let suite = match &old {
        None => Suite::of(args),
        Some((file, old)) => Suite::again(&old.command, args).map_err(|e| e.in_file(file))?,
    };
    for store in &suite.stores {
        store.check_processes(suite.processes)?;
        store.check_offered(&suite.modes)?;
    }
    if let Some(file) = &args.save {
        Saved::check_savable(file)?;
    }
    note_unused(args);
    let finished = measure_suite(&suite, args.format)?;
    let new = Saved::of(&suite, &finished);
    if let Some(file) = &args.save {
        new.save(file)?;
    }
    let runs: Vec<_> = finished.iter().map(Finished::run).collect();
    report(args.format, &runs, old.as_ref().map(|(_, old)| (old, &new)))?;
    Ok(Verdict::of(finished.iter().all(Finished::kept)))
}

/// Measures one pattern after another. People see the table of each as soon as it is there.
fn measure_suite(suite: &Suite, format: Format) -> Result<Vec<Finished>, CliError> {
    let mut all = Vec::new();
    let mut begun = 0;
    let patterns = suite.patterns();
    for (number, pattern) in patterns.iter().enumerate() {
        let setting = suite.setting(*pattern);
        let finished = measure_pattern(suite, *pattern, &setting, &mut begun)?;
        finished.iter().for_each(Finished::complain);
        match format {
            Format::Table => {
                let mut text = table::text(&setting, &finished);
                let last = number + 1 == patterns.len();
                text.push_str(&if last { table::legend(&setting) } else { "\n".to_owned() });
                output::say(&text)?;
            }
            Format::Json => {
                for warning in summary::warnings(&finished) {
                    output::complain(&format!("warning: {warning}"));
                }
            }
        }
        all.extend(finished);
    }
    Ok(all)
}

/// Measures every access on every store once per round, so that what changes on the machine
/// meanwhile meets all of them.
fn measure_pattern(
    suite: &Suite,
    pattern: Pattern,
    setting: &Setting,
    begun: &mut usize,
) -> Result<Vec<Finished>, CliError> {
    let everybody = setting.processes * setting.clients;
    let lock_wait = driver::lock_wait(setting.handler * everybody);
    let mut stands = Vec::new();
    for store in &suite.stores {
        let place = Place::open(store)?;
        let driver = place.driver(setting.api, lock_wait);
        stands.push(Stand { prepared: prepare(&place, driver, pattern, setting)?, place });
    }
    let of_stand = |stand: &'_ Stand| suite.modes(pattern, &stand.place.url);
    let runs: Vec<_> = stands
        .iter()
        .flat_map(|stand| of_stand(stand).into_iter().map(move |mode| (stand, mode)))
        .collect();
    let mut rounds: Vec<Vec<_>> = runs.iter().map(|_| Vec::new()).collect();
    for round in 0..suite.rounds {
        for ((stand, mode), rounds) in runs.iter().zip(&mut rounds) {
            *begun += 1;
            let url = &stand.place.url;
            let label =
                format!("{begun} of {}: {} {mode} {url}", suite.measurements(), setting.pattern);
            let plan = plan(suite, pattern, setting, stand, *mode, round, lock_wait);
            let Measured { tally, lost, .. } = measure(&label, &stand.prepared, plan)?;
            rounds.push((tally, lost));
        }
    }
    let finished = runs.iter().zip(rounds).map(|((stand, mode), rounds)| {
        Finished::new(stand.place.url.to_string(), *mode, setting, rounds)
    });
    Ok(finished.collect())
}

/// A store, and the sessions in it. These are dropped first.
struct Stand {
    prepared: Prepared,
    place: Place,
}

fn prepare(
    place: &Place,
    driver: Arc<dyn Driver>,
    pattern: Pattern,
    setting: &Setting,
) -> Result<Prepared, CliError> {
    // The sessions of `churn` are born while it runs.
    let sessions = if pattern == Pattern::Churn { 0 } else { setting.sessions };
    Prepared::create(place, driver, sessions, setting.payload)
}

fn plan(
    suite: &Suite,
    pattern: Pattern,
    setting: &Setting,
    stand: &Stand,
    mode: Mode,
    round: u32,
    lock_wait: Duration,
) -> Plan {
    Plan {
        store: stand.place.resolved.clone(),
        api: setting.api,
        mode,
        workload: suite.workload(pattern),
        run: stand.prepared.run.clone(),
        sessions: setting.sessions,
        process: 0,
        processes: setting.processes,
        clients: setting.clients,
        payload: setting.payload,
        handler: Handler::Fixed(setting.handler),
        limit: suite.limit,
        warmup: setting.warmup,
        rate: setting.rate,
        seed: SEED + u64::from(round),
        lock_wait,
        holds_timed: 0,
    }
}

fn compare_saved(
    args: &BenchArgs,
    file: &Path,
    old: &Saved,
    new: &Saved,
) -> Result<Verdict, CliError> {
    let asked = Suite::again(&old.command, args).map_err(|error| error.in_file(file))?;
    let same = Suite::of_saved(&new.command).and_then(|suite| asked.check_same(&suite));
    same.map_err(|error| error.in_file(file))?;
    report(args.format, &[], Some((old, new)))?;
    Ok(Verdict::Kept)
}

fn report(
    format: Format,
    runs: &[BenchRun],
    compared: Option<(&Saved, &Saved)>,
) -> Result<(), CliError> {
    let comparison = compared.map(|(old, new)| (old, new, compare::compare(old, new)));
    match (format, &comparison) {
        (Format::Table, None) => Ok(()),
        (Format::Table, Some((old, new, comparison))) => {
            let gap = if runs.is_empty() { "" } else { "\n" };
            output::say(&format!("{gap}{}", compare::text(old, new, comparison)))
        }
        (Format::Json, None) => Document::new(runs).print(),
        (Format::Json, Some((old, new, comparison))) => {
            for note in compare::notes(old, new) {
                output::complain(&format!("note: {note}"));
            }
            Document::new(runs).compared(comparison).print()
        }
    }
}

/// Says which arguments make no difference.
fn note_unused(args: &BenchArgs) {
    let Some(Patterns::One(pattern)) = args.pattern else {
        return;
    };
    let popular = matches!(pattern, Pattern::Zipf | Pattern::ReadMostly | Pattern::Mixed);
    let mostly = matches!(pattern, Pattern::ReadMostly | Pattern::Mixed);
    let unused = [
        (args.sessions.is_some_and(|n| n != 1) && pattern == Pattern::Hot, "--sessions"),
        (args.skew.is_some() && !popular, "--skew"),
        (args.writes.is_some() && !mostly, "--writes"),
    ];
    for (_, name) in unused.iter().filter(|(unused, _)| *unused) {
        output::complain(&format!("note: `{}` makes no use of {name}", pattern.name()));
    }
}

/// Runs of the same command choose the same sessions, and each round others.
const SEED: u64 = 1;
