//! What a file store offers to its operator.

use super::FileStore;
use super::read::Seen;
use super::walk::FileWalk;
use crate::access::Calling;
use crate::error::{CommitError, Corrupt, OpenError};
use crate::id::Key;
use crate::inventory::{Adopted, Depth, Inventory, Locked, Repaired};
use crate::record::Record;
use crate::sync::Arc;

impl Inventory for FileStore {
    type Walk = FileWalk;

    fn walk(
        &self,
        depth: Depth,
        calling: Calling,
    ) -> impl Future<Output = Result<FileWalk, OpenError>> + Send {
        FileWalk::start(&self.room, depth, calling)
    }

    async fn repair(&self, key: &Key, calling: Calling) -> Result<Repaired, OpenError> {
        self.room.check_process()?;
        let (room, at) = (Arc::clone(&self.room), self.room.spot(key));
        match self.room.off_thread(calling, move || room.look_closely(&at)).await? {
            Ok(Seen::NeverWhole(_)) => Ok(Repaired::InUse),
            Ok(Seen::Session(_) | Seen::Expired(_) | Seen::Absent) => Ok(Repaired::Sound),
            Err(OpenError::Corrupt(moved @ Corrupt { quarantine: Some(_), .. })) => {
                Ok(Repaired::Quarantined(moved))
            }
            Err(error) => Err(error),
        }
    }

    fn adopt(
        &self,
        key: &Key,
        record: Record,
        payload: &[u8],
        calling: Calling,
    ) -> impl Future<Output = Result<Adopted, CommitError>> + Send {
        self.room.adopt(key, record, payload, calling)
    }

    async fn locks(&self, calling: Calling) -> Result<Vec<Locked>, OpenError> {
        self.room.check_process()?;
        let room = Arc::clone(&self.room);
        self.room.off_thread(calling, move || room.locks()).await?
    }

    fn shards(&self) -> u64 {
        self.room.layout.directories()
    }

    fn shard(&self, key: &Key) -> u64 {
        self.room.layout.shard(key)
    }
}
