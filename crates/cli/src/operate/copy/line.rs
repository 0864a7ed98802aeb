//! The records of a copy's journal: 72 bytes each, the last 8 of which check the others.

use cloakroom::{Key, Timestamp};
use flate2::Crc;

use super::entry::Entry;

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// What was done about a session.
    Note(Key, Entry),
    /// All that was noted before is on the medium.
    Synced,
    /// A copy goes on from here.
    Begun {
        /// In this life of the machine.
        boot: u64,
    },
}

impl Line {
    /// Its bytes.
    pub fn encode(&self) -> [u8; RECORD] {
        let (key, numbers) = match *self {
            Self::Note(key, Entry { birth, taken, given, deadline, .. }) => {
                (*key.as_bytes(), [birth, taken, given, deadline.as_millis()])
            }
            Self::Synced => (NO_KEY, [SYNCED, 0, 0, 0]),
            Self::Begun { boot } => (NO_KEY, [BEGUN, boot, 0, 0]),
        };
        let mut record = [0; RECORD];
        let (content, sum) = record.split_at_mut(RECORD - 8);
        let (name, rest) = content.split_at_mut(key.len());
        name.copy_from_slice(&key);
        rest.copy_from_slice(numbers.map(u64::to_le_bytes).as_flattened());
        sum.copy_from_slice(&check(content).to_le_bytes());
        record
    }

    /// The record of these bytes; none if they are damaged.
    pub fn decode(record: &[u8; RECORD]) -> Option<Self> {
        let (content, sum) = record.split_last_chunk()?;
        if u64::from_le_bytes(*sum) != check(content) {
            return None;
        }
        let (key, rest) = content.split_first_chunk()?;
        let (numbers, _) = rest.as_chunks();
        let [birth, taken, given, deadline] = *numbers else { return None };
        let [birth, taken, given, deadline] =
            [birth, taken, given, deadline].map(u64::from_le_bytes);
        Some(match (*key, birth) {
            (NO_KEY, SYNCED) => Self::Synced,
            (NO_KEY, BEGUN) => Self::Begun { boot: taken },
            (NO_KEY, _) => return None,
            (key, birth) => {
                let deadline = Timestamp::from_millis(deadline);
                let entry = Entry { birth, taken, given, deadline, seen: 0 };
                Self::Note(Key::from_bytes(key), entry)
            }
        })
    }
}

fn check(bytes: &[u8]) -> u64 {
    let mut sum = Crc::new();
    sum.update(bytes);
    // Not the sum alone: zeros are no record.
    u64::from(sum.sum()) << 32 | 0x0070_6f63
}

/// Bytes of a record.
pub const RECORD: usize = 72;

/// No session has this key.
const NO_KEY: [u8; 32] = [0; 32];

const SYNCED: u64 = 1;
const BEGUN: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> [Line; 3] {
        let deadline = Timestamp::MAX;
        let entry = Entry { birth: 1, taken: 2, given: Entry::ENDED, deadline, seen: 0 };
        let note = Line::Note(Key::from_bytes([7; 32]), entry);
        [note, Line::Synced, Line::Begun { boot: u64::MAX }]
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        for line in lines() {
            assert_eq!(Line::decode(&line.encode()), Some(line));
        }
    }

    #[test]
    fn a_damaged_record_is_none() {
        assert_eq!(Line::decode(&[0; RECORD]), None);
        for line in lines() {
            for bit in 0..RECORD * 8 {
                let mut record = line.encode();
                if let Some(byte) = record.get_mut(bit / 8) {
                    *byte ^= 1 << (bit % 8);
                }
                assert_eq!(Line::decode(&record), None, "bit {bit}");
            }
        }
    }
}
