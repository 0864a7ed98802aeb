//! Arguments of `ls`.

use std::time::Duration;

use clap::ValueEnum;

use crate::store_url::StoreUrl;
use crate::units;

/// Arguments of `ls`.
#[derive(Debug, clap::Args)]
pub struct LsArgs {
    /// The store: `file:DIR` or `map:DIR`
    #[arg(value_name = "URL", value_parser = StoreUrl::parse_lasting)]
    pub store: StoreUrl,
    /// Which sessions.
    #[command(flatten)]
    pub filter: Filter,
    /// Sort; the whole store is read before the first line is written
    ///
    /// The largest, oldest, longest unused, soonest to end come first, so that `--limit 10` shows
    /// the ten of them.
    #[arg(long, value_enum, value_name = "BY")]
    pub sort: Option<Order>,
    /// End after so many sessions
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Columns for people, one line of JSON per session, or keys alone
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
}

/// Which sessions.
#[derive(Debug, clap::Args)]
pub struct Filter {
    /// Only sessions whose key begins so
    #[arg(long, value_name = "PREFIX", value_parser = parse_key_prefix)]
    pub key: Option<String>,
    /// Only expired ones, which wait for the sweep
    #[arg(long, conflicts_with = "live")]
    pub expired: bool,
    /// Only those that are not expired
    #[arg(long)]
    pub live: bool,
    /// Only those created longer ago, as `90s`, `12h` or `7d`
    #[arg(long, value_name = "AGE", value_parser = units::parse_age, allow_hyphen_values = true)]
    pub older_than: Option<Duration>,
    /// Only those created since, as `90s`, `12h` or `7d`
    #[arg(long, value_name = "AGE", value_parser = units::parse_age, allow_hyphen_values = true)]
    pub newer_than: Option<Duration>,
    /// Only those not used for so long
    #[arg(long, value_name = "AGE", value_parser = units::parse_age, allow_hyphen_values = true)]
    pub idle_for: Option<Duration>,
    /// Only those whose payload is larger, as `512`, `4KiB` or `1MB`
    #[arg(long, value_name = "BYTES", value_parser = units::parse_bytes)]
    pub larger_than: Option<u64>,
}

/// By what `ls` sorts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// By key
    Key,
    /// The largest payload first
    Size,
    /// The oldest first
    Age,
    /// The one longest unused first
    Idle,
    /// The one that ends soonest first
    Ends,
    /// The one committed most often first
    Version,
}

/// What `ls` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// Columns, with a header on a terminal
    Table,
    /// One line of JSON per session
    Json,
    /// One key per line
    Keys,
}

fn parse_key_prefix(text: &str) -> Result<String, String> {
    let is_digit = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    if text.is_empty() || text.len() > 64 || !text.chars().all(is_digit) {
        return Err("write 1 to 64 hex digits in lower case".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) const EXAMPLES: &str = "\
Examples:
  cloakroom ls file:/srv/sessions
  cloakroom ls map:/srv/sessions --sort size --limit 10
  cloakroom ls file:/srv/sessions --idle-for 7d --format keys | cloakroom rm file:/srv/sessions -
  cloakroom ls file:/srv/sessions --format json | jq 'select(.payload_bytes > 65536) | .key'

Columns: key, version, bytes of payload, age, time since the last use, time until it ends. They are
in no order unless sorted, and come while the store is read. The list takes no lock: a session that
is created or ended meanwhile may be in it or not. Damaged ones are named on standard error, and the
exit status is 1 then.";
