//! LMDB: one writer at a time, readers that copy nothing and wait for nobody.

use std::path::Path;

use anyhow::{Context, Result};
use cloakroom::Key;
use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions};

use super::{Losses, Peer, Worker};
use crate::payload::{self, Payload};

pub struct Lmdb {
    env: &'static Env,
    sessions: Database<'static, Bytes, Bytes>,
}

pub const LOSSES: Losses = Losses {
    kill: "nothing committed; a killed reader pins old pages until mdb_reader_check",
    power: "any or all of it: \"a system crash can corrupt the database\"",
    source: "lmdb.h: MDB_NOSYNC, MDB_WRITEMAP, Caveats",
};

pub fn version() -> String {
    let version = heed::lmdb_version();
    format!("{}.{}.{}", version.major, version.minor, version.patch)
}

impl Lmdb {
    pub fn open(directory: &Path, sessions: u64) -> Result<Self> {
        let mut options = EnvOpenOptions::new();
        // Sparse; about 400 bytes for each session, and as much again for pages in flight.
        let size = (sessions * 1_024 + (1 << 26)).next_multiple_of(1 << 20);
        options.map_size(usize::try_from(size)?);
        // SAFETY: nothing else touches the files of this run, and each process opens them once.
        let env = unsafe {
            options.flags(EnvFlags::NO_SYNC | EnvFlags::WRITE_MAP | EnvFlags::NO_META_SYNC);
            options.open(directory)?
        };
        // A database borrows from its environment. It stays open until this program ends.
        let env: &'static Env = Box::leak(Box::new(env));
        let created = env.create_databases_and_commit(env.write_txn()?, |options, txn| {
            options.create_database(txn, None).map(CommitOrAbort::<_, ()>::Commit)
        })?;
        let sessions = created.unwrap_commit();
        Ok(Self { env, sessions })
    }
}

impl Peer for Lmdb {
    fn worker(&self) -> Result<Box<dyn Worker + '_>> {
        Ok(Box::new(self))
    }

    fn fill(&self, sessions: &[(Key, Payload)]) -> Result<()> {
        let mut txn = self.env.write_txn()?;
        for (key, new) in sessions {
            self.sessions.put(&mut txn, key.as_bytes(), &payload::join(1, new))?;
        }
        Ok(txn.commit()?)
    }
}

impl Lmdb {
    fn get(&self, key: &Key) -> Result<(u64, Payload)> {
        let txn = self.env.read_txn()?;
        let value = self.sessions.get(&txn, key.as_bytes())?;
        value.and_then(payload::part).context("the session is there")
    }
}

impl Worker for &Lmdb {
    fn load(&mut self, key: &Key, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        see(&self.get(key)?.1);
        Ok(())
    }

    fn update(&mut self, key: &Key, change: &mut dyn FnMut(&mut Payload)) -> Result<bool> {
        let (version, mut new) = self.get(key)?;
        change(&mut new);
        let mut txn = self.env.write_txn()?;
        let now = self.sessions.get(&txn, key.as_bytes())?.and_then(payload::part);
        if now.context("the session is there")?.0 != version {
            return Ok(false);
        }
        self.sessions.put(&mut txn, key.as_bytes(), &payload::join(version + 1, &new))?;
        txn.commit()?;
        Ok(true)
    }
}
