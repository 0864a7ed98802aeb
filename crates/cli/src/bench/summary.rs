//! The figures of a finished run, for people and for programs.

use std::time::Duration;

use super::plan::Tally;
use crate::args::Api;
use crate::machine::Machine;
use crate::mode::Mode;
use crate::report::json::{PageLoad, Quantiles, Run, Waits, micros};
use crate::report::output;
use crate::report::table::{Figures, wrapped};
use crate::units::{counted, grouped, human};

/// What all runs of a command have in common.
pub struct Setting {
    /// Name of the pattern.
    pub pattern: &'static str,
    /// Processes.
    pub processes: u32,
    /// Clients in each.
    pub clients: u32,
    /// Sessions.
    pub sessions: u32,
    /// Bytes in a session.
    pub payload: usize,
    /// The time a handler works.
    pub handler: Duration,
}

/// The figures of a finished run.
pub struct Finished {
    /// The URL of its store.
    pub store: String,
    /// Its access.
    pub mode: Mode,
    /// What happened.
    pub tally: Tally,
    /// Acknowledged increments that are gone.
    pub lost: u64,
    pattern: &'static str,
    processes: u32,
    clients: u32,
    sessions: u32,
    payload: usize,
    handler: Duration,
}

impl Finished {
    /// The figures of a run in this setting.
    pub fn new(store: String, mode: Mode, setting: &Setting, tally: Tally, lost: u64) -> Self {
        let Setting { pattern, processes, clients, sessions, payload, handler } = *setting;
        let lost = if mode.writes() { lost } else { 0 };
        Self { store, mode, tally, lost, pattern, processes, clients, sessions, payload, handler }
    }

    /// Whether every promise was kept.
    pub const fn kept(&self) -> bool {
        self.tally.errors == 0 && (self.lost == 0 || self.mode.may_lose())
    }

    /// Operations per second.
    pub fn rate(&self) -> f64 {
        let seconds = self.tally.elapsed.as_secs_f64();
        if seconds > 0.0 { self.tally.operations as f64 / seconds } else { 0.0 }
    }

    /// Tells people about failed operations.
    pub fn complain(&self) {
        if let Some(error) = &self.tally.first_error {
            let Self { store, mode, pattern, .. } = self;
            let errors = grouped(self.tally.errors);
            output::complain(&format!(
                "error: {pattern} {mode} {store}: {errors} operation(s) failed; first: {error}"
            ));
        }
    }

    /// The figures for programs.
    pub fn run(&self) -> Run {
        Run {
            store: self.store.clone(),
            access: self.mode,
            pattern: self.pattern,
            processes: self.processes,
            clients: self.clients,
            sessions: self.sessions,
            payload_bytes: self.payload,
            handler_us: micros(self.handler),
            seconds: self.tally.elapsed.as_secs_f64(),
            operations: self.tally.operations,
            operations_per_second: self.rate(),
            latency_us: Quantiles::of(&self.tally.latency),
            lock_wait_us: Waits::of(&self.tally.lock_wait),
            conflicts: self.tally.conflicts,
            lost_updates: self.lost,
            errors: self.tally.errors,
            page_load_ms: PageLoad::of(&self.tally.pages),
        }
    }
}

/// The table of all runs of a command.
pub fn table(setting: &Setting, api: Api, finished: &[Finished]) -> String {
    let Setting { pattern, processes, clients, sessions, payload, handler } = *setting;
    let store = finished.first().map(|run| run.store.as_str()).unwrap_or_default();
    let stores = finished.iter().any(|run| run.store != store);
    let place = if stores { String::new() } else { format!("store {store}, ") };
    let mut text = wrapped(&format!(
        "bench {pattern}: {place}{} of {}, {} of {payload} bytes, handler {}, {} api",
        counted(processes, "process", "processes"),
        counted(clients, "client", "clients"),
        counted(sessions, "session", "sessions"),
        human(handler),
        api.name(),
    ));
    text.push('\n');
    let pages = finished.iter().any(|run| run.tally.pages.count() > 0);
    let mut columns: Vec<Column> = Vec::new();
    if stores {
        columns.push(("store", |run| run.store.clone()));
    }
    columns.push(("access", |run| run.mode.to_string()));
    let names = columns.len();
    columns.extend(FIGURES);
    columns.extend_from_slice(if pages { &PAGE_FIGURES } else { &LONGEST });
    columns.extend(COUNTS);
    let header: Vec<_> = columns.iter().map(|(title, _)| *title).collect();
    let mut table = Figures::new(names, &header);
    for run in finished {
        table.row(columns.iter().map(|(_, figure)| figure(run)).collect());
    }
    text.push_str(&table.text());
    text.push_str(
        "\np50, p99, max: one operation, handler included. waited: its part until the session \
         was open.\nlost: acknowledged updates missing at the end.\n",
    );
    text.push_str(&Machine::here().line());
    text.push('\n');
    text
}

/// A column: its title, and what it says of a run.
type Column = (&'static str, fn(&Finished) -> String);

const FIGURES: [Column; 4] = [
    ("per\nsecond", |run| grouped(run.rate().round() as u64)),
    ("p50", |run| human(run.tally.latency.quantile(0.5))),
    ("p99", |run| human(run.tally.latency.quantile(0.99))),
    ("waited\np99", |run| human(run.tally.lock_wait.quantile(0.99))),
];

const PAGE_FIGURES: [Column; 2] = [
    ("page\np50", |run| human(run.tally.pages.quantile(0.5))),
    ("page\np99", |run| human(run.tally.pages.quantile(0.99))),
];

const LONGEST: [Column; 1] = [("max", |run| human(run.tally.latency.max()))];

const COUNTS: [Column; 3] = [
    ("conflicts", |run| grouped(run.tally.conflicts)),
    ("lost", |run| grouped(run.lost)),
    ("failed", |run| grouped(run.tally.errors)),
];
