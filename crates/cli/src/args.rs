//! The arguments. Their help is the command's manual, so each subcommand ends with examples.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::mode::Mode;
use crate::replay::Choice;
use crate::store_url::StoreUrl;
use crate::units;

/// The workbench of the cloakroom session store.
///
/// A page fires ten Ajax calls, all with one session cookie. With a lock per session they queue;
/// without a lock they overwrite each other. This command shows what your own page pays.
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
    /// Replay a recorded page load and show how long its requests stood waiting for the session
    #[command(after_long_help = REPLAY_EXAMPLES)]
    Replay(ReplayArgs),
    /// Measure an access pattern: speed, waiting, conflicts and lost updates
    #[command(after_long_help = BENCH_EXAMPLES)]
    Bench(BenchArgs),
    /// Try to break a store; the exit status is the verdict
    #[command(after_long_help = STRESS_EXAMPLES)]
    Stress(StressArgs),
    /// One process of a run; started by the others
    #[command(hide = true)]
    Worker,
}

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// A HAR recording, plain or gzip; without it the recording of a small demo page
    ///
    /// Browsers write it: developer tools, network tab, "Save all as HAR". WebPageTest and
    /// Browsertime write it too.
    pub file: Option<PathBuf>,
    /// Which requests to replay: `dynamic`, `cookies`, `all`, or a regular expression
    ///
    /// `dynamic`: those to the page's own site that are no static files. `cookies`: those to the
    /// page's own site that carry a cookie. `all`: every one. Anything else is a regular
    /// expression for the URL.
    #[arg(long, value_name = "CHOICE", default_value = "dynamic", value_parser = Choice::parse)]
    pub requests: Choice,
    /// Replay only this page of a recording that has several; the first is 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub page: Option<u32>,
    /// Let time run so many times faster
    #[arg(long, value_name = "N", default_value = "1", value_parser = units::parse_speed)]
    pub speed: f64,
    /// Where the session lives: `file:DIR` or `memory:`; a bare `file:` is a temporary directory
    #[arg(long, value_name = "URL", default_value = "file:", value_parser = StoreUrl::parse)]
    pub store: StoreUrl,
    /// How requests take the session; may be repeated, and without it five ways are compared
    #[arg(long, value_name = "ACCESS", value_enum)]
    pub access: Vec<Mode>,
    /// A table for people or one JSON document for programs
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// Who takes which session when
    #[arg(value_enum)]
    pub pattern: Pattern,
    /// Where sessions live: `file:DIR` or `memory:`; may be repeated to compare
    ///
    /// A bare `file:`, the default, is a temporary directory that is removed at the end.
    #[arg(long, value_name = "URL", value_parser = StoreUrl::parse)]
    pub store: Vec<StoreUrl>,
    /// How operations take a session; may be repeated, and without it four ways are compared
    #[arg(long, value_name = "ACCESS", value_enum)]
    pub access: Vec<Mode>,
    /// Clients at the same time in each process
    #[arg(
        long, value_name = "N", default_value_t = 4,
        value_parser = clap::value_parser!(u32).range(1..=1_024)
    )]
    pub clients: u32,
    /// Processes
    #[arg(
        long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=256)
    )]
    pub processes: u32,
    /// Sessions [default: 1,000 for `spread`, 100 for `ajax`; `hot` has one]
    #[arg(
        long, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=10_000_000)
    )]
    pub sessions: Option<u32>,
    /// Bytes in a session, as `256`, `4KiB` or `1MB`
    #[arg(long, value_name = "BYTES", default_value = "256", value_parser = units::parse_payload)]
    pub payload: usize,
    /// The time a handler works on its own, as `0`, `100us`, `50ms` or `1s`
    #[arg(
        long, value_name = "DURATION", default_value = "0", value_parser = units::parse_handler
    )]
    pub handler: Duration,
    /// How long each run lasts, in seconds [default: 2]
    #[arg(
        long, value_name = "S", value_parser = units::parse_seconds,
        conflicts_with = "operations"
    )]
    pub seconds: Option<Duration>,
    /// End each run after so many operations of all clients together
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub operations: Option<u64>,
    /// Typed values in a session, or raw bytes in the store
    #[arg(long, value_enum, default_value_t = Api::Session)]
    pub api: Api,
    /// A table for people or one JSON document for programs
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Arguments of `stress`.
#[derive(Debug, clap::Args)]
pub struct StressArgs {
    /// What to try
    #[arg(value_enum)]
    pub trial: Trial,
    /// Where the session lives: `file:DIR` or `memory:`; a bare `file:` is a temporary directory
    #[arg(long, value_name = "URL", default_value = "file:", value_parser = StoreUrl::parse)]
    pub store: StoreUrl,
    /// Processes [default: 4, or 1 for `memory:`]
    #[arg(
        long, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=256)
    )]
    pub processes: Option<u32>,
    /// Clients at the same time in each process
    #[arg(
        long, value_name = "N", default_value_t = 4,
        value_parser = clap::value_parser!(u32).range(1..=1_024)
    )]
    pub clients: u32,
    /// How long each of the three accesses is tried, in seconds
    #[arg(long, value_name = "S", default_value = "3", value_parser = units::parse_seconds)]
    pub seconds: Duration,
    /// Seed of the random handler times
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// A table for people or one JSON document for programs
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Who takes which session when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// Every client takes the same session, again and again
    Hot,
    /// Every client takes random sessions
    Spread,
    /// Pages of parallel calls: all clients take one session together, then the next
    Ajax,
}

/// What `stress` tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Trial {
    /// All clients fight for one session: no update may be lost, no two may hold its lock
    Contend,
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

/// What goes to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

const EXIT_STATUS: &str = "\
Exit status: 0 done; 1 an access that promises it lost an update, or operations failed; \
2 wrong use.";

const REPLAY_EXAMPLES: &str = "\
Examples:
  cloakroom replay                               the demo page that comes with the command
  cloakroom replay shop.har                      your own page
  cloakroom replay shop.har --requests cookies   every request that carries the cookie
  cloakroom replay shop.har --requests '/api/'   requests with /api/ in their URL
  cloakroom replay shop.har --speed 5 --access exclusive --access released

Each request opens the one session when it was sent in the recording, and works as long as the
server took then. `shared` lets GET and HEAD requests only read; the others take it exclusively.";

const BENCH_EXAMPLES: &str = "\
Examples:
  cloakroom bench hot --handler 1ms --clients 8
  cloakroom bench spread --store file:/srv/sessions --store memory: --sessions 100000
  cloakroom bench ajax --clients 12 --handler 50ms --access exclusive --access released
  cloakroom bench hot --processes 8 --access exclusive --seconds 10 --format json

One operation takes the session, reads a counter, runs the handler, adds one and stores. A
conflict repeats it, handler included. Lost updates are acknowledged increments minus the final
value, and are counted in every run.";

const STRESS_EXAMPLES: &str = "\
Examples:
  cloakroom stress contend
  cloakroom stress contend --store file:/srv/sessions --processes 8 --seconds 30
  cloakroom stress contend --store memory: --clients 16 --format json

`exclusive` and `optimistic` must lose nothing, and no two may hold the lock at once. The
control, `last-write-wins`, must lose something: else the trial could not have seen a loss.";
