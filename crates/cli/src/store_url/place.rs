//! The opened store behind a URL.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cloakroom::{Durability, FileStore, Inventory, Layout, MapStore, MemoryStore, StoreError};

use super::{Kind, StoreUrl};
use crate::args::Api;
use crate::driver::{self, Driver};
use crate::error::CliError;
use crate::interrupt::TemporaryDirectory;

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
    Map(MapStore),
    Memory(MemoryStore),
}

impl Place {
    /// Opens the store, and makes its directory if need be.
    pub fn open(url: &StoreUrl) -> Result<Self, CliError> {
        Self::of(url, |kind, directory| Settings::default().open(kind, directory))
    }

    /// Opens a store that is there, and creates nothing.
    pub fn open_existing(url: &StoreUrl) -> Result<Self, CliError> {
        let settings = Settings { must_exist: true, ..Settings::default() };
        Self::of(url, |kind, directory| settings.open(kind, directory))
    }

    /// Opens a store to copy to. Where there is none it is created: what is not said is as in `like`.
    pub fn open_or_create(
        url: &StoreUrl,
        layout: Option<Layout>,
        durability: Option<Durability>,
        like: &Self,
    ) -> Result<Self, CliError> {
        let existing = Settings { must_exist: true, layout, durability };
        Self::of(url, |kind, directory| match existing.open(kind, directory) {
            Err(StoreError::Missing { .. }) => {
                let layout = layout.or(like.layout());
                let durability = durability.or(like.durability());
                Settings { must_exist: false, layout, durability }.open(kind, directory)
            }
            opened => opened,
        })
    }

    /// The store of a URL. `open` opens it where it is in a directory.
    fn of(
        url: &StoreUrl,
        open: impl FnOnce(Kind, &Path) -> Result<Handle, StoreError>,
    ) -> Result<Self, CliError> {
        let url = url.clone();
        let (kind, directory, temporary) = match &url {
            StoreUrl::Memory => {
                let handle = Handle::Memory(MemoryStore::new());
                return Ok(Self { resolved: url.clone(), url, handle, temporary: None });
            }
            StoreUrl::Directory(kind, Some(directory)) => (*kind, directory.clone(), None),
            StoreUrl::Directory(kind, None) => {
                let temporary = TemporaryDirectory::new()?;
                (*kind, temporary.path().join("sessions"), Some(temporary))
            }
        };
        let handle = open(kind, &directory)
            .map_err(|source| CliError::Store { url: url.to_string(), source })?;
        Ok(Self { url, resolved: StoreUrl::Directory(kind, Some(directory)), handle, temporary })
    }

    /// Does a task that is the same for stores of any kind.
    pub fn with<T: Task>(&self, task: T) -> T::Output {
        match &self.handle {
            Handle::File(store) => task.run(store),
            Handle::Map(store) => task.run(store),
            Handle::Memory(store) => task.run(store),
        }
    }

    /// What runs operations on it, and waits at most so long for a lock.
    pub fn driver(&self, api: Api, lock_wait: Duration) -> Arc<dyn Driver> {
        match &self.handle {
            Handle::File(store) => driver::of(store.clone(), api, lock_wait),
            Handle::Map(store) => driver::of(store.clone(), api, lock_wait),
            Handle::Memory(store) => driver::of(store.clone(), api, lock_wait),
        }
    }

    /// The directory where copies into it note what they did; none: the store has no place for it.
    pub fn copies(&self) -> Option<PathBuf> {
        match &self.handle {
            Handle::File(store) => Some(store.copies()),
            Handle::Map(store) => Some(store.copies()),
            Handle::Memory(_) => None,
        }
    }

    /// What its commits survive; none: they do not survive the process.
    pub fn durability(&self) -> Option<Durability> {
        match &self.handle {
            Handle::File(store) => Some(store.durability()),
            Handle::Map(store) => Some(store.durability()),
            Handle::Memory(_) => None,
        }
    }

    /// How it spreads its sessions over directories, if it does.
    fn layout(&self) -> Option<Layout> {
        match &self.handle {
            Handle::File(store) => Some(store.layout()),
            Handle::Map(_) | Handle::Memory(_) => None,
        }
    }

    /// Whether it goes away with the command, so that nothing in it needs to be removed.
    pub const fn is_temporary(&self) -> bool {
        self.temporary.is_some() || matches!(self.handle, Handle::Memory(_))
    }
}

/// How a store in a directory is opened. What is not said is as the store is, or the default.
#[derive(Clone, Copy, Default)]
struct Settings {
    must_exist: bool,
    /// Only file stores have one.
    layout: Option<Layout>,
    durability: Option<Durability>,
}

impl Settings {
    fn open(self, kind: Kind, directory: &Path) -> Result<Handle, StoreError> {
        let Self { must_exist, layout, durability } = self;
        match kind {
            Kind::File => {
                let mut builder = FileStore::builder(directory);
                if must_exist {
                    builder = builder.must_exist();
                }
                if let Some(layout) = layout {
                    builder = builder.layout(layout);
                }
                if let Some(durability) = durability {
                    builder = builder.durability(durability);
                }
                builder.open().map(Handle::File)
            }
            Kind::Map => {
                let mut builder = MapStore::builder(directory);
                if must_exist {
                    builder = builder.must_exist();
                }
                if let Some(durability) = durability {
                    builder = builder.durability(durability);
                }
                builder.open().map(Handle::Map)
            }
        }
    }
}
