//! fjall: a log-structured tree, one process.

use std::path::Path;

use anyhow::{Context, Result};
use cloakroom::Key;
use fjall::{
    KeyspaceCreateOptions, OptimisticTxDatabase, OptimisticTxKeyspace, PersistMode, Readable,
};

use super::{Losses, Peer, Worker};
use crate::payload::{self, Payload};

pub struct Fjall {
    database: OptimisticTxDatabase,
    sessions: OptimisticTxKeyspace,
}

pub const LOSSES: Losses = Losses {
    kill: "nothing committed: each commit is handed to the operating system",
    power: "the latest commits; the tree stays consistent",
    source: "fjall README: Durability; API documentation: PersistMode::Buffer, Database::persist",
};

impl Fjall {
    pub fn open(directory: &Path) -> Result<Self> {
        let database = OptimisticTxDatabase::builder(directory).cache_size(CACHE).open()?;
        let sessions = database.keyspace("sessions", KeyspaceCreateOptions::default)?;
        Ok(Self { database, sessions })
    }
}

impl Peer for Fjall {
    fn worker(&self) -> Result<Box<dyn Worker + '_>> {
        Ok(Box::new(self))
    }

    fn fill(&self, sessions: &[(Key, Payload)]) -> Result<()> {
        let mut txn = self.database.write_tx()?;
        for (key, new) in sessions {
            txn.insert(&self.sessions, *key.as_bytes(), payload::join(1, new));
        }
        txn.commit()?.context("nobody else writes")
    }
}

impl Worker for &Fjall {
    fn load(&mut self, key: &Key, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        let value = self.sessions.get(key.as_bytes())?;
        see(&value.and_then(|value| payload::part(&value)).context("the session is there")?.1);
        Ok(())
    }

    fn update(&mut self, key: &Key, change: &mut dyn FnMut(&mut Payload)) -> Result<bool> {
        // The transaction itself is the compare-and-swap: it fails if the key changed since.
        let mut txn = self.database.write_tx()?.durability(Some(PersistMode::Buffer));
        let value = txn.get(&self.sessions, key.as_bytes())?;
        let value = value.and_then(|value| payload::part(&value));
        let (version, mut new) = value.context("the session is there")?;
        change(&mut new);
        txn.insert(&self.sessions, *key.as_bytes(), payload::join(version + 1, &new));
        Ok(txn.commit()?.is_ok())
    }
}

const CACHE: u64 = 2 << 30;
