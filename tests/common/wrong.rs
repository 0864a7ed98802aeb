//! Stores that break the contract, each in one way: what the conformance suite must find.

mod inventory;

use std::future::Future;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cloakroom::conformance::ManualClock;
use cloakroom::seams::OsEntropy;
use cloakroom::{
    Access, Calling, CommitError, Condition, Hold, Key, Lifetime, MemoryHold, MemoryStore,
    OpenError, OpenRequest, Record, SessionId, Store, SweepBudget, Swept, Terms, Then,
};

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Opening an absent session stores an empty one.
    CreatesOnOpen,
    /// The version stays 1.
    NeverBumpsTheVersion,
    /// Every session has the same birth.
    OneBirthForAll,
    /// An optimistic commit compares births, not versions.
    DropsTheConditionCheck,
    /// A second creator overwrites the first one.
    OverwritesTheFirstCreator,
    /// A late commit creates the session anew.
    ResurrectsAfterDestroy,
    /// A destroy only empties the session.
    DestroyOnlyEmpties,
    /// Who waits for a destroyed session gets a new one.
    WaitersAreNotTold,
    /// A snapshot is the first half of the payload, now and then.
    TornPayload,
    /// Payloads are cut at 64 KiB.
    CutsLongPayloads,
    /// Nothing ever expires.
    IgnoresExpiry,
    /// A touch does nothing.
    TouchDoesNothing,
    /// A touch is a version.
    TouchIsACommit,
    /// Exclusive holders do not exclude each other.
    ExclusiveIsNotExclusive,
    /// Shared holders exclude each other.
    SharedIsExclusive,
    /// A snapshot waits for the holder.
    SnapshotWaits,
    /// A reader's commit is accepted and thrown away.
    ReadersMayCommit,
    /// A commit after the release takes the session again.
    WritesAfterRelease,
    /// The lock goes with the hold, not with the release.
    ReleaseKeepsTheLock,
    /// A commit that shall keep the hold releases it.
    KeepReleases,
    /// A dropped hold is committed.
    DropCommits,
    /// A dropped wait stays in the queue.
    CancelledWaitsStay,
    /// A timeout says nothing of the holder.
    TimeoutNamesNobody,
    /// The old id of a renewed session lives on.
    RenewLeavesTheOldId,
    /// A renewed session was created when it was renewed.
    RenewForgetsCreated,
    /// In its grace the old id shows the new payload.
    GraceShowsTheNewPayload,
    /// A renewal replaces what stands under the new id.
    RenewReplacesAnother,
    /// A sweep removes sessions in use.
    SweepsWhatIsHeld,
    /// A sweep goes to the end whatever its budget.
    SweepIgnoresItsBudget,
    /// A sweep says that it is done and has done nothing.
    SweepDoesNothing,
    /// A walk leaves sessions out, now and then.
    WalkMissesSome,
    /// A walk sees one session twice.
    WalkSeesOneTwice,
    /// A walk gives more than it is asked for.
    WalkIgnoresItsLimit,
    /// A walk shows a payload with the next version, now and then.
    WalkTearsVersions,
    /// A walk shows no touches.
    WalkForgetsTouches,
    /// A walk calls every session alive.
    WalkHidesExpiry,
    /// A walk asks for each session's lock.
    WalkWaits,
    /// A repair destroys the session.
    RepairDestroys,
    /// An adopted session has version 1.
    AdoptStartsAnew,
    /// An adopted session has another birth.
    AdoptMakesAnotherLife,
    /// An adoption replaces whatever is there.
    AdoptReplacesAnything,
    /// An adoption replaces another life.
    AdoptReplacesOtherLives,
    /// An adoption replaces nothing.
    AdoptReplacesNothing,
    /// An adoption of the same version does nothing, whatever was touched.
    AdoptForgetsTouches,
    /// An adopted session was accessed just now.
    AdoptIsATouch,
    /// An adoption does not care what the caller knows.
    AdoptForgetsWhatIsKnown,
    /// A look does not see what has expired.
    LookHidesTheExpired,
    /// An adopted session of a renewed id can be written.
    AdoptForgetsTheGrace,
    /// An adoption makes a renewed id writable again.
    AdoptRaisesRetired,
    /// No lock is listed.
    LocksAreNotListed,
    /// Nobody is named as holder of a lock.
    LocksNameNobody,
    /// Nobody is counted who waits.
    LocksForgetWaiters,
    /// Readers are listed as writers.
    LocksCallReadersWriters,
    /// There is one shard more than there is.
    ShardsAreMiscounted,
    /// Ids that begin alike are one session.
    KeysCollide,
    /// An access that is not offered is granted.
    GrantsWhatItDoesNotOffer,
}

/// A `MemoryStore` with a bug.
#[derive(Clone)]
pub struct Wrong {
    inner: MemoryStore,
    bug: Bug,
    clock: ManualClock,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    opens: AtomicUsize,
    swept_in_use: AtomicBool,
    walked: AtomicUsize,
}

impl Wrong {
    pub fn new(bug: Bug, clock: &ManualClock) -> Self {
        let clock = if bug == Bug::IgnoresExpiry { ManualClock::new() } else { clock.clone() };
        let inner = MemoryStore::with(clock.clone(), OsEntropy);
        Self { inner, bug, clock, shared: Arc::default() }
    }

    async fn open_anyway(&self, key: &Key, request: OpenRequest) -> Result<MemoryHold, OpenError> {
        loop {
            match self.inner.open(key, request.clone()).await {
                Err(OpenError::Gone { .. }) if self.bug == Bug::WaitersAreNotTold => {}
                Err(OpenError::LockTimeout(mut timeout)) if self.bug == Bug::TimeoutNamesNobody => {
                    timeout.holder = None;
                    return Err(timeout.into());
                }
                opened => return opened,
            }
        }
    }
}

impl Store for Wrong {
    type Hold = WrongHold;

    fn name(&self) -> &'static str {
        "Wrong"
    }

    fn accesses(&self) -> &'static [Access] {
        if self.bug == Bug::GrantsWhatItDoesNotOffer {
            return &[Access::Snapshot, Access::Optimistic];
        }
        self.inner.accesses()
    }

    async fn open(&self, key: &Key, request: OpenRequest) -> Result<WrongHold, OpenError> {
        let access = request.access;
        let inner_access = match (self.bug, access) {
            (Bug::ExclusiveIsNotExclusive, Access::Exclusive) => Access::Optimistic,
            (Bug::SharedIsExclusive, Access::Shared) => Access::Exclusive,
            (Bug::SnapshotWaits, Access::Snapshot) => Access::Shared,
            _ => access,
        };
        let key = if self.bug == Bug::KeysCollide { truncated(key) } else { *key };
        let request = OpenRequest { access: inner_access, ..request };
        if self.bug == Bug::CreatesOnOpen && access.may_write() {
            let request = OpenRequest { access: Access::Optimistic, ..request.clone() };
            let mut hold = self.inner.open(&key, request).await?;
            if hold.record().is_none() {
                let _ = hold.commit(&[], Terms::default()).await;
            }
        }
        let inner = if self.bug == Bug::CancelledWaitsStay {
            let store = self.clone();
            // Not for ever: the suite's own deadlines are long.
            let request = request.wait(Duration::from_millis(300));
            let open = async move { store.open_anyway(&key, request).await };
            Stubborn(Some(Box::pin(open))).await?
        } else {
            self.open_anyway(&key, request).await?
        };
        let mut hold = WrongHold {
            store: self.clone(),
            key,
            access,
            payload: inner.payload().to_vec(),
            record: None,
            inner: Some(inner),
            released: false,
        };
        hold.look();
        let opens = self.shared.opens.fetch_add(1, Ordering::Relaxed);
        if self.bug == Bug::TornPayload && access == Access::Snapshot && opens % 8 == 7 {
            hold.payload.truncate(hold.payload.len() / 2);
        }
        Ok(hold)
    }

    async fn sweep(&self, budget: SweepBudget, calling: Calling) -> Result<Swept, OpenError> {
        match self.bug {
            Bug::SweepIgnoresItsBudget => {
                let all = SweepBudget { sessions: usize::MAX };
                self.inner.sweep(all, calling).await
            }
            Bug::SweepDoesNothing => Ok(Swept { complete: true, ..Swept::default() }),
            Bug::SweepsWhatIsHeld => {
                let mut swept = self.inner.sweep(budget, calling).await?;
                swept.removed += swept.in_use;
                self.shared.swept_in_use.fetch_or(swept.in_use > 0, Ordering::Relaxed);
                swept.in_use = 0;
                Ok(swept)
            }
            _ => self.inner.sweep(budget, calling).await,
        }
    }
}

pub struct WrongHold {
    store: Wrong,
    key: Key,
    access: Access,
    inner: Option<MemoryHold>,
    payload: Vec<u8>,
    record: Option<Record>,
    released: bool,
}

impl WrongHold {
    fn inner(&mut self) -> &mut MemoryHold {
        self.inner.as_mut().unwrap_or_else(|| unreachable!("it is there until the drop"))
    }

    /// Takes over what the inner hold shows, as far as the bug does.
    fn look(&mut self) {
        let bug = self.store.bug;
        let record = self.inner().record().copied();
        self.record = record.map(|record| Record {
            version: if bug == Bug::NeverBumpsTheVersion { 1 } else { record.version },
            birth: if bug == Bug::OneBirthForAll { 7 } else { record.birth },
            ..record
        });
    }

    async fn reopen(&self, access: Access) -> Result<MemoryHold, OpenError> {
        let request = OpenRequest::new(access, Calling::Blocking).wait(Duration::ZERO);
        self.store.inner.open(&self.key, request).await
    }
}

impl Hold for WrongHold {
    fn access(&self) -> Access {
        self.access
    }

    fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    fn payload(&self) -> &[u8] {
        &self.payload
    }

    fn expired(&self) -> bool {
        self.inner.as_ref().is_some_and(Hold::expired)
    }

    async fn commit(&mut self, payload: &[u8], terms: Terms) -> Result<Record, CommitError> {
        let bug = self.store.bug;
        let terms = match bug {
            Bug::DropsTheConditionCheck => Terms { condition: Condition::Alive, ..terms },
            Bug::KeepReleases => Terms { then: Then::Release, ..terms },
            _ => terms,
        };
        if bug == Bug::SweepsWhatIsHeld && self.store.shared.swept_in_use.load(Ordering::Relaxed) {
            return Err(CommitError::Gone { key: self.key });
        }
        let payload = match bug {
            Bug::CutsLongPayloads => payload.get(..64 << 10).unwrap_or(payload),
            _ => payload,
        };
        let mut done = self.inner().commit(payload, terms).await;
        match (&done, bug) {
            (Err(CommitError::Gone { .. }), Bug::ResurrectsAfterDestroy)
            | (Err(CommitError::AlreadyExists { .. }), Bug::OverwritesTheFirstCreator)
            | (Err(CommitError::Released), Bug::WritesAfterRelease) => {
                let mut again = self.reopen(Access::Optimistic).await?;
                done = again.commit(payload, terms).await;
                self.inner = Some(again);
            }
            (Err(CommitError::ReadOnly { .. }), Bug::ReadersMayCommit) => {
                return Ok(self.record.unwrap_or(Record {
                    birth: 1,
                    version: 1,
                    created: cloakroom::Timestamp::from_millis(0),
                    accessed: cloakroom::Timestamp::from_millis(0),
                    lifetime: terms.lifetime,
                    retired_until: None,
                }));
            }
            _ => {}
        }
        let record = done?;
        self.payload = payload.to_vec();
        self.look();
        Ok(self.record.unwrap_or(record))
    }

    async fn touch(&mut self) -> Result<(), CommitError> {
        match self.store.bug {
            Bug::TouchDoesNothing => Ok(()),
            Bug::TouchIsACommit => {
                self.inner().touch().await?;
                let mut hold = self.reopen(Access::Optimistic).await?;
                if let Some(lifetime) = hold.record().map(|record| record.lifetime) {
                    let payload = hold.payload().to_vec();
                    let _ = hold.commit(&payload, Terms { lifetime, ..Terms::default() }).await;
                }
                Ok(())
            }
            _ => self.inner().touch().await,
        }
    }

    async fn destroy(&mut self) -> Result<(), CommitError> {
        if self.store.bug == Bug::DestroyOnlyEmpties && self.record.is_some() {
            let terms = Terms { condition: Condition::Alive, ..Terms::default() };
            return self.inner().commit(&[], terms).await.map(drop);
        }
        self.inner().destroy().await
    }

    async fn renew(
        &mut self,
        new: &Key,
        payload: &[u8],
        lifetime: Lifetime,
        grace: Duration,
    ) -> Result<Record, CommitError> {
        let old = self.payload.clone();
        if self.store.bug == Bug::RenewReplacesAnother {
            let request = OpenRequest::new(Access::Optimistic, Calling::Blocking);
            self.store.inner.open(new, request).await?.destroy().await?;
        }
        if self.store.bug == Bug::GraceShowsTheNewPayload && !grace.is_zero() {
            let terms = Terms { then: Then::Keep, lifetime, ..Terms::default() };
            self.inner().commit(payload, terms).await?;
        }
        let mut record = self.inner().renew(new, payload, lifetime, grace).await?;
        match self.store.bug {
            Bug::RenewLeavesTheOldId if grace.is_zero() => {
                let mut again = self.reopen(Access::Optimistic).await?;
                let _ = again.commit(&old, Terms::default()).await;
            }
            Bug::RenewForgetsCreated => record.created = record.accessed,
            _ => {}
        }
        Ok(record)
    }

    async fn release(&mut self) {
        self.released = true;
        if self.store.bug == Bug::ReleaseKeepsTheLock {
            return;
        }
        self.inner().release().await;
    }
}

impl Drop for WrongHold {
    fn drop(&mut self) {
        let Some(mut inner) = self.inner.take() else { return };
        match self.store.bug {
            Bug::DropCommits if self.access.may_write() && !self.released => {
                let commit = async move {
                    let _ = inner.commit(b"dropped", Terms::default()).await;
                };
                cloakroom::blocking::wait(commit);
            }
            _ => {}
        }
    }
}

/// A future that a drop does not stop.
struct Stubborn<T>(Option<std::pin::Pin<Box<dyn Future<Output = T> + Send>>>);

impl<T> Future for Stubborn<T> {
    type Output = T;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<T> {
        let future = self.0.as_mut().unwrap_or_else(|| unreachable!("polled after its end"));
        let polled = future.as_mut().poll(context);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

impl<T> Drop for Stubborn<T> {
    fn drop(&mut self) {
        let _leaked = self.0.take().map(ManuallyDrop::new);
    }
}

/// A key of which the first byte alone counts.
fn truncated(key: &Key) -> Key {
    let first = key.as_bytes().first().copied().unwrap_or_default();
    Key::new("truncated", &SessionId::from(&[first][..]))
}
