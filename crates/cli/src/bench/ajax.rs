//! `ajax`: pages of parallel calls on one session, one page after another.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

use super::client::{Budget, Client};
use super::plan::{Plan, Tally};
use crate::driver::{Driver, Ticket};
use crate::error::CliError;

/// Runs the pages of this process; `done` counts their calls while they run.
///
/// The threads of the clients last as long as the run, so a page costs no thread starts.
pub fn run(
    driver: &dyn Driver,
    plan: &Plan,
    tickets: &[Ticket],
    done: &AtomicU64,
) -> Result<Tally, CliError> {
    thread::scope(|scope| {
        let (answer, answers) = mpsc::channel();
        let mut clients = Vec::new();
        let mut calls = Vec::new();
        for number in 0..plan.clients {
            let (call, called) = mpsc::channel();
            let (client, answer) = (Client::new(driver, plan, number), answer.clone());
            let thread =
                thread::Builder::new().spawn_scoped(scope, move || serve(client, called, answer));
            clients.push(thread.map_err(CliError::Thread)?);
            calls.push(call);
        }
        // From here on an error of `answers` means that every client has ended.
        drop(answer);
        let begun = Instant::now();
        let mut tally = load_pages(plan, tickets, &calls, &answers, done);
        tally.elapsed = begun.elapsed();
        drop(calls);
        for client in clients {
            let elapsed = tally.elapsed;
            tally.add(client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            tally.elapsed = elapsed;
        }
        Ok(tally)
    })
}

/// Loads one page after another, and returns how long they took.
fn load_pages<'a>(
    plan: &Plan,
    tickets: &'a [Ticket],
    calls: &[Sender<&'a Ticket>],
    answers: &Receiver<bool>,
    done: &AtomicU64,
) -> Tally {
    let mut tally = Tally::new();
    let budget = Budget::start(plan.limit);
    // Processes take every so many-th session, so that pages meet only if sessions are few.
    let mine = tickets.iter().cycle().skip(plan.process as usize).step_by(plan.processes as usize);
    for ticket in mine {
        let wanted = budget.take(plan.clients);
        if wanted == 0 {
            break;
        }
        let begun = Instant::now();
        let called = calls.iter().take(wanted as usize).filter(|call| call.send(ticket).is_ok());
        let called = called.count();
        let answered: Vec<bool> = answers.iter().take(called).collect();
        tally.pages.record(begun.elapsed());
        // Relaxed: only a progress bar looks at it.
        done.fetch_add(u64::from(wanted), Ordering::Relaxed);
        if answered.len() < called || answered.contains(&false) {
            break;
        }
    }
    tally
}

fn serve(mut client: Client<'_>, called: Receiver<&Ticket>, answer: Sender<bool>) -> Tally {
    for ticket in called {
        let go_on = client.operate(ticket);
        if answer.send(go_on).is_err() {
            break;
        }
    }
    client.finish()
}
