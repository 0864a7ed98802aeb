//! One value. The only file that knows MessagePack.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ValueError;

/// A value in its encoded form, for layers that pass values on without knowing their types.
///
/// # Examples
///
/// ```
/// use cloakroom::blocking::Sessions;
/// use cloakroom::{MemoryStore, Value};
///
/// let sessions = Sessions::new(MemoryStore::new());
/// let mut session = sessions.start()?;
/// let value = Value::encode("visits", &1)?;
/// session.insert_encoded("visits", &value)?;
/// assert_eq!(session.get::<u32>("visits")?, Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Value(Vec<u8>);

impl Value {
    /// The encoded form of `value`; `name` is for the error.
    ///
    /// # Errors
    ///
    /// [`ValueError::Encode`]: the value cannot be encoded.
    pub fn encode<T: Serialize + ?Sized>(name: &str, value: &T) -> Result<Self, ValueError> {
        to_value(name, value).map(Self)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Value {
    /// What it is, never its contents.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({})", kind(&self.0))
    }
}

/// The encoded form of `value`.
pub(crate) fn to_value<T: Serialize + ?Sized>(
    name: &str,
    value: &T,
) -> Result<Vec<u8>, ValueError> {
    // Structures with their field names: fields may come and go between two releases.
    rmp_serde::to_vec_named(value).map_err(|source| ValueError::Encode {
        name: name.to_owned(),
        type_name: std::any::type_name::<T>(),
        source,
    })
}

/// The value of an encoded form.
pub(crate) fn from_value<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, ValueError> {
    rmp_serde::from_slice(bytes).map_err(|source| ValueError::WrongType {
        name: name.to_owned(),
        found: kind(bytes),
        expected: std::any::type_name::<T>(),
        source,
    })
}

/// What an encoded value is, by its first byte.
fn kind(bytes: &[u8]) -> &'static str {
    match bytes.first() {
        None => "nothing",
        Some(0xc0) => "nil",
        Some(0xc2 | 0xc3) => "a boolean",
        Some(0x00..=0x7f | 0xcc..=0xd3 | 0xe0..=0xff) => "an integer",
        Some(0xca | 0xcb) => "a float",
        Some(0xa0..=0xbf | 0xd9..=0xdb) => "a string",
        Some(0xc4..=0xc6) => "bytes",
        Some(0x90..=0x9f | 0xdc | 0xdd) => "a sequence",
        Some(0x80..=0x8f | 0xde | 0xdf) => "a map",
        Some(_) => "an extension value",
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_type_names_the_value_and_both_types() {
        let stored = to_value("visits", "many").expect("a string is encodable");
        let error = from_value::<u32>("visits", &stored).expect_err("a string is no number");
        let text = error.to_string();
        assert!(text.contains("`visits`") && text.contains("a string") && text.contains("u32"));
    }

    #[test]
    fn every_kind_of_value_is_named() {
        let named = |value: &dyn Fn() -> Result<Vec<u8>, ValueError>| {
            kind(&value().expect("it is encodable"))
        };
        assert_eq!(named(&|| to_value("", &-7_i64)), "an integer");
        assert_eq!(named(&|| to_value("", &7_u64)), "an integer");
        assert_eq!(named(&|| to_value("", &0.5_f64)), "a float");
        assert_eq!(named(&|| to_value("", &true)), "a boolean");
        assert_eq!(named(&|| to_value("", &None::<u8>)), "nil");
        assert_eq!(named(&|| to_value("", &vec!["a"; 20])), "a sequence");
        assert_eq!(named(&|| to_value("", &std::collections::BTreeMap::from([(1, 2)]))), "a map");
        assert_eq!(kind(&[]), "nothing");
    }
}
