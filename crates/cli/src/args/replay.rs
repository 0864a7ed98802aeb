//! Arguments of `replay`.

use std::path::PathBuf;
use std::time::Duration;

use super::Format;
use crate::mode::Mode;
use crate::replay::{Choice, SessionBy, TimeUnit};
use crate::store_url::StoreUrl;
use crate::units;

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// A HAR recording or an access log, plain or gzip, `-` for standard input; without it the
    /// recording of a small demo page
    ///
    /// A recording is the load of one page, all with one session. Browsers write it: developer
    /// tools, network tab, "Save all as HAR". WebPageTest and Browsertime write it too.
    ///
    /// An access log is the traffic of a whole site, a session for each client: Apache's or
    /// nginx's common or combined format, whatever follows it.
    pub file: Option<PathBuf>,
    /// Which requests to replay: `dynamic`, `cookies`, `all`, or a regular expression [default:
    /// `dynamic` of a recording, `all` of a log]
    ///
    /// `dynamic`: those that are no static files, of a recording to the page's own site only.
    /// `cookies`: those to the page's own site that carry a cookie; not for logs. `all`: every
    /// one. Anything else is a regular expression for the URL, of a log for the path and query.
    #[arg(long, value_name = "CHOICE", value_parser = Choice::parse)]
    pub requests: Option<Choice>,
    /// Replay only this page of a recording that has several; the first is 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub page: Option<u32>,
    /// What makes a session of a log: `client`, `address`, `cookie:NAME`, or a regular expression
    /// [default: client]
    ///
    /// `client`: an address with its agent. `cookie:NAME`: the cookie of that name, if the log has
    /// cookies in a field in quotes after the agent. Anything else is a regular expression for the
    /// whole line, whose first group is the session. Requests without a session are left out.
    #[arg(long, value_name = "WHAT", value_parser = SessionBy::parse)]
    pub session_by: Option<SessionBy>,
    /// How long handlers work where a log does not say it, as `0`, `50ms` or `1s` [default: 0]
    ///
    /// A log says it by a number after the agent: a whole one is microseconds, as of %D, one with
    /// decimals is seconds, as of $request_time. --speed shortens both alike.
    #[arg(long, value_name = "DURATION", value_parser = units::parse_handler)]
    pub handler: Option<Duration>,
    /// What the last whole number in the lines of a log counts, where it is not %D
    #[arg(long, value_name = "UNIT", value_enum)]
    pub time_unit: Option<TimeUnit>,
    /// How many requests of a log may be under way at once [default: 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub clients: Option<u32>,
    /// Only read a log, and count what is in it
    #[arg(long)]
    pub check: bool,
    /// Let time run so many times faster; `max`: as fast as the store goes
    #[arg(long, value_name = "N", default_value = "1", value_parser = units::parse_speed)]
    pub speed: f64,
    /// Where the sessions live: `file:DIR`, `map:DIR` or `memory:`; a bare `file:` or `map:` is a
    /// temporary directory
    #[arg(long, value_name = "URL", default_value = "file:", value_parser = StoreUrl::parse)]
    pub store: StoreUrl,
    /// How requests take the session; may be repeated, and without it several ways are compared
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
  cloakroom replay shop.har --store map:         in the store where nobody waits
  cloakroom replay access.log.gz --speed 1000    a site's traffic, 1,000 times faster
  cloakroom replay access.log --check            what is in a log, without replaying it
  cloakroom replay access.log --speed 100 --session-by cookie:PHPSESSID --requests dynamic
  zcat access.log.*.gz | cloakroom replay - --speed max --handler 20ms

Each request opens its session when it was sent in the recording, and works as long as the
server took then. With `shared` and `snapshot` GET and HEAD requests only read; the others take it
exclusively, in a map store optimistically.

Dates in logs have no fractions: requests of the same second are spread evenly over it. Where
lines end with $request_time they are dated at the end of the request, and it is sent earlier.
A log is sorted before it is replayed. Latency counts from when a request was due.";
