//! The directory of this boot: what the processes that have the store open share beside the heap.
//!
//! `ROOT/run.BOOT/control` has the registry and the table of extents, `ROOT/run.BOOT/index.N` the
//! index. All of it can be built anew from the heap, and is after each boot, because a power cut
//! may have left any mixture of old and new pages. `BOOT` is the kernel's boot id.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64 as Counter;

use super::area::Area;
use super::order;
use super::registry::HANDLES_MAX;
use super::size::EXTENTS_MAX;
use super::tables::REMEDY;
use crate::seams::{self, FileSystem, OpenMode};
use crate::sync::{Arc, Ordering};

/// The opened control file.
pub(super) struct Control {
    pub(super) fs: Arc<dyn FileSystem>,
    pub(super) root: File,
    /// Relative to the root.
    pub(super) directory: PathBuf,
    /// The store's own number, which seeds all checks.
    pub(super) seed: u64,
    /// Keeps the drafts of this handle apart from those of others.
    salt: u64,
    pub(super) area: Arc<Area>,
}

/// The words that stand alone.
#[derive(Clone, Copy)]
pub(super) enum Word {
    /// The number of the oldest index that may still be needed.
    Generation = 3,
    /// How many extents the heap has.
    Extents = 4,
    /// Which extent is being emptied, and how far; see [`Drain`](super::drain::Drain).
    Drain = 5,
}

impl Control {
    /// Opens the control file in `directory`.
    pub(super) fn open(
        fs: Arc<dyn FileSystem>,
        root: File,
        directory: PathBuf,
        seed: u64,
        salt: u64,
    ) -> io::Result<Self> {
        let path = directory.join(NAME);
        let file = fs.open(&root, &path, OpenMode::Write)?;
        let length = fs.stat(&file)?.size;
        let area = Area::map(file, WORDS)?;
        // Relaxed: it was whole before it had its name.
        let word = |index| area.word(index).map_or(0, |word| word.load(Ordering::Relaxed));
        let found = [word(0), word(1)];
        let bad = |reason: &str| {
            let text = format!("{} is damaged: {reason}; {}", path.display(), REMEDY);
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        };
        if length < (WORDS * size_of::<u64>()) as u64 {
            return bad("it was cut short");
        }
        if found != [MAGIC, seed] {
            return bad("it is not of this store, or of another version");
        }
        Ok(Self { fs, root, directory, seed, salt, area: Arc::new(area) })
    }

    /// Makes a control file in `directory`, with no extents and no index yet.
    pub(super) fn create(
        fs: Arc<dyn FileSystem>,
        root: File,
        directory: PathBuf,
        seed: u64,
        salt: u64,
    ) -> io::Result<Self> {
        let file = fs.open(&root, &directory.join(NAME), OpenMode::CreateNew)?;
        seams::hand_over(&root, &file)?;
        fs.allocate(&file, 0, (WORDS * size_of::<u64>()) as u64)?;
        let area = Area::map(file, WORDS)?;
        for (word, value) in area.words(0, 2).unwrap_or_default().iter().zip([MAGIC, seed]) {
            word.store(value, Ordering::Relaxed);
        }
        Ok(Self { fs, root, directory, seed, salt, area: Arc::new(area) })
    }

    pub(super) fn get(&self, word: Word) -> u64 {
        self.area.word(word as usize).map_or(0, |word| word.load(order::see_oldest()))
    }

    /// Sets a word to this value, unless it is higher already.
    pub(super) fn raise(&self, word: Word, value: u64) {
        if let Some(word) = self.area.word(word as usize) {
            word.fetch_max(value, order::pass_on());
        }
    }

    /// Sets a word that is a hint to `new`, if it is `old`. Whether it was.
    pub(super) fn exchange(&self, word: Word, old: u64, new: u64) -> bool {
        self.area.word(word as usize).is_some_and(|word| {
            word.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        })
    }

    /// A name for a file that is not ready yet, which nobody else uses.
    pub(super) fn draft(&self, what: &str) -> PathBuf {
        let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
        self.directory.join(format!("{what}.draft.{:016x}.{number}", self.salt))
    }
}

static DRAFTS: Counter = Counter::new(0);

/// The name of a control file.
pub(super) const NAME: &str = "control";
const MAGIC: u64 = u64::from_le_bytes(*b"cloakct1");

/// The word before the count of handle 1; see [`Registry`](super::registry::Registry).
pub(super) const REGISTRY: usize = 512;

/// The two words of the first extent; see [`Heap`](super::heap::Heap).
pub(super) const EXTENTS: usize = REGISTRY + HANDLES_MAX as usize + 1;

const WORDS: usize = EXTENTS + 2 * EXTENTS_MAX as usize;
