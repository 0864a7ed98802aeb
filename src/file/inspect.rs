//! What a walk looks at beside the sessions themselves: every byte, and what the file system says.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;

use super::format::{self, Header, Kind};
use super::read::{Contents, Current, LOOKS};
use super::room::{Room, Spot};
use crate::error::OpenError;
use crate::inventory::Found;
use crate::seams::FileStat;

impl Room {
    /// What is not as it should be with the file of a session that can be read.
    pub(super) fn inspect(
        &self,
        at: &Spot,
        file: &File,
        current: Current,
        found: &mut VecDeque<Found>,
    ) -> Result<(), OpenError> {
        let stat = self.stat(at, file)?;
        if stat.links == 0 {
            // Destroyed or replaced since.
            return Ok(());
        }
        let place = self.place(&at.path);
        let mut suspect = |what| found.push_back(Found::Suspect { place: place.clone(), what });
        self.inspect_access(&stat, 0o600).into_iter().for_each(&mut suspect);
        if stat.links > 1 {
            suspect(format!("it has {} names; a copy needs a file of its own", stat.links));
        }
        if let Some(what) = self.inspect_bytes(at, file, current)? {
            suspect(what.into());
        }
        Ok(())
    }

    pub(super) fn inspect_directory(
        &self,
        path: &Path,
        directory: &File,
        found: &mut VecDeque<Found>,
    ) {
        let place = self.place(path);
        match self.fs.stat(directory) {
            Ok(stat) => found.extend(
                self.inspect_access(&stat, 0o700)
                    .into_iter()
                    .map(|what| Found::Suspect { place: place.clone(), what }),
            ),
            Err(error) => found.push_back(Found::Unreadable { place, reason: error.to_string() }),
        }
    }

    /// Who else may reach it, and whether the users of the store may.
    fn inspect_access(&self, stat: &FileStat, permissions: u32) -> Vec<String> {
        let mut suspects = Vec::new();
        if stat.permissions != permissions {
            suspects.push(format!(
                "its permissions are {:04o} and not {permissions:04o}; set them with chmod",
                stat.permissions
            ));
        }
        let owner = self.fs.stat(&self.root).map_or(stat.owner, |root| root.owner);
        if stat.owner != owner {
            suspects.push(format!(
                "it belongs to user {} and the store to user {owner}; set it with chown",
                stat.owner
            ));
        }
        suspects
    }

    /// What is wrong with the bytes around the current slot. Read while the session is committed
    /// to, they make no sense together: then they are read again.
    fn inspect_bytes(
        &self,
        at: &Spot,
        file: &File,
        mut current: Current,
    ) -> Result<Option<&'static str>, OpenError> {
        for _ in 0..LOOKS {
            let wrong = self.wrong_bytes(at, file, &current);
            let Some(wrong) = wrong.map_err(self.io_error("read", &at.path))? else {
                return Ok(None);
            };
            match self.contents(at, file, false)? {
                Contents::Session(now) | Contents::Expired(now) => {
                    if now.header.sequence == current.header.sequence {
                        return Ok(Some(wrong));
                    }
                    current = now;
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    fn wrong_bytes(
        &self,
        at: &Spot,
        file: &File,
        current: &Current,
    ) -> std::io::Result<Option<&'static str>> {
        let head = self.read(file, format::HEAD, 0)?;
        if !format::is_head(&head) {
            return Ok(Some("its head has bytes that the store does not write"));
        }
        let Header { capacity, sequence, record, .. } = current.header;
        // In pieces of a slot: all of it has to come off the medium.
        self.read(file, capacity, format::slot_offset(current.slot, capacity))?;
        let spare = self.read(file, capacity, format::slot_offset(1 - current.slot, capacity))?;
        let length = format::peek(&spare).map_or(0, |(_, payload)| format::HEADER + payload);
        let spare = spare.get(..length).and_then(|slot| format::decode_slot(&at.key, slot));
        let earlier = |spare: Header| match spare.kind {
            Kind::Tombstone => false,
            // Of a growth that a power cut undid.
            Kind::Moved => true,
            Kind::Live | Kind::Retired => {
                spare.sequence < sequence
                    && spare.record.birth == record.birth
                    && spare.record.version <= record.version
            }
        };
        Ok((!spare.is_none_or(earlier)).then_some("its spare slot is not of an earlier version"))
    }
}
