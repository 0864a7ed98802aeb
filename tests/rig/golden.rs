//! The bytes of session files: real ones, and forged ones from the test's own writer, which knows
//! the format from `docs/design.md` and shares no code with the engine.

use cloakroom::Key;
use xxhash_rust::xxh3::xxh3_64;

pub const HEAD: usize = 512;
pub const HEADER: usize = 96;

/// A slot's header, each field at the caller's will.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub magic: [u8; 4],
    pub kind: u32,
    pub sequence: u64,
    pub birth: u64,
    pub version: u64,
    pub created: u64,
    pub accessed: u64,
    pub idle: u64,
    pub absolute: u64,
    pub retired: u64,
    pub capacity: u32,
    pub length: u32,
}

impl Slot {
    /// A live session without limits, version 1.
    pub fn live(capacity: u32, length: u32) -> Self {
        Self {
            magic: *b"CRS1",
            kind: 1,
            sequence: 1,
            birth: 7,
            version: 1,
            created: 1,
            accessed: 1,
            idle: u64::MAX,
            absolute: u64::MAX,
            retired: 0,
            capacity,
            length,
        }
    }

    /// The slot's bytes with a check that is right for `key`.
    pub fn seal(&self, key: &Key, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 8];
        bytes.extend(self.magic);
        bytes.extend(self.kind.to_le_bytes());
        for number in [
            self.sequence,
            self.birth,
            self.version,
            self.created,
            self.accessed,
            self.idle,
            self.absolute,
            self.retired,
        ] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.capacity.to_le_bytes());
        bytes.extend(self.length.to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(payload);
        let of_key = u64::from_le_bytes(*key.as_bytes().first_chunk().unwrap());
        let check = xxh3_64(bytes.get(8..).unwrap()) ^ of_key;
        bytes.splice(..8, check.to_le_bytes());
        bytes
    }
}

/// A whole file of slots that are already sealed.
pub fn file(capacity: usize, slots: [&[u8]; 2]) -> Vec<u8> {
    let mut bytes = b"cloakrm1".to_vec();
    for (index, slot) in slots.into_iter().enumerate() {
        bytes.resize(HEAD + index * capacity, 0);
        bytes.extend(slot);
    }
    bytes.resize(HEAD + 2 * capacity, 0);
    bytes
}

/// Whether the design lets a file of these bytes count as never born: empty, or no mark and the
/// second slot never written.
pub fn may_be_unborn(bytes: &[u8]) -> bool {
    let capacity = bytes.len().saturating_sub(HEAD) / 2;
    let zero = |range: std::ops::Range<usize>| {
        bytes.get(range).is_some_and(|part| part.iter().all(|byte| *byte == 0))
    };
    bytes.is_empty() || (zero(0..HEAD) && zero(HEAD + capacity..HEAD + capacity + HEADER))
}
