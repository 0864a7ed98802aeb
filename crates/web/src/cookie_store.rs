//! Sessions that live in the browser, sealed in the cookie.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use cloakroom::seams::Clock;
use cloakroom::{
    Access, Calling, CommitError, Hold, IoError, Key, Lifetime, OpenError, OpenRequest, Record,
    Store, SweepBudget, Swept, Terms, Then, Timestamp, Unsupported,
};
use parking_lot::Mutex;

use crate::address::Binding;
use crate::cookie::Template;
use crate::pieces::{self, CookieTooLarge, Pieces};
use crate::seal::{Contents, Sealer};

/// Stands where a store stands in the types of sessions that live in the browser, sealed in the
/// cookie, so that handlers need not care. See [`SessionManager::sealed`], which makes it; there is no other way
/// to get one.
///
/// It keeps nothing. It is the one session of one request: what that brought in its cookies, and what
/// is sealed for the response. So it cannot do what a store can:
///
/// - it offers `snapshot` and `optimistic` access and no lock, and two requests at a time never conflict: the
///   last response wins;
/// - a logout makes the browser forget the cookie; a copy of it stays good until its deadline, and a
///   late response of another request sets it again.
///
/// [`SessionManager::sealed`]: crate::SessionManager::sealed
#[derive(Clone)]
pub struct CookieStore(Arc<Envelope>);

struct Envelope {
    press: Arc<Press>,
    /// What the request brought.
    found: Option<Contents>,
    expired: bool,
    binding: Option<Binding>,
    state: Mutex<State>,
}

/// What turns sessions into cookies.
pub(crate) struct Press {
    pub(crate) sealer: Sealer,
    pub(crate) template: Arc<Template>,
    pub(crate) split: bool,
    pub(crate) lifetime: Lifetime,
    pub(crate) clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct State {
    outcome: Outcome,
    too_large: Option<CookieTooLarge>,
}

/// What the browser's cookies become.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// They stay.
    #[default]
    Kept,
    /// These.
    Sealed(Pieces),
    /// None.
    Destroyed,
}

impl CookieStore {
    pub(crate) const NAME: &str = "CookieStore";
    pub(crate) const ACCESSES: &[Access] = &[Access::Snapshot, Access::Optimistic];

    /// The session of a request that brought `found`, or none.
    pub(crate) fn new(
        press: Arc<Press>,
        found: Option<Contents>,
        binding: Option<Binding>,
    ) -> Self {
        let now = press.clock.now();
        let expired = found.as_ref().is_some_and(|found| found.deadline <= now);
        let found = found.filter(|_| !expired);
        Self(Arc::new(Envelope { press, found, expired, binding, state: Mutex::default() }))
    }

    pub(crate) fn expired(&self) -> bool {
        self.0.expired
    }

    pub(crate) fn outcome(&self) -> Outcome {
        self.0.state.lock().outcome.clone()
    }

    /// Why the last commit failed, if that was the session's size.
    pub(crate) fn too_large(&self) -> Option<CookieTooLarge> {
        self.0.state.lock().too_large.take()
    }
}

impl Envelope {
    fn now(&self) -> Timestamp {
        self.press.clock.now()
    }

    fn seal(&self, record: &Record, payload: &[u8]) -> Result<(), CommitError> {
        let Press { sealer, template, split, .. } = &*self.press;
        let contents = Contents {
            created: record.created,
            sealed: record.accessed,
            deadline: record.deadline().unwrap_or(Timestamp::MAX),
            binding: self.binding,
            payload: payload.to_vec(),
        };
        let place = PathBuf::from(&template.name);
        let io = |source| CommitError::Io(IoError { operation: "seal", place, source });
        let seal = sealer.seal(&contents).map_err(io)?;
        match pieces::cut(&seal, template, *split, payload.len()) {
            Ok(pieces) => {
                self.state.lock().outcome = Outcome::Sealed(pieces);
                Ok(())
            }
            Err(error) => {
                let (bytes, limit) = (error.cookie, error.limit);
                self.state.lock().too_large = Some(error);
                Err(CommitError::TooLarge { bytes, limit })
            }
        }
    }
}

impl Store for CookieStore {
    type Hold = CookieHold;

    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn accesses(&self) -> &'static [Access] {
        Self::ACCESSES
    }

    async fn open(&self, _: &Key, request: OpenRequest) -> Result<CookieHold, OpenError> {
        let access = request.access;
        if !Self::ACCESSES.contains(&access) {
            return Err(Unsupported { store: self.name(), access, offers: Self::ACCESSES }.into());
        }
        let record = self.0.found.as_ref().map(|found| Record {
            birth: 0,
            version: 1,
            created: found.created,
            accessed: found.sealed,
            lifetime: self.0.press.lifetime,
            retired_until: None,
        });
        let payload = self.0.found.as_ref().map(|found| found.payload.clone());
        let envelope = Arc::clone(&self.0);
        Ok(CookieHold {
            envelope,
            access,
            record,
            payload: payload.unwrap_or_default(),
            released: false,
        })
    }

    async fn sweep(&self, _: SweepBudget, _: Calling) -> Result<Swept, OpenError> {
        Ok(Swept { complete: true, ..Swept::default() })
    }
}

/// The session of one request that lives in the browser.
pub struct CookieHold {
    envelope: Arc<Envelope>,
    access: Access,
    record: Option<Record>,
    payload: Vec<u8>,
    released: bool,
}

impl CookieHold {
    fn write(
        &mut self,
        payload: &[u8],
        lifetime: Lifetime,
        then: Then,
    ) -> Result<Record, CommitError> {
        self.check_writable()?;
        let now = self.envelope.now();
        let before = self.record;
        let record = Record {
            birth: 0,
            version: before.map_or(1, |before| before.version.saturating_add(1)),
            created: before.map_or(now, |before| before.created),
            accessed: now,
            lifetime,
            retired_until: None,
        };
        self.envelope.seal(&record, payload)?;
        self.record = Some(record);
        self.payload = payload.to_vec();
        self.released = then == Then::Release;
        Ok(record)
    }

    const fn check_writable(&self) -> Result<(), CommitError> {
        match self.access {
            _ if self.released => Err(CommitError::Released),
            access if !access.may_write() => Err(CommitError::ReadOnly { access }),
            _ => Ok(()),
        }
    }
}

impl Hold for CookieHold {
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
        self.envelope.expired
    }

    async fn commit(&mut self, payload: &[u8], terms: Terms) -> Result<Record, CommitError> {
        self.write(payload, terms.lifetime, terms.then)
    }

    async fn touch(&mut self) -> Result<(), CommitError> {
        let Some(record) = self.record else { return Ok(()) };
        let record = Record { accessed: self.envelope.now(), ..record };
        self.envelope.seal(&record, &self.payload)?;
        self.record = Some(record);
        Ok(())
    }

    async fn destroy(&mut self) -> Result<(), CommitError> {
        self.check_writable()?;
        self.envelope.state.lock().outcome = Outcome::Destroyed;
        self.record = None;
        self.payload.clear();
        self.released = true;
        Ok(())
    }

    async fn renew(
        &mut self,
        _: &Key,
        payload: &[u8],
        lifetime: Lifetime,
        _: std::time::Duration,
    ) -> Result<Record, CommitError> {
        self.write(payload, lifetime, Then::Release)
    }

    async fn release(&mut self) {
        self.released = true;
    }
}

impl fmt::Debug for CookieStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieStore")
            .field("found", &self.0.found.is_some())
            .finish_non_exhaustive()
    }
}
