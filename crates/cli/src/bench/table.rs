//! The figures of a pattern as a table for people.

use super::summary::{Finished, Setting, warnings};
use crate::machine::Machine;
use crate::report::table::{Figures, wrapped};
use crate::units::{counted, grouped, human, percent};

/// The table of all runs of a pattern, and what must be said of them.
pub fn text(setting: &Setting, finished: &[Finished]) -> String {
    let store = finished.first().map(|run| run.store.as_str()).unwrap_or_default();
    let stores = finished.iter().any(|run| run.store != store);
    let mut text = wrapped(&heading(setting, (!stores).then_some(store)));
    text.push('\n');
    let mut columns: Vec<Column> = Vec::new();
    if stores {
        columns.push(("store", |run| run.store.clone()));
    }
    columns.push(("access", |run| run.mode.to_string()));
    let names = columns.len();
    columns.extend(FIGURES);
    if finished.iter().any(|run| run.rounds.len() > 1) {
        columns.push(("rounds\napart", |run| {
            run.rate().spread().map_or_else(|| "-".to_owned(), percent)
        }));
    }
    let pages = finished.iter().any(|run| run.tally.pages.count() > 0);
    columns.extend_from_slice(if pages { &PAGE_FIGURES } else { &LONGEST });
    columns.extend(COUNTS);
    if finished.iter().any(|run| run.tally.errors > 0) {
        columns.push(("failed", |run| grouped(run.tally.errors)));
    }
    let header: Vec<_> = columns.iter().map(|(title, _)| *title).collect();
    let mut table = Figures::new(names, &header);
    for run in finished {
        table.row(columns.iter().map(|(_, figure)| figure(run)).collect());
    }
    text.push_str(&table.text());
    for run in finished {
        text.push_str(&churned(run));
    }
    for warning in warnings(finished) {
        text.push_str(&wrapped(&warning));
    }
    text
}

/// What the columns mean, and the machine: once below all tables.
pub fn legend(setting: &Setting) -> String {
    let mut text = String::from(
        "\np50, p99, max: one operation, handler included. waited: its part until the session \
         was open.\nlost: acknowledged updates missing at the end.\n",
    );
    text.push_str(match setting.rate {
        Some(_) => {
            "Open loop: operations arrive by a schedule (Poisson) and count from when they were \
             to begin.\n"
        }
        None => {
            "Closed loop: stalls are undercounted (coordinated omission); --rate N opens the loop.\n"
        }
    });
    text.push_str(&Machine::here().line());
    text.push('\n');
    text
}

fn heading(setting: &Setting, store: Option<&str>) -> String {
    let Setting { pattern, processes, clients, sessions, payload, handler, .. } = *setting;
    let mut text = format!("bench {pattern}: ");
    if let Some(store) = store {
        text.push_str(&format!("store {store}, "));
    }
    text.push_str(&format!(
        "{} of {}, {} of {payload} bytes, ",
        counted(processes, "process", "processes"),
        counted(clients, "client", "clients"),
        counted(sessions, "session", "sessions"),
    ));
    if let Some(skew) = setting.skew {
        text.push_str(&format!("skew {skew}, "));
    }
    if let Some(writes) = setting.writes {
        text.push_str(&format!("{writes} % writes, "));
    }
    if let Some(rate) = setting.rate {
        text.push_str(&format!("open loop of {rate} per second, "));
    }
    text.push_str(&format!("handler {}, {} api", human(handler), setting.api.name()));
    text
}

fn churned(run: &Finished) -> String {
    let Some(churned) = run.churned().filter(|churned| churned.created > 0) else {
        return String::new();
    };
    wrapped(&format!(
        "{}: {} created, {} destroyed, {} expired; {} swept in {} sweeps; {} left",
        run.mode,
        grouped(churned.created),
        grouped(churned.destroyed),
        grouped(churned.expired),
        grouped(churned.swept),
        grouped(churned.sweeps),
        grouped(churned.left),
    ))
}

/// A column: its title, and what it says of a run.
type Column = (&'static str, fn(&Finished) -> String);

const FIGURES: [Column; 4] = [
    ("per\nsecond", |run| grouped(run.rate().median().round() as u64)),
    ("p50", |run| human(run.tally.latency.quantile(0.5))),
    ("p99", |run| human(run.tally.latency.quantile(0.99))),
    ("waited\np99", |run| human(run.tally.lock_wait.quantile(0.99))),
];

const PAGE_FIGURES: [Column; 2] = [
    ("page\np50", |run| human(run.tally.pages.quantile(0.5))),
    ("page\np99", |run| human(run.tally.pages.quantile(0.99))),
];

const LONGEST: [Column; 1] = [("max", |run| human(run.tally.latency.max()))];

const COUNTS: [Column; 2] =
    [("conflicts", |run| grouped(run.tally.conflicts)), ("lost", |run| grouped(run.lost))];
