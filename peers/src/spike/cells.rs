//! Design (b): each record in a cell of its size. A commit writes into a cell that the thread has,
//! publishes it, and takes over the cell of the record before: its next commit's.
//!
//! A cell can have another record at any time, so a reader looks at the entry a second time, after
//! the record. Each cell's state says who has it, with a count of uses, as MapStore's does: a
//! change of hands is a compare-and-swap, so that what a killed process leaves can be found.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use anyhow::{Context, Result, bail};
use cloakroom::Key;

use super::index::{Entry, Index};
use super::mapped::Mapped;
use super::record::{Record, WORDS};
use crate::payload::Payload;
use crate::peer::{Peer, Worker};

pub struct Cells {
    index: Index,
    heap: Mapped,
    cells: usize,
    /// How many cells were ever taken.
    taken: Mapped,
    filling: Mutex<Vec<usize>>,
}

/// Words of a unit of places.
const UNIT: usize = 16;
/// Words of a cell: the state and the record.
const CELL: usize = (1 + WORDS).next_multiple_of(UNIT);

/// Low bits of a state; above them its uses are counted.
const OWNED: u64 = 1;
const LIVE: u64 = 2;
const USE: u64 = 4;

/// Cells that a thread takes at a time.
const BATCH: usize = 16;

impl Cells {
    pub fn open(directory: &Path, sessions: u64) -> Result<Self> {
        let cells = usize::try_from(sessions)? + 4_096;
        let heap = Mapped::open(&directory.join("heap"), (cells + 1) * CELL)?;
        heap.allocate(0, (cells + 1) * CELL)?;
        let taken = Mapped::open(&directory.join("taken"), 1)?;
        let index = Index::open(directory, sessions)?;
        Ok(Self { index, heap, cells, taken, filling: Mutex::default() })
    }

    fn cell(&self, place: usize) -> Option<(&AtomicU64, &[AtomicU64])> {
        let first = place * UNIT;
        self.heap.words().get(first..=first + WORDS)?.split_first()
    }

    /// The record at an entry's place, and the state its cell has meanwhile.
    fn read(&self, entry: Entry, key: &Key) -> Option<(Record, u64)> {
        let (state, words) = self.cell(entry.place())?;
        let state = state.load(Ordering::Relaxed);
        let record = Record::read(words).filter(|record| record.key == *key.as_bytes())?;
        Some((record, state))
    }

    /// A cell of the thread's, which nobody else has.
    fn take(&self, stash: &mut Vec<usize>) -> Result<usize> {
        if let Some(place) = stash.pop() {
            return Ok(place);
        }
        let taken = self.taken.words().first().context("there is a counter")?;
        let first = taken.fetch_add(BATCH as u64, Ordering::Relaxed) as usize;
        if first + BATCH > self.cells {
            bail!("all cells of the spike are taken");
        }
        for number in first..first + BATCH {
            // Place 0 means none.
            let place = (1 + number) * CELL / UNIT;
            if let Some((state, _)) = self.cell(place) {
                let _ =
                    state.compare_exchange(0, USE | OWNED, Ordering::Acquire, Ordering::Relaxed);
            }
            stash.push(place);
        }
        stash.pop().context("some were taken")
    }

    fn write(&self, place: usize, record: &Record) {
        fence(Ordering::Release);
        if let Some((_, words)) = self.cell(place) {
            record.write(words);
        }
    }

    /// Says that the record at `place` is in the index.
    fn mark_live(&self, place: usize) {
        if let Some((state, _)) = self.cell(place) {
            let owned = state.load(Ordering::Relaxed);
            let live = owned - OWNED + LIVE;
            let _ = state.compare_exchange(owned, live, Ordering::Release, Ordering::Relaxed);
        }
    }

    /// Takes over the cell of a record that is out of the index, whose state was `seen`.
    fn inherit(&self, place: usize, seen: u64, stash: &mut Vec<usize>) {
        let Some((state, _)) = self.cell(place) else { return };
        let live = seen & !(USE - 1) | LIVE;
        for seen in [live, seen] {
            let owned = (seen & !(USE - 1)) + USE + OWNED;
            if state.compare_exchange(seen, owned, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                stash.push(place);
                return;
            }
        }
    }
}

impl Peer for Cells {
    fn worker(&self) -> Result<Box<dyn Worker + '_>> {
        Ok(Box::new(Desk { of: self, stash: Vec::new() }))
    }

    fn fill(&self, sessions: &[(Key, Payload)]) -> Result<()> {
        let mut stash = self.filling.lock().ok().context("nobody panicked")?;
        for (key, payload) in sessions {
            let place = self.take(&mut stash)?;
            self.write(place, &Record::new(key, 1, payload));
            self.index.insert(key, place)?;
            self.mark_live(place);
        }
        Ok(())
    }
}

struct Desk<'a> {
    of: &'a Cells,
    stash: Vec<usize>,
}

impl Worker for Desk<'_> {
    fn load(&mut self, key: &Key, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        let found = self.of.index.find(key, |entry| self.of.read(entry, key));
        see(&found.context("the session is there")?.1.0.payload);
        Ok(())
    }

    fn update(&mut self, key: &Key, change: &mut dyn FnMut(&mut Payload)) -> Result<bool> {
        let found = self.of.index.find(key, |entry| self.of.read(entry, key));
        let (seat, (mut record, state)) = found.context("the session is there")?;
        record.version += 1;
        change(&mut record.payload);
        let place = self.of.take(&mut self.stash)?;
        self.of.write(place, &record);
        let updated = seat.lead_to(place);
        if updated {
            self.of.mark_live(place);
            self.of.inherit(seat.entry.place(), state, &mut self.stash);
        } else {
            self.stash.push(place);
        }
        Ok(updated)
    }
}
