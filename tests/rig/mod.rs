//! What the fault tests share: short names for the calls of a store, a tap in its road to the file
//! system, processes of their own, and the few system calls that have no safe wrapper.

#![allow(dead_code, reason = "each test file uses a part of the rig")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

pub mod child;
pub mod disk;
pub mod golden;
pub mod map;
pub mod small_disk;
pub mod sys;
pub mod tap;
pub mod worker;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cloakroom::blocking::wait;
use cloakroom::{
    Access, Calling, CommitError, Condition, Depth, FileStore, Found, Hold, Inventory, Key,
    Lifetime, OpenError, OpenRequest, Record, SessionId, Store, SweepBudget, Swept, Terms, Then,
    Walk as _,
};

/// An open session of a file store.
pub type Held = <FileStore as Store>::Hold;

/// How long anything may take before a test calls it a hang.
pub const WATCHDOG: Duration = Duration::from_secs(120);

/// A directory that goes when it is dropped; in memory where there is such a place, so that tests
/// of many files do not wait for a disk.
pub fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The key of an id in the default namespace.
pub fn key(id: &str) -> Key {
    Key::new("", &SessionId::from(id))
}

/// Opens and waits up to the watchdog.
pub fn open<S: Store>(store: &S, key: &Key, access: Access) -> Result<S::Hold, OpenError> {
    wait(store.open(key, OpenRequest::new(access, Calling::Blocking).wait(WATCHDOG)))
}

/// Opens if nobody is in the way.
pub fn try_open<S: Store>(store: &S, key: &Key, access: Access) -> Result<S::Hold, OpenError> {
    wait(store.open(key, OpenRequest::new(access, Calling::Blocking).wait(Duration::ZERO)))
}

/// Whether the queue of this process is full. The question stands in the queue itself for a moment.
pub fn is_full(store: &FileStore, key: &Key) -> bool {
    let request = OpenRequest::new(Access::Exclusive, Calling::Blocking);
    let opened = wait(store.open(key, request.wait(Duration::from_nanos(1))));
    matches!(opened, Err(OpenError::TooManyWaiters { .. }))
}

/// Opens and waits, where tests ask whether the queue is full: each such question stands in the
/// queue itself for a moment, so to be turned away means to come again.
pub fn open_in_turn(store: &FileStore, key: &Key, access: Access) -> Result<Held, OpenError> {
    loop {
        match open(store, key, access) {
            Err(OpenError::TooManyWaiters { .. }) => std::thread::yield_now(),
            opened => return opened,
        }
    }
}

/// Commits and releases.
pub fn commit(hold: &mut impl Hold, payload: &[u8]) -> Result<Record, CommitError> {
    wait(hold.commit(payload, Terms::default()))
}

/// Commits and keeps the hold.
pub fn commit_and_keep(hold: &mut impl Hold, payload: &[u8]) -> Result<Record, CommitError> {
    wait(hold.commit(payload, Terms { then: Then::Keep, ..Terms::default() }))
}

/// Commits whatever others committed since.
pub fn commit_anyway(hold: &mut impl Hold, payload: &[u8]) -> Result<Record, CommitError> {
    wait(hold.commit(payload, Terms { condition: Condition::Alive, ..Terms::default() }))
}

pub fn destroy(hold: &mut impl Hold) -> Result<(), CommitError> {
    wait(hold.destroy())
}

pub fn renew(
    hold: &mut impl Hold,
    new: &Key,
    payload: &[u8],
    grace: Duration,
) -> Result<Record, CommitError> {
    wait(hold.renew(new, payload, Lifetime::default(), grace))
}

/// What the store holds, taken with this access and let go again.
pub fn read<S: Store>(store: &S, key: &Key, access: Access) -> Result<Option<Vec<u8>>, OpenError> {
    let hold = open(store, key, access)?;
    Ok(hold.record().map(|_| hold.payload().to_vec()))
}

/// Stores a payload for good, with the strictest access that the store offers.
pub fn put<S: Store>(store: &S, key: &Key, payload: &[u8]) -> Record {
    let locks = store.accesses().contains(&Access::Exclusive);
    let access = if locks { Access::Exclusive } else { Access::Optimistic };
    commit(&mut open(store, key, access).unwrap(), payload).unwrap()
}

/// Sweeps the whole store.
pub fn sweep(store: &impl Store) -> Result<Swept, OpenError> {
    wait(store.sweep(SweepBudget { sessions: usize::MAX }, Calling::Blocking))
}

/// All finds of a walk.
pub fn walk(store: &FileStore, depth: Depth) -> Result<Vec<Found>, OpenError> {
    let mut walk = wait(store.walk(depth, Calling::Blocking))?;
    let (mut all, mut page) = (Vec::new(), Vec::new());
    loop {
        wait(walk.next(64, &mut page))?;
        if page.is_empty() {
            return Ok(all);
        }
        all.append(&mut page);
    }
}

/// Waits for a state that another party brings about; a hang is a failure.
pub fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let since = Instant::now();
    while !reached() {
        assert!(since.elapsed() < WATCHDOG, "still waiting: {what}");
        std::thread::yield_now();
    }
}

/// Waits for the next tick of the kernel's coarse clock: what the store saw in this one, it may not ask for again.
pub fn a_tick_later() {
    let now = || rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    let before = now();
    until("the coarse clock to tick", || now() != before);
}

/// How many wait in the kernel for a lock of one of these files.
pub fn waiters(files: &[&Path]) -> usize {
    let inodes: Vec<String> = files
        .iter()
        .filter_map(|file| std::fs::metadata(file).ok())
        .map(|stat| format!(":{} ", stat.ino()))
        .collect();
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    let waits =
        |line: &&str| line.contains("->") && inodes.iter().any(|inode| line.contains(inode));
    locks.lines().filter(waits).count()
}

/// Everything below a directory: path to (mode, bytes of a regular file or of a link's target).
pub fn tree(directory: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    descend(directory, Path::new(""), &mut found);
    found
}

/// The names of everything below a directory.
pub fn names(directory: &Path) -> Vec<PathBuf> {
    tree(directory).into_keys().collect()
}

fn descend(top: &Path, below: &Path, found: &mut BTreeMap<PathBuf, (u32, Vec<u8>)>) {
    for entry in std::fs::read_dir(top.join(below)).unwrap() {
        let name = below.join(entry.unwrap().file_name());
        let path = top.join(&name);
        let stat = std::fs::symlink_metadata(&path).unwrap();
        let bytes = if stat.is_file() {
            std::fs::read(&path).unwrap()
        } else if stat.is_symlink() {
            std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
        } else {
            Vec::new()
        };
        found.insert(name.clone(), (stat.mode(), bytes));
        if stat.is_dir() {
            descend(top, &name, found);
        }
    }
}

/// Random numbers that a seed repeats (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// The raw error number somewhere in an error's chain of sources.
pub fn errno(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut link = Some(error);
    while let Some(error) = link {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return io.raw_os_error();
        }
        // An error that is `transparent` shows what it holds, not its source's source.
        link = error.source();
    }
    None
}

/// A clock that a test sets.
#[derive(Clone, Default)]
pub struct SetClock(std::sync::Arc<std::sync::atomic::AtomicU64>);

impl SetClock {
    pub fn at(millis: u64) -> Self {
        let clock = Self::default();
        clock.set(millis);
        clock
    }

    pub fn set(&self, millis: u64) {
        self.0.store(millis, std::sync::atomic::Ordering::Relaxed);
    }

    pub fn millis(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl cloakroom::seams::Clock for SetClock {
    fn now(&self) -> cloakroom::Timestamp {
        cloakroom::Timestamp::from_millis(self.millis())
    }
}
