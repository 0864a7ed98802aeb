//! Fields of a recording that are taken if they are what they should be, and missing otherwise:
//! programs that write HAR files disagree on null, -1 and numbers as text.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A text, or nothing.
#[derive(Debug, Default)]
pub struct Text(pub Option<String>);

/// A number, or nothing. Numbers as text are numbers too.
#[derive(Debug, Default)]
pub struct Number(pub Option<f64>);

/// Whether there is something: a value that is not null, false or empty.
#[derive(Debug, Default)]
pub struct Present(pub bool);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Scalar { text, .. } = deserializer.deserialize_any(Scalars)?;
        Ok(Self(text))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Scalar { text, number, .. } = deserializer.deserialize_any(Scalars)?;
        Ok(Self(number.or_else(|| text?.trim().parse().ok()).filter(|n: &f64| n.is_finite())))
    }
}

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Scalar { text, number, present } = deserializer.deserialize_any(Scalars)?;
        Ok(Self(present || number.is_some() || text.is_some_and(|text| !text.is_empty())))
    }
}

/// Any value, as far as anybody asks for it.
#[derive(Default)]
struct Scalar {
    text: Option<String>,
    number: Option<f64>,
    present: bool,
}

struct Scalars;

impl<'de> Visitor<'de> for Scalars {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar { text: Some(text.to_owned()), ..Scalar::default() })
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar { number: Some(number), ..Scalar::default() })
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
        self.visit_f64(number as f64)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar, E> {
        self.visit_f64(number as f64)
    }

    fn visit_bool<E: Error>(self, present: bool) -> Result<Scalar, E> {
        Ok(Scalar { present, ..Scalar::default() })
    }

    fn visit_unit<E: Error>(self) -> Result<Scalar, E> {
        Ok(Scalar::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
        let mut present = false;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            present = true;
        }
        Ok(Scalar { present, ..Scalar::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        let mut present = false;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            present = true;
        }
        Ok(Scalar { present, ..Scalar::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_another_type_are_missing_and_not_errors() -> serde_json::Result<()> {
        assert_eq!(serde_json::from_str::<Text>("\"a\"")?.0.as_deref(), Some("a"));
        for other in ["null", "5", "[1, [2]]", "{\"a\": {}}", "true"] {
            assert_eq!(serde_json::from_str::<Text>(other)?.0, None, "{other}");
        }
        assert_eq!(serde_json::from_str::<Number>("-1")?.0, Some(-1.0));
        assert_eq!(serde_json::from_str::<Number>("\"12.5\"")?.0, Some(12.5));
        assert_eq!(serde_json::from_str::<Number>("\"NaN\"")?.0, None);
        assert!(serde_json::from_str::<Present>("[{}]")?.0);
        assert!(!serde_json::from_str::<Present>("[]")?.0);
        Ok(())
    }
}
