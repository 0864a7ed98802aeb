//! Arguments of `stress`.

use std::time::Duration;

use clap::ValueEnum;

use super::Format;
use crate::store_url::StoreUrl;
use crate::units;

/// Arguments of `stress`.
#[derive(Debug, clap::Args)]
pub struct StressArgs {
    /// What to try
    #[arg(value_enum)]
    pub trial: Trial,
    /// Where the session lives: `file:DIR`, `map:DIR` or `memory:`; a bare `file:` or `map:` is a
    /// temporary directory
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
    /// How long each access is tried, in seconds
    #[arg(long, value_name = "S", default_value = "3", value_parser = units::parse_seconds)]
    pub seconds: Duration,
    /// Seed of the random handler times
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// A table for people or one JSON document for programs
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// What `stress` tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Trial {
    /// All clients fight for one session: no update may be lost, no two may hold its lock
    Contend,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  cloakroom stress contend
  cloakroom stress contend --store file:/srv/sessions --processes 8 --seconds 30
  cloakroom stress contend --store map: --processes 8 --seconds 30
  cloakroom stress contend --store memory: --clients 16 --format json

`exclusive` and `optimistic` must lose nothing, and no two may hold the lock at once. A map store
has no lock; there `optimistic` must lose nothing. The control, `last-write-wins`, must lose something: else the trial could not have seen a loss.";
