//! Why the server could not start.

use std::io;
use std::path::PathBuf;

use cloakroom_axum::SettingsError;
use thiserror::Error;

/// Why the server could not start, or ended.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The address is no address, or not free, or not of this machine.
    #[error("failed to listen on {address}: {source}; {}", remedy(source))]
    Listen {
        /// As it was given.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The settings make no sense.
    #[error("{0}")]
    Settings(SettingsError),
    /// A secret key cannot be used.
    #[error("{place} holds no secret key: {reason}; make one with `openssl rand -base64 48`")]
    WeakKey {
        /// Where it is from.
        place: String,
        /// What is wrong, without the key.
        reason: String,
    },
    /// The file with the secret key cannot be read.
    #[error(
        "failed to read the secret key in {}: {source}; make one with `openssl rand -base64 48`",
        file.display()
    )]
    ReadKey {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The secret key of a store could not be made.
    #[error(
        "failed to make a secret key in {}: {source}; keep it elsewhere with --secret-key-file",
        file.display()
    )]
    MakeKey {
        /// Where.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The async runtime did not start.
    #[error("failed to start: {0}")]
    Runtime(#[source] io::Error),
}

impl ServeError {
    /// 2 where another command line would have worked, else 1.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Runtime(_) => 1,
            _ => 2,
        }
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "give --addr another port; port 0 is any that is free",
        io::ErrorKind::AddrNotAvailable => "give --addr an address of this machine",
        io::ErrorKind::PermissionDenied => "ports below 1024 are for root, give --addr another one",
        _ => "write --addr as HOST:PORT, for example 127.0.0.1:8080",
    }
}
