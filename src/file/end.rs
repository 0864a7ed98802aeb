//! The end of a session file: destroyed, retired, or moved to the quarantine.
//!
//! A destroyed session first gets a tombstone and then loses its name. The tombstone tells a
//! waiter on this file, and after a crash between the two steps it means absent: whoever finds it
//! takes the name away. Whoever takes a name away checks first, under the lock, that it still
//! leads to this file.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::format::Kind;
use super::lock::LockedFile;
use super::read::Current;
use super::room::{Room, Spot};
use super::write::Draft;
use crate::error::{CommitError, Corrupt};
use crate::record::Record;
use crate::root::QUARANTINE;
use crate::seams::OpenMode;

impl Room {
    /// Ends the session in `file`. In `Power` the tombstone is on the medium before this returns.
    pub(super) fn destroy(
        &self,
        at: &Spot,
        file: &LockedFile,
        current: &Current,
    ) -> Result<(), CommitError> {
        let tombstone = Draft { kind: Kind::Tombstone, record: *current.record(), payload: &[] };
        let written = self.write_other_slot(at, file, current, tombstone);
        match written {
            Ok(_) => {
                // Should it fail, the tombstone says it all, and whoever finds it tries again.
                let _ = self.finish_unlink(at, file);
                Ok(())
            }
            // A full disk must not keep a session alive: taking the name away needs no space.
            Err(CommitError::OutOfSpace(_)) => {
                self.finish_unlink(at, file)?;
                if self.is_power() {
                    let synced = self.sync_entries(&at.path);
                    synced.map_err(|error| {
                        self.poison();
                        CommitError::Unsynced(self.io_error("sync", &at.path)(error))
                    })?;
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the session read-only for `grace`, with what was committed before; then it ends.
    pub(super) fn retire(
        &self,
        at: &Spot,
        file: &LockedFile,
        current: &Current,
        grace: Duration,
    ) -> Result<(), CommitError> {
        let retired_until = Some(self.clock.now().plus(grace));
        let record = Record { retired_until, ..*current.record() };
        let retired = Draft { kind: Kind::Retired, record, payload: current.payload() };
        self.write_other_slot(at, file, current, retired)?;
        Ok(())
    }

    /// Takes the name of a file whose session is over, if it still is this file's.
    pub(super) fn finish_unlink(&self, at: &Spot, file: &LockedFile) -> Result<(), CommitError> {
        if self.leads_to(at, file.file())? {
            match self.fs.unlink(&self.root, &at.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.io_error("unlink", &at.path)(error).into());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Moves a damaged file out of the way, so that its id is free again and the bytes can be
    /// looked into. Needs the exclusive lock.
    pub(super) fn quarantine(&self, at: &Spot, file: &LockedFile, reason: &'static str) -> Corrupt {
        let corrupt =
            |quarantine| Corrupt { key: at.key, place: self.place(&at.path), reason, quarantine };
        let to = PathBuf::from(format!("{QUARANTINE}/{}.{}", at.key, self.clock.now().as_millis()));
        if !self.leads_to(at, file.file()).unwrap_or(false) {
            return corrupt(None);
        }
        let moved = self.create_directories(&to).and_then(|()| {
            // Not through a link that somebody put there.
            self.open(Path::new(QUARANTINE), OpenMode::Directory)?;
            self.fs.rename(&self.root, &at.path, &to)?;
            Ok(self.place(&to))
        });
        corrupt(moved.ok())
    }
}
