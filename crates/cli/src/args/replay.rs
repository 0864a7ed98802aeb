//! Arguments of `replay`.

use std::path::PathBuf;

use super::Format;
use crate::mode::Mode;
use crate::replay::Choice;
use crate::store_url::StoreUrl;
use crate::units;

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// A HAR recording, plain or gzip; without it the recording of a small demo page
    ///
    /// Browsers write it: developer tools, network tab, "Save all as HAR". WebPageTest and
    /// Browsertime write it too.
    pub file: Option<PathBuf>,
    /// Which requests to replay: `dynamic`, `cookies`, `all`, or a regular expression
    ///
    /// `dynamic`: those to the page's own site that are no static files. `cookies`: those to the
    /// page's own site that carry a cookie. `all`: every one. Anything else is a regular
    /// expression for the URL.
    #[arg(long, value_name = "CHOICE", default_value = "dynamic", value_parser = Choice::parse)]
    pub requests: Choice,
    /// Replay only this page of a recording that has several; the first is 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub page: Option<u32>,
    /// Let time run so many times faster
    #[arg(long, value_name = "N", default_value = "1", value_parser = units::parse_speed)]
    pub speed: f64,
    /// Where the session lives: `file:DIR` or `memory:`; a bare `file:` is a temporary directory
    #[arg(long, value_name = "URL", default_value = "file:", value_parser = StoreUrl::parse)]
    pub store: StoreUrl,
    /// How requests take the session; may be repeated, and without it five ways are compared
    #[arg(long, value_name = "ACCESS", value_enum)]
    pub access: Vec<Mode>,
    /// A table for people or one JSON document for programs
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  cloakroom replay                               the demo page that comes with the command
  cloakroom replay shop.har                      your own page
  cloakroom replay shop.har --requests cookies   every request that carries the cookie
  cloakroom replay shop.har --requests '/api/'   requests with /api/ in their URL
  cloakroom replay shop.har --speed 5 --access exclusive --access released

Each request opens the one session when it was sent in the recording, and works as long as the
server took then. `shared` lets GET and HEAD requests only read; the others take it exclusively.";
