//! cloakroom's MapStore, through the bytes API as blocking callers use it.

use std::path::Path;

use anyhow::{Context, Result, bail};
use cloakroom::blocking::wait;
use cloakroom::{Access, Calling, CommitError, Hold, Key, MapStore, OpenRequest, Store, Terms};

use super::{Losses, Peer, Worker};
use crate::payload::Payload;

pub struct Cloakroom(MapStore);

pub const LOSSES: Losses = Losses {
    kill: "nothing that was acknowledged",
    power: "each session is one of its committed versions or absent; with Durability::Power: nothing",
    source: "its own docs/design.md",
};

impl Cloakroom {
    pub fn open(directory: &Path) -> Result<Self> {
        Ok(Self(MapStore::open(directory)?))
    }

    fn take(&self, key: &Key, access: Access) -> Result<<MapStore as Store>::Hold> {
        Ok(wait(self.0.open(key, OpenRequest::new(access, Calling::Blocking)))?)
    }
}

impl Peer for Cloakroom {
    fn worker(&self) -> Result<Box<dyn Worker + '_>> {
        Ok(Box::new(self))
    }

    fn fill(&self, sessions: &[(Key, Payload)]) -> Result<()> {
        for (key, payload) in sessions {
            let mut hold = self.take(key, Access::Optimistic)?;
            wait(hold.commit(payload, Terms::default()))?;
        }
        Ok(())
    }
}

impl Worker for &Cloakroom {
    fn load(&mut self, key: &Key, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        // The hold is the copy.
        let hold = wait(self.0.open(key, OpenRequest::new(Access::Snapshot, Calling::Blocking)))?;
        see(hold.payload());
        Ok(())
    }

    fn update(&mut self, key: &Key, change: &mut dyn FnMut(&mut Payload)) -> Result<bool> {
        let mut hold = self.take(key, Access::Optimistic)?;
        let mut payload: Payload = hold.payload().try_into().context("the session is there")?;
        change(&mut payload);
        match wait(hold.commit(&payload, Terms::default())) {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict(_)) => Ok(false),
            Err(error) => bail!(error),
        }
    }
}
