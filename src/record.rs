//! What a store keeps of a session beside its payload.

use std::time::Duration;

use crate::seams::Timestamp;

/// What a store keeps of a session beside its payload.
///
/// (birth, version) names one committed state of one life of a session: it is the condition of
/// every optimistic commit. A session that was destroyed and created again has another birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// A random number given when the session is created.
    pub birth: u64,
    /// 1 for the commit that created the session, one more for each that followed.
    pub version: u64,
    /// When the session was created. Stays over a renew.
    pub created: Timestamp,
    /// When the session was last committed or touched.
    pub accessed: Timestamp,
    /// How long the session lives.
    pub lifetime: Lifetime,
    /// Set when the id was renewed with a grace: until then the old id still serves what was
    /// committed before, read-only.
    pub retired_until: Option<Timestamp>,
}

impl Record {
    /// That of a new session.
    pub(crate) const fn newborn(birth: u64, now: Timestamp, lifetime: Lifetime) -> Self {
        Self { birth, version: 1, created: now, accessed: now, lifetime, retired_until: None }
    }

    /// When the session ends unless it is used before; `None`: never.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let mut deadline = self.retired_until;
        let mut earlier = |limit: Option<Timestamp>| {
            deadline = match (deadline, limit) {
                (Some(deadline), Some(limit)) => Some(deadline.min(limit)),
                (deadline, limit) => deadline.or(limit),
            };
        };
        earlier(self.lifetime.idle.map(|idle| self.accessed.plus(idle)));
        earlier(self.lifetime.absolute.map(|absolute| self.created.plus(absolute)));
        deadline
    }

    /// Whether the session is over at `now`.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }

    /// Whether a tenth of the idle time has passed since the last access, so that a touch is
    /// worth its write; or whether that was stamped by a clock that was ahead.
    #[must_use]
    pub fn wants_touch(&self, now: Timestamp) -> bool {
        let due = |idle: Duration| self.accessed.plus(idle / 10) <= now || self.accessed > now;
        self.retired_until.is_none() && self.lifetime.idle.is_some_and(due)
    }
}

/// How long a session lives. It is stored with each record and checked on every load, so a
/// session never outlives it because no sweeper ran.
///
/// # Examples
///
/// ```
/// use cloakroom::Lifetime;
/// use std::time::Duration;
///
/// let lifetime = Lifetime::default().absolute(Duration::from_secs(30 * 86_400));
/// assert_eq!(lifetime.idle, Some(Duration::from_secs(86_400)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Ends a session that was not used for so long; `None`: never. Kept in milliseconds.
    pub idle: Option<Duration>,
    /// Ends a session so long after its creation, used or not; `None`: never. In milliseconds.
    pub absolute: Option<Duration>,
}

impl Default for Lifetime {
    /// 86,400 seconds idle, no absolute limit.
    fn default() -> Self {
        Self { idle: Some(crate::limits::IDLE), absolute: None }
    }
}

impl Lifetime {
    /// The same with this idle limit.
    #[must_use]
    pub const fn idle(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// The same with this absolute limit.
    #[must_use]
    pub const fn absolute(mut self, absolute: Duration) -> Self {
        self.absolute = Some(absolute);
        self
    }
}
