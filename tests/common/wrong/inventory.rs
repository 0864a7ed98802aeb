//! The same stores in the hands of their operator.

use cloakroom::seams::Clock as _;
use cloakroom::{
    Access, Adopted, Calling, CommitError, Depth, Found, Hold as _, Inventory, Key, Locked, Look,
    MemoryWalk, OpenError, OpenRequest, Record, Repaired, Store as _, Walk,
};
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Bug, Wrong};

pub struct WrongWalk {
    store: Wrong,
    inner: MemoryWalk,
    seen: Vec<Found>,
}

impl WrongWalk {
    /// What is right of a find, and how often; `None`: nothing.
    async fn spoil(&mut self, mut find: Found) -> Vec<Found> {
        let number = self.store.shared.walked.fetch_add(1, Ordering::Relaxed);
        let Found::Session(session) = &mut find else { return vec![find] };
        match self.store.bug {
            Bug::WalkMissesSome if number % 16 == 15 => return Vec::new(),
            Bug::WalkTearsVersions if number % 16 == 15 => session.record.version += 1,
            Bug::WalkForgetsTouches => session.record.accessed = session.record.created,
            Bug::WalkHidesExpiry => session.expired = false,
            Bug::WalkWaits => {
                let request = OpenRequest::new(Access::Shared, Calling::Blocking);
                let request = request.wait(Duration::from_millis(1));
                if self.store.inner.open(&session.key, request).await.is_err() {
                    return Vec::new();
                }
            }
            _ => {}
        }
        vec![find]
    }
}

impl Walk for WrongWalk {
    async fn next(&mut self, limit: usize, found: &mut Vec<Found>) -> Result<(), OpenError> {
        let limit = if self.store.bug == Bug::WalkIgnoresItsLimit { limit + 1 } else { limit };
        loop {
            let mut page = Vec::new();
            self.inner.next(limit, &mut page).await?;
            if page.is_empty() {
                // At the end, once more.
                found.extend(self.seen.pop());
                return Ok(());
            }
            let before = found.len();
            for find in page {
                found.extend(self.spoil(find).await);
            }
            if found.len() > before {
                if self.store.bug == Bug::WalkSeesOneTwice {
                    self.seen = found.last().cloned().into_iter().collect();
                }
                return Ok(());
            }
        }
    }
}

impl Inventory for Wrong {
    type Walk = WrongWalk;

    async fn walk(&self, depth: Depth, calling: Calling) -> Result<WrongWalk, OpenError> {
        let inner = self.inner.walk(depth, calling).await?;
        Ok(WrongWalk { store: self.clone(), inner, seen: Vec::new() })
    }

    async fn look(&self, key: &Key, calling: Calling) -> Result<Option<Look>, OpenError> {
        let look = self.inner.look(key, calling).await?;
        Ok(look.filter(|look| self.bug != Bug::LookHidesTheExpired || !look.expired))
    }

    async fn repair(&self, key: &Key, calling: Calling) -> Result<Repaired, OpenError> {
        if self.bug == Bug::RepairDestroys {
            let request = OpenRequest::new(Access::Exclusive, calling);
            let _ = self.inner.open(key, request).await?.destroy().await;
        }
        self.inner.repair(key, calling).await
    }

    async fn adopt(
        &self,
        key: &Key,
        mut record: Record,
        payload: &[u8],
        known: Option<u64>,
        calling: Calling,
    ) -> Result<Adopted, CommitError> {
        let look = OpenRequest::new(Access::Snapshot, calling);
        let found = self.inner.open(key, look).await?.record().copied();
        let destroy = async || {
            let request = OpenRequest::new(Access::Optimistic, calling);
            self.inner.open(key, request).await?.destroy().await
        };
        match (self.bug, found) {
            (Bug::AdoptStartsAnew, None) => record.version = 1,
            (Bug::AdoptMakesAnotherLife, _) => record.birth = record.birth.wrapping_add(1),
            (Bug::AdoptReplacesAnything, Some(_)) => destroy().await?,
            (Bug::AdoptReplacesOtherLives, Some(found)) if found.birth != record.birth => {
                destroy().await?;
            }
            (Bug::AdoptReplacesNothing, Some(_)) => return Ok(Adopted::Kept),
            (Bug::AdoptForgetsTouches, Some(found)) if found.version == record.version => {
                return Ok(Adopted::Kept);
            }
            (Bug::AdoptIsATouch, _) => record.accessed = self.clock.now(),
            (Bug::AdoptForgetsTheGrace, _) => record.retired_until = None,
            (Bug::AdoptRaisesRetired, Some(found)) if found.retired_until.is_some() => {
                destroy().await?;
            }
            _ => {}
        }
        let cut = if self.bug == Bug::CutsLongPayloads { 64 << 10 } else { payload.len() };
        let payload = payload.get(..cut).unwrap_or(payload);
        let known = if self.bug == Bug::AdoptForgetsWhatIsKnown { None } else { known };
        self.inner.adopt(key, record, payload, known, calling).await
    }

    async fn locks(&self, calling: Calling) -> Result<Vec<Locked>, OpenError> {
        let mut locks = self.inner.locks(calling).await?;
        match self.bug {
            Bug::LocksAreNotListed => locks.clear(),
            Bug::LocksNameNobody => locks.iter_mut().for_each(|locked| locked.holders.clear()),
            Bug::LocksForgetWaiters => locks.iter_mut().for_each(|locked| locked.waiting = 0),
            Bug::LocksCallReadersWriters => {
                locks.iter_mut().for_each(|locked| locked.exclusive = true);
            }
            _ => {}
        }
        Ok(locks)
    }

    fn shards(&self) -> u64 {
        self.inner.shards()
    }

    fn shard(&self, key: &Key) -> u64 {
        self.inner.shard(key) + u64::from(self.bug == Bug::ShardsAreMiscounted)
    }
}
