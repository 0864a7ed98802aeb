//! What a map store offers to its operator.

use super::MapStore;
use super::walk::MapWalk;
use crate::access::Calling;
use crate::error::{CommitError, Corrupt, OpenError};
use crate::id::Key;
use crate::inventory::{Adopted, Depth, Inventory, Locked, Look, Repaired};
use crate::record::Record;
use crate::sync::Arc;

impl Inventory for MapStore {
    type Walk = MapWalk;

    async fn walk(&self, depth: Depth, calling: Calling) -> Result<MapWalk, OpenError> {
        self.room.check_process()?;
        Ok(MapWalk::new(Arc::clone(self.keys.mine()), depth, calling))
    }

    async fn look(&self, key: &Key, calling: Calling) -> Result<Option<Look>, OpenError> {
        self.room.check_process()?;
        let key = *key;
        self.room.off_thread(calling, move |room| room.glance(&key)).await?
    }

    async fn repair(&self, key: &Key, calling: Calling) -> Result<Repaired, OpenError> {
        self.room.check_process()?;
        let key = *key;
        match self.room.off_thread(calling, move |room| room.repair(&key)).await? {
            Ok(()) => Ok(Repaired::Sound),
            Err(OpenError::Corrupt(moved @ Corrupt { quarantine: Some(_), .. })) => {
                Ok(Repaired::Quarantined(moved))
            }
            Err(error) => Err(error),
        }
    }

    async fn adopt(
        &self,
        key: &Key,
        record: Record,
        payload: &[u8],
        known: Option<u64>,
        calling: Calling,
    ) -> Result<Adopted, CommitError> {
        self.room.check_process()?;
        let (key, payload) = (*key, payload.to_vec());
        let adopted =
            self.room.off_thread(calling, move |room| room.adopt(&key, record, &payload, known));
        adopted.await?
    }

    /// Nothing is ever locked here.
    async fn locks(&self, _: Calling) -> Result<Vec<Locked>, OpenError> {
        self.room.check_process()?;
        Ok(Vec::new())
    }

    fn shards(&self) -> u64 {
        1
    }

    fn shard(&self, _: &Key) -> u64 {
        0
    }
}
