//! Arguments of `bench`.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{Api, Format};
use crate::mode::Mode;
use crate::store_url::StoreUrl;
use crate::units;

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

pub(super) const EXAMPLES: &str = "\
Examples:
  cloakroom bench hot --handler 1ms --clients 8
  cloakroom bench spread --store file:/srv/sessions --store memory: --sessions 100000
  cloakroom bench ajax --clients 12 --handler 50ms --access exclusive --access released
  cloakroom bench hot --processes 8 --access exclusive --seconds 10 --format json

One operation takes the session, reads a counter, runs the handler, adds one and stores. A
conflict repeats it, handler included. Lost updates are acknowledged increments minus the final
value, and are counted in every run.";
