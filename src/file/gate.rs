//! The gate in front of contended and shared locks.
//!
//! A kernel `flock` goes to whoever asks first when it is free, so a busy process starves the
//! others, and readers that overlap starve a writer. Parties that find a lock contended, and all
//! readers, therefore take the gate first: a byte of the file `ROOT/gate`, locked for the open file
//! description, at an offset made from the key. Whoever has the byte waits for the `flock` and
//! drops the byte then. Nobody needs the gate to release, so it cannot deadlock; two sessions on
//! one byte only wait longer.
//!
//! It is a turnstile of two bytes: the outer one is held while the inner one is waited for. With a
//! single byte the process that just had its turn would find it free while the first waiter wakes
//! up, and overtake it; here the next one stands between the bytes already.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::id::Key;
use crate::seams::{FileSystem, OpenMode};
use crate::sync::{Arc, AtomicBool, Mutex, Ordering};

pub(super) struct Gate {
    /// Opened at first use: a store that nobody contends for needs none.
    file: Mutex<Option<Arc<File>>>,
    /// By a hash of the key: set when a lock was found taken, cleared when it was found free.
    /// While set, this process goes through the gate. A hint only, so `Relaxed` is enough.
    contended: Box<[AtomicBool]>,
}

/// The gate of one session, passed. Dropped: open for the next.
pub(super) struct Passage<'a> {
    fs: &'a dyn FileSystem,
    file: Arc<File>,
    inner: u64,
}

impl Gate {
    pub(super) fn new() -> Self {
        let contended = (0..HINTS).map(|_| AtomicBool::new(false)).collect();
        Self { file: Mutex::new(None), contended }
    }

    /// Passes the gate if it is free.
    pub(super) fn try_enter<'a>(
        &self,
        fs: &'a dyn FileSystem,
        root: &File,
        key: &Key,
    ) -> io::Result<Option<Passage<'a>>> {
        let file = self.open(fs, root)?;
        let (outer, inner) = offsets(key);
        if !fs.try_lock_byte(&file, outer)? {
            return Ok(None);
        }
        let entered = fs.try_lock_byte(&file, inner);
        let left = fs.unlock_byte(&file, outer);
        let entered = entered?.then_some(Passage { fs, file, inner });
        left.map(|()| entered)
    }

    /// Waits at the gate.
    pub(super) fn enter<'a>(
        &self,
        fs: &'a dyn FileSystem,
        root: &File,
        key: &Key,
    ) -> io::Result<Passage<'a>> {
        let file = self.open(fs, root)?;
        let (outer, inner) = offsets(key);
        fs.lock_byte(&file, outer)?;
        let entered = fs.lock_byte(&file, inner);
        let left = fs.unlock_byte(&file, outer);
        entered?;
        let passage = Passage { fs, file, inner };
        left.map(|()| passage)
    }

    /// Whether the lock of `key` was found taken when this process last looked.
    pub(super) fn is_contended(&self, key: &Key) -> bool {
        self.hint(key).is_some_and(|hint| hint.load(Ordering::Relaxed))
    }

    pub(super) fn note(&self, key: &Key, contended: bool) {
        if let Some(hint) = self.hint(key)
            && hint.load(Ordering::Relaxed) != contended
        {
            hint.store(contended, Ordering::Relaxed);
        }
    }

    fn hint(&self, key: &Key) -> Option<&AtomicBool> {
        self.contended.get(usize::try_from(key.word(1)).unwrap_or(0) % HINTS)
    }

    fn open(&self, fs: &dyn FileSystem, root: &File) -> io::Result<Arc<File>> {
        let mut file = self.file.lock();
        match &*file {
            Some(file) => Ok(Arc::clone(file)),
            None => {
                let opened = Arc::new(fs.open(root, Path::new(GATE), OpenMode::Create)?);
                Ok(Arc::clone(file.insert(opened)))
            }
        }
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        // Should it fail, the byte stays locked and the other processes wait at it until this one
        // ends; nothing better can be done, and no data is at risk.
        let _ = self.fs.unlock_byte(&self.file, self.inner);
    }
}

/// The two bytes of the gate of a session: the outer and the inner one.
pub(super) fn offsets(key: &Key) -> (u64, u64) {
    let inner = key.word(0) >> 2;
    (inner | OUTER, inner)
}

/// Set in the offsets of outer bytes.
const OUTER: u64 = 1 << 62;

/// The gate's file, in the root of a store.
pub(super) const GATE: &str = "gate";

const HINTS: usize = 4_096;
