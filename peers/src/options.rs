//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};

use crate::crew::Crew;
use crate::peer::Kind;
use crate::work::Op;

/// Measures cloakroom's MapStore beside other embedded stores: the same work for all, in one run, in
/// turns.
///
/// Each session has an id of 64 characters and a payload of 256 bytes. Each operation hashes the id and
/// copies the payload out; a commit then puts it back by compare-and-swap on a version. At the end
/// every store is asked for the number of commits it has seen: none may be missing.
#[derive(Debug, Parser)]
#[command(after_long_help = EXAMPLES)]
pub struct Options {
    /// Which stores; all peers unless told otherwise.
    #[arg(long, value_delimiter = ',')]
    pub peers: Vec<Kind>,

    /// The spike: the two record designs and MapStore, commits and nine loads to a commit.
    #[arg(long)]
    pub spike: bool,

    /// How many sessions: several numbers are several stores, measured in turns. k and M are understood.
    #[arg(long, value_delimiter = ',', value_parser = number, default_value = "1M")]
    pub sessions: Vec<u64>,

    /// What to do with them.
    #[arg(long, value_delimiter = ',')]
    pub ops: Vec<Op>,

    /// Threads of one process.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    pub threads: Vec<usize>,

    /// Processes of one thread; for stores that allow it. 0 for none.
    #[arg(long, value_delimiter = ',', default_value = "2")]
    pub processes: Vec<usize>,

    /// Where the stores are made, in a directory of this run's own. /dev/shm is memory.
    #[arg(long = "directory", default_value = "/dev/shm")]
    pub directory: PathBuf,

    /// How long each measurement takes.
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,

    /// How often each is repeated, in turns.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,

    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,

    /// Only see whether everything works and no commit gets lost: few sessions, short, no verdicts.
    #[arg(long)]
    pub check: bool,
}

const EXAMPLES: &str = "\
Examples:
  All peers, a million sessions in memory:
    cargo run --release --manifest-path peers/Cargo.toml
  Ten million on a disk, beside LMDB:
    ... -- --sessions 10M --peers cloakroom,lmdb --directory /var/tmp
  What ten million cost more than ten thousand:
    ... -- --sessions 10k,10M --peers cloakroom,lmdb
  The record designs:
    ... -- --spike";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

impl Options {
    /// With what follows from what was said.
    pub fn complete(mut self) -> Result<Self> {
        if self.peers.is_empty() {
            self.peers = if self.spike { Kind::SPIKE.to_vec() } else { Kind::USUAL.to_vec() };
        }
        if self.ops.is_empty() {
            self.ops = if self.spike {
                vec![Op::Commit, Op::ReadHeavy]
            } else {
                vec![Op::Load, Op::Commit]
            };
        }
        if self.check {
            self.sessions = vec![5_000];
            (self.seconds, self.rounds) = (0.1, 1);
            if self.peers == Kind::USUAL {
                self.peers.extend([Kind::SpikeSegments, Kind::SpikeCells]);
            }
        }
        self.processes.retain(|processes| *processes > 1);
        ensure!(self.sessions.iter().all(|sessions| *sessions > 0), "there must be sessions");
        ensure!(self.threads.iter().all(|threads| *threads > 0), "there must be threads");
        ensure!(self.seconds > 0.0 && self.seconds <= 3_600.0, "--seconds is from 0 to 3600");
        ensure!(self.rounds > 0, "there must be a round");
        Ok(self)
    }

    pub fn crews(&self) -> Vec<Crew> {
        let threads = self.threads.iter().map(|&threads| Crew { processes: 1, threads });
        let processes = self.processes.iter().map(|&processes| Crew { processes, threads: 1 });
        threads.chain(processes).collect()
    }

    pub fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

fn number(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.strip_suffix(['k', 'M']) {
        Some(digits) if text.ends_with('k') => (digits, 1_000),
        Some(digits) => (digits, 1_000_000),
        None => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|error| format!("{error}: write 10000, 10k or 1M"))?;
    number.checked_mul(factor).ok_or_else(|| "too many".to_owned())
}
