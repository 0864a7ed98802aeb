//! Removing expired sessions, a bounded step at a time.
//!
//! The cursor stays between the directory entries where a step ended. A session is removed only
//! under its lock, taken without waiting, after a second look: one in use is left alone.

use std::fs::File;
use std::io;

use super::entries::{Entries, Entry};
use super::layout::growth_path;
use super::read::Contents;
use super::room::{Room, Spot};
use crate::error::OpenError;
use crate::seams::{Flock, OpenMode};
use crate::store::{SweepBudget, Swept};

enum Verdict {
    Kept,
    Removed,
    InUse,
}

impl Room {
    pub(super) fn sweep(&self, budget: SweepBudget) -> Result<Swept, OpenError> {
        self.kept.close_stale();
        let mut cursor = self.cursor.lock();
        let mut swept = Swept::default();
        while swept.examined < budget.sessions {
            let entries = match &mut *cursor {
                Some(entries) => entries,
                none => none.insert(Entries::from_anywhere(self)?),
            };
            let verdict = match entries.next(self) {
                None => {
                    *cursor = None;
                    self.check_presence()?;
                    swept.complete = true;
                    break;
                }
                Some(Entry::Directory { .. } | Entry::Foreign { .. }) => continue,
                Some(Entry::Unlisted(_)) => {
                    swept.failed += 1;
                    continue;
                }
                Some(Entry::Session { at, .. }) => self.sweep_one(&at),
                Some(Entry::Growth { at }) => self.clear_growth(&at),
            };
            swept.examined += 1;
            match verdict {
                Ok(Verdict::Kept) => {}
                Ok(Verdict::Removed) => swept.removed += 1,
                Ok(Verdict::InUse) => swept.in_use += 1,
                Err(_) => swept.failed += 1,
            }
        }
        Ok(swept)
    }

    fn sweep_one(&self, at: &Spot) -> Result<Verdict, OpenError> {
        let open = match self.open_file(&at.path, OpenMode::Write) {
            Ok(open) => open,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Verdict::Kept),
            Err(error) => return Err(self.open_error(at, error)),
        };
        if !self.is_over(at, &open)? {
            return Ok(Verdict::Kept);
        }
        if !self.fs.try_lock(&open, Flock::Exclusive).map_err(self.io_error("lock", &at.path))? {
            return Ok(Verdict::InUse);
        }
        let locked = self.locked(at, open);
        if !self.is_over(at, locked.file())? {
            return Ok(Verdict::Kept);
        }
        if !self.leads_to(at, locked.file())? {
            return Ok(Verdict::Kept);
        }
        self.fs.unlink(&self.root, &at.path).map_err(self.io_error("unlink", &at.path))?;
        Ok(Verdict::Removed)
    }

    fn is_over(&self, at: &Spot, file: &File) -> Result<bool, OpenError> {
        let contents = self.contents(at, file, true)?;
        Ok(matches!(contents, Contents::Expired(_) | Contents::Dead | Contents::Unborn))
    }

    /// Removes what a killed growth left. Only the holder of the session's lock grows it, so with
    /// that lock, or without a session, nobody is at it.
    fn clear_growth(&self, at: &Spot) -> Result<Verdict, OpenError> {
        let _lock = match self.open_file(&at.path, OpenMode::Write) {
            Ok(open) => {
                if !self
                    .fs
                    .try_lock(&open, Flock::Exclusive)
                    .map_err(self.io_error("lock", &at.path))?
                {
                    return Ok(Verdict::InUse);
                }
                Some(self.locked(at, open))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(self.open_error(at, error)),
        };
        let grown = growth_path(&at.path);
        self.fs.unlink(&self.root, &grown).map_err(self.io_error("unlink", &grown))?;
        Ok(Verdict::Removed)
    }
}
