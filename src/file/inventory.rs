//! What a file store offers to its operator.

use super::FileStore;
use super::read::{Contents, Seen};
use super::walk::FileWalk;
use crate::access::Calling;
use crate::error::{CommitError, Corrupt, OpenError};
use crate::id::Key;
use crate::inventory::{Adopted, Depth, Inventory, Locked, Look, Repaired};
use crate::record::Record;
use crate::seams::OpenMode;
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

    async fn look(&self, key: &Key, _: Calling) -> Result<Option<Look>, OpenError> {
        self.room.check_process()?;
        let at = self.room.spot(key);
        let looked = self.room.look_through(&at, || self.room.open(&at.path, OpenMode::Read))?;
        let (current, expired) = match looked.seen {
            Seen::Session(current) => (current, false),
            Seen::Expired(current) => (current, true),
            Seen::Absent => return Ok(None),
            Seen::NeverWhole(reason) => {
                match self.room.behind_the_mark(&at, looked.file.as_ref())? {
                    Some(Contents::Session(current)) => (current, false),
                    Some(Contents::Expired(current)) => (current, true),
                    _ => {
                        let (key, place) = (*key, self.room.place(&at.path));
                        return Err(Corrupt { key, place, reason, quarantine: None }.into());
                    }
                }
            }
        };
        let (record, payload) = (*current.record(), current.payload().to_vec());
        Ok(Some(Look { record, payload, expired }))
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
        known: Option<u64>,
        calling: Calling,
    ) -> impl Future<Output = Result<Adopted, CommitError>> + Send {
        self.room.adopt(key, record, payload, known, calling)
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
