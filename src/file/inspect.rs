//! What a walk in all depth looks at beside the current versions: every byte, and what the file
//! system says of a file.

use std::fs::File;
use std::io;
use std::path::Path;

use super::format::{self, Header, Kind};
use super::read::{Contents, Current, LOOKS};
use super::room::{Room, Spot};
use crate::error::OpenError;
use crate::inventory::Found;
use crate::seams::FileStat;

/// How files and directories of a store should be.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    /// The user that the store's directory belongs to.
    owner: u32,
}

impl Rule {
    /// The rule of this store; with what is wrong with its directory, which its operator made.
    pub(super) fn of(room: &Room) -> Result<(Self, Option<Found>), OpenError> {
        let root = Path::new("");
        let stat = room.fs.stat(&room.root).map_err(room.io_error("stat", root))?;
        let open_to_others = (stat.permissions & 0o022 != 0).then(|| {
            let what = format!(
                "its permissions are {:04o}, so that others may put files into it; take that right \
                 away with chmod",
                stat.permissions
            );
            Found::Suspect { place: room.place(root), what }
        });
        Ok((Self { owner: stat.owner }, open_to_others))
    }

    /// In which ways a file or directory is not as it should be.
    fn broken_by(self, stat: &FileStat, permissions: u32) -> impl Iterator<Item = String> {
        let FileStat { permissions: found, owner: user, .. } = *stat;
        let Self { owner } = self;
        let permissions = (found != permissions).then(|| {
            format!(
                "its permissions are {found:04o} and not {permissions:04o}; set them with chmod"
            )
        });
        let owner = (user != owner).then(|| {
            format!("it belongs to user {user} and the store to user {owner}; set it with chown")
        });
        permissions.into_iter().chain(owner)
    }
}

impl Room {
    /// What is not as it should be with a directory.
    pub(super) fn inspect_directory(
        &self,
        rule: Rule,
        path: &Path,
        directory: &File,
    ) -> Vec<Found> {
        let place = self.place(path);
        match self.fs.stat(directory) {
            Ok(stat) => {
                let suspect = |what| Found::Suspect { place: place.clone(), what };
                rule.broken_by(&stat, 0o700).map(suspect).collect()
            }
            Err(error) => vec![Found::Unreadable { place, reason: error.to_string() }],
        }
    }

    /// What is not as it should be with the file of a session that can be read.
    pub(super) fn inspect(
        &self,
        rule: Rule,
        at: &Spot,
        file: &File,
        current: Current,
    ) -> Result<Vec<Found>, OpenError> {
        let stat = self.stat(at, file)?;
        if stat.links == 0 {
            // Destroyed or replaced since.
            return Ok(Vec::new());
        }
        let names = (stat.links > 1).then(|| {
            format!("it has {} names, which lead to the same bytes; remove the others", stat.links)
        });
        let bytes = self.wrong_bytes(at, file, current)?.map(str::to_owned);
        let place = self.place(&at.path);
        let suspects = rule.broken_by(&stat, 0o600).chain(names).chain(bytes);
        Ok(suspects.map(|what| Found::Suspect { place: place.clone(), what }).collect())
    }

    /// What is wrong with the bytes around the current slot. Read while the session is committed
    /// to, they make no sense together: then they are read again.
    fn wrong_bytes(
        &self,
        at: &Spot,
        file: &File,
        mut current: Current,
    ) -> Result<Option<&'static str>, OpenError> {
        for _ in 0..LOOKS {
            let wrong = self.bytes_beside(at, file, &current);
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

    /// Reads a whole file, to its last byte, and compares what stands beside the current slot.
    fn bytes_beside(
        &self,
        at: &Spot,
        file: &File,
        current: &Current,
    ) -> io::Result<Option<&'static str>> {
        let Header { capacity, sequence, record, .. } = current.header;
        let size = format::HEAD + 2 * capacity;
        let bytes = self.read(file, size, 0)?;
        if !bytes.get(..format::HEAD).is_some_and(format::is_head) {
            return Ok(Some("its head has bytes that the store does not write"));
        }
        let start = format::HEAD + (1 - current.slot) * capacity;
        let spare = bytes.get(start..start + capacity).unwrap_or_default();
        let length = format::peek(spare).map_or(0, |(_, payload)| format::HEADER + payload);
        // One that is not whole was never written, or its commit was killed.
        let spare = spare.get(..length).and_then(|slot| format::decode_slot(&at.key, slot));
        let is_earlier = |spare: Header| match spare.kind {
            Kind::Live | Kind::Retired => {
                spare.sequence < sequence
                    && spare.record.birth == record.birth
                    && spare.record.version <= record.version
            }
            Kind::Tombstone => false,
            // Of a growth that a power cut undid.
            Kind::Moved => true,
        };
        Ok((!spare.is_none_or(is_earlier)).then_some("its spare slot is of no earlier version"))
    }
}
