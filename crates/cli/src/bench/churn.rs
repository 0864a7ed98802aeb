//! `churn`: sessions are born, used a few times, and end. Half of them are destroyed, as by a
//! logout; the time of the others runs out, and a sweep removes them.
//!
//! Each client has sessions of its own, so what was acknowledged for one of them can be compared
//! with what it holds at its end, before it is gone.

use std::mem;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::tally::Tally;
use crate::driver::{Driver, Ending, Operated, OperationError, Ticket};
use crate::mode::Mode;
use crate::rng::Rng;

/// The sessions of one client.
pub struct Lives {
    /// The part of their ids that no other client has.
    name: String,
    mode: Mode,
    payload: usize,
    slots: Vec<Option<Life>>,
    /// How many ids have been used.
    born: u32,
    /// How many have expired since the last sweep.
    unswept: u32,
    churned: Churned,
}

/// A session in use.
struct Life {
    ticket: Ticket,
    uses: u32,
    acknowledged: u64,
    ending: Ending,
}

/// How many sessions came and went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Churned {
    /// Sessions that were created.
    pub created: u64,
    /// Those that were destroyed.
    pub destroyed: u64,
    /// Those whose time ran out.
    pub expired: u64,
    /// Calls of sweep.
    pub sweeps: u64,
    /// What they removed.
    pub swept: u64,
    /// Sessions that the store keeps after the last sweep.
    pub left: u64,
    /// Acknowledged increments that a session did not have at its end.
    pub lost: u64,
}

impl Lives {
    /// Those of the client of this number: its part of the plan's sessions, none of them born yet.
    pub fn of_client(plan: &Plan, number: u32) -> Self {
        let slots = plan.sessions / (plan.clients * plan.processes);
        Self {
            name: format!("{}-{}-{number}", plan.run, plan.process),
            mode: plan.mode,
            payload: plan.payload,
            slots: (0..slots.max(1)).map(|_| None).collect(),
            born: 0,
            unswept: 0,
            churned: Churned::default(),
        }
    }

    /// One request: the first of a session, another, or the last.
    pub fn step(&mut self, driver: &dyn Driver, rng: &mut Rng, work: &mut dyn FnMut()) -> Operated {
        if self.mode == Mode::None {
            work();
            return Operated::at_once(Ok(()));
        }
        let number = rng.below(self.slots.len() as u64) as usize;
        let (life, operated) = match self.slots.get_mut(number).and_then(Option::take) {
            None => match self.create(driver) {
                Ok(life) => (Some(life), Operated::at_once(Ok(()))),
                Err(error) => (None, Operated::at_once(Err(error))),
            },
            Some(mut life) if life.uses < USES => {
                let operated = life.serve(driver, self.mode, work);
                (Some(life), operated)
            }
            Some(life) => (None, Operated::at_once(self.end(driver, &life))),
        };
        if let Some(slot) = self.slots.get_mut(number) {
            *slot = life;
        }
        operated
    }

    /// Sweeps if enough have expired: what the store holds stays bounded.
    pub fn sweep_if_due(&mut self, driver: &dyn Driver) -> Result<(), OperationError> {
        if self.unswept < SWEEP_AFTER {
            return Ok(());
        }
        self.unswept = 0;
        let swept = driver.sweep(SWEEP_BUDGET)?;
        self.churned.count_sweep(swept.removed);
        Ok(())
    }

    fn create(&mut self, driver: &dyn Driver) -> Result<Life, OperationError> {
        let ticket = self.ticket(self.born);
        let ending = if self.born.is_multiple_of(2) { Ending::Destroy } else { Ending::Expire };
        self.born = self.born.wrapping_add(1);
        driver.create(&ticket, self.payload)?;
        self.churned.created += 1;
        Ok(Life { ticket, uses: 0, acknowledged: 0, ending })
    }

    fn end(&mut self, driver: &dyn Driver, life: &Life) -> Result<(), OperationError> {
        let counter = driver.end(&life.ticket, life.ending)?;
        self.churned.lost += life.acknowledged.saturating_sub(counter);
        match life.ending {
            Ending::Destroy => self.churned.destroyed += 1,
            Ending::Expire => {
                self.churned.expired += 1;
                self.unswept += 1;
            }
        }
        Ok(())
    }

    fn ticket(&self, number: u32) -> Ticket {
        Ticket::new(&self.name, number)
    }
}

impl Life {
    /// The increment is entered in the books of this session, not in those of the prepared ones.
    fn serve(&mut self, driver: &dyn Driver, mode: Mode, work: &mut dyn FnMut()) -> Operated {
        self.uses += 1;
        let operated = driver.operate(&self.ticket, mode.to_write(driver.accesses()), work);
        let wrote = matches!(operated.outcome, Ok(true));
        self.acknowledged += u64::from(wrote);
        Operated { outcome: operated.outcome.map(|_| false), ..operated }
    }
}

impl Churned {
    /// Adds what happened elsewhere, or before.
    pub const fn add(&mut self, other: &Self) {
        self.created += other.created;
        self.destroyed += other.destroyed;
        self.expired += other.expired;
        self.sweeps += other.sweeps;
        self.swept += other.swept;
        self.left += other.left;
        self.lost += other.lost;
    }

    const fn count_sweep(&mut self, removed: usize) {
        self.sweeps += 1;
        self.swept += removed as u64;
    }
}

/// Ends the sessions that these clients still have, sweeps the store, and looks whether anything is
/// left of any session they ever had.
pub fn close(driver: &dyn Driver, mut clients: Vec<Lives>, tally: &mut Tally) {
    for lives in &mut clients {
        for life in mem::take(&mut lives.slots).into_iter().flatten() {
            if let Err(error) = lives.end(driver, &life) {
                tally.fail(&error);
            }
        }
        tally.churned.add(&lives.churned);
    }
    match sweep_all(driver, &clients, &mut tally.churned) {
        Ok(left) => tally.churned.left += left,
        Err(error) => tally.fail(&error),
    }
}

/// How many sessions cannot be swept away.
fn sweep_all(
    driver: &dyn Driver,
    clients: &[Lives],
    churned: &mut Churned,
) -> Result<u64, OperationError> {
    let all = clients.iter().flat_map(|lives| (0..lives.born).map(move |number| (lives, number)));
    let mut left: Vec<_> = all.collect();
    for _ in 0..PASSES_MAX {
        if left.is_empty() {
            break;
        }
        loop {
            let swept = driver.sweep(SWEEP_BUDGET)?;
            churned.count_sweep(swept.removed);
            if swept.complete {
                break;
            }
        }
        let mut failed = None;
        left.retain(|(lives, number)| {
            driver.keeps(&lives.ticket(*number)).unwrap_or_else(|error| {
                failed.get_or_insert(error);
                true
            })
        });
        if let Some(error) = failed {
            return Err(error);
        }
        // What was ahead of the last pass's start, or in the hands of another process's sweep, goes
        // with the next one.
        thread::sleep(BETWEEN_PASSES);
    }
    Ok(left.len() as u64)
}

/// Requests between the first of a session and the last.
const USES: u32 = 8;

/// Expired sessions between two sweeps of a client.
const SWEEP_AFTER: u32 = 64;

/// Four times as many looks as sessions expire meanwhile: a third as many as live are waiting to
/// be swept.
const SWEEP_BUDGET: usize = 256;

const PASSES_MAX: u32 = 100;

const BETWEEN_PASSES: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cloakroom::MemoryStore;

    use super::*;
    use crate::args::Api;
    use crate::driver;

    fn lived(api: Api, mode: Mode) -> (Arc<dyn Driver>, Lives) {
        let driver = driver::of(MemoryStore::new(), api, Duration::from_secs(1));
        let plan = Plan { mode, sessions: 20, ..Plan::example(0) };
        let mut lives = Lives::of_client(&plan, 0);
        let mut rng = Rng::new(1, 0, 0);
        for _ in 0..5_000 {
            let operated = lives.step(&*driver, &mut rng, &mut || {});
            assert!(operated.outcome.is_ok_and(|wrote| !wrote), "it is in no other books");
            assert!(lives.sweep_if_due(&*driver).is_ok());
        }
        (driver, lives)
    }

    fn closed(driver: &dyn Driver, lives: Lives) -> Tally {
        let mut tally = Tally::new();
        close(driver, vec![lives], &mut tally);
        assert_eq!(tally.first_error, None);
        tally
    }

    #[test]
    fn sessions_come_and_go_and_nothing_is_left_or_lost() {
        for api in [Api::Session, Api::Bytes] {
            for mode in [Mode::Exclusive, Mode::Optimistic, Mode::Snapshot, Mode::LastWriteWins] {
                let (driver, lives) = lived(api, mode);
                assert!(lives.churned.sweeps > 0, "it sweeps on the way");
                let Churned { created, destroyed, expired, swept, left, lost, .. } =
                    closed(&*driver, lives).churned;
                assert!((490..520).contains(&created), "a tenth of 5,000 steps: {created}");
                assert_eq!(created, destroyed + expired);
                assert_eq!(expired, swept);
                assert_eq!((left, lost), (0, 0));
            }
        }
    }

    #[test]
    fn an_increment_that_a_session_lacks_at_its_end_is_lost() {
        let (driver, mut lives) = lived(Api::Bytes, Mode::Exclusive);
        for life in lives.slots.iter_mut().flatten().take(3) {
            life.acknowledged += 1;
        }
        assert_eq!(closed(&*driver, lives).churned.lost, 3);
    }

    #[test]
    fn a_session_that_no_sweep_removes_is_left() {
        let (driver, mut lives) = lived(Api::Session, Mode::Exclusive);
        assert!(driver.create(&lives.ticket(lives.born), 64).is_ok());
        lives.born += 1;
        assert_eq!(closed(&*driver, lives).churned.left, 1);
    }

    #[test]
    fn without_a_session_none_is_born() {
        let (driver, lives) = lived(Api::Session, Mode::None);
        assert_eq!(closed(&*driver, lives).churned, Churned::default());
    }
}
