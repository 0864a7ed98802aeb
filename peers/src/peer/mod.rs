//! The stores that are compared, each behind the same few calls.

mod cloakroom;
mod dashmap;
mod fjall;
mod lmdb;
mod redb;
mod sqlite;

use std::path::Path;

use ::cloakroom::Key;
use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;

use crate::payload::Payload;
use crate::spike;

/// A store that is open.
pub trait Peer: Send + Sync {
    /// What one thread works with.
    fn worker(&self) -> Result<Box<dyn Worker + '_>>;

    /// Stores new sessions, as fast as this store can.
    fn fill(&self, sessions: &[(Key, Payload)]) -> Result<()>;
}

/// One thread's hands on a store.
pub trait Worker {
    /// Copies a session's payload out of the store and shows the copy.
    fn load(&mut self, key: &Key, see: &mut dyn FnMut(&[u8])) -> Result<()>;

    /// Copies the payload out, changes the copy, and puts it back if the version is still the one
    /// that was read. Whether it was.
    fn update(&mut self, key: &Key, change: &mut dyn FnMut(&mut Payload)) -> Result<bool>;
}

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The store this is about.
    Cloakroom,
    /// LMDB through heed, NOSYNC + WRITEMAP + NOMETASYNC.
    Lmdb,
    /// redb, Durability::None.
    Redb,
    /// fjall, optimistic transactions.
    Fjall,
    /// SQLite, WAL, synchronous=OFF.
    Sqlite,
    /// DashMap: the bound, in the memory of one process.
    Dashmap,
    /// Records appended to segments, space given back by punching holes.
    SpikeSegments,
    /// Records in cells that are recycled at once.
    SpikeCells,
}

/// What a store loses.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Losses {
    /// When its process is killed.
    pub kill: &'static str,
    /// When the power is cut.
    pub power: &'static str,
    /// Who says so.
    pub source: &'static str,
}

impl Kind {
    /// Those that a comparison has unless others are named.
    pub const USUAL: [Self; 6] =
        [Self::Cloakroom, Self::Lmdb, Self::Redb, Self::Fjall, Self::Sqlite, Self::Dashmap];

    /// Those of the spike.
    pub const SPIKE: [Self; 3] = [Self::SpikeSegments, Self::SpikeCells, Self::Cloakroom];

    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::from_str(name, false).ok()
    }

    /// What it is, with the versions that were built.
    pub fn title(self) -> String {
        let of = crate::machine::version;
        match self {
            Self::Cloakroom => format!("cloakroom MapStore {}", of("cloakroom")),
            Self::Lmdb => {
                format!("LMDB {} (heed {}) NOSYNC WRITEMAP NOMETASYNC", lmdb::version(), of("heed"))
            }
            Self::Redb => format!("redb {} Durability::None", of("redb")),
            Self::Fjall => format!("fjall {} OptimisticTxDatabase", of("fjall")),
            Self::Sqlite => format!(
                "SQLite {} (rusqlite {}) WAL synchronous=OFF",
                rusqlite::version(),
                of("rusqlite")
            ),
            Self::Dashmap => format!("DashMap {}", of("dashmap")),
            Self::SpikeSegments => "spike: segments, holes punched".to_owned(),
            Self::SpikeCells => "spike: cells, recycled at once".to_owned(),
        }
    }

    /// Whether several processes can have it open and write to it.
    pub fn is_shared(self) -> bool {
        !matches!(self, Self::Redb | Self::Fjall | Self::Dashmap)
    }

    pub fn losses(self) -> Option<Losses> {
        match self {
            Self::Cloakroom => Some(cloakroom::LOSSES),
            Self::Lmdb => Some(lmdb::LOSSES),
            Self::Redb => Some(redb::LOSSES),
            Self::Fjall => Some(fjall::LOSSES),
            Self::Sqlite => Some(sqlite::LOSSES),
            Self::Dashmap => Some(dashmap::LOSSES),
            Self::SpikeSegments | Self::SpikeCells => None,
        }
    }

    /// Opens the store in `directory`, made for so many sessions.
    pub fn open(self, directory: &Path, sessions: u64) -> Result<Box<dyn Peer>> {
        Ok(match self {
            Self::Cloakroom => Box::new(cloakroom::Cloakroom::open(directory)?),
            Self::Lmdb => Box::new(lmdb::Lmdb::open(directory, sessions)?),
            Self::Redb => Box::new(redb::Redb::open(directory)?),
            Self::Fjall => Box::new(fjall::Fjall::open(directory)?),
            Self::Sqlite => Box::new(sqlite::Sqlite::open(directory)?),
            Self::Dashmap => Box::new(dashmap::Map::default()),
            Self::SpikeSegments => Box::new(spike::Segments::open(directory, sessions)?),
            Self::SpikeCells => Box::new(spike::Cells::open(directory, sessions)?),
        })
    }
}
