//! `ls`: the sessions of a store, while it is read.

use std::cmp::Ordering;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::SystemTime;

use cloakroom::{Depth, Found, Inventory, Summary, Timestamp};
use serde::Serialize;

use super::trouble::Trouble;
use super::walk;
use crate::Verdict;
use crate::args::operate::{Filter, ListFormat, LsArgs, Order};
use crate::error::CliError;
use crate::report::output::Lines;
use crate::store_url::Task;
use crate::units::{grouped, human_age, human_bytes};

/// Lists the sessions.
pub fn run(args: &LsArgs) -> Result<Verdict, CliError> {
    super::open(&args.store)?.with(args)
}

impl Task for &LsArgs {
    type Output = Result<Verdict, CliError>;

    fn run<S: Inventory + Clone>(self, store: &S) -> Self::Output {
        let now = Timestamp::from(SystemTime::now());
        let mut list = List::new(self, now);
        let mut trouble = Trouble::default();
        walk::pages(store, Depth::Current, |page| {
            for found in page {
                match found {
                    Found::Session(session) if !self.filter.takes(session, now) => {}
                    Found::Session(session) => {
                        if list.add(session)?.is_break() {
                            return Ok(ControlFlow::Break(()));
                        }
                    }
                    other => trouble.name(other),
                }
            }
            list.show()?;
            Ok(ControlFlow::Continue(()))
        })?;
        list.end()?;
        trouble.complain(&self.store);
        Ok(Verdict::of(trouble.hidden() == 0))
    }
}

impl Filter {
    fn takes(&self, session: &Summary, now: Timestamp) -> bool {
        let record = &session.record;
        let age = now.since(record.created);
        // The key comes last: it alone has to be written out to be compared.
        (session.expired || !self.expired)
            && (!session.expired || !self.live)
            && self.older_than.is_none_or(|limit| age > limit)
            && self.newer_than.is_none_or(|limit| age <= limit)
            && self.idle_for.is_none_or(|limit| now.since(record.accessed) >= limit)
            && self.larger_than.is_none_or(|limit| session.payload > limit)
            && self.key.as_ref().is_none_or(|prefix| session.key.to_string().starts_with(prefix))
    }
}

/// The list as it is written: at once, or sorted at the end.
struct List<'a> {
    args: &'a LsArgs,
    now: Timestamp,
    lines: Lines,
    written: u64,
    sorted: Vec<Summary>,
}

impl<'a> List<'a> {
    fn new(args: &'a LsArgs, now: Timestamp) -> Self {
        Self { args, now, lines: Lines::new(), written: 0, sorted: Vec::new() }
    }

    /// Adds a session; breaks off when the list is full.
    fn add(&mut self, session: &Summary) -> Result<ControlFlow<()>, CliError> {
        let Some(order) = self.args.sort else {
            self.write(session)?;
            let full = self.args.limit.is_some_and(|limit| self.written >= limit);
            return Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
        };
        self.sorted.push(*session);
        // Those that cannot be in the list any more are dropped from time to time.
        if self
            .args
            .limit
            .is_some_and(|limit| self.sorted.len() as u64 >= limit.saturating_mul(2).max(SPARE))
        {
            self.sort(order);
        }
        Ok(ControlFlow::Continue(()))
    }

    fn sort(&mut self, order: Order) {
        self.sorted.sort_unstable_by(|a, b| order.compare(a, b));
        if let Some(limit) = self.args.limit {
            self.sorted.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
    }

    fn show(&mut self) -> Result<(), CliError> {
        self.lines.show()
    }

    fn end(mut self) -> Result<(), CliError> {
        if let Some(order) = self.args.sort {
            self.sort(order);
            for session in std::mem::take(&mut self.sorted) {
                self.write(&session)?;
            }
        }
        self.lines.end()
    }

    fn write(&mut self, session: &Summary) -> Result<(), CliError> {
        let header =
            self.written == 0 && self.args.format == ListFormat::Table && self.lines.is_terminal();
        self.written += 1;
        let (format, now) = (self.args.format, self.now);
        self.lines.write(|out| {
            if header {
                write_header(out)?;
            }
            match format {
                ListFormat::Keys => writeln!(out, "{}", session.key),
                ListFormat::Table => write_row(out, session, now),
                ListFormat::Json => {
                    serde_json::to_writer(&mut *out, &Line::new(session, now))?;
                    out.write_all(b"\n")
                }
            }
        })
    }
}

impl Order {
    fn compare(self, a: &Summary, b: &Summary) -> Ordering {
        let never = Timestamp::MAX;
        let deadline = |session: &Summary| session.record.deadline().unwrap_or(never);
        let compared = match self {
            Self::Key => Ordering::Equal,
            Self::Size => b.payload.cmp(&a.payload),
            Self::Age => a.record.created.cmp(&b.record.created),
            Self::Idle => a.record.accessed.cmp(&b.record.accessed),
            Self::Ends => deadline(a).cmp(&deadline(b)),
            Self::Version => b.record.version.cmp(&a.record.version),
        };
        compared.then_with(|| a.key.cmp(&b.key))
    }
}

fn write_header(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<64} {:>9} {:>8} {:>12} {:>12} {:>12}",
        "KEY", "VERSION", "SIZE", "AGE", "IDLE", "ENDS IN"
    )
}

fn write_row(out: &mut impl Write, session: &Summary, now: Timestamp) -> io::Result<()> {
    let record = &session.record;
    let ends = match record.deadline() {
        _ if session.expired => "expired".to_owned(),
        Some(deadline) => human_age(deadline.since(now)),
        None => "never".to_owned(),
    };
    writeln!(
        out,
        "{} {:>9} {:>8} {:>12} {:>12} {ends:>12}",
        session.key,
        grouped(record.version),
        human_bytes(session.payload),
        human_age(now.since(record.created)),
        human_age(now.since(record.accessed)),
    )
}

/// A session as a line of JSON; times are milliseconds since 1970.
#[derive(Serialize)]
struct Line {
    key: String,
    version: u64,
    payload_bytes: u64,
    stored_bytes: u64,
    created_ms: u64,
    accessed_ms: u64,
    /// None: never.
    ends_ms: Option<u64>,
    age_s: f64,
    idle_s: f64,
    expired: bool,
    retired: bool,
}

impl Line {
    fn new(session: &Summary, now: Timestamp) -> Self {
        let record = &session.record;
        Self {
            key: session.key.to_string(),
            version: record.version,
            payload_bytes: session.payload,
            stored_bytes: session.stored,
            created_ms: record.created.as_millis(),
            accessed_ms: record.accessed.as_millis(),
            ends_ms: record.deadline().map(Timestamp::as_millis),
            age_s: now.since(record.created).as_secs_f64(),
            idle_s: now.since(record.accessed).as_secs_f64(),
            expired: session.expired,
            retired: record.retired_until.is_some(),
        }
    }
}

/// A shorter list is not worth the sorting.
const SPARE: u64 = 4_096;
