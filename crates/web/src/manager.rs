//! The manager: from the cookies of a request to its session, and back to cookies.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloakroom::seams::Clock as _;
use cloakroom::{
    Access, Calling, Key, OpenError, OpenRequest, SessionError, SessionId, Sessions, Store,
};
use tracing::{Instrument as _, Span};

use crate::address::Binder;
use crate::cookie::{self, Found, SetCookie, Template};
use crate::cookie_store::{CookieStore, Outcome, Press};
use crate::erased::{AnyManager, AnySession, Later};
use crate::error::{Error, Route};
use crate::pieces;
use crate::seal::Sealer;
use crate::settings::{Settings, SettingsError, SharedClock};
use crate::telemetry::{self, Watch};
use crate::ticket::Signer;
use crate::visit::{Arrival, Visit};

/// Turns the cookies of a request into its session, and the session into `Set-Cookie` headers: for sessions in
/// a store ([`new`](Self::new)) or sealed in the cookie ([`sealed`](SessionManager::sealed)).
///
/// Two managers with the same settings on one store share their sessions, in one process or in many, and a
/// restart loses none. A clone is another handle.
///
/// # Examples
///
/// A request in a thread; adapters for frameworks do the same in their way.
///
/// ```
/// use cloakroom::MemoryStore;
/// use cloakroom::blocking::wait;
/// use cloakroom_web::{Arrival, SessionManager, Settings};
///
/// # let secret = "01234567890123456789012345678901";
/// let manager = SessionManager::new(MemoryStore::new(), Settings::new(secret).plain_http())?;
/// # let mut cookie = String::new();
/// # for request in 1..=2 {
/// let visit = manager.begin(Arrival::new().cookie(cookie.as_bytes()).route("GET /count"));
///
/// // The handler: the session opens here, at its first use.
/// let session = wait(visit.session().open())?;
/// let count = session.update("count", |count: Option<u32>| count.unwrap_or(0) + 1)?;
///
/// // The end of the request: stored, unlocked.
/// let departure = wait(visit.finish(200));
/// departure.saved?;
/// for set_cookie in departure.cookies {
///     println!("Set-Cookie: {set_cookie}");
/// #   cookie = set_cookie.as_str().split(';').next().unwrap_or_default().to_owned();
/// }
/// # assert_eq!(count, request);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SessionManager<S: Store>(Arc<Manager<S>>);

struct Manager<S: Store> {
    settings: Settings,
    template: Arc<Template>,
    access: Access,
    keeping: Keeping<S>,
}

/// Where sessions are.
enum Keeping<S: Store> {
    /// In a store; the cookie carries a ticket.
    Stored { sessions: Sessions<S>, signer: Signer },
    /// In the cookie. `sessions` makes the sessions of one request: `S` is [`CookieStore`].
    Sealed {
        press: Arc<Press>,
        binder: Option<Binder>,
        sessions: fn(&Settings, CookieStore) -> Sessions<S>,
    },
}

/// A request for its session.
struct Ask<'a> {
    found: &'a [Found],
    client: Option<IpAddr>,
    access: Access,
    route: &'a Route,
    since: Instant,
    /// The span of the request.
    span: Span,
}

/// The session of a request, and what the browser's cookies said of it.
pub(crate) struct Opened {
    pub(crate) session: Box<dyn AnySession>,
    pub(crate) watch: Watch,
    /// The id it was opened by, and its key.
    id: SessionId,
    key: Key,
    /// Whether the browser has that id.
    presented: bool,
    /// Whether the cookie was made with a retired key.
    outdated: bool,
    version: Option<u64>,
    /// Whether its deadline moves even if it is not changed.
    pub(crate) touched: bool,
    pub(crate) destroyed: bool,
    /// Where it is sealed.
    envelope: Option<CookieStore>,
}

impl<S: Store> SessionManager<S> {
    /// Sessions in `store`.
    ///
    /// # Errors
    ///
    /// The settings make no sense.
    pub fn new(store: S, settings: Settings) -> Result<Self, SettingsError> {
        let template = settings.template()?;
        settings.check_stored()?;
        let access = settings.default_access(store.name(), store.accesses())?;
        let binder = binder(&settings);
        let Settings { secrets, namespace, .. } = &settings;
        let signer = Signer::new(secrets, namespace, &template.name, binder);
        let keeping = Keeping::Stored { sessions: sessions(&settings, store), signer };
        Ok(Self(Arc::new(Manager { settings, template: Arc::new(template), access, keeping })))
    }

    /// Begins a request: finds its session cookie, and does not touch the store.
    pub fn begin(&self, arrival: Arrival<'_>) -> Visit {
        let found = cookie::find(&arrival.cookies, &self.0.template.name);
        let client = self.0.settings.proxies.client(arrival.peer, &arrival.forwarded);
        Visit::new(Arc::<Manager<S>>::clone(&self.0), found, client, arrival.route)
    }

    /// The sessions in the store, to sweep them, or to reach them apart from requests; `None` if they are
    /// sealed in cookies.
    #[must_use]
    pub fn sessions(&self) -> Option<&Sessions<S>> {
        match &self.0.keeping {
            Keeping::Stored { sessions, .. } => Some(sessions),
            Keeping::Sealed { .. } => None,
        }
    }

    /// The name of the cookie, with its prefix.
    #[must_use]
    pub fn cookie_name(&self) -> &str {
        &self.0.template.name
    }

    /// How requests take their session where their route does not say.
    #[must_use]
    pub fn access(&self) -> Access {
        self.0.access
    }

    /// Whether the address of the client counts: sessions are bound to it, or proxies are trusted. Then a
    /// server must know from where its requests come.
    #[must_use]
    pub fn needs_peer(&self) -> bool {
        !self.0.settings.ignore_change_ip || !self.0.settings.proxies.is_empty()
    }
}

impl<S: Store> AnyManager for Manager<S> {
    fn access(&self) -> Access {
        self.access
    }

    fn accesses(&self) -> &'static [Access] {
        match &self.keeping {
            Keeping::Stored { sessions, .. } => sessions.store().accesses(),
            Keeping::Sealed { .. } => CookieStore::ACCESSES,
        }
    }

    fn renew_grace(&self) -> Duration {
        self.settings.renew_grace
    }

    fn open<'a>(
        &'a self,
        found: &'a [Found],
        client: Option<IpAddr>,
        access: Access,
        route: &'a Route,
    ) -> Later<'a, Result<Opened, Error>> {
        let (since, span) = (Instant::now(), Span::current());
        let ask = Ask { found, client, access, route, since, span };
        Box::pin(async move {
            let span = telemetry::waiting(ask.route, ask.access);
            let (opened, end) = self.open_session(&ask).instrument(span).await;
            let route = ask.route;
            match (opened, end) {
                (Err(source), _) => {
                    telemetry::not_opened(route, ask.access, ask.since, &source);
                    Err(Error::Session { route: route.clone(), source: Box::new(source) })
                }
                (Ok(_), Some(end)) if end == End::Elsewhere || !self.settings.ignore_expiry => {
                    Err(self.refusal(end, route.clone()))
                }
                (Ok(opened), _) => Ok(opened),
            }
        })
    }

    fn refusal(&self, end: End, route: Route) -> Error {
        let message = self.settings.expired_message.clone();
        match end {
            End::Over => Error::Expired { route, message },
            End::Elsewhere => Error::AddressChanged { route, message },
        }
    }

    fn cookies(&self, opened: &Opened, found: &[Found], client: Option<IpAddr>) -> Vec<SetCookie> {
        match (&self.keeping, &opened.envelope) {
            (Keeping::Stored { signer, .. }, _) => self.ticket(signer, opened, found, client),
            (Keeping::Sealed { .. }, Some(envelope)) => match envelope.outcome() {
                Outcome::Kept => Vec::new(),
                Outcome::Destroyed => self.expire_all(found),
                Outcome::Sealed(pieces) => {
                    let is_stale = |stale: &str| pieces.iter().all(|(name, _)| name != stale);
                    let stale = self.expire(found, is_stale);
                    let set = |(name, value): &(String, String)| self.template.set(name, value);
                    pieces.iter().map(set).chain(stale).collect()
                }
            },
            (Keeping::Sealed { .. }, None) => Vec::new(),
        }
    }

    fn expire_all(&self, found: &[Found]) -> Vec<SetCookie> {
        self.expire(found, |_| true)
    }
}

impl<S: Store> Manager<S> {
    /// Opens the session of these cookies, or a new one, and says what became of the one they named.
    async fn open_session(&self, ask: &Ask<'_>) -> (Result<Opened, SessionError>, Option<End>) {
        match &self.keeping {
            Keeping::Stored { sessions, signer } => self.stored(sessions, signer, ask).await,
            Keeping::Sealed { press, binder, sessions } => {
                let Ask { found, client, .. } = *ask;
                let (envelope, outdated, end) = brought(press, binder.as_ref(), found, client);
                let sessions = sessions(&self.settings, envelope.clone());
                let session = sessions.open_with(&SessionId::from(""), self.request(ask)).await;
                let opened = session.map(|session| Opened {
                    outdated,
                    envelope: Some(envelope),
                    ..Opened::new(session, SessionId::from(""), true, ask)
                });
                (opened, end)
            }
        }
    }

    /// Opens the first session that a genuine ticket names and the store holds. Nothing else is ever asked
    /// for, and an id that the store does not hold is never adopted: the request gets a fresh one.
    async fn stored(
        &self,
        sessions: &Sessions<S>,
        signer: &Signer,
        ask: &Ask<'_>,
    ) -> (Result<Opened, SessionError>, Option<End>) {
        let mut end = None;
        for Found { value, .. } in ask.found.iter().filter(|found| found.piece.is_none()) {
            let Some(ticket) = signer.verify(value, ask.client) else { continue };
            if !ticket.at_home {
                end = Some(End::Elsewhere);
                continue;
            }
            match sessions.open_with(&ticket.id, self.request(ask)).await {
                Ok(session) if session.is_new() => end = Some(End::Over),
                Ok(session) => {
                    let now = self.settings.clock.now();
                    let touched = session.record().is_some_and(|record| record.wants_touch(now));
                    let opened = Opened::new(session, ticket.id, true, ask);
                    return (Ok(Opened { outdated: ticket.outdated, touched, ..opened }), None);
                }
                Err(SessionError::Open(OpenError::Gone { .. })) => end = Some(End::Over),
                Err(error) => return (Err(error), None),
            }
        }
        let fresh = async {
            let id = SessionId::generate().map_err(SessionError::Entropy)?;
            let session = sessions.open_with(&id, self.request(ask)).await?;
            Ok(Opened::new(session, id, false, ask))
        };
        // Boxed, for a request that brings a session should be small.
        (Box::pin(fresh).await, end)
    }

    /// What the engine is asked.
    fn request(&self, ask: &Ask<'_>) -> OpenRequest {
        let request = OpenRequest::new(ask.access, Calling::Async).wait(self.settings.lock_wait);
        OpenRequest { label: ask.route.0.clone(), ..request }
    }

    /// The cookie for the id under which the store has the session, if the browser does not have that.
    fn ticket(
        &self,
        signer: &Signer,
        opened: &Opened,
        found: &[Found],
        client: Option<IpAddr>,
    ) -> Vec<SetCookie> {
        if opened.destroyed {
            return self.expire_all(found);
        }
        // A renewed id that was not committed is worth nothing: the one before stands.
        let renewed = *opened.session.key() != opened.key;
        let id = if renewed { opened.session.id() } else { &opened.id };
        let Some(record) = opened.session.record() else { return Vec::new() };
        let lasting = self.settings.max_age.is_some();
        let refreshed = opened.touched || opened.version != Some(record.version);
        let known = opened.presented && !renewed && !opened.outdated;
        if known && !(lasting && refreshed) {
            return Vec::new();
        }
        let ticket = signer.sign(id, client);
        let set = |ticket: String| self.template.set(&self.template.name, &ticket);
        ticket.map(set).into_iter().collect()
    }

    /// Makes the browser forget those of the cookies that it sent.
    fn expire(&self, found: &[Found], of: impl Fn(&str) -> bool) -> Vec<SetCookie> {
        let names = found.iter().map(|found| found.name(&self.template.name));
        let mut names: Vec<_> = names.filter(|name| of(name)).collect();
        names.sort_unstable();
        names.dedup();
        names.iter().map(|name| self.template.expire(name)).collect()
    }
}

impl SessionManager<CookieStore> {
    /// Sessions sealed in the cookie, without any store. See [`CookieStore`] for what that cannot do.
    ///
    /// # Errors
    ///
    /// The settings make no sense.
    pub fn sealed(settings: Settings) -> Result<Self, SettingsError> {
        let template = Arc::new(settings.template()?);
        settings.check_sealed()?;
        let access = settings.default_access(CookieStore::NAME, CookieStore::ACCESSES)?;
        let Settings { secrets, namespace, compression_level, .. } = &settings;
        let press = Press {
            sealer: Sealer::new(secrets, namespace, &template.name, *compression_level),
            template: Arc::clone(&template),
            split: settings.split,
            lifetime: settings.lifetime,
            clock: Arc::clone(&settings.clock.0),
        };
        let binder = binder(&settings);
        let keeping = Keeping::Sealed { press: Arc::new(press), binder, sessions };
        Ok(Self(Arc::new(Manager { settings, template, access, keeping })))
    }
}

impl<S: Store> Clone for SessionManager<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Store> fmt::Debug for SessionManager<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManager").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl Opened {
    fn new<S: Store>(
        session: cloakroom::Session<S>,
        id: SessionId,
        presented: bool,
        ask: &Ask<'_>,
    ) -> Self {
        let key = *session.key();
        Self {
            id,
            key,
            presented,
            outdated: false,
            version: session.record().map(|record| record.version),
            touched: false,
            destroyed: false,
            envelope: None,
            watch: Watch::opened(ask.route, ask.access, key, ask.since, &ask.span),
            session: Box::new(session),
        }
    }

    /// Commits what is not committed, and lets the session go.
    pub(crate) async fn save(&mut self) -> Result<(), SessionError> {
        let untouched = |envelope: &CookieStore| envelope.outcome() == Outcome::Kept;
        if self.outdated && self.envelope.as_ref().is_some_and(untouched) {
            self.session.touch().await?;
        }
        self.session.commit().await
    }

    /// The error of an operation on it.
    pub(crate) fn error(&mut self, route: Route, source: SessionError) -> Error {
        self.watch.failed(&source);
        match self.envelope.as_ref().and_then(CookieStore::too_large) {
            Some(source) => Error::TooLarge { route, source },
            None => Error::Session { route, source: Box::new(source) },
        }
    }
}

/// What became of the session that the cookies named, if the request gets a new one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It is over.
    Over,
    /// It belongs to another address.
    Elsewhere,
}

/// The newest session that these cookies hold, and whether a retired key sealed it.
fn brought(
    press: &Arc<Press>,
    binder: Option<&Binder>,
    found: &[Found],
    client: Option<IpAddr>,
) -> (CookieStore, bool, Option<End>) {
    let seals = pieces::join(found);
    let opened = seals.iter().filter_map(|seal| press.sealer.open(seal));
    let newest = opened.max_by_key(|(contents, _)| contents.sealed);
    let at_home = |binding: Option<[u8; 16]>| {
        binder.is_none_or(|binder| binding.is_some_and(|b| binder.is_bound(&b, client)))
    };
    let binding = binder.map(|binder| binder.bind(client));
    let store = |found| CookieStore::new(Arc::clone(press), found, binding);
    match newest {
        Some((contents, _)) if !at_home(contents.binding) => {
            (store(None), false, Some(End::Elsewhere))
        }
        Some((contents, outdated)) => {
            let store = store(Some(contents));
            let end = store.expired().then_some(End::Over);
            (store, outdated, end)
        }
        None => (store(None), false, None),
    }
}

fn binder(settings: &Settings) -> Option<Binder> {
    (!settings.ignore_change_ip).then(|| Binder::new(&settings.secrets, &settings.namespace))
}

/// The engine's sessions in `store` by these settings.
fn sessions<S: Store>(settings: &Settings, store: S) -> Sessions<S> {
    let sessions = Sessions::builder(store)
        .namespace(settings.namespace.clone())
        .lifetime(settings.lifetime)
        .on_conflict(settings.on_conflict)
        .on_corrupt(settings.on_corrupt)
        .lock_wait(settings.lock_wait)
        .clock(SharedClock(Arc::clone(&settings.clock.0)));
    match settings.initializer.clone() {
        Some(fill) => sessions.initializer(move |session| fill(session)).build(),
        None => sessions.build(),
    }
}
