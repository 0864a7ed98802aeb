//! Session files that stay open for the next request: to open one takes half of a locked cycle.
//!
//! A file comes here unlocked, and whoever takes it takes it away: two holds on one open file would
//! share its lock. That it was kept proves nothing. Whoever took it asks, under the lock, whether it
//! still has a name, and believes it only if there is a session in it; else the session's path is opened
//! as ever. Only a file that an outsider moved elsewhere looks as before, so a file is used no longer
//! than [`KEPT_FOR`] after it was opened.
//!
//! A child that this process forked has the files that were open then, too, and would keep the lock of
//! a parent that was killed. So what was opened before a fork is not used after it.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use crate::fork::Branch;
use crate::id::Key;
use crate::limits::OPEN_FILES;
use crate::seams::{FileSystem, coarse_monotonic};
use crate::sync::{Arc, Mutex};

/// An open session file.
#[derive(Clone)]
pub(super) struct OpenFile {
    file: Arc<File>,
    opened: Duration,
    branch: Branch,
}

impl OpenFile {
    /// Opens a file.
    pub(super) fn open(open: impl FnOnce() -> io::Result<File>) -> io::Result<Self> {
        // Before it is opened: a child that is forked in between has it, too.
        let (opened, branch) = (coarse_monotonic(), Branch::current());
        Ok(Self { file: Arc::new(open()?), opened, branch })
    }

    fn is_fresh(&self, now: Duration) -> bool {
        now.saturating_sub(self.opened) < KEPT_FOR && self.branch.is_current()
    }
}

impl Deref for OpenFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

/// The files that are kept open, of so many sessions at most.
pub(super) struct KeptFiles {
    fs: Arc<dyn FileSystem>,
    /// By the key, as in a processor's cache; the oldest of a bucket gives way. None: nothing is kept.
    buckets: Box<[Mutex<Vec<Kept>>]>,
}

struct Kept {
    key: Key,
    open: OpenFile,
}

impl KeptFiles {
    /// Keeps up to `limit` files.
    pub(super) fn new(fs: Arc<dyn FileSystem>, limit: usize) -> Self {
        Self { fs, buckets: (0..limit / BUCKET).map(|_| Mutex::default()).collect() }
    }

    /// The file of this session, if it was kept and may still be used.
    pub(super) fn take(&self, key: &Key) -> Option<OpenFile> {
        let mut bucket = self.bucket(key)?.lock();
        let index = bucket.iter().position(|kept| kept.key == *key)?;
        let Kept { open, .. } = bucket.swap_remove(index);
        drop(bucket);
        open.is_fresh(coarse_monotonic()).then_some(open)
    }

    /// Unlocks a file; kept open, or closed when the caller drops it.
    pub(super) fn let_go(&self, key: &Key, open: &OpenFile, keep: bool) {
        // An unlock of an open descriptor does not fail; a close would follow it anyway.
        let unlocked = self.fs.unlock(open);
        if keep && unlocked.is_ok() {
            self.keep(key, open);
        }
    }

    fn keep(&self, key: &Key, open: &OpenFile) {
        let now = coarse_monotonic();
        let Some(bucket) = self.bucket(key).filter(|_| open.is_fresh(now)) else { return };
        let mut bucket = bucket.lock();
        bucket.retain(|kept| kept.key != *key && kept.open.is_fresh(now));
        if bucket.len() >= BUCKET
            && let Some((oldest, _)) =
                (bucket.iter().enumerate()).min_by_key(|(_, k)| k.open.opened)
        {
            bucket.swap_remove(oldest);
        }
        bucket.push(Kept { key: *key, open: open.clone() });
    }

    /// Closes what may not be used any more.
    pub(super) fn close_stale(&self) {
        let now = coarse_monotonic();
        for bucket in &self.buckets {
            bucket.lock().retain(|kept| kept.open.is_fresh(now));
        }
    }

    /// Closes all; says whether there was one.
    pub(super) fn close_all(&self) -> bool {
        let count = |bucket: &Mutex<Vec<Kept>>| std::mem::take(&mut *bucket.lock()).len();
        self.buckets.iter().map(count).sum::<usize>() > 0
    }

    fn bucket(&self, key: &Key) -> Option<&Mutex<Vec<Kept>>> {
        let count = (self.buckets.len() as u64).max(1);
        self.buckets.get(usize::try_from(key.word(2) % count).unwrap_or(0))
    }
}

/// How many files a store keeps open unless told otherwise: most of what the process may have open is left to it.
pub(super) fn usual_limit() -> usize {
    let may_open = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(may_open / 4).map_or(OPEN_FILES, |quarter| quarter.min(OPEN_FILES))
}

/// How long after its opening a file may be used: for so long an outsider who moves it elsewhere may not
/// be noticed.
const KEPT_FOR: Duration = Duration::from_secs(1);

/// How many files share a bucket. Of twice as many sessions as places, few are without one.
const BUCKET: usize = 8;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::id::SessionId;
    use crate::seams::OsFileSystem;

    fn file(age: Duration) -> OpenFile {
        let open = OpenFile::open(tempfile::tempfile).unwrap();
        OpenFile { opened: open.opened.saturating_sub(age), ..open }
    }

    fn is_open(file: &OpenFile) -> bool {
        Arc::strong_count(&file.file) > 1
    }

    #[test]
    fn a_file_that_was_opened_too_long_ago_is_neither_kept_nor_used() {
        let files = KeptFiles::new(Arc::new(OsFileSystem), 64);
        let key = Key::new("", &SessionId::from("a"));
        let young = file(KEPT_FOR / 2);
        files.let_go(&key, &young, true);
        assert!(is_open(&young));
        assert!(files.take(&key).is_some() && files.take(&key).is_none());
        let old = file(KEPT_FOR);
        files.let_go(&key, &old, true);
        assert!(!is_open(&old) && files.take(&key).is_none());
        // It grew old where it was kept.
        let kept = || {
            let old = file(KEPT_FOR);
            let kept = Kept { key, open: old.clone() };
            files.bucket(&key).unwrap().lock().push(kept);
            old
        };
        let old = kept();
        assert!(files.take(&key).is_none() && !is_open(&old));
        let old = kept();
        files.close_stale();
        assert!(!is_open(&old));
    }

    #[test]
    fn the_oldest_of_a_full_bucket_gives_way() {
        let files = KeptFiles::new(Arc::new(OsFileSystem), BUCKET);
        let key = |index: usize| Key::new("", &SessionId::from(index.to_string()));
        let ages = (0..=BUCKET).map(|index| KEPT_FOR / 2 + Duration::from_millis(index as u64));
        for (index, age) in ages.enumerate() {
            files.let_go(&key(index), &file(age), true);
        }
        let kept: Vec<_> =
            (0..=BUCKET).filter(|index| files.take(&key(*index)).is_some()).collect();
        assert_eq!(kept, [0, 1, 2, 3, 4, 5, 6, 8]);
    }
}
