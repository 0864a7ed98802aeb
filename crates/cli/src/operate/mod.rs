//! The operator's tools: to look into a store while it serves, and to take care of it.
//!
//! Each tool is a [`Task`](crate::store_url::Task) for stores of any kind, so that a new store has
//! them all. `walk` goes through a store, `target` finds the session that somebody named.

mod copy;
mod locks;
mod ls;
mod manual;
mod rm;
mod show;
mod stats;
mod sweep;
mod target;
mod trouble;
mod verify;
mod walk;

use crate::Verdict;
use crate::args::operate::Tool;
use crate::driver::OperationError;
use crate::error::CliError;
use crate::store_url::{Place, StoreUrl};

pub use copy::CopyError;

/// Does the work of a tool.
pub fn run(tool: Tool) -> Result<Verdict, CliError> {
    match tool {
        Tool::Ls(args) => ls::run(&args),
        Tool::Show(args) => show::run(&args),
        Tool::Rm(args) => rm::run(&args),
        Tool::Sweep(args) => sweep::run(&args),
        Tool::Verify(args) => verify::run(&args),
        Tool::Stats(args) => stats::run(&args),
        Tool::Copy(args) => copy::run(&args),
        Tool::Locks(args) => locks::run(&args),
        Tool::Completions(args) => manual::completions(&args),
        Tool::Man(args) => manual::man(&args),
    }
}

/// Opens a store that is there, and says if it is not to be relied on yet.
fn open(url: &StoreUrl) -> Result<Place, CliError> {
    let place = Place::open_existing(url)?;
    copy::warn(&place);
    Ok(place)
}

/// Says during what the engine failed.
fn failed<E: Into<OperationError>>(task: &'static str) -> impl Fn(E) -> CliError {
    move |error| CliError::Session { task, source: Box::new(error.into()) }
}
