//! The traffic of a site, from the access log of its server: each client with its own session.

mod chosen;
mod clients;
mod date;
mod document;
mod fields;
mod line;
mod lines;
mod read;
mod report;
mod run;
mod suffered;
mod summary;
mod took;
mod traffic;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::input::Input;
use super::{ReplayError, modes, prepare};
use crate::Verdict;
use crate::args::{Format, ReplayArgs};
use crate::bench::Prepared;
use crate::error::CliError;
use crate::mode::Mode;
use crate::progress;
use crate::report::json::{Document, Run};
use crate::report::output;
use crate::units::human;

use self::chosen::Chosen;
use self::clients::Clients;
use self::read::{Rules, Tally};
use self::report::Subject;
use self::run::{Pace, Replayed};
use self::traffic::{Request, Traffic};

pub use self::clients::SessionBy;
pub use self::read::LogError;
pub use self::took::TimeUnit;

/// A log that was read.
struct Log {
    name: String,
    rules: Rules,
    clients: Clients,
    tally: Tally,
    read_for: Duration,
}

/// Replays a log, or only reads it.
pub fn run(args: &ReplayArgs, input: Input) -> Result<Verdict, CliError> {
    input.refuse(&[("--page", args.page.is_some())])?;
    let (log, requests) = Log::read(args, input)?;
    summary::complain(&log);
    if args.check {
        match args.format {
            Format::Table => output::say(&summary::text(&log))?,
            Format::Json => Document::new(&NO_RUNS).log(document::log(&log)).print()?,
        }
        return Ok(Verdict::Kept);
    }
    let pace = Pace { speed: args.speed, clients: args.clients.unwrap_or(CLIENTS) };
    let modes = modes::asked(args);
    let sessions = log.sessions()?;
    let traffic = Traffic::new(requests, log.tally.dated_at_end);
    check_span(&traffic, pace, modes.len())?;
    // Nobody waits for more than all other clients.
    let work = traffic.longest_work(pace.speed).saturating_mul(pace.clients);
    let (place, prepared) = prepare(args, work, sessions)?;
    let replayed = replay_all(&traffic, modes, pace, &prepared)?;
    let subject = Subject { log: &log, traffic: &traffic, pace, store: place.url.to_string() };
    match args.format {
        Format::Table => output::say(&report::text(&subject, &replayed))?,
        Format::Json => {
            Document::new(&document::runs(&subject, &replayed)).log(document::log(&log)).print()?
        }
    }
    Ok(Verdict::of(replayed.iter().all(Replayed::kept)))
}

impl Log {
    /// Reads it, and what is to be replayed of it.
    fn read(args: &ReplayArgs, input: Input) -> Result<(Self, Vec<Request>), ReplayError> {
        let rules = Rules {
            chosen: Chosen::new(args.requests.as_ref())?,
            unit: args.time_unit,
            handler: args.handler.unwrap_or_default(),
        };
        let by = args.session_by.clone().unwrap_or(SessionBy::Client);
        let mut clients = Clients::new(by, !args.check);
        let mut requests = Vec::new();
        let keep = |request| match requests.len() {
            _ if args.check => Ok(()),
            REQUESTS_MAX.. => Err(LogError::TooManyRequests { most: REQUESTS_MAX }),
            _ => {
                requests.push(request);
                Ok(())
            }
        };
        let Input { name, path, text, taken, size, .. } = input;
        let begun = Instant::now();
        let tally = match size {
            None => read::read(text, &rules, &mut clients, keep),
            Some(size) => progress::during(
                &format!("reading {name}"),
                size,
                // Relaxed: only the progress bar looks at it.
                || taken.load(Ordering::Relaxed),
                || read::read(text, &rules, &mut clients, keep),
            ),
        };
        let tally = tally.map_err(|reason| ReplayError::Log { path, reason })?;
        Ok((Self { name, rules, clients, tally, read_for: begun.elapsed() }, requests))
    }

    /// How many sessions there are, which is at least one.
    fn sessions(&self) -> Result<u32, ReplayError> {
        let Self { clients, tally, .. } = self;
        let by = || Box::new(clients.by.clone());
        match clients.count() {
            0 if tally.chosen == 0 => Err(ReplayError::NothingChosen { all: tally.requests }),
            0 => Err(ReplayError::NoSession { chosen: tally.chosen, by: by() }),
            sessions @ ..=SESSIONS_MAX => Ok(sessions),
            sessions => {
                Err(ReplayError::TooManySessions { sessions, most: SESSIONS_MAX, by: by() })
            }
        }
    }
}

/// Refuses what takes longer than anybody wants, as a log of days at its own speed does.
fn check_span(traffic: &Traffic, pace: Pace, runs: usize) -> Result<(), ReplayError> {
    let span = traffic.span(pace.speed);
    let in_all = span.as_secs_f64() * runs as f64;
    if in_all > IN_ALL_MAX.as_secs_f64() {
        let minute = (span.as_secs_f64() * pace.speed / 60.0).ceil();
        let remedy = format!(
            "`--speed {minute}` replays them in a minute for each access, `--speed max` as fast \
             as the store goes"
        );
        return Err(ReplayError::TooLong { span, remedy });
    }
    if span > modes::LONG {
        output::complain(&format!(
            "note: one run lasts {} and there are {runs}; --speed makes time run faster",
            human(span),
        ));
    }
    Ok(())
}

fn replay_all(
    traffic: &Traffic,
    modes: &[Mode],
    pace: Pace,
    prepared: &Prepared,
) -> Result<Vec<Replayed>, CliError> {
    let mut counted = prepared.sum_of_counters()?;
    let mut replayed = Vec::new();
    for mode in modes {
        let run = run::replay(traffic, *mode, pace, prepared, &mut counted)?;
        run.complain(traffic.requests.len());
        replayed.push(run);
    }
    Ok(replayed)
}

const NO_RUNS: [Run; 0] = [];

/// Unless told otherwise.
const CLIENTS: u32 = 64;

/// What is kept in memory: 2 GB.
const REQUESTS_MAX: usize = 1 << 27;

/// What a store is asked to take.
const SESSIONS_MAX: u32 = 10_000_000;

/// All runs together.
const IN_ALL_MAX: Duration = Duration::from_secs(86_400);
