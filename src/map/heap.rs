//! The heap: cells that hold one record each, in extents of one cell size each.
//!
//! A cell is some units of 128 bytes. The first word of each unit is a [`State`] and never anything
//! else, whatever the size of the cells around it: so a process that was stopped in the middle
//! of giving a cell back can never hit the payload of a later one, and the state shares a cache line
//! with the beginning of the record.
//!
//! | a cell is | when | who may change that |
//! |---|---|---|
//! | free | nobody has it | anybody, by taking it |
//! | owned | a handle fills it, or keeps it for its next commit | its owner; when that is dead, anybody, unless the index leads here |
//! | live | its record was put into the index | who took the record out of the index; anybody who finds it is not there |
//! | ended | its session ends, in `Power` | the same |
//!
//! A record that left the index never comes back into it. Every change of hands is a compare-and-swap
//! that raises the use count, so it happens once. A
//! process killed at any point leaves cells that the sweep finds: free ones that no hint tells of,
//! owned ones of a dead owner, live ones that are not in the index.

// Not of `sync`: what it says is a hint of one handle, and no model turns on it.
use std::sync::atomic::AtomicU32;

use super::area::Area;
use super::order;
use super::size::{CLASSES, Class, Extent, UNIT, UNIT_BYTES, UNITS};
use super::word::{Owner, Place, State, Use};
use crate::sync::{Arc, AtomicU64, Ordering};

/// Cells, and the table of extents that says how they lie.
pub(super) struct Heap {
    cells: Area,
    extents: Arc<Area>,
    /// The word of `extents` that counts them; those of each extent follow at `first`.
    count: usize,
    first: usize,
    /// Where this handle found cells of each size last.
    found: Box<[AtomicU32]>,
}

/// A cell in the hands of its owner, which may write to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) place: Place,
    pub(super) state: State,
}

impl Heap {
    pub(super) fn new(cells: Area, extents: Arc<Area>, count: usize, first: usize) -> Self {
        let found = (0..CLASSES).map(|_| AtomicU32::new(0)).collect();
        Self { cells, extents, count, first, found }
    }

    pub(super) const fn cells(&self) -> &Area {
        &self.cells
    }

    /// How many extents there are.
    pub(super) fn extents(&self) -> u32 {
        let count = self.extents.word(self.count).map_or(0, |count| count.load(order::see_grown()));
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Says that there is one more extent than `extents`, unless somebody said it before. The file must have
    /// it already.
    pub(super) fn grown(&self, extents: u32) {
        if let Some(count) = self.extents.word(self.count) {
            let (old, new) = (u64::from(extents), u64::from(extents) + 1);
            let _ = count.compare_exchange(old, new, order::grown(), Ordering::Relaxed);
        }
    }

    /// The cell size of an extent, if it has one yet.
    pub(super) fn class_of(&self, extent: Extent) -> Option<Class> {
        // Relaxed, as are its changes: whoever takes a cell by it asks again, and to take a cell brings
        // along all changes of the size before.
        Class::decode(self.class_word(extent)?.load(Ordering::Relaxed))
    }

    /// Whether an extent has no cell size yet. One that makes no sense is not the same.
    pub(super) fn is_unassigned(&self, extent: Extent) -> bool {
        self.class_word(extent).is_some_and(|word| word.load(Ordering::Relaxed) == 0)
    }

    /// About how many cells of an extent are free.
    pub(super) fn free_in(&self, extent: Extent) -> u64 {
        self.hint(extent).map_or(0, |hint| hint.load(Ordering::Relaxed))
    }

    /// Corrects the number of free cells, which every kill makes wrong.
    pub(super) fn set_free(&self, extent: Extent, free: u64) {
        if let Some(hint) = self.hint(extent) {
            hint.store(free, Ordering::Relaxed);
        }
    }

    /// Gives an extent that has no cell size this one. Whether somebody else did not do it first.
    pub(super) fn assign(&self, extent: Extent, class: Class) -> bool {
        let Some(word) = self.class_word(extent) else { return false };
        let assigned =
            word.compare_exchange(0, class.encode(), Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if assigned {
            self.set_free(extent, u64::from(class.cells()));
        }
        assigned
    }

    /// Takes the cell size from an extent all of whose cells are free, so that it can have another.
    pub(super) fn unassign(&self, extent: Extent, class: Class, owner: Owner) -> bool {
        let is_free = |place| self.state(place).is_some_and(|state| state.usage() == Use::Free);
        // It looks first, so that it is in nobody's way where it cannot succeed.
        if !extent.places(class).all(is_free) {
            return false;
        }
        // Owned, every cell keeps others from taking it by this size. A unit within a cell is at most in
        // the hands of one who took it by an older size, and will see that it has changed.
        let mut taken = Vec::new();
        for place in extent.places(class) {
            match self.take(place, owner) {
                Some(cell) => taken.push(cell),
                None => break,
            }
        }
        let whole = taken.len() == extent.places(class).count();
        let done = whole
            && self.class_word(extent).is_some_and(|word| {
                let class = class.encode();
                word.compare_exchange(class, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            });
        for cell in taken {
            self.give_up(cell);
        }
        done
    }

    /// Takes a cell, if it is free.
    pub(super) fn take(&self, place: Place, owner: Owner) -> Option<Cell> {
        let word = self.state_word(place)?;
        let free = State(word.load(Ordering::Relaxed));
        if free.usage() != Use::Free {
            return None;
        }
        let state = free.next_owned(owner);
        word.compare_exchange(free.0, state.0, order::take(), Ordering::Relaxed).ok()?;
        Some(Cell { place, state })
    }

    /// Where cells of this size were found last, to go on from there: else a search would pass the same
    /// full extents, and the same used cells, again and again.
    pub(super) fn found(&self, class: Class) -> Place {
        self.found.get(class.index()).map_or(0, |found| found.load(Ordering::Relaxed))
    }

    /// Takes free cells of this size out of an extent, as many as are `wanted` or as there are; if the
    /// last ones were found here, from there on.
    pub(super) fn take_from(
        &self,
        extent: Extent,
        class: Class,
        owner: Owner,
        wanted: usize,
        cells: &mut Vec<Cell>,
    ) {
        let before = cells.len();
        let last = self.found(class);
        let goes_on = Extent::of(last) == extent && last != extent.head();
        // If there are too few: the next extent.
        let mut at = Extent(extent.0 + 1).head();
        for place in extent.places(class).skip_while(|place| goes_on && *place <= last) {
            cells.extend(self.take(place, owner));
            if cells.len() - before == wanted {
                at = place;
                break;
            }
        }
        if cells.len() == before && goes_on {
            let start = extent.places(class).take_while(|place| *place <= last);
            cells.extend(start.filter_map(|place| self.take(place, owner)).take(wanted));
        }
        if let Some(found) = self.found.get(class.index()) {
            found.store(at, Ordering::Relaxed);
        }
        let taken = cells.len() - before;
        // While a cell is owned the size of its extent stays; but it may have changed before.
        if self.class_of(extent) != Some(class) {
            for cell in cells.drain(before..) {
                self.give_up(cell);
            }
            return;
        }
        if let Some(hint) = self.hint(extent) {
            let is_exhausted = taken < wanted && !goes_on;
            let taken = if is_exhausted { u64::MAX } else { taken as u64 };
            let _ = hint.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| {
                Some(free.saturating_sub(taken))
            });
        }
    }

    /// The state of a cell.
    #[inline]
    pub(super) fn state(&self, place: Place) -> Option<State> {
        Some(State(self.state_word(place)?.load(order::see_state())))
    }

    /// Says that an owned cell is in the index now.
    #[inline]
    pub(super) fn mark_live(&self, cell: Cell) {
        if let Some(word) = self.state_word(cell.place) {
            // It fails if somebody took the record out of the index already.
            let _ = word.compare_exchange(
                cell.state.0,
                cell.state.live().0,
                order::live(),
                Ordering::Relaxed,
            );
        }
    }

    /// Takes over a cell whose record this handle took out of the index, and whose state was
    /// `seen` while the record was still in it. `None`: somebody else found the cell and gave it
    /// back.
    #[inline]
    pub(super) fn inherit(&self, place: Place, seen: State, owner: Owner) -> Option<Cell> {
        let word = self.state_word(place)?;
        let state = seen.next_owned(owner);
        // It may have been marked as live or ended since.
        for _ in 0..TRIES {
            let now = State(word.load(Ordering::Relaxed));
            if now.count() != seen.count() || now.usage() == Use::Free {
                return None;
            }
            if word.compare_exchange(now.0, state.0, order::inherit(), Ordering::Relaxed).is_ok() {
                return Some(Cell { place, state });
            }
        }
        None
    }

    /// Says that the session of a record ends, whose state was `seen` in the index.
    pub(super) fn mark_ended(&self, place: Place, seen: State) {
        if let Some(word) = self.state_word(place) {
            // Its writer may say at the same time that it is live.
            for seen in [seen, seen.live()] {
                let ended = seen.ended().0;
                let _ = word.compare_exchange(seen.0, ended, order::live(), Ordering::Relaxed);
            }
        }
    }

    /// Gives an owned cell back.
    pub(super) fn give_up(&self, cell: Cell) {
        self.free(cell.place, cell.state);
    }

    /// Gives a cell back whose state was `seen`; whether nobody else did.
    pub(super) fn free(&self, place: Place, seen: State) -> bool {
        let freed = self.state_word(place).is_some_and(|word| {
            let free = seen.next_free().0;
            word.compare_exchange(seen.0, free, order::free(), Ordering::Relaxed).is_ok()
        });
        if freed && let Some(hint) = self.hint(Extent::of(place)) {
            hint.fetch_add(1, Ordering::Relaxed);
        }
        freed
    }

    /// Writes so many words where nobody comes through the index.
    pub(super) fn write(&self, place: Place, count: usize, words: impl Iterator<Item = u64>) {
        let cells = self.data(place, count).into_iter().flatten();
        cells.zip(words).for_each(|(cell, word)| cell.store(word, Ordering::Relaxed));
    }

    /// Reads so many words of a record, from the one of number `first` on; `None`: there cannot be so
    /// many. They mean something only if the index still leads here afterwards.
    #[inline]
    pub(super) fn read(
        &self,
        place: Place,
        first: usize,
        count: usize,
    ) -> Option<impl Iterator<Item = u64>> {
        let cells = self.data(place, first + count)?.skip(first);
        Some(cells.map(|cell| cell.load(Ordering::Relaxed)))
    }

    /// Writes the data of units from `place` on, all of a cell that the caller owns. Nobody else sees them
    /// before the index leads here.
    #[inline]
    pub(super) fn write_units<'a>(
        &self,
        place: Place,
        units: impl Iterator<Item = &'a [u8; UNIT_BYTES]>,
    ) {
        order::reuse();
        for (place, bytes) in (place..).zip(units) {
            let Some([_, cells @ ..]) = self.cells.words(place as usize * UNIT, UNIT) else {
                return;
            };
            let (words, _) = bytes.as_chunks();
            for (cell, word) in cells.iter().zip(words) {
                cell.store(u64::from_le_bytes(*word), Ordering::Relaxed);
            }
        }
    }

    /// Reads the data of so many units, those beyond the extent as zeros. They mean something only if the
    /// index still leads here afterwards.
    ///
    /// Nothing is decided by what is read before all of it is, so that the processor fetches all cache
    /// lines at the same time.
    #[inline]
    pub(super) fn read_units<const N: usize>(&self, place: Place) -> Option<[[u8; UNIT_BYTES]; N]> {
        let mut units = [[0; UNIT_BYTES]; N];
        let left = UNITS - place as usize % UNITS;
        let words = self.cells.words(place as usize * UNIT, N.min(left) * UNIT)?;
        let (from, _) = words.as_chunks::<UNIT>();
        units.iter_mut().zip(from).for_each(|(to, from)| load(from, to));
        Some(units)
    }

    /// Appends so many bytes of data, from the unit of number `first` on,
    /// `None`: there cannot be so many.
    pub(super) fn append(
        &self,
        place: Place,
        first: usize,
        count: usize,
        bytes: &mut Vec<u8>,
    ) -> Option<()> {
        let end = first + count.div_ceil(UNIT_BYTES);
        // A record never goes beyond its extent, so neither does a damaged length.
        if end > UNITS - place as usize % UNITS {
            return None;
        }
        let words = self.cells.words((place as usize + first) * UNIT, (end - first) * UNIT)?;
        let mut unit = [0; UNIT_BYTES];
        let all = bytes.len() + count;
        for from in words.as_chunks::<UNIT>().0 {
            load(from, &mut unit);
            bytes.extend_from_slice(&unit);
        }
        bytes.truncate(all);
        Some(())
    }

    /// Says in an extent itself what its cells are, for a rebuild. The caller owns one of them, so
    /// that the size stays.
    pub(super) fn write_head(&self, extent: Extent, class: Class, seed: u64) {
        if self.read_head(extent, seed) != Some(class) {
            let head = [HEAD, seed, u64::from(extent.0), class.encode()];
            self.write(extent.head(), head.len(), head.into_iter());
        }
    }

    /// The cell size that an extent says it has.
    pub(super) fn read_head(&self, extent: Extent, seed: u64) -> Option<Class> {
        let mut head = self.read(extent.head(), 0, 4)?;
        let is_ours = [HEAD, seed, u64::from(extent.0)].into_iter().all(|w| head.next() == Some(w));
        if is_ours { Class::decode(head.next()?) } else { None }
    }

    /// Whether an extent says that it is something else than a part of this store. It may be written at
    /// this moment, word by word.
    pub(super) fn is_foreign(&self, extent: Extent, seed: u64) -> bool {
        let Some(mut head) = self.read(extent.head(), 0, 4) else { return false };
        let due = [HEAD, seed, u64::from(extent.0)];
        let is_other = |word: u64, due: u64| word != 0 && word != due;
        let is_foreign = due.into_iter().any(|due| is_other(head.next().unwrap_or(0), due));
        is_foreign || head.next().is_some_and(|class| class != 0 && Class::decode(class).is_none())
    }

    /// The cells of so many words of data: all words of the units but their states.
    #[inline]
    fn data(&self, place: Place, count: usize) -> Option<impl Iterator<Item = &AtomicU64>> {
        let start = place as usize * UNIT;
        let units = count.div_ceil(UNIT - 1);
        // A record never goes beyond its extent, so neither does a damaged length.
        let left = UNITS - place as usize % UNITS;
        let words = if units <= left { self.cells.words(start, units * UNIT) } else { None };
        Some(words?.chunks_exact(UNIT).flat_map(|unit| unit.iter().skip(1)).take(count))
    }

    fn state_word(&self, place: Place) -> Option<&AtomicU64> {
        self.cells.word(place as usize * UNIT)
    }

    fn class_word(&self, extent: Extent) -> Option<&AtomicU64> {
        self.extents.word(self.first + 2 * extent.number())
    }

    fn hint(&self, extent: Extent) -> Option<&AtomicU64> {
        self.extents.word(self.first + 2 * extent.number() + 1)
    }
}

/// Reads the data of a unit.
#[inline]
fn load(unit: &[AtomicU64; UNIT], to: &mut [u8; UNIT_BYTES]) {
    let (to, _) = to.as_chunks_mut();
    for (to, word) in to.iter_mut().zip(unit.iter().skip(1)) {
        *to = word.load(Ordering::Relaxed).to_le_bytes();
    }
}

/// The state of a cell changes at most twice while its record leaves the index.
const TRIES: usize = 64;

/// The mark of an extent.
const HEAD: u64 = u64::from_le_bytes(*b"cloakhp1");
