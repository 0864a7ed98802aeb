//! What can go wrong, and the exit status that says so.

use std::io;
use std::path::PathBuf;

use cloakroom::StoreError;
use thiserror::Error;

use crate::bench::SavedError;
use crate::driver::OperationError;
use crate::mode::Mode;
use crate::operate::CopyError;
use crate::replay::ReplayError;
#[cfg(feature = "serve")]
use crate::serve::ServeError;

/// Why the command could not do its work.
#[derive(Debug, Error)]
pub enum CliError {
    /// `memory:` with several processes.
    #[error(
        "`memory:` lives in one process, so --processes {processes} cannot share it; use \
         `file:DIR` or `map:DIR`, or --processes 1"
    )]
    MemoryHasOneProcess {
        /// How many were asked for.
        processes: u32,
    },
    /// A single client cannot contend.
    #[error("one client alone cannot contend; raise --clients or --processes")]
    NobodyToContend,
    /// The store does not offer the access.
    #[error(
        "`--access {mode}` needs a lock, and `{url}` has none; use one of {offered}, or a `file:DIR`"
    )]
    NotOffered {
        /// The store.
        url: String,
        /// What was asked for.
        mode: Mode,
        /// What it offers.
        offered: String,
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
    /// There is nothing to replay.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The server could not start.
    #[cfg(feature = "serve")]
    #[error(transparent)]
    Serve(#[from] ServeError),
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
    /// Standard input could not be read.
    #[error("failed to read standard input: {0}")]
    Input(#[source] io::Error),
    /// Standard input does not name sessions.
    #[error("a line of standard input is too long to name a session; write one key or id per line")]
    LineTooLong,
    /// No session was named.
    #[error("standard input names no session; write a key or an id")]
    NothingNamed,
    /// No such session.
    #[error("no session {name}; give the `--namespace` of its application if you named its id")]
    NoSession {
        /// What it was called.
        name: String,
    },
    /// Sessions could not be copied.
    #[error(transparent)]
    Copy(CopyError),
    /// A file of the manual could not be written.
    #[error("failed to write {}: {source}", place.display())]
    Manual {
        /// Which.
        place: PathBuf,
        /// Why.
        source: io::Error,
    },
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
    /// Whether all that failed is that nobody reads the results any more, as after `| head`.
    pub fn is_reader_gone(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// 2 where another command line would have worked, else 1.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::MemoryHasOneProcess { .. }
            | Self::NobodyToContend
            | Self::NotOffered { .. }
            | Self::Saved { .. }
            | Self::Replay(_)
            | Self::LineTooLong
            | Self::NothingNamed
            | Self::Protocol(_) => 2,
            #[cfg(feature = "serve")]
            Self::Serve(error) => error.exit_code(),
            Self::Copy(error) => error.exit_code(),
            Self::Store { source, .. } => match source {
                StoreError::Io(_) => 1,
                _ => 2,
            },
            _ => 1,
        }
    }
}
