//! Arguments of `rm`.

use std::time::Duration;

use super::super::Format;
use crate::store_url::StoreUrl;
use crate::units;

/// Arguments of `rm`.
#[derive(Debug, clap::Args)]
pub struct RmArgs {
    /// The store: `file:DIR` or `map:DIR`
    #[arg(value_name = "URL", value_parser = StoreUrl::parse_lasting)]
    pub store: StoreUrl,
    /// The keys or ids of sessions; `-` reads one per line from standard input
    #[arg(value_name = "ID|KEY", required = true)]
    pub sessions: Vec<String>,
    /// The namespace that the application keeps its sessions in; needed to find one by its id
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub namespace: String,
    /// Say what would be ended, and end nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How long to wait for a session that a request holds, in seconds
    #[arg(long, value_name = "S", default_value = "30", value_parser = units::parse_seconds)]
    pub wait: Duration,
    /// A line for people or one JSON document for programs
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  cloakroom rm file:/srv/sessions 4f2ac0...                      a key, all 64 digits
  cloakroom rm map:/srv/sessions user-7 --namespace shop         an id
  cloakroom ls file:/srv/sessions --idle-for 30d --format keys | cloakroom rm file:/srv/sessions -

A session ends for every request, also for those that wait for it. Where a request holds one, its
end waits for its turn; in a map store nobody waits. Exit status 1 if a session was not there or could not be ended; the others
are ended all the same.";
