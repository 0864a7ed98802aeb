//! One way through FROM, by a few threads.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use cloakroom::blocking::wait;
use cloakroom::{Calling, Depth, Found, Inventory, Summary, Walk};

use super::entry::Entry;
use super::journal::Journal;
use super::report::Tally;
use crate::error::CliError;
use crate::operate::failed;
use crate::operate::walk::Gauge;

/// A copy at work.
pub struct Copier<'a, F, T> {
    pub(super) from: &'a F,
    pub(super) to: &'a T,
    state: Mutex<State>,
}

/// What its threads share.
pub(super) struct State {
    pub(super) journal: Journal,
    pub(super) tally: Tally,
}

/// Which way through FROM it is.
#[derive(Clone, Copy)]
pub(super) struct Pass {
    pub(super) number: u32,
    /// Whether every session is compared with its copy.
    pub(super) comparing: bool,
}

impl<'a, F: Inventory, T: Inventory> Copier<'a, F, T> {
    /// A copy that goes on as the journal says.
    pub fn new(from: &'a F, to: &'a T, journal: Journal) -> Self {
        Self { from, to, state: Mutex::new(State { journal, tally: Tally::default() }) }
    }

    /// The journal again.
    pub fn into_journal(self) -> Journal {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).journal
    }

    /// Goes through FROM once.
    pub fn pass(&self, number: u32, comparing: bool) -> Result<Tally, CliError> {
        let pass = Pass { number, comparing };
        let walk = wait(self.from.walk(Depth::Current, Calling::Blocking));
        let walk = Mutex::new(walk.map_err(failed("read the store to copy from"))?);
        let stop = AtomicBool::new(false);
        let gauge = Gauge::new(self.from);
        let label = match comparing {
            true => "copy: comparing".to_owned(),
            false => format!("copy: pass {number}"),
        };
        let work = || {
            let worked = self.work(&walk, &gauge, pass, &stop);
            if worked.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
            worked
        };
        gauge.during(&label, || {
            thread::scope(|scope| {
                let helpers: Vec<_> = (1..threads())
                    .map_while(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
                    .collect();
                // Without helpers the work is done all the same.
                let mut worked = work();
                for helper in helpers {
                    // A thread that panicked has said so; what it did not do is done by the next pass.
                    worked = worked.and(helper.join().unwrap_or(Ok(())));
                }
                worked
            })
        })?;
        self.end_unseen(pass)?;
        Ok(std::mem::take(&mut self.state().tally))
    }

    fn work(
        &self,
        walk: &Mutex<F::Walk>,
        gauge: &Gauge,
        pass: Pass,
        stop: &AtomicBool,
    ) -> Result<(), CliError> {
        let mut page = Vec::with_capacity(PAGE);
        while !stop.load(Ordering::Relaxed) {
            page.clear();
            {
                let mut walk = walk.lock().unwrap_or_else(PoisonError::into_inner);
                wait(walk.next(PAGE, &mut page)).map_err(failed("read the store to copy from"))?;
                gauge.pass(self.from, &page);
            }
            if page.is_empty() {
                break;
            }
            // A session that is taken in makes the directories that it needs.
            self.state().journal.check_presence().map_err(CliError::Copy)?;
            for found in &page {
                match found {
                    Found::Session(session) => self.deal(session, pass)?,
                    other => self.state().meet(other, pass),
                }
            }
        }
        Ok(())
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes a session that stands in FROM, and says what was done about it before.
    pub(super) fn see(&mut self, session: &Summary, pass: Pass) -> Option<Entry> {
        self.tally.seen += 1;
        self.tally.expired += u64::from(session.expired);
        self.journal.see(&session.key, pass.number);
        self.journal.entry(&session.key)
    }

    /// Notes a find that is no session.
    fn meet(&mut self, found: &Found, pass: Pass) {
        match found {
            Found::Damaged { key, .. } => {
                self.journal.see(key, pass.number);
                self.tally.trouble.name(found);
            }
            other => self.tally.trouble.name(other),
        }
    }
}

/// More than there are processors: where each commit is synced, they wait most of the time.
fn threads() -> usize {
    2 * thread::available_parallelism().map_or(1, NonZeroUsize::get).min(8)
}

const PAGE: usize = 64;
