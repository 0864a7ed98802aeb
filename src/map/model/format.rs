//! The records of the models: a check, and two words with session and version.

use super::heap::Heap;
use super::size::UNIT_BYTES;
use super::table::Hash;
use super::word::Place;

/// A session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// Where in a table it belongs: the high bits.
    pub(super) position: u64,
    pub(super) id: u8,
}

impl Key {
    pub(super) fn hash(self) -> Hash {
        Hash::of(self.position, u64::from(self.id))
    }
}

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Whole { version: u64 },
    Damaged,
}

pub(super) fn write(heap: &Heap, place: Place, key: Key, version: u64) {
    let second = version << VERSION | u64::from(key.id);
    let words = [check(key.position, second), key.position, second].map(u64::to_le_bytes);
    let mut unit = [0; UNIT_BYTES];
    unit.copy_from_slice(words.as_flattened());
    heap.write_units(place, [&unit].into_iter());
}

/// Reads the record at `place`, if it is of this key.
pub(super) fn read(heap: &Heap, place: Place, key: Key) -> Option<Reading> {
    let (found, reading) = read_any(heap, place)?;
    (found == key).then_some(reading)
}

/// Reads whatever stands at `place`.
pub(super) fn read_any(heap: &Heap, place: Place) -> Option<(Key, Reading)> {
    let [unit] = heap.read_units(place)?;
    let (words, _) = unit.as_chunks();
    let [stored, position, second] = *words else { return None };
    let [stored, position, second] = [stored, position, second].map(u64::from_le_bytes);
    let version = second >> VERSION;
    let is_whole = stored == check(position, second);
    let reading = if is_whole { Reading::Whole { version } } else { Reading::Damaged };
    Some((Key { position, id: (second & 0x7f) as u8 }, reading))
}

/// Where in the index the key at `place` belongs.
pub(super) fn read_hash(heap: &Heap, place: Place) -> Hash {
    let mut words = heap.read(place, 1, 2).into_iter().flatten();
    Hash::of(words.next().unwrap_or(0), words.next().unwrap_or(0))
}

fn check(position: u64, second: u64) -> u64 {
    !(position ^ second)
}

/// The version's lowest bit in its word.
const VERSION: u32 = 8;
