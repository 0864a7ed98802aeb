//! The bytes of a session file: one head, two slots.
//!
//! ```text
//! 0          8        16       32       48       64     512            512+C          512+2C
//! | mark     | 0      | touch0 | touch1 | synced | 0    | slot 0       | slot 1       |
//! ```
//!
//! A slot is a header of 96 bytes and the payload. A commit writes the slot that is not current,
//! in one write; the current one is the valid slot with the higher sequence. So whatever kills a
//! commit, the other slot still holds the version before. All numbers are little-endian.
//!
//! ```text
//!  0 check     u64   XXH3 of all that follows, payload included, xor 8 bytes of the key
//!  8 magic     u32   "CRS1"
//! 12 kind      u32   1 live, 2 tombstone, 3 moved, 4 retired
//! 16 sequence  u64   one more for each slot written
//! 24 birth     u64
//! 32 version   u64
//! 40 created   u64   milliseconds since 1970
//! 48 accessed  u64   the same
//! 56 idle      u64   milliseconds, all ones: no limit
//! 64 absolute  u64   the same
//! 72 retired   u64   milliseconds since 1970, 0: not retired
//! 80 capacity  u32   bytes of a slot, a multiple of 512
//! 84 payload   u32   bytes
//! 88 reserved  u64   0
//! ```
//!
//! The key in the check unmasks a file that was copied to another session's name. The mark in the head is
//! written after the first slot: a file without it and without a valid slot was never born.
//! A touch cell is a time and its check; so is the synced cell, with a sequence for the time.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use crate::id::Key;
use crate::limits::PAYLOAD_MAX;
use crate::record::{Lifetime, Record};
use crate::seams::Timestamp;

/// Bytes of the head.
pub(super) const HEAD: usize = 512;

/// Bytes of a slot's header.
pub(super) const HEADER: usize = 96;

/// Slots start and end on a multiple of this, so no sector holds parts of two.
const SECTOR: usize = 512;

/// The largest slot.
const CAPACITY_MAX: usize = (PAYLOAD_MAX + HEADER).next_multiple_of(SECTOR);

const _: () = assert!(CAPACITY_MAX <= u32::MAX as usize, "a capacity is stored in 32 bits");

/// The first bytes of every file that was born.
pub(super) const MARK: [u8; 8] = *b"cloakrm1";

const MAGIC: u32 = u32::from_le_bytes(*b"CRS1");
const NO_LIMIT: u64 = u64::MAX;

/// What a slot says of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It lives, with this payload.
    Live,
    /// It was destroyed.
    Tombstone,
    /// It lives on in a larger file at the same path.
    Moved,
    /// It was renewed; for a grace this is what the old id still serves.
    Retired,
}

impl Kind {
    /// Of the slot of a session with this record.
    pub(super) const fn of(record: &Record) -> Self {
        if record.retired_until.is_some() { Self::Retired } else { Self::Live }
    }
}

/// A slot's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) sequence: u64,
    pub(super) record: Record,
    pub(super) capacity: usize,
}

/// The bytes of a slot, up to the end of the payload.
pub(super) fn encode_slot(key: &Key, header: &Header, payload: &[u8]) -> Vec<u8> {
    let Header { kind, sequence, record, capacity } = *header;
    let kind: u32 = match kind {
        Kind::Live => 1,
        Kind::Tombstone => 2,
        Kind::Moved => 3,
        Kind::Retired => 4,
    };
    let small = |size: usize| u64::from(u32::try_from(size).unwrap_or(u32::MAX));
    let words = [
        u64::from(MAGIC) | u64::from(kind) << 32,
        sequence,
        record.birth,
        record.version,
        record.created.as_millis(),
        record.accessed.as_millis(),
        millis(record.lifetime.idle),
        millis(record.lifetime.absolute),
        record.retired_until.map_or(0, Timestamp::as_millis),
        small(capacity) | small(payload.len()) << 32,
        0,
    ];
    let mut slot = Vec::with_capacity(HEADER + payload.len());
    slot.extend_from_slice(&[0; 8]);
    slot.extend_from_slice(words.map(u64::to_le_bytes).as_flattened());
    slot.extend_from_slice(payload);
    let check = slot.get(8..).map_or(0, |rest| check(key, rest));
    if let Some(place) = slot.first_chunk_mut::<8>() {
        *place = check.to_le_bytes();
    }
    slot
}

/// The sequence at the start of `slot`, not yet checked: only good to know where to look first.
pub(super) fn peek_sequence(slot: &[u8]) -> Option<u64> {
    let mut rest = slot.get(8..)?;
    let magic = take_u32(&mut rest)?;
    take_u32(&mut rest)?;
    take_u64(&mut rest).filter(|_| magic == MAGIC)
}

/// The header at the start of `slot` and the length of its payload, not yet checked: only good to
/// know how much to read.
pub(super) fn peek(slot: &[u8]) -> Option<(Header, usize)> {
    let mut rest = slot.get(8..HEADER)?;
    if take_u32(&mut rest)? != MAGIC {
        return None;
    }
    let kind = match take_u32(&mut rest)? {
        1 => Kind::Live,
        2 => Kind::Tombstone,
        3 => Kind::Moved,
        4 => Kind::Retired,
        _ => return None,
    };
    let sequence = take_u64(&mut rest)?;
    let record = Record {
        birth: take_u64(&mut rest)?,
        version: take_u64(&mut rest)?,
        created: Timestamp::from_millis(take_u64(&mut rest)?),
        accessed: Timestamp::from_millis(take_u64(&mut rest)?),
        lifetime: Lifetime {
            idle: duration(take_u64(&mut rest)?),
            absolute: duration(take_u64(&mut rest)?),
        },
        retired_until: Some(take_u64(&mut rest)?).filter(|t| *t != 0).map(Timestamp::from_millis),
    };
    let capacity = usize::try_from(take_u32(&mut rest)?).ok()?;
    let payload = usize::try_from(take_u32(&mut rest)?).ok()?;
    let fits = payload <= capacity.checked_sub(HEADER)?;
    fits.then_some((Header { kind, sequence, record, capacity }, payload))
}

/// The header of a slot if it is whole, with nothing behind its payload.
pub(super) fn decode_slot(key: &Key, slot: &[u8]) -> Option<Header> {
    let (header, length) = peek(slot)?;
    if slot.len() != HEADER + length {
        return None;
    }
    let stored = u64::from_le_bytes(*slot.first_chunk()?);
    (stored == check(key, slot.get(8..)?)).then_some(header)
}

/// The smallest capacity that holds a payload; at least twice `before`, if that is too small.
pub(super) fn capacity_for(payload: usize, before: usize) -> usize {
    (payload + HEADER).next_multiple_of(SECTOR).max((2 * before).min(CAPACITY_MAX))
}

/// The size of a file whose slots have this capacity.
pub(super) const fn file_size(capacity: usize) -> u64 {
    (HEAD + 2 * capacity) as u64
}

/// The capacity of a file's slots by its size; `None`: no session file has this size.
pub(super) fn capacity_of(size: u64) -> Option<usize> {
    let slots = usize::try_from(size).ok()?.checked_sub(HEAD)?;
    let capacity = slots / 2;
    let fits = slots.is_multiple_of(2 * SECTOR) && (SECTOR..=CAPACITY_MAX).contains(&capacity);
    fits.then_some(capacity)
}

/// Where a slot begins.
pub(super) const fn slot_offset(index: usize, capacity: usize) -> u64 {
    (HEAD + index * capacity) as u64
}

/// One of the 16-byte cells in the head: a number that is written without a new slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// The time of the last access, in one of two alternating places.
    Touch(usize),
    /// The highest sequence known to be on the medium.
    Synced,
}

impl Cell {
    pub(super) const fn offset(self) -> usize {
        match self {
            Self::Touch(index) => 16 + 16 * (index & 1),
            Self::Synced => 48,
        }
    }

    /// The cell's bytes. The check names birth and version, so a cell does not outlive the commit
    /// that followed it.
    pub(super) fn encode(self, key: &Key, record: &Record, number: u64) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (left, right) = bytes.split_at_mut(8);
        left.copy_from_slice(&number.to_le_bytes());
        right.copy_from_slice(&self.check(key, record, number).to_le_bytes());
        bytes
    }

    /// The number in this cell of `head`, if it is whole.
    pub(super) fn decode(self, key: &Key, record: &Record, head: &[u8]) -> Option<u64> {
        let mut rest = head.get(self.offset()..)?;
        let number = take_u64(&mut rest)?;
        (take_u64(&mut rest)? == self.check(key, record, number)).then_some(number)
    }

    fn check(self, key: &Key, record: &Record, number: u64) -> u64 {
        let kind = u64::from(matches!(self, Self::Synced));
        let words = [kind, record.birth, record.version, number].map(u64::to_le_bytes);
        check(key, words.as_flattened())
    }
}

/// Whether a head has nothing but its mark, or no mark yet, and its cells.
pub(super) fn is_head(head: &[u8]) -> bool {
    let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    let Some((mark, rest)) = head.split_at_checked(MARK.len()) else { return false };
    let between = rest.get(..8).unwrap_or_default();
    (mark == MARK || is_zero(mark))
        && is_zero(between)
        && head.len() == HEAD
        && head.get(64..).is_some_and(is_zero)
}

/// The time of the last touch in `head`, and the cell that the next touch writes. A touch by a
/// clock that was ahead of `now` does not count, and is overwritten first.
pub(super) fn last_touch(
    key: &Key,
    record: &Record,
    head: &[u8],
    now: Timestamp,
) -> (Option<Timestamp>, Cell) {
    let [first, second] = [0, 1].map(|index| {
        let touched = Cell::Touch(index).decode(key, record, head);
        touched.map(Timestamp::from_millis).filter(|touched| *touched <= now)
    });
    (first.max(second), Cell::Touch(usize::from(first > second)))
}

/// The check of `bytes` in the file of `key`.
fn check(key: &Key, bytes: &[u8]) -> u64 {
    xxh3_64(bytes) ^ key.word(0)
}

fn millis(limit: Option<Duration>) -> u64 {
    limit.map_or(NO_LIMIT, |limit| {
        u64::try_from(limit.as_millis()).unwrap_or(NO_LIMIT).min(NO_LIMIT - 1)
    })
}

fn duration(millis: u64) -> Option<Duration> {
    (millis != NO_LIMIT).then(|| Duration::from_millis(millis))
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*number))
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SessionId;

    fn key(name: &str) -> Key {
        Key::new("", &SessionId::from(name))
    }

    fn header(sequence: u64) -> Header {
        let record = Record {
            birth: 0x1234_5678_9abc_def0,
            version: 7,
            created: Timestamp::from_millis(1_700_000_000_000),
            accessed: Timestamp::from_millis(1_700_000_000_001),
            lifetime: Lifetime { idle: Some(Duration::from_millis(86_400_000)), absolute: None },
            retired_until: Some(Timestamp::from_millis(1_700_000_000_002)),
        };
        Header { kind: Kind::Live, sequence, record, capacity: 512 }
    }

    #[test]
    fn a_slot_reads_back_as_it_was_written() {
        for kind in [Kind::Live, Kind::Tombstone, Kind::Moved, Kind::Retired] {
            let written = Header { kind, ..header(3) };
            let slot = encode_slot(&key("a"), &written, b"payload");
            assert_eq!(decode_slot(&key("a"), &slot), Some(written));
            assert_eq!(slot.get(HEADER..), Some(b"payload".as_slice()));
        }
    }

    #[test]
    fn the_bytes_of_a_slot_are_those_of_format_1() {
        // A change of this number is a change of the format: old files would not be read.
        let name = b"\0\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0golden";
        let key = Key::from_bytes(*blake3::hash(name).as_bytes());
        let slot = encode_slot(&key, &header(3), b"payload");
        assert_eq!(xxh3_64(&slot), GOLDEN, "the format of slots changed");
    }

    const GOLDEN: u64 = 16_651_505_396_658_723_993;

    #[test]
    fn no_flipped_bit_and_no_cut_of_a_slot_goes_unnoticed() {
        let slot = encode_slot(&key("a"), &header(3), &[0x5a; 64]);
        for end in 0..slot.len() {
            assert_eq!(decode_slot(&key("a"), slot.get(..end).unwrap_or_default()), None);
        }
        for index in 0..slot.len() {
            for bit in 0..8 {
                let mut flipped = slot.clone();
                if let Some(byte) = flipped.get_mut(index) {
                    *byte ^= 1 << bit;
                }
                assert_eq!(decode_slot(&key("a"), &flipped), None, "byte {index}, bit {bit}");
            }
        }
    }

    #[test]
    fn a_slot_of_another_session_is_none_of_this_one() {
        let slot = encode_slot(&key("a"), &header(3), b"payload");
        assert_eq!(decode_slot(&key("b"), &slot), None);
    }

    #[test]
    fn every_size_of_a_file_gives_back_its_capacity_and_no_other_size_gives_any() {
        for payload in [0, 1, 416, 417, 4_000, 1 << 20, PAYLOAD_MAX] {
            let capacity = capacity_for(payload, 0);
            assert!(capacity >= payload + HEADER && capacity.is_multiple_of(SECTOR));
            assert_eq!(capacity_of(file_size(capacity)), Some(capacity));
            assert_eq!(capacity_of(file_size(capacity) - 1), None);
            assert_eq!(capacity_of(file_size(capacity) + 512), None);
        }
        for size in [0, 511, 512, u64::MAX, 1 << 40] {
            assert_eq!(capacity_of(size), None);
        }
    }

    #[test]
    fn a_growth_at_least_doubles_until_the_largest_slot() {
        assert_eq!(capacity_for(600, 512), 1_024);
        assert_eq!(capacity_for(5_000, 512), 5_120);
        assert_eq!(capacity_for(CAPACITY_MAX - HEADER, CAPACITY_MAX - SECTOR), CAPACITY_MAX);
    }

    #[test]
    fn touches_alternate_and_a_torn_one_leaves_the_one_before() {
        let (key, record, now) = (key("a"), header(1).record, Timestamp::from_millis(1_000));
        let mut head = vec![0; HEAD];
        let touch = |head: &mut Vec<u8>, at: u64| {
            let (_, cell) = last_touch(&key, &record, head, now);
            let bytes = cell.encode(&key, &record, at);
            if let Some(place) = head.get_mut(cell.offset()..cell.offset() + 16) {
                place.copy_from_slice(&bytes);
            }
            cell
        };
        let last =
            |head: &[u8], record| last_touch(&key, record, head, now).0.map(Timestamp::as_millis);
        assert_eq!(last(&head, &record), None);
        touch(&mut head, 100);
        touch(&mut head, 200);
        let cell = touch(&mut head, 300);
        assert_eq!(last(&head, &record), Some(300));
        if let Some(byte) = head.get_mut(cell.offset()) {
            *byte ^= 1;
        }
        assert_eq!(last(&head, &record), Some(200));
        let next = Record { version: record.version + 1, ..record };
        assert_eq!(last(&head, &next), None, "a touch outlived a commit");
        touch(&mut head, 5_000);
        assert_eq!(last(&head, &record), Some(200), "a touch of the future counted");
        touch(&mut head, 400);
        assert_eq!(last(&head, &record), Some(400));
    }
}
