//! A small store as a third party would write it, with the public interface alone: sessions in a
//! `BTreeMap`, no locks to wait for, so only snapshot and optimistic access.

mod inventory;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cloakroom::conformance::ManualClock;
use cloakroom::seams::Clock as _;
use cloakroom::{
    Access, Calling, CommitError, Condition, Conflict, Hold, Key, Lifetime, OpenError, OpenRequest,
    Record, Store, SweepBudget, Swept, Terms, Then, Unsupported, limits,
};

type Map = BTreeMap<Key, (Record, Vec<u8>)>;

/// Sessions in a `BTreeMap`. A clone is another handle.
#[derive(Clone)]
pub struct Cabinet {
    inside: Arc<Inside>,
}

struct Inside {
    sessions: Mutex<Map>,
    /// Where the last sweep stopped.
    swept_to: Mutex<Option<Key>>,
    clock: ManualClock,
}

impl Cabinet {
    pub fn new(clock: ManualClock) -> Self {
        let inside = Inside { sessions: Mutex::default(), swept_to: Mutex::default(), clock };
        Self { inside: Arc::new(inside) }
    }
}

impl Store for Cabinet {
    type Hold = CabinetHold;

    fn name(&self) -> &'static str {
        "Cabinet"
    }

    fn accesses(&self) -> &'static [Access] {
        &[Access::Snapshot, Access::Optimistic]
    }

    async fn open(&self, key: &Key, request: OpenRequest) -> Result<CabinetHold, OpenError> {
        let access = request.access;
        if !self.accesses().contains(&access) {
            let (store, offers) = (self.name(), self.accesses());
            return Err(Unsupported { store, access, offers }.into());
        }
        let inside = Arc::clone(&self.inside);
        let found = inside.lock().get(key).cloned();
        let expired = found.as_ref().is_some_and(|(record, _)| inside.is_over(record));
        let current = found.filter(|_| !expired);
        Ok(CabinetHold { inside, key: *key, access, current, expired, released: false })
    }

    async fn sweep(&self, budget: SweepBudget, _: Calling) -> Result<Swept, OpenError> {
        let mut sessions = self.inside.lock();
        let mut swept_to = self.inside.swept_to.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = sessions.iter().filter(|(key, _)| swept_to.is_none_or(|last| last < **key));
        let step: Vec<(Key, bool)> = rest
            .take(budget.sessions)
            .map(|(key, (record, _))| (*key, self.inside.is_over(record)))
            .collect();
        let complete = step.len() < budget.sessions;
        let mut swept = Swept { examined: step.len(), complete, ..Swept::default() };
        for (key, over) in &step {
            if *over {
                sessions.remove(key);
                swept.removed += 1;
            }
        }
        *swept_to = step.last().map(|(key, _)| *key).filter(|_| !complete).or(*swept_to);
        if complete {
            *swept_to = None;
        }
        Ok(swept)
    }
}

impl Inside {
    fn lock(&self) -> std::sync::MutexGuard<'_, Map> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self, record: &Record) -> bool {
        record.is_expired(self.clock.now())
    }

    fn newborn(&self, lifetime: Lifetime) -> Record {
        let now = self.clock.now();
        Record {
            birth: RandomState::new().build_hasher().finish(),
            version: 1,
            created: now,
            accessed: now,
            lifetime,
            retired_until: None,
        }
    }
}

pub struct CabinetHold {
    inside: Arc<Inside>,
    key: Key,
    access: Access,
    current: Option<(Record, Vec<u8>)>,
    expired: bool,
    released: bool,
}

impl CabinetHold {
    fn check_open(&self) -> Result<(), CommitError> {
        match self.access {
            Access::Optimistic if self.released => Err(CommitError::Released),
            Access::Optimistic => Ok(()),
            access => Err(CommitError::ReadOnly { access }),
        }
    }

    /// The record that stands, if the session may be written.
    fn check(&self, sessions: &Map, condition: Condition) -> Result<Option<Record>, CommitError> {
        let key = self.key;
        let now = sessions.get(&key).map(|(record, _)| *record);
        let now = now.filter(|record| !self.inside.is_over(record));
        match (self.record(), now) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(CommitError::AlreadyExists { key }),
            (Some(_), None) => Err(CommitError::Gone { key }),
            (Some(read), Some(now)) if read.birth != now.birth => Err(CommitError::Gone { key }),
            (Some(_), Some(now)) if now.retired_until.is_some() => {
                Err(CommitError::Retired { key })
            }
            (Some(read), Some(now))
                if condition == Condition::Unchanged && read.version != now.version =>
            {
                let (read, found) = (read.version, now.version);
                Err(Conflict { key, read, found, names: Vec::new() }.into())
            }
            (Some(_), Some(now)) => Ok(Some(now)),
        }
    }
}

impl Hold for CabinetHold {
    fn access(&self) -> Access {
        self.access
    }

    fn record(&self) -> Option<&Record> {
        self.current.as_ref().map(|(record, _)| record)
    }

    fn payload(&self) -> &[u8] {
        self.current.as_ref().map_or(&[], |(_, payload)| payload)
    }

    fn expired(&self) -> bool {
        self.expired
    }

    async fn commit(&mut self, payload: &[u8], terms: Terms) -> Result<Record, CommitError> {
        self.check_open()?;
        check_size(payload)?;
        let inside = Arc::clone(&self.inside);
        let mut sessions = inside.lock();
        let standing = self.check(&sessions, terms.condition)?;
        let newborn = inside.newborn(terms.lifetime);
        let record = standing.map_or(newborn, |standing| Record {
            version: standing.version + 1,
            accessed: newborn.accessed,
            lifetime: terms.lifetime,
            ..standing
        });
        sessions.insert(self.key, (record, payload.to_vec()));
        self.current = Some((record, payload.to_vec()));
        self.released = terms.then == Then::Release;
        Ok(record)
    }

    async fn touch(&mut self) -> Result<(), CommitError> {
        let Some(birth) = self.record().map(|record| record.birth) else { return Ok(()) };
        let mut sessions = self.inside.lock();
        if let Some((record, _)) = sessions.get_mut(&self.key)
            && record.birth == birth
            && record.retired_until.is_none()
            && !self.inside.is_over(record)
        {
            record.accessed = self.inside.clock.now();
        }
        Ok(())
    }

    async fn destroy(&mut self) -> Result<(), CommitError> {
        self.check_open()?;
        self.released = true;
        let birth = self.record().map(|record| record.birth);
        if let Entry::Occupied(now) = self.inside.lock().entry(self.key)
            && birth == Some(now.get().0.birth)
        {
            now.remove();
        }
        Ok(())
    }

    async fn renew(
        &mut self,
        new: &Key,
        payload: &[u8],
        lifetime: Lifetime,
        grace: Duration,
    ) -> Result<Record, CommitError> {
        self.check_open()?;
        check_size(payload)?;
        let inside = Arc::clone(&self.inside);
        let mut sessions = inside.lock();
        let standing = self.check(&sessions, Condition::Unchanged)?;
        if sessions.get(new).is_some_and(|(record, _)| !inside.is_over(record)) {
            return Err(CommitError::AlreadyExists { key: *new });
        }
        let mut record = inside.newborn(lifetime);
        record.created = standing.map_or(record.created, |standing| standing.created);
        if grace.is_zero() {
            sessions.remove(&self.key);
        } else if let Some((old, _)) = sessions.get_mut(&self.key) {
            old.retired_until = Some(inside.clock.now().plus(grace));
        }
        sessions.insert(*new, (record, payload.to_vec()));
        self.released = true;
        Ok(record)
    }

    async fn release(&mut self) {
        self.released = true;
    }
}

fn check_size(payload: &[u8]) -> Result<(), CommitError> {
    let (bytes, limit) = (payload.len(), limits::PAYLOAD_MAX);
    if bytes > limit { Err(CommitError::TooLarge { bytes, limit }) } else { Ok(()) }
}
