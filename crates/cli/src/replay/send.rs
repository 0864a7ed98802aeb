//! One request, with the access of a run.

use std::time::{Duration, Instant};

use crate::driver::{Driver, OperationError, Ticket};
use crate::mode::Mode;
use crate::sleep;

/// What became of a request.
pub struct Sent {
    /// How long it stood waiting for the session.
    pub waited: Duration,
    /// How often it was overtaken and its handler ran again.
    pub conflicts: u64,
    /// How long its handler had worked in vain until it ran for the last time.
    pub redone: Duration,
    /// Whether an increment was acknowledged.
    pub outcome: Result<bool, OperationError>,
}

/// Takes the session, lets the handler work so long, and answers.
pub fn send(
    driver: &dyn Driver,
    ticket: &Ticket,
    mode: Mode,
    only_reads: bool,
    work: Duration,
) -> Sent {
    let taken_as = if only_reads { mode } else { mode.to_write(driver.accesses()) };
    let begun = Instant::now();
    let mut last_begun = begun;
    let operated = driver.operate(ticket, taken_as, &mut || {
        last_begun = Instant::now();
        sleep::work(work);
    });
    let waited = if mode == Mode::None { Duration::ZERO } else { operated.waited };
    let redone = match operated.conflicts {
        0 => Duration::ZERO,
        _ => last_begun.duration_since(begun).saturating_sub(waited),
    };
    Sent { waited, conflicts: operated.conflicts, redone, outcome: operated.outcome }
}
