//! Removing expired sessions, and finding space again that a killed process left, a bounded step at a
//! time: cell by cell through the heap.

use super::format::{self, Reading};
use super::room::{Room, Sighting, Standing};
use super::size::Extent;
use super::word::{Place, State, Use};
use crate::error::{CommitError, OpenError};
use crate::id::Key;
use crate::store::{SweepBudget, Swept};

/// Where a sweep goes on, in a round through all extents.
///
/// Each round begins with another cell, or processes that live shortly would sweep the same ones again and
/// again.
#[derive(Default)]
pub(super) struct Cursor {
    /// The extents of this round; 0: it has not begun.
    extents: u32,
    /// Where it began, and so where it ends.
    first: u32,
    first_cell: u32,
    /// Extents that are passed.
    passed: u32,
    cell: u32,
}

/// What a cell is to the sweep.
enum Verdict {
    /// Nobody's, or in the hands of somebody alive.
    Nothing,
    /// The index leads here.
    Kept(State),
    /// The same, and its session has expired.
    Expired(Key),
    /// It is whole, and the index does not lead here.
    Unwanted(Unwanted),
    /// It is damaged, perhaps its key, too, so that only the whole index knows whether it leads here.
    Damaged(Place, State),
}

/// A cell that is to be given back, if it still is in this state.
struct Unwanted {
    key: Key,
    place: Place,
    state: State,
    /// The cells of the records before this one.
    older: Vec<(Place, State)>,
}

/// What a step of the sweep found.
#[derive(Default)]
struct Finds {
    expired: Vec<Key>,
    unwanted: Vec<Unwanted>,
    damaged: Vec<(Place, State)>,
}

impl Cursor {
    fn extent(&self) -> Extent {
        let extent = (self.first + self.passed).checked_rem(self.extents);
        Extent(extent.unwrap_or(0))
    }

    fn pass(&mut self) {
        self.passed += 1;
        self.cell = 0;
    }

    const fn is_round(&self) -> bool {
        self.passed > self.extents || self.passed == self.extents && self.cell >= self.first_cell
    }
}

impl Room {
    pub(super) fn sweep(&self, budget: SweepBudget) -> Result<Swept, OpenError> {
        let mut swept = Swept::default();
        let mut finds = Finds::default();
        self.look_around(budget, &mut swept, &mut finds);
        finds.unwanted.extend(self.not_led_to(finds.damaged)?);
        match self.end_expired(&finds.expired) {
            Ok(ended) => swept.removed += ended,
            Err(_) => swept.failed += finds.expired.len(),
        }
        match self.give_back(&finds.unwanted) {
            Ok(freed) => swept.removed += freed,
            Err(_) => swept.failed += finds.unwanted.len(),
        }
        Ok(swept)
    }

    /// Goes through so many cells that hold something.
    fn look_around(&self, budget: SweepBudget, swept: &mut Swept, finds: &mut Finds) {
        let mut cursor = self.cursor.lock();
        if cursor.extents == 0 {
            *cursor = self.new_round();
        }
        let mut cells = budget.sessions.saturating_mul(CELLS_PER_SESSION);
        while swept.examined < budget.sessions && cells > 0 {
            if cursor.is_round() {
                *cursor = Cursor::default();
                swept.complete = true;
                break;
            }
            let extent = cursor.extent();
            let Some(class) = self.heap.class_of(extent) else {
                cursor.pass();
                continue;
            };
            if cursor.cell >= class.cells() {
                let free = extent.places(class).filter(|place| self.is_free(*place)).count();
                self.heap.set_free(extent, free as u64);
                cursor.pass();
                continue;
            }
            let place = extent.place(class, cursor.cell);
            cursor.cell += 1;
            cells -= 1;
            match self.judge(place) {
                Ok(Verdict::Nothing) => continue,
                Ok(Verdict::Kept(state)) => self.confirm(Some(place), state),
                Ok(Verdict::Expired(key)) => finds.expired.push(key),
                Ok(Verdict::Unwanted(unwanted)) => finds.unwanted.push(unwanted),
                Ok(Verdict::Damaged(place, state)) => finds.damaged.push((place, state)),
                Err(_) => swept.failed += 1,
            }
            swept.examined += 1;
        }
    }

    fn new_round(&self) -> Cursor {
        let mut random = [[0; 4]; 2];
        // Without it the round begins with the first cell.
        let _ = self.entropy.fill(random.as_flattened_mut());
        let [extent, cell] = random.map(u32::from_le_bytes);
        let extents = self.heap.extents();
        let first = extent.checked_rem(extents).unwrap_or(0);
        let class = self.heap.class_of(Extent(first));
        let first_cell = class.map_or(0, |class| cell % class.cells());
        Cursor { extents, first, first_cell, passed: 0, cell: first_cell }
    }

    /// The cells among these that a sweep would give back.
    pub(super) fn leftovers(
        &self,
        places: impl Iterator<Item = Place>,
    ) -> Result<Vec<Place>, OpenError> {
        let (mut unwanted, mut damaged) = (Vec::new(), Vec::new());
        for place in places {
            match self.judge(place)? {
                Verdict::Unwanted(one) => unwanted.push(one),
                Verdict::Damaged(place, state) => damaged.push((place, state)),
                Verdict::Nothing | Verdict::Kept(_) | Verdict::Expired(_) => {}
            }
        }
        unwanted.extend(self.not_led_to(damaged)?);
        Ok(unwanted.into_iter().map(|Unwanted { place, .. }| place).collect())
    }

    fn is_free(&self, place: Place) -> bool {
        self.heap.state(place).is_some_and(|state| state.usage() == Use::Free)
    }

    fn judge(&self, place: Place) -> Result<Verdict, OpenError> {
        let Some(state) = self.heap.state(place) else { return Ok(Verdict::Nothing) };
        if !self.is_settled(state)? {
            return Ok(Verdict::Nothing);
        }
        let Some((key, record)) = format::peek(&self.heap, place) else {
            return Ok(Verdict::Nothing);
        };
        if self.is_indexed(place, &key)? {
            let is_expired = record.is_expired(self.clock.now());
            return Ok(if is_expired { Verdict::Expired(key) } else { Verdict::Kept(state) });
        }
        Ok(match format::read_any(&self.heap, place, self.seed) {
            Some((key, Reading::Whole(stored))) => {
                let is_power = self.is_power();
                let older = if is_power { self.older(&key, Some(&stored)) } else { Vec::new() };
                Verdict::Unwanted(Unwanted { key, place, state, older })
            }
            _ => Verdict::Damaged(place, state),
        })
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

    /// Whether the index leads to this cell, whose record says that it has this key.
    fn is_indexed(&self, place: Place, key: &Key) -> Result<bool, OpenError> {
        let read = |place| format::peek(&self.heap, place).filter(|(there, _)| there == key);
        let found = self.index.find(format::hash(key), read);
        let found = found.map_err(|error| self.io_error("read", error))?;
        Ok(found.is_some_and(|(spot, _)| spot.place() == Some(place)))
    }

    /// Those of the damaged cells that no entry of the index leads to. Others stay as they are: a record
    /// of another session there would be found under the wrong key.
    fn not_led_to(&self, mut damaged: Vec<(Place, State)>) -> Result<Vec<Unwanted>, OpenError> {
        if damaged.is_empty() {
            return Ok(Vec::new());
        }
        damaged.sort_unstable_by_key(|(place, _)| *place);
        let is_damaged = |place| damaged.binary_search_by_key(&place, |(place, _)| *place).is_ok();
        let spots =
            self.index.spots_of(is_damaged).map_err(|error| self.io_error("read", error))?;
        damaged.retain(|(place, _)| !spots.iter().any(|spot| spot.place() == Some(*place)));
        let unwanted = |(place, state)| {
            let (key, _) = format::peek(&self.heap, place)?;
            Some(Unwanted { key, place, state, older: Vec::new() })
        };
        Ok(damaged.into_iter().filter_map(unwanted).collect())
    }

    /// Ends those that are whole and have expired. How many there were.
    fn end_expired(&self, keys: &[Key]) -> Result<usize, CommitError> {
        let standing = |key| {
            // Not `look`: who opens a damaged session is to be told.
            let (spot, (Reading::Whole(mut stored), state)) = self.find(key).ok()?? else {
                return None;
            };
            stored.payload = Vec::new();
            let is_expired = stored.record.is_expired(self.clock.now());
            let sighting = Some(Sighting { spot, state });
            is_expired.then_some((key, Standing { stored: Some(stored), sighting }))
        };
        let mut ended = 0;
        for keys in keys.chunks(BATCH) {
            let found: Vec<_> = keys.iter().filter_map(standing).collect();
            let found: Vec<_> = found.iter().map(|(key, standing)| (*key, standing)).collect();
            ended += self.end_all(&found)?;
        }
        Ok(ended)
    }

    /// Gives cells back whose records are not in the index any more, or never were. How many nobody else
    /// gave back.
    fn give_back(&self, unwanted: &[Unwanted]) -> Result<usize, CommitError> {
        for Unwanted { key, .. } in unwanted {
            // Else a rebuild would find neither this record nor what stands now.
            if let Ok(Some((spot, (_, state)))) = self.find(key) {
                self.confirm(spot.place(), state);
            }
        }
        let is_owned = |one: &Unwanted| matches!(one.state.usage(), Use::Owned(_));
        if self.is_power() && !unwanted.iter().all(is_owned) {
            // What stands now may not be synced yet, and then this is what a power cut must leave.
            self.flush_for_caller()?;
            let mut is_marked = false;
            for Unwanted { older, state, .. } in unwanted {
                self.free_all(older);
                is_marked |= state.usage() == Use::Ended && !older.is_empty();
            }
            if is_marked {
                self.flush_for_caller()?;
            }
        }
        let is_freed = |one: &&Unwanted| self.heap.free(one.place, one.state);
        Ok(unwanted.iter().filter(is_freed).count())
    }
}

/// How many cells a sweep looks at for each session of its budget.
const CELLS_PER_SESSION: usize = 64;

/// How many expired sessions share a sync.
const BATCH: usize = 256;
