//! `hot` and `spread`: every client on its own, one operation after another.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{OnceLock, RwLock};
use std::thread;
use std::time::Instant;

use super::client::{Budget, Client};
use super::plan::{Plan, Tally};
use crate::args::Pattern;
use crate::driver::{Driver, Ticket};
use crate::error::CliError;

/// Runs the clients of this process; `done` counts their operations while they run.
pub fn run(
    driver: &dyn Driver,
    plan: &Plan,
    tickets: &[Ticket],
    done: &AtomicU64,
) -> Result<Tally, CliError> {
    let start = RwLock::new(());
    let budget = OnceLock::new();
    let client = |number| {
        // Everybody waits here until the last thread is there.
        drop(start.read());
        budget.get().map_or_else(Tally::new, |budget| {
            serve(Client::new(driver, plan, number), plan, tickets, budget, done)
        })
    };
    let client = &client;
    thread::scope(|scope| {
        let gate = start.write();
        let clients: Vec<_> = (0..plan.clients)
            .map(|number| thread::Builder::new().spawn_scoped(scope, move || client(number)))
            .collect::<Result<_, _>>()
            .map_err(CliError::Thread)?;
        let begun = Instant::now();
        let _ = budget.set(Budget::start(plan.limit));
        drop(gate);
        let mut tally = Tally::new();
        for client in clients {
            tally.add(client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        tally.elapsed = begun.elapsed();
        Ok(tally)
    })
}

fn serve(
    mut client: Client<'_>,
    plan: &Plan,
    tickets: &[Ticket],
    budget: &Budget,
    done: &AtomicU64,
) -> Tally {
    while budget.take(1) == 1 {
        let number = match plan.pattern {
            Pattern::Spread => client.choose(plan.sessions),
            Pattern::Hot | Pattern::Ajax => 0,
        };
        let Some(ticket) = tickets.get(number as usize) else {
            break;
        };
        if !client.operate(ticket) {
            break;
        }
        // Relaxed: only a progress bar looks at it.
        done.fetch_add(1, Ordering::Relaxed);
    }
    client.finish()
}
