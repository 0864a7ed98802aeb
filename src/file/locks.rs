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
use super::processes::{Process, locks_of};
use super::room::{Room, Spot};
use crate::error::{IoError, OpenError};
use crate::id::Key;
use crate::inventory::Locked;

/// What the kernel's list shows of this store.
#[derive(Default)]
struct Sight {
    /// By inode.
    files: BTreeMap<u64, Parties>,
    /// How many wait at the gate, by the byte they wait for.
    gate: BTreeMap<u64, usize>,
}

/// Who holds the lock of a file and who waits for it.
#[derive(Default)]
struct Parties {
    exclusive: bool,
    holders: BTreeSet<u32>,
    waiters: BTreeSet<u32>,
}

impl Room {
    /// Which sessions are locked or waited for, by whatever process.
    pub(super) fn locks(&self) -> Result<Vec<Locked>, OpenError> {
        self.check_presence()?;
        let Sight { files, mut gate } = self.look_at_locks()?;
        let (keys, ended) = self.name_files(&files)?;
        let mut heirs = heirs(&files, &keys, &ended);
        let mut locked: Vec<Locked> = Vec::with_capacity(keys.len());
        for (inode, Parties { exclusive, holders, waiters }) in files {
            let Some(key) = keys.get(&inode) else { continue };
            let (outer, inner) = gate::offsets(key);
            let at_gate: usize = [outer, inner].iter().filter_map(|byte| gate.remove(byte)).sum();
            locked.push(Locked {
                key: Some(*key),
                exclusive,
                holders: heirs.remove(&inode).unwrap_or(holders).into_iter().collect(),
                waiting: waiters.len() + at_gate,
                waiters: waiters.into_iter().collect(),
            });
        }
        locked.sort_unstable_by_key(|locked| locked.key);
        // Whoever passed the gate for these was stopped before it asked for the lock.
        locked.extend(gate.into_values().filter(|waiting| *waiting > 0).map(|waiting| Locked {
            key: None,
            exclusive: true,
            holders: Vec::new(),
            waiters: Vec::new(),
            waiting,
        }));
        Ok(locked)
    }

    /// Who holds the kernel's lock of the file of a session.
    pub(super) fn kernel_holder(&self, at: &Spot) -> Option<u32> {
        let inode = self.fs.stat_path(&self.root, &at.path).ok()?.inode;
        let file = FileNumber { device: self.device().ok()?, inode };
        let mut list = KernelLock::list().ok()?.into_iter();
        list.find(|lock| lock.file == file && !lock.waits)?.pid
    }

    fn look_at_locks(&self) -> Result<Sight, OpenError> {
        let device = self.device()?;
        let gate = match self.fs.stat_path(&self.root, Path::new(GATE)) {
            Ok(stat) => Some(stat.inode),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(self.io_error("stat", Path::new(GATE))(error).into()),
        };
        let unlisted = |source| IoError { operation: "read", place: LOCKS.into(), source };
        let list = KernelLock::list().map_err(unlisted)?;
        Ok(Sight::of(list.iter().filter(|lock| lock.file.device == device), gate))
    }

    /// The device of the store in the kernel's list.
    fn device(&self) -> Result<(u32, u32), IoError> {
        let stat = || self.fs.stat(&self.root).map_err(self.io_error("stat", Path::new("")));
        kernel::device(&self.root).map_or_else(|| Ok(stat()?.device), Ok)
    }

    /// Which sessions these files are of, and which of the processes have ended.
    fn name_files(
        &self,
        files: &BTreeMap<u64, Parties>,
    ) -> Result<(BTreeMap<u64, Key>, BTreeSet<u32>), OpenError> {
        let (mut keys, mut tried) = (BTreeMap::new(), BTreeSet::new());
        let (mut ended, mut silent) = (BTreeSet::new(), BTreeSet::new());
        let processes: BTreeSet<u32> = files.values().flat_map(Parties::everybody).collect();
        for pid in processes {
            let open = match Process::of(pid) {
                Process::Open(open) => open,
                process => {
                    silent.insert(pid);
                    ended.extend(matches!(process, Process::Ended).then_some(pid));
                    continue;
                }
            };
            for key in open.iter().filter_map(|(_, path)| session_of(path)) {
                if tried.insert(key)
                    && let Some(inode) = self.inode_of(&key)
                    && files.contains_key(&inode)
                {
                    keys.insert(inode, key);
                }
            }
        }
        // A file that those who have it open do not call a session's is none.
        let mut left: BTreeSet<u64> = files
            .iter()
            .filter(|(_, parties)| parties.everybody().any(|pid| silent.contains(&pid)))
            .map(|(inode, _)| *inode)
            .filter(|inode| !keys.contains_key(inode))
            .collect();
        if left.is_empty() {
            return Ok((keys, ended));
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
        Ok((keys, ended))
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
            let KernelLock { kind, file: FileNumber { inode, .. }, waits, .. } = *lock;
            match (kind, lock.pid) {
                (LockKind::Flock, Some(pid)) => {
                    let parties = sight.files.entry(inode).or_default();
                    if waits {
                        parties.waiters.insert(pid);
                        continue;
                    }
                    if lock.exclusive || parties.exclusive {
                        // The one before has let go meanwhile.
                        parties.holders.clear();
                    }
                    parties.exclusive = lock.exclusive;
                    parties.holders.insert(pid);
                }
                (LockKind::Range, _) if Some(inode) == gate => {
                    // Who waits for a byte follows its holder: counted anew if that comes twice.
                    let waiting = sight.gate.entry(lock.start).or_default();
                    *waiting = if waits { *waiting + 1 } else { 0 };
                }
                _ => {}
            }
        }
        sight
    }
}

/// Who holds the locks of processes that have ended: a child that one forked keeps the lock, and the
/// kernel names the one that took it.
fn heirs(
    files: &BTreeMap<u64, Parties>,
    keys: &BTreeMap<u64, Key>,
    ended: &BTreeSet<u32>,
) -> BTreeMap<u64, BTreeSet<u32>> {
    let mut heirs: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
    let orphaned: BTreeMap<Key, u64> = keys
        .iter()
        .filter(|(inode, _)| {
            files.get(inode).is_some_and(|parties| !parties.holders.is_disjoint(ended))
        })
        .map(|(inode, key)| (*key, *inode))
        .collect();
    let processes = if orphaned.is_empty() { Vec::new() } else { Process::all() };
    for pid in processes {
        let Process::Open(open) = Process::of(pid) else { continue };
        for (descriptor, path) in open {
            if let Some(inode) = session_of(&path).and_then(|key| orphaned.get(&key))
                && locks_of(pid, descriptor).iter().any(|lock| lock.file.inode == *inode)
            {
                heirs.entry(*inode).or_default().insert(pid);
            }
        }
    }
    heirs
}

/// The session that a file of this name is of.
fn session_of(path: &Path) -> Option<Key> {
    let (key, grown) = parse_name(path.file_name()?.to_str()?)?;
    (!grown).then_some(key)
}
