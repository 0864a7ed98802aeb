//! Memory as a row of atomic words: mapped from a file that other processes map too, or, under a
//! model checker, the checker's own.
//!
//! This is the one file of the store with `unsafe` in it. Everything above sees only `&AtomicU64`,
//! so whatever other processes do to the bytes is a race of atomics, never undefined behaviour.

#[cfg(not(any(shuttle, model = "loom")))]
pub(super) use mapped::Area;
#[cfg(any(shuttle, model = "loom"))]
pub(super) use modelled::Area;

#[cfg(not(any(shuttle, model = "loom")))]
#[allow(unsafe_code)]
mod mapped {
    use std::fs::File;
    use std::io;
    use std::slice;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    use memmap2::{MmapOptions, MmapRaw};

    /// The words of a file.
    pub(in super::super) struct Area {
        file: File,
        map: MmapRaw,
        /// How many of them the file has; more are reserved for when it grows.
        words: AtomicUsize,
    }

    impl Area {
        /// Maps `file`, with addresses reserved for so many words.
        pub(in super::super) fn map(file: File, reserved: usize) -> io::Result<Self> {
            let bytes = reserved.saturating_mul(size_of::<u64>());
            let map = MmapOptions::new().len(bytes).map_raw(&file)?;
            let area = Self { file, map, words: AtomicUsize::new(0) };
            area.measure()?;
            Ok(area)
        }

        /// The file behind it.
        pub(in super::super) const fn file(&self) -> &File {
            &self.file
        }

        /// Looks how long the file is by now. It never gets shorter.
        #[cold]
        fn measure(&self) -> io::Result<usize> {
            let reserved = self.map.len();
            let bytes = usize::try_from(self.file.metadata()?.len()).unwrap_or(reserved);
            let words = bytes.min(reserved) / size_of::<u64>();
            // Relaxed: the number stands for a property of the file, not of memory.
            self.words.fetch_max(words, Ordering::Relaxed);
            Ok(words)
        }

        /// So many words from `start` on, if the file has them.
        #[inline]
        pub(in super::super) fn words(&self, start: usize, count: usize) -> Option<&[AtomicU64]> {
            let end = start.checked_add(count)?;
            if end > self.words.load(Ordering::Relaxed) && end > self.measure().ok()? {
                return None;
            }
            let first = self.map.as_ptr().cast::<AtomicU64>();
            // SAFETY: the mapping is page-aligned, shared and writable, lives as long as `self`, and
            // is at least `end` words long: `measure` never exceeds its length. An `AtomicU64` has
            // the layout of a `u64`, and every bit pattern is one. The bytes are reached through
            // atomics only, here and in every other process. Should somebody cut the file short, an
            // access is a SIGBUS, which no program can turn into an error, but not undefined.
            Some(unsafe { slice::from_raw_parts(first.add(start), count) })
        }

        #[inline]
        pub(in super::super) fn word(&self, index: usize) -> Option<&AtomicU64> {
            self.words(index, 1)?.first()
        }
    }
}

#[cfg(any(shuttle, model = "loom"))]
mod modelled {
    use super::super::steps::Steps;
    use crate::sync::{Arc, AtomicU64, Ordering};

    /// Words of a model. A clone is another mapping of the same.
    #[derive(Clone)]
    pub(in super::super) struct Area {
        words: Arc<[AtomicU64]>,
        /// How many of them the file has; `None`: all.
        length: Option<Arc<AtomicU64>>,
        steps: Steps,
    }

    impl Area {
        pub(in super::super) fn new(words: usize) -> Self {
            let words = (0..words).map(|_| AtomicU64::new(0)).collect();
            Self { words, length: None, steps: Steps::default() }
        }

        /// The same in a file that is so long, and grows.
        pub(in super::super) fn cut_to(self, words: usize) -> Self {
            Self { length: Some(Arc::new(AtomicU64::new(words as u64))), ..self }
        }

        /// The file is at least so long from now on. The kernel promises nobody to see that in time.
        pub(in super::super) fn lengthen(&self, words: usize) {
            if let Some(length) = &self.length {
                length.fetch_max(words as u64, Ordering::Relaxed);
            }
        }

        /// The same, mapped by a process that may stop.
        pub(in super::super) fn with(&self, steps: &Steps) -> Self {
            Self { steps: steps.clone(), ..self.clone() }
        }

        pub(in super::super) fn words(&self, start: usize, count: usize) -> Option<&[AtomicU64]> {
            self.steps.take();
            let end = start.checked_add(count)?;
            let is_there = |length: &Arc<AtomicU64>| end as u64 <= length.load(Ordering::Relaxed);
            self.length.as_ref().is_none_or(is_there).then(|| self.words.get(start..end))?
        }

        pub(in super::super) fn word(&self, index: usize) -> Option<&AtomicU64> {
            self.words(index, 1)?.first()
        }
    }
}
