//! Cells that a handle keeps for its next commits. Most commits free as large a cell as the next one
//! needs, and its bytes are still in the processor's cache.

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;

use super::heap::Cell;
use super::keys::{THREADS, thread_number};
use super::size::{CLASSES, Class};

/// Owned cells, by size. No thread waits for another here: where one is busy, others pass by.
pub(super) struct Stash {
    shelves: Box<[CachePadded<Mutex<Shelf>>]>,
}

type Shelf = Vec<Vec<Cell>>;

impl Stash {
    pub(super) fn new() -> Self {
        let shelf = || CachePadded::new(Mutex::new(vec![Vec::new(); usize::from(CLASSES)]));
        Self { shelves: (0..THREADS).map(|_| shelf()).collect() }
    }

    /// A cell of this size, if one is at hand.
    #[inline]
    pub(super) fn take(&self, class: Class) -> Option<Cell> {
        let mut shelf = self.mine()?.try_lock()?;
        shelf.get_mut(class.index())?.pop()
    }

    /// Keeps `cells`; hands back those that there is no room for.
    #[inline]
    pub(super) fn keep(&self, class: Class, cell: Cell) -> Option<Cell> {
        let room = CELLS_MAX.min(UNITS_MAX / class.units());
        let Some(mut shelf) = self.mine().and_then(|shelf| shelf.try_lock()) else {
            return Some(cell);
        };
        match shelf.get_mut(class.index()) {
            Some(cells) if cells.len() < room => {
                cells.push(cell);
                None
            }
            _ => Some(cell),
        }
    }

    /// How many cells of this size to take at a time.
    pub(super) fn batch(class: Class) -> usize {
        (CELLS_MAX / 2).min(UNITS_MAX / 2 / class.units()).max(1)
    }

    /// All cells, when the handle ends.
    pub(super) fn empty(&self) -> Vec<Cell> {
        let take = |shelf: &CachePadded<Mutex<Shelf>>| -> Vec<Cell> {
            shelf.lock().iter_mut().flat_map(std::mem::take).collect()
        };
        self.shelves.iter().flat_map(take).collect()
    }

    fn mine(&self) -> Option<&Mutex<Shelf>> {
        self.shelves.get(thread_number() % THREADS).map(|shelf| &**shelf)
    }
}

/// The most cells of one size on a shelf, and the most units in all of them.
const CELLS_MAX: usize = 32;
const UNITS_MAX: usize = 256;
