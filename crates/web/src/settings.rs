//! The settings of a manager, by web.py's names where it has one.

mod check;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::seams::{Clock, OsClock, Timestamp};
use cloakroom::{Access, Initial, Lifetime, OnConflict, OnCorrupt, SessionError};
use thiserror::Error;

use crate::address::Proxies;
use crate::cookie::SameSite;
use crate::keys::Secrets;
use crate::limits;

/// The settings of a [`SessionManager`](crate::SessionManager). They are checked as a whole when it is made: no
/// combination fails at a request.
///
/// Everything but the secret key has a safe default. What each protects from stands with it; the
/// names of web.py and web2py are listed in `docs/web/settings.md`.
///
/// # Examples
///
/// ```
/// use cloakroom_web::{SameSite, Settings};
/// use std::time::Duration;
///
/// # let secret = "01234567890123456789012345678901";
/// let settings = Settings::new(secret)
///     .cookie_name("shop")
///     .timeout(Duration::from_secs(3_600))
///     .absolute_timeout(Duration::from_secs(30 * 86_400))
///     .same_site(SameSite::Strict);
/// ```
#[derive(Clone)]
#[must_use]
pub struct Settings {
    pub(crate) secrets: Secrets,
    pub(crate) cookie_name: String,
    pub(crate) host_prefix: bool,
    pub(crate) cookie_domain: Option<String>,
    pub(crate) cookie_path: String,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    pub(crate) same_site: SameSite,
    pub(crate) max_age: Option<Duration>,
    pub(crate) lifetime: Lifetime,
    pub(crate) ignore_expiry: bool,
    pub(crate) ignore_change_ip: bool,
    pub(crate) expired_message: Cow<'static, str>,
    pub(crate) proxies: Proxies,
    wrong_proxy: Option<String>,
    pub(crate) access: Option<Access>,
    pub(crate) lock_wait: Duration,
    pub(crate) on_conflict: OnConflict,
    pub(crate) on_corrupt: OnCorrupt,
    pub(crate) renew_grace: Duration,
    pub(crate) namespace: String,
    pub(crate) initializer: Option<Initializer>,
    pub(crate) compression_level: Option<u8>,
    pub(crate) split: bool,
    pub(crate) clock: SharedClock,
}

pub(crate) type Initializer = Arc<dyn Fn(&mut Initial) -> Result<(), SessionError> + Send + Sync>;

impl Settings {
    /// The default settings with this secret key: 32 random bytes at least, as `openssl rand -base64 48`
    /// prints them. Keep it out of the source; all processes of the application have the same, or they do
    /// not accept each other's cookies.
    ///
    /// It signs session ids, so that a made-up cookie costs a hash and never reaches the store, or
    /// seals sessions. (web.py mixes its `secret_key` into the ids and signs nothing.)
    pub fn new(secret_key: impl Into<Vec<u8>>) -> Self {
        Self {
            secrets: Secrets { keys: vec![secret_key.into().into()] },
            cookie_name: "session_id".to_owned(),
            host_prefix: true,
            cookie_domain: None,
            cookie_path: "/".to_owned(),
            secure: true,
            http_only: true,
            same_site: SameSite::Lax,
            max_age: None,
            lifetime: Lifetime::default(),
            ignore_expiry: true,
            ignore_change_ip: true,
            expired_message: Cow::Borrowed("Session expired"),
            proxies: Proxies::default(),
            wrong_proxy: None,
            access: None,
            lock_wait: cloakroom::limits::LOCK_WAIT,
            on_conflict: OnConflict::default(),
            on_corrupt: OnCorrupt::StartFresh,
            renew_grace: Duration::ZERO,
            namespace: String::new(),
            initializer: None,
            compression_level: None,
            split: false,
            clock: SharedClock(Arc::new(OsClock)),
        }
    }

    /// A secret key that was the first one before. Cookies made with it are accepted, and made anew with the
    /// first when their session is used. Leave it in as long as sessions live, then drop it.
    pub fn retired_key(mut self, secret_key: impl Into<Vec<u8>>) -> Self {
        self.secrets.keys.push(secret_key.into().into());
        self
    }

    /// The name of the cookie; `session_id` unless told otherwise. What the cookie says holds for
    /// this name only.
    pub fn cookie_name(mut self, name: impl Into<String>) -> Self {
        self.cookie_name = name.into();
        self
    }

    /// Whether the name gets the prefix `__Host-`; it does unless told otherwise.
    ///
    /// With it browsers take the cookie only from this very host, over HTTPS: another subdomain, or
    /// somebody on an unencrypted line, cannot plant a session of their own. It needs `secure`, the path
    /// `/`, and no domain.
    pub const fn host_prefix(mut self, prefix: bool) -> Self {
        self.host_prefix = prefix;
        self
    }

    /// Sends the cookie to this domain and all its subdomains; to this host only unless told otherwise,
    /// so that no other subdomain sees it. Needs `host_prefix(false)`.
    pub fn cookie_domain(mut self, domain: impl Into<String>) -> Self {
        self.cookie_domain = Some(domain.into());
        self
    }

    /// Sends the cookie with requests below this path; `/` unless told otherwise. No protection: pages
    /// of one host reach each other. Another path needs `host_prefix(false)`.
    pub fn cookie_path(mut self, path: impl Into<String>) -> Self {
        self.cookie_path = path.into();
        self
    }

    /// Whether browsers send the cookie over HTTPS only; they do unless told otherwise, so that nobody
    /// on the way reads it.
    pub const fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// For plain HTTP, as in development: neither `secure` nor `host_prefix`. Whoever is on the way reads
    /// and plants cookies.
    pub const fn plain_http(self) -> Self {
        self.secure(false).host_prefix(false)
    }

    /// Whether scripts of the page are kept from the cookie; they are unless told otherwise, so that
    /// an injected one cannot carry it away.
    pub const fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// When browsers send the cookie with requests that other sites caused; [`SameSite::Lax`] unless told
    /// otherwise, which protects from most forged requests.
    pub const fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Keeps the cookie for so long after the browser is closed (web2py's `cookie_expires`); it goes with
    /// the browser's session unless told otherwise. It is given out anew with each commit or touch.
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Ends a session that was not used for so long; 86,400 s unless told otherwise. It is checked at each
    /// use, so a stolen or forgotten cookie is good for no longer.
    pub const fn timeout(mut self, idle: Duration) -> Self {
        self.lifetime.idle = Some(idle);
        self
    }

    /// Ends a session so long after its creation, used or not; never unless told otherwise. Whoever
    /// stole a cookie and keeps using it is out then.
    pub const fn absolute_timeout(mut self, age: Duration) -> Self {
        self.lifetime.absolute = Some(age);
        self
    }

    /// Whether a request whose session is over gets a new one; it does unless told otherwise. Else it
    /// is told so once, by [`Error::Expired`](crate::Error::Expired) with the `expired_message`, and the
    /// cookie is removed.
    pub const fn ignore_expiry(mut self, ignore: bool) -> Self {
        self.ignore_expiry = ignore;
        self
    }

    /// Whether a session may be used from any client address; it may unless told otherwise, for
    /// addresses of honest clients change. Else the cookie is good for the address (of IPv6 the first 64 bits) it
    /// was given to, and from another one the answer is [`Error::AddressChanged`](crate::Error::AddressChanged),
    /// before any store is asked; the session itself goes on. Cookies given out before this was set are
    /// not accepted.
    pub const fn ignore_change_ip(mut self, ignore: bool) -> Self {
        self.ignore_change_ip = ignore;
        self
    }

    /// What a request is told whose session is over or belongs to another address.
    pub fn expired_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.expired_message = message.into();
        self
    }

    /// An address or a network (`10.0.0.0/8`) of proxies of yours. Only they are believed when they say for
    /// whom they forward a request (`X-Forwarded-For`); nobody is unless told otherwise, for every client
    /// can send that header.
    pub fn trusted_proxy(mut self, network: impl AsRef<str>) -> Self {
        let network = network.as_ref();
        if !self.proxies.add(network) {
            self.wrong_proxy = Some(network.to_owned());
        }
        self
    }

    /// How requests take their session where their route does not say; exclusively unless told otherwise, or
    /// optimistically where the store has no locks.
    pub const fn access(mut self, access: Access) -> Self {
        self.access = Some(access);
        self
    }

    /// How long a request waits for its session; 30 s unless told otherwise.
    pub const fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// The answer of optimistic sessions to a race; the second is told unless told otherwise.
    pub const fn on_conflict(mut self, answer: OnConflict) -> Self {
        self.on_conflict = answer;
        self
    }

    /// What a request whose session is damaged in the store gets; a new one unless told otherwise, once the damaged
    /// one is in the quarantine.
    pub const fn on_corrupt(mut self, answer: OnCorrupt) -> Self {
        self.on_corrupt = answer;
        self
    }

    /// How long the old id of a renewed session can still be read, for requests that were on
    /// their way; not at all unless told otherwise, 10 minutes at most. As long, whoever knew the old id reads on.
    pub const fn renew_grace(mut self, grace: Duration) -> Self {
        self.renew_grace = grace;
        self
    }

    /// Keeps the sessions of several applications in one store apart; those that name the same one
    /// (and key, and cookie) share their sessions (web2py's `masterapp`).
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Fills each new session before the request sees it. Alone this is not stored.
    pub fn initializer(
        mut self,
        fill: impl Fn(&mut Initial) -> Result<(), SessionError> + Send + Sync + 'static,
    ) -> Self {
        self.initializer = Some(Arc::new(fill));
        self
    }

    /// Compresses sealed sessions, by 1 (quick) to 10 (small); not unless told otherwise. The length of the
    /// cookie then tells something of what is in it: leave it out where others put values of their choice
    /// beside secrets.
    pub const fn compression_level(mut self, level: u8) -> Self {
        self.compression_level = Some(level);
        self
    }

    /// Whether a sealed session that is too long for one cookie is split over several, 8,192 bytes in
    /// all; it is an error unless told otherwise, for the browser sends all of it with every request.
    pub const fn split(mut self, split: bool) -> Self {
        self.split = split;
        self
    }

    /// Another clock; give the store the same.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = SharedClock(Arc::new(clock));
        self
    }
}

impl fmt::Debug for Settings {
    /// Without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("keys", &self.secrets.keys.len())
            .field("cookie_name", &self.cookie_name)
            .field("host_prefix", &self.host_prefix)
            .field("cookie_domain", &self.cookie_domain)
            .field("cookie_path", &self.cookie_path)
            .field("secure", &self.secure)
            .field("http_only", &self.http_only)
            .field("same_site", &self.same_site)
            .field("max_age", &self.max_age)
            .field("lifetime", &self.lifetime)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// Settings that make no sense. No manager was made.
#[derive(Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A secret key is too short, or too simple to be random.
    #[error(
        "a secret key has {bytes} bytes, {different} of them different; take {} random bytes at \
         least, as `openssl rand -base64 48` prints them",
        limits::SECRET_KEY_MIN
    )]
    SecretKey {
        /// Its bytes.
        bytes: usize,
        /// How many of them differ.
        different: usize,
    },
    /// Something cannot stand in a cookie.
    #[error("{setting} {value:?} {reason}")]
    Cookie {
        /// Which setting.
        setting: &'static str,
        /// What it is.
        value: String,
        /// What it must be.
        reason: &'static str,
    },
    /// A name with `__Host-` or `__Secure-`, whose conditions are not met: browsers would refuse the cookie.
    #[error("browsers take a cookie named `{name}` only {condition}; {remedy}")]
    Prefix {
        /// The name of the cookie.
        name: String,
        /// The condition.
        condition: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// SameSite=None without Secure: browsers would refuse the cookie.
    #[error("browsers take a cookie with SameSite=None only if it is Secure; leave `secure` on")]
    InsecureNone,
    /// A number is out of its bounds.
    #[error("{setting} must be {must}")]
    Range {
        /// Which setting.
        setting: &'static str,
        /// What it must be.
        must: &'static str,
    },
    /// A proxy is neither an address nor a network.
    #[error("{0:?} is no address and no network; write `10.0.0.1` or `10.0.0.0/8`")]
    Proxy(String),
    /// The store does not offer the default access.
    #[error(transparent)]
    Access(#[from] cloakroom::Unsupported),
    /// A setting of sealed cookies, and sessions in a store.
    #[error("`{0}` is for sessions sealed in the cookie; a store on the server needs none of it")]
    SealedOnly(&'static str),
    /// A setting of sessions in a store, and sealed cookies.
    #[error("`{0}` is for sessions in a store; one sealed in the cookie cannot do that")]
    StoredOnly(&'static str),
}

impl fmt::Debug for SettingsError {
    /// As `Display`: it is what a program shows whose `main` returns the error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A clock for the engine that several share.
#[derive(Clone)]
pub(crate) struct SharedClock(pub(crate) Arc<dyn Clock>);

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}
