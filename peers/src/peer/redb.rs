//! redb: one writer at a time, a cache of its own, one process.

use std::path::Path;

use anyhow::{Context, Result};
use cloakroom::Key;
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};

use super::{Losses, Peer, Worker};
use crate::payload::{self, Payload};

pub struct Redb(Database);

pub const LOSSES: Losses = Losses {
    kill: "every commit since the last Durability::Immediate",
    power: "the same; what was durable stays whole",
    source: "redb API documentation: Durability::None",
};

const SESSIONS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("sessions");

impl Redb {
    pub fn open(directory: &Path) -> Result<Self> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE);
        Ok(Self(builder.create(directory.join("redb"))?))
    }

    fn begin(&self) -> Result<WriteTransaction> {
        let mut txn = self.0.begin_write()?;
        txn.set_durability(Durability::None)?;
        Ok(txn)
    }

    fn get(&self, key: &Key) -> Result<(u64, Payload)> {
        let table = self.0.begin_read()?.open_table(SESSIONS)?;
        let value = table.get(key.as_bytes())?;
        value.and_then(|value| payload::part(value.value())).context("the session is there")
    }
}

impl Peer for Redb {
    fn worker(&self) -> Result<Box<dyn Worker + '_>> {
        Ok(Box::new(self))
    }

    fn fill(&self, sessions: &[(Key, Payload)]) -> Result<()> {
        // Durable, so that the fill leaves no pages behind that only wait for it.
        let txn = self.0.begin_write()?;
        let mut table = txn.open_table(SESSIONS)?;
        for (key, new) in sessions {
            table.insert(key.as_bytes(), &payload::join(1, new)[..])?;
        }
        drop(table);
        Ok(txn.commit()?)
    }
}

impl Worker for &Redb {
    fn load(&mut self, key: &Key, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        see(&self.get(key)?.1);
        Ok(())
    }

    fn update(&mut self, key: &Key, change: &mut dyn FnMut(&mut Payload)) -> Result<bool> {
        let (version, mut new) = self.get(key)?;
        change(&mut new);
        let txn = self.begin()?;
        let mut table = txn.open_table(SESSIONS)?;
        let now = table.get(key.as_bytes())?.and_then(|value| payload::part(value.value()));
        if now.context("the session is there")?.0 != version {
            return Ok(false);
        }
        table.insert(key.as_bytes(), &payload::join(version + 1, &new)[..])?;
        drop(table);
        txn.commit()?;
        Ok(true)
    }
}

const CACHE: usize = 2 << 30;
