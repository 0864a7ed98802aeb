//! The map of names to encoded values. The only file that knows bincode.

use super::Values;

/// The payload that holds `values`; empty for none.
pub(crate) fn encode(values: &Values) -> Vec<u8> {
    if values.is_empty() {
        return Vec::new();
    }
    let size: usize = values.iter().map(|(name, value)| name.len() + value.len() + 10).sum();
    let mut writer = Growing(Vec::with_capacity(size + 10));
    writer.0.push(BINCODE_MAP);
    // A map is its length and its pairs, and a string has the form of its bytes. Writing to a
    // vector does not fail, and the types are encodable.
    let _ = bincode::encode_into_writer(values.len() as u64, &mut writer, CONFIG);
    for pair in values.iter() {
        let _ = bincode::encode_into_writer(pair, &mut writer, CONFIG);
    }
    writer.0
}

/// The values of a payload.
///
/// # Errors
///
/// What is wrong with it, in words.
pub(crate) fn decode(payload: &[u8]) -> Result<Values, &'static str> {
    let Some((format, map)) = payload.split_first() else { return Ok(Values::default()) };
    if *format != BINCODE_MAP {
        return Err("its format is not known to this version");
    }
    // Borrowed, and each pair takes two bytes at least: no length in the payload is trusted with
    // an allocation that the payload does not justify.
    let mut values = Values::with_capacity(0, 0);
    let (count, mut read) = bincode::borrow_decode_from_slice::<u64, _>(map, CONFIG)
        .map_err(|_| "the map of values does not decode")?;
    if count <= (map.len() / 2) as u64 {
        values = Values::with_capacity(usize::try_from(count).unwrap_or(0), map.len());
    }
    for _ in 0..count {
        let rest = map.get(read..).unwrap_or_default();
        let ((name, value), length) =
            bincode::borrow_decode_from_slice::<(&str, &[u8]), _>(rest, CONFIG)
                .map_err(|_| "the map of values does not decode")?;
        read += length;
        if !values.push(name, value) {
            return Err("the names of its values are not in order");
        }
    }
    if read == map.len() { Ok(values) } else { Err("bytes follow the map of values") }
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
    use std::collections::BTreeMap;

    use super::*;

    fn values() -> Values {
        Values::from_iter([("b", [7; 300].as_slice()), ("", &[]), ("a", &[1, 2])])
    }

    #[test]
    fn values_come_back_as_they_were() {
        assert_eq!(decode(&encode(&values())), Ok(values()));
    }

    #[test]
    fn the_bytes_are_those_of_a_map_in_bincode() {
        let map: BTreeMap<&str, &[u8]> =
            BTreeMap::from([("b", [7; 300].as_slice()), ("", &[]), ("a", &[1, 2])]);
        let encoded = bincode::encode_to_vec(map, CONFIG).unwrap_or_default();
        assert_eq!(encode(&values()).get(1..), Some(encoded.as_slice()));
    }

    #[test]
    fn no_values_are_no_bytes() {
        assert!(encode(&Values::default()).is_empty());
        assert_eq!(decode(&[]), Ok(Values::default()));
    }

    #[test]
    fn any_cut_or_flip_of_a_payload_is_an_error_or_another_map_and_never_a_panic() {
        let payload = encode(&values());
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

    #[test]
    fn a_forged_count_or_length_allocates_nothing() {
        for forged in [0xfd_u8, 0xfc, 0xfb] {
            let mut payload = vec![BINCODE_MAP, forged];
            payload.extend([0xff; 8]);
            assert!(decode(&payload).is_err());
            let mut payload = vec![BINCODE_MAP, 1, 1, b'a', forged];
            payload.extend([0xff; 8]);
            assert!(decode(&payload).is_err());
        }
    }
}
