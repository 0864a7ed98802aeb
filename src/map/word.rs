//! The two kinds of words that everything turns on: an entry of the index and the state of a cell.

use super::order;

/// A number of a unit in the heap, where a record begins. Never 0.
pub(super) type Place = u32;

/// One slot of the index.
///
/// | bits | meaning |
/// |---|---|
/// | 63 | frozen: the slot takes no more changes, its content belongs to the next table |
/// | 56-62 | tag: seven bits of the key, so that most misses touch no record |
/// | 28-55 | place of the record; 0: none, and the turn says which of the marks below |
/// | 0-27 | turn: one more with each change, so that an expected value does not recur |
///
/// The turn comes round after 2^28 changes of one session. A process would have to be stopped
/// between its look and its commit for exactly so many, and the record would have to be in the
/// same place again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry(pub(super) u64);

impl Entry {
    /// What a hole in the file reads as: the table was given back.
    pub(super) const GONE: Self = Self(0);
    /// Never used.
    pub(super) const EMPTY: Self = Self(1);
    /// Its session ended. It stays so until the table is rewritten.
    pub(super) const DEAD: Self = Self(2);
    /// Its content is in the next table.
    pub(super) const MOVED: Self = Self(3 | FROZEN);

    /// The first entry of a session.
    pub(super) fn new(tag: u8, place: Place) -> Self {
        debug_assert!(place != 0 && place <= PLACE_MAX);
        Self(u64::from(tag & TAG_MAX) << 56 | u64::from(place) << 28)
    }

    /// The entry after this one, for a record in another place.
    pub(super) fn next(self, place: Place) -> Self {
        let one = u64::from(order::keeps("an entry has a turn"));
        let turn = (self.0 + one) & TURN_MASK;
        Self(u64::from(self.tag()) << 56 | u64::from(place) << 28 | turn)
    }

    /// The record's place; `None` for the marks.
    pub(super) fn place(self) -> Option<Place> {
        let place = u32::try_from(self.0 >> 28 & u64::from(PLACE_MAX)).unwrap_or(0);
        (place != 0).then_some(place)
    }

    pub(super) fn tag(self) -> u8 {
        u8::try_from(self.0 >> 56).unwrap_or(0) & TAG_MAX
    }

    pub(super) const fn is_frozen(self) -> bool {
        self.0 & FROZEN != 0
    }

    pub(super) const fn frozen(self) -> Self {
        Self(self.0 | FROZEN)
    }

    pub(super) const fn thawed(self) -> Self {
        Self(self.0 & !FROZEN)
    }
}

const FROZEN: u64 = 1 << 63;
const TURN_MASK: u64 = (1 << 28) - 1;

/// The highest tag.
pub(super) const TAG_MAX: u8 = 0x7f;

/// The highest place.
pub(super) const PLACE_MAX: Place = (1 << 28) - 1;

/// The state of a cell: the first word of its first unit.
///
/// | bits | meaning |
/// |---|---|
/// | 32-63 | use: one more each time the cell is given back or passed on |
/// | 30-31 | free, owned, live, ended |
/// | 0-29 | the owner, while it is owned |
///
/// Whoever ends a use does it by compare-and-swap from the value it saw while the record was in the
/// index. So a cell is given back once, however many processes find that it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State(pub(super) u64);

/// Who owns a cell: the number of a handle in the registry, and how often that number was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner(pub(super) u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// For anybody to take.
    Free,
    /// In the hands of a handle: not in the index yet, or just put there.
    Owned(Owner),
    /// Its record was put into the index.
    Live,
    /// Its session ends, in `Power`: a rebuild takes neither this record nor one before it. It may be in
    /// the index still.
    Ended,
}

impl State {
    pub(super) fn usage(self) -> Use {
        match self.0 >> 30 & 3 {
            1 => Use::Owned(Owner(u32::try_from(self.0 & OWNER_MASK).unwrap_or(0))),
            2 => Use::Live,
            3 => Use::Ended,
            _ => Use::Free,
        }
    }

    /// Which use of the cell this is.
    pub(super) const fn count(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The same use, in the index.
    pub(super) const fn live(self) -> Self {
        Self((self.0 & COUNT_MASK) | 2 << 30)
    }

    /// The same use, of a session that ends.
    pub(super) const fn ended(self) -> Self {
        Self((self.0 & COUNT_MASK) | 3 << 30)
    }

    /// The next use, for anybody.
    pub(super) fn next_free(self) -> Self {
        let one = u64::from(order::keeps("a state has a use count"));
        Self((self.0 & COUNT_MASK).wrapping_add(one << 32))
    }

    /// The next use, in the hands of `owner`.
    pub(super) fn next_owned(self, owner: Owner) -> Self {
        Self(self.next_free().0 | 1 << 30 | u64::from(owner.0))
    }
}

const OWNER_MASK: u64 = (1 << 30) - 1;
const COUNT_MASK: u64 = !((1 << 32) - 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_keeps_its_parts_apart() {
        let first = Entry::new(0x55, PLACE_MAX);
        assert_eq!((first.tag(), first.place()), (0x55, Some(PLACE_MAX)));
        let second = first.next(7);
        assert_eq!((second.tag(), second.place()), (0x55, Some(7)));
        assert_ne!(second.next(7), second, "the turn differs");
        assert!(second.frozen().is_frozen() && !second.is_frozen());
        assert_eq!(second.frozen().place(), Some(7));
    }

    #[test]
    fn the_turn_comes_round_without_touching_its_neighbours() {
        let last = Entry(Entry::new(1, 9).0 | TURN_MASK);
        assert_eq!(last.next(9), Entry::new(1, 9));
    }

    #[test]
    fn marks_lead_nowhere() {
        for mark in [Entry::GONE, Entry::EMPTY, Entry::DEAD, Entry::MOVED, Entry::EMPTY.frozen()] {
            assert_eq!(mark.place(), None, "{mark:?}");
        }
    }

    #[test]
    fn each_use_of_a_cell_has_another_state() {
        let owner = Owner(OWNER_MASK as u32);
        let new = State(0);
        assert_eq!(new.usage(), Use::Free);
        let owned = new.next_owned(owner);
        assert_eq!(owned.usage(), Use::Owned(owner));
        assert_eq!(owned.live().usage(), Use::Live);
        assert_eq!(owned.live().ended().usage(), Use::Ended);
        assert_eq!([owned.live().count(), owned.ended().count()], [owned.count(); 2]);
        let freed = owned.live().next_free();
        assert_eq!((freed.usage(), freed.count()), (Use::Free, owned.count() + 1));
        assert_eq!(State(u64::MAX).next_free().count(), 0, "it comes round");
    }
}
