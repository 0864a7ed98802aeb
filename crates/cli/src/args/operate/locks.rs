//! Arguments of `locks`.

use super::super::Format;
use crate::store_url::StoreUrl;

/// Arguments of `locks`.
#[derive(Debug, clap::Args)]
pub struct LocksArgs {
    /// The store: `file:DIR` or `map:DIR`
    #[arg(value_name = "URL", value_parser = StoreUrl::parse_lasting)]
    pub store: StoreUrl,
    /// Columns for people or one line of JSON per session
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  cloakroom locks file:/srv/sessions
  watch -n1 cloakroom locks file:/srv/sessions
  cloakroom locks file:/srv/sessions --format json | jq 'select(.waiting > 0)'

Columns: key, access, number of processes that wait, processes that hold it. The most awaited come
first. The list is the operating system's and needs no cooperation of the programs; requests that
wait in the queue of their own process are not in it, but one waiter for all of them is. In JSON
`waiting` counts all processes that wait, `waiters` names those that the operating system names.
A map store has no locks, and the list says so.";
