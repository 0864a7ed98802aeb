//! The bytes of a record.
//!
//! | word | content |
//! |---|---|
//! | 0 | check: XXH3 of the payload, seeded with that of words 1-13, seeded with the store's number |
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
//! The words are little-endian, and lie in the units of a cell around their states.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::heap::Heap;
use super::size::{UNIT, UNITS};
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
        let check = check(seed, &header, payload);
        if let Some(first) = header.first_mut() {
            *first = check;
        }
        let (whole, rest) = payload.as_chunks::<WORD>();
        let mut last = [0; WORD];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        let last = (!rest.is_empty()).then_some(u64::from_le_bytes(last));
        let whole = whole.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let header_length = HEADER + usize::from(retired_until.is_some());
        let words = header.into_iter().take(header_length).chain(whole).chain(last);
        heap.write(place, self::words(payload.len(), retired_until.is_some()), words);
    }
}

/// Reads the record at `place`, if it is of this key. What it returns counts only if the index still
/// leads there afterwards.
#[inline]
pub(super) fn read(heap: &Heap, place: Place, key: &Key, seed: u64) -> Option<Reading> {
    let start = read_start(heap, place)?;
    let [_, k0, k1, k2, k3, ..] = start;
    (key_words(key) == [k0, k1, k2, k3]).then(|| read_rest(heap, place, &start, seed))
}

/// Reads whatever stands at `place`, and the key that goes with it.
pub(super) fn read_any(heap: &Heap, place: Place, seed: u64) -> Option<(Key, Reading)> {
    let start = read_start(heap, place)?;
    Some((key_in(&start), read_rest(heap, place, &start, seed)))
}

/// The first two words of the key at `place`: as many as the index goes by.
pub(super) fn read_hash(heap: &Heap, place: Place) -> (u64, u64) {
    let mut words = heap.read(place, 1, 2).into_iter().flatten();
    (words.next().unwrap_or(0), words.next().unwrap_or(0))
}

/// The first two words of a key.
pub(super) fn hash_words(key: &Key) -> (u64, u64) {
    let [first, second, ..] = key_words(key);
    (first, second)
}

/// The first words at `place`, whatever they are: all of a small record. Read at once, before anything
/// is decided by them, so that the processor fetches all their cache lines at the same time.
#[inline]
fn read_start(heap: &Heap, place: Place) -> Option<Start> {
    let mut start = [0; START];
    let units_left = UNITS - place as usize % UNITS;
    let words = heap.read(place, 0, START.min(units_left * (UNIT - 1)))?;
    start.iter_mut().zip(words).for_each(|(to, word)| *to = word);
    Some(start)
}

fn read_rest(heap: &Heap, place: Place, start: &Start, seed: u64) -> Reading {
    let mut header = [0; HEADER_MAX];
    header.iter_mut().zip(start).for_each(|(to, word)| *to = *word);
    let [stored_check, .., length, retired] = header;
    let is_retired = length >> 32 == 1;
    let payload_length = usize::try_from(length & u64::from(u32::MAX)).unwrap_or(usize::MAX);
    if length >> 33 != 0 || payload_length > PAYLOAD_MAX {
        return Reading::Damaged;
    }
    if !is_retired && let Some(last) = header.last_mut() {
        // It is the payload's.
        *last = 0;
    }
    let first = HEADER + usize::from(is_retired);
    let count = payload_length.div_ceil(WORD);
    let more = (first + count).saturating_sub(START);
    let more = match heap.read(place, START, more) {
        None if more > 0 => return Reading::Damaged,
        more => more.into_iter().flatten(),
    };
    let mut payload = vec![0; count * WORD];
    let (to, _) = payload.as_chunks_mut::<WORD>();
    let words = start.iter().skip(first).copied().chain(more);
    to.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_le_bytes());
    payload.truncate(payload_length);
    if check(seed, &header, &payload) != stored_check {
        return Reading::Damaged;
    }
    let [_, _, _, _, _, birth, version, created, accessed, idle, absolute, previous, ..] = header;
    let limit = |millis| (millis != NONE).then(|| Duration::from_millis(millis));
    let record = Record {
        birth,
        version,
        created: Timestamp::from_millis(created),
        accessed: Timestamp::from_millis(accessed),
        lifetime: Lifetime { idle: limit(idle), absolute: limit(absolute) },
        retired_until: is_retired.then_some(Timestamp::from_millis(retired)),
    };
    let place = u32::try_from(previous & u64::from(u32::MAX)).unwrap_or(0);
    let use_count = u32::try_from(previous >> 32).unwrap_or(0);
    let previous = (place != 0).then_some(Previous { place, count: use_count });
    Reading::Whole(Stored { record, previous, payload })
}

/// The check of a record: that of the payload, seeded with that of the header.
#[inline]
fn check(seed: u64, header: &Header, payload: &[u8]) -> u64 {
    let mut bytes = [0; (HEADER_MAX - 1) * WORD];
    let (words, _) = bytes.as_chunks_mut::<WORD>();
    words.iter_mut().zip(header.iter().skip(1)).for_each(|(to, word)| *to = word.to_le_bytes());
    xxh3_64_with_seed(payload, xxh3_64_with_seed(&bytes, seed))
}

fn key_words(key: &Key) -> [u64; 4] {
    let (words, _) = key.as_bytes().as_chunks::<WORD>();
    let mut key = [0; 4];
    for (to, from) in key.iter_mut().zip(words) {
        *to = u64::from_le_bytes(*from);
    }
    key
}

fn key_in(header: &Start) -> Key {
    let mut key = [0; 32];
    for (to, word) in key.chunks_exact_mut(WORD).zip(header.iter().skip(1)) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    Key::from_bytes(key)
}

/// The words before the payload. The last one is 0 unless the id was renewed.
type Header = [u64; HEADER_MAX];

/// The first words of a record: three units, which hold a payload of 256 bytes.
type Start = [u64; START];
const START: usize = 3 * (UNIT - 1);

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
