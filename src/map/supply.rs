//! Where a commit gets its cell, and where the cell goes that it replaced.

use std::io;

use super::heap::Cell;
use super::room::{Room, Sighting};
use super::size::{Class, EXTENT, EXTENTS_MAX, Extent};
use super::stash::Stash;
use crate::error::{CommitError, write_error};

impl Room {
    /// An owned cell of this size.
    pub(super) fn cell(&self, class: Class) -> Result<Cell, CommitError> {
        if let Some(cell) = self.kept(class) {
            return Ok(cell);
        }
        // First, so that it goes on when nothing else does because the disk is full.
        self.drain(class)?;
        self.spare(class).map_or_else(|| self.cell_of_new_extent(class), Ok)
    }

    /// The same, if there is one at hand or in the extents of this size.
    pub(super) fn spare(&self, class: Class) -> Option<Cell> {
        self.kept(class).or_else(|| self.found(class))
    }

    /// A cell that was kept.
    #[inline]
    fn kept(&self, class: Class) -> Option<Cell> {
        loop {
            let cell = self.stash.take(class)?;
            if !self.is_draining(Extent::of(cell.place)) {
                return Some(cell);
            }
            self.heap.give_up(cell);
        }
    }

    /// A cell of the extents of this size, others of which are kept.
    fn found(&self, class: Class) -> Option<Cell> {
        let mut cells = Vec::new();
        let Extent(last) = Extent::of(self.heap.found(class));
        (last..self.heap.extents()).chain(0..=last).map(Extent).find_map(|extent| {
            let has_room = self.heap.class_of(extent) == Some(class)
                && self.heap.free_in(extent) > 0
                && !self.is_draining(extent);
            if has_room { self.take_from(extent, class, &mut cells) } else { None }
        })
    }

    /// A cell of an extent that had no cell size yet, or no cell in use; else the heap grows.
    fn cell_of_new_extent(&self, class: Class) -> Result<Cell, CommitError> {
        let mut cells = Vec::new();
        loop {
            let extents = self.heap.extents();
            let unassigned = (0..extents)
                .map(Extent)
                .find(|extent| self.heap.is_unassigned(*extent) || self.is_given_up(*extent));
            match unassigned {
                Some(extent) => {
                    self.heap.assign(extent, class);
                    if self.heap.class_of(extent) == Some(class)
                        && let Some(cell) = self.take_from(extent, class, &mut cells)
                    {
                        return Ok(cell);
                    }
                }
                None => {
                    self.begin_drain();
                    self.grow(extents)?;
                }
            }
        }
    }

    /// Takes cells out of an extent: one of them; the others go to the stash.
    fn take_from(&self, extent: Extent, class: Class, cells: &mut Vec<Cell>) -> Option<Cell> {
        self.heap.take_from(extent, class, self.registry.me(), Stash::batch(class), cells);
        let cell = cells.pop()?;
        self.heap.write_head(extent, class, self.seed);
        for cell in cells.drain(..) {
            self.keep(class, cell);
        }
        Some(cell)
    }

    /// Whether an extent had cells of another size, all free, and has none now.
    pub(super) fn is_given_up(&self, extent: Extent) -> bool {
        self.heap.class_of(extent).is_some_and(|class| {
            self.heap.free_in(extent) >= u64::from(class.cells())
                && self.heap.unassign(extent, class, self.registry.me())
        })
    }

    /// Makes the heap one extent longer than `extents`, unless somebody has.
    fn grow(&self, extents: u32) -> Result<(), CommitError> {
        if extents >= EXTENTS_MAX {
            let text = format!(
                "the heap has reached {} GiB, its limit",
                (u64::from(EXTENTS_MAX) * EXTENT) >> 30
            );
            let error = io::Error::new(io::ErrorKind::StorageFull, text);
            return Err(CommitError::OutOfSpace(self.io_error("grow", error)));
        }
        let grown = self.fs.allocate(self.heap_file(), u64::from(extents) * EXTENT, EXTENT);
        grown.map_err(|error| write_error(self.io_error("grow", error)))?;
        self.heap.grown(extents);
        Ok(())
    }

    /// Takes over the cell of a record that this handle took out of the index.
    pub(super) fn inherit(&self, Sighting { spot, state }: Sighting) {
        let cell =
            spot.place().and_then(|place| self.heap.inherit(place, state, self.registry.me()));
        if let Some(cell) = cell {
            match self.heap.class_of(Extent::of(cell.place)) {
                Some(class) => self.keep(class, cell),
                None => self.heap.give_up(cell),
            }
        }
    }

    /// Keeps a cell for the next commits, or gives it back.
    pub(super) fn keep(&self, class: Class, cell: Cell) {
        let left = if self.is_draining(Extent::of(cell.place)) {
            Some(cell)
        } else {
            self.stash.keep(class, cell)
        };
        if let Some(cell) = left {
            self.heap.give_up(cell);
        }
    }
}
