//! How the traffic of a log went with each access, for people.

use std::time::Duration;

use super::run::{Pace, Replayed};
use super::summary::date;
use super::traffic::Traffic;
use super::{Log, Tally};
use crate::machine::Machine;
use crate::measure::Latencies;
use crate::mode::Mode;
use crate::replay::advice::{Outcome, advice};
use crate::replay::modes;
use crate::report::table::{Figures, wrapped};
use crate::units::{counted, grouped, human};

/// What was replayed, and how.
pub struct Subject<'a> {
    /// The log.
    pub log: &'a Log,
    /// The chosen requests of it.
    pub traffic: &'a Traffic,
    /// How fast, and by how many.
    pub pace: Pace,
    /// The URL of the store.
    pub store: String,
}

/// The page for people.
pub fn text(subject: &Subject<'_>, replayed: &[Replayed]) -> String {
    let advice = format!("Advice: {}", conclusion(subject, replayed));
    [
        &head(subject),
        "\nHow long requests stood waiting for their session:\n",
        &comparison(replayed),
        &percentiles(subject.pace, replayed),
        &suffered(subject.log, replayed),
        "\n",
        &wrapped(&advice),
        "\n",
        &Machine::here().line(),
        "\n",
    ]
    .concat()
}

fn head(subject: &Subject<'_>) -> String {
    let Subject { log, traffic, pace, store } = subject;
    let Log { name, clients, tally, rules, .. } = log;
    let Tally { requests, malformed, no_request, no_session, period_us, .. } = tally;
    let mut text = wrapped(&format!(
        "{name}: {} of {} requests ({}), {} by {} in {store}, at most {} at once",
        grouped(traffic.requests.len() as u64),
        grouped(*requests),
        rules.chosen.describe(),
        counted(log.clients.count(), "session", "sessions"),
        clients.by,
        pace.clients,
    ));
    let left_out = [
        (malformed, "malformed lines"),
        (no_request, "connections without a request"),
        (no_session, "requests without a session"),
    ];
    for (count, what) in left_out.iter().filter(|(count, _)| **count > 0) {
        text.push_str(&format!("left out: {} {what}\n", grouped(**count)));
    }
    if let Some((first, last)) = *period_us {
        text.push_str(&format!("logged from {} to {}\n", date(first), date(last)));
    }
    text + &times(subject)
}

/// When requests were sent, and how long their handlers worked.
fn times(subject: &Subject<'_>) -> String {
    let Subject { log: Log { tally, rules, .. }, traffic, pace, .. } = subject;
    if pace.is_closed() {
        return "a closed loop without handlers: a client sends its next request when the last is \
                answered\n"
            .to_owned();
    }
    let replayed = traffic.requests.len() as u64;
    let handler = human(rules.handler);
    let mut text = match replayed - tally.timed {
        0 => "handlers worked as long as the log says\n".to_owned(),
        some if some < replayed => {
            format!(
                "handlers worked as long as the log says, {} of them {handler}\n",
                grouped(some)
            )
        }
        _ if rules.handler.is_zero() => {
            "handlers took no time: the log does not say it, and neither does --handler\n"
                .to_owned()
        }
        _ => format!("handlers worked {handler} each\n"),
    };
    if (pace.speed - 1.0).abs() > f64::EPSILON {
        // Whole numbers are at most 10^12.
        let whole = pace.speed.fract() == 0.0;
        let speed = if whole { grouped(pace.speed as u64) } else { pace.speed.to_string() };
        text.push_str(&format!(
            "time ran {speed} times faster, for handlers too; figures are as measured\n"
        ));
    }
    text
}

fn comparison(replayed: &[Replayed]) -> String {
    let header = [
        "access",
        "how the session is taken",
        "waited\nin all",
        "longest\nwait",
        "per\nsecond",
        "lost\nupdates",
        "redone\nwork",
        "failed",
    ];
    let mut table = Figures::new(2, &header);
    for run in replayed {
        table.row(vec![
            run.mode.to_string(),
            modes::meaning(run.mode).to_owned(),
            human(run.seen.waits.sum()),
            human(run.seen.waits.max()),
            grouped(run.rate().round() as u64),
            grouped(run.lost),
            human(run.seen.redone),
            grouped(run.seen.errors),
        ]);
    }
    table.text()
}

fn percentiles(pace: Pace, replayed: &[Replayed]) -> String {
    let since = if pace.is_closed() { "it was sent" } else { "it was due" };
    let mut text = format!("\nLatency of a request, from when {since}, and the wait in it:\n");
    let mut header =
        vec!["access", "latency\np50", "\np90", "\np99", "\nmax", "waited\np50", "\np90", "\np99"];
    if !pace.is_closed() {
        header.push("sent\nlate");
    }
    let mut table = Figures::new(1, &header);
    let quantiles = |of: &Latencies| [0.5, 0.9, 0.99].map(|part| human(of.quantile(part)));
    for run in replayed {
        let mut row = vec![run.mode.to_string()];
        row.extend(quantiles(&run.seen.latency));
        row.push(human(run.seen.latency.max()));
        row.extend(quantiles(&run.seen.waits));
        if !pace.is_closed() {
            row.push(human(run.seen.late));
        }
        table.row(row);
    }
    text.push_str(&table.text());
    text
}

/// The sessions that waited most, with the access that waited most.
fn suffered(log: &Log, replayed: &[Replayed]) -> String {
    let with_session = replayed.iter().filter(|run| run.mode != Mode::None);
    let worst = with_session.max_by_key(|run| run.seen.waits.sum());
    let Some(worst) = worst.filter(|worst| !worst.suffered.is_empty()) else {
        return String::new();
    };
    let mut table = Figures::new(1, &["session", "requests", "waited\nin all", "longest\nwait"]);
    for session in &worst.suffered {
        table.row(vec![
            shortened(log.clients.label(session.session)),
            grouped(session.requests),
            human(session.waited),
            human(session.longest),
        ]);
    }
    format!("\nThe sessions that suffered most, `{}`:\n{}", worst.mode, table.text())
}

fn conclusion(subject: &Subject<'_>, replayed: &[Replayed]) -> String {
    let Subject { traffic, pace, .. } = subject;
    let outcome = |run: &Replayed| Outcome {
        mode: run.mode,
        kept: run.kept(),
        waited: run.seen.waits.sum(),
        redone: run.seen.redone,
        page_load: None,
        negligible: run.seen.latency.sum().mul_f64(NEGLIGIBLE),
    };
    let late = lateness(replayed);
    let span = traffic.span(pace.speed);
    let is_late = late >= TOO_LATE || late > span.mul_f64(TOO_LATE_PART);
    if !replayed.iter().all(Replayed::kept) || !pace.is_closed() && !is_late {
        return advice("this log", &replayed.iter().map(outcome).collect::<Vec<_>>());
    }
    if pace.is_closed() {
        return "this is how fast the store goes. A --speed that is a number keeps the times of \
                the log, and shows what its visitors would wait."
            .to_owned();
    }
    format!(
        "requests were sent up to {} late at best: this machine, or {} clients, could not keep \
         up. A lower --speed, or more --clients, shows what visitors would wait.",
        human(late),
        pace.clients,
    )
}

/// How late requests were with the access that was quickest to let them through. With that one it
/// was not the sessions that they waited for.
fn lateness(replayed: &[Replayed]) -> Duration {
    let with_session = replayed.iter().filter(|run| run.mode != Mode::None);
    with_session.map(|run| run.seen.late).min().unwrap_or_default()
}

/// As much as fits beside three figures.
fn shortened(label: &str) -> String {
    match label.char_indices().nth(SESSION_WIDTH) {
        None => label.to_owned(),
        Some((end, _)) => format!("{}..", label.get(..end - 2).unwrap_or_default()),
    }
}

const SESSION_WIDTH: usize = 60;

/// Less waiting than this part of all latencies is not worth a line of code.
const NEGLIGIBLE: f64 = 0.01;

/// Requests that are sent later than this show what the machine does, not what visitors wait.
const TOO_LATE: Duration = Duration::from_millis(100);

/// The same, as a part of the whole replay.
const TOO_LATE_PART: f64 = 0.05;
