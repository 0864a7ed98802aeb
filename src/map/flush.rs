//! Bringing the heap to the medium, many commits at a time.

use std::fs::File;
use std::io;

use crate::seams::FileSystem;
use crate::sync::timed::{Condvar, Mutex};

/// The sync that the commits of one handle share. Other processes sync for themselves, so one that is
/// stopped in the middle is in nobody's way.
#[derive(Default)]
pub(super) struct Flush {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Commits that asked for a sync.
    asked: u64,
    /// Those that a finished sync began after.
    synced: u64,
    is_running: bool,
    has_failed: bool,
}

impl Flush {
    /// Returns when all that was written before the call is on the medium. After a failure it fails
    /// for ever: the kernel may have dropped the data and called it clean.
    pub(super) fn flush(&self, fs: &dyn FileSystem, file: &File) -> io::Result<()> {
        let mut state = self.state.lock();
        state.asked += 1;
        let mine = state.asked;
        loop {
            if state.has_failed {
                return Err(io::Error::other("an earlier sync of this store failed"));
            }
            if state.synced >= mine {
                return Ok(());
            }
            if state.is_running {
                self.changed.wait(&mut state);
                continue;
            }
            state.is_running = true;
            let asked = state.asked;
            drop(state);
            let synced = fs.sync(file);
            state = self.state.lock();
            state.is_running = false;
            state.has_failed |= synced.is_err();
            if synced.is_ok() {
                state.synced = asked;
            }
            self.changed.notify_all();
            synced?;
        }
    }

    /// Whether a sync failed before.
    pub(super) fn has_failed(&self) -> bool {
        self.state.lock().has_failed
    }
}
