//! Arguments of `sweep`.

use super::super::Format;
use crate::store_url::StoreUrl;

/// Arguments of `sweep`.
#[derive(Debug, clap::Args)]
pub struct SweepArgs {
    /// The store: `file:DIR` or `map:DIR`
    #[arg(value_name = "URL", value_parser = StoreUrl::parse_lasting)]
    pub store: StoreUrl,
    /// End after so many sessions were looked at
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub budget: Option<u64>,
    /// Count what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
    /// A line for people or one JSON document for programs
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  cloakroom sweep file:/srv/sessions
  cloakroom sweep file:/srv/sessions --budget 10000      a part of it, every few minutes
  cloakroom sweep map:/srv/sessions --dry-run

Expired sessions end without it; the sweep gives their space back. It never touches a session in use.
With a budget each sweep begins somewhere else, so that many small ones get everywhere.
Exit status 1 if something could not be removed.";
