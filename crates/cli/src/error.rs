//! What can go wrong, and the exit status that says so.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use cloakroom::StoreError;
use thiserror::Error;

use crate::bench::SavedError;
use crate::driver::OperationError;
use crate::mode::Mode;
use crate::replay::HarError;
use crate::units::human;

/// Why the command could not do its work.
#[derive(Debug, Error)]
pub enum CliError {
    /// `memory:` with several processes.
    #[error(
        "`memory:` lives in one process, so --processes {processes} cannot share it; use \
         `file:DIR`, or --processes 1"
    )]
    MemoryHasOneProcess {
        /// How many were asked for.
        processes: u32,
    },
    /// A single client cannot contend.
    #[error("one client alone cannot contend; raise --clients or --processes")]
    NobodyToContend,
    /// The store does not offer the access.
    #[error("{store} does not offer what `{mode}` needs; it offers {offers}")]
    NotOffered {
        /// The store.
        store: String,
        /// What was asked for.
        mode: Mode,
        /// What it offers.
        offers: String,
    },
    /// The recording cannot be read.
    #[error("{}: {reason}", file.display())]
    Har {
        /// Which file.
        file: PathBuf,
        /// Why.
        reason: HarError,
    },
    /// No such page in the recording.
    #[error("--page {asked}: the recording has {pages} page(s)")]
    NoSuchPage {
        /// What was asked for.
        asked: u32,
        /// How many there are.
        pages: usize,
    },
    /// Nothing to replay.
    #[error("{}", too_few(*chosen, *all, *is_all, *cookies_missing))]
    TooFewRequests {
        /// How many were chosen.
        chosen: usize,
        /// How many there are.
        all: usize,
        /// Whether all were asked for.
        is_all: bool,
        /// Whether cookies were asked for and the recording has none at all.
        cookies_missing: bool,
    },
    /// The replay would take longer than anybody waits.
    #[error(
        "the chosen requests are spread over {}; raise --speed, or choose a --page",
        human(*span)
    )]
    TooLong {
        /// How long one run would take.
        span: Duration,
    },
    /// A saved run cannot be used.
    #[error("{}: {reason}", file.display())]
    Saved {
        /// Which file.
        file: PathBuf,
        /// Why.
        reason: SavedError,
    },
    /// A run could not be saved.
    #[error("failed to save {}: {source}", file.display())]
    Save {
        /// Where to.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store could not be opened.
    #[error("failed to open {url}: {source}")]
    Store {
        /// Its URL.
        url: String,
        /// Why.
        source: StoreError,
    },
    /// A temporary directory could not be made.
    #[error("failed to make a temporary directory: {0}")]
    TemporaryDirectory(#[source] io::Error),
    /// Sessions could not be prepared, read back or removed.
    #[error("failed to {task}: {source}")]
    Session {
        /// What was attempted.
        task: &'static str,
        /// Why.
        source: Box<OperationError>,
    },
    /// A thread could not be started.
    #[error("failed to start a thread: {0}; use fewer --clients")]
    Thread(#[source] io::Error),
    /// A process could not be started.
    #[error("failed to start a process: {0}")]
    Spawn(#[source] io::Error),
    /// A process ended early.
    #[error("worker process {pid} {fate}")]
    Worker {
        /// Which.
        pid: u32,
        /// What became of it.
        fate: String,
    },
    /// This process was told nonsense by the one that started it.
    #[error("this command is started by other cloakroom commands: {0}")]
    Protocol(String),
    /// The results could not be written.
    #[error("failed to write the results: {0}")]
    Output(#[source] io::Error),
    /// Somebody asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// Signals could not be caught.
    #[error("failed to catch Ctrl-C: {0}")]
    Signals(#[source] io::Error),
}

impl CliError {
    /// 2 where another command line would have worked, else 1.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::MemoryHasOneProcess { .. }
            | Self::NobodyToContend
            | Self::NotOffered { .. }
            | Self::Har { .. }
            | Self::NoSuchPage { .. }
            | Self::TooFewRequests { .. }
            | Self::TooLong { .. }
            | Self::Saved { .. }
            | Self::Protocol(_) => 2,
            Self::Store { source, .. } => match source {
                StoreError::Io(_) => 1,
                _ => 2,
            },
            _ => 1,
        }
    }
}

fn too_few(chosen: usize, all: usize, is_all: bool, cookies_missing: bool) -> String {
    let mut text = match chosen {
        0 => format!("none of the recording's {all} requests was chosen"),
        _ => format!("only {chosen} of the recording's {all} requests was chosen"),
    };
    text.push_str(", and it takes two to wait for each other");
    if is_all {
        text.push_str("; record a page that sends more");
    } else {
        text.push_str("; `--requests all` takes every one");
    }
    if cookies_missing {
        text.push_str(
            ". The recording holds no cookies at all: browsers leave them out unless you \
             export it with sensitive data",
        );
    }
    text
}
