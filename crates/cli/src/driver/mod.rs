//! One operation on a session, through either interface of the engine and on any store.

mod bytes;
mod session;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cloakroom::{
    Access, CommitError, Key, OpenError, SessionError, SessionId, Store, Swept, limits,
};
use thiserror::Error;

use crate::args::Api;
use crate::mode::Mode;

use self::bytes::BytesDriver;
use self::session::SessionDriver;

/// Runs operations on one store.
pub trait Driver: Send + Sync {
    /// The accesses that the store offers.
    fn accesses(&self) -> &'static [Access];

    /// Creates a session of ten values that total `payload` bytes, its counter at zero.
    fn create(&self, ticket: &Ticket, payload: usize) -> Result<(), OperationError>;

    /// What the counter of a session stands at.
    fn counter(&self, ticket: &Ticket) -> Result<u64, OperationError>;

    /// Takes the session, reads its counter, runs `work`, adds one and stores. A conflict
    /// repeats all of it.
    fn operate(&self, ticket: &Ticket, mode: Mode, work: &mut dyn FnMut()) -> Operated;

    /// Takes the session, reads its counter, runs `work` and stores nothing.
    fn read(&self, ticket: &Ticket, mode: Mode, work: &mut dyn FnMut()) -> Operated;

    /// Ends a session.
    fn destroy(&self, ticket: &Ticket) -> Result<(), OperationError>;

    /// Ends a session in this way, and returns what its counter stood at.
    fn end(&self, ticket: &Ticket, ending: Ending) -> Result<u64, OperationError>;

    /// Removes expired sessions from the store: looks at so many, from where the last call
    /// stopped.
    fn sweep(&self, sessions: usize) -> Result<Swept, OperationError>;

    /// Whether the store still keeps the session, be it expired.
    fn keeps(&self, ticket: &Ticket) -> Result<bool, OperationError>;
}

/// How a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its user logs out.
    Destroy,
    /// Its time is up; a sweep removes it.
    Expire,
}

/// The driver of a store, which waits at most so long for a lock.
pub fn of<S: Store + Clone>(store: S, api: Api, lock_wait: Duration) -> Arc<dyn Driver> {
    match api {
        Api::Session => Arc::new(SessionDriver::new(store, lock_wait)),
        Api::Bytes => Arc::new(BytesDriver::new(store, lock_wait)),
    }
}

/// How long to wait for a lock where so much work may queue up: the engine's default, or longer
/// where nobody who waits his turn would meet it. A wait is what this command is there to measure,
/// not a failure.
pub fn lock_wait(queued_work: Duration) -> Duration {
    limits::LOCK_WAIT.max(queued_work.saturating_mul(2))
}

/// A session by its id, for the session interface, and by its key, for the bytes interface.
pub struct Ticket {
    id: SessionId,
    key: Key,
}

impl Ticket {
    /// The ticket of the session of this number in a run of this name.
    pub fn new(run: &str, number: u32) -> Self {
        let id = SessionId::from(format!("{run}-{number}"));
        let key = Key::new(NAMESPACE, &id);
        Self { id, key }
    }
}

/// What became of an operation.
pub struct Operated {
    /// How long its first open took: the time it stood waiting for the session.
    pub waited: Duration,
    /// How often it was overtaken and repeated.
    pub conflicts: u64,
    /// Whether an increment was acknowledged.
    pub outcome: Result<bool, OperationError>,
}

impl Operated {
    /// It was over at the first attempt, and neither waited nor counted.
    pub fn at_once(outcome: Result<(), OperationError>) -> Self {
        Self { waited: Duration::ZERO, conflicts: 0, outcome: outcome.map(|()| false) }
    }
}

/// Why an operation failed.
#[derive(Debug, Error)]
pub enum OperationError {
    /// From the session interface.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// From the bytes interface.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// From the bytes interface.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The payload is too short to hold the counter.
    #[error("the session's payload holds no counter")]
    NoCounter,
}

/// Measures the first open of an operation, and counts its repetitions.
struct Attempts {
    /// Without a session there is nothing to wait for, and to measure that would double the cost.
    begun: Option<Instant>,
    waited: Option<Duration>,
    opened: u64,
}

impl Attempts {
    fn begin(mode: Mode) -> Self {
        let begun = mode.access().map(|_| Instant::now());
        Self { begun, waited: None, opened: 0 }
    }

    /// To be called as soon as the session is open, each time.
    fn opened(&mut self) {
        self.opened += 1;
        self.waited.get_or_insert_with(|| elapsed(self.begun));
    }

    fn end(self, outcome: Result<bool, OperationError>) -> Operated {
        let waited = self.waited.unwrap_or_else(|| elapsed(self.begun));
        Operated { waited, conflicts: self.opened.saturating_sub(1), outcome }
    }
}

fn elapsed(begun: Option<Instant>) -> Duration {
    begun.map_or(Duration::ZERO, |begun| begun.elapsed())
}

/// Keeps sessions of this command apart from others in a store that is in use.
const NAMESPACE: &str = "cloakroom-workbench";
