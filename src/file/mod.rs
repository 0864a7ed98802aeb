//! The sharded file store: one file per session, locked by the kernel while a request holds it.
//!
//! The way of a request through this directory: [`hold`] opens; [`take`] finds the session, for which
//! [`lock`] takes its turn in the queue and then the kernel's lock, of a file that was [`kept`] open or
//! is opened now, behind the [`gate`] where there is contention, and [`read`] finds the current slot; [`desk`] changes it: [`write`] writes the other
//! slot, [`end`] destroys. [`format`] knows the bytes, [`layout`] the path, [`room`] is the opened
//! store directory they share.
//!
//! For the operator, beside the requests: [`entries`] lists what is there, for [`sweep`] to clear and
//! for [`walk`] to look at, closely with [`inspect`]; [`adopt`] takes sessions in; [`locks`] reads in
//! the [`kernel`]'s list, and from the [`processes`] on it, who holds what.

mod adopt;
mod description;
mod desk;
mod end;
mod entries;
mod format;
mod gate;
mod hold;
mod inspect;
mod inventory;
mod kept;
mod kernel;
mod layout;
mod lock;
mod locks;
mod processes;
mod read;
mod room;
mod sweep;
mod take;
mod touch;
mod walk;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::access::{Access, Calling};
use crate::error::{OpenError, StoreError};
use crate::id::Key;
use crate::limits;
use crate::root;
use crate::seams::{Clock, Entropy, FileSystem, OsClock, OsEntropy, OsFileSystem};
use crate::store::{OpenRequest, Store, SweepBudget, Swept};
use crate::sync::Arc;
use description::Description;
pub use hold::FileHold;
pub use layout::Layout;
use room::{Room, Settings};
pub use walk::FileWalk;

/// Sessions in files below one directory, for any number of threads and processes of one machine.
///
/// It offers every [`Access`]. An exclusive or shared hold is an advisory kernel lock (`flock`) on
/// the session's file; the kernel frees it when the process dies, however it dies. A clone is
/// another handle of the same open store.
///
/// # Fairness
///
/// Waiters of one process are served in the order they came. A process hands a lock from waiter
/// to waiter at most 4 times or for 1 ms, then other processes get their turn.
///
/// # Who holds what
///
/// [`locks`](crate::Inventory::locks) reads the kernel's list (`/proc/locks`), so it sees every
/// process of this machine, whatever program it runs. It sees what the kernel knows:
///
/// - Requests that wait in one process for one session are one waiter there, and a session that was
///   never stored has no file to be locked.
/// - The number of a process that waits behind others is not known; it is counted.
/// - In a container only processes of the same process namespace are listed. Look from the host.
/// - A user other than root may not see which files another user's processes have open. Then the
///   names in the store are gone through, which takes longer the more there are.
/// - On a network file system only the locks of this machine are listed.
///
/// # Forks
///
/// A store that was opened before a `fork` answers [`OpenError::Forked`] in the child; open it
/// again there. Holds that the child inherited do not unlock the parent's sessions.
///
/// # Examples
///
/// ```
/// use cloakroom::blocking::Sessions;
/// use cloakroom::{Access, FileStore, SessionId};
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path().join("sessions");
/// let sessions = Sessions::new(FileStore::open(directory)?);
/// let mut session = sessions.open(&SessionId::generate()?, Access::Exclusive)?;
/// session.insert("visits", 1)?;
/// session.commit()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct FileStore {
    room: Arc<Room>,
}

/// What a commit survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// `kill -9` of the program: the bytes are in the page cache.
    #[default]
    Process,
    /// A power cut: the bytes are on the medium before the commit returns.
    Power,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Process => "process",
            Self::Power => "power",
        })
    }
}

impl FileStore {
    /// Opens the store in `directory`, or creates it there with the default settings.
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
    /// use cloakroom::{Durability, FileStore, Layout};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let directory = directory.path().join("sessions");
    /// let store = FileStore::builder(directory)
    ///     .layout(Layout { levels: 2, digits: 1 })
    ///     .durability(Durability::Power)
    ///     .open()?;
    /// assert_eq!(store.layout().directories(), 256);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(directory: impl Into<PathBuf>) -> FileStoreBuilder {
        FileStoreBuilder {
            directory: directory.into(),
            layout: None,
            durability: None,
            waiters_max: limits::WAITERS,
            open_files: None,
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

    /// How its files are spread.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.room.layout
    }

    /// What its commits survive.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.room.durability
    }

    /// A directory in the store's own that the store leaves alone: for tools that copy into it and
    /// note there how far they are. It is theirs to create.
    #[must_use]
    pub fn copies(&self) -> PathBuf {
        self.room.root_path.join(root::COPIES)
    }

    /// Where the file of `key` is, or would be.
    #[must_use]
    pub fn place(&self, key: &Key) -> PathBuf {
        self.room.place(&self.room.spot(key).path)
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore")
            .field("directory", &self.room.root_path)
            .field("layout", &self.room.layout)
            .field("durability", &self.room.durability)
            .finish_non_exhaustive()
    }
}

impl Store for FileStore {
    type Hold = Box<FileHold>;

    fn name(&self) -> &'static str {
        "FileStore"
    }

    fn accesses(&self) -> &'static [Access] {
        &Access::ALL
    }

    fn open(
        &self,
        key: &Key,
        request: OpenRequest,
    ) -> impl Future<Output = Result<Box<FileHold>, OpenError>> + Send {
        FileHold::open(&self.room, key, request)
    }

    async fn sweep(&self, budget: SweepBudget, calling: Calling) -> Result<Swept, OpenError> {
        self.room.check_process()?;
        let room = Arc::clone(&self.room);
        self.room.off_thread(calling, move || room.sweep(budget)).await?
    }
}

/// Settings for a [`FileStore`].
///
/// Layout and durability are recorded in the store when it is created. Left out, a store is used
/// as it is; asked for otherwise than recorded, the open fails.
#[derive(Clone)]
#[must_use]
pub struct FileStoreBuilder {
    directory: PathBuf,
    layout: Option<Layout>,
    durability: Option<Durability>,
    waiters_max: usize,
    open_files: Option<usize>,
    must_exist: bool,
    fs: Arc<dyn FileSystem>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl FileStoreBuilder {
    /// How the files are spread over directories.
    pub const fn layout(mut self, layout: Layout) -> Self {
        self.layout = Some(layout);
        self
    }

    /// What a commit survives.
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// How many may wait for one session in this process; 1,024 unless told otherwise.
    pub const fn max_waiters(mut self, waiters: usize) -> Self {
        self.waiters_max = waiters;
        self
    }

    /// How many session files stay open for the next request of their session, at most, beside those in use. 0: none.
    /// Unless told otherwise 4,096, or a quarter of what the process may have open (`ulimit -n`) if that is less.
    ///
    /// A file is used again for a second after its opening. Then it is closed when another one takes its place, or by the
    /// next sweep; until then the space of a session that another process ended is not given back.
    ///
    /// What an outsider moves elsewhere, or bars the way to, may be used for that second; what is removed or
    /// replaced is not.
    pub const fn open_files(mut self, limit: usize) -> Self {
        self.open_files = Some(limit);
        self
    }

    /// Refuses to create the store: what is no store yet is [`StoreError::Missing`].
    ///
    /// # Examples
    ///
    /// ```
    /// use cloakroom::{FileStore, StoreError};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let directory = directory.path().join("sessions");
    /// let opened = FileStore::builder(&directory).must_exist().open();
    /// assert!(matches!(opened, Err(StoreError::Missing { .. })));
    /// assert!(!directory.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn must_exist(mut self) -> Self {
        self.must_exist = true;
        self
    }

    /// Another road to the file system, to inject faults.
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
    pub fn open(self) -> Result<FileStore, StoreError> {
        let Self { directory, layout, durability, must_exist, fs, clock, entropy, .. } = self;
        if let Some(layout) = layout {
            layout.check()?;
        }
        let describe = || {
            let (layout, durability) = (layout.unwrap_or_default(), durability.unwrap_or_default());
            Ok(Description { layout, durability }.to_text())
        };
        let (root, stands) =
            root::open_or_create(&*fs, &directory, must_exist, Description::parse, describe)?;
        let Description { layout: laid_out, durability: durable } = stands;
        root::check_setting(&directory, "layout", laid_out, layout)?;
        root::check_setting(&directory, "durability", durable, durability)?;
        let settings = Settings {
            fs,
            clock,
            entropy,
            layout: laid_out,
            durability: durable,
            waiters_max: self.waiters_max,
            open_files: self.open_files.unwrap_or_else(kept::usual_limit),
        };
        Ok(FileStore { room: Arc::new(Room::new(root, directory, settings)) })
    }
}

impl fmt::Debug for FileStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStoreBuilder")
            .field("directory", &self.directory)
            .field("layout", &self.layout)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}
