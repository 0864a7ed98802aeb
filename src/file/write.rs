//! Writing a session file: the next version in place, into a larger file, or into a new one.
//!
//! Why a kill at any step is safe:
//!
//! - *In place*: one write goes to the slot that is not current. Torn, it fails its check and the
//!   current slot stays current.
//! - *Growth*: the larger file is complete and locked before the rename puts it in place. Killed
//!   before, the path leads to the old file; what is left of the new one has a name that only the
//!   next growth or the sweep uses.
//! - *Birth*: until the first slot is whole the file is unborn, which is absent.
//!
//! In `Power` the order of syncs carries the same argument over a power cut: a slot is synced
//! before the commit returns; the current slot is known to be synced before the other one is
//! overwritten; a larger file is synced before the rename, and the directory after it; a new
//! file's directory entries before the commit returns. A commit whose sync failed is withdrawn
//! before the unlock, for the kernel may have dropped its data and called the page clean.

use std::io;
use std::path::Path;

use super::format::{self, Cell, Header, Kind};
use super::layout::growth_path;
use super::lock::LockedFile;
use super::read::{Contents, Current};
use super::room::{Room, Spot};
use crate::error::{CommitError, IoError, OpenError, write_error};
use crate::record::{Lifetime, Record};
use crate::seams::{self, Flock, OpenMode};

/// A payload and the record it goes with.
#[derive(Clone, Copy)]
pub(super) struct Draft<'a> {
    pub(super) kind: Kind,
    pub(super) record: Record,
    pub(super) payload: &'a [u8],
}

impl Room {
    /// Whether the next version has to go to a larger file.
    pub(super) fn must_grow(current: &Current, payload: &[u8]) -> bool {
        format::HEADER + payload.len() > current.header.capacity
    }

    /// Writes the next version; replaces `file` when it had to grow.
    pub(super) fn write_next(
        &self,
        at: &Spot,
        file: &mut LockedFile,
        current: &Current,
        draft: Draft<'_>,
    ) -> Result<Current, CommitError> {
        // Only an outsider can have taken it. Whether he did so just before the write or just after it cannot be told
        // anyway, so what was seen a moment ago counts.
        if !file.has_just_had_a_name() && self.stat(at, file.file())?.links == 0 {
            return Err(CommitError::Gone { key: at.key });
        }
        if Self::must_grow(current, draft.payload) {
            return self.grow(at, file, current, draft);
        }
        self.write_other_slot(at, file, current, draft)
    }

    /// Writes the slot that is not current.
    pub(super) fn write_other_slot(
        &self,
        at: &Spot,
        file: &LockedFile,
        current: &Current,
        draft: Draft<'_>,
    ) -> Result<Current, CommitError> {
        self.secure(at, file, current)?;
        let capacity = current.header.capacity;
        let header = Header {
            kind: draft.kind,
            sequence: current.header.sequence.saturating_add(1),
            record: draft.record,
            capacity,
        };
        let slot = 1 - current.slot;
        let offset = format::slot_offset(slot, capacity);
        let bytes = format::encode_slot(&at.key, &header, draft.payload);
        if let Err(error) = self.write_all(file.file(), &bytes, offset) {
            // A part was written, and what stood there before may happen to complete it.
            let _ = self.write_all(file.file(), &[0; format::HEADER], offset);
            return Err(write_error(self.io_error("write", &at.path)(error)));
        }
        self.sync_slot(at, file, offset)?;
        Ok(self.mark_synced(at, file, Current::new(header, slot, false, bytes)))
    }

    /// In `Power`: syncs the current slot, and the way to its file, before the other one is
    /// overwritten, unless both are known to be synced. Their writer may have been killed before it
    /// could.
    fn secure(&self, at: &Spot, file: &LockedFile, current: &Current) -> Result<(), CommitError> {
        if !self.is_power() {
            return Ok(());
        }
        self.check_poison()?;
        if current.synced {
            return Ok(());
        }
        let synced = self.fs.sync(file.file()).and_then(|()| self.sync_entries(&at.path));
        synced.map_err(|error| self.sync_failed(at, error))
    }

    /// In `Power`: syncs the slot at `offset` that was just written, or withdraws it.
    fn sync_slot(&self, at: &Spot, file: &LockedFile, offset: u64) -> Result<(), CommitError> {
        if self.is_power()
            && let Err(error) = self.fs.sync(file.file())
        {
            // Should this fail too, the commit stands although it was reported as failed.
            let _ = self.write_all(file.file(), &[0; format::HEADER], offset);
            return Err(self.sync_failed(at, error));
        }
        Ok(())
    }

    /// In `Power`: says in the head that the slot, and the way to its file, are on the medium.
    fn mark_synced(&self, at: &Spot, file: &LockedFile, mut written: Current) -> Current {
        if self.is_power() {
            let Header { record, sequence, .. } = &written.header;
            let cell = Cell::Synced.encode(&at.key, record, *sequence);
            // Without the cell the next commit syncs once more than it must.
            let marked = self.write_all(file.file(), &cell, Cell::Synced.offset() as u64);
            written.synced = marked.is_ok();
        }
        written
    }

    fn sync_failed(&self, at: &Spot, error: io::Error) -> CommitError {
        self.poison();
        CommitError::SyncFailed(self.io_error("sync", &at.path)(error))
    }

    /// Writes the next version to a file of at least twice the capacity and renames it over.
    fn grow(
        &self,
        at: &Spot,
        file: &mut LockedFile,
        current: &Current,
        draft: Draft<'_>,
    ) -> Result<Current, CommitError> {
        self.secure(at, file, current)?;
        let new_path = growth_path(&at.path);
        let larger = self
            .create_alone(at, &new_path)
            .map_err(|error| write_error(self.io_error("create", &new_path)(error)))?;
        let sequence = current.header.sequence.saturating_add(1);
        let capacity = format::capacity_for(draft.payload.len(), current.header.capacity);
        let header = Header { kind: draft.kind, sequence, record: draft.record, capacity };
        let grown = self
            .fill(at, &larger, &header, draft.payload)
            .and_then(|written| {
                if !self.leads_to(at, file.file())? {
                    return Err(CommitError::Gone { key: at.key });
                }
                let renamed = self.fs.rename(&self.root, &new_path, &at.path);
                renamed.map_err(|error| write_error(self.io_error("rename", &new_path)(error)))?;
                Ok(written)
            })
            .inspect_err(|_| {
                // What cannot be removed now is removed by the next growth or the sweep.
                let _ = self.fs.unlink(&self.root, &new_path);
            })?;
        if self.is_power()
            && let Err(error) = self.sync_entries(&at.path)
        {
            self.withdraw_growth(at, &larger, current, &grown);
            *file = larger;
            return Err(self.sync_failed(at, error));
        }
        // For a reader that has the old file open, and for one that a hard link leads to it. It
        // has no name any more, so a failure costs nothing.
        let moved = Header { kind: Kind::Moved, sequence, ..current.header };
        let offset = format::slot_offset(1 - current.slot, current.header.capacity);
        let _ = self.write_all(file.file(), &format::encode_slot(&at.key, &moved, &[]), offset);
        *file = larger;
        Ok(self.mark_synced(at, file, grown))
    }

    /// After a failed directory sync: makes the version before current again in the larger file.
    fn withdraw_growth(&self, at: &Spot, larger: &LockedFile, old: &Current, new: &Current) {
        let sequence = new.header.sequence.saturating_add(1);
        let header = Header { sequence, capacity: new.header.capacity, ..old.header };
        let bytes = format::encode_slot(&at.key, &header, old.payload());
        let offset = format::slot_offset(1 - new.slot, header.capacity);
        // Should this fail too, the commit stands although it was reported as failed.
        let _ = self.write_all(larger.file(), &bytes, offset);
    }

    /// A new, empty, locked file. One left by a growth that was killed is in nobody's hands, for
    /// only the holder of the session's lock grows it.
    fn create_alone(&self, at: &Spot, path: &Path) -> io::Result<LockedFile> {
        let created = match self.open_file(path, OpenMode::CreateNew) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.fs.unlink(&self.root, path)?;
                self.open_file(path, OpenMode::CreateNew)?
            }
            created => created?,
        };
        if self.fs.try_lock(&created, Flock::Exclusive)? {
            Ok(self.locked(at, created))
        } else {
            Err(io::Error::other("another process locked a file it does not know"))
        }
    }

    /// Gives an empty file its length, its first slot and its mark.
    fn fill(
        &self,
        at: &Spot,
        file: &LockedFile,
        header: &Header,
        payload: &[u8],
    ) -> Result<Current, CommitError> {
        let failed = |error| write_error(self.io_error("write", &at.path)(error));
        let bytes = format::encode_slot(&at.key, header, payload);
        let size = format::file_size(header.capacity);
        self.fs.set_size(file.file(), size).map_err(failed)?;
        let offset = format::slot_offset(0, header.capacity);
        self.write_all(file.file(), &bytes, offset).map_err(failed)?;
        self.sync_slot(at, file, offset)?;
        self.write_all(file.file(), &format::MARK, 0).map_err(failed)?;
        Ok(Current::new(*header, 0, false, bytes))
    }

    /// Creates the session of `key`, which was absent, with this record.
    ///
    /// Whoever finds the file in another's hands for as long as `BIRTHS` looks leaves the birth to
    /// that one: the answer is `AlreadyExists`, and an open waits for the other as it should.
    pub(super) fn create(
        &self,
        at: &Spot,
        payload: &[u8],
        record: Record,
    ) -> Result<(LockedFile, Current), CommitError> {
        if self.is_power() {
            self.check_poison()?;
        }
        for _ in 0..BIRTHS {
            let file = match self.open_file(&at.path, OpenMode::Create) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.layout.levels > 0 => {
                    let made = self.create_directories(&at.path);
                    made.map_err(|error| write_error(self.io_error("create", &at.path)(error)))?;
                    continue;
                }
                Err(error) => {
                    return Err(match self.open_error(at, error) {
                        OpenError::Io(error) => write_error(error),
                        foreign => foreign.into(),
                    });
                }
            };
            if !self
                .fs
                .try_lock(&file, Flock::Exclusive)
                .map_err(self.io_error("lock", &at.path))?
            {
                if let Contents::Session(_) = self.contents(at, &file, true)? {
                    return Err(CommitError::AlreadyExists { key: at.key });
                }
                // A sweep or another birth, done in a moment. Neither can be waited for: the lock
                // of a birth may be kept for long, and then this one has lost.
                std::thread::yield_now();
                continue;
            }
            let file = self.locked(at, file);
            let stat = self.stat(at, file.file())?;
            if stat.links == 0 {
                continue;
            }
            let contents = self.contents(at, file.file(), true)?;
            match contents {
                Contents::Unborn => {
                    if stat.size > 0 {
                        // What a killed birth left must not show up behind another length.
                        let cut = self.fs.set_size(file.file(), 0);
                        cut.map_err(self.io_error("truncate", &at.path))?;
                    }
                    return self.bear(at, file, payload, record);
                }
                Contents::Session(_) => return Err(CommitError::AlreadyExists { key: at.key }),
                Contents::Expired(_) | Contents::Dead | Contents::Moved => {
                    self.finish_unlink(at, &file)?;
                }
                Contents::Invalid(reason) => {
                    return Err(self.quarantine(at, &file, reason).into());
                }
            }
        }
        Err(CommitError::AlreadyExists { key: at.key })
    }

    /// Writes the first version into an unborn file; on failure the file goes.
    fn bear(
        &self,
        at: &Spot,
        file: LockedFile,
        payload: &[u8],
        record: Record,
    ) -> Result<(LockedFile, Current), CommitError> {
        let capacity = format::capacity_for(payload.len(), 0);
        let header = Header { kind: Kind::of(&record), sequence: 1, record, capacity };
        let born = self.fill(at, &file, &header, payload).and_then(|current| {
            if self.is_power() {
                self.sync_entries(&at.path).map_err(|error| self.sync_failed(at, error))?;
            }
            Ok(self.mark_synced(at, &file, current))
        });
        match born {
            Ok(current) => Ok((file, current)),
            Err(error) => {
                // Withdrawn before the unlock: empty it is unborn, whatever becomes of its name.
                let _ = self.fs.set_size(file.file(), 0);
                let _ = self.finish_unlink(at, &file);
                Err(error)
            }
        }
    }

    /// The record of a new session.
    pub(super) fn newborn(&self, lifetime: Lifetime) -> Result<Record, CommitError> {
        let birth = seams::random(&*self.entropy).map_err(|source| IoError {
            operation: "get random numbers for",
            place: self.root_path.clone(),
            source,
        })?;
        Ok(Record::newborn(birth, self.clock.now(), lifetime))
    }
}

/// How often a birth looks at a file in another's hands: some 50 ms, longer than it takes until a
/// sweep that lost its processor in the middle has it again.
const BIRTHS: usize = 20_000;
