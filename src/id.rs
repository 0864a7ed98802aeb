//! The ticket a browser carries, and the key that a store knows it by.

use std::fmt;

use crate::seams::Entropy;

/// The session id: the ticket in the cookie.
///
/// The engine makes ids of 256 random bits, written as 64 hex digits; it accepts any bytes that
/// a caller passes, for only a hash of them, the [`Key`], ever reaches a store. Whether an id
/// that no store holds may be adopted is the caller's decision: a web layer never does, it gives
/// out a fresh one.
///
/// `Debug` shows the length, never the id: ids are secrets. Comparison takes the same
/// time wherever two ids differ.
///
/// # Examples
///
/// ```
/// use cloakroom::SessionId;
///
/// let id = SessionId::generate()?;
/// let cookie = id.to_str().unwrap_or_default();
/// assert_eq!(cookie.len(), 64);
/// assert_eq!(SessionId::from(cookie), id);
/// assert!(!format!("{id:?}").contains(cookie));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct SessionId(Box<[u8]>);

impl SessionId {
    /// A fresh id from the operating system's random numbers.
    ///
    /// # Errors
    ///
    /// The operating system gave no random numbers.
    pub fn generate() -> std::io::Result<Self> {
        Self::generate_from(&crate::seams::OsEntropy)
    }

    pub(crate) fn generate_from(entropy: &dyn Entropy) -> std::io::Result<Self> {
        let mut bits = [0_u8; 32];
        entropy.fill(&mut bits)?;
        Ok(Self::from(hex(&bits).as_slice()))
    }

    /// The bytes that go into the cookie. Keep them out of logs.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text that goes into the cookie, if it is text; generated ids always are.
    #[must_use]
    pub fn to_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl From<&str> for SessionId {
    fn from(id: &str) -> Self {
        Self(id.as_bytes().into())
    }
}

impl From<String> for SessionId {
    fn from(id: String) -> Self {
        Self(id.into_bytes().into())
    }
}

impl From<&[u8]> for SessionId {
    fn from(id: &[u8]) -> Self {
        Self(id.into())
    }
}

impl PartialEq for SessionId {
    fn eq(&self, other: &Self) -> bool {
        // `blake3::Hash` compares in constant time.
        blake3::hash(&self.0) == blake3::hash(&other.0)
    }
}

impl Eq for SessionId {}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId(of {} bytes)", self.0.len())
    }
}

/// The name of a session inside a store: BLAKE3 of namespace and id.
///
/// Only keys reach disk, logs and error texts, so whoever reads a backup or a log can open no
/// session with it.
///
/// # Examples
///
/// ```
/// use cloakroom::{Key, SessionId};
///
/// let id = SessionId::from("../../etc/passwd");
/// let key = Key::new("shop", &id);
/// assert_eq!(key.to_string().len(), 64);
/// assert_ne!(key, Key::new("admin", &id));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of `id` in `namespace`. Two namespaces never share a session.
    ///
    /// It is the BLAKE3 hash of the id, keyed with that of the namespace if there is one.
    #[must_use]
    pub fn new(namespace: &str, id: &SessionId) -> Self {
        let id = id.as_bytes();
        Self(
            *match namespace {
                "" => blake3::hash(id),
                _ => blake3::keyed_hash(blake3::hash(namespace.as_bytes()).as_bytes(), id),
            }
            .as_bytes(),
        )
    }

    /// The key with these bytes, as a store reads it back from a name.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key that this text of 64 lower-case hex digits names.
    ///
    /// # Examples
    ///
    /// ```
    /// use cloakroom::{Key, SessionId};
    ///
    /// let key = Key::new("", &SessionId::from("ticket"));
    /// assert_eq!(Key::parse(&key.to_string()), Some(key));
    /// assert_eq!(Key::parse("not a key"), None);
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
        let mut bytes = [0_u8; 32];
        // A walk parses every name of a store, and random digits are hard to predict: no branches.
        let mut valid = true;
        for (byte, [high, low]) in bytes.iter_mut().zip(digits.as_chunks().0) {
            let ((high, is_high), (low, is_low)) = (nibble(*high), nibble(*low));
            *byte = high << 4 | low;
            valid &= is_high & is_low;
        }
        valid.then_some(Self(bytes))
    }

    /// Eight of the key's bytes as a number: uniformly distributed, for shards and seeds.
    pub(crate) const fn word(&self, index: usize) -> u64 {
        let [a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7, ..] = self.0;
        u64::from_le_bytes(match index {
            0 => [a0, a1, a2, a3, a4, a5, a6, a7],
            _ => [b0, b1, b2, b3, b4, b5, b6, b7],
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&hex(&self.0)).unwrap_or_default())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// Lower-case hex digits of 32 bytes.
pub(crate) fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    const fn digit(nibble: u8) -> u8 {
        if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
    }
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    text
}

/// What this digit stands for, and whether it is a lower-case hex digit at all.
const fn nibble(digit: u8) -> (u8, bool) {
    let (number, letter) = (digit.wrapping_sub(b'0'), digit.wrapping_sub(b'a'));
    let value = if number < 10 { number } else { letter.wrapping_add(10) & 15 };
    (value, (number < 10) | (letter < 6))
}
