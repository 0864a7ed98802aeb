//! Removing expired sessions, and finding space again that a killed process left, a bounded step at a
//! time: cell by cell through the heap.

use super::format::{self, Reading};
use super::room::{Room, hash_of};
use super::size::Extent;
use super::word::{Place, State, Use};
use crate::error::OpenError;
use crate::id::Key;
use crate::store::{SweepBudget, Swept};

/// Where a sweep goes on.
#[derive(Default)]
pub(super) struct Cursor {
    extent: u32,
    cell: u32,
    /// Free cells of this extent so far.
    free: u64,
}

enum Verdict {
    /// Nothing is there.
    Nothing,
    Kept,
    Removed,
}

impl Room {
    pub(super) fn sweep(&self, budget: SweepBudget) -> Result<Swept, OpenError> {
        let mut cursor = self.cursor.lock();
        let mut swept = Swept::default();
        let mut cells = budget.sessions.saturating_mul(CELLS_PER_SESSION);
        while swept.examined < budget.sessions && cells > 0 {
            if cursor.extent >= self.heap.extents() {
                *cursor = Cursor::default();
                swept.complete = true;
                break;
            }
            let extent = Extent(cursor.extent);
            let Some(class) = self.heap.class_of(extent) else {
                *cursor = Cursor { extent: cursor.extent + 1, ..Cursor::default() };
                continue;
            };
            if cursor.cell >= class.cells() {
                self.heap.set_free(extent, cursor.free);
                *cursor = Cursor { extent: cursor.extent + 1, ..Cursor::default() };
                continue;
            }
            let place = extent.place(class, cursor.cell);
            cursor.cell += 1;
            cells -= 1;
            match self.sweep_one(place) {
                Ok(Verdict::Nothing) => {
                    let free = self.heap.state(place).map(State::usage) == Some(Use::Free);
                    cursor.free += u64::from(free);
                    continue;
                }
                Ok(Verdict::Kept) => {}
                Ok(Verdict::Removed) => swept.removed += 1,
                Err(_) => swept.failed += 1,
            }
            swept.examined += 1;
        }
        Ok(swept)
    }

    /// Whether a cell is of no use to anybody.
    pub(super) fn is_leftover(&self, place: Place) -> Result<bool, OpenError> {
        let Some(state) = self.heap.state(place) else { return Ok(false) };
        if !self.is_settled(state)? {
            return Ok(false);
        }
        match format::read_any(&self.heap, place, self.seed) {
            None => Ok(true),
            Some((key, _)) => Ok(!self.is_indexed(place, &key)?),
        }
    }

    /// Whether nobody will put a cell in this state into the index any more.
    fn is_settled(&self, state: State) -> Result<bool, OpenError> {
        match state.usage() {
            Use::Free => Ok(false),
            Use::Live | Use::Ended => Ok(true),
            Use::Owned(owner) => {
                let is_gone = self.registry.is_gone(owner);
                Ok(is_gone.map_err(|error| self.io_error("look for the owners of", error))?)
            }
        }
    }

    /// Whether the index leads to this cell, whose record has this key.
    fn is_indexed(&self, place: Place, key: &Key) -> Result<bool, OpenError> {
        let read = |place| format::read(&self.heap, place, key, self.seed);
        let found = self.index.find(hash_of(key), read);
        let found = found.map_err(|error| self.io_error("read", error))?;
        Ok(found.is_some_and(|(spot, _)| spot.place() == Some(place)))
    }

    fn sweep_one(&self, place: Place) -> Result<Verdict, OpenError> {
        let Some(state) = self.heap.state(place) else { return Ok(Verdict::Nothing) };
        if self.is_settled(state)? { self.sweep_record(place, state) } else { Ok(Verdict::Nothing) }
    }

    /// Decides about a cell that nobody will put into the index any more: it is there, or it is
    /// given back.
    fn sweep_record(&self, place: Place, state: State) -> Result<Verdict, OpenError> {
        let Some((key, reading)) = format::read_any(&self.heap, place, self.seed) else {
            return Ok(Verdict::Nothing);
        };
        if !self.is_indexed(place, &key)? {
            let freed = self.give_back(&key, place, state, &reading);
            return Ok(if freed.unwrap_or(false) { Verdict::Removed } else { Verdict::Nothing });
        }
        let now = self.clock.now();
        self.confirm(Some(place), state);
        match reading {
            // Whoever opens it is told, and it goes to the quarantine.
            Reading::Damaged => Ok(Verdict::Kept),
            Reading::Whole(stored) if !stored.record.is_expired(now) => Ok(Verdict::Kept),
            Reading::Whole(_) => {
                let standing = self.look(&key)?;
                if !standing.record().is_some_and(|record| record.is_expired(now)) {
                    return Ok(Verdict::Kept);
                }
                let ended = self.end(&key, &standing);
                Ok(if ended.unwrap_or(false) { Verdict::Removed } else { Verdict::Kept })
            }
        }
    }
}

/// How many cells a sweep looks at for each session of its budget.
const CELLS_PER_SESSION: usize = 64;
