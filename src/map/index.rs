//! The index over its generations: which table is current, and which one follows it.

use std::io;
use std::sync::OnceLock;

use arc_swap::ArcSwap;

use super::format;
use super::heap::Heap;
use super::order;
use super::table::{Hash, Sight, Table};
use super::tables::Tables;
use super::word::{Entry, Place};
use crate::sync::{Arc, AtomicBool, Ordering};

/// The index of a store.
pub(super) struct Index {
    tables: Tables,
    heap: Arc<Heap>,
    /// The oldest table that is not moved as a whole.
    current: ArcSwap<Generation>,
    /// Whether a thread of this handle is making the next table. The others need not make one, too, as
    /// long as there is room.
    is_growing: AtomicBool,
}

/// One table and the one after it.
struct Generation {
    table: Table,
    number: u64,
    next: OnceLock<Arc<Self>>,
}

impl Generation {
    /// The table of this number, or the oldest after it that is left. `None`: nobody has made it.
    ///
    /// The name of a table is free again after the table was given back, and whoever was stopped
    /// since before may give it to an empty one. So a table counts only if it was still needed after
    /// it was opened: the oldest is raised before a name is given back.
    fn open(tables: &Tables, mut number: u64) -> io::Result<Option<Self>> {
        loop {
            let opened = tables.open(number);
            let oldest = tables.oldest();
            if oldest <= number || !order::keeps("an opened table is still needed") {
                return Ok(opened?.map(|table| Self { table, number, next: OnceLock::new() }));
            }
            // It has given way to others meanwhile.
            number = oldest;
        }
    }

    /// The table of this number, unless it was given up.
    #[inline]
    fn reach(&self, number: u64) -> Option<&Table> {
        let mut generation = self;
        while generation.number < number {
            generation = generation.next.get()?;
        }
        (generation.number == number).then_some(&generation.table)
    }
}

/// Where the entry of a session was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    generation: u64,
    slot: usize,
    entry: Entry,
}

impl Spot {
    /// Where the record was.
    pub(super) fn place(self) -> Option<Place> {
        self.entry.place()
    }
}

impl Index {
    /// Opens the current table.
    pub(super) fn open(tables: Tables, heap: Arc<Heap>) -> io::Result<Self> {
        let oldest = tables.oldest();
        let current = Generation::open(&tables, oldest)?
            .ok_or_else(|| tables.damaged(oldest, "it is missing"))?;
        let (current, is_growing) = (ArcSwap::from_pointee(current), AtomicBool::new(false));
        Ok(Self { tables, heap, current, is_growing })
    }

    /// Looks for a session; `read` as in [`Table::find`].
    #[inline]
    pub(super) fn find<R>(
        &self,
        hash: Hash,
        mut read: impl FnMut(Place) -> Option<R>,
    ) -> io::Result<Option<(Spot, R)>> {
        self.locate(hash, &mut read, |generation, sight| match sight {
            Sight::Found { slot, entry, read } => {
                let spot = Spot { generation: generation.number, slot, entry };
                Ok(Some(Some((spot, read))))
            }
            _ => Ok(Some(None)),
        })
    }

    /// Leads the session that was seen at `spot` to another place, if it still is where it was
    /// seen.
    #[inline]
    pub(super) fn replace(&self, spot: Spot, place: Place) -> Option<Spot> {
        let entry = spot.entry.next(place);
        let current = self.current.load();
        let replaced = current
            .reach(spot.generation)
            .is_some_and(|table| table.replace(spot.slot, spot.entry, entry));
        self.tend(&current, false);
        replaced.then_some(Spot { entry, ..spot })
    }

    /// Ends the session that was seen at `spot`, if it still is where it was seen.
    pub(super) fn end(&self, spot: Spot) -> bool {
        let current = self.current.load();
        let ended =
            current.reach(spot.generation).is_some_and(|table| table.end(spot.slot, spot.entry));
        self.tend(&current, true);
        ended
    }

    /// Takes in a new session; `None` if there is one of this key, which `read` knows.
    pub(super) fn insert<R>(
        &self,
        hash: Hash,
        place: Place,
        mut read: impl FnMut(Place) -> Option<R>,
    ) -> io::Result<Option<Spot>> {
        let entry = Entry::new(hash.tag, place);
        let inserted = self.locate(hash, &mut read, |generation, sight| match sight {
            Sight::Absent { slot } => {
                let spot = Spot { generation: generation.number, slot, entry };
                Ok(generation.table.insert(slot, entry).then_some(Some(spot)))
            }
            Sight::Full => {
                self.finish_before(generation)?;
                self.grow(generation)?;
                while !self.help(generation)? {}
                Ok(None)
            }
            _ => Ok(Some(None)),
        })?;
        self.tend(&self.current.load(), true);
        Ok(inserted)
    }

    /// Reads the sessions whose keys are in the next part of all keys, from `position` on, and says
    /// where that part ends. Some may come twice, and some from outside of the part; see
    /// [`Table::visit`].
    pub(super) fn visit<R>(
        &self,
        position: u64,
        slots: usize,
        mut read: impl FnMut(Place) -> R,
        found: &mut Vec<R>,
    ) -> io::Result<Option<u64>> {
        let current = self.current.load();
        let end = current.table.visit(position, slots, &mut read, found);
        // What was moved before it could be read is in the next table.
        let mut generation: &Generation = &current;
        while let Some(next) = self.next_if_any(generation)? {
            let mut from = Some(position);
            while let Some(position) = from
                && end.is_none_or(|end| position < end)
            {
                from = next.table.visit(position, slots, &mut read, found);
            }
            generation = next;
        }
        Ok(end)
    }

    /// Where such places are led to, whatever is in them. It looks at the whole index.
    pub(super) fn spots_of(&self, is_wanted: impl Fn(Place) -> bool) -> io::Result<Vec<Spot>> {
        let current = self.current.load();
        let mut generation: &Generation = &current;
        let mut spots = Vec::new();
        loop {
            let number = generation.number;
            let slots = generation.table.slots_to(&is_wanted);
            // Thawed: a change of a frozen slot must fail.
            let spot = |(slot, entry): (_, Entry)| Spot {
                generation: number,
                slot,
                entry: entry.thawed(),
            };
            spots.extend(slots.map(spot));
            // What was moved before it could be seen is in the next table.
            match self.next_if_any(generation)? {
                Some(next) => generation = next,
                None => return Ok(spots),
            }
        }
    }

    /// Looks for a session in the table that knows of it, and hands what it sees to `then`, until
    /// that has an answer.
    #[inline]
    fn locate<R, T>(
        &self,
        hash: Hash,
        read: &mut impl FnMut(Place) -> Option<R>,
        mut then: impl FnMut(&Generation, Sight<R>) -> io::Result<Option<T>>,
    ) -> io::Result<T> {
        let current = self.current.load();
        let mut generation: &Generation = &current;
        loop {
            let sight = generation.table.find(hash, &mut *read);
            if matches!(sight, Sight::Elsewhere) {
                let Some(next) = self.next_if_any(generation)? else {
                    return Err(self.tables.damaged(generation.number, "a part of it is empty"));
                };
                if generation.table.is_done() {
                    self.pass_on(generation, next);
                } else if order::keeps("a session is settled before it is worked on") {
                    generation.table.settle(hash, &next.table, &self.hash_at());
                }
                generation = next;
            } else if let Some(answer) = then(generation, sight)? {
                return Ok(answer);
            }
        }
    }

    /// What a change of the index does for its upkeep: begins a new table, or moves a part of one.
    ///
    /// The change has been made, so what goes wrong here is no error of it. There is room left in
    /// the table, and whoever uses it up is told.
    #[inline]
    fn tend(&self, current: &Generation, is_count_changed: bool) {
        if current.next.get().is_some() {
            let _ = self.help(current);
        } else if is_count_changed
            && is_crowded(&current.table)
            // Relaxed: it guards nothing, two that make a table do no harm.
            && !self.is_growing.swap(true, Ordering::Relaxed)
        {
            let _ = self.grow(current);
            self.is_growing.store(false, Ordering::Relaxed);
        }
    }

    /// Moves a part of a table; whether all of it is moved.
    fn help(&self, generation: &Generation) -> io::Result<bool> {
        let Some(next) = self.next_if_any(generation)? else { return Ok(true) };
        let done = generation.table.help(&next.table, &self.hash_at());
        if done {
            self.pass_on(generation, next);
        }
        Ok(done)
    }

    /// Moves all tables before this one, which must not give way earlier: an entry that is moved into
    /// it must find its place there.
    fn finish_before(&self, generation: &Generation) -> io::Result<()> {
        loop {
            let current = self.current.load();
            if current.number >= generation.number {
                return Ok(());
            }
            self.help(&current)?;
        }
    }

    /// Makes the next table the current one, and gives the old one back.
    fn pass_on(&self, generation: &Generation, next: &Arc<Generation>) {
        let current = self.current.load();
        if current.number != generation.number {
            return;
        }
        self.tables.pass_on_to(next.number);
        self.current.compare_and_swap(&current, Arc::clone(next));
        self.tables.give_back(generation.number, &generation.table);
    }

    /// The table after this one, if anybody began one.
    fn next_if_any<'a>(
        &self,
        generation: &'a Generation,
    ) -> io::Result<Option<&'a Arc<Generation>>> {
        if let Some(next) = generation.next.get() {
            return Ok(Some(next));
        }
        let next = Generation::open(&self.tables, generation.number + 1)?;
        Ok(next.map(|next| generation.next.get_or_init(|| Arc::new(next))))
    }

    /// Begins the next table, unless somebody has.
    fn grow(&self, generation: &Generation) -> io::Result<()> {
        if self.next_if_any(generation)?.is_some() {
            return Ok(());
        }
        let (used, dead) = generation.table.load();
        // A damaged counter must not ask for more than twice the room.
        let used = used.min(generation.table.slots() as u64);
        // Before all of it is moved as many sessions may be new as it has parts: each moves one.
        let sessions = used.saturating_sub(dead) + generation.table.parts() as u64;
        let log2 = log2_for(sessions);
        let number = generation.number + 1;
        self.tables.create(number, log2)?;
        if self.tables.oldest() > number {
            // While this thread was stopped the others used up that table and gave its name back.
            self.tables.withdraw(number);
        }
        self.next_if_any(generation)?;
        Ok(())
    }

    fn hash_at(&self) -> impl Fn(Place) -> Hash {
        |place| format::read_hash(&self.heap, place)
    }
}

/// Three quarters full, searches get long.
fn is_crowded(table: &Table) -> bool {
    let (used, _) = table.load();
    used.saturating_mul(4) > table.slots() as u64 * 3
}

/// The size of a table for so many sessions: at most half full, so that one that was full of them
/// gets twice the slots.
pub(super) fn log2_for(sessions: u64) -> u32 {
    let slots = sessions.saturating_mul(2).max(1);
    slots.next_power_of_two().ilog2().clamp(LOG2_MIN, LOG2_MAX)
}

pub(super) const LOG2_MIN: u32 = if cfg!(any(shuttle, model = "loom")) { 1 } else { 12 };
/// More than places there are.
pub(super) const LOG2_MAX: u32 = 30;
