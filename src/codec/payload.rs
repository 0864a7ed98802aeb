//! The map of names to encoded values. The only file that knows bincode.

use std::collections::BTreeMap;

/// Encoded values by name, in order, so that equal maps have equal bytes.
pub(crate) type Values = BTreeMap<String, Vec<u8>>;

/// The payload that holds `values`; empty for none.
pub(crate) fn encode(values: &Values) -> Vec<u8> {
    if values.is_empty() {
        return Vec::new();
    }
    let size: usize = values.iter().map(|(name, value)| name.len() + value.len() + 10).sum();
    let mut writer = Growing(Vec::with_capacity(size + 10));
    writer.0.push(BINCODE_MAP);
    // Writing to a vector does not fail, and the types are encodable.
    let _ = bincode::encode_into_writer(values, &mut writer, CONFIG);
    writer.0
}

/// The values of a payload.
///
/// # Errors
///
/// What is wrong with it, in words.
pub(crate) fn decode(payload: &[u8]) -> Result<Values, &'static str> {
    let Some((format, map)) = payload.split_first() else {
        return Ok(Values::new());
    };
    if *format != BINCODE_MAP {
        return Err("its format is not known to this version");
    }
    // Borrowed, so that no length in the payload is trusted with an allocation.
    let decoded = bincode::borrow_decode_from_slice::<BTreeMap<&str, &[u8]>, _>(map, CONFIG);
    match decoded {
        Ok((values, length)) if length == map.len() => {
            let own = |(name, value): (&str, &[u8])| (name.to_owned(), value.to_owned());
            Ok(values.into_iter().map(own).collect())
        }
        Ok(_) => Err("bytes follow the map of values"),
        Err(_) => Err("the map of values does not decode"),
    }
}

struct Growing(Vec<u8>);

impl bincode::enc::write::Writer for Growing {
    fn write(&mut self, bytes: &[u8]) -> Result<(), bincode::error::EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// The format byte; another codec gets another.
const BINCODE_MAP: u8 = 1;

const CONFIG: bincode::config::Configuration = bincode::config::standard();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_were() {
        let values = Values::from([("a".into(), vec![1, 2]), (String::new(), vec![])]);
        assert_eq!(decode(&encode(&values)), Ok(values));
    }

    #[test]
    fn no_values_are_no_bytes() {
        assert!(encode(&Values::new()).is_empty());
        assert_eq!(decode(&[]), Ok(Values::new()));
    }

    #[test]
    fn any_cut_or_flip_of_a_payload_is_an_error_or_another_map_and_never_a_panic() {
        let payload = encode(&Values::from([("name".into(), vec![7; 300]), ("b".into(), vec![])]));
        for end in 1..payload.len() {
            assert!(decode(payload.get(..end).unwrap_or_default()).is_err(), "cut at {end}");
        }
        for index in 0..payload.len() {
            for bit in 0..8 {
                let mut flipped = payload.clone();
                if let Some(byte) = flipped.get_mut(index) {
                    *byte ^= 1 << bit;
                }
                let _ = decode(&flipped);
            }
        }
    }
}
