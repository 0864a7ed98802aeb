//! What a process does with heap and index, in the order in which `room.rs` and `sweep.rs` do it.

use super::area::Area;
use super::format::{self, Key, Reading};
use super::heap::{Cell, Heap};
use super::index::{Index, Spot};
use super::seats::Seats;
use super::size::{Class, Extent, UNIT, UNITS};
use super::steps::Steps;
use super::table::{Hash, Table};
use super::tables::Tables;
use super::word::{Owner, Place, State, Use};
use crate::sync::Arc;

/// What all processes share.
#[derive(Clone)]
pub(super) struct World {
    pub(super) heap: Arc<Heap>,
    pub(super) tables: Tables,
    pub(super) seats: Arc<Seats>,
    extents: Arc<Area>,
}

/// One process; in the models also one thread.
pub(super) struct Process {
    pub(super) world: World,
    pub(super) me: Owner,
    pub(super) index: Index,
    pub(super) cells: Vec<Cell>,
    pub(super) steps: Steps,
}

/// A session as it was seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) spot: Spot,
    pub(super) state: State,
    pub(super) version: u64,
}

impl World {
    /// One extent of cells, and a first table of 2 to the power of `log2` slots.
    pub(super) fn new(log2: u32) -> Self {
        Self::of(log2, 1)
    }

    /// The same with so many extents.
    pub(super) fn of(log2: u32, extents: u32) -> Self {
        let world = Self::empty(Area::new(extents as usize * EXTENT_WORDS), extents);
        for extent in 0..extents {
            world.heap.grown(extent);
            world.heap.assign(Extent(extent), Class::SMALLEST);
        }
        world.start(log2);
        world
    }

    /// Makes the first table.
    pub(super) fn start(&self, log2: u32) {
        self.tables.create(1, log2).unwrap();
        self.tables.pass_on_to(1);
    }

    /// Makes the heap one extent longer, up to so many; whether it could.
    pub(super) fn lengthen(&self, extents_max: u32) -> bool {
        let extents = self.heap.extents();
        if extents >= extents_max {
            return false;
        }
        self.heap.cells().lengthen((extents as usize + 1) * EXTENT_WORDS);
        self.heap.grown(extents);
        self.heap.assign(Extent(extents), Class::SMALLEST);
        true
    }

    /// One that has no extents yet, and no table.
    pub(super) fn empty(cells: Area, extents_max: u32) -> Self {
        let extents = Arc::new(Area::new(1 + 2 * extents_max as usize));
        let heap = Heap::new(cells, Arc::clone(&extents), 0, 1);
        let (tables, seats) = (Tables::new(), Arc::new(Seats::new()));
        Self { heap: Arc::new(heap), tables, seats, extents }
    }

    /// The same as a process has it mapped that takes these steps.
    fn with(&self, steps: &Steps) -> Self {
        let extents = Arc::new(self.extents.with(steps));
        let heap = Heap::new(self.heap.cells().with(steps), Arc::clone(&extents), 0, 1);
        let (tables, seats) = (self.tables.with(steps), Arc::clone(&self.seats));
        Self { heap: Arc::new(heap), tables, seats, extents }
    }

    /// A process that has taken so many cells.
    pub(super) fn process(&self, number: u32, cells: usize) -> Process {
        let mut process = self.owner(Owner(number));
        for _ in 0..cells {
            let cell = process.take().expect("the model has cells enough");
            process.cells.push(cell);
        }
        process
    }

    /// A process of this owner.
    pub(super) fn owner(&self, me: Owner) -> Process {
        let steps = Steps::default();
        let world = self.with(&steps);
        let index = Index::open(world.tables.clone(), Arc::clone(&world.heap)).unwrap();
        Process { world, me, index, cells: Vec::new(), steps }
    }

    pub(super) fn table(&self, number: u64) -> Table {
        self.tables.open(number).unwrap().expect("the table is there")
    }

    /// How many cells say this of themselves.
    pub(super) fn count(&self, usage: impl Fn(Use) -> bool) -> usize {
        EXTENT
            .places(Class::SMALLEST)
            .filter(|place| self.heap.state(*place).is_some_and(|state| usage(state.usage())))
            .count()
    }

    pub(super) fn hash_at(&self) -> impl Fn(Place) -> Hash {
        let heap = Arc::clone(&self.heap);
        move |place| format::read_hash(&heap, place)
    }

    /// Moves so many parts of a table into the next; whether all of it is moved.
    pub(super) fn help(&self, number: u64, times: usize) -> bool {
        // One that is not there any more was moved by others.
        let Some(table) = self.tables.open(number).unwrap() else { return true };
        let next = self.table(number + 1);
        (0..times).any(|_| table.help(&next, &self.hash_at()))
    }
}

impl Process {
    /// A cell that is free.
    pub(super) fn take(&self) -> Option<Cell> {
        let heap = &self.world.heap;
        let mut cells = Vec::new();
        for extent in (0..heap.extents()).map(Extent) {
            if cells.is_empty() {
                heap.take_from(extent, Class::SMALLEST, self.me, 1, &mut cells);
            }
        }
        cells.pop()
    }

    /// What stands under `key`; never a torn record.
    pub(super) fn look(&self, key: Key) -> Option<Standing> {
        let heap = &self.world.heap;
        let read = |place| {
            let state = heap.state(place)?;
            Some((format::read(heap, place, key)?, state))
        };
        let (spot, (reading, state)) = self.index.find(key.hash(), read).unwrap()?;
        let Reading::Whole { version } = reading else { panic!("a torn record") };
        Some(Standing { spot, state, version })
    }

    /// Makes `version` what stands under `key`, if that still is what was `seen`.
    pub(super) fn put(&mut self, key: Key, seen: Option<Standing>, version: u64) -> bool {
        let heap = Arc::clone(&self.world.heap);
        let cell = self.cells.pop().or_else(|| self.take()).expect("the model has cells enough");
        format::write(&heap, cell.place, key, version);
        let spot = match seen {
            Some(seen) => self.index.replace(seen.spot, cell.place),
            None => {
                let read = |place| format::read(&heap, place, key);
                self.index.insert(key.hash(), cell.place, read).unwrap()
            }
        };
        if spot.is_none() {
            self.cells.push(cell);
            return false;
        }
        heap.mark_live(cell);
        if let Some(seen) = seen {
            self.inherit(seen);
        }
        true
    }

    /// Ends the session that was `seen`, if it still is what stands.
    pub(super) fn end(&mut self, seen: Standing) -> bool {
        let ended = self.index.end(seen.spot);
        if ended {
            self.inherit(seen);
        }
        ended
    }

    /// Commits the version after the one that stands, until nobody is faster. `None`: the session ended.
    pub(super) fn update(&mut self, key: Key) -> Option<u64> {
        loop {
            let seen = self.look(key)?;
            if self.put(key, Some(seen), seen.version + 1) {
                return Some(seen.version + 1);
            }
        }
    }

    /// Gives a cell back that nobody puts into the index any more, if it is not there.
    pub(super) fn sweep(&self, place: Place) -> bool {
        let heap = &self.world.heap;
        let Some(state) = heap.state(place) else { return false };
        let is_settled = match state.usage() {
            Use::Free => false,
            Use::Live | Use::Ended => true,
            Use::Owned(owner) => self.world.seats.is_gone(owner, self.me),
        };
        if !is_settled {
            return false;
        }
        let Some((key, _)) = format::read_any(heap, place) else { return false };
        let stands = self.look(key);
        // What stands is live before what it replaced is given back: its writer may be dead.
        if let Some(Standing { spot, state, .. }) = stands
            && let (Some(place), Use::Owned(_)) = (spot.place(), state.usage())
        {
            heap.mark_live(Cell { place, state });
        }
        let is_indexed = stands.is_some_and(|stands| stands.spot.place() == Some(place));
        !is_indexed && heap.free(place, state)
    }

    /// All sessions that a walk over all keys finds.
    pub(super) fn walk(&self) -> Vec<(Key, Reading)> {
        let read = |place| format::read_any(&self.world.heap, place);
        let (mut found, mut from) = (Vec::new(), Some(0));
        while let Some(position) = from {
            from = self.index.visit(position, 1, read, &mut found).unwrap();
        }
        found.into_iter().flatten().collect()
    }

    /// Its cells are its own.
    pub(super) fn check(&self) {
        for cell in &self.cells {
            assert_eq!(
                self.world.heap.state(cell.place),
                Some(cell.state),
                "a cell has two owners"
            );
        }
    }

    fn inherit(&mut self, seen: Standing) {
        let place = seen.spot.place();
        let cell = place.and_then(|place| self.world.heap.inherit(place, seen.state, self.me));
        self.cells.extend(cell);
    }
}

pub(super) const EXTENT: Extent = Extent(0);
/// Words of an extent.
pub(super) const EXTENT_WORDS: usize = UNITS * UNIT;
