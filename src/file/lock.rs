//! The lock of a session: the queue of this process first, then the kernel's `flock` on the
//! session file itself.
//!
//! The lock is on the data file, so there are no lock files to leak or to clean. A file may be
//! replaced (growth), unlinked (destroy) or moved (quarantine) while a party waits for its lock; so
//! after each grant the link count is asked for, and a file without a name is opened anew. The same
//! holds for a file that was [kept](super::kept) open from a request before.
//!
//! A blocked `flock` can neither time out nor be cancelled. It therefore happens on a thread of
//! the engine and belongs to the queue's place, not to the party that asked.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use super::kept::{KeptFiles, OpenFile};
use super::read::Contents;
use super::room::{REOPENS, Room, Spot};
use crate::access::Calling;
use crate::error::{Holder, LockTimeout, OpenError};
use crate::fork::Generation;
use crate::id::Key;
use crate::label::Label;
use crate::queue::{Arrival, Delivery, Held, Mode, Outcome, Turn, Wait};
use crate::seams::{Flock, OpenMode, Timestamp, coarse_monotonic};
use crate::sync::Arc;

/// An open session file with its kernel lock. Dropped: unlocked, then kept open or closed. A close
/// alone would not do: a forked child shares the descriptor and would keep the lock.
pub(super) struct LockedFile {
    key: Key,
    open: OpenFile,
    /// Whether it was open from a request before, so that it may not be the session's any more.
    was_kept: bool,
    /// Whether to keep it open for the next one.
    keep: bool,
    /// When it was last seen to have a name, by the coarse clock.
    named: Duration,
    kept: Arc<KeptFiles>,
    process: Generation,
}

impl LockedFile {
    pub(super) fn file(&self) -> &File {
        &self.open
    }

    pub(super) const fn was_kept(&self) -> bool {
        self.was_kept
    }

    /// Whether it was seen to have a name in this tick of the coarse clock: some milliseconds ago at most.
    pub(super) fn has_just_had_a_name(&self) -> bool {
        self.named == coarse_monotonic()
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // In a forked child the lock is the parent's: closing the copy leaves it alone.
        if self.process.is_current() {
            self.kept.let_go(&self.key, &self.open, self.keep);
        }
    }
}

/// The lock of a session in the hands of one hold: the queue's, and the kernel's unless the
/// session is absent. Dropped: released, and the next one goes on.
pub(super) struct Lease {
    held: Option<Held<LockedFile>>,
    pub(super) file: Option<LockedFile>,
    /// Until when the session lives that is left at the release.
    pub(super) alive_until: Timestamp,
    process: Generation,
}

impl Lease {
    fn new(held: Held<LockedFile>, mut file: Option<LockedFile>, process: Generation) -> Self {
        if let Some(file) = &mut file {
            file.keep = false;
        }
        Self { held: Some(held), file, alive_until: Timestamp::MAX, process }
    }

    /// Lets go of a file that is not the session's any more: nobody gets it handed over.
    pub(super) fn abandon(mut self) {
        drop(self.file.take());
        drop(self.held.take());
    }

    /// Releases, and tells everybody who waits that the session is gone.
    pub(super) fn gone(mut self) {
        drop(self.file.take());
        if let Some(held) = self.held.take() {
            held.gone();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(held) = self.held.take() else { return };
        if !self.process.is_current() {
            // A forked child: the queue is a copy whose locks another thread may have held.
            std::mem::forget(held);
            return;
        }
        match self.file.take() {
            Some(mut file) => {
                // A reader's file is open to be read only.
                file.keep = held.mode() == Mode::Exclusive;
                held.release(file, self.alive_until);
            }
            None => held.release_absent(),
        }
    }
}

/// What an open asks of the lock.
#[derive(Clone)]
pub(super) struct LockRequest {
    pub(super) mode: Mode,
    pub(super) wait: Duration,
    pub(super) label: Option<Label>,
    pub(super) calling: Calling,
}

/// A lease, and whether somebody else held the session alive while this party waited for it.
pub(super) struct Leased {
    pub(super) lease: Lease,
    pub(super) waited: bool,
}

/// What an ask for the lock came to.
pub(super) enum Ask {
    Leased(Leased),
    Later(Later),
}

/// What has to be waited for.
pub(super) enum Later {
    /// Others of this process.
    InQueue(Wait<LockedFile>),
    /// The holder of this file's lock, in another process.
    AtKernel { turn: Turn<LockedFile>, file: OpenFile },
}

/// What a thread brings that waited for the kernel's lock.
enum Delivered {
    Locked(LockedFile),
    /// The session was destroyed meanwhile.
    Gone,
    /// The session is over, and its file was removed.
    Absent,
}

enum Attempt {
    Locked(LockedFile),
    Absent,
    Busy(OpenFile),
}

impl Room {
    /// Takes the lock if nothing has to be waited for. The lease has no file if the session is
    /// absent.
    pub(super) fn lock_at_once(&self, at: &Spot, request: &LockRequest) -> Result<Ask, OpenError> {
        let LockRequest { mode, wait, ref label, .. } = *request;
        match self.queue.arrive(&at.key, mode, label.clone(), !wait.is_zero()) {
            Arrival::Turn(turn) => self.use_turn(at, request, turn, None),
            Arrival::Wait(waiting) => Ok(Ask::Later(Later::InQueue(waiting))),
            Arrival::Busy => Err(self.timeout(at, wait)),
            Arrival::Full => {
                Err(OpenError::TooManyWaiters { key: at.key, limit: self.waiters_max })
            }
        }
    }

    /// Waits for what could not be had at once.
    pub(super) async fn lock_later(
        self: &Arc<Self>,
        at: &Spot,
        request: &LockRequest,
        mut later: Later,
    ) -> Result<Leased, OpenError> {
        let deadline = Instant::now().checked_add(request.wait);
        loop {
            let waiting = match later {
                Later::InQueue(waiting) => waiting,
                Later::AtKernel { turn, file } => self.send_helper(turn, at, request.mode, file),
            };
            match waiting.outcome(deadline, request.calling).await {
                Outcome::Turn { turn, alive_until } => {
                    match self.use_turn(at, request, turn, Some(Waited { alive_until }))? {
                        Ask::Leased(leased) => return Ok(leased),
                        Ask::Later(again) => later = again,
                    }
                }
                Outcome::Granted { lock, held } => {
                    // An outsider may have taken the name away while it was held.
                    if self.stat(at, lock.file())?.links == 0 {
                        return Err(OpenError::Gone { key: at.key });
                    }
                    let lease = Lease::new(held, Some(lock), self.process);
                    return Ok(Leased { lease, waited: true });
                }
                Outcome::Gone => return Err(OpenError::Gone { key: at.key }),
                Outcome::Failed(error) => return Err(error),
                Outcome::TimedOut => return Err(self.timeout(at, request.wait)),
            }
        }
    }

    /// Tries for the kernel's lock with the right to do so.
    fn use_turn(
        &self,
        at: &Spot,
        request: &LockRequest,
        turn: Turn<LockedFile>,
        waited: Option<Waited>,
    ) -> Result<Ask, OpenError> {
        let mode = request.mode;
        let careful = mode == Mode::Shared || waited.is_some() || self.gate.is_contended(&at.key);
        match self.try_lock_now(at, mode, careful)? {
            Attempt::Locked(file) => {
                let lease = Lease::new(turn.settle(), Some(file), self.process);
                Ok(Ask::Leased(Leased { lease, waited: waited.is_some() }))
            }
            Attempt::Absent if waited.is_some_and(|waited| waited.expects(self.clock.now())) => {
                turn.gone();
                Err(OpenError::Gone { key: at.key })
            }
            Attempt::Absent => {
                let lease = Lease::new(turn.settle(), None, self.process);
                Ok(Ask::Leased(Leased { lease, waited: false }))
            }
            Attempt::Busy(_) if request.wait.is_zero() => {
                // Not held any more by this party, which would be found to be the holder.
                drop(turn);
                Err(self.timeout(at, request.wait))
            }
            Attempt::Busy(file) => Ok(Ask::Later(Later::AtKernel { turn, file })),
        }
    }

    /// Takes the kernel's lock if it is free.
    fn try_lock_now(&self, at: &Spot, mode: Mode, careful: bool) -> Result<Attempt, OpenError> {
        if !careful && let Some(locked) = self.try_lock_kept(at)? {
            return Ok(Attempt::Locked(locked));
        }
        for _ in 0..REOPENS {
            let file = match self.open_file(&at.path, mode.into()) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Attempt::Absent);
                }
                Err(error) => return Err(self.open_error(at, error)),
            };
            let passage = if careful {
                let entered = self.gate.try_enter(&*self.fs, &self.root, &at.key);
                match entered.map_err(self.io_error("lock the gate for", &at.path))? {
                    None => return Ok(Attempt::Busy(file)),
                    passage => passage,
                }
            } else {
                None
            };
            let taken = self.fs.try_lock(&file, mode.into());
            if !taken.map_err(self.io_error("lock", &at.path))? {
                self.gate.note(&at.key, true);
                return Ok(Attempt::Busy(file));
            }
            if passage.is_some() {
                self.gate.note(&at.key, false);
            }
            drop(passage);
            let locked = self.locked(at, file);
            // Whoever waited asks whether the file still has a name. Others opened it just now;
            // what our own kind did since stands in the file.
            if !careful || self.stat(at, locked.file())?.links > 0 {
                return Ok(Attempt::Locked(locked));
            }
        }
        Err(self.replaced(at))
    }

    /// Takes the exclusive lock of the session's file if that was kept open, still has a name and is free.
    fn try_lock_kept(&self, at: &Spot) -> Result<Option<LockedFile>, OpenError> {
        let Some(open) = self.kept.take(&at.key) else { return Ok(None) };
        let taken = self.fs.try_lock(&open, Flock::Exclusive);
        if !taken.map_err(self.io_error("lock", &at.path))? {
            return Ok(None);
        }
        let locked = self.locked_file(at, open, true);
        Ok((self.stat(at, locked.file())?.links > 0).then_some(locked))
    }

    /// Has a thread of the engine wait for the kernel's lock.
    fn send_helper(
        self: &Arc<Self>,
        turn: Turn<LockedFile>,
        at: &Spot,
        mode: Mode,
        file: OpenFile,
    ) -> Wait<LockedFile> {
        let (waiting, delivery) = turn.park();
        let (room, at) = (Arc::clone(self), at.clone());
        self.lockers.spawn(move || room.deliver(&at, mode, file, delivery));
        waiting
    }

    /// Waits for the kernel's lock, on a thread of the engine.
    fn deliver(&self, at: &Spot, mode: Mode, file: OpenFile, delivery: Delivery<LockedFile>) {
        match self.lock_blocking(at, mode, file) {
            Ok(Delivered::Locked(locked)) => delivery.grant(locked),
            Ok(Delivered::Gone) => delivery.gone(),
            Ok(Delivered::Absent) => delivery.retry(),
            Err(error) => delivery.fail(error),
        }
    }

    fn lock_blocking(
        &self,
        at: &Spot,
        mode: Mode,
        mut file: OpenFile,
    ) -> Result<Delivered, OpenError> {
        for _ in 0..REOPENS {
            let passage = self
                .gate
                .enter(&*self.fs, &self.root, &at.key)
                .map_err(self.io_error("lock the gate for", &at.path))?;
            let taken = loop {
                match self.fs.lock(&file, mode.into()) {
                    // A signal of the program, which this thread happened to get.
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    taken => break taken,
                }
            };
            taken.map_err(self.io_error("lock", &at.path))?;
            drop(passage);
            let locked = self.locked(at, file);
            let stat = self.stat(at, locked.file())?;
            if stat.links > 0 && stat.size == 0 {
                // The file of a birth under way, which must not be held up.
                return Ok(Delivered::Absent);
            }
            if stat.links > 0 {
                return Ok(Delivered::Locked(locked));
            }
            file = match self.open_file(&at.path, mode.into()) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // Destroyed or removed by an outsider; or it was over anyway and was swept.
                    return Ok(match self.contents(at, locked.file(), true)? {
                        Contents::Expired(_) | Contents::Unborn => Delivered::Absent,
                        _ => Delivered::Gone,
                    });
                }
                Err(error) => return Err(self.open_error(at, error)),
            };
        }
        Err(self.replaced(at))
    }

    /// A file of this session that was opened just now, and locked.
    pub(super) fn locked(&self, at: &Spot, open: OpenFile) -> LockedFile {
        self.locked_file(at, open, false)
    }

    fn locked_file(&self, at: &Spot, open: OpenFile, was_kept: bool) -> LockedFile {
        let (kept, process) = (Arc::clone(&self.kept), self.process);
        let named = coarse_monotonic();
        LockedFile { key: at.key, open, was_kept, keep: false, named, kept, process }
    }

    fn timeout(&self, at: &Spot, waited: Duration) -> OpenError {
        let elsewhere = || Some(Holder { pid: self.kernel_holder(at)?, held: None, label: None });
        let holder = self.queue.holder(&at.key).or_else(elsewhere);
        OpenError::LockTimeout(LockTimeout { key: at.key, waited, holder })
    }

    fn replaced(&self, at: &Spot) -> OpenError {
        let source = io::Error::other("the file was replaced each time it was opened");
        OpenError::Io(self.io_error("lock", &at.path)(source))
    }
}

/// What a party knows that had to wait in the queue.
#[derive(Clone, Copy)]
struct Waited {
    /// Until when the session lives that the last holder in this process left.
    alive_until: Option<Timestamp>,
}

impl Waited {
    /// Whether a session should be there at `now`, so that its absence means it was destroyed.
    fn expects(&self, now: Timestamp) -> bool {
        self.alive_until.is_some_and(|deadline| now < deadline)
    }
}

impl From<Mode> for OpenMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Shared => Self::Read,
            Mode::Exclusive => Self::Write,
        }
    }
}

impl From<Mode> for Flock {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Shared => Self::Shared,
            Mode::Exclusive => Self::Exclusive,
        }
    }
}
