//! A session that is read and not written.

use cloakroom::Key;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::session::Session;

/// The session of a request, taken to be read: it has no method that changes a value.
///
/// # Examples
///
/// ```
/// # use cloakroom::MemoryStore;
/// # use cloakroom::blocking::wait;
/// # use cloakroom_web::{Arrival, SessionManager, Settings};
/// # let secret = "01234567890123456789012345678901";
/// # let manager = SessionManager::new(MemoryStore::new(), Settings::new(secret))?;
/// # let visit = manager.begin(Arrival::new());
/// let session = wait(visit.session().open_snapshot())?;
/// let user: Option<String> = session.get("user")?;
/// # assert!(user.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ReadSession(pub(crate) Session);

impl ReadSession {
    /// The value of this name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// What is stored is no `T`.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        self.0.get(name)
    }

    /// The names of all values, in order.
    ///
    /// # Errors
    ///
    /// See [`Session::keys`].
    pub fn keys(&self) -> Result<Vec<String>, Error> {
        self.0.keys()
    }

    /// Whether the store does not hold this session.
    ///
    /// # Errors
    ///
    /// See [`Session::keys`].
    pub fn is_new(&self) -> Result<bool, Error> {
        self.0.is_new()
    }

    /// The name of the session in the store and in logs. It opens nothing.
    ///
    /// # Errors
    ///
    /// See [`Session::keys`].
    pub fn key(&self) -> Result<Key, Error> {
        self.0.key()
    }

    /// Lets the session go now: who waits to write it goes on. What was read stays readable.
    ///
    /// # Errors
    ///
    /// See [`Session::release`].
    pub async fn release(&self) -> Result<(), Error> {
        self.0.release().await
    }

    /// Sets the last access to now, whatever part of the idle time has passed.
    ///
    /// # Errors
    ///
    /// See [`Session::touch`].
    pub async fn touch(&self) -> Result<(), Error> {
        self.0.touch().await
    }
}
