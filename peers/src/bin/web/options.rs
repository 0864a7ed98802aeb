//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};

use crate::app::Kind;

/// Measures web apps on cloakroom and on tower-sessions with the same client in one run.
///
/// Three questions: how many requests of `/count` a second; how many acknowledged updates get lost when
/// several clients use one session at once; and whether a user who logged out is logged in again when a
/// request that was slower than the logout ends.
#[derive(Debug, Parser)]
#[command(after_long_help = EXAMPLES)]
pub struct Options {
    /// Which apps; all unless told otherwise.
    #[arg(long, value_delimiter = ',')]
    pub apps: Vec<Kind>,

    /// How long each measurement of the speed takes.
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,

    /// How often each is repeated, in turns.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,

    /// How many sessions there are.
    #[arg(long, default_value_t = 1_000)]
    pub sessions: usize,

    /// How many clients ask at once, each on a connection of its own.
    #[arg(long, default_value_t = 8)]
    pub clients: usize,

    /// How many increments each client makes on the one session that all share.
    #[arg(long, default_value_t = 100)]
    pub increments: u64,

    /// Where the stores are made, in a directory of this run's own; /dev/shm is memory.
    #[arg(long = "directory", default_value_os_t = std::env::temp_dir())]
    pub directory: PathBuf,

    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

const EXAMPLES: &str = "\
Examples:
  All apps, five rounds of three seconds:
    cargo run --release --manifest-path peers/Cargo.toml --bin web
  Only whether it works:
    ... --bin web -- --rounds 1 --seconds 0.2
  One client, so that no request waits for another, and the files in memory:
    ... --bin web -- --clients 1 --directory /dev/shm";

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
        if self.apps.is_empty() {
            self.apps = Kind::ALL.to_vec();
        }
        ensure!((1..=1_024).contains(&self.clients), "--clients is from 1 to 1024");
        ensure!(self.sessions >= self.clients, "there must be a session for each client");
        ensure!(self.sessions <= 1_000_000, "--sessions is a million at most");
        ensure!((1..=100_000).contains(&self.increments), "--increments is from 1 to 100000");
        ensure!(self.rounds > 0, "there must be a round");
        let whole = self.seconds * (self.rounds * self.apps.len()) as f64;
        ensure!(self.seconds > 0.0 && whole <= 3_600.0, "all rounds take an hour at most");
        Ok(self)
    }

    pub fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}
