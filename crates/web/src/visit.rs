//! A request from its cookies to its `Set-Cookie` headers, and the one hold that all its parts share.

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use async_lock::MutexGuard;
use cloakroom::{Access, Label, SessionError};
use parking_lot::{Mutex, ReentrantMutex};

use crate::cookie::{Found, SetCookie};
use crate::erased::AnyManager;
use crate::error::{Error, Route};
use crate::manager::{End, Opened};
use crate::session::LazySession;

/// What a request brings.
///
/// # Examples
///
/// ```
/// use cloakroom_web::Arrival;
///
/// let arrival = Arrival::new()
///     .cookie(b"session_id=..; theme=dark")
///     .peer("192.0.2.1".parse().ok())
///     .route("GET /cart");
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Arrival<'a> {
    pub(crate) cookies: Vec<&'a [u8]>,
    pub(crate) forwarded: Vec<&'a [u8]>,
    pub(crate) peer: Option<IpAddr>,
    pub(crate) route: Route,
}

impl<'a> Arrival<'a> {
    /// A request with nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A `Cookie` header of it. There may be several.
    pub fn cookie(mut self, header: &'a [u8]) -> Self {
        self.cookies.push(header);
        self
    }

    /// All its `Cookie` headers.
    pub fn cookies(mut self, headers: impl IntoIterator<Item = &'a [u8]>) -> Self {
        self.cookies.extend(headers);
        self
    }

    /// Its `X-Forwarded-For` headers, in their order. They count only behind a trusted proxy.
    pub fn forwarded_for(mut self, headers: impl IntoIterator<Item = &'a [u8]>) -> Self {
        self.forwarded.extend(headers);
        self
    }

    /// The address at the other end of the connection; `None` for a local socket.
    pub const fn peer(mut self, peer: Option<IpAddr>) -> Self {
        self.peer = peer;
        self
    }

    /// What to call the request in errors, those of waiting requests included.
    pub fn route(mut self, route: impl Into<Label>) -> Self {
        self.route = Route(Some(route.into()));
        self
    }
}

/// A request at work. Its parts get at the session by [`session`](Self::session); the end is
/// [`finish`](Self::finish).
///
/// Dropped without one, by a panic or because the client went away, the session stays as it was stored and its
/// lock is free at once, whoever still has a handle.
#[must_use = "dropping a visit saves nothing"]
pub struct Visit(Arc<Request>);

impl Visit {
    pub(crate) fn new(
        manager: Arc<dyn AnyManager>,
        found: Vec<Found>,
        client: Option<IpAddr>,
        route: Route,
    ) -> Self {
        let access = manager.access();
        let state = State { slot: Slot::Closed, access, alone: false, asked: false };
        Self(Arc::new(Request {
            manager,
            found,
            client,
            route: Mutex::new(route),
            turn: async_lock::Mutex::new(()),
            state: ReentrantMutex::new(RefCell::new(state)),
        }))
    }

    /// A handle for the parts of the request. There may be any number; they share one hold.
    #[must_use]
    pub fn session(&self) -> LazySession {
        LazySession(Arc::clone(&self.0))
    }

    /// Whether the session was asked for. If so, the response is for this browser alone, and no cache may show it to
    /// others; if not, the end of the request does nothing, and need not be awaited.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.0.with(|state| state.asked).unwrap_or(true)
    }

    /// Ends the request with the status of its response, before the body goes out: commits the session if it
    /// changed, else touches it if a tenth of its idle time has passed, and lets it go. A response of
    /// class 5xx saves nothing. A session that was never opened costs nothing.
    ///
    /// # Cancel safety
    ///
    /// Dropped in the middle, the commit happens or not, as a whole, and the lock is free.
    pub async fn finish(self, status: u16) -> Departure {
        let request = &*self.0;
        let Request { manager, found, client, .. } = request;
        let route = request.route();
        match request.end() {
            Some(Slot::Open(mut opened)) => {
                let saved = if status < 500 { opened.save().await } else { Ok(()) };
                let saved = saved.map_err(|source| opened.error(route, source));
                let cookies = manager.cookies(&opened, found, *client);
                Departure { cookies, saved }
            }
            Some(Slot::Refused(_)) => {
                Departure { cookies: manager.expire_all(found), saved: Ok(()) }
            }
            Some(Slot::Away) | None => {
                Departure { cookies: Vec::new(), saved: Err(Error::Busy { route }) }
            }
            // The commit may have given the session an id that the browser was not told: no answer may hide that.
            Some(Slot::Interrupted) if status < 500 => {
                Departure { cookies: Vec::new(), saved: Err(Error::Interrupted { route }) }
            }
            Some(Slot::Closed | Slot::Interrupted | Slot::Over) => {
                Departure { cookies: Vec::new(), saved: Ok(()) }
            }
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        drop(self.0.end());
    }
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit").field("route", &self.0.route()).finish_non_exhaustive()
    }
}

/// The end of a request.
#[derive(Debug)]
#[must_use]
pub struct Departure {
    /// The values of the response's `Set-Cookie` headers, also if it could not be saved: a commit before the end
    /// may have given the session another id.
    pub cookies: Vec<SetCookie>,
    /// Whether the session was saved, if there was something to save. If not, the response should be that of the
    /// [`Error`].
    pub saved: Result<(), Error>,
}

/// What all handles of a request share.
pub(crate) struct Request {
    manager: Arc<dyn AnyManager>,
    found: Vec<Found>,
    client: Option<IpAddr>,
    route: Mutex<Route>,
    /// Held by whoever opens the session or has taken it out of its slot.
    turn: async_lock::Mutex<()>,
    /// Never held over an await. Reentrant, so that a handler's code that is called with the session in hands
    /// and reaches for it again is told so instead of waiting for itself.
    state: ReentrantMutex<RefCell<State>>,
}

struct State {
    slot: Slot,
    access: Access,
    /// Whether who asks for it optimistically gets it exclusively, after too many lost races.
    alone: bool,
    /// Whether somebody asked for the session, successfully or not.
    asked: bool,
}

/// Where the session of a request is.
enum Slot {
    /// Not opened yet.
    Closed,
    /// It was not opened, because it is over or belongs to another address.
    Refused(End),
    Open(Box<Opened>),
    /// In the hands of a commit, release, or the like.
    Away,
    /// Such a one was cancelled.
    Interrupted,
    /// The request is over.
    Over,
}

impl Request {
    pub(crate) fn manager(&self) -> &dyn AnyManager {
        &*self.manager
    }

    pub(crate) const fn client(&self) -> Option<IpAddr> {
        self.client
    }

    pub(crate) fn route(&self) -> Route {
        self.route.lock().clone()
    }

    pub(crate) fn name_route(&self, route: impl FnOnce() -> Label) {
        self.route.lock().0.get_or_insert_with(route);
    }

    pub(crate) fn set_access(&self, access: Access) {
        let _ = self.with(|state| state.access = access);
    }

    pub(crate) fn take_alone(&self) {
        let _ = self.with(|state| state.alone = true);
    }

    /// Opens the session if it is not open yet; the same one for all who ask.
    pub(crate) async fn open(&self, asked: Option<Access>) -> Result<(), Error> {
        let turn = self.turn.lock().await;
        let (asked, open) = self.with(|state| {
            state.asked = true;
            let asked = match asked.unwrap_or(state.access) {
                Access::Optimistic if state.alone => Access::Exclusive,
                asked => asked,
            };
            let open = match &state.slot {
                Slot::Closed => Ok(None),
                Slot::Open(opened) => Ok(Some(opened.session.access())),
                slot => Err(self.refuse(slot)),
            };
            (asked, open)
        })?;
        match open? {
            Some(open) if serves(open, asked) => return Ok(()),
            Some(open) => return Err(Error::Access { route: self.route(), open, asked }),
            None => {}
        }
        let route = self.route();
        let opened = self.manager.open(&self.found, self.client, asked, &route).await;
        let (slot, result) = match opened {
            Ok(opened) => (Slot::Open(Box::new(opened)), Ok(())),
            Err(error @ Error::Expired { .. }) => (Slot::Refused(End::Over), Err(error)),
            Err(error @ Error::AddressChanged { .. }) => {
                (Slot::Refused(End::Elsewhere), Err(error))
            }
            Err(error) => return Err(error),
        };
        let unused = self.put(slot)?;
        drop(turn);
        match unused {
            // The request ended while its session was opened; that is let go here.
            Some(_) => Err(Error::RequestOver { route: self.route() }),
            None => result,
        }
    }

    /// Does something with the open session that takes no time.
    pub(crate) fn with_open<T>(
        &self,
        work: impl FnOnce(&mut Opened) -> Result<T, SessionError>,
    ) -> Result<T, Error> {
        self.with(|state| match &mut state.slot {
            Slot::Open(opened) => work(opened).map_err(|source| opened.error(self.route(), source)),
            slot => Err(self.refuse(slot)),
        })?
    }

    pub(crate) fn is_open(&self) -> Result<bool, Error> {
        self.with(|state| matches!(state.slot, Slot::Open(_)))
    }

    /// Lets an open session go, so that it can be opened once more.
    pub(crate) fn close(&self) -> Result<(), Error> {
        let open = self.with(|state| match &state.slot {
            Slot::Open(_) => Ok(Some(std::mem::replace(&mut state.slot, Slot::Closed))),
            Slot::Closed | Slot::Refused(_) | Slot::Interrupted => Ok(None),
            slot => Err(self.refuse(slot)),
        })?;
        // Dropped here, outside of the slot's lock.
        open.map(drop)
    }

    /// Takes the open session out of its slot, for something that takes time.
    pub(crate) async fn take(&self) -> Result<(Box<Opened>, Away<'_>), Error> {
        let turn = self.turn.lock().await;
        let opened =
            self.with(|state| match std::mem::replace(&mut state.slot, Slot::Away) {
                Slot::Open(opened) => Ok(opened),
                slot => {
                    let error = self.refuse(&slot);
                    state.slot = slot;
                    Err(error)
                }
            })??;
        Ok((opened, Away { request: self, _turn: turn }))
    }

    /// Puts a session into the slot, unless the request is over: then it is given back.
    fn put(&self, slot: Slot) -> Result<Option<Slot>, Error> {
        self.with(|state| {
            if matches!(state.slot, Slot::Over) {
                return Some(slot);
            }
            state.slot = slot;
            None
        })
    }

    /// Ends the request; `None` if its session is in use on this very thread.
    fn end(&self) -> Option<Slot> {
        self.with(|state| std::mem::replace(&mut state.slot, Slot::Over)).ok()
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> Result<T, Error> {
        let state = self.state.lock();
        match state.try_borrow_mut() {
            Ok(mut state) => Ok(work(&mut state)),
            Err(_) => Err(Error::Busy { route: self.route() }),
        }
    }

    /// Why there is no open session in this slot.
    fn refuse(&self, slot: &Slot) -> Error {
        let route = self.route();
        match slot {
            Slot::Refused(end) => self.manager.refusal(*end, route),
            Slot::Interrupted => Error::Interrupted { route },
            Slot::Over => Error::RequestOver { route },
            Slot::Closed | Slot::Open(_) | Slot::Away => Error::Busy { route },
        }
    }
}

/// Whether a session that is open this way does for a part of the request that asks for that one.
fn serves(open: Access, asked: Access) -> bool {
    open == asked || open == Access::Exclusive || asked == Access::Snapshot
}

/// The duty to bring the session back into its slot. Dropped without that, by a cancelled future, the slot says
/// that the session was let go.
pub(crate) struct Away<'a> {
    request: &'a Request,
    _turn: MutexGuard<'a, ()>,
}

impl Away<'_> {
    /// Brings the session back and passes on what came of it.
    pub(crate) fn back(
        self,
        mut opened: Box<Opened>,
        done: Result<(), SessionError>,
    ) -> Result<(), Error> {
        let done = done.map_err(|source| opened.error(self.request.route(), source));
        // Given back if the request is over: it is let go here.
        drop(self.request.put(Slot::Open(opened))?);
        done
    }
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        let _ = self.request.with(|state| {
            if matches!(state.slot, Slot::Away) {
                state.slot = Slot::Interrupted;
            }
        });
    }
}
