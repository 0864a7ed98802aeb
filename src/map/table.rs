//! The index: one table of entries, and how it gives way to the next.
//!
//! Linear probing from the slot that the key's high bits name. The first empty slot is taken by one
//! compare-and-swap with the final entry, and a slot is never empty again, so of two inserts of one
//! key both scan to the same slot and one wins it.
//!
//! # Rewriting
//!
//! A table that fills up gets a successor. Then each slot is frozen, which ends all changes to it,
//! its entry is put into the next table, and it is marked as moved. Anybody may do each step, and do
//! it again: nobody waits for whoever began. Why a step that is repeated late does no harm:
//!
//! - A session is worked on in the next table only after all slots where its entry could be were
//!   frozen and moved ([`settle`](Table::settle)). So as long as a slot is not marked as moved, its
//!   entry stands in the next table unchanged or not at all, and its record is not recycled.
//! - [`adopt`](Table::adopt) looks for that very entry on its way to the first empty slot, and asks
//!   then, once more, whether the old slot is unmarked. If so, nobody had moved it before; if somebody
//!   does it now, he takes the same empty slot, and one compare-and-swap fails.
//! - A table is frozen only after the one before it was moved as a whole. So when
//!   [`adopt`](Table::adopt) comes by a frozen slot, the old slot is marked.
//! - A table that was given back reads as [`Entry::GONE`], which no compare-and-swap expects.

use super::area::Area;
use super::order;
use super::word::{Entry, Place, TAG_MAX};
use crate::sync::{AtomicU64, Ordering};

/// One generation of the index.
pub(super) struct Table {
    area: Area,
    /// The number of slots is 2 to the power of this.
    log2: u32,
}

/// Where in a table a key belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hash {
    /// The high bits are the slot, so that all tables have the same order.
    pub(super) position: u64,
    pub(super) tag: u8,
}

impl Hash {
    /// That of a key, given its first two words: keys are hashes themselves.
    pub(super) fn of(first: u64, second: u64) -> Self {
        Self { position: first, tag: u8::try_from(second & u64::from(TAG_MAX)).unwrap_or(0) }
    }
}

/// What a search found.
pub(super) enum Sight<R> {
    /// The entry of the session, and what was read through it, whole.
    Found { slot: usize, entry: Entry, read: R },
    /// No such session; it would go to this slot.
    Absent { slot: usize },
    /// The next table knows.
    Elsewhere,
    /// The table is full.
    Full,
}

/// What freezing a slot found in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Was {
    Empty,
    Taken,
    Gone,
}

impl Table {
    pub(super) const fn new(area: Area, log2: u32) -> Self {
        Self { area, log2 }
    }

    pub(super) const fn area(&self) -> &Area {
        &self.area
    }

    pub(super) const fn log2(&self) -> u32 {
        self.log2
    }

    pub(super) const fn slots(&self) -> usize {
        1 << self.log2
    }

    /// Makes all slots empty. Before anybody else sees the table.
    pub(super) fn clear(&self) {
        for slot in self.slots_from(0) {
            slot.store(Entry::EMPTY.0, Ordering::Relaxed);
        }
    }

    /// Looks for a session. `read` reads the record at a place, `None` if it is another session's;
    /// what it returned counts only if the entry is still the same afterwards, else it is asked
    /// again.
    #[inline]
    pub(super) fn find<R>(&self, hash: Hash, mut read: impl FnMut(Place) -> Option<R>) -> Sight<R> {
        let mut moved = false;
        for slot in self.path(hash) {
            let Some(word) = self.slot(slot) else { return Sight::Elsewhere };
            loop {
                let entry = Entry(word.load(order::see()));
                match entry {
                    Entry::GONE => return Sight::Elsewhere,
                    Entry::EMPTY if moved => return Sight::Elsewhere,
                    Entry::EMPTY => return Sight::Absent { slot },
                    _ if entry == Entry::EMPTY.frozen() => return Sight::Elsewhere,
                    _ if entry.is_frozen() => {
                        if entry.place().is_some() && entry.tag() == hash.tag {
                            return Sight::Elsewhere;
                        }
                        // What fills the table is on its way out of it.
                        moved = true;
                    }
                    _ => {
                        if let Some(place) = entry.place()
                            && entry.tag() == hash.tag
                        {
                            let read = read(place);
                            order::second_look();
                            let is_same = word.load(Ordering::Relaxed) == entry.0;
                            if !is_same && order::keeps("the entry is looked at twice") {
                                continue;
                            }
                            if let Some(read) = read {
                                return Sight::Found { slot, entry, read };
                            }
                        }
                    }
                }
                break;
            }
        }
        if moved { Sight::Elsewhere } else { Sight::Full }
    }

    /// Puts `new` where `expected` stood, if it still does.
    #[inline]
    pub(super) fn replace(&self, slot: usize, expected: Entry, new: Entry) -> bool {
        self.swap(slot, expected, new, order::publish())
    }

    /// Puts `new` into a slot that was empty, if it still is.
    pub(super) fn insert(&self, slot: usize, new: Entry) -> bool {
        self.fill(slot, new, order::insert())
    }

    /// Ends a session's entry, if it is still this one.
    pub(super) fn end(&self, slot: usize, expected: Entry) -> bool {
        let is_kept = order::keeps("a slot is never empty again");
        let mark = if is_kept { Entry::DEAD } else { Entry::EMPTY };
        let ended = self.swap(slot, expected, mark, order::end());
        if ended {
            self.count(Counter::Dead, 1);
        }
        ended
    }

    /// Moves every slot where the entry of this key could be, so that from now on only the next table
    /// knows of it.
    pub(super) fn settle(&self, hash: Hash, next: &Self, key_of: &impl Fn(Place) -> Hash) {
        for slot in self.path(hash) {
            match self.retire(slot, next, key_of) {
                Was::Taken => {}
                Was::Empty | Was::Gone => return,
            }
        }
    }

    /// Moves the next part of the table that nobody has taken on, or one that somebody took on and
    /// did not finish. Returns whether all of it is moved.
    pub(super) fn help(&self, next: &Self, key_of: &impl Fn(Place) -> Hash) -> bool {
        if self.is_done() {
            return true;
        }
        let parts = self.parts();
        let number = usize::try_from(self.count(Counter::Cursor, 1)).unwrap_or(usize::MAX);
        if number < parts {
            self.move_part(number, next, key_of);
            return false;
        }
        for part in 0..parts {
            if self.part(part).is_some_and(|part| part.load(order::see_part()) == 0) {
                self.move_part(part, next, key_of);
            }
        }
        if let Some(done) = self.counter(Counter::Done) {
            done.store(1, order::done());
        }
        true
    }

    /// Whether all entries are in the next table.
    pub(super) fn is_done(&self) -> bool {
        self.counter(Counter::Done).is_some_and(|done| done.load(order::see_done()) != 0)
    }

    /// How many slots are not empty, and how many of these are of sessions that ended. About: who is
    /// killed at the wrong moment does not count.
    pub(super) fn load(&self) -> (u64, u64) {
        let read = |counter| self.counter(counter).map_or(0, |word| word.load(Ordering::Relaxed));
        (read(Counter::Used), read(Counter::Dead))
    }

    /// Reads the sessions whose keys are in the part of all keys that begins at `position`, about so
    /// many slots of it. Returns the position where that part ends; `None`: at the end of all.
    ///
    /// An entry is found from its slot on, so what is read includes some that are before
    /// `position` or beyond the end.
    pub(super) fn visit<R>(
        &self,
        position: u64,
        slots: usize,
        mut read: impl FnMut(Place) -> R,
        found: &mut Vec<R>,
    ) -> Option<u64> {
        let first = self.home(position);
        let last = first.saturating_add(slots.max(1)).min(self.slots());
        for number in first..first + self.slots() {
            let Some(word) = self.slot(number & (self.slots() - 1)) else { break };
            let entry = loop {
                let entry = Entry(word.load(order::walk()));
                let Some(place) = entry.place() else { break entry };
                let read = read(place);
                order::second_look_of_walk();
                if word.load(Ordering::Relaxed) == entry.0 {
                    found.push(read);
                    break entry;
                }
            };
            // Beyond the end as far as an entry of this part may have been pushed.
            if number >= last && matches!(entry.thawed(), Entry::EMPTY | Entry::GONE) {
                break;
            }
        }
        (last < self.slots())
            .then(|| u64::try_from(last).unwrap_or(u64::MAX) << (u64::BITS - self.log2))
    }

    /// The slots that lead to such places.
    pub(super) fn slots_to(
        &self,
        is_wanted: &impl Fn(Place) -> bool,
    ) -> impl Iterator<Item = (usize, Entry)> {
        let entries = self.slots_from(0).iter().map(|word| Entry(word.load(order::see())));
        entries.enumerate().filter(move |(_, entry)| entry.place().is_some_and(is_wanted))
    }

    fn move_part(&self, number: usize, next: &Self, key_of: &impl Fn(Place) -> Hash) {
        let first = number * PART;
        for slot in first..(first + PART).min(self.slots()) {
            self.retire(slot, next, key_of);
        }
        if let Some(part) = self.part(number) {
            part.store(1, order::part());
        }
    }

    /// Freezes a slot and moves its entry.
    fn retire(&self, slot: usize, next: &Self, key_of: &impl Fn(Place) -> Hash) -> Was {
        let Some(word) = self.slot(slot) else { return Was::Gone };
        let mut entry = Entry(word.load(order::retire()));
        let is_kept = order::keeps("a slot is frozen before it moves");
        while entry != Entry::GONE && !entry.is_frozen() && is_kept {
            let (old, new) = (entry.0, entry.frozen().0);
            match word.compare_exchange_weak(old, new, order::freeze(), order::retire()) {
                Ok(_) => entry = entry.frozen(),
                Err(now) => entry = Entry(now),
            }
        }
        match entry.place() {
            _ if entry == Entry::EMPTY.frozen() => Was::Empty,
            _ if entry == Entry::GONE => Was::Gone,
            None => Was::Taken,
            Some(place) => {
                let hash = key_of(place);
                order::second_look_of_move();
                let stands = || word.load(order::stands()) == entry.0;
                // Unless it still stands, the record may have been another one already.
                if stands() {
                    next.adopt(hash, entry, stands);
                    // Relaxed on failure: somebody else has moved it.
                    let _ = word.compare_exchange(
                        entry.0,
                        Entry::MOVED.0,
                        order::moved(),
                        Ordering::Relaxed,
                    );
                }
                Was::Taken
            }
        }
    }

    /// Takes in an entry of the table before, as long as it `stands` there.
    fn adopt(&self, hash: Hash, frozen: Entry, stands: impl Fn() -> bool) {
        let entry = frozen.thawed();
        for slot in self.path(hash) {
            let Some(word) = self.slot(slot) else { return };
            loop {
                let found = Entry(word.load(order::see_next()));
                match found {
                    // This table was moved itself, so the entry was, long ago.
                    Entry::GONE => return,
                    _ if found == entry => return,
                    Entry::EMPTY => {
                        let is_late = !stands() && order::keeps("what is moved late must stand");
                        if is_late || self.fill(slot, entry, order::adopt()) {
                            return;
                        }
                        continue;
                    }
                    _ => {}
                }
                break;
            }
        }
    }

    /// Puts `new` into an empty slot, if it still is.
    fn fill(&self, slot: usize, new: Entry, order: Ordering) -> bool {
        let filled = self.swap(slot, Entry::EMPTY, new, order);
        if filled {
            self.count(Counter::Used, 1);
        }
        filled
    }

    #[inline]
    fn swap(&self, slot: usize, expected: Entry, new: Entry, order: Ordering) -> bool {
        // Relaxed on failure: the caller looks again.
        self.slot(slot).is_some_and(|word| {
            word.compare_exchange(expected.0, new.0, order, Ordering::Relaxed).is_ok()
        })
    }

    /// The slots where a key can be, in order.
    fn path(&self, hash: Hash) -> impl Iterator<Item = usize> {
        let (first, mask) = (self.home(hash.position), self.slots() - 1);
        (0..self.slots()).map(move |step| (first + step) & mask)
    }

    fn home(&self, position: u64) -> usize {
        usize::try_from(position >> (u64::BITS - self.log2)).unwrap_or(0)
    }

    fn slot(&self, number: usize) -> Option<&AtomicU64> {
        self.area.word(first_slot(self.log2) + number)
    }

    fn slots_from(&self, number: usize) -> &[AtomicU64] {
        let count = self.slots().saturating_sub(number);
        self.area.words(first_slot(self.log2) + number, count).unwrap_or_default()
    }

    /// How many parts are moved, each at a time.
    pub(super) const fn parts(&self) -> usize {
        self.slots().div_ceil(PART)
    }

    fn part(&self, number: usize) -> Option<&AtomicU64> {
        self.area.word(HEADER + number)
    }

    /// Adds to a counter; returns what it was.
    fn count(&self, counter: Counter, more: u64) -> u64 {
        self.counter(counter).map_or(u64::MAX, |word| word.fetch_add(more, Ordering::Relaxed))
    }

    fn counter(&self, counter: Counter) -> Option<&AtomicU64> {
        self.area.word(counter as usize)
    }
}

/// Words of the header that change, each in a cache line of its own.
#[derive(Clone, Copy)]
#[repr(usize)]
enum Counter {
    /// Whether all entries are in the next table.
    Done = LINE,
    /// Slots that are not empty.
    Used = 2 * LINE,
    /// Slots of sessions that ended.
    Dead = 3 * LINE,
    /// The next part to be moved.
    Cursor = 4 * LINE,
}

/// Words of a cache line.
const LINE: usize = if cfg!(any(shuttle, model = "loom")) { 1 } else { 8 };

/// Words before the words of the parts.
pub(super) const HEADER: usize = if cfg!(any(shuttle, model = "loom")) { 5 } else { 512 };

/// Slots that are moved at a time.
const PART: usize = if cfg!(any(shuttle, model = "loom")) { 2 } else { 512 };

/// The word of the first slot. Header and parts fill whole pages, so that they stay when the slots
/// are given back.
pub(super) const fn first_slot(log2: u32) -> usize {
    let parts = (1_usize << log2).div_ceil(PART);
    HEADER + parts.next_multiple_of(HEADER)
}

/// How many words a table of this size takes.
pub(super) const fn words(log2: u32) -> usize {
    first_slot(log2) + (1 << log2)
}
