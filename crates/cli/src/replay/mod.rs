//! `replay`: what was recorded once happens again with each access, be it the load of one page
//! or all the traffic of a site.

mod advice;
mod choice;
mod error;
mod har;
mod input;
mod log;
mod modes;
mod send;

use std::time::Duration;

use crate::Verdict;
use crate::args::{Api, ReplayArgs};
use crate::bench::Prepared;
use crate::driver;
use crate::error::CliError;
use crate::store_url::Place;

use self::input::{Input, Kind};

pub use self::choice::Choice;
pub use self::error::ReplayError;
pub use self::log::{SessionBy, TimeUnit};

/// Runs `replay`.
pub fn run(args: &ReplayArgs) -> Result<Verdict, CliError> {
    let input = Input::open(args.file.as_deref())?;
    match input.kind {
        Kind::Har => har::run(args, input),
        Kind::Log => log::run(args, input),
    }
}

/// Opens the store and makes so many sessions in it. A request waits for no more than this work.
fn prepare(
    args: &ReplayArgs,
    work: Duration,
    sessions: u32,
) -> Result<(Place, Prepared), CliError> {
    args.store.check_offered(&args.access)?;
    let place = Place::open(&args.store)?;
    let driver = place.driver(Api::Session, driver::lock_wait(work));
    let prepared = Prepared::create(&place, driver, sessions, PAYLOAD)?;
    Ok((place, prepared))
}

/// Bytes in a session.
const PAYLOAD: usize = 256;
