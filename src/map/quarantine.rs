//! A damaged record: out of the index, and kept in a file where its bytes can be looked into.

use std::io;
use std::path::{Path, PathBuf};

use super::format::{self, Reading};
use super::index::Spot;
use super::rebuild::HEAP;
use super::room::Room;
use super::size::{Class, Extent, UNIT};
use crate::error::{Corrupt, OpenError};
use crate::id::Key;
use crate::root::QUARANTINE;
use crate::seams::{self, OpenMode};

impl Room {
    /// Takes the record that was seen at `spot` out of service, unless somebody did before.
    pub(super) fn quarantine(&self, key: &Key, spot: Spot) -> Corrupt {
        let quarantine = self.keep_bytes(key, spot).ok().filter(|_| self.index.end(spot));
        self.corrupt(key, quarantine)
    }

    /// Takes the record of this key out of service if it is damaged; also one whose key is damaged, too, so
    /// that no look for it comes there.
    pub(super) fn repair(&self, key: &Key) -> Result<(), OpenError> {
        if self.look(key)?.record().is_some() {
            return Ok(());
        }
        let is_it = |place| {
            let read = format::read(&self.heap, place, key, self.seed);
            matches!(read, Some(Reading::Damaged))
        };
        let spots = self.index.spots_of(is_it).map_err(|error| self.io_error("read", error))?;
        spots.first().map_or(Ok(()), |spot| Err(self.quarantine(key, *spot).into()))
    }

    /// The error for a damaged record, which was kept there.
    pub(super) fn corrupt(&self, key: &Key, quarantine: Option<PathBuf>) -> Corrupt {
        let place = self.root_path.join(HEAP);
        Corrupt { key: *key, place, reason: "its record fails its check", quarantine }
    }

    /// Copies the cell to a file.
    fn keep_bytes(&self, key: &Key, spot: Spot) -> io::Result<PathBuf> {
        let nowhere = || io::Error::from(io::ErrorKind::NotFound);
        let place = spot.place().ok_or_else(nowhere)?;
        let units = self.heap.class_of(Extent::of(place)).map_or(1, Class::units);
        let words = self.heap.read(place, 0, units * (UNIT - 1)).ok_or_else(nowhere)?;
        let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        let (fs, root) = (&*self.fs, &self.root);
        match fs.create_directory(root, Path::new(QUARANTINE)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => created?,
        }
        let to = format!("{QUARANTINE}/{key}.{}", self.clock.now().as_millis());
        let file = fs.open(root, Path::new(&to), OpenMode::CreateNew)?;
        seams::write_all(fs, &file, &bytes, 0)?;
        Ok(self.root_path.join(to))
    }
}
