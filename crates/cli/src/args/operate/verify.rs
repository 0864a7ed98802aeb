//! Arguments of `verify`.

use super::super::Format;
use crate::store_url::StoreUrl;

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The store: `file:DIR` or `map:DIR`
    #[arg(value_name = "URL", value_parser = StoreUrl::parse_lasting)]
    pub store: StoreUrl,
    /// Take damaged sessions out of service; their bytes are kept in the quarantine
    #[arg(long)]
    pub repair: bool,
    /// Lines for people or one JSON document for programs
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  cloakroom verify file:/srv/sessions
  cloakroom verify file:/srv/sessions --repair
  cloakroom verify map:/srv/sessions --format json | jq .damaged

Exit status 0: all is sound, or was repaired; 1: damaged sessions are in service, or something could
not be read, or this is an unfinished copy. Damage to the newest of the two versions that a session
file holds cannot be told from a write that was cut off: the session goes back by one. Leftovers of
killed processes are no damage, and the sweep removes them; foreign files are named and never touched.";
