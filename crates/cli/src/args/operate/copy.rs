//! Arguments of `copy`.

use std::ops::RangeInclusive;

use cloakroom::{Durability, Layout};

use super::super::Format;
use crate::store_url::StoreUrl;

/// Arguments of `copy`.
#[derive(Debug, clap::Args)]
pub struct CopyArgs {
    /// The store to copy from: `file:DIR` or `map:DIR`
    #[arg(value_name = "FROM", value_parser = StoreUrl::parse_lasting)]
    pub from: StoreUrl,
    /// The store to copy to; it is created if its directory is empty or missing
    #[arg(value_name = "TO", value_parser = StoreUrl::parse_lasting)]
    pub to: StoreUrl,
    /// Layout of a new file store: `flat`, or levels x digits as `2x2` [default: that of FROM]
    #[arg(long, value_name = "LAYOUT", value_parser = parse_layout)]
    pub layout: Option<Layout>,
    /// What commits to a new store survive: `process` or `power` [default: as in FROM]
    #[arg(long, value_name = "WHAT", value_parser = parse_durability)]
    pub durability: Option<Durability>,
    /// Go through FROM so often at most before the last time, which verifies
    #[arg(
        long, value_name = "N", default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..=1_000)
    )]
    pub passes: u32,
    /// Lines for people or one JSON document for programs
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

fn parse_layout(text: &str) -> Result<Layout, String> {
    if text == "flat" {
        return Ok(Layout::FLAT);
    }
    let number = |text: &str, range: RangeInclusive<u8>| {
        text.parse().ok().filter(|number| range.contains(number))
    };
    text.split_once('x')
        .and_then(|(levels, digits)| {
            Some(Layout { levels: number(levels, 1..=3)?, digits: number(digits, 1..=4)? })
        })
        .ok_or_else(|| "write `flat`, or 1 to 3 levels x 1 to 4 digits, as `2x2`".to_owned())
}

fn parse_durability(text: &str) -> Result<Durability, String> {
    match text {
        "process" => Ok(Durability::Process),
        "power" => Ok(Durability::Power),
        _ => Err("write `process` or `power`".to_owned()),
    }
}

pub(super) const EXAMPLES: &str = "\
Examples:
  cloakroom copy file:/srv/sessions file:/srv/sessions-2 --layout 2x2
  cloakroom copy file:/srv/sessions file:/backup/sessions
  cloakroom copy file:/srv/sessions map:/srv/sessions-3      to the lock-free store

Both stores may serve meanwhile. The copy goes through FROM until little has changed since the last
time, then once more and compares every session with its copy. To move a site: copy, let the
application use TO, and copy once more, which carries over what changed in FROM until then, ended
sessions included. What goes on in TO is never overwritten, and what was ended there never comes back.

Interrupted, it leaves a mark in TO that says so; the same command goes on where it stopped.";
