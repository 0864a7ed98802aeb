//! What a session holds: how often it was committed, which one it is, and bytes that do not
//! compress.

/// Bytes of a payload.
pub const SIZE: usize = 256;

pub type Payload = [u8; SIZE];

/// The payload of a new session.
pub fn new(number: u64) -> Payload {
    let mut payload = [0; SIZE];
    let mut word = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for chunk in payload.chunks_exact_mut(8) {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    set_word(&mut payload, 0, 0);
    set_word(&mut payload, 1, number);
    payload
}

/// Whether this is a payload of the session.
pub fn is_of(payload: &[u8], number: u64) -> bool {
    payload.len() == SIZE && word(payload, 1) == number
}

/// How often it was committed.
pub fn count(payload: &[u8]) -> u64 {
    word(payload, 0)
}

pub fn count_up(payload: &mut Payload) {
    set_word(payload, 0, count(payload) + 1);
}

fn word(payload: &[u8], index: usize) -> u64 {
    let bytes = payload.get(index * 8..).and_then(|bytes| bytes.first_chunk());
    bytes.map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes))
}

fn set_word(payload: &mut Payload, index: usize, value: u64) {
    payload[index * 8..][..8].copy_from_slice(&value.to_le_bytes());
}

/// Version and payload in a row of bytes: what stores of plain values keep.
pub fn join(version: u64, payload: &Payload) -> [u8; 8 + SIZE] {
    let mut value = [0; 8 + SIZE];
    let (head, tail) = value.split_at_mut(8);
    head.copy_from_slice(&version.to_le_bytes());
    tail.copy_from_slice(payload);
    value
}

/// The other way; copies the payload out.
pub fn part(value: &[u8]) -> Option<(u64, Payload)> {
    let (version, payload) = value.split_first_chunk()?;
    Some((u64::from_le_bytes(*version), payload.try_into().ok()?))
}
