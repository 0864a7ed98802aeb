//! The lock-free store: sessions in memory-mapped files that any number of processes share.
//!
//! No session is ever locked, and nobody waits for anybody: a process that is stopped or killed at any
//! instruction is in nobody's way. A commit writes a complete record that nobody can see yet, and
//! then publishes it with one compare-and-swap in the index; the loser of a race is told.
//!
//! From the bottom: [`area`] is memory as atomic words, [`word`] the two kinds of words that everything
//! turns on. The [`heap`] has the records in cells ([`size`]), the [`table`] leads to them, the
//! [`index`] is the table and the one it gives way to ([`tables`]: their files). [`control`] is the directory that the processes
//! of this boot share, [`rebuild`] makes it from the heap, the [`registry`] knows who is alive.
//! [`room`] puts them together: look, put, end; [`hold`] is a session in the hands of a request.

mod area;
mod heap;
mod order;
mod size;
mod table;
mod word;

mod control;
mod description;
mod drain;
mod flush;
mod format;
mod hold;
mod index;
mod inventory;
mod keys;
mod quarantine;
mod rebuild;
mod registry;
mod room;
mod stash;
mod supply;
mod sweep;
mod tables;
mod walk;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::access::{Access, Calling};
use crate::error::{IoError, OpenError, StoreError, Unsupported};
use crate::file::Durability;
use crate::fork;
use crate::id::Key;
use crate::pool::Pool;
use crate::root;
use crate::seams::{self, Clock, Entropy, FileSystem, OsClock, OsEntropy, OsFileSystem};
use crate::store::{OpenRequest, Store, SweepBudget, Swept};
use crate::sync::{Arc, Mutex};
use description::Description;
use drain::Drain;
pub use hold::MapHold;
use index::Index;
use keys::Keys;
use rebuild::Entrance;
use registry::Registry;
use room::Room;
use stash::Stash;
use tables::Tables;
pub use walk::MapWalk;

/// Sessions in memory-mapped files below one directory, lock-free, for any number of threads and
/// processes of one machine.
///
/// It offers [`Access::Snapshot`] and [`Access::Optimistic`]: nobody waits, and of two requests that
/// change one session at the same time the second is told, merges, or repeats, as
/// [`OnConflict`](crate::OnConflict) says. For a lock per session use a
/// [`FileStore`](crate::FileStore). A clone is another handle of the same open store.
///
/// # Progress
///
/// Lock-free across processes: whatever is stopped or killed, the others go on. One commit may lose
/// any number of races, but each race has a winner.
///
/// # Limits
///
/// The largest payload has 1,965,848 bytes, all sessions together 32 GiB. The heap is mapped as a whole,
/// so the process needs 32 GiB of address space; it takes memory only for what is used.
///
/// [`Durability::Power`] syncs every commit before it returns, many at a time.
///
/// # Forks
///
/// A store that was opened before a `fork` answers [`OpenError::Forked`] in the child; open it again
/// there.
///
/// # Examples
///
/// ```
/// use cloakroom::blocking::Sessions;
/// use cloakroom::{Access, MapStore, SessionId};
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path().join("sessions");
/// let sessions = Sessions::new(MapStore::open(directory)?);
/// let id = SessionId::generate()?;
/// sessions.update(&id, |session| session.insert("visits", 1))?;
/// assert_eq!(sessions.open(&id, Access::Snapshot)?.get("visits")?, Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MapStore {
    room: Arc<Room>,
    keys: Arc<Keys>,
}

impl MapStore {
    /// Opens the store in `directory`, or creates it there with the default settings. Waits for no
    /// other process. The first open after a boot builds the index anew.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::builder(directory).open()
    }

    /// Settings for a store in `directory`.
    ///
    /// # Examples
    ///
    /// ```
    /// use cloakroom::{Durability, MapStore};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let directory = directory.path().join("sessions");
    /// let store = MapStore::builder(directory).durability(Durability::Power).open()?;
    /// assert_eq!(store.durability(), Durability::Power);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(directory: impl Into<PathBuf>) -> MapStoreBuilder {
        MapStoreBuilder {
            directory: directory.into(),
            durability: None,
            must_exist: false,
            fs: Arc::new(OsFileSystem),
            clock: Arc::new(OsClock),
            entropy: Arc::new(OsEntropy),
        }
    }

    /// The store's directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.room.root_path
    }

    /// The directory that is left to tools that copy into the store; it need not be there.
    #[must_use]
    pub fn copies(&self) -> PathBuf {
        self.room.root_path.join(root::COPIES)
    }

    /// What its commits survive.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.room.durability
    }
}

impl fmt::Debug for MapStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapStore")
            .field("directory", &self.room.root_path)
            .field("durability", &self.room.durability)
            .finish_non_exhaustive()
    }
}

impl Store for MapStore {
    type Hold = MapHold;

    fn name(&self) -> &'static str {
        NAME
    }

    fn accesses(&self) -> &'static [Access] {
        OFFERS
    }

    async fn open(&self, key: &Key, request: OpenRequest) -> Result<MapHold, OpenError> {
        let access = request.access;
        if !OFFERS.contains(&access) {
            return Err(Unsupported { store: NAME, access, offers: OFFERS }.into());
        }
        MapHold::open(self.keys.mine(), key, &request)
    }

    async fn sweep(&self, budget: SweepBudget, calling: Calling) -> Result<Swept, OpenError> {
        self.room.check_process()?;
        self.room.off_thread(calling, move |room| room.sweep(budget)).await?
    }
}

const NAME: &str = "MapStore";
const OFFERS: &[Access] = &[Access::Snapshot, Access::Optimistic];

/// Settings for a [`MapStore`].
#[derive(Clone)]
#[must_use]
pub struct MapStoreBuilder {
    directory: PathBuf,
    durability: Option<Durability>,
    must_exist: bool,
    fs: Arc<dyn FileSystem>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl MapStoreBuilder {
    /// What a commit survives. Recorded in the store when it is created.
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Opens a store that is there, and never creates one.
    pub const fn must_exist(mut self) -> Self {
        self.must_exist = true;
        self
    }

    /// Another road to the file system, to inject faults. The mapped bytes do not go through it.
    pub fn file_system(mut self, fs: impl FileSystem) -> Self {
        self.fs = Arc::new(fs);
        self
    }

    /// Another clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Another source of random numbers.
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Opens the store, or creates it if its directory is empty or missing.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn open(self) -> Result<MapStore, StoreError> {
        let Self { directory, durability, must_exist, fs, clock, entropy } = self;
        let failed = |operation: &'static str| {
            let place = directory.clone();
            move |source| IoError { operation, place, source }
        };
        let random = || seams::random(&*entropy).map_err(failed("get random numbers for"));
        let describe = || {
            let durability = durability.unwrap_or_default();
            Ok(Description { seed: random()?, durability }.to_text())
        };
        let (root, stands) =
            root::open_or_create(&*fs, &directory, must_exist, Description::parse, describe)?;
        let Description { seed, durability: durable } = stands;
        root::check_setting(&directory, "durability", durable, durability)?;
        let for_room = root.try_clone().map_err(failed("open"))?;
        let entrance = Entrance { fs: Arc::clone(&fs), root, seed, salt: random()? };
        let (control, heap) = entrance.enter().map_err(failed("open"))?;
        let index = Index::open(Tables::new(Arc::clone(&control)), Arc::clone(&heap))
            .map_err(failed("open"))?;
        let registry = Registry::enter(&control).map_err(failed("register in"))?;
        let registry = registry.ok_or(StoreError::Setting {
            setting: "the number of handles that have the store open",
            reason: "has reached its limit of 4,095; close some",
        })?;
        let room = Room {
            fs,
            clock,
            entropy,
            durability: durable,
            seed,
            heap,
            index,
            registry,
            stash: Stash::new(),
            drain: Drain::new(&control),
            flush: flush::Flush::default(),
            syncers: Pool::new("cloakroom-sync", SYNCERS),
            cursor: Mutex::default(),
            process: fork::Generation::current(),
            root: for_room,
            root_path: directory,
        };
        let room = Arc::new(room);
        Ok(MapStore { keys: Arc::new(Keys::new(&room)), room })
    }
}

impl fmt::Debug for MapStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapStoreBuilder")
            .field("directory", &self.directory)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}

/// More would not make one disk faster.
const SYNCERS: usize = 8;
