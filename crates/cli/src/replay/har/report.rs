//! The outcome of a replay, for people and for programs.

use std::time::Duration;

use super::run::Replayed;
use super::timeline::{self, Request};
use super::waterfall::{IN_VAIN, WAITING, WORKING, Window};
use crate::machine::Machine;
use crate::measure::Latencies;
use crate::mode::Mode;
use crate::replay::advice::{Outcome, advice};
use crate::replay::modes;
use crate::report::json::{PageLoad, Quantiles, Run, Waits, micros};
use crate::report::table::{Figures, wrapped};
use crate::units::{grouped, human};

/// What was replayed.
pub struct Subject<'a> {
    /// The recording's name.
    pub name: String,
    /// How many requests it has.
    pub recorded: usize,
    /// Which were chosen, in words.
    pub choice: String,
    /// The chosen ones.
    pub requests: &'a [Request],
    /// How many times faster time ran.
    pub speed: f64,
    /// The URL of the store.
    pub store: String,
    /// Bytes in the session.
    pub payload: usize,
}

/// The page for people.
pub fn text(subject: &Subject<'_>, replayed: &[Replayed]) -> String {
    let Subject { name, recorded, choice, requests, speed, store, .. } = subject;
    let mut text = format!(
        "{name}: {} of {recorded} requests ({choice}), all with one session in {store}\n",
        requests.len(),
    );
    if speed.is_infinite() {
        text.push_str("all requests were sent at once, and handlers took no time\n");
    } else if (*speed - 1.0).abs() > f64::EPSILON {
        text.push_str(&format!("time ran {speed} times faster; figures are as measured\n"));
    }
    text.push_str("\nHow long requests stood waiting for the session:\n");
    let header = [
        "access",
        "how the session is taken",
        "waited\nin all",
        "longest\nwait",
        "page\nload",
        "lost\nupdates",
        "redone\nwork",
        "failed",
    ];
    let mut table = Figures::new(2, &header);
    for run in replayed {
        table.row(vec![
            run.mode.to_string(),
            modes::meaning(run.mode).to_owned(),
            human(run.waited()),
            human(run.longest_wait()),
            human(run.page_load()),
            grouped(run.lost),
            human(run.redone()),
            grouped(run.errors() as u64),
        ]);
    }
    text.push_str(&table.text());
    text.push_str(&waterfalls(requests, replayed));
    text.push('\n');
    let outcomes: Vec<Outcome> = replayed.iter().map(Replayed::outcome).collect();
    text.push_str(&wrapped(&format!("Advice: {}", advice("this page", &outcomes))));
    text.push('\n');
    text.push_str(&Machine::here().line());
    text.push('\n');
    text
}

/// One run per access for programs.
pub fn runs(subject: &Subject<'_>, replayed: &[Replayed]) -> Vec<Run> {
    let requests = subject.requests;
    let clients = u32::try_from(timeline::most_at_once(requests)).unwrap_or(u32::MAX);
    let work: Duration = requests.iter().map(|request| request.work).sum();
    let handler = work.div_f64(requests.len().max(1) as f64);
    let run = |run: &Replayed| {
        let (mut latency, mut waits, mut pages) =
            (Latencies::new(), Latencies::new(), Latencies::new());
        for span in run.spans.iter().filter(|span| span.error.is_none()) {
            latency.record(span.end.saturating_sub(span.start));
            waits.record(span.waited);
        }
        pages.record(run.page_load());
        let seconds = run.page_load().as_secs_f64();
        let operations = latency.count();
        Run {
            store: subject.store.clone(),
            access: run.mode,
            pattern: "replay",
            processes: 1,
            clients,
            sessions: 1,
            payload_bytes: subject.payload,
            handler_us: micros(handler),
            seconds,
            operations,
            operations_per_second: if seconds > 0.0 { operations as f64 / seconds } else { 0.0 },
            latency_us: Quantiles::of(&latency),
            lock_wait_us: Waits::of(&waits),
            conflicts: run.conflicts(),
            lost_updates: run.lost,
            errors: run.errors() as u64,
            page_load_ms: PageLoad::of(&pages),
        }
    };
    replayed.iter().map(run).collect()
}

/// The pictures of the access that waited most and of the one that wasted least.
fn waterfalls(requests: &[Request], replayed: &[Replayed]) -> String {
    let with_session = || replayed.iter().filter(|run| run.mode != Mode::None);
    let Some(worst) = with_session().max_by_key(|run| run.waited()) else {
        return String::new();
    };
    if worst.waited() < WORTH_A_PICTURE {
        return String::new();
    }
    // Of those that waste about as little, the first.
    let wasted = |run: &Replayed| (run.waited() + run.redone()).as_millis() / 5;
    let best = with_session().min_by_key(|run| wasted(run));
    let best = best.filter(|best| best.mode != worst.mode);
    let drawn = || [Some(worst), best].into_iter().flatten();
    let in_vain = if drawn().any(|run| run.conflicts() > 0) {
        format!("   {IN_VAIN} work in vain")
    } else {
        String::new()
    };
    let window = Window::new(worst, best);
    let mut text = format!("\n{WAITING} waiting for the session   {WORKING} working{in_vain}\n");
    for run in drawn() {
        text.push('\n');
        text.push_str(&window.draw(requests, run));
    }
    text
}

const WORTH_A_PICTURE: Duration = Duration::from_millis(5);
