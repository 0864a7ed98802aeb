//! An open store directory: its handle, its settings, and what its parts share.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::Durability;
use super::entries::Entries;
use super::gate::Gate;
use super::kept::{KeptFiles, OpenFile};
use super::layout::{Layout, SessionPath};
use super::lock::LockedFile;
use crate::access::Calling;
use crate::error::{CommitError, IoError, OpenError};
use crate::fork::Generation;
use crate::id::Key;
use crate::pool::Pool;
use crate::queue::LockQueue;
use crate::seams::{self, Clock, Entropy, FileSystem, OpenMode};
use crate::store_toml;
use crate::sync::{Arc, AtomicBool, Mutex, Ordering};

pub(super) struct Room {
    pub(super) fs: Arc<dyn FileSystem>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) root: File,
    pub(super) root_path: PathBuf,
    pub(super) layout: Layout,
    pub(super) durability: Durability,
    pub(super) queue: Arc<LockQueue<LockedFile>>,
    pub(super) waiters_max: usize,
    pub(super) gate: Gate,
    pub(super) kept: Arc<KeptFiles>,
    /// Threads that wait for kernel locks.
    pub(super) lockers: Pool,
    /// Threads that sync for async callers.
    pub(super) syncers: Pool,
    /// Where the next step of a sweep goes on.
    pub(super) cursor: Mutex<Option<Entries>>,
    /// The process that opened the store: its locks are good for no other.
    pub(super) process: Generation,
    poisoned: AtomicBool,
}

/// A session's key and the path of its file, relative to the root.
#[derive(Clone)]
pub(super) struct Spot {
    pub(super) key: Key,
    pub(super) path: SessionPath,
}

/// What a room is opened with.
pub(super) struct Settings {
    pub(super) fs: Arc<dyn FileSystem>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) layout: Layout,
    pub(super) durability: Durability,
    pub(super) waiters_max: usize,
    pub(super) open_files: usize,
}

impl Room {
    pub(super) fn new(root: File, root_path: PathBuf, settings: Settings) -> Self {
        let Settings { fs, clock, entropy, layout, durability, waiters_max, open_files } = settings;
        let limit = crate::queue::HandOverLimit {
            times: crate::limits::HAND_OVERS,
            span: crate::limits::HAND_OVER_TIME,
        };
        let kept = Arc::new(KeptFiles::new(Arc::clone(&fs), open_files));
        Self {
            fs,
            clock,
            entropy,
            root,
            root_path,
            layout,
            durability,
            queue: Arc::new(LockQueue::new(waiters_max, limit)),
            waiters_max,
            gate: Gate::new(),
            kept,
            lockers: Pool::new("cloakroom-lock", LOCKERS),
            syncers: Pool::new("cloakroom-sync", SYNCERS),
            cursor: Mutex::new(None),
            process: Generation::current(),
            poisoned: AtomicBool::new(false),
        }
    }

    /// Whether this is the process that opened the store.
    pub(super) fn check_process(&self) -> Result<(), OpenError> {
        if self.process.is_current() { Ok(()) } else { Err(OpenError::Forked) }
    }

    /// Whether a sync of this handle failed before.
    pub(super) fn check_poison(&self) -> Result<(), CommitError> {
        // Relaxed: the flag guards no other memory.
        if self.poisoned.load(Ordering::Relaxed) { Err(CommitError::Poisoned) } else { Ok(()) }
    }

    pub(super) fn poison(&self) {
        self.poisoned.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_power(&self) -> bool {
        self.durability == Durability::Power
    }

    /// Whether the store is still there. Its handle outlives its directory, which then looks empty.
    pub(super) fn check_presence(&self) -> Result<(), OpenError> {
        let description = Path::new(store_toml::NAME);
        match self.fs.stat_path(&self.root, description) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(OpenError::StoreGone { place: self.root_path.clone() })
            }
            Err(error) => Err(self.io_error("stat", description)(error).into()),
        }
    }

    /// Does `work` here if the caller may block, else on a thread of the engine.
    pub(super) async fn off_thread<T: Send + 'static>(
        &self,
        calling: Calling,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, IoError> {
        let done = match calling {
            Calling::Blocking => Some(work()),
            Calling::Async => self.syncers.run(work).await,
        };
        done.ok_or_else(|| IoError {
            operation: "start a thread to work in",
            place: self.root_path.clone(),
            source: io::ErrorKind::OutOfMemory.into(),
        })
    }

    /// The session of `key` and where its file is.
    pub(super) fn spot(&self, key: &Key) -> Spot {
        Spot { key: *key, path: self.layout.path(key) }
    }

    /// Opens what is below the root.
    pub(super) fn open(&self, path: &Path, mode: OpenMode) -> io::Result<File> {
        let open = || self.fs.open(&self.root, path, mode);
        match open() {
            Err(error) if is_out_of_descriptors(&error) && self.kept.close_all() => open(),
            opened => opened,
        }
    }

    /// The same for a file to be locked.
    pub(super) fn open_file(&self, path: &Path, mode: OpenMode) -> io::Result<OpenFile> {
        OpenFile::open(|| self.open(path, mode))
    }

    /// Whether the path of the session still leads to this open file.
    pub(super) fn leads_to(&self, at: &Spot, file: &File) -> Result<bool, IoError> {
        let same = match self.fs.stat_path(&self.root, &at.path) {
            Ok(there) => self.fs.stat(file).map(|this| this.is_same_file(&there)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        };
        same.map_err(self.io_error("stat", &at.path))
    }

    /// Brings the entry of `path`, and those of the directories above it, to the medium.
    pub(super) fn sync_entries(&self, path: &Path) -> io::Result<()> {
        for directory in path.ancestors().skip(1) {
            if directory.as_os_str().is_empty() {
                self.fs.sync_directory(&self.root)?;
            } else {
                let opened = self.open(directory, OpenMode::Directory)?;
                self.fs.sync_directory(&opened)?;
            }
        }
        Ok(())
    }

    /// Creates the directories above `path`.
    pub(super) fn create_directories(&self, path: &Path) -> io::Result<()> {
        let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
        above.pop();
        for directory in above.into_iter().rev() {
            match self.fs.create_directory(&self.root, directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn write_all(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        seams::write_all(&*self.fs, file, bytes, offset)
    }

    pub(super) fn read(&self, file: &File, limit: usize, offset: u64) -> io::Result<Vec<u8>> {
        seams::read(&*self.fs, file, limit, offset)
    }

    pub(super) fn place(&self, path: &Path) -> PathBuf {
        // Joined to nothing, the root would end in a slash.
        if path.as_os_str().is_empty() { self.root_path.clone() } else { self.root_path.join(path) }
    }

    /// Names the operation and the place of an error.
    pub(super) fn io_error<'a>(
        &'a self,
        operation: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> IoError + 'a {
        move |source| IoError { operation, place: self.place(path), source }
    }
}

/// Whether no more files can be opened, in this process or at all.
pub(super) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// How often an open looks again when a file was replaced under its hands.
pub(super) const REOPENS: usize = 16;

/// Each waits for one session that another process holds.
const LOCKERS: usize = 256;

/// More would not make one disk faster.
const SYNCERS: usize = 8;
