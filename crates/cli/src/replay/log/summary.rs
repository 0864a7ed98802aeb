//! What is in a log, for people.

use std::time::Duration;

use jiff::Timestamp;

use super::Log;
use super::read::Tally;
use crate::report::output;
use crate::units::{grouped, human};

/// What was read, for people.
pub fn text(log: &Log) -> String {
    let Log { name, clients, tally, read_for, .. } = log;
    let per_second = tally.bytes as f64 / 1e6 / read_for.as_secs_f64();
    let mut text = format!(
        "{name}: {} bytes read in {}, {per_second:.0} MB/s\n\n",
        grouped(tally.bytes),
        human(*read_for),
    );
    let mut line = |figure: u64, what: &str| {
        text.push_str(&format!("{:>15} {what}\n", grouped(figure)));
    };
    line(tally.lines, "lines");
    line(tally.malformed, "malformed");
    line(tally.no_request, "connections without a request");
    line(tally.requests, "requests");
    line(tally.chosen, &format!("chosen ({})", log.rules.chosen.describe()));
    line(tally.no_session, "of them without a session");
    line(tally.timed, "of them with the time they took");
    line(clients.count().into(), &format!("sessions by {}", clients.by));
    if let Some((first, last)) = tally.period_us {
        let lasted = Duration::from_micros(first.abs_diff(last));
        let (first, last) = (date(first), date(last));
        text.push_str(&format!("\nfrom {first} to {last}, {}\n", human(lasted)));
    }
    text
}

/// Tells people about lines that were skipped.
pub fn complain(log: &Log) {
    let Tally { lines, malformed, first_malformed, .. } = &log.tally;
    if *malformed == 0 {
        return;
    }
    output::complain(&format!(
        "note: malformed and skipped: {} of {} lines{}",
        grouped(*malformed),
        grouped(*lines),
        if *malformed > first_malformed.len() as u64 { ", the first:" } else { ":" },
    ));
    for skipped in first_malformed {
        output::complain(&format!(
            "  line {}: {}: {}",
            skipped.line, skipped.reason, skipped.excerpt
        ));
    }
}

/// A date in microseconds since 1970, as people read it.
pub fn date(us: i64) -> String {
    Timestamp::from_microsecond(us).map_or_else(|_| "?".to_owned(), |date| date.to_string())
}
