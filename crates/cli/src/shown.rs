//! The values of a session as JSON.

use std::fmt;

use cloakroom::Values;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A value as JSON. What JSON has no form for is shown so that nothing is lost: bytes as
/// `{"$hex": "..."}`, infinite numbers as texts, keys that are no texts as their JSON.
pub struct Shown(pub Value);

/// All values, each as JSON.
pub fn all(values: &Values) -> Map<String, Value> {
    values
        .names()
        .map(|name| {
            let value = values.get::<Shown>(name);
            let shown = match value {
                Ok(value) => value.map_or(Value::Null, |Shown(value)| value),
                Err(error) => Value::String(format!("({error})")),
            };
            (name.to_owned(), shown)
        })
        .collect()
}

/// Bytes in hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Shown;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Shown, E> {
        Ok(Shown(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Shown, E> {
        Ok(Shown(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shown, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Shown, E> {
        Ok(Shown(Value::Bool(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Shown, E> {
        Ok(Shown(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Shown, E> {
        Ok(Shown(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Shown, E> {
        let number = Number::from_f64(value).map(Value::Number);
        Ok(Shown(number.unwrap_or_else(|| Value::String(value.to_string()))))
    }

    fn visit_str<E>(self, value: &str) -> Result<Shown, E> {
        Ok(Shown(value.into()))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Shown, E> {
        Ok(Shown(serde_json::json!({ "$hex": hex(value) })))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Shown, A::Error> {
        let mut shown = Vec::new();
        while let Some(Shown(value)) = values.next_element()? {
            shown.push(value);
        }
        Ok(Shown(Value::Array(shown)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<Shown, A::Error> {
        let mut shown = Map::new();
        while let Some((Shown(name), Shown(value))) = values.next_entry()? {
            let name = match name {
                Value::String(name) => name,
                other => other.to_string(),
            };
            shown.insert(name, value);
        }
        Ok(Shown(Value::Object(shown)))
    }

    /// An extension value: its number and its bytes.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, parts: D) -> Result<Shown, D::Error> {
        parts.deserialize_any(self)
    }
}
