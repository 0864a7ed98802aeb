//! Arguments of `bench`. What is not given has a default that depends on the pattern, or comes from
//! the run to compare with; so every setting is optional here.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::{Api, Format};
use crate::mode::Mode;
use crate::store_url::StoreUrl;
use crate::units;

/// Arguments of `bench`.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchArgs {
    /// Who takes which session when
    #[arg(value_enum, required_unless_present = "compare")]
    pub pattern: Option<Patterns>,
    /// Where sessions live: `file:DIR`, `map:DIR` or `memory:`; may be repeated to compare
    ///
    /// A bare `file:`, the default, or `map:` is a temporary directory that is removed at the end.
    #[arg(long, value_name = "URL", value_parser = StoreUrl::parse)]
    pub store: Vec<StoreUrl>,
    /// How operations take a session; may be repeated, and without it several ways are compared
    ///
    /// A map store has no locks, so it offers `snapshot`, `optimistic`, `last-write-wins`, `none`.
    #[arg(long, value_name = "ACCESS", value_enum)]
    pub access: Vec<Mode>,
    /// Clients at the same time in each process [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub clients: Option<u32>,
    /// Processes [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub processes: Option<u32>,
    /// Sessions [default: 1,000, or 100 for `ajax`; `hot` has one]
    ///
    /// Of `churn` it is how many are alive at a time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub sessions: Option<u32>,
    /// Bytes in a session, as `256`, `4KiB` or `1MB` [default: 256]
    #[arg(long, value_name = "BYTES", value_parser = units::parse_payload)]
    pub payload: Option<usize>,
    /// The time a handler works on its own, as `0`, `100us`, `50ms` or `1s` [default: 0]
    #[arg(long, value_name = "DURATION", value_parser = units::parse_handler)]
    pub handler: Option<Duration>,
    /// `zipf`, `read-mostly`, `mixed`: how much more popular some sessions are [default: 0.99]
    ///
    /// The session of rank k is drawn with a weight of 1 / k^S. With 0 all are equally popular.
    #[arg(long, value_name = "S", value_parser = units::parse_skew)]
    pub skew: Option<f64>,
    /// `read-mostly`, `mixed`: how many of a hundred operations write [default: 10]
    #[arg(long, value_name = "PERCENT", value_parser = units::parse_percent)]
    pub writes: Option<f64>,
    /// Open loop: so many operations per second in all, whether or not earlier ones are answered
    ///
    /// They arrive as those of many independent users do (a Poisson process), by a schedule that
    /// is made before, and count from when they were to begin. `ajax` loads one page at a time in
    /// each process. Without --rate the loop is closed: each client waits for its answer before it
    /// asks again.
    #[arg(long, value_name = "N", value_parser = units::parse_rate)]
    pub rate: Option<f64>,
    /// Run so many seconds before each measurement [default: 0, or 0.2 for `all`]
    #[arg(long, value_name = "S", value_parser = units::parse_warmup)]
    pub warmup: Option<Duration>,
    /// How long each measurement lasts, in seconds [default: 2, or 1 for `all`]
    #[arg(
        long, value_name = "S", value_parser = units::parse_seconds,
        conflicts_with = "operations"
    )]
    pub seconds: Option<Duration>,
    /// End each measurement after so many operations of all clients together
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub operations: Option<u64>,
    /// Measure everything so often, in turns, and report medians [default: 1, or 3 for `all`]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rounds: Option<u32>,
    /// Typed values in a session, or raw bytes in the store [default: session]
    #[arg(long, value_enum)]
    pub api: Option<Api>,
    /// Save the figures with their histograms, for --compare
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Measure what this saved run measured, again, and compare
    #[arg(long, value_name = "OLD")]
    pub compare: Option<PathBuf>,
    /// Compare it with this saved run, and measure nothing
    #[arg(long, value_name = "NEW", requires = "compare", conflicts_with = "save")]
    pub with: Option<PathBuf>,
    /// A table for people or one JSON document for programs
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Who takes which session when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pattern {
    /// Every client takes the same session, again and again
    Hot,
    /// Every client takes random sessions
    Spread,
    /// The same, but some sessions are more popular than others
    Zipf,
    /// The same, but only some operations write
    ReadMostly,
    /// Pages of parallel calls: all clients take one session together, then the next
    Ajax,
    /// Sessions are created, used, destroyed, or expire and are swept
    Churn,
    /// 70 % as `read-mostly`, 20 % as `ajax`, 10 % as `churn`
    Mixed,
}

impl Pattern {
    /// The name on the command line, in tables and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Spread => "spread",
            Self::Zipf => "zipf",
            Self::ReadMostly => "read-mostly",
            Self::Ajax => "ajax",
            Self::Churn => "churn",
            Self::Mixed => "mixed",
        }
    }
}

/// A pattern, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patterns {
    /// This one.
    One(Pattern),
    /// One after another.
    All,
}

impl ValueEnum for Patterns {
    fn value_variants<'a>() -> &'a [Self] {
        use Pattern::{Ajax, Churn, Hot, Mixed, ReadMostly, Spread, Zipf};
        const ALL: [Patterns; 8] = [
            Patterns::One(Hot),
            Patterns::One(Spread),
            Patterns::One(Zipf),
            Patterns::One(ReadMostly),
            Patterns::One(Ajax),
            Patterns::One(Churn),
            Patterns::One(Mixed),
            Patterns::All,
        ];
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::One(pattern) => pattern.to_possible_value(),
            Self::All => Some(PossibleValue::new("all").help("One after another, two minutes")),
        }
    }
}

pub(super) const EXAMPLES: &str = "\
Examples:
  cloakroom bench hot --handler 1ms --clients 8
  cloakroom bench spread --store file:/srv/sessions --store memory: --sessions 100000
  cloakroom bench hot --store map: --processes 4 --access optimistic --api bytes
  cloakroom bench all --store file: --store map:                    both stores, three minutes
  cloakroom bench zipf --skew 1.2 --handler 100us --processes 2
  cloakroom bench read-mostly --writes 5 --access shared --access snapshot
  cloakroom bench ajax --clients 12 --handler 50ms --access exclusive --access released
  cloakroom bench churn --sessions 10000 --seconds 10
  cloakroom bench mixed --rate 5000 --handler 1ms --clients 16      an open loop
  cloakroom bench all --save before.json                            all patterns, two minutes
  cloakroom bench --compare before.json                             the same again: faster?
  cloakroom bench --compare before.json --with after.json           two saved runs
  cloakroom bench hot --processes 8 --access exclusive --seconds 10 --format json
  cloakroom bench spread --access none --access exclusive           what the bench itself costs

One operation takes the session, reads a counter, runs the handler, adds one and stores. A
conflict repeats it, handler included. Lost updates are acknowledged increments minus the final
value, and are counted in every run.

`shared` and `snapshot` only read. Where a pattern itself says what writes (read-mostly, churn,
mixed), they take a session exclusively to write, in a map store optimistically; and with the other accesses whoever only reads
takes the session as usual and stores nothing.

churn: a session serves ten requests: one creates it, eight use it, the last destroys it or lets it
expire. Clients sweep; that time is in no latency. Nothing may be left at the end.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_one_name_everywhere_and_all_can_be_asked_for() {
        for pattern in Pattern::value_variants() {
            assert_eq!(Pattern::from_str(pattern.name(), false).as_ref(), Ok(pattern));
            assert!(Patterns::value_variants().contains(&Patterns::One(*pattern)));
        }
        assert_eq!(Patterns::from_str("all", false), Ok(Patterns::All));
    }
}
