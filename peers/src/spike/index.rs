//! The index: linear probing, one word for each session: tag, place, turn.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use anyhow::{Result, bail};
use cloakroom::Key;

use super::mapped::Mapped;

pub struct Index {
    slots: Mapped,
    log2: u32,
}

/// One session's entry, as it was seen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entry(u64);

impl Entry {
    pub fn place(self) -> usize {
        ((self.0 >> 28) & PLACE_MAX) as usize
    }

    fn new(tag: u64, place: usize) -> Self {
        Self(tag << 56 | (place as u64 & PLACE_MAX) << 28)
    }

    fn next(self, place: usize) -> Self {
        let turn = (self.0 + 1) & PLACE_MAX;
        Self(self.0 >> 56 << 56 | (place as u64 & PLACE_MAX) << 28 | turn)
    }
}

impl Index {
    /// As full as MapStore's table is after it has grown.
    pub fn open(directory: &Path, sessions: u64) -> Result<Self> {
        let log2 = (sessions * 8 / 3).max(1).next_power_of_two().ilog2();
        Ok(Self { slots: Mapped::open(&directory.join("index"), 1 << log2)?, log2 })
    }

    /// Looks for the session of `key`; `read` reads the record at a place, `None` if it is another
    /// session's or none.
    pub fn find<T>(&self, key: &Key, read: impl Fn(Entry) -> Option<T>) -> Option<(Seat<'_>, T)> {
        let (tag, path) = self.path(key.as_bytes());
        for slot in path {
            loop {
                let entry = Entry(slot.load(Ordering::Acquire));
                if entry.0 == 0 {
                    return None;
                }
                if entry.0 >> 56 != tag {
                    break;
                }
                let found = read(entry);
                // The second look: what was read counts if the entry still leads there.
                fence(Ordering::Acquire);
                if slot.load(Ordering::Relaxed) != entry.0 {
                    continue;
                }
                match found {
                    Some(found) => return Some((Seat { slot, entry }, found)),
                    None => break,
                }
            }
        }
        None
    }

    /// Where the record of `key` stands, if it is at `place`.
    pub fn seat_of(&self, key: &[u8; 32], place: usize) -> Option<Seat<'_>> {
        let (tag, path) = self.path(key);
        path.map(|slot| Seat { slot, entry: Entry(slot.load(Ordering::Acquire)) })
            .take_while(|seat| seat.entry.0 != 0)
            .find(|seat| seat.entry.0 >> 56 == tag && seat.entry.place() == place)
    }

    /// Takes in a new session.
    pub fn insert(&self, key: &Key, place: usize) -> Result<()> {
        let (tag, mut path) = self.path(key.as_bytes());
        let entry = Entry::new(tag, place).0;
        let mut free = |slot: &AtomicU64| {
            slot.compare_exchange(0, entry, Ordering::Release, Ordering::Relaxed).is_ok()
        };
        if path.any(&mut free) { Ok(()) } else { bail!("the spike's index is full") }
    }

    fn path(&self, key: &[u8; 32]) -> (u64, impl Iterator<Item = &AtomicU64>) {
        let (words, _) = key.as_chunks();
        let word = |index: usize| words.get(index).map_or(0, |word| u64::from_le_bytes(*word));
        let (slots, mask) = (self.slots.words(), (1 << self.log2) - 1);
        let first = (word(0) >> (64 - self.log2)) as usize;
        // Never 0, so that no entry is.
        let tag = word(1) & 0x7f | 0x80;
        (tag, (0..slots.len()).filter_map(move |step| slots.get((first + step) & mask)))
    }
}

/// A session's slot, and what stood in it.
pub struct Seat<'a> {
    slot: &'a AtomicU64,
    pub entry: Entry,
}

impl Seat<'_> {
    /// Leads the session to `place`, if it still is where it was.
    pub fn lead_to(&self, place: usize) -> bool {
        let next = self.entry.next(place).0;
        let (set, get) = (Ordering::Release, Ordering::Relaxed);
        self.slot.compare_exchange(self.entry.0, next, set, get).is_ok()
    }
}

const PLACE_MAX: u64 = (1 << 28) - 1;
