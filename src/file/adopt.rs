//! Taking a session in as it stands in another store.

use super::desk::Desk;
use super::format::Kind;
use super::lock::LockRequest;
use super::read::Current;
use super::room::{REOPENS, Room, Spot};
use super::write::Draft;
use crate::access::Calling;
use crate::error::{CommitError, OpenError};
use crate::id::Key;
use crate::inventory::Adopted;
use crate::limits::{LOCK_WAIT, PAYLOAD_MAX};
use crate::queue::Mode;
use crate::record::Record;
use crate::seams::Timestamp;
use crate::sync::Arc;

impl Room {
    pub(super) async fn adopt(
        self: &Arc<Self>,
        key: &Key,
        record: Record,
        payload: &[u8],
        known: Option<u64>,
        calling: Calling,
    ) -> Result<Adopted, CommitError> {
        self.check_process()?;
        let at = self.spot(key);
        let label = Some("adopt".into());
        let request = LockRequest { mode: Mode::Exclusive, wait: LOCK_WAIT, label, calling };
        for _ in 0..REOPENS {
            let (lease, taken) = match self.take(&at, &request).await {
                Err(OpenError::Gone { key }) => return Err(CommitError::Gone { key }),
                taken => taken?,
            };
            let mut desk = Desk { lease, current: taken.current };
            let (room, at, payload) = (Arc::clone(self), at.clone(), payload.to_vec());
            let adopt = move || desk.adopt(&room, &at, record, &payload, known);
            match self.off_thread(calling, adopt).await? {
                // Born in another process since nothing was found.
                Err(CommitError::AlreadyExists { .. }) => {}
                adopted => return adopted,
            }
        }
        Err(CommitError::AlreadyExists { key: *key })
    }
}

impl Desk {
    fn adopt(
        &mut self,
        room: &Room,
        at: &Spot,
        record: Record,
        payload: &[u8],
        known: Option<u64>,
    ) -> Result<Adopted, CommitError> {
        if payload.len() > PAYLOAD_MAX {
            return Err(CommitError::TooLarge { bytes: payload.len(), limit: PAYLOAD_MAX });
        }
        let found = self.current.as_ref().map(Current::record);
        let adopted = Adopted::judge(&record, known, found, room.clock.now());
        match (adopted, self.lease.file.as_mut().zip(self.current.as_ref())) {
            (Adopted::Created, _) => {
                let (file, current) = room.create(at, payload, record)?;
                self.lease.file = Some(file);
                self.current = Some(current);
            }
            (Adopted::Replaced, Some((file, current))) => {
                let draft = Draft { kind: Kind::of(&record), record, payload };
                self.current = Some(room.write_next(at, file, current, draft)?);
            }
            _ => return Ok(adopted),
        }
        self.lease.alive_until = record.deadline().unwrap_or(Timestamp::MAX);
        Ok(adopted)
    }
}
