//! What is in a log, and how its traffic went with each access, for programs.

use super::Log;
use super::read::Skipped;
use super::report::Subject;
use super::run::Replayed;
use super::suffered::Suffered;
use super::summary::date;
use crate::replay::PAYLOAD;
use crate::report::json::{Quantiles, Run, Waits, micros};
use crate::report::log::{AccessLog, LogRun, MalformedLine, SufferedSession};

/// What was read, for programs.
pub fn log(log: &Log) -> AccessLog {
    let Log { name, clients, tally, read_for, .. } = log;
    let (first, last) = tally.period_us.map(|(first, last)| (date(first), date(last))).unzip();
    let skipped = |skipped: &Skipped| MalformedLine {
        line: skipped.line,
        reason: skipped.reason.to_string(),
        excerpt: skipped.excerpt.clone(),
    };
    AccessLog {
        name: name.clone(),
        bytes: tally.bytes,
        read_seconds: read_for.as_secs_f64(),
        lines: tally.lines,
        malformed: tally.malformed,
        first_malformed: tally.first_malformed.iter().map(skipped).collect(),
        no_request: tally.no_request,
        requests: tally.requests,
        chosen: tally.chosen,
        no_session: tally.no_session,
        timed: tally.timed,
        session_by: clients.by.to_string(),
        sessions: clients.count(),
        first,
        last,
    }
}

/// One run per access for programs.
pub fn runs(subject: &Subject<'_>, replayed: &[Replayed]) -> Vec<LogRun> {
    let Subject { log, traffic, pace, store } = subject;
    let requests = traffic.requests.len().max(1) as f64;
    let handler = traffic.work(pace.speed).div_f64(requests);
    let session = |session: &Suffered| SufferedSession {
        session: log.clients.label(session.session).to_owned(),
        requests: session.requests,
        waited_us: micros(session.waited),
        longest_wait_us: micros(session.longest),
    };
    let run = |run: &Replayed| LogRun {
        run: Run {
            store: store.clone(),
            access: run.mode,
            pattern: "replay",
            processes: 1,
            clients: pace.clients,
            sessions: log.clients.count(),
            payload_bytes: PAYLOAD,
            handler_us: micros(handler),
            seconds: run.elapsed.as_secs_f64(),
            operations: run.seen.latency.count(),
            operations_per_second: run.rate(),
            latency_us: Quantiles::of(&run.seen.latency),
            lock_wait_us: Waits::of(&run.seen.waits),
            conflicts: run.seen.conflicts,
            lost_updates: run.lost,
            errors: run.seen.errors,
            page_load_ms: None,
        },
        open_loop: !pace.is_closed(),
        behind_ms: (!pace.is_closed()).then(|| micros(run.seen.late) / 1e3),
        suffered: run.suffered.iter().map(session).collect(),
    };
    replayed.iter().map(run).collect()
}
