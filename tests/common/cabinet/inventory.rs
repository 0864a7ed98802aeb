//! What a third party's store offers to its operator, with the public interface alone.

use std::ops::Bound;

use cloakroom::seams::Clock as _;
use cloakroom::{
    Adopted, Calling, CommitError, Depth, Found, Inventory, Key, Locked, Look, OpenError, Record,
    Repaired, Summary, Walk,
};

use super::{Cabinet, check_size};

pub struct CabinetWalk {
    cabinet: Cabinet,
    last: Bound<Key>,
}

impl Walk for CabinetWalk {
    async fn next(&mut self, limit: usize, found: &mut Vec<Found>) -> Result<(), OpenError> {
        let sessions = self.cabinet.inside.lock();
        for (key, (record, payload)) in sessions.range((self.last, Bound::Unbounded)).take(limit) {
            self.last = Bound::Excluded(*key);
            let (payload, expired) = (payload.len() as u64, self.cabinet.inside.is_over(record));
            let (key, record, stored) = (*key, *record, payload);
            found.push(Found::Session(Summary { key, record, payload, stored, expired }));
        }
        Ok(())
    }
}

impl Inventory for Cabinet {
    type Walk = CabinetWalk;

    async fn walk(&self, _: Depth, _: Calling) -> Result<CabinetWalk, OpenError> {
        Ok(CabinetWalk { cabinet: self.clone(), last: Bound::Unbounded })
    }

    async fn look(&self, key: &Key, _: Calling) -> Result<Option<Look>, OpenError> {
        let found = self.inside.lock().get(key).cloned();
        Ok(found.map(|(record, payload)| {
            let expired = self.inside.is_over(&record);
            Look { record, payload, expired }
        }))
    }

    async fn repair(&self, _: &Key, _: Calling) -> Result<Repaired, OpenError> {
        Ok(Repaired::Sound)
    }

    async fn adopt(
        &self,
        key: &Key,
        record: Record,
        payload: &[u8],
        known: Option<u64>,
        _: Calling,
    ) -> Result<Adopted, CommitError> {
        check_size(payload)?;
        let mut sessions = self.inside.lock();
        let found = sessions.get(key).map(|(found, _)| *found);
        let found = found.filter(|found| !self.inside.is_over(found));
        let adopted = Adopted::judge(&record, known, found.as_ref(), self.inside.clock.now());
        if matches!(adopted, Adopted::Created | Adopted::Replaced) {
            sessions.insert(*key, (record, payload.to_vec()));
        }
        Ok(adopted)
    }

    async fn locks(&self, _: Calling) -> Result<Vec<Locked>, OpenError> {
        Ok(Vec::new())
    }

    fn shards(&self) -> u64 {
        1
    }

    fn shard(&self, _: &Key) -> u64 {
        0
    }
}
