//! The arguments. Their help is the command's manual, so each subcommand ends with examples.

mod bench;
pub mod operate;
mod replay;
#[cfg(feature = "serve")]
mod serve;
mod stress;

use clap::{Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

pub use self::bench::{BenchArgs, Pattern, Patterns};
pub use self::replay::ReplayArgs;
#[cfg(feature = "serve")]
pub use self::serve::{LogLevel, ServeArgs};
pub use self::stress::StressArgs;

/// The workbench of the cloakroom session store.
///
/// A page fires ten Ajax calls, all with one session cookie. With a lock per session they queue;
/// without a lock they overwrite each other. This command shows what your own page pays. And it looks
/// into a store that serves, and takes care of it.
#[derive(Debug, Parser)]
#[command(name = "cloakroom", version, after_long_help = EXIT_STATUS, max_term_width = 100)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Replay a page load or an access log, and show how long requests stood waiting for a session
    #[command(after_long_help = replay::EXAMPLES)]
    Replay(ReplayArgs),
    /// Measure an access pattern: speed, waiting, conflicts and lost updates
    #[command(after_long_help = bench::EXAMPLES)]
    Bench(BenchArgs),
    /// Try to break a store; the exit status is the verdict
    #[command(after_long_help = stress::EXAMPLES)]
    Stress(StressArgs),
    /// Serve a small web application whose sessions are in a store, to try it with a browser
    #[cfg(feature = "serve")]
    #[command(after_long_help = serve::EXAMPLES)]
    Serve(ServeArgs),
    /// What operators do to a store
    #[command(flatten)]
    Operate(operate::Tool),
    /// One process of a run; started by the others
    #[command(hide = true)]
    Worker,
}

/// Through which interface an operation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Api {
    /// Typed values by name
    Session,
    /// One payload of bytes
    Bytes,
}

impl Api {
    /// The name on the command line, in tables and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Bytes => "bytes",
        }
    }
}

/// What goes to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

const EXIT_STATUS: &str = "\
Exit status: 0 done; 1 an access that promises it lost an update, operations failed, or a store is \
damaged; 2 wrong use.";
