//! Removing expired sessions, a bounded step at a time.
//!
//! The cursor stays between the directory entries where a step ended. A session is removed only
//! under its lock, taken without waiting, after a second look: one in use is left alone.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::Dir;

use super::layout::{growth_path, parse_name};
use super::read::Contents;
use super::room::{Room, Spot};
use crate::error::OpenError;
use crate::seams::{Flock, OpenMode};
use crate::store::{SweepBudget, Swept};

/// Where a sweep goes on: the directories it is in, from the root down.
pub(super) struct Cursor(Vec<(PathBuf, Dir)>);

enum Verdict {
    Kept,
    Removed,
    InUse,
}

impl Room {
    pub(super) fn sweep(&self, budget: SweepBudget) -> Result<Swept, OpenError> {
        let mut cursor = self.cursor.lock();
        let mut swept = Swept::default();
        if cursor.is_none() {
            let root = Path::new("");
            let opened = self.enter(root).map_err(self.io_error("list", root))?;
            *cursor = Some(Cursor(vec![(root.to_owned(), opened)]));
        }
        while swept.examined < budget.sessions {
            let Some(Cursor(path)) = &mut *cursor else {
                break;
            };
            let level = u8::try_from(path.len()).unwrap_or(u8::MAX).saturating_sub(1);
            let Some((directory, entries)) = path.last_mut() else {
                *cursor = None;
                swept.complete = true;
                break;
            };
            let entry = match entries.read() {
                Some(Ok(entry)) => entry,
                ended => {
                    swept.failed += usize::from(ended.is_some());
                    path.pop();
                    continue;
                }
            };
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            let here = directory.join(name);
            if self.layout.is_prefix(name, level) {
                match self.enter(&here) {
                    Ok(below) => path.push((here, below)),
                    Err(_) => swept.failed += 1,
                }
            } else if let Some((key, grown)) = parse_name(name)
                && level == self.layout.levels
            {
                swept.examined += 1;
                let at = self.spot(&key);
                let verdict = if grown { self.clear_growth(&at) } else { self.sweep_one(&at) };
                match verdict {
                    Ok(Verdict::Kept) => {}
                    Ok(Verdict::Removed) => swept.removed += 1,
                    Ok(Verdict::InUse) => swept.in_use += 1,
                    Err(_) => swept.failed += 1,
                }
            }
        }
        Ok(swept)
    }

    fn enter(&self, directory: &Path) -> io::Result<Dir> {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let opened = self.open(directory, OpenMode::Directory)?;
        self.fs.list(&opened)
    }

    fn sweep_one(&self, at: &Spot) -> Result<Verdict, OpenError> {
        let file = match self.open(&at.path, OpenMode::Write) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Verdict::Kept),
            Err(error) => return Err(self.open_error(at, error)),
        };
        if !self.is_over(at, &file)? {
            return Ok(Verdict::Kept);
        }
        if !self.fs.try_lock(&file, Flock::Exclusive).map_err(self.io_error("lock", &at.path))? {
            return Ok(Verdict::InUse);
        }
        let locked = self.locked(file);
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
        Ok(matches!(contents, Contents::Expired | Contents::Dead | Contents::Unborn))
    }

    /// Removes what a killed growth left. Only the holder of the session's lock grows it, so with
    /// that lock, or without a session, nobody is at it.
    fn clear_growth(&self, at: &Spot) -> Result<Verdict, OpenError> {
        let _lock = match self.open(&at.path, OpenMode::Write) {
            Ok(file) => {
                if !self
                    .fs
                    .try_lock(&file, Flock::Exclusive)
                    .map_err(self.io_error("lock", &at.path))?
                {
                    return Ok(Verdict::InUse);
                }
                Some(self.locked(file))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(self.open_error(at, error)),
        };
        let grown = growth_path(&at.path);
        self.fs.unlink(&self.root, &grown).map_err(self.io_error("unlink", &grown))?;
        Ok(Verdict::Removed)
    }
}
