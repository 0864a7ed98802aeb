//! Which sessions are locked or waited for, and by whom: from the kernel's own list, so that no
//! program need cooperate.
//!
//! The list names files by device and inode. Which session an inode is, is told by the open files
//! of the processes that hold the lock or wait for it: they bear the key in their names. Where those
//! may not be looked into, the names in the store are gone through. Either way the inode is compared
//! with the file that the session's path leads to.
//!
//! Who waits at the gate waits for one of its bytes, at an offset made from the key. The kernel
//! does not say who that is; but one process waits at most once for a session, so it is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use super::entries::{Entries, Entry};
use super::gate::{self, GATE};
use super::kernel::{self, FileNumber, KernelLock, LOCKS, LockKind};
use super::layout::parse_name;
use super::room::Room;
use crate::error::{IoError, OpenError};
use crate::id::Key;
use crate::inventory::Locked;

/// What one look at the kernel's list showed of this store.
#[derive(Default, PartialEq, Eq)]
struct Sight {
    /// By inode.
    files: BTreeMap<u64, Parties>,
    /// How many wait at the gate, by the byte they wait for.
    gate: BTreeMap<u64, usize>,
}

/// Who holds the lock of a file and who waits for it.
#[derive(Clone, Default, PartialEq, Eq)]
struct Parties {
    exclusive: bool,
    holders: BTreeSet<u32>,
    waiters: BTreeSet<u32>,
}

impl Room {
    /// Which sessions are locked or waited for, by whatever process.
    pub(super) fn locks(&self) -> Result<Vec<Locked>, OpenError> {
        self.check_presence()?;
        let sights = self.sights()?;
        // The latest sight of each file counts: the list may have left it out in a later one.
        let mut files = BTreeMap::new();
        for sight in &sights {
            files.extend(sight.files.iter().map(|(inode, parties)| (*inode, (parties, sight))));
        }
        let keys = self.name_files(&files)?;
        let mut locked = BTreeMap::new();
        let mut elsewhere = sights.last().map(|sight| sight.gate.clone()).unwrap_or_default();
        for (inode, (parties, sight)) in files {
            let Some(key) = keys.get(&inode) else { continue };
            let bytes: [u64; 2] = gate::offsets(key).into();
            let at_gate: usize = bytes.iter().filter_map(|byte| sight.gate.get(byte)).sum();
            elsewhere.retain(|byte, _| !bytes.contains(byte));
            let Parties { exclusive, holders, waiters } = parties.clone();
            let holders = self.living(key, inode, holders);
            let waiting = waiters.len() + at_gate;
            let waiters = waiters.into_iter().collect();
            locked.insert(*key, Locked { key: Some(*key), exclusive, holders, waiters, waiting });
        }
        let at_gate = elsewhere.into_values().filter(|waiting| *waiting > 0).map(|waiting| {
            Locked { key: None, exclusive: true, holders: Vec::new(), waiters: Vec::new(), waiting }
        });
        Ok(locked.into_values().chain(at_gate).collect())
    }

    /// Looks at the kernel's list until two looks agree, or often enough.
    fn sights(&self) -> Result<Vec<Sight>, OpenError> {
        let device = match kernel::device(&self.root) {
            Some(device) => device,
            None => self.fs.stat(&self.root).map_err(self.io_error("stat", Path::new("")))?.device,
        };
        let gate = match self.fs.stat_path(&self.root, Path::new(GATE)) {
            Ok(stat) => Some(stat.inode),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(self.io_error("stat", Path::new(GATE))(error).into()),
        };
        let mut sights: Vec<Sight> = Vec::new();
        for _ in 0..SIGHTS {
            let list = KernelLock::list().map_err(|source| IoError {
                operation: "read",
                place: LOCKS.into(),
                source,
            })?;
            let sight = Sight::of(list.iter().filter(|lock| lock.file.device == device), gate);
            let settled = sights.last() == Some(&sight);
            sights.push(sight);
            if settled {
                break;
            }
        }
        Ok(sights)
    }

    /// Which sessions have these inodes.
    fn name_files(
        &self,
        files: &BTreeMap<u64, (&Parties, &Sight)>,
    ) -> Result<BTreeMap<u64, Key>, OpenError> {
        let mut keys = BTreeMap::new();
        let mut tried = BTreeSet::new();
        let mut hidden = BTreeSet::new();
        let processes: BTreeSet<u32> =
            files.values().flat_map(|(parties, _)| parties.everybody()).collect();
        for pid in processes {
            let Ok(open) = kernel::open_files(pid) else {
                hidden.insert(pid);
                continue;
            };
            for (_, path) in open {
                if let Some(key) = session_of(&path)
                    && tried.insert(key)
                    && let Some(inode) = self.inode_of(&key)
                    && files.contains_key(&inode)
                {
                    keys.insert(inode, key);
                }
            }
        }
        let mut left: BTreeSet<u64> = files
            .iter()
            .filter(|(inode, (parties, _))| {
                !keys.contains_key(inode) && parties.everybody().any(|pid| hidden.contains(&pid))
            })
            .map(|(inode, _)| *inode)
            .collect();
        if left.is_empty() {
            return Ok(keys);
        }
        let mut entries = Entries::new(self)?;
        while let Some(entry) = entries.next(self) {
            if let Entry::Session { at, inode, .. } = entry
                && left.contains(&inode)
                && self.inode_of(&at.key) == Some(inode)
            {
                left.remove(&inode);
                keys.insert(inode, at.key);
                if left.is_empty() {
                    break;
                }
            }
        }
        Ok(keys)
    }

    /// The processes that hold the lock of a session. The kernel names the one that took it, also
    /// when that has ended and a child that it forked keeps the lock.
    fn living(&self, key: &Key, inode: u64, takers: BTreeSet<u32>) -> Vec<u32> {
        let ended = |pid: &u32| !Path::new(&format!("/proc/{pid}")).exists();
        if !takers.iter().any(ended) {
            return takers.into_iter().collect();
        }
        let holds = |pid: &u32| {
            let open = kernel::open_files(*pid).unwrap_or_default();
            open.into_iter().any(|(descriptor, path)| {
                session_of(&path) == Some(*key)
                    && kernel::locks_of(*pid, descriptor)
                        .iter()
                        .any(|lock| lock.file.inode == inode)
            })
        };
        let found: Vec<u32> = kernel::processes().into_iter().filter(holds).collect();
        if found.is_empty() { takers.into_iter().collect() } else { found }
    }

    fn inode_of(&self, key: &Key) -> Option<u64> {
        let stat = self.fs.stat_path(&self.root, &self.spot(key).path).ok()?;
        Some(stat.inode)
    }
}

impl Parties {
    fn everybody(&self) -> impl Iterator<Item = u32> {
        self.holders.union(&self.waiters).copied()
    }
}

impl Sight {
    fn of<'a>(list: impl Iterator<Item = &'a KernelLock>, gate: Option<u64>) -> Self {
        let mut sight = Self::default();
        for lock in list {
            let FileNumber { inode, .. } = lock.file;
            match lock.kind {
                LockKind::Flock => {
                    let Some(pid) = lock.pid else { continue };
                    let parties = sight.files.entry(inode).or_default();
                    if lock.waits {
                        parties.waiters.insert(pid);
                    } else {
                        parties.holders.insert(pid);
                    }
                    parties.exclusive |=
                        lock.exclusive && (!lock.waits || parties.holders.is_empty());
                }
                LockKind::Range if Some(inode) == gate => {
                    // Those who wait for a byte follow on its holder: counted anew if it comes twice.
                    let waiting = sight.gate.entry(lock.start).or_default();
                    *waiting = if lock.waits { *waiting + 1 } else { 0 };
                }
                LockKind::Range => {}
            }
        }
        sight
    }
}

/// The session that a file of this name is of.
fn session_of(path: &Path) -> Option<Key> {
    let (key, grown) = parse_name(path.file_name()?.to_str()?)?;
    (!grown).then_some(key)
}

/// How often the kernel's list is looked at while it moves.
const SIGHTS: usize = 4;
