//! Stores by URL, and the opened store behind one.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::{FileStore, MemoryStore};
use serde::{Deserialize, Serialize};

use crate::args::Api;
use crate::driver::{self, Driver};
use crate::error::CliError;
use crate::interrupt::TemporaryDirectory;

/// Where sessions live, as given on the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreUrl {
    /// `file:DIR`; without a directory a temporary one.
    File(Option<PathBuf>),
    /// `memory:`
    Memory,
}

impl StoreUrl {
    /// Reads `file:DIR`, `file:` or `memory:`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("file", "")) => Ok(Self::File(None)),
            Some(("file", directory)) => Ok(Self::File(Some(directory.into()))),
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("memory", _)) => Err("`memory:` takes nothing after the colon".to_owned()),
            _ => Err("no such store; write `file:DIR`, `file:` or `memory:`".to_owned()),
        }
    }

    /// Refuses a number of processes that cannot share this store.
    pub const fn check_processes(&self, processes: u32) -> Result<(), CliError> {
        match self {
            Self::Memory if processes > 1 => Err(CliError::MemoryHasOneProcess { processes }),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(None) => f.write_str("file:"),
            Self::File(Some(directory)) => write!(f, "file:{}", directory.display()),
            Self::Memory => f.write_str("memory:"),
        }
    }
}

/// An open store. A temporary directory goes with it.
pub struct Place {
    /// As given on the command line.
    pub url: StoreUrl,
    /// The same with the temporary directory filled in, for other processes.
    pub resolved: StoreUrl,
    handle: Handle,
    temporary: Option<TemporaryDirectory>,
}

enum Handle {
    File(FileStore),
    Memory(MemoryStore),
}

impl Place {
    /// Opens the store, and makes its directory if need be.
    pub fn open(url: &StoreUrl) -> Result<Self, CliError> {
        let (resolved, handle, temporary) = match url {
            StoreUrl::Memory => (url.clone(), Handle::Memory(MemoryStore::new()), None),
            StoreUrl::File(directory) => {
                let (directory, temporary) = match directory {
                    Some(directory) => (directory.clone(), None),
                    None => {
                        let temporary = TemporaryDirectory::new()?;
                        (temporary.path().join("sessions"), Some(temporary))
                    }
                };
                let store = FileStore::open(&directory)
                    .map_err(|source| CliError::Store { url: url.to_string(), source })?;
                (StoreUrl::File(Some(directory)), Handle::File(store), temporary)
            }
        };
        Ok(Self { url: url.clone(), resolved, handle, temporary })
    }

    /// What runs operations on it, and waits at most so long for a lock.
    pub fn driver(&self, api: Api, lock_wait: Duration) -> Arc<dyn Driver> {
        match &self.handle {
            Handle::File(store) => driver::of(store.clone(), api, lock_wait),
            Handle::Memory(store) => driver::of(store.clone(), api, lock_wait),
        }
    }

    /// Whether it goes away with the command, so that nothing in it needs to be removed.
    pub const fn is_temporary(&self) -> bool {
        self.temporary.is_some() || matches!(self.handle, Handle::Memory(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_they_are_written() {
        for text in ["file:", "file:/srv/a:b", "memory:"] {
            assert_eq!(StoreUrl::parse(text).map(|url| url.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "file", "/srv/sessions", "memory:x", "redis://host", "map:/srv"] {
            assert!(StoreUrl::parse(text).is_err(), "{text}");
        }
    }
}
