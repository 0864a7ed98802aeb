//! The bytes of a record.
//!
//! | word | content |
//! |---|---|
//! | 0 | check |
//! | 1-4 | key |
//! | 5 | birth |
//! | 6 | version |
//! | 7, 8 | created, last access: milliseconds since 1970 |
//! | 9, 10 | idle and absolute limit: milliseconds; all ones: none |
//! | 11 | the record before this one: place, and from bit 32 the use count of its cell |
//! | 12 | bits 0-31: bytes of the payload; bit 32: the id was renewed |
//! | 13 | only if the id was renewed: until when it may be read |
//! | .. | payload, filled up with zeros to a whole word |
//!
//! The words are little-endian, and lie in the units of a cell around their states. The check is XXH3,
//! seeded with the store's number, of words 0-13, with XXH3 of the payload for word 0 and, if the id
//! was not renewed, 0 for word 13.

use std::time::Duration;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::heap::Heap;
use super::size::{UNIT, UNIT_BYTES, UNITS};
use super::table::Hash;
use super::word::{Place, State};
use crate::id::Key;
use crate::record::{Lifetime, Record};
use crate::seams::Timestamp;

/// The most bytes that a payload can have.
pub(super) const PAYLOAD_MAX: usize = ((UNITS - 1) * (UNIT - 1) - HEADER_MAX) * WORD;

/// A record that is to be written.
#[derive(Clone, Copy)]
pub(super) struct Draft<'a> {
    pub(super) key: &'a Key,
    pub(super) record: &'a Record,
    pub(super) previous: Option<Previous>,
    pub(super) payload: &'a [u8],
}

/// The record that a record replaced: in `Power` whoever ends a session sees to it that this one is
/// given back, too, should its own successor's writer have been killed before it could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Previous {
    pub(super) place: Place,
    pub(super) count: u32,
}

impl Previous {
    pub(super) const fn new(place: Place, state: State) -> Self {
        Self { place, count: state.count() }
    }
}

/// A record that was read, or was just written.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) record: Record,
    pub(super) previous: Option<Previous>,
    pub(super) payload: Vec<u8>,
}

/// Tells the later of two records of one session.
pub(super) type Age = (Timestamp, u64, bool, Timestamp);

impl Stored {
    pub(super) fn age(&self) -> Age {
        let Record { created, version, retired_until, accessed, .. } = self.record;
        (created, version, retired_until.is_some(), accessed)
    }
}

/// What stands at a place.
#[derive(Clone, Debug)]
pub(super) enum Reading {
    /// A record of the key that was looked for.
    Whole(Stored),
    /// Something that has this key and fails its check: damaged, or being overwritten.
    Damaged,
}

/// How many words a record of such a payload takes.
pub(super) const fn words(payload: usize, is_retired: bool) -> usize {
    HEADER + is_retired as usize + payload.div_ceil(WORD)
}

impl Draft<'_> {
    /// Writes the record to `place`, which has room for it.
    #[inline]
    pub(super) fn write(self, heap: &Heap, place: Place, seed: u64) {
        let Self { key, record, previous, payload } = self;
        let Record { birth, version, created, accessed, lifetime, retired_until } = *record;
        let limit = |limit: Option<Duration>| {
            limit.map_or(NONE, |limit| u64::try_from(limit.as_millis()).unwrap_or(NONE - 1))
        };
        let [k0, k1, k2, k3] = key_words(key);
        let previous = previous
            .map_or(0, |Previous { place, count }| u64::from(place) | u64::from(count) << 32);
        let mut header = [
            0,
            k0,
            k1,
            k2,
            k3,
            birth,
            version,
            created.as_millis(),
            accessed.as_millis(),
            limit(lifetime.idle),
            limit(lifetime.absolute),
            previous,
            payload.len() as u64 | u64::from(retired_until.is_some()) << 32,
            retired_until.map_or(0, Timestamp::as_millis),
        ];
        let check = check(header, payload, seed);
        let [first, ..] = &mut header;
        *first = check;
        let header = header.map(u64::to_le_bytes);
        let mut start = [[0; UNIT_BYTES]; START];
        let (head, room) =
            start.as_flattened_mut().split_at_mut(first_byte(retired_until.is_some()));
        let (near, far) = payload.split_at(payload.len().min(room.len()));
        for (to, from) in [(head, header.as_flattened()), (room, near)] {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
        let units = words(near.len(), retired_until.is_some()).div_ceil(UNIT - 1);
        heap.write_units(place, start.iter().take(units));
        let (whole, rest) = far.as_chunks::<UNIT_BYTES>();
        let mut last = [0; UNIT_BYTES];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let last = (!rest.is_empty()).then_some(&last);
        heap.write_units(place + START as Place, whole.iter().chain(last));
    }
}

/// Reads the record at `place`, if it is of this key. What it returns counts only if the index still
/// leads there afterwards.
#[inline]
pub(super) fn read(heap: &Heap, place: Place, key: &Key, seed: u64) -> Option<Reading> {
    let start = heap.read_units(place)?;
    (key_in(&start) == Some(*key)).then(|| read_rest(heap, place, &start, seed))
}

/// Reads whatever stands at `place`, and the key that goes with it.
pub(super) fn read_any(heap: &Heap, place: Place, seed: u64) -> Option<(Key, Reading)> {
    let start = heap.read_units(place)?;
    Some((key_in(&start)?, read_rest(heap, place, &start, seed)))
}

/// What a record at `place` says of itself, unchecked: it may be damaged, or nothing at all.
pub(super) fn peek(heap: &Heap, place: Place) -> Option<(Key, Record)> {
    let start = heap.read_units(place)?;
    Some((key_in(&start)?, record_in(&header_in(&start)?)))
}

/// Where in the index the key at `place` belongs.
pub(super) fn read_hash(heap: &Heap, place: Place) -> Hash {
    let mut words = heap.read(place, 1, 2).into_iter().flatten();
    Hash::of(words.next().unwrap_or(0), words.next().unwrap_or(0))
}

/// Where in the index a key belongs.
pub(super) fn hash(key: &Key) -> Hash {
    let [first, second, ..] = key_words(key);
    Hash::of(first, second)
}

#[inline]
fn read_rest(heap: &Heap, place: Place, start: &Start, seed: u64) -> Reading {
    let Some(mut header) = header_in(start) else { return Reading::Damaged };
    let start = start.as_flattened();
    let [stored_check, .., length, _] = header;
    let is_retired = length >> 32 == 1;
    let payload_length = usize::try_from(length & u64::from(u32::MAX)).unwrap_or(usize::MAX);
    if length >> 33 != 0 || payload_length > PAYLOAD_MAX {
        return Reading::Damaged;
    }
    if !is_retired {
        // It is the payload's.
        let [.., last] = &mut header;
        *last = 0;
    }
    let (_, near) = start.split_at(first_byte(is_retired));
    let (near, _) = near.split_at(near.len().min(payload_length));
    let far = payload_length - near.len();
    let mut payload = Vec::with_capacity(near.len() + far.next_multiple_of(UNIT_BYTES));
    payload.extend_from_slice(near);
    if far > 0 && heap.append(place, START, far, &mut payload).is_none() {
        return Reading::Damaged;
    }
    if check(header, &payload, seed) != stored_check {
        return Reading::Damaged;
    }
    let [.., previous, _, _] = header;
    let place = u32::try_from(previous & u64::from(u32::MAX)).unwrap_or(0);
    let use_count = u32::try_from(previous >> 32).unwrap_or(0);
    let previous = (place != 0).then_some(Previous { place, count: use_count });
    Reading::Whole(Stored { record: record_in(&header), previous, payload })
}

fn header_in(start: &Start) -> Option<Header> {
    let (words, _) = start.as_flattened().as_chunks::<WORD>();
    Some(words.first_chunk()?.map(u64::from_le_bytes))
}

fn record_in(header: &Header) -> Record {
    let [_, _, _, _, _, birth, version, created, accessed, idle, absolute, _, length, retired] =
        *header;
    let limit = |millis| (millis != NONE).then(|| Duration::from_millis(millis));
    Record {
        birth,
        version,
        created: Timestamp::from_millis(created),
        accessed: Timestamp::from_millis(accessed),
        lifetime: Lifetime { idle: limit(idle), absolute: limit(absolute) },
        retired_until: (length >> 32 == 1).then_some(Timestamp::from_millis(retired)),
    }
}

/// The check of a record: that of the header, with that of the payload as its first word.
#[inline]
fn check(mut header: Header, payload: &[u8], seed: u64) -> u64 {
    let [first, ..] = &mut header;
    *first = xxh3_64(payload);
    xxh3_64_with_seed(header.map(u64::to_le_bytes).as_flattened(), seed)
}

/// Where in a record the payload begins.
const fn first_byte(is_retired: bool) -> usize {
    (HEADER + is_retired as usize) * WORD
}

fn key_words(key: &Key) -> [u64; 4] {
    let (words, _) = key.as_bytes().as_chunks::<WORD>();
    let mut key = [0; 4];
    for (to, from) in key.iter_mut().zip(words) {
        *to = u64::from_le_bytes(*from);
    }
    key
}

fn key_in(start: &Start) -> Option<Key> {
    let (_, key) = start.as_flattened().split_first_chunk::<WORD>()?;
    key.first_chunk().copied().map(Key::from_bytes)
}

/// The words before the payload. The last one is 0 unless the id was renewed.
type Header = [u64; HEADER_MAX];

/// The first units of a record, which hold a payload of 256 bytes: what is read at once.
type Start = [[u8; UNIT_BYTES]; START];
const START: usize = 3;

/// Words before the payload, if the id was not renewed.
const HEADER: usize = 13;
/// The same, if it was.
const HEADER_MAX: usize = HEADER + 1;
const WORD: usize = size_of::<u64>();
const NONE: u64 = u64::MAX;

#[cfg(all(test, not(any(shuttle, model = "loom"))))]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::area::Area;
    use super::super::size::{Class, EXTENT, Extent};
    use super::*;
    use crate::id::SessionId;
    use crate::sync::Arc;

    fn heap() -> Heap {
        let area = || {
            let file = tempfile::tempfile().unwrap();
            file.set_len(2 * EXTENT).unwrap();
            Area::map(file, 2 * UNITS * UNIT).unwrap()
        };
        Heap::new(area(), Arc::new(area()), 0, 1)
    }

    fn record(retired_until: Option<Timestamp>) -> Record {
        let at = Timestamp::from_millis(5);
        let lifetime = Lifetime::default();
        Record { birth: 7, version: 3, created: at, accessed: at, lifetime, retired_until }
    }

    #[test]
    fn a_record_comes_back_from_the_last_cell_of_an_extent_whatever_its_size() {
        let (heap, key) = (heap(), Key::new("", &SessionId::from("id")));
        for class in Class::all() {
            for retired_until in [None, Some(Timestamp::from_millis(9))] {
                let full =
                    class.units() * (UNIT - 1) - HEADER - usize::from(retired_until.is_some());
                let payload = vec![7; (full * WORD - 3).min(PAYLOAD_MAX)];
                let record = record(retired_until);
                let place = Extent(1).places(class).last().unwrap();
                let previous = Some(Previous { place: 5, count: 6 });
                let draft = Draft { key: &key, record: &record, previous, payload: &payload };
                assert!(
                    words(payload.len(), retired_until.is_some()) <= class.units() * (UNIT - 1)
                );
                draft.write(&heap, place, 1);
                let Some(Reading::Whole(stored)) = read(&heap, place, &key, 1) else {
                    panic!("{class:?}");
                };
                assert_eq!((stored.record, stored.previous), (record, previous));
                assert_eq!(stored.payload, payload);
                assert!(
                    matches!(read(&heap, place, &key, 2), Some(Reading::Damaged)),
                    "of another store"
                );
            }
        }
    }

    #[test]
    fn a_flip_of_any_bit_of_a_record_shows() {
        let (heap, key) = (heap(), Key::new("", &SessionId::from("id")));
        let record = record(None);
        let draft = Draft { key: &key, record: &record, previous: None, payload: b"payload" };
        let count = words(7, false);
        for word in 0..count {
            for bit in 0..64 {
                draft.write(&heap, 1, 1);
                let mut bytes: Vec<u64> = heap.read(1, 0, count).unwrap().collect();
                if let Some(word) = bytes.get_mut(word) {
                    *word ^= 1 << bit;
                }
                heap.write(1, count, bytes.into_iter());
                // Of the last word one byte is not the payload's.
                let padding = word == count - 1 && bit >= 56;
                let whole = matches!(read(&heap, 1, &key, 1), Some(Reading::Whole(_)));
                assert_eq!(whole, padding, "word {word}, bit {bit}");
            }
        }
    }
}
