//! Sizes: units, extents, and the classes of cells.

use super::word::{PLACE_MAX, Place};

/// Words of a unit; the first is a state, the others hold data.
pub(super) const UNIT: usize = if cfg!(any(shuttle, model = "loom")) { 4 } else { 16 };

/// Bytes of data in a unit.
pub(super) const UNIT_BYTES: usize = (UNIT - 1) * size_of::<u64>();

/// Units of an extent: 2 MiB.
pub(super) const UNITS: usize = if cfg!(any(shuttle, model = "loom")) { 4 } else { 16_384 };

/// Bytes of an extent.
pub(super) const EXTENT: u64 = (UNITS * UNIT * size_of::<u64>()) as u64;

/// As many extents as places can name: 32 GiB.
pub(super) const EXTENTS_MAX: u32 = (PLACE_MAX + 1) / UNITS as u32;

/// A cell size: so many units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class(u8);

impl Class {
    pub(super) const SMALLEST: Self = Self(0);

    /// Each size there is.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..CLASSES).map(Self)
    }

    /// The smallest cells that hold so many words of data; `None`: none does.
    pub(super) fn for_words(words: usize) -> Option<Self> {
        let units = words.div_ceil(UNIT - 1);
        // The sizes up to 16 are all there.
        if (1..=16).contains(&units) && UNITS > 16 {
            return u8::try_from(units - 1).ok().map(Self);
        }
        Self::all().find(|class| class.units() >= units)
    }

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Units of a cell: 1 to 16, then four sizes for each doubling, up to a whole extent.
    pub(super) fn units(self) -> usize {
        const STEPS: [usize; 4] = [20, 24, 28, 32];
        let units = match usize::from(self.0) {
            small @ 0..16 => small + 1,
            large => {
                let large = large - 16;
                STEPS.get(large % 4).copied().unwrap_or(0) << (large / 4)
            }
        };
        units.min(UNITS - 1)
    }

    /// How many cells an extent has.
    pub(super) fn cells(self) -> u32 {
        u32::try_from((UNITS - 1) / self.units()).unwrap_or(0)
    }

    /// As a word; never 0.
    pub(super) fn encode(self) -> u64 {
        u64::from(self.0) + 1
    }

    pub(super) fn decode(word: u64) -> Option<Self> {
        let class = u8::try_from(word.checked_sub(1)?).ok()?;
        (class < CLASSES).then_some(Self(class))
    }
}

/// 16 small ones, and four for each doubling up to the one that fills an extent.
pub(super) const CLASSES: u8 = if cfg!(any(shuttle, model = "loom")) { 2 } else { 16 + 4 * 10 };

/// The number of an extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent(pub(super) u32);

impl Extent {
    pub(super) fn of(place: Place) -> Self {
        Self(place / UNITS as u32)
    }

    pub(super) fn number(self) -> usize {
        self.0 as usize
    }

    /// Its first unit, which holds no cell but says what the extent is.
    pub(super) fn head(self) -> Place {
        self.0 * UNITS as u32
    }

    /// Where its cells of this size are.
    pub(super) fn places(self, class: Class) -> impl Iterator<Item = Place> {
        (0..class.cells()).map(move |cell| self.place(class, cell))
    }

    /// Where its cell of this number is.
    pub(super) fn place(self, class: Class, cell: u32) -> Place {
        self.head() + 1 + cell * class.units() as u32
    }
}

#[cfg(all(test, not(any(shuttle, model = "loom"))))]
mod tests {
    use super::*;

    #[test]
    fn every_size_of_record_has_a_cell_that_wastes_at_most_a_fifth() {
        for units in 1..UNITS {
            let class = Class::for_words(units * (UNIT - 1)).map(Class::units);
            let class = class.unwrap_or_default();
            assert!(class >= units, "{units}: {class}");
            assert!(class <= units.max(16) * 5 / 4, "{units}: {class}");
        }
        assert_eq!(Class::for_words(UNITS * (UNIT - 1)), None);
    }

    #[test]
    fn the_largest_cell_fills_an_extent() {
        let sizes: Vec<_> = Class::all().map(Class::units).collect();
        assert!(sizes.is_sorted_by(|a, b| a < b), "{sizes:?}");
        assert_eq!(sizes.last(), Some(&(UNITS - 1)));
    }

    #[test]
    fn cells_lie_side_by_side_within_their_extent() {
        for class in Class::all() {
            let extent = Extent(3);
            let last = extent.places(class).last().unwrap_or_default();
            assert!(last + class.units() as u32 <= extent.head() + UNITS as u32);
            assert!(extent.places(class).all(|place| Extent::of(place) == extent));
        }
    }
}
