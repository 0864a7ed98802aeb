//! The sessions of a run: made before the clock starts, read back after it stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cloakroom::{SessionError, SessionId};

use crate::driver::{Driver, OperationError, Ticket};
use crate::error::CliError;
use crate::interrupt::{self, Unfinished};
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
    /// Unless the store goes with the command, and they with it.
    to_remove: Option<Unfinished>,
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
        let to_remove = (!place.is_temporary()).then(Unfinished::new);
        let prepared = Self { run, tickets, driver, to_remove };
        prepared.each("creating sessions", |driver, ticket| {
            interrupt::check()?;
            driver.create(ticket, payload).map_err(failed_to("create a session"))
        })?;
        Ok(prepared)
    }

    /// The sum of their counters.
    pub fn sum_of_counters(&self) -> Result<u64, CliError> {
        let mut sum = 0_u64;
        self.each("reading sessions", |driver, ticket| {
            interrupt::check()?;
            let counter = driver.counter(ticket).map_err(failed_to("read a session back"))?;
            sum = sum.saturating_add(counter);
            Ok(())
        })?;
        Ok(sum)
    }

    fn each(
        &self,
        label: &str,
        mut work: impl FnMut(&dyn Driver, &Ticket) -> Result<(), CliError>,
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
                    work(&*self.driver, ticket)?;
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
        if self.to_remove.is_none() {
            return;
        }
        let removed = self.each("removing sessions", |driver, ticket| {
            driver.destroy(ticket).map_err(failed_to("remove a session"))
        });
        if let Err(error) = removed {
            output::complain(&format!("warning: sessions of this run are left: {error}"));
        }
    }
}

fn failed_to(task: &'static str) -> impl Fn(OperationError) -> CliError {
    move |error| CliError::Session { task, source: Box::new(error) }
}
