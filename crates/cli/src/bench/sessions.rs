//! The sessions of a run: made before the clock starts, read back after it stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cloakroom::{SessionError, SessionId};

use crate::driver::{Driver, OperationError, Ticket};
use crate::error::CliError;
use crate::progress;
use crate::report::output;
use crate::store_url::Place;

/// The sessions of all runs in one store.
pub struct Prepared {
    /// The name in their ids, which no other run has.
    pub run: String,
    /// Their tickets.
    pub tickets: Vec<Ticket>,
    /// What reads and writes them.
    pub driver: Arc<dyn Driver>,
    temporary: bool,
}

impl Prepared {
    /// Creates so many sessions of `payload` bytes.
    pub fn create(
        place: &Place,
        driver: Arc<dyn Driver>,
        sessions: u32,
        payload: usize,
    ) -> Result<Self, CliError> {
        let id = SessionId::generate().map_err(|error| CliError::Session {
            task: "name the run",
            source: Box::new(OperationError::Session(SessionError::Entropy(error))),
        })?;
        let run: String = id.to_str().unwrap_or_default().chars().take(16).collect();
        let tickets = (0..sessions).map(|number| Ticket::new(&run, number)).collect();
        let prepared = Self { run, tickets, driver, temporary: place.is_temporary() };
        prepared.each("creating sessions", "create a session", |driver, ticket| {
            driver.create(ticket, payload)
        })?;
        Ok(prepared)
    }

    /// The sum of their counters.
    pub fn sum_of_counters(&self) -> Result<u64, CliError> {
        let mut sum = 0_u64;
        self.each("reading sessions", "read a session back", |driver, ticket| {
            sum = sum.saturating_add(driver.counter(ticket)?);
            Ok(())
        })?;
        Ok(sum)
    }

    fn each(
        &self,
        label: &str,
        task: &'static str,
        mut work: impl FnMut(&dyn Driver, &Ticket) -> Result<(), OperationError>,
    ) -> Result<(), CliError> {
        let done = AtomicU64::new(0);
        let all = self.tickets.len() as u64;
        // Relaxed: only the progress bar looks at it.
        progress::during(
            label,
            all,
            || done.load(Ordering::Relaxed),
            || {
                for ticket in &self.tickets {
                    work(&*self.driver, ticket)
                        .map_err(|error| CliError::Session { task, source: Box::new(error) })?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            },
        )
    }
}

impl Drop for Prepared {
    /// Removes them, unless the store goes anyway.
    fn drop(&mut self) {
        if self.temporary {
            return;
        }
        let removed = self
            .each("removing sessions", "remove a session", |driver, ticket| driver.destroy(ticket));
        if let Err(error) = removed {
            output::complain(&format!("warning: sessions of this run are left: {error}"));
        }
    }
}
