//! Replays a timeline with one access: every request on a thread of its own, sent when it was
//! sent in the recording, whether or not others have been answered by then.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::timeline::Request;
use crate::bench::{Ledger, Prepared};
use crate::driver::{Driver, Ticket};
use crate::error::CliError;
use crate::mode::Mode;
use crate::replay::advice::Outcome;
use crate::replay::send::{self, Sent};
use crate::sleep;

/// How a page load went with one access.
pub struct Replayed {
    /// The access.
    pub mode: Mode,
    /// What became of each request, in the order of the timeline.
    pub spans: Vec<Span>,
    /// Acknowledged increments that are gone.
    pub lost: u64,
}

/// What became of one request, on the clock of the timeline.
#[derive(Clone, Debug)]
pub struct Span {
    /// When it was sent.
    pub start: Duration,
    /// How long it stood waiting for the session.
    pub waited: Duration,
    /// When it was answered.
    pub end: Duration,
    /// How often it was overtaken and its handler ran again.
    pub conflicts: u64,
    /// How long its handler had worked in vain until it ran for the last time.
    pub redone: Duration,
    /// Whether an increment was acknowledged.
    pub wrote: bool,
    /// Why it failed.
    pub error: Option<String>,
}

impl Replayed {
    /// From the first request to the last response.
    pub fn page_load(&self) -> Duration {
        let start = self.spans.iter().map(|span| span.start).min().unwrap_or_default();
        let end = self.spans.iter().map(|span| span.end).max().unwrap_or_default();
        end.saturating_sub(start)
    }

    /// How long all requests together stood waiting.
    pub fn waited(&self) -> Duration {
        self.spans.iter().map(|span| span.waited).sum()
    }

    /// How long the most patient one did.
    pub fn longest_wait(&self) -> Duration {
        self.spans.iter().map(|span| span.waited).max().unwrap_or_default()
    }

    /// How long all handlers together worked in vain.
    pub fn redone(&self) -> Duration {
        self.spans.iter().map(|span| span.redone).sum()
    }

    /// How often handlers ran again.
    pub fn conflicts(&self) -> u64 {
        self.spans.iter().map(|span| span.conflicts).sum()
    }

    /// How many requests failed.
    pub fn errors(&self) -> usize {
        self.spans.iter().filter(|span| span.error.is_some()).count()
    }

    /// What is to be said about it.
    pub fn outcome(&self) -> Outcome {
        Outcome {
            mode: self.mode,
            kept: self.kept(),
            waited: self.waited(),
            redone: self.redone(),
            page_load: Some(self.page_load()),
            negligible: NEGLIGIBLE.max(self.page_load().mul_f64(0.05)),
        }
    }

    /// Whether every promise was kept.
    pub fn kept(&self) -> bool {
        self.errors() == 0 && (self.lost == 0 || self.mode.may_lose())
    }
}

/// Replays the requests on the one session that is prepared.
pub fn replay(
    requests: &[Request],
    mode: Mode,
    prepared: &Prepared,
    done: &AtomicU64,
) -> Result<Replayed, CliError> {
    let before = prepared.sum_of_counters()?;
    let driver = &*prepared.driver;
    let mut spans = Vec::with_capacity(requests.len());
    if let Some(ticket) = prepared.tickets.first() {
        spans = thread::scope(|scope| {
            let origin = Instant::now();
            let sent: Vec<_> = requests
                .iter()
                .map(|request| {
                    sleep::until(origin + request.start);
                    thread::Builder::new().spawn_scoped(scope, move || {
                        let span = send(request, mode, driver, ticket, origin);
                        // Relaxed: only a progress bar looks at it.
                        done.fetch_add(1, Ordering::Relaxed);
                        span
                    })
                })
                .collect::<Result<_, _>>()
                .map_err(CliError::Thread)?;
            Ok::<_, CliError>(
                sent.into_iter()
                    .map(|thread| thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p)))
                    .collect(),
            )
        })?;
    }
    let acknowledged = spans.iter().filter(|span| span.wrote).count() as u64;
    let after = prepared.sum_of_counters()?;
    Ok(Replayed { mode, spans, lost: Ledger { before, acknowledged, after }.lost() })
}

fn send(
    request: &Request,
    mode: Mode,
    driver: &dyn Driver,
    ticket: &Ticket,
    origin: Instant,
) -> Span {
    let start = origin.elapsed();
    let Sent { waited, conflicts, redone, outcome } =
        send::send(driver, ticket, mode, request.only_reads, request.work);
    let end = origin.elapsed();
    let (wrote, error) = match outcome {
        Ok(wrote) => (wrote, None),
        Err(error) => (false, Some(error.to_string())),
    };
    Span { start, waited, end, conflicts, redone, wrote, error }
}

/// Less waiting than this on a whole page is not worth a line of code.
const NEGLIGIBLE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_adds_up_and_the_page_ends_with_the_last_response() {
        let ms = Duration::from_millis;
        let span = |start, waited, end| Span {
            start: ms(start),
            waited: ms(waited),
            end: ms(end),
            conflicts: 1,
            redone: ms(3),
            wrote: true,
            error: None,
        };
        let spans = vec![span(5, 0, 50), span(10, 40, 90), span(20, 10, 40)];
        let replayed = Replayed { mode: Mode::Exclusive, spans, lost: 0 };
        assert_eq!(replayed.page_load(), ms(85));
        assert_eq!(replayed.waited(), ms(50));
        assert_eq!(replayed.longest_wait(), ms(40));
        assert_eq!(replayed.conflicts(), 3);
        assert_eq!(replayed.redone(), ms(9));
        assert!(replayed.kept());
        assert!(!Replayed { lost: 1, ..replayed }.kept());
    }
}
