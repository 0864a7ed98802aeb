//! SQLite: one writer at a time, readers beside it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use cloakroom::Key;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Losses, Peer, Worker};
use crate::payload::Payload;

pub struct Sqlite {
    file: PathBuf,
}

pub const LOSSES: Losses = Losses {
    kill: "nothing committed",
    power: "\"the database might become corrupted\"",
    source: "sqlite.org/pragma.html#pragma_synchronous",
};

impl Sqlite {
    pub fn open(directory: &Path) -> Result<Self> {
        let sqlite = Self { file: directory.join("sessions.sqlite") };
        sqlite.connect()?.execute_batch(
            "CREATE TABLE IF NOT EXISTS sessions (id BLOB PRIMARY KEY, version INTEGER NOT NULL, \
             data BLOB NOT NULL) WITHOUT ROWID",
        )?;
        Ok(sqlite)
    }

    fn connect(&self) -> Result<Connection> {
        let connection = Connection::open(&self.file)?;
        connection.busy_timeout(Duration::from_secs(60))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA mmap_size = 34359738368; \
             PRAGMA cache_size = -262144;",
        )?;
        Ok(connection)
    }
}

impl Peer for Sqlite {
    fn worker(&self) -> Result<Box<dyn Worker + '_>> {
        Ok(Box::new(Desk(self.connect()?)))
    }

    fn fill(&self, sessions: &[(Key, Payload)]) -> Result<()> {
        let mut connection = self.connect()?;
        let txn = connection.transaction()?;
        for (key, payload) in sessions {
            let mut insert = txn.prepare_cached("INSERT INTO sessions VALUES (?1, 1, ?2)")?;
            insert.execute(params![&key.as_bytes()[..], &payload[..]])?;
        }
        Ok(txn.commit()?)
    }
}

struct Desk(Connection);

impl Desk {
    fn get(&self, key: &Key) -> Result<(i64, Payload)> {
        let mut select =
            self.0.prepare_cached("SELECT version, data FROM sessions WHERE id = ?1")?;
        let row = select.query_row(params![&key.as_bytes()[..]], |row| {
            Ok((row.get(0)?, row.get_ref(1)?.as_blob()?.try_into().ok()))
        });
        let (version, payload): (i64, Option<Payload>) =
            row.optional()?.context("the session is there")?;
        Ok((version, payload.context("it is whole")?))
    }
}

impl Worker for Desk {
    fn load(&mut self, key: &Key, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        see(&self.get(key)?.1);
        Ok(())
    }

    fn update(&mut self, key: &Key, change: &mut dyn FnMut(&mut Payload)) -> Result<bool> {
        let (version, mut new) = self.get(key)?;
        change(&mut new);
        let mut update = self.0.prepare_cached(
            "UPDATE sessions SET version = version + 1, data = ?3 WHERE id = ?1 AND version = ?2",
        )?;
        Ok(update.execute(params![&key.as_bytes()[..], version, &new[..]])? == 1)
    }
}
