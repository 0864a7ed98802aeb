//! Reads a log of any length: what is kept is a few counts, the sessions, and what the caller keeps.

use std::io::Read;
use std::time::Duration;

use thiserror::Error;

use super::chosen::Chosen;
use super::clients::Clients;
use super::date::Dates;
use super::line::{Line, Malformed};
use super::lines::{Lines, Text};
use super::took::{TimeUnit, Took};
use super::traffic::Request;
use crate::replay::input::InputError;
use crate::units::grouped;

/// How lines are to be understood.
#[derive(Debug)]
pub struct Rules {
    /// Which requests count.
    pub chosen: Chosen,
    /// What whole numbers at the end of a line count.
    pub unit: Option<TimeUnit>,
    /// How long a handler works where the line does not say it.
    pub handler: Duration,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Tally {
    /// Bytes of text.
    pub bytes: u64,
    /// Lines.
    pub lines: u64,
    /// Lines that were not understood.
    pub malformed: u64,
    /// The first of them.
    pub first_malformed: Vec<Skipped>,
    /// Connections without a request.
    pub no_request: u64,
    /// Requests.
    pub requests: u64,
    /// The chosen ones of them.
    pub chosen: u64,
    /// Those of the chosen ones that belong to no session.
    pub no_session: u64,
    /// Those of the chosen ones whose lines say how long they took.
    pub timed: u64,
    /// Whether lines are dated when the response ends.
    pub dated_at_end: bool,
    /// The first and the last date of the chosen ones, in microseconds since 1970.
    pub period_us: Option<(i64, i64)>,
}

/// A line that was not understood.
#[derive(Debug)]
pub struct Skipped {
    /// Its number; the first is 1.
    pub line: u64,
    /// Why.
    pub reason: Malformed,
    /// Its beginning, fit for a terminal.
    pub excerpt: String,
}

/// Why a log cannot be read.
#[derive(Debug, Error)]
pub enum LogError {
    /// It cannot be read to its end.
    #[error(transparent)]
    Input(#[from] InputError),
    /// It is none.
    #[error(
        "no HAR recording, and no line of it is in the common or combined format of Apache and \
         nginx; line {}: {}: {}", first.line, first.reason, first.excerpt
    )]
    NotUnderstood {
        /// The first line that was not understood.
        first: Box<Skipped>,
    },
    /// More than is kept in memory.
    #[error(
        "more than {} requests; choose some with --requests, or replay a part, as with \
         `head -n 1000000 LOG | cloakroom replay -`",
        grouped(*most as u64)
    )]
    TooManyRequests {
        /// How many are kept.
        most: usize,
    },
}

/// Reads a log, and hands out each chosen request that belongs to a session.
pub fn read(
    text: impl Read,
    rules: &Rules,
    clients: &mut Clients,
    mut each: impl FnMut(Request) -> Result<(), LogError>,
) -> Result<Tally, LogError> {
    let mut tally = Tally::default();
    let mut dates = Dates::default();
    let mut lines = Lines::new(text);
    while let Some(text) = lines.next().map_err(InputError::from)? {
        match text {
            Text::Whole(text) => {
                tally.lines += 1;
                match Line::parse(text, &mut dates) {
                    Ok(line) => {
                        if let Some(request) = tally.count(&line, rules, clients) {
                            each(request)?;
                        }
                    }
                    Err(_) if text.trim_ascii().is_empty() => {}
                    Err(reason) => tally.skip(reason, text),
                }
            }
            Text::TooLong(beginning) => {
                tally.lines += 1;
                tally.skip(Malformed::TooLong, beginning);
            }
            Text::Passing => {}
        }
        if tally.understood() == 0 && lines.bytes() > HOPELESS_BYTES {
            break;
        }
    }
    tally.bytes = lines.bytes();
    if tally.understood() > 0 {
        return Ok(tally);
    }
    Err(match tally.first_malformed.into_iter().next() {
        Some(first) => LogError::NotUnderstood { first: Box::new(first) },
        None => InputError::Empty.into(),
    })
}

impl Tally {
    fn count(&mut self, line: &Line<'_>, rules: &Rules, clients: &mut Clients) -> Option<Request> {
        let Some(request) = line.request else {
            self.no_request += 1;
            return None;
        };
        self.requests += 1;
        if !rules.chosen.takes(request.target) {
            return None;
        }
        self.chosen += 1;
        let Some(session) = clients.number(line, self.lines) else {
            self.no_session += 1;
            return None;
        };
        let took = Took::find(line.fields(), rules.unit);
        if let Some(took) = took {
            self.timed += 1;
            self.dated_at_end = took.dated_at_end;
        }
        let (first, last) = self.period_us.unwrap_or((line.at_us, line.at_us));
        self.period_us = Some((first.min(line.at_us), last.max(line.at_us)));
        let work = took.map_or(rules.handler, |took| took.time);
        Some(Request::new(line.at_us, session, work, request.only_reads()))
    }

    fn skip(&mut self, reason: Malformed, text: &[u8]) {
        self.malformed += 1;
        if self.first_malformed.len() < SKIPPED_SHOWN {
            let excerpt = excerpt(text);
            self.first_malformed.push(Skipped { line: self.lines, reason, excerpt });
        }
    }

    /// Lines that were understood, whether or not they hold a request.
    const fn understood(&self) -> u64 {
        self.requests + self.no_request
    }
}

/// The beginning of a line. Whatever is in it, it does nothing to a terminal.
fn excerpt(text: &[u8]) -> String {
    let mut excerpt = String::new();
    for byte in text {
        if excerpt.len() >= EXCERPT_WIDTH {
            return excerpt + "..";
        }
        match byte {
            b' '..=b'~' => excerpt.push(char::from(*byte)),
            _ => excerpt.push_str(&format!("\\x{byte:02x}")),
        }
    }
    excerpt
}

/// Malformed lines that are shown.
const SKIPPED_SHOWN: usize = 3;

/// How much of each.
const EXCERPT_WIDTH: usize = 60;

/// After so much that is no log at all nobody expects one.
const HOPELESS_BYTES: u64 = 16 << 20;
