//! A file as atomic words.

use std::fs::File;
use std::path::Path;
use std::slice;
use std::sync::atomic::AtomicU64;

use anyhow::{Result, ensure};
use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::FallocateFlags;

pub struct Mapped {
    file: File,
    map: MmapRaw,
}

impl Mapped {
    /// Maps so many words of the file at `path`; made if missing, and zeros then.
    pub fn open(path: &Path, words: usize) -> Result<Self> {
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        let bytes = words * size_of::<u64>();
        if file.metadata()?.len() < bytes as u64 {
            file.set_len(bytes as u64)?;
        }
        let map = MmapOptions::new().len(bytes).map_raw(&file)?;
        Ok(Self { file, map })
    }

    pub fn words(&self) -> &[AtomicU64] {
        let first = self.map.as_ptr().cast::<AtomicU64>();
        // SAFETY: the mapping is page-aligned, shared, writable and so long, and lives as long as
        // `self`; the file never gets shorter, and every process reaches it through atomics only.
        unsafe { slice::from_raw_parts(first, self.map.len() / size_of::<u64>()) }
    }

    /// Gets blocks for a part of the file, so that a full disk is an error here and not a signal
    /// later.
    pub fn allocate(&self, word: usize, words: usize) -> Result<()> {
        self.change(FallocateFlags::empty(), word, words)
    }

    /// Gives the blocks of a part back; it reads as zeros then.
    pub fn punch(&self, word: usize, words: usize) -> Result<()> {
        self.change(FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, word, words)
    }

    fn change(&self, flags: FallocateFlags, word: usize, words: usize) -> Result<()> {
        let [start, length] = [word, words].map(|words| (words * size_of::<u64>()) as u64);
        ensure!(start + length <= self.map.len() as u64, "the spike's file is full");
        Ok(rustix::fs::fallocate(&self.file, flags, start, length)?)
    }
}
