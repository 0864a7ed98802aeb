//! An open store: its parts, and what they do together to read and to commit a session.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use super::drain::Drain;
use super::flush::Flush;
use super::format::{self, Draft, PAYLOAD_MAX, Previous, Reading, Stored};
use super::heap::{Cell, Heap};
use super::index::{Index, Spot};
use super::registry::Registry;
use super::size::Class;
use super::stash::Stash;
use super::sweep::Cursor;
use super::word::{Place, State, Use};
use crate::access::Calling;
use crate::error::{CommitError, IoError, OpenError, write_error};
use crate::file::Durability;
use crate::fork::Generation;
use crate::id::Key;
use crate::inventory::{Adopted, Look};
use crate::pool::Pool;
use crate::record::{Lifetime, Record};
use crate::seams::{self, Clock, Entropy, FileSystem};
use crate::sync::{Arc, Mutex};

pub(super) struct Room {
    pub(super) fs: Arc<dyn FileSystem>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) root: File,
    pub(super) root_path: PathBuf,
    pub(super) durability: Durability,
    pub(super) seed: u64,
    pub(super) heap: Arc<Heap>,
    pub(super) index: Index,
    pub(super) registry: Registry,
    pub(super) stash: Stash,
    pub(super) drain: Drain,
    pub(super) flush: Flush,
    /// Threads that sync for async callers.
    pub(super) syncers: Pool,
    pub(super) cursor: Mutex<Cursor>,
    /// The process that opened the store.
    pub(super) process: Generation,
}

/// A session as the index shows it, or its absence.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// The record, whether or not its deadline has passed.
    pub(super) stored: Option<Stored>,
    /// Where it was seen.
    pub(super) sighting: Option<Sighting>,
}

/// Where a record was seen, and the state its cell had then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting {
    pub(super) spot: Spot,
    pub(super) state: State,
}

/// Where a record was seen, what it is, and the state of its cell then.
type Find = (Spot, (Reading, State));

impl Standing {
    pub(super) fn record(&self) -> Option<&Record> {
        self.stored.as_ref().map(|stored| &stored.record)
    }

    /// The record before the next one.
    fn previous(&self) -> Option<Previous> {
        self.sighting?.previous()
    }
}

impl Sighting {
    /// The record that was seen, to the one that is put in its place.
    pub(super) fn previous(self) -> Option<Previous> {
        Some(Previous::new(self.spot.place()?, self.state))
    }
}

impl Room {
    /// Whether this is the process that opened the store.
    pub(super) fn check_process(&self) -> Result<(), OpenError> {
        if self.process.is_current() { Ok(()) } else { Err(OpenError::Forked) }
    }

    pub(super) fn is_power(&self) -> bool {
        self.durability == Durability::Power
    }

    /// What stands under `key`, without waiting for anybody.
    #[inline]
    pub(super) fn look(&self, key: &Key) -> Result<Standing, OpenError> {
        match self.find(key)? {
            None => Ok(Standing::default()),
            Some((spot, (Reading::Whole(stored), state))) => {
                Ok(Standing { stored: Some(stored), sighting: Some(Sighting { spot, state }) })
            }
            Some((spot, (Reading::Damaged, _))) => Err(self.quarantine(key, spot).into()),
        }
    }

    /// Makes `record` what stands under `key`, if that still is what `standing` saw. `None`: somebody
    /// was faster. In `Power` it is on the medium when this returns.
    pub(super) fn put(
        &self,
        key: &Key,
        standing: &Standing,
        record: Record,
        payload: &[u8],
    ) -> Result<Option<Standing>, CommitError> {
        if self.is_power() {
            self.check_poison()?;
        }
        let previous = standing.previous();
        let draft = Draft { key, record: &record, previous, payload };
        let Some(new) = self.publish(draft, standing.sighting)? else { return Ok(None) };
        if self.is_power() {
            self.sync(key, new, standing)?;
            self.free_all(&self.older(key, standing.stored.as_ref()));
        }
        if let Some(old) = standing.sighting {
            self.inherit(old);
        }
        let stored = Stored { record, previous, payload: payload.to_vec() };
        Ok(Some(Standing { stored: Some(stored), sighting: Some(new) }))
    }

    /// Puts a record into the index, if what stands still is what was seen. `None`: somebody was faster.
    fn publish(
        &self,
        draft: Draft<'_>,
        seen: Option<Sighting>,
    ) -> Result<Option<Sighting>, CommitError> {
        let Draft { record, payload, .. } = draft;
        let count = format::words(payload.len(), record.retired_until.is_some());
        let class = Class::for_words(count).filter(|_| payload.len() <= PAYLOAD_MAX);
        let (bytes, limit) = (payload.len(), PAYLOAD_MAX);
        let class = class.ok_or(CommitError::TooLarge { bytes, limit })?;
        let cell = self.cell(class)?;
        self.publish_in(class, cell, draft, seen)
    }

    /// The same in this cell, which has this size.
    pub(super) fn publish_in(
        &self,
        class: Class,
        cell: Cell,
        draft: Draft<'_>,
        seen: Option<Sighting>,
    ) -> Result<Option<Sighting>, CommitError> {
        let key = draft.key;
        draft.write(&self.heap, cell.place, self.seed);
        let put = match seen {
            Some(Sighting { spot, state }) => {
                // So what is owned and nobody's was never in the index.
                self.confirm(spot.place(), state);
                Ok(self.index.replace(spot, cell.place))
            }
            None => self.index.insert(format::hash(key), cell.place, |place| {
                format::read(&self.heap, place, key, self.seed)
            }),
        };
        match put {
            Ok(Some(spot)) => {
                self.heap.mark_live(cell);
                Ok(Some(Sighting { spot, state: cell.state.live() }))
            }
            refused => {
                self.keep(class, cell);
                refused
                    .map_err(|error| write_error(self.io_error("change the index of", error)))?;
                Ok(None)
            }
        }
    }

    /// Marks a record that was seen in the index as live; its writer may be dead, or stopped before that.
    pub(super) fn confirm(&self, place: Option<Place>, state: State) {
        if let (Some(place), Use::Owned(_)) = (place, state.usage()) {
            self.heap.mark_live(Cell { place, state });
        }
    }

    /// The same without any consequence: a damaged record stays where it is.
    pub(super) fn glance(&self, key: &Key) -> Result<Option<Look>, OpenError> {
        let found = self.find(key)?;
        let Some((_, (reading, _))) = found else { return Ok(None) };
        match reading {
            Reading::Damaged => Err(self.corrupt(key, None).into()),
            Reading::Whole(Stored { record, payload, .. }) => {
                let expired = record.is_expired(self.clock.now());
                Ok(Some(Look { record, payload, expired }))
            }
        }
    }

    #[inline]
    pub(super) fn find(&self, key: &Key) -> Result<Option<Find>, OpenError> {
        // What was read stays here: to hand it through the search would cost more than the search.
        let mut seen = None;
        let read = |place| {
            // The state is seen while the index leads here, or none of it counts.
            let state = self.heap.state(place)?;
            seen = Some((format::read(&self.heap, place, key, self.seed)?, state));
            Some(())
        };
        let found = self.index.find(format::hash(key), read);
        let found = found.map_err(|error| self.io_error("read", error))?;
        Ok(found.and_then(|(spot, ())| Some((spot, seen?))))
    }

    /// Takes a session in as it stands in another store.
    pub(super) fn adopt(
        &self,
        key: &Key,
        record: Record,
        payload: &[u8],
        known: Option<u64>,
    ) -> Result<Adopted, CommitError> {
        loop {
            let standing = self.look(key)?;
            let now = self.clock.now();
            let found = standing.record().filter(|found| !found.is_expired(now));
            let adopted = Adopted::judge(&record, known, found, now);
            let adopts = matches!(adopted, Adopted::Created | Adopted::Replaced);
            if !adopts || self.put(key, &standing, record, payload)?.is_some() {
                return Ok(adopted);
            }
        }
    }

    /// Ends the session that `standing` saw, if it still is what stands. Whether it was. In `Power` it
    /// is so on the medium before anybody can find it gone.
    pub(super) fn end(&self, key: &Key, standing: &Standing) -> Result<bool, CommitError> {
        Ok(standing.sighting.is_none() || self.end_all(&[(key, standing)])? == 1)
    }

    /// Ends sessions in the same way, with one sync for all. How many there were.
    pub(super) fn end_all(&self, sessions: &[(&Key, &Standing)]) -> Result<usize, CommitError> {
        let mut endings = Vec::new();
        for (key, standing) in sessions {
            let Some(seen) = standing.sighting else { continue };
            let mut older = Vec::new();
            if let Some(place) = seen.spot.place().filter(|_| self.is_power()) {
                self.check_poison()?;
                older = self.older(key, standing.stored.as_ref());
                self.heap.mark_ended(place, seen.state);
            }
            endings.push((seen, older));
        }
        if self.is_power() {
            self.flush_for_caller()?;
        }
        endings.retain(|(seen, _)| self.index.end(seen.spot));
        for (seen, older) in &endings {
            if older.is_empty() {
                self.inherit(*seen);
            } else {
                // The mark stays for the sweep: it must be on the medium as long as one of these may be.
                self.free_all(older);
            }
        }
        Ok(endings.len())
    }

    /// Syncs; a failure is the caller's.
    pub(super) fn flush_for_caller(&self) -> Result<(), CommitError> {
        self.flush().map_err(CommitError::SyncFailed)
    }

    /// Syncs a new record, or withdraws it: what was there `before` stands again, as a copy, for the
    /// cell that left the index may be anybody's.
    fn sync(&self, key: &Key, mut new: Sighting, before: &Standing) -> Result<(), CommitError> {
        let Err(error) = self.flush() else { return Ok(()) };
        loop {
            let withdrawn = match &before.stored {
                Some(Stored { record, payload, .. }) => {
                    let draft = Draft { key, record, previous: before.previous(), payload };
                    matches!(self.publish(draft, Some(new)), Ok(Some(_)))
                }
                None => {
                    if let Some(place) = new.spot.place() {
                        self.heap.mark_ended(place, new.state);
                    }
                    self.index.end(new.spot)
                }
            };
            if withdrawn {
                // A part of it may be on the medium; owned, it is nothing to a rebuild.
                self.inherit(new);
                return Err(CommitError::SyncFailed(error));
            }
            match self.find(key) {
                // It was moved with its table.
                Ok(Some((spot, (_, state))))
                    if spot != new.spot
                        && spot.place() == new.spot.place()
                        && state.count() == new.state.count() =>
                {
                    new.spot = spot;
                }
                _ => return Err(CommitError::Unsynced(error)),
            }
        }
    }

    /// In `Power`: the cells of the records before this one that nobody has given back yet, the latest
    /// first: those that put something in their place may have been killed, or are about to do it.
    ///
    /// They may be given back when this record is on the medium, and its own cell not before they are
    /// given back there, or a power cut might raise them.
    pub(super) fn older(&self, key: &Key, stored: Option<&Stored>) -> Vec<(Place, State)> {
        let mut older = Vec::new();
        let mut next = stored.and_then(|stored| Some((stored.previous?, stored.age())));
        while let Some((Previous { place, count }, age)) = next {
            let is = |state: &State| state.count() == count && state.usage() != Use::Free;
            let Some(state) = self.heap.state(place).filter(is) else { break };
            // After a power cut the cell may be in the same use for something else.
            let read = format::read(&self.heap, place, key, self.seed);
            let Some(Reading::Whole(stored)) = read else { break };
            if stored.age() > age || older.contains(&(place, state)) {
                break;
            }
            older.push((place, state));
            next = stored.previous.map(|previous| (previous, stored.age()));
        }
        older
    }

    /// Gives such cells back; the oldest first, so that the way to those that are left stays whole.
    pub(super) fn free_all(&self, older: &[(Place, State)]) {
        for (place, state) in older.iter().rev() {
            self.heap.free(*place, *state);
        }
    }

    fn flush(&self) -> Result<(), IoError> {
        self.flush.flush(&*self.fs, self.heap_file()).map_err(|error| self.io_error("sync", error))
    }

    /// Whether a sync of this handle failed before.
    pub(super) fn check_poison(&self) -> Result<(), CommitError> {
        if self.flush.has_failed() { Err(CommitError::Poisoned) } else { Ok(()) }
    }

    pub(super) fn heap_file(&self) -> &File {
        self.heap.cells().file()
    }

    /// The record of a new session.
    pub(super) fn newborn(&self, lifetime: Lifetime) -> Result<Record, CommitError> {
        let birth = seams::random(&*self.entropy)
            .map_err(|error| self.io_error("get random numbers for", error))?;
        Ok(Record::newborn(birth, self.clock.now(), lifetime))
    }

    pub(super) fn io_error(&self, operation: &'static str, source: io::Error) -> IoError {
        IoError { operation, place: self.root_path.clone(), source }
    }

    /// Does what may take long, on a thread of the engine if the caller must not block.
    pub(super) async fn off_thread<T: Send + 'static>(
        self: &Arc<Self>,
        calling: Calling,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, IoError> {
        match calling {
            Calling::Blocking => Ok(work(self)),
            Calling::Async => {
                let room = Arc::clone(self);
                let done = self.syncers.run(move || work(&room)).await;
                done.ok_or_else(|| {
                    self.io_error("start a thread for", io::ErrorKind::OutOfMemory.into())
                })
            }
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.process.is_current() {
            for cell in self.stash.empty() {
                self.heap.give_up(cell);
            }
        }
    }
}
