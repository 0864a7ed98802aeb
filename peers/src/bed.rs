//! A store with its sessions in it, and what was measured on it.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::crew::{self, Crew, Job};
use crate::machine;
use crate::options::Options;
use crate::payload;
use crate::peer::{Kind, Peer};
use crate::support::Progress;
use crate::work::{self, Draws, Op, Outcome};

pub struct Bed {
    pub kind: Kind,
    pub sessions: u64,
    directory: PathBuf,
    peer: Box<dyn Peer>,
    committed: u64,
}

impl Bed {
    /// Makes the store and fills it.
    pub fn make(kind: Kind, sessions: u64, options: &Options) -> Result<Self> {
        let directory = options.directory.join(format!("{}-{sessions}", kind.name()));
        std::fs::create_dir(&directory)?;
        let bed = Self {
            peer: kind.open(&directory, sessions)?,
            kind,
            sessions,
            directory,
            committed: 0,
        };
        let mut progress = Progress::new(format!("filling {}", kind.name()), sessions);
        let mut batch = Vec::with_capacity(BATCH);
        for number in 0..sessions {
            batch.push((work::key(&work::id(number)), payload::new(number)));
            if batch.len() == BATCH || number + 1 == sessions {
                bed.peer.fill(&batch)?;
                batch.clear();
            }
            progress.step();
        }
        Ok(bed)
    }

    /// One round.
    pub fn measure(
        &mut self,
        op: Op,
        crew: Crew,
        draws: &mut [Draws],
        options: &Options,
    ) -> Result<Outcome> {
        let time = options.time();
        let outcome = if crew.processes == 1 {
            let draws = draws.get_mut(..crew.threads).context("there are enough draws")?;
            crew::run_here(&*self.peer, draws, op, time)
        } else {
            let job = Job {
                kind: self.kind,
                directory: self.directory.clone(),
                sessions: self.sessions,
                op,
                threads: crew.threads,
                seed: 101,
            };
            crew::run_elsewhere(&job, crew.processes, time)
        };
        let outcome = outcome.with_context(|| format!("{} failed", self.kind.name()))?;
        self.committed += outcome.commits;
        Ok(outcome)
    }

    /// Fails unless every commit is there.
    pub fn check(&self) -> Result<()> {
        let counted = work::count(&*self.peer, self.sessions)?;
        ensure!(
            counted == self.committed,
            "{} was told of {} commits and has {counted}",
            self.kind.name(),
            self.committed
        );
        Ok(())
    }

    /// The space that its files take.
    pub fn space(&self) -> u64 {
        machine::space(&self.directory)
    }

    /// Closes the store and removes its files.
    pub fn clear(self) -> Result<()> {
        drop(self.peer);
        Ok(std::fs::remove_dir_all(&self.directory)?)
    }
}

/// Sessions that are stored at a time.
const BATCH: usize = 10_000;
