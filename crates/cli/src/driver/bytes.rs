//! Operations on raw payloads: what the store itself does, without values and codecs.

use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::limits::{UPDATE_RACES, UPDATE_TRIES};
use cloakroom::{
    Access, Calling, CommitError, Condition, Hold, Lifetime, OpenError, OpenRequest, Store,
    SweepBudget, Swept, Terms,
};

use super::{Attempts, Driver, Ending, Operated, OperationError, Ticket};
use crate::mode::Mode;

/// Runs operations on payloads that begin with the counter.
pub struct BytesDriver<S> {
    store: S,
    lock_wait: Duration,
}

impl<S: Store> BytesDriver<S> {
    /// The driver of this store.
    pub const fn new(store: S, lock_wait: Duration) -> Self {
        Self { store, lock_wait }
    }

    fn open(&self, ticket: &Ticket, access: Access) -> Result<S::Hold, OpenError> {
        let request = OpenRequest::new(access, Calling::Blocking).wait(self.lock_wait);
        wait(self.store.open(&ticket.key, request))
    }

    fn once(
        &self,
        ticket: &Ticket,
        mode: Mode,
        attempts: &mut Attempts,
        work: &mut dyn FnMut(),
    ) -> Result<bool, OperationError> {
        let Some(access) = mode.access().filter(|_| mode.writes()) else {
            self.look(ticket, mode, attempts, work)?;
            return Ok(false);
        };
        // As `Sessions::update` does: who loses race after race takes the session exclusively.
        let patient = mode == Mode::Optimistic
            && attempts.opened >= u64::from(UPDATE_RACES)
            && self.store.accesses().contains(&Access::Exclusive);
        let access = if patient { Access::Exclusive } else { access };
        let mut hold = self.open(ticket, access)?;
        attempts.opened();
        if mode == Mode::Released {
            add_one(&mut hold, Condition::Unchanged, &mut || {})?;
            work();
            return Ok(true);
        }
        let condition = match mode {
            Mode::LastWriteWins => Condition::Alive,
            _ => Condition::Unchanged,
        };
        add_one(&mut hold, condition, work)?;
        Ok(true)
    }

    fn look(
        &self,
        ticket: &Ticket,
        mode: Mode,
        attempts: &mut Attempts,
        work: &mut dyn FnMut(),
    ) -> Result<(), OperationError> {
        let Some(access) = mode.access() else {
            attempts.opened();
            work();
            return Ok(());
        };
        let mut hold = self.open(ticket, access)?;
        attempts.opened();
        read_counter(hold.payload())?;
        if mode == Mode::Released {
            wait(hold.release());
        }
        work();
        wait(hold.release());
        Ok(())
    }
}

impl<S: Store> Driver for BytesDriver<S> {
    fn accesses(&self) -> &'static [Access] {
        self.store.accesses()
    }

    fn create(&self, ticket: &Ticket, payload: usize) -> Result<(), OperationError> {
        let mut hold = self.open(ticket, Access::Optimistic)?;
        wait(hold.commit(&vec![0; payload], Terms::default()))?;
        Ok(())
    }

    fn counter(&self, ticket: &Ticket) -> Result<u64, OperationError> {
        let hold = self.open(ticket, Access::Snapshot)?;
        read_counter(hold.payload())
    }

    fn operate(&self, ticket: &Ticket, mode: Mode, work: &mut dyn FnMut()) -> Operated {
        let mut attempts = Attempts::begin(mode);
        loop {
            let outcome = self.once(ticket, mode, &mut attempts, work);
            let overtaken = matches!(
                outcome,
                Err(OperationError::Commit(
                    CommitError::Conflict(_) | CommitError::AlreadyExists { .. }
                ))
            );
            if !overtaken || attempts.opened >= u64::from(UPDATE_TRIES) {
                return attempts.end(outcome);
            }
        }
    }

    fn read(&self, ticket: &Ticket, mode: Mode, work: &mut dyn FnMut()) -> Operated {
        let mut attempts = Attempts::begin(mode);
        let outcome = self.look(ticket, mode, &mut attempts, work);
        attempts.end(outcome.map(|()| false))
    }

    fn destroy(&self, ticket: &Ticket) -> Result<(), OperationError> {
        let mut hold = self.open(ticket, Access::Optimistic)?;
        wait(hold.destroy())?;
        Ok(())
    }

    fn end(&self, ticket: &Ticket, ending: Ending) -> Result<u64, OperationError> {
        let mut hold = self.open(ticket, Access::Optimistic)?;
        let payload = hold.payload().to_vec();
        let count = read_counter(&payload)?;
        match ending {
            Ending::Destroy => wait(hold.destroy())?,
            Ending::Expire => {
                let lifetime = Lifetime::default().idle(Duration::ZERO);
                wait(hold.commit(&payload, Terms { lifetime, ..Terms::default() }))?;
            }
        }
        Ok(count)
    }

    fn sweep(&self, sessions: usize) -> Result<Swept, OperationError> {
        Ok(wait(self.store.sweep(SweepBudget { sessions }, Calling::Blocking))?)
    }

    fn keeps(&self, ticket: &Ticket) -> Result<bool, OperationError> {
        let hold = self.open(ticket, Access::Snapshot)?;
        Ok(hold.record().is_some() || hold.expired())
    }
}

fn add_one(
    hold: &mut impl Hold,
    condition: Condition,
    work: &mut dyn FnMut(),
) -> Result<(), OperationError> {
    let mut payload = hold.payload().to_vec();
    let count = read_counter(&payload)?;
    work();
    let (counter, _) = payload.split_first_chunk_mut().ok_or(OperationError::NoCounter)?;
    *counter = (count + 1).to_le_bytes();
    wait(hold.commit(&payload, Terms { condition, ..Terms::default() }))?;
    Ok(())
}

fn read_counter(payload: &[u8]) -> Result<u64, OperationError> {
    let (counter, _) = payload.split_first_chunk().ok_or(OperationError::NoCounter)?;
    Ok(u64::from_le_bytes(*counter))
}
