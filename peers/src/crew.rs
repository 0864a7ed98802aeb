//! Who does the work: threads of this process, or other processes.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::peer::{Kind, Peer};
use crate::support::children::{self, Child};
use crate::support::clock;
use crate::work::{self, Draws, Op, Outcome};

/// How many work at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Crew {
    pub processes: usize,
    /// Of each process.
    pub threads: usize,
}

/// One thread for each of the `draws`, in this process.
pub fn run_here(peer: &dyn Peer, draws: &mut [Draws], op: Op, time: Duration) -> Result<Outcome> {
    let begin = clock::now() + nanos(MUSTER);
    run_from(peer, draws, op, begin, begin + nanos(time))
}

fn run_from(peer: &dyn Peer, draws: &mut [Draws], op: Op, begin: u64, end: u64) -> Result<Outcome> {
    thread::scope(|scope| {
        let work = |draws| scope.spawn(move || work::run(peer, draws, op, begin, end));
        let threads: Vec<_> = draws.iter_mut().map(work).collect();
        threads.into_iter().try_fold(Outcome::default(), |all, thread| {
            let one = thread.join().ok().context("a thread panicked")??;
            Ok(all.and(one))
        })
    })
}

/// Other processes, all at once.
pub fn run_elsewhere(job: &Job, processes: usize, time: Duration) -> Result<Outcome> {
    let mut all = Vec::new();
    for number in 0..processes {
        let words =
            Job { seed: job.seed + (number * job.threads) as u64, ..job.clone() }.words()?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        all.push(Child::start(&words));
    }
    for child in &mut all {
        ensure!(child.receive() == "ready", "a child did not get ready");
    }
    let begin = clock::now() + nanos(MUSTER);
    for child in &mut all {
        child.send(&format!("{begin} {}", begin + nanos(time)));
    }
    let mut sum = Outcome::default();
    for mut child in all {
        let numbers = child.numbers();
        let [operations, commits, conflicts, rate, cpu] = numbers[..] else {
            anyhow::bail!("a child sent {numbers:?}");
        };
        let rate = rate as f64 / 1e3;
        sum = sum.and(Outcome { operations, commits, conflicts, rate, cpu });
        child.finish();
    }
    Ok(sum)
}

/// What a child is to do.
#[derive(Clone)]
pub struct Job {
    pub kind: Kind,
    pub directory: PathBuf,
    pub sessions: u64,
    pub op: Op,
    pub threads: usize,
    pub seed: u64,
}

impl Job {
    fn words(&self) -> Result<Vec<String>> {
        let directory = self.directory.to_str().context("the path is text")?;
        ensure!(!directory.contains(' '), "the directory's path has a space in it");
        let Self { kind, sessions, op, threads, seed, .. } = self;
        let numbers = [*sessions, *threads as u64, *seed].map(|number| number.to_string());
        let [sessions, threads, seed] = numbers;
        Ok(vec![kind.name(), directory.to_owned(), sessions, op.name(), threads, seed])
    }

    /// In a child: what its words say.
    pub fn parse(words: &[String]) -> Option<Self> {
        let [kind, directory, sessions, op, threads, seed] = words else { return None };
        Some(Self {
            kind: Kind::parse(kind)?,
            directory: Path::new(directory).to_owned(),
            sessions: sessions.parse().ok()?,
            op: Op::from_str(op, false).ok()?,
            threads: threads.parse().ok()?,
            seed: seed.parse().ok()?,
        })
    }

    /// In a child: does it, when the parent says so.
    pub fn serve(&self) -> Result<()> {
        let peer = self.kind.open(&self.directory, self.sessions)?;
        let seeds = self.seed..self.seed + self.threads as u64;
        let mut draws: Vec<_> = seeds.map(|seed| Draws::new(self.sessions, seed)).collect();
        children::say("ready");
        let line = children::hear();
        let (begin, end) = line.split_once(' ').context("two moments")?;
        let outcome = run_from(&*peer, &mut draws, self.op, begin.parse()?, end.parse()?)?;
        let Outcome { operations, commits, conflicts, rate, cpu } = outcome;
        children::say(&format!("{operations} {commits} {conflicts} {} {cpu}", (rate * 1e3) as u64));
        Ok(())
    }
}

/// Until all are there.
const MUSTER: Duration = Duration::from_millis(30);

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
