//! What a case works with: the store, its clock, and the calls of the contract, driven to their end.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use super::task::Task;
use super::{Fixture, ManualClock};
use crate::access::{Access, Calling};
use crate::error::{CommitError, OpenError};
use crate::id::{Key, SessionId};
use crate::inventory::{Adopted, Depth, Found, Inventory, Locked, Look, Summary, Walk as _};
use crate::record::{Lifetime, Record};
use crate::seams::{Clock as _, Timestamp};
use crate::store::{Condition, Hold, OpenRequest, Store, SweepBudget, Swept, Terms, Then};
use crate::sync::Arc;

/// One case's store, fresh and empty.
pub(super) struct Stage<S> {
    fixture: Fixture<S>,
    pub(super) clock: ManualClock,
    pub(super) calling: Calling,
}

impl<S: Store> Stage<S> {
    pub(super) fn new(fixture: Fixture<S>, clock: ManualClock, calling: Calling) -> Self {
        Self { fixture, clock, calling }
    }

    pub(super) fn store(&self) -> &S {
        &self.fixture.store
    }

    /// The store for a `Sessions`.
    pub(super) fn shared(&self) -> Shared<S> {
        Shared(Arc::clone(&self.fixture.store))
    }

    /// The first handle, and the second one where there is one.
    pub(super) fn handles(&self) -> Vec<&S> {
        [Some(&self.fixture.store), self.fixture.second.as_ref()]
            .into_iter()
            .flatten()
            .map(|store| &**store)
            .collect()
    }

    /// The handle that the thread of this number works with.
    pub(super) fn handle(&self, number: usize) -> &S {
        let handles = self.handles();
        handles[number % handles.len()]
    }

    pub(super) fn offers(&self, access: Access) -> bool {
        self.store().accesses().contains(&access)
    }

    /// The accesses that this store offers.
    pub(super) fn accesses(&self) -> Vec<Access> {
        Access::ALL.into_iter().filter(|access| self.offers(*access)).collect()
    }

    /// The accesses that this store offers and that may write.
    pub(super) fn writers(&self) -> Vec<Access> {
        let writers: Vec<Access> =
            self.accesses().into_iter().filter(|access| access.may_write()).collect();
        assert!(!writers.is_empty(), "a store offers an access that may write");
        writers
    }

    /// The accesses that this store offers and that may only read.
    pub(super) fn readers(&self) -> Vec<Access> {
        self.accesses().into_iter().filter(|access| !access.may_write()).collect()
    }

    /// The accesses that this store offers and that wait for nothing.
    pub(super) fn lookers(&self) -> Vec<Access> {
        let waits_for_nothing =
            |access: &Access| matches!(access, Access::Snapshot | Access::Optimistic);
        self.accesses().into_iter().filter(waits_for_nothing).collect()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Drives a future of the store to its end.
    pub(super) fn wait<F: Future>(&self, future: F) -> F::Output {
        let mut output = None;
        (self.fixture.block_on)(pin!(async { output = Some(future.await) }));
        output.expect("the future was driven to its end")
    }

    /// Returns once the opens that were polled stand in the queue.
    pub(super) fn settle(&self) {
        (self.fixture.settle)();
    }

    pub(super) fn request(&self, access: Access) -> OpenRequest {
        OpenRequest::new(access, self.calling)
    }

    #[track_caller]
    pub(super) fn open(&self, key: &Key, access: Access) -> S::Hold {
        self.open_in(self.store(), key, access)
    }

    #[track_caller]
    pub(super) fn open_in(&self, store: &S, key: &Key, access: Access) -> S::Hold {
        match self.wait(store.open(key, self.request(access))) {
            Ok(hold) => hold,
            Err(error) => panic!("the session could not be opened with `{access}`: {error}"),
        }
    }

    /// An open that does not wait.
    pub(super) fn try_open(&self, key: &Key, access: Access) -> Result<S::Hold, OpenError> {
        self.try_open_in(self.store(), key, access)
    }

    pub(super) fn try_open_in(
        &self,
        store: &S,
        key: &Key,
        access: Access,
    ) -> Result<S::Hold, OpenError> {
        self.wait(store.open(key, self.request(access).wait(Duration::ZERO)))
    }

    /// An open by a task, not polled yet.
    pub(super) fn opening<'a>(
        &'a self,
        store: &'a S,
        key: &'a Key,
        access: Access,
    ) -> Task<'a, S, Result<S::Hold, OpenError>> {
        Task::new(self, store.open(key, OpenRequest::new(access, Calling::Async)))
    }

    /// A future that the case polls by hand.
    pub(super) fn task<'a, T: Send>(
        &'a self,
        future: impl Future<Output = T> + Send + 'a,
    ) -> Task<'a, S, T> {
        Task::new(self, future)
    }

    /// Commits on the default terms.
    pub(super) fn commit(&self, hold: &mut S::Hold, payload: &[u8]) -> Result<Record, CommitError> {
        self.wait(hold.commit(payload, Terms::default()))
    }

    pub(super) fn commit_on(
        &self,
        hold: &mut S::Hold,
        payload: &[u8],
        terms: Terms,
    ) -> Result<Record, CommitError> {
        self.wait(hold.commit(payload, terms))
    }

    /// Stores `payload` under `key`, whatever is there.
    #[track_caller]
    pub(super) fn put(&self, key: &Key, payload: &[u8]) -> Record {
        self.put_for(key, payload, Lifetime::default())
    }

    /// The same with this lifetime.
    #[track_caller]
    pub(super) fn put_for(&self, key: &Key, payload: &[u8], lifetime: Lifetime) -> Record {
        let mut hold = self.open(key, self.writers()[0]);
        match self.commit_on(&mut hold, payload, Terms { lifetime, ..Terms::default() }) {
            Ok(record) => record,
            Err(error) => panic!("the session could not be stored: {error}"),
        }
    }

    /// What stands under `key`.
    #[track_caller]
    pub(super) fn seen(&self, key: &Key) -> Option<(Record, Vec<u8>)> {
        self.seen_in(self.store(), key)
    }

    #[track_caller]
    pub(super) fn seen_in(&self, store: &S, key: &Key) -> Option<(Record, Vec<u8>)> {
        let hold = self.open_in(store, key, self.looker());
        hold.record().map(|record| (*record, hold.payload().to_vec()))
    }

    #[track_caller]
    pub(super) fn payload(&self, key: &Key) -> Option<Vec<u8>> {
        self.seen(key).map(|(_, payload)| payload)
    }

    /// Asserts that every handle and every access finds nothing under `key`.
    #[track_caller]
    pub(super) fn assert_absent(&self, key: &Key, why: &str) {
        for store in self.handles() {
            for access in self.accesses() {
                let hold = self.open_in(store, key, access);
                assert_eq!(hold.record(), None, "{why} ({access})");
                assert!(hold.payload().is_empty(), "{why} ({access}): bytes without a session");
            }
        }
    }

    /// Asserts that who takes no lock finds nothing under `key`.
    #[track_caller]
    pub(super) fn assert_absent_by_look(&self, key: &Key, why: &str) {
        for store in self.handles() {
            assert_eq!(self.seen_in(store, key), None, "{why}");
        }
    }

    /// An access that reads and waits for as little as this store has.
    fn looker(&self) -> Access {
        [Access::Snapshot, Access::Optimistic, Access::Shared, Access::Exclusive]
            .into_iter()
            .find(|access| self.offers(*access))
            .expect("a store offers an access")
    }

    #[track_caller]
    pub(super) fn destroy(&self, hold: &mut S::Hold) {
        if let Err(error) = self.wait(hold.destroy()) {
            panic!("the session could not be destroyed: {error}");
        }
    }

    /// Destroys what stands under `key`.
    #[track_caller]
    pub(super) fn destroy_key(&self, key: &Key) {
        self.destroy(&mut self.open(key, self.writers()[0]));
    }

    pub(super) fn renew(
        &self,
        hold: &mut S::Hold,
        new: &Key,
        payload: &[u8],
        grace: Duration,
    ) -> Result<Record, CommitError> {
        self.wait(hold.renew(new, payload, Lifetime::default(), grace))
    }

    #[track_caller]
    pub(super) fn touch(&self, hold: &mut S::Hold) {
        if let Err(error) = self.wait(hold.touch()) {
            panic!("the session could not be touched: {error}");
        }
    }

    pub(super) fn release(&self, hold: &mut S::Hold) {
        self.wait(hold.release());
    }

    #[track_caller]
    pub(super) fn sweep(&self, sessions: usize) -> Swept {
        match self.wait(self.store().sweep(SweepBudget { sessions }, self.calling)) {
            Ok(swept) => swept,
            Err(error) => panic!("the sweep failed: {error}"),
        }
    }

    /// Sweeps in steps of `sessions` until one is complete, and adds them up.
    #[track_caller]
    pub(super) fn sweep_all(&self, sessions: usize) -> Swept {
        let mut sum = Swept::default();
        for _ in 0..10_000 {
            let swept = self.sweep(sessions);
            assert!(
                swept.examined <= sessions,
                "a sweep looks at no more than its budget: {swept:?}"
            );
            assert!(
                swept.removed <= sessions,
                "a sweep removes no more than its budget: {swept:?}"
            );
            sum.examined += swept.examined;
            sum.removed += swept.removed;
            sum.in_use += swept.in_use;
            sum.failed += swept.failed;
            if swept.complete {
                return Swept { complete: true, ..sum };
            }
        }
        panic!("sweeping in steps of {sessions} never came to an end");
    }

    /// Asserts that an access which this store lacks is refused, and the alternatives named.
    pub(super) fn assert_unsupported(&self, access: Access) {
        let error = match self.wait(self.store().open(&key("any"), self.request(access))) {
            Err(OpenError::Unsupported(error)) => error,
            Err(error) => panic!("`{access}` is not offered, but the error is: {error}"),
            Ok(_) => panic!("`{access}` is not among the accesses offered, but it was granted"),
        };
        assert_eq!(error.access, access, "the error names what was asked for");
        assert_eq!(error.offers, self.store().accesses(), "the error names the alternatives");
        assert_eq!(error.store, self.store().name(), "the error names the store");
        let text = error.to_string();
        for offered in error.offers {
            assert!(text.contains(&format!("`{offered}`")), "{text} names `{offered}`");
        }
    }
}

impl<S: Inventory> Stage<S> {
    /// All finds of a walk in pages of `limit`.
    #[track_caller]
    pub(super) fn walk(&self, store: &S, depth: Depth, limit: usize) -> Vec<Found> {
        let walk = self.wait(store.walk(depth, self.calling));
        let mut walk = walk.unwrap_or_else(|error| panic!("the walk does not start: {error}"));
        let (mut all, mut page) = (Vec::new(), Vec::new());
        loop {
            if let Err(error) = self.wait(walk.next(limit, &mut page)) {
                panic!("the walk does not go on: {error}");
            }
            assert!(page.len() <= limit, "a page has {} finds, asked for {limit}", page.len());
            if page.is_empty() {
                return all;
            }
            all.append(&mut page);
        }
    }

    /// What a walk says of `key`.
    #[track_caller]
    pub(super) fn summary(&self, key: &Key) -> Option<Summary> {
        let found = self.walk(self.store(), Depth::Current, 100);
        found.into_iter().find_map(|found| match found {
            Found::Session(summary) if summary.key == *key => Some(summary),
            _ => None,
        })
    }

    #[track_caller]
    pub(super) fn adopt(&self, key: &Key, record: Record, payload: &[u8]) -> Adopted {
        match self.try_adopt(key, record, payload) {
            Ok(adopted) => adopted,
            Err(error) => panic!("the session could not be adopted: {error}"),
        }
    }

    /// An adoption by somebody who knows at which version the session was adopted before.
    #[track_caller]
    pub(super) fn adopt_again(&self, key: &Key, record: Record, known: u64) -> Adopted {
        match self.wait(self.store().adopt(key, record, b"again", Some(known), self.calling)) {
            Ok(adopted) => adopted,
            Err(error) => panic!("the session could not be adopted: {error}"),
        }
    }

    #[track_caller]
    pub(super) fn look(&self, key: &Key) -> Option<Look> {
        match self.wait(self.store().look(key, self.calling)) {
            Ok(look) => look,
            Err(error) => panic!("the session could not be looked at: {error}"),
        }
    }

    pub(super) fn try_adopt(
        &self,
        key: &Key,
        record: Record,
        payload: &[u8],
    ) -> Result<Adopted, CommitError> {
        self.wait(self.store().adopt(key, record, payload, None, self.calling))
    }

    /// An adoption by a task, not polled yet.
    pub(super) fn adopting<'a>(
        &'a self,
        key: &'a Key,
        record: Record,
        payload: &'a [u8],
    ) -> Task<'a, S, Result<Adopted, CommitError>> {
        Task::new(self, self.store().adopt(key, record, payload, None, Calling::Async))
    }

    #[track_caller]
    pub(super) fn locks(&self) -> Vec<Locked> {
        match self.wait(self.store().locks(self.calling)) {
            Ok(locked) => locked,
            Err(error) => panic!("the locks could not be listed: {error}"),
        }
    }
}

/// The key of a session of this name.
pub(super) fn key(name: &str) -> Key {
    Key::new("conformance", &SessionId::from(name))
}

/// The default terms, but the hold goes on.
pub(super) fn keeping() -> Terms {
    Terms { then: Then::Keep, ..Terms::default() }
}

/// The default terms, but only the birth is checked.
pub(super) fn if_alive() -> Terms {
    Terms { condition: Condition::Alive, ..Terms::default() }
}

/// The payload that is the number.
pub(super) fn number(number: u64) -> [u8; 8] {
    number.to_le_bytes()
}

/// The number that is the payload; 0 if it is empty.
pub(super) fn to_number(payload: &[u8]) -> u64 {
    payload.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Another owner of a store.
pub(super) struct Shared<S>(Arc<S>);

impl<S: Store> Store for Shared<S> {
    type Hold = S::Hold;

    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn accesses(&self) -> &'static [Access] {
        self.0.accesses()
    }

    async fn open(&self, key: &Key, request: OpenRequest) -> Result<S::Hold, OpenError> {
        self.0.open(key, request).await
    }

    async fn sweep(&self, budget: SweepBudget, calling: Calling) -> Result<Swept, OpenError> {
        self.0.sweep(budget, calling).await
    }
}

/// Asserts that a call is refused with this error.
macro_rules! assert_refused {
    ($result:expr, $error:pat, $why:expr) => {
        match $result.map(drop) {
            Err($error) => {}
            other => panic!("{}: expected {}, got {other:?}", $why, stringify!($error)),
        }
    };
}
pub(super) use assert_refused;
