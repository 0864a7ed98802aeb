//! Replays traffic with one access: clients on threads of their own take one request after the
//! other, each when it is due.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::suffered::{Suffered, Waits};
use super::traffic::Traffic;
use crate::bench::{Ledger, Prepared};
use crate::driver::Ticket;
use crate::error::CliError;
use crate::measure::Latencies;
use crate::mode::Mode;
use crate::progress;
use crate::replay::send::{self, Sent};
use crate::report::output;
use crate::sleep;
use crate::units::grouped;

/// How fast, and by how many.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How many times faster time runs; infinite: a request is due as soon as a client is free.
    pub speed: f64,
    /// How many requests may be under way at once.
    pub clients: u32,
}

impl Pace {
    /// Whether requests wait for a client and not for their time.
    pub const fn is_closed(self) -> bool {
        self.speed.is_infinite()
    }
}

/// How the traffic went with one access.
pub struct Replayed {
    /// The access.
    pub mode: Mode,
    /// What all clients saw.
    pub seen: Seen,
    /// From the first request to the last response.
    pub elapsed: Duration,
    /// Acknowledged increments that are gone.
    pub lost: u64,
    /// The sessions that waited longest in all.
    pub suffered: Vec<Suffered>,
}

/// What one client saw, or all.
pub struct Seen {
    /// From when a request was due to its response.
    pub latency: Latencies,
    /// How long of that it stood waiting for its session.
    pub waits: Latencies,
    /// How late the latest request was sent.
    pub late: Duration,
    /// How long handlers worked in vain.
    pub redone: Duration,
    /// How often they ran again.
    pub conflicts: u64,
    /// Acknowledged increments.
    pub acknowledged: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Why the first did.
    pub first_error: Option<String>,
}

impl Replayed {
    /// Whether every promise was kept.
    pub const fn kept(&self) -> bool {
        self.seen.errors == 0 && (self.lost == 0 || self.mode.may_lose())
    }

    /// Tells people about failed requests, of so many.
    pub fn complain(&self, requests: usize) {
        if let Some(error) = &self.seen.first_error {
            let answered = self.seen.latency.count() + self.seen.errors;
            output::complain(&format!(
                "error: {}: {} request(s) failed and {} were not sent; first: {error}",
                self.mode,
                grouped(self.seen.errors),
                grouped((requests as u64).saturating_sub(answered)),
            ));
        }
    }

    /// Answered requests per second.
    pub fn rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.seen.latency.count() as f64 / seconds } else { 0.0 }
    }
}

/// Replays the traffic on the prepared sessions. `counted` is the sum of the sessions' counters,
/// before and after.
pub fn replay(
    traffic: &Traffic,
    mode: Mode,
    pace: Pace,
    prepared: &Prepared,
    counted: &mut u64,
) -> Result<Replayed, CliError> {
    let sessions: Vec<_> = prepared.tickets.iter().map(|_| Waits::default()).collect();
    let next = AtomicUsize::new(0);
    let run = Run { traffic, mode, pace, prepared, sessions, next };
    let (seen, elapsed) = progress::during(
        &format!("replaying {mode}"),
        traffic.requests.len() as u64,
        || run.next.load(Ordering::Relaxed) as u64,
        || run.all_clients(),
    )?;
    let before = std::mem::replace(counted, prepared.sum_of_counters()?);
    let ledger = Ledger { before, acknowledged: seen.acknowledged, after: *counted };
    Ok(Replayed {
        mode,
        suffered: Suffered::most(&run.sessions),
        seen,
        elapsed,
        lost: ledger.lost(),
    })
}

/// What the clients of a run share.
struct Run<'a> {
    traffic: &'a Traffic,
    mode: Mode,
    pace: Pace,
    prepared: &'a Prepared,
    sessions: Vec<Waits>,
    /// The request that nobody has taken yet.
    next: AtomicUsize,
}

impl Run<'_> {
    fn all_clients(&self) -> Result<(Seen, Duration), CliError> {
        let requests = self.traffic.requests.len();
        let clients = (self.pace.clients as usize).min(requests);
        thread::scope(|scope| {
            let origin = Instant::now();
            let spawn = || thread::Builder::new().spawn_scoped(scope, move || self.client(origin));
            let threads: Vec<_> =
                (0..clients).map(|_| spawn()).collect::<Result<_, _>>().map_err(|error| {
                    // Those that did start find nothing more to do.
                    self.next.store(requests, Ordering::Relaxed);
                    CliError::Thread(error)
                })?;
            let mut seen = Seen::nothing();
            for thread in threads {
                seen.add(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            Ok((seen, origin.elapsed()))
        })
    }

    /// One client, until all requests are taken or too many failed.
    fn client(&self, origin: Instant) -> Seen {
        let mut seen = Seen::nothing();
        while seen.errors < ERRORS_MAX {
            let taken = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(request) = self.traffic.requests.get(taken) else { break };
            let Some((ticket, waits)) = self.session(request.session) else { break };
            let due = if self.pace.is_closed() {
                Instant::now()
            } else {
                origin + request.start(self.pace.speed)
            };
            sleep::until(due);
            let late = due.elapsed();
            let work = request.work(self.pace.speed);
            let sent =
                send::send(&*self.prepared.driver, ticket, self.mode, request.only_reads(), work);
            waits.add(sent.waited);
            seen.count(sent, late, due.elapsed());
        }
        seen
    }

    fn session(&self, number: u32) -> Option<(&Ticket, &Waits)> {
        let number = number as usize;
        self.prepared.tickets.get(number).zip(self.sessions.get(number))
    }
}

impl Seen {
    fn nothing() -> Self {
        Self {
            latency: Latencies::new(),
            waits: Latencies::new(),
            late: Duration::ZERO,
            redone: Duration::ZERO,
            conflicts: 0,
            acknowledged: 0,
            errors: 0,
            first_error: None,
        }
    }

    fn count(&mut self, sent: Sent, late: Duration, latency: Duration) {
        self.late = self.late.max(late);
        self.redone += sent.redone;
        self.conflicts += sent.conflicts;
        match sent.outcome {
            Ok(wrote) => {
                self.acknowledged += u64::from(wrote);
                self.latency.record(latency);
                self.waits.record(sent.waited);
            }
            Err(error) => {
                self.errors += 1;
                self.first_error.get_or_insert_with(|| error.to_string());
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.latency.add(&other.latency);
        self.waits.add(&other.waits);
        self.late = self.late.max(other.late);
        self.redone += other.redone;
        self.conflicts += other.conflicts;
        self.acknowledged += other.acknowledged;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }
}

/// A store that fails one client so often will not recover, and every failure may take a lock wait.
const ERRORS_MAX: u64 = 100;
