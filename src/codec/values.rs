//! Encoded values by name, in few allocations: a request reads one or two of them.

use std::fmt;
use std::ops::Range;

use serde::de::DeserializeOwned;

use crate::error::{PayloadError, ValueError};

/// The values of a session by name, without a session: for tools that show what a payload holds.
///
/// They are in the order of the names, so that equal maps have equal payloads.
///
/// # Examples
///
/// ```
/// use cloakroom::blocking::{Sessions, wait};
/// use cloakroom::{Access, Calling, Inventory, MemoryStore, SessionId, Values};
///
/// let store = MemoryStore::new();
/// let sessions = Sessions::new(store.clone());
/// let mut session = sessions.start()?;
/// session.insert("visits", 1)?;
/// session.commit()?;
///
/// if let Some(look) = wait(store.look(session.key(), Calling::Blocking))? {
///     let values = Values::decode(&look.payload)?;
///     assert!(values.names().eq(["visits"]));
///     assert_eq!(values.get::<u32>("visits")?, Some(1));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
// Names and values lie one after the other in `bytes`. A value that is replaced or removed stays
// there, unseen, until the request ends.
#[derive(Clone, Default)]
pub struct Values {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    name: Range<usize>,
    value: Range<usize>,
}

impl Values {
    /// The values of a payload.
    ///
    /// # Errors
    ///
    /// It is not in a format this version reads.
    pub fn decode(payload: &[u8]) -> Result<Self, PayloadError> {
        super::decode(payload).map_err(|reason| PayloadError { reason })
    }

    /// The value of this name; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`ValueError::WrongType`]: what is stored is no `T`.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ValueError> {
        self.encoded(name).map(|bytes| super::from_value(name, bytes)).transpose()
    }

    /// The names of all values, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        // Every name was added as a string.
        self.iter().map(|(name, _)| std::str::from_utf8(name).unwrap_or_default())
    }

    pub(super) fn with_capacity(entries: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), entries: Vec::with_capacity(entries) }
    }

    /// Adds a value whose name comes after all others; says whether it does.
    pub(super) fn push(&mut self, name: &str, value: &[u8]) -> bool {
        if self.entries.last().is_some_and(|last| self.name(last) >= name.as_bytes()) {
            return false;
        }
        let entry = Entry { name: self.add(name.as_bytes()), value: self.add(value) };
        self.entries.push(entry);
        true
    }

    pub(crate) fn encoded(&self, name: &str) -> Option<&[u8]> {
        self.find(name).ok().and_then(|index| self.entries.get(index)).map(|e| self.value(e))
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    /// Sets a value; says whether that changed anything.
    pub(crate) fn insert(&mut self, name: &str, value: &[u8]) -> bool {
        match self.find(name) {
            Ok(_) if self.encoded(name) == Some(value) => false,
            Ok(index) => {
                let value = self.add(value);
                if let Some(entry) = self.entries.get_mut(index) {
                    entry.value = value;
                }
                true
            }
            Err(index) => {
                let entry = Entry { name: self.add(name.as_bytes()), value: self.add(value) };
                self.entries.insert(index, entry);
                true
            }
        }
    }

    /// Removes a value; says whether there was one.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        self.find(name).map(|index| self.entries.remove(index)).is_ok()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The names, as the bytes they are compared by, and the values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|entry| (self.name(entry), self.value(entry)))
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| self.name(entry).cmp(name.as_bytes()))
    }

    fn add(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    fn name(&self, entry: &Entry) -> &[u8] {
        self.bytes.get(entry.name.clone()).unwrap_or_default()
    }

    fn value(&self, entry: &Entry) -> &[u8] {
        self.bytes.get(entry.value.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Values {
    /// Names, never values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Values {}

impl<'a> FromIterator<(&'a str, &'a [u8])> for Values {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a [u8])>>(pairs: I) -> Self {
        let mut values = Self::default();
        for (name, value) in pairs {
            values.insert(name, value);
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn they_behave_like_a_map_under_any_sequence_of_changes() {
        let mut values = Values::default();
        let mut model = BTreeMap::new();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..10_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let name = format!("n{}", state >> 60);
            let value = (state >> 32).to_le_bytes().to_vec();
            match state >> 40 & 7 {
                0 => assert_eq!(values.remove(&name), model.remove(&name).is_some()),
                1 if state >> 50 & 63 == 0 => {
                    values.clear();
                    model.clear();
                }
                _ => {
                    values.insert(&name, &value);
                    model.insert(name.clone(), value);
                }
            }
            assert_eq!(values.encoded(&name), model.get(&name).map(Vec::as_slice));
            assert_eq!(values.len(), model.len());
        }
        assert!(values.iter().eq(model.iter().map(|(name, value)| (name.as_bytes(), &**value))));
    }

    #[test]
    fn an_equal_value_is_no_change() {
        let mut values = Values::default();
        assert!(values.insert("a", b"1"));
        assert!(!values.insert("a", b"1"));
        assert!(values.insert("a", b"2"));
    }
}
