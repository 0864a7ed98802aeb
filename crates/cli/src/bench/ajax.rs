//! `ajax`: pages of parallel calls on one session, one page after another.

use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use super::client::{Client, Meter};
use super::pace::{Clock, OsClock, Pace, Start};
use super::plan::Plan;
use super::tally::Tally;
use super::workload::Step;
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
            let client = Client::new(driver, plan, tickets, &OsClock, number);
            let answer = answer.clone();
            let thread = thread::Builder::new()
                .spawn_scoped(scope, move || serve(client, plan.rate.is_some(), called, answer));
            clients.push(thread.map_err(CliError::Thread)?);
            calls.push(call);
        }
        // From here on an error of `answers` means that every client has ended.
        drop(answer);
        let pace = Pace::begin(plan, plan.clients, &OsClock);
        let mut tally = load_pages(plan, &pace, &calls, &answers, Meter::new(done));
        let elapsed = pace.elapsed();
        drop(calls);
        for client in clients {
            tally.add(client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        tally.elapsed = elapsed;
        Ok(tally)
    })
}

/// A call of a page: its session, and when the page began.
type Call = (u32, Start);

/// Loads one page after another, and returns how long they took.
fn load_pages(
    plan: &Plan,
    pace: &Pace<'_, OsClock>,
    calls: &[Sender<Call>],
    answers: &Receiver<bool>,
    mut meter: Meter<'_>,
) -> Tally {
    let mut tally = Tally::new();
    // Processes take every so many-th session, so that pages meet only if sessions are few.
    let sessions = (0..plan.sessions).cycle();
    for session in sessions.skip(plan.process as usize).step_by(plan.processes as usize) {
        let Some(start) = pace.next(plan.clients) else {
            break;
        };
        let wanted = calls.iter().take(start.operations as usize);
        let called = wanted.filter(|call| call.send((session, start)).is_ok()).count();
        let answered: Vec<bool> = answers.iter().take(called).collect();
        if start.measured {
            tally.pages.record(OsClock.now().saturating_duration_since(start.at));
        }
        meter.count(start.operations, start.at);
        if answered.len() < called || answered.contains(&false) {
            break;
        }
    }
    tally
}

fn serve(
    mut client: Client<'_, OsClock>,
    open: bool,
    called: Receiver<Call>,
    answer: Sender<bool>,
) -> Tally {
    for (session, page) in called {
        // In a closed loop a call begins when its client does, not with the page.
        let start = if open { page } else { Start { at: OsClock.now(), ..page } };
        let go_on = client.operate(Step::Operate(session), start);
        if answer.send(go_on).is_err() {
            break;
        }
    }
    client.finish().0
}
