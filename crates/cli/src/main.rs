//! The cloakroom workbench: what does session locking cost, and what is lost without it?
//!
//! `replay` runs a recorded page load or an access log against the engine, `bench` measures access
//! patterns, `stress` looks for lost updates and broken locks, `serve` is a small web application. The rest
//! are the tools of who operates a store.

mod args;
mod bench;
mod driver;
mod error;
mod interrupt;
mod machine;
mod mask;
mod measure;
mod mode;
mod operate;
mod processes;
mod progress;
mod replay;
mod report;
mod rng;
#[cfg(feature = "serve")]
mod serve;
mod shown;
mod sleep;
mod store_url;
mod stress;
mod units;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};
use crate::error::CliError;
use crate::report::output;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(refusal) => return output::refusal(&refusal),
    };
    sleep::set_precise();
    let ended = run(args.command);
    if let Some(status) = interrupt::status() {
        return status;
    }
    match ended {
        Ok(verdict) => verdict.into(),
        Err(error) if error.is_reader_gone() => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(command: Command) -> Result<Verdict, CliError> {
    if let Command::Worker = command {
        return processes::worker();
    }
    interrupt::install()?;
    match command {
        Command::Replay(args) => replay::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Stress(args) => stress::run(&args),
        #[cfg(feature = "serve")]
        Command::Serve(args) => serve::run(&args),
        Command::Operate(tool) => operate::run(tool),
        Command::Worker => Ok(Verdict::Kept),
    }
}

/// What was found, and with it the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every promise was kept, and everything asked for was done.
    Kept,
    /// An access that promises it lost an update, two held one lock, a store is damaged, or a part of
    /// what was asked for could not be done.
    Broken,
}

impl Verdict {
    const fn of(kept: bool) -> Self {
        if kept { Self::Kept } else { Self::Broken }
    }
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Kept => Self::SUCCESS,
            Verdict::Broken => Self::from(1),
        }
    }
}
