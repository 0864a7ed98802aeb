//! Emptying extents of which little is in use, so that cells of other sizes can have the room.
//!
//! Whoever finds that the heap must grow begins a round through all extents, unless one is under way.
//! Of each that is at least a quarter free the records are moved into other extents of its cell size, some
//! for each batch of cells that anybody takes, until it is empty. A move is a commit of the same
//! record: who has the session open loses one race, looks again, and finds the version that
//! it knew.
//!
//! How far the round is stands in one word that all processes share. It is a hint: who is killed or stopped
//! leaves a few records where they are, and the others go on. An extent from which not all could be
//! taken stays what it was until the next round.

use super::control::{Control, Word};
use super::format::{self, Draft, Reading, Stored};
use super::room::{Room, Sighting};
use super::size::{Class, Extent};
use super::stash::Stash;
use super::word::{Place, State, Use};
use crate::error::CommitError;
use crate::id::Key;
use crate::sync::Arc;

/// How far the round is that all processes make together.
pub(super) struct Drain(Arc<Control>);

/// The next cell that a round comes to.
#[derive(Clone, Copy, PartialEq, Eq)]
struct At {
    extent: Extent,
    cell: u32,
}

/// A session in the cell that its record is moved from.
struct Move {
    key: Key,
    stored: Stored,
    seen: Sighting,
}

impl Drain {
    pub(super) fn new(control: &Arc<Control>) -> Self {
        Self(Arc::clone(control))
    }

    /// `None`: no round is under way.
    #[inline]
    fn at(&self) -> Option<At> {
        At::decode(self.0.get(Word::Drain))
    }

    /// Whether nobody else went on from there.
    fn go_on(&self, from: Option<At>, to: Option<At>) -> bool {
        self.0.exchange(Word::Drain, At::encode(from), At::encode(to))
    }
}

impl At {
    fn encode(at: Option<Self>) -> u64 {
        at.map_or(0, |Self { extent, cell }| (u64::from(extent.0) + 1) << 32 | u64::from(cell))
    }

    fn decode(word: u64) -> Option<Self> {
        let extent = u32::try_from((word >> 32).checked_sub(1)?).ok()?;
        Some(Self { extent: Extent(extent), cell: u32::try_from(word & u64::from(u32::MAX)).ok()? })
    }
}

impl Room {
    /// Whether this extent is being emptied, so that none of its cells should be used.
    #[inline]
    pub(super) fn is_draining(&self, extent: Extent) -> bool {
        self.drain.at().is_some_and(|at| at.extent == extent)
    }

    /// Begins a round, unless one is under way.
    pub(super) fn begin_drain(&self) {
        if self.drain.at().is_none() {
            self.drain.go_on(None, self.sparse_from(Extent(0)));
        }
    }

    /// Goes on with the round, if there is one, by as much as goes with a batch of cells of this
    /// size.
    pub(super) fn drain(&self, class: Class) -> Result<(), CommitError> {
        let Some(at) = self.drain.at() else { return Ok(()) };
        if self.is_power() && self.check_poison().is_err() {
            // What is withdrawn needs a cell, too.
            return Ok(());
        }
        let extent = at.extent;
        let next = || self.sparse_from(Extent(extent.0 + 1));
        let Some(drained) = self.heap.class_of(extent).filter(|drained| at.cell < drained.cells())
        else {
            self.drain.go_on(Some(at), next());
            return Ok(());
        };
        let units = Stash::batch(class) * class.units();
        let count = u32::try_from(units).unwrap_or(CELLS_MAX).clamp(CELLS_MIN, CELLS_MAX);
        let to = At { cell: (at.cell + count).min(drained.cells()), ..at };
        if !self.drain.go_on(Some(at), Some(to)) {
            return Ok(());
        }
        let mut moves = Vec::new();
        let mut has_room = true;
        for place in (at.cell..to.cell).map(|cell| extent.place(drained, cell)) {
            let Some(one) = self.movable(place) else { continue };
            match self.begin_move(&one) {
                Some(true) => moves.push(one),
                Some(false) => {}
                None => {
                    has_room = false;
                    break;
                }
            }
        }
        self.end_moves(&moves)?;
        let is_empty = self.is_given_up(extent);
        if (is_empty || !has_room)
            && let Some(now) = self.drain.at().filter(|now| now.extent == extent)
        {
            self.drain.go_on(Some(now), next());
        }
        Ok(())
    }

    /// The first extent from this one on that is at least a quarter free.
    fn sparse_from(&self, Extent(first): Extent) -> Option<At> {
        let is_sparse = |extent: &Extent| {
            self.heap.class_of(*extent).is_some_and(|class| {
                self.heap.free_in(*extent).saturating_mul(4) >= u64::from(class.cells())
            })
        };
        let extent = (first..self.heap.extents()).map(Extent).find(is_sparse)?;
        Some(At { extent, cell: 0 })
    }

    /// The session whose record is in this cell, if it is whole.
    fn movable(&self, place: Place) -> Option<Move> {
        let is_live = |state: &State| state.usage() == Use::Live;
        self.heap.state(place).filter(is_live)?;
        let (key, _) = format::peek(&self.heap, place)?;
        // Not `look`: who opens a damaged session is to be told.
        let (spot, (Reading::Whole(stored), state)) = self.find(&key).ok()?? else { return None };
        let is_here = spot.place() == Some(place) && is_live(&state);
        is_here.then_some(Move { key, stored, seen: Sighting { spot, state } })
    }

    /// Leads a session to a copy of its record in another extent; whether nobody was faster. `None`:
    /// there is no room for it.
    fn begin_move(&self, Move { key, stored, seen }: &Move) -> Option<bool> {
        let Stored { record, payload, .. } = stored;
        let words = format::words(payload.len(), record.retired_until.is_some());
        let class = Class::for_words(words)?;
        let cell = self.spare(class)?;
        let draft = Draft { key, record, previous: seen.previous(), payload };
        Some(matches!(self.publish_in(class, cell, draft, Some(*seen)), Ok(Some(_))))
    }

    /// Gives the cells back that records were moved from; in `Power` once the copies are on the medium, with
    /// one sync for all. If that fails both stay, for a later sweep.
    fn end_moves(&self, moves: &[Move]) -> Result<(), CommitError> {
        if self.is_power() && !moves.is_empty() {
            self.flush_for_caller()?;
            for Move { key, stored, .. } in moves {
                self.free_all(&self.older(key, Some(stored)));
            }
        }
        for Move { seen: Sighting { spot, state }, .. } in moves {
            let me = self.registry.me();
            if let Some(cell) = spot.place().and_then(|place| self.heap.inherit(place, *state, me))
            {
                self.heap.give_up(cell);
            }
        }
        Ok(())
    }
}

/// How many cells are looked at for each batch that is taken: as many units, for each of them may be a
/// record, within these limits.
const CELLS_MIN: u32 = 64;
const CELLS_MAX: u32 = 1_024;
