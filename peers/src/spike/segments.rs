//! Design (a): records are appended to segments; an old record is dead where it lies. A segment with
//! no live record gives its space back by a hole, and when segments take too much space, the
//! one with the fewest live records has these copied on.
//!
//! A reader whose record goes away reads zeros, which fail the check, and looks again. Each thread
//! appends to a segment of its own, so an append touches nothing shared.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use cloakroom::Key;

use super::index::Index;
use super::mapped::Mapped;
use super::record::{Record, WORDS};
use crate::payload::Payload;
use crate::peer::{Peer, Worker};

pub struct Segments {
    index: Index,
    heap: Mapped,
    /// One word for each segment: state, and how many live records it has.
    states: Mapped,
    /// The most segments that may be in use before one is compacted.
    limit: usize,
    /// The segment that the fill appends to.
    filling: Mutex<Option<Open>>,
}

/// A segment that a thread appends to.
struct Open {
    segment: usize,
    used: usize,
}

/// What becomes of a segment. The low half of its word counts its live records; an open one counts
/// the records to come as live.
const FREE: u64 = 0;
const OPEN: u64 = 1 << 32;
const SEALED: u64 = 2 << 32;
const COMPACTED: u64 = 3 << 32;
const PUNCHED: u64 = 4 << 32;
const LIVE: u64 = (1 << 32) - 1;

/// Words of a record's place: whole cache lines.
const UNIT: usize = 8;
const RECORD: usize = WORDS.next_multiple_of(UNIT);
/// Words of a segment: 2 MiB.
const SEGMENT: usize = 1 << 18;
const RECORDS: usize = SEGMENT / RECORD;

impl Segments {
    pub fn open(directory: &Path, sessions: u64) -> Result<Self> {
        let live = usize::try_from(sessions)?.div_ceil(RECORDS);
        // In use: twice the live data at most, less what the open segments take.
        let limit = live * 19 / 10 + 2;
        let segments = live * 2 + 64;
        let states = Mapped::open(&directory.join("states"), segments)?;
        let heap = Mapped::open(&directory.join("heap"), segments * SEGMENT)?;
        let index = Index::open(directory, sessions)?;
        Ok(Self { index, heap, states, limit, filling: Mutex::new(None) })
    }

    fn state(&self, segment: usize) -> Result<&AtomicU64> {
        self.states.words().get(segment).context("there is such a segment")
    }

    fn words(&self, place: usize) -> &[AtomicU64] {
        let first = place * UNIT;
        self.heap.words().get(first..first + WORDS).unwrap_or_default()
    }

    fn read(&self, place: usize, key: &Key) -> Option<Record> {
        Record::read(self.words(place)).filter(|record| record.key == *key.as_bytes())
    }

    /// Writes a record at the end of the open segment; it counts once [`Open::keep`] is called.
    fn append(&self, open: &mut Option<Open>, record: &Record) -> Result<usize> {
        if open.as_ref().is_none_or(|open| open.used == RECORDS) {
            if let Some(full) = open.take() {
                self.seal(&full)?;
            }
            *open = Some(self.claim()?);
        }
        let Some(Open { segment, used }) = open else { bail!("a segment is open") };
        let place = (*segment * SEGMENT + *used * RECORD) / UNIT;
        record.write(self.words(place));
        Ok(place)
    }

    /// Takes a free segment and gets space for it.
    fn claim(&self) -> Result<Open> {
        // Place 0 means none: the first segment is never used.
        for (segment, state) in self.states.words().iter().enumerate().skip(1) {
            let open = OPEN | RECORDS as u64;
            let (set, get) = (Ordering::Acquire, Ordering::Relaxed);
            if state.load(get) == FREE && state.compare_exchange(FREE, open, set, get).is_ok() {
                self.heap.allocate(segment * SEGMENT, SEGMENT)?;
                return Ok(Open { segment, used: 0 });
            }
        }
        bail!("all segments of the spike are in use")
    }

    fn seal(&self, open: &Open) -> Result<()> {
        let unused = (RECORDS - open.used) as u64;
        let state = self.state(open.segment)?;
        let state = state.fetch_add(SEALED - OPEN - unused, Ordering::AcqRel);
        if state & LIVE == unused {
            self.give_back(open.segment, SEALED)?;
        }
        Ok(())
    }

    /// One record less is live at `place`.
    fn release(&self, place: usize) -> Result<()> {
        let segment = place * UNIT / SEGMENT;
        let left = self.state(segment)?.fetch_sub(1, Ordering::AcqRel) - 1;
        if left & LIVE == 0 && left != OPEN {
            self.give_back(segment, left)?;
        }
        Ok(())
    }

    /// Punches a segment whose word is `state`, unless somebody else does.
    fn give_back(&self, segment: usize, state: u64) -> Result<()> {
        let word = self.state(segment)?;
        let (set, get) = (Ordering::AcqRel, Ordering::Relaxed);
        if word.compare_exchange(state, PUNCHED, set, get).is_ok() {
            self.heap.punch(segment * SEGMENT, SEGMENT)?;
            word.store(FREE, Ordering::Release);
        }
        Ok(())
    }

    /// Compacts segments while too many are in use.
    fn tidy(&self, open: &mut Option<Open>) -> Result<()> {
        let states = || self.states.words().iter().map(|word| word.load(Ordering::Relaxed));
        // Others tidy too, so there is an end to what one thread does.
        for _ in 0..8 {
            if states().filter(|state| *state != FREE).count() < self.limit {
                break;
            }
            self.compact(open)?;
        }
        Ok(())
    }

    /// Copies the live records out of the sealed segment that has the fewest.
    fn compact(&self, open: &mut Option<Open>) -> Result<()> {
        let states = self.states.words().iter().map(|word| word.load(Ordering::Relaxed));
        let sealed = states.enumerate().filter(|(_, state)| state & !LIVE == SEALED);
        let Some((victim, state)) = sealed.min_by_key(|(_, state)| state & LIVE) else {
            return Ok(());
        };
        let word = self.state(victim)?;
        let (set, get) = (Ordering::AcqRel, Ordering::Relaxed);
        let compacted = state - SEALED + COMPACTED;
        if word.compare_exchange(state, compacted, set, get).is_err() {
            return Ok(());
        }
        for number in 0..RECORDS {
            let place = (victim * SEGMENT + number * RECORD) / UNIT;
            let Some(record) = Record::read(self.words(place)) else { continue };
            let Some(seat) = self.index.seat_of(&record.key, place) else { continue };
            let to = self.append(open, &record)?;
            if seat.lead_to(to) {
                Open::keep(open);
                self.release(place)?;
            }
        }
        // What is still counted is on its way out: whoever takes the last one sees an empty
        // segment. Should its count be wrong, it may be chosen again.
        let _ = word.fetch_update(set, get, |state| {
            (state & !LIVE == COMPACTED && state & LIVE != 0).then(|| state - COMPACTED + SEALED)
        });
        Ok(())
    }
}

impl Open {
    /// The record that was appended last is in the index.
    fn keep(open: &mut Option<Self>) {
        if let Some(open) = open {
            open.used += 1;
        }
    }
}

impl Peer for Segments {
    fn worker(&self) -> Result<Box<dyn Worker + '_>> {
        Ok(Box::new(Desk { of: self, open: None }))
    }

    fn fill(&self, sessions: &[(Key, Payload)]) -> Result<()> {
        let mut open = self.filling.lock().ok().context("nobody panicked")?;
        for (key, payload) in sessions {
            let place = self.append(&mut open, &Record::new(key, 1, payload))?;
            self.index.insert(key, place)?;
            Open::keep(&mut open);
        }
        Ok(())
    }
}

struct Desk<'a> {
    of: &'a Segments,
    open: Option<Open>,
}

impl Worker for Desk<'_> {
    fn load(&mut self, key: &Key, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        let found = self.of.index.find(key, |entry| self.of.read(entry.place(), key));
        see(&found.context("the session is there")?.1.payload);
        Ok(())
    }

    fn update(&mut self, key: &Key, change: &mut dyn FnMut(&mut Payload)) -> Result<bool> {
        let found = self.of.index.find(key, |entry| self.of.read(entry.place(), key));
        let (seat, mut record) = found.context("the session is there")?;
        record.version += 1;
        change(&mut record.payload);
        if self.open.as_ref().is_none_or(|open| open.used == RECORDS) {
            self.of.tidy(&mut self.open)?;
        }
        let place = self.of.append(&mut self.open, &record)?;
        let updated = seat.lead_to(place);
        if updated {
            Open::keep(&mut self.open);
            self.of.release(seat.entry.place())?;
        }
        Ok(updated)
    }
}

impl Drop for Desk<'_> {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            let _ = self.of.seal(&open);
        }
    }
}
