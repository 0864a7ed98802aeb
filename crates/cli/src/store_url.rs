//! Stores by URL, and the opened store behind one.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::{Durability, FileStore, Inventory, Layout, MemoryStore, StoreError};
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

    /// Reads the URL of a store that is there before and after the command: `file:DIR`.
    pub fn parse_lasting(text: &str) -> Result<Self, String> {
        match Self::parse(text) {
            Ok(Self::Memory) => {
                Err("`memory:` goes with its process, nobody else sees it; write `file:DIR`"
                    .to_owned())
            }
            Ok(Self::File(None)) => Err("the directory is missing; write `file:DIR`".to_owned()),
            Err(_) if !text.contains(':') && !text.is_empty() => {
                Err(format!("a store is named by its URL; write `file:{text}`"))
            }
            Err(_) => Err("no such store; write `file:DIR`".to_owned()),
            lasting => lasting,
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

/// What can be done with a store of any kind.
pub trait Task {
    /// What comes of it.
    type Output;

    /// Does it.
    fn run<S: Inventory + Clone>(self, store: &S) -> Self::Output;
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

    /// Opens a store that is there, and creates nothing.
    pub fn open_existing(url: &StoreUrl) -> Result<Self, CliError> {
        let StoreUrl::File(Some(directory)) = url else {
            return Self::open(url);
        };
        let store = FileStore::builder(directory)
            .must_exist()
            .open()
            .map_err(|source| CliError::Store { url: url.to_string(), source })?;
        Ok(Self::of(url, Handle::File(store)))
    }

    fn of(url: &StoreUrl, handle: Handle) -> Self {
        Self { url: url.clone(), resolved: url.clone(), handle, temporary: None }
    }

    /// Opens a store to copy to. Where there is none it is created: what is not said is as in `like`.
    pub fn open_or_create(
        url: &StoreUrl,
        layout: Option<Layout>,
        durability: Option<Durability>,
        like: &Self,
    ) -> Result<Self, CliError> {
        let StoreUrl::File(Some(directory)) = url else {
            return Self::open(url);
        };
        let mut builder = FileStore::builder(directory);
        if let Some(layout) = layout {
            builder = builder.layout(layout);
        }
        if let Some(durability) = durability {
            builder = builder.durability(durability);
        }
        let opened = match builder.clone().must_exist().open() {
            Err(StoreError::Missing { .. }) => {
                if let Handle::File(like) = &like.handle {
                    builder = builder.layout(layout.unwrap_or(like.layout()));
                    builder = builder.durability(durability.unwrap_or(like.durability()));
                }
                builder.open()
            }
            opened => opened,
        };
        let store = opened.map_err(|source| CliError::Store { url: url.to_string(), source })?;
        Ok(Self::of(url, Handle::File(store)))
    }

    /// Does a task that is the same for stores of any kind.
    pub fn with<T: Task>(&self, task: T) -> T::Output {
        match &self.handle {
            Handle::File(store) => task.run(store),
            Handle::Memory(store) => task.run(store),
        }
    }

    /// What runs operations on it, and waits at most so long for a lock.
    pub fn driver(&self, api: Api, lock_wait: Duration) -> Arc<dyn Driver> {
        match &self.handle {
            Handle::File(store) => driver::of(store.clone(), api, lock_wait),
            Handle::Memory(store) => driver::of(store.clone(), api, lock_wait),
        }
    }

    /// The directory where copies into it note what they did; none: the store has no place for it.
    pub fn copies(&self) -> Option<PathBuf> {
        match &self.handle {
            Handle::File(store) => Some(store.copies()),
            Handle::Memory(_) => None,
        }
    }

    /// Whether each commit is on the medium when it returns.
    pub fn is_durable(&self) -> bool {
        match &self.handle {
            Handle::File(store) => store.durability() == Durability::Power,
            Handle::Memory(_) => false,
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
