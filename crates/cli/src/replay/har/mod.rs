//! The load of one page, from a recording that a browser made: all its requests on one session.

mod choose;
mod lenient;
mod recording;
mod report;
mod run;
mod site;
mod timeline;
mod utf8;
mod waterfall;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::input::Input;
use super::{Choice, PAYLOAD, ReplayError, modes, prepare};
use crate::Verdict;
use crate::args::{Format, ReplayArgs};
use crate::bench::Prepared;
use crate::error::CliError;
use crate::mode::Mode;
use crate::progress;
use crate::report::json::Document;
use crate::report::output;
use crate::units::human;

use self::recording::{Entry, Recording};
use self::report::Subject;
use self::run::Replayed;
use self::timeline::Request;

pub use self::recording::HarError;

/// Replays a recording.
pub fn run(args: &ReplayArgs, input: Input) -> Result<Verdict, CliError> {
    input.refuse(&[
        ("--check", args.check),
        ("--session-by", args.session_by.is_some()),
        ("--handler", args.handler.is_some()),
        ("--time-unit", args.time_unit.is_some()),
        ("--clients", args.clients.is_some()),
    ])?;
    let Input { path, name, text, .. } = input;
    let recording = Recording::read(text).map_err(|reason| ReplayError::Har { path, reason })?;
    let choice = args.requests.as_ref().unwrap_or(&Choice::Dynamic);
    let entries = entries_of_page(recording, args.page)?;
    let requests = chosen(&entries, choice, args.speed)?;
    let work = requests.iter().map(|request| request.work).sum();
    let (place, prepared) = prepare(args, work, 1)?;
    let replayed = replay_all(&requests, modes::asked(args), &prepared)?;
    let subject = Subject {
        name,
        recorded: entries.len(),
        choice: choice.describe(),
        requests: &requests,
        speed: args.speed,
        store: place.url.to_string(),
        payload: PAYLOAD,
    };
    match args.format {
        Format::Table => output::say(&report::text(&subject, &replayed))?,
        Format::Json => Document::new(&report::runs(&subject, &replayed)).print()?,
    }
    Ok(Verdict::of(replayed.iter().all(Replayed::kept)))
}

/// The requests of one page, or of all.
fn entries_of_page(recording: Recording, page: Option<u32>) -> Result<Vec<Entry>, ReplayError> {
    let Recording { pages, mut entries } = recording;
    let Some(asked) = page else {
        if pages.len() > 1 {
            output::complain(&format!(
                "note: the recording has {} pages, replayed one after another as recorded; \
                 --page 1 takes the first",
                pages.len(),
            ));
        }
        return Ok(entries);
    };
    let id = pages.get(asked as usize - 1);
    let id = id.ok_or(ReplayError::NoSuchPage { asked, pages: pages.len() })?;
    entries.retain(|entry| entry.page.as_ref() == Some(id));
    Ok(entries)
}

fn chosen(entries: &[Entry], choice: &Choice, speed: f64) -> Result<Vec<Request>, ReplayError> {
    let chosen = choice.choose(entries);
    if chosen.len() < 2 {
        return Err(ReplayError::TooFewRequests {
            chosen: chosen.len(),
            all: entries.len(),
            is_all: matches!(choice, Choice::All),
            cookies_missing: matches!(choice, Choice::Cookies)
                && !entries.iter().any(|entry| entry.has_cookie),
        });
    }
    let requests = timeline::of(&chosen, speed);
    let span = timeline::span(&requests);
    if span > SPAN_MAX {
        return Err(ReplayError::TooLong {
            span,
            remedy: "raise --speed, or choose a --page".to_owned(),
        });
    }
    Ok(requests)
}

fn replay_all(
    requests: &[Request],
    modes: &[Mode],
    prepared: &Prepared,
) -> Result<Vec<Replayed>, CliError> {
    let span = timeline::span(requests);
    if span > modes::LONG {
        output::complain(&format!(
            "note: one run lasts {} and there are {}; --speed makes time run faster",
            human(span),
            modes.len(),
        ));
    }
    let mut replayed = Vec::new();
    let done = AtomicU64::new(0);
    let all = (requests.len() * modes.len()) as u64;
    // Relaxed: only the progress bar looks at it.
    progress::during(
        "replaying",
        all,
        || done.load(Ordering::Relaxed),
        || {
            for mode in modes {
                let run = run::replay(requests, *mode, prepared, &done)?;
                if let Some(error) = run.spans.iter().find_map(|span| span.error.as_ref()) {
                    let errors = run.errors();
                    output::complain(&format!(
                        "error: {mode}: {errors} request(s) failed; first: {error}"
                    ));
                }
                replayed.push(run);
            }
            Ok(replayed)
        },
    )
}

const SPAN_MAX: Duration = Duration::from_secs(86_400);
