//! Operations on typed values: what an application does.

use std::time::Duration;

use cloakroom::blocking::{Session, Sessions};
use cloakroom::{Access, Lifetime, OnConflict, SessionError, Store, SweepBudget, Swept};

use super::{Attempts, Driver, Ending, NAMESPACE, Operated, OperationError, Ticket};
use crate::mode::Mode;

/// Runs operations through typed sessions.
pub struct SessionDriver<S: Store> {
    store: S,
    sessions: Sessions<S>,
    last_write_wins: Sessions<S>,
    over_at_once: Sessions<S>,
}

impl<S: Store + Clone> SessionDriver<S> {
    /// The driver of this store.
    pub fn new(store: S, lock_wait: Duration) -> Self {
        let builder = || Sessions::builder(store.clone()).namespace(NAMESPACE).lock_wait(lock_wait);
        Self {
            sessions: builder().build(),
            last_write_wins: builder().on_conflict(OnConflict::LastWriteWins).build(),
            over_at_once: builder().lifetime(Lifetime::default().idle(Duration::ZERO)).build(),
            store,
        }
    }
}

impl<S: Store> SessionDriver<S> {
    fn once(
        &self,
        ticket: &Ticket,
        mode: Mode,
        attempts: &mut Attempts,
        work: &mut dyn FnMut(),
    ) -> Result<bool, SessionError> {
        let open = |sessions: &Sessions<S>, access, attempts: &mut Attempts| {
            let session = sessions.open(&ticket.id, access)?;
            attempts.opened();
            Ok::<_, SessionError>(session)
        };
        match mode {
            Mode::Exclusive => {
                let session = open(&self.sessions, Access::Exclusive, attempts)?;
                work_and_add(session, work)
            }
            Mode::LastWriteWins => {
                let session = open(&self.last_write_wins, Access::Optimistic, attempts)?;
                work_and_add(session, work)
            }
            Mode::Released => {
                let session = open(&self.sessions, Access::Exclusive, attempts)?;
                let wrote = work_and_add(session, &mut || {})?;
                work();
                Ok(wrote)
            }
            Mode::Optimistic => {
                self.sessions.update(&ticket.id, |session| {
                    attempts.opened();
                    let count = session.get::<u64>(COUNTER)?.unwrap_or(0);
                    work();
                    session.insert(COUNTER, count + 1)
                })?;
                Ok(true)
            }
            Mode::Shared | Mode::Snapshot | Mode::None => {
                self.look(ticket, mode, attempts, work)?;
                Ok(false)
            }
        }
    }

    fn look(
        &self,
        ticket: &Ticket,
        mode: Mode,
        attempts: &mut Attempts,
        work: &mut dyn FnMut(),
    ) -> Result<(), SessionError> {
        let Some(access) = mode.access() else {
            attempts.opened();
            work();
            return Ok(());
        };
        let mut session = self.sessions.open(&ticket.id, access)?;
        attempts.opened();
        session.get::<u64>(COUNTER)?;
        if mode == Mode::Released {
            session.release();
        }
        work();
        Ok(())
    }
}

impl<S: Store + Clone> Driver for SessionDriver<S> {
    fn accesses(&self) -> &'static [Access] {
        self.store.accesses()
    }

    fn create(&self, ticket: &Ticket, payload: usize) -> Result<(), OperationError> {
        self.sessions.update(&ticket.id, |session| {
            session.insert(COUNTER, 0_u64)?;
            for (name, bytes) in FILLERS.iter().zip(filler_sizes(payload)) {
                session.insert(name, "x".repeat(bytes))?;
            }
            Ok::<_, SessionError>(())
        })?;
        Ok(())
    }

    fn counter(&self, ticket: &Ticket) -> Result<u64, OperationError> {
        let session = self.sessions.open(&ticket.id, Access::Snapshot)?;
        Ok(session.get(COUNTER)?.unwrap_or(0))
    }

    fn operate(&self, ticket: &Ticket, mode: Mode, work: &mut dyn FnMut()) -> Operated {
        let mut attempts = Attempts::begin(mode);
        let outcome = self.once(ticket, mode, &mut attempts, work);
        attempts.end(outcome.map_err(Into::into))
    }

    fn read(&self, ticket: &Ticket, mode: Mode, work: &mut dyn FnMut()) -> Operated {
        let mut attempts = Attempts::begin(mode);
        let outcome = self.look(ticket, mode, &mut attempts, work);
        attempts.end(outcome.map(|()| false).map_err(Into::into))
    }

    fn destroy(&self, ticket: &Ticket) -> Result<(), OperationError> {
        Ok(self.sessions.destroy(&ticket.id)?)
    }

    fn end(&self, ticket: &Ticket, ending: Ending) -> Result<u64, OperationError> {
        let count = match ending {
            Ending::Destroy => {
                let mut session = self.sessions.open(&ticket.id, Access::Optimistic)?;
                let count = session.get(COUNTER)?;
                session.destroy()?;
                count
            }
            Ending::Expire => self.over_at_once.update(&ticket.id, |session| {
                let count = session.get(COUNTER)?;
                // An unchanged session would not be written, and would keep its lifetime.
                session.clear()?;
                Ok::<_, SessionError>(count)
            })?,
        };
        count.ok_or(OperationError::NoCounter)
    }

    fn sweep(&self, sessions: usize) -> Result<Swept, OperationError> {
        Ok(self.sessions.sweep(SweepBudget { sessions })?)
    }

    fn keeps(&self, ticket: &Ticket) -> Result<bool, OperationError> {
        let session = self.sessions.open(&ticket.id, Access::Snapshot)?;
        Ok(!session.is_new() || session.was_expired())
    }
}

fn work_and_add<S: Store>(
    mut session: Session<S>,
    work: &mut dyn FnMut(),
) -> Result<bool, SessionError> {
    let count = session.get::<u64>(COUNTER)?.unwrap_or(0);
    work();
    session.insert(COUNTER, count + 1)?;
    session.commit()?;
    Ok(true)
}

/// The sizes of the nine values beside the counter, so that all ten total `payload` bytes.
fn filler_sizes(payload: usize) -> impl Iterator<Item = usize> {
    let rest = payload.saturating_sub(size_of::<u64>());
    let (size, larger) = (rest / FILLERS.len(), rest % FILLERS.len());
    (0..FILLERS.len()).map(move |place| size + usize::from(place < larger))
}

const COUNTER: &str = "counter";

const FILLERS: [&str; 9] =
    ["user", "cart", "locale", "token", "seen", "flash", "theme", "search", "history"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_values_total_the_payload() {
        for payload in [8, 9, 17, 256, 4_096] {
            assert_eq!(filler_sizes(payload).sum::<usize>() + size_of::<u64>(), payload);
            assert_eq!(filler_sizes(payload).count(), 9);
        }
    }
}
