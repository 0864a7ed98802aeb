//! DashMap: what the memory of one process can do, with nothing kept.

use anyhow::{Context, Result};
use cloakroom::Key;
use dashmap::DashMap;

use super::{Losses, Peer, Worker};
use crate::payload::Payload;

#[derive(Default)]
pub struct Map(DashMap<Key, (u64, Payload)>);

pub const LOSSES: Losses =
    Losses { kill: "everything", power: "everything", source: "it is memory of the process" };

impl Peer for Map {
    fn worker(&self) -> Result<Box<dyn Worker + '_>> {
        Ok(Box::new(self))
    }

    fn fill(&self, sessions: &[(Key, Payload)]) -> Result<()> {
        for (key, payload) in sessions {
            self.0.insert(*key, (1, *payload));
        }
        Ok(())
    }
}

impl Map {
    fn get(&self, key: &Key) -> Result<(u64, Payload)> {
        Ok(*self.0.get(key).context("the session is there")?)
    }
}

impl Worker for &Map {
    fn load(&mut self, key: &Key, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        see(&self.get(key)?.1);
        Ok(())
    }

    fn update(&mut self, key: &Key, change: &mut dyn FnMut(&mut Payload)) -> Result<bool> {
        let (version, mut new) = self.get(key)?;
        change(&mut new);
        let mut stored = self.0.get_mut(key).context("the session is there")?;
        if stored.0 != version {
            return Ok(false);
        }
        *stored = (version + 1, new);
        Ok(true)
    }
}
