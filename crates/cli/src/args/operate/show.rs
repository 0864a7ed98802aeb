//! Arguments of `show`.

use regex::Regex;

use super::super::Format;
use crate::store_url::StoreUrl;

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// The store: `file:DIR` or `map:DIR`
    #[arg(value_name = "URL", value_parser = StoreUrl::parse_lasting)]
    pub store: StoreUrl,
    /// The session's key or id; `-` reads it from standard input, where no process list shows it
    #[arg(value_name = "ID|KEY")]
    pub session: String,
    /// The namespace that the application keeps its sessions in; needed to find one by its id
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub namespace: String,
    /// Hide values whose names match this, too; may be repeated
    #[arg(long, value_name = "REGEX", value_parser = parse_mask)]
    pub mask: Vec<Regex>,
    /// Hide nothing
    #[arg(long, conflicts_with = "mask")]
    pub reveal: bool,
    /// Lines for people or one JSON document for programs
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

fn parse_mask(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| error.to_string())
}

pub(super) const EXAMPLES: &str = "\
Examples:
  cloakroom show file:/srv/sessions 4f2ac0...    a key, all 64 digits, as `ls` prints it
  cloakroom show file:/srv/sessions - < cookie   an id, kept out of the list of processes
  cloakroom show file:/srv/sessions user-7 --namespace shop --mask '^email$'
  cloakroom show map:/srv/sessions user-7 --format json | jq .values.cart

A text of 64 hex digits is a key if the store has a session of that key, and else an id, as anything
else. Values whose names look like secrets (password, token, csrf, ...) are hidden wherever they are,
unless you say `--reveal`. Showing a session is no use of it: its last access stays.";
