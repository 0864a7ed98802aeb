//! The work, the same for every store: sessions drawn at random, loaded or committed.

use anyhow::{Result, ensure};
use clap::ValueEnum;
use cloakroom::{Key, SessionId};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::payload;
use crate::peer::{Peer, Worker};
use crate::support::clock;

/// What is done with each session that is drawn. All of them hash its id first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// Copy the payload out.
    Load,
    /// Copy it out, change it, put it back by compare-and-swap; again after a lost race.
    Commit,
    /// Nine loads, one commit.
    ReadHeavy,
    /// Only hash the id: what all the others contain.
    Hash,
}

impl Op {
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// What one thread, or several, did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub operations: u64,
    pub commits: u64,
    pub conflicts: u64,
    /// Operations in a second.
    pub rate: f64,
    /// Nanoseconds that the threads were on a processor, whatever else ran on the machine.
    pub cpu: u64,
}

impl Outcome {
    pub fn and(self, other: Self) -> Self {
        Self {
            operations: self.operations + other.operations,
            commits: self.commits + other.commits,
            conflicts: self.conflicts + other.conflicts,
            rate: self.rate + other.rate,
            cpu: self.cpu + other.cpu,
        }
    }
}

/// Sessions drawn at random, prepared so that no text is formatted while the clock runs.
pub struct Draws {
    draws: Vec<(u64, SessionId)>,
    next: usize,
}

impl Draws {
    pub fn new(sessions: u64, seed: u64) -> Self {
        let mut word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let draw = |_| {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            let number = ((u128::from(word) * u128::from(sessions)) >> 64) as u64;
            (number, id(number))
        };
        let count = (sessions * 16).clamp(BATCH as u64, DRAWS_MAX).next_multiple_of(BATCH as u64);
        Self { draws: (0..count).map(draw).collect(), next: 0 }
    }

    fn batch(&mut self) -> &[(u64, SessionId)] {
        let from = self.next;
        self.next = (from + BATCH) % self.draws.len();
        &self.draws[from..from + BATCH]
    }
}

/// Draws before they come again: more than the processor's caches hold sessions.
const DRAWS_MAX: u64 = 1 << 20;
/// Sessions between two looks at the clock.
const BATCH: usize = 32;

/// The id of a session: 64 characters.
pub fn id(number: u64) -> SessionId {
    SessionId::from(format!("{number:064x}"))
}

pub fn key(id: &SessionId) -> Key {
    Key::new("", id)
}

/// One thread's work, from one moment of the monotonic clock to another.
pub fn run(peer: &dyn Peer, draws: &mut Draws, op: Op, begin: u64, end: u64) -> Result<Outcome> {
    let mut worker = peer.worker()?;
    clock::sleep_until(begin);
    let (began, cpu) = (clock::now(), cpu_time());
    let mut outcome = Outcome::default();
    loop {
        for (number, id) in draws.batch() {
            let key = key(id);
            let commits = match op {
                Op::Load => false,
                Op::Commit => true,
                Op::ReadHeavy => outcome.operations % 10 == 9,
                Op::Hash => {
                    std::hint::black_box(&key);
                    outcome.operations += 1;
                    continue;
                }
            };
            if commits {
                while !commit(&mut *worker, &key, *number)? {
                    outcome.conflicts += 1;
                }
                outcome.commits += 1;
            } else {
                load(&mut *worker, &key, *number)?;
            }
            outcome.operations += 1;
        }
        let now = clock::now();
        if now >= end {
            outcome.cpu = cpu_time() - cpu;
            outcome.rate = outcome.operations as f64 * 1e9 / (now - began) as f64;
            return Ok(outcome);
        }
    }
}

/// Nanoseconds that this thread was on a processor.
fn cpu_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let part = |part: i64| u64::try_from(part).unwrap_or(0);
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}

/// How many commits all sessions together have seen.
pub fn count(peer: &dyn Peer, sessions: u64) -> Result<u64> {
    let mut worker = peer.worker()?;
    let mut total = 0;
    for number in 0..sessions {
        let mut is_right = false;
        worker.load(&key(&id(number)), &mut |payload| {
            is_right = payload::is_of(payload, number);
            total += payload::count(payload);
        })?;
        ensure!(is_right, "session {number} has another's payload");
    }
    Ok(total)
}

fn load(worker: &mut dyn Worker, key: &Key, number: u64) -> Result<()> {
    let mut is_right = false;
    worker.load(key, &mut |payload| {
        is_right = payload::is_of(std::hint::black_box(payload), number)
    })?;
    ensure!(is_right, "session {number} has another's payload");
    Ok(())
}

fn commit(worker: &mut dyn Worker, key: &Key, number: u64) -> Result<bool> {
    let mut is_right = false;
    let committed = worker.update(key, &mut |payload| {
        is_right = payload::is_of(payload, number);
        payload::count_up(payload);
    })?;
    ensure!(is_right, "session {number} has another's payload");
    Ok(committed)
}
