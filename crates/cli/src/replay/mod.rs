//! `replay`: a recorded page load, once per access.

mod advice;
mod choose;
mod har;
mod lenient;
mod report;
mod run;
mod site;
mod timeline;
mod utf8;
mod waterfall;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Verdict;
use crate::args::{Api, Format, ReplayArgs};
use crate::bench::Prepared;
use crate::driver;
use crate::error::CliError;
use crate::mode::Mode;
use crate::progress;
use crate::report::json::Document;
use crate::report::output;
use crate::store_url::Place;
use crate::units::human;

use self::har::{Entry, Recording};
use self::report::Subject;
use self::run::Replayed;
use self::timeline::Request;

pub use self::choose::Choice;
pub use self::har::HarError;

/// Runs `replay`.
pub fn run(args: &ReplayArgs) -> Result<Verdict, CliError> {
    let (name, recording) = read(args)?;
    let entries = entries_of_page(recording, args.page)?;
    let requests = chosen(&entries, args)?;
    let modes = match args.access.as_slice() {
        [] => &DEFAULT_MODES,
        modes => modes,
    };
    let place = Place::open(&args.store)?;
    let work = requests.iter().map(|request| request.work).sum();
    let driver = place.driver(Api::Session, driver::lock_wait(work));
    for mode in modes {
        driver::check_offered(&*driver, *mode)?;
    }
    let prepared = Prepared::create(&place, driver, 1, PAYLOAD)?;
    let replayed = replay_all(&requests, modes, &prepared)?;
    let subject = Subject {
        name,
        recorded: entries.len(),
        choice: args.requests.describe(),
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

/// The recording and what people call it.
fn read(args: &ReplayArgs) -> Result<(String, Recording), CliError> {
    let (file, recording) = match &args.file {
        Some(file) => (file.clone(), Recording::open(file)),
        None => (PathBuf::from("demo page"), Recording::read(DEMO)),
    };
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
    let recording = recording.map_err(|reason| CliError::Har { file, reason })?;
    Ok((name.unwrap_or_default(), recording))
}

/// The requests of one page, or of all.
fn entries_of_page(recording: Recording, page: Option<u32>) -> Result<Vec<Entry>, CliError> {
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
    let id = id.ok_or(CliError::NoSuchPage { asked, pages: pages.len() })?;
    entries.retain(|entry| entry.page.as_ref() == Some(id));
    Ok(entries)
}

fn chosen(entries: &[Entry], args: &ReplayArgs) -> Result<Vec<Request>, CliError> {
    let chosen = args.requests.choose(entries);
    if chosen.len() < 2 {
        return Err(CliError::TooFewRequests {
            chosen: chosen.len(),
            all: entries.len(),
            is_all: matches!(args.requests, Choice::All),
            cookies_missing: matches!(args.requests, Choice::Cookies)
                && !entries.iter().any(|entry| entry.has_cookie),
        });
    }
    let requests = timeline::of(&chosen, args.speed);
    let span = timeline::span(&requests);
    if span > SPAN_MAX {
        return Err(CliError::TooLong { span });
    }
    Ok(requests)
}

fn replay_all(
    requests: &[Request],
    modes: &[Mode],
    prepared: &Prepared,
) -> Result<Vec<Replayed>, CliError> {
    let span = timeline::span(requests);
    if span > LONG {
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

/// The recording of a small page of the project's own, for a first try.
const DEMO: &[u8] = include_bytes!("../../assets/demo.har");

/// Compared unless other accesses are asked for.
const DEFAULT_MODES: [Mode; 5] =
    [Mode::Exclusive, Mode::Released, Mode::Shared, Mode::Optimistic, Mode::None];

const PAYLOAD: usize = 256;

/// From here on people are told how long it takes.
const LONG: Duration = Duration::from_secs(20);

const SPAN_MAX: Duration = Duration::from_secs(86_400);
