//! Arguments of `stats`.

use super::super::Format;
use crate::store_url::StoreUrl;

/// Arguments of `stats`.
#[derive(Debug, clap::Args)]
pub struct StatsArgs {
    /// The store: `file:DIR` or `map:DIR`
    #[arg(value_name = "URL", value_parser = StoreUrl::parse_lasting)]
    pub store: StoreUrl,
    /// Tables for people or one JSON document for programs
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  cloakroom stats file:/srv/sessions
  cloakroom stats map:/srv/sessions --format json | jq .sessions.expired

`stored` is what the files take, spare room for growth included; of a map store, the cells that
sessions are in. The exit status is 1 if something
is damaged or could not be read; `verify` says what.";
