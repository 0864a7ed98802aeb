//! Finding a session: with its lock, or by a look without one.

use super::lock::{Ask, Lease, Leased, LockRequest, LockedFile};
use super::read::{Contents, Current, Seen};
use super::room::{REOPENS, Room, Spot};
use crate::access::Calling;
use crate::error::{Corrupt, OpenError};
use crate::queue::Mode;
use crate::seams::Timestamp;
use crate::sync::Arc;

/// What was found at the path of a session.
pub(super) struct Taken {
    pub(super) current: Option<Current>,
    pub(super) expired: bool,
}

/// What a lease was found to guard.
enum Examined {
    Taken(Lease, Taken),
    /// A file that is not the session's any more.
    Replaced,
    Damaged(Lease, &'static str),
}

impl Taken {
    const ABSENT: Self = Self { current: None, expired: false };
}

impl Room {
    /// Takes the lock of `key` and reads what it guards. Of an absent session only the place in
    /// the queue is kept.
    pub(super) async fn take(
        self: &Arc<Self>,
        at: &Spot,
        request: &LockRequest,
    ) -> Result<(Lease, Taken), OpenError> {
        for _ in 0..REOPENS {
            let asked = self.lock_at_once(at, request)?;
            let leased = match asked {
                Ask::Leased(leased) => leased,
                // Boxed, as is all that is rare: an open that waits for nothing stays small.
                Ask::Later(later) => Box::pin(self.lock_later(at, request, later)).await?,
            };
            let damaged = match self.examine(at, request.mode, leased)? {
                Examined::Taken(lease, taken) => return Ok((lease, taken)),
                Examined::Replaced => continue,
                Examined::Damaged(lease, reason) => self.handle_damage(at, request, lease, reason),
            };
            Box::pin(damaged).await?;
        }
        let source = std::io::Error::other("the file was replaced each time it was locked");
        Err(OpenError::Io(self.io_error("open", &at.path)(source)))
    }

    /// Reads what a lease guards.
    fn examine(&self, at: &Spot, mode: Mode, leased: Leased) -> Result<Examined, OpenError> {
        let Leased { mut lease, waited } = leased;
        let Some(locked) = &lease.file else {
            return Ok(Examined::Taken(lease, Taken::ABSENT));
        };
        let contents = self.contents_locked(at, locked)?;
        if locked.was_kept() && !matches!(contents, Contents::Session(_)) {
            // What the path leads to may be another one by now.
            lease.abandon();
            return Ok(Examined::Replaced);
        }
        if mode == Mode::Exclusive && matches!(contents, Contents::Dead | Contents::Expired(_)) {
            // Should it fail, the file says the same to whoever comes next.
            let _ = self.finish_unlink(at, locked);
        }
        match contents {
            Contents::Session(current) => {
                lease.alive_until = current.record().deadline().unwrap_or(Timestamp::MAX);
                Ok(Examined::Taken(lease, Taken { current: Some(current), expired: false }))
            }
            Contents::Dead if waited => {
                lease.gone();
                Err(OpenError::Gone { key: at.key })
            }
            Contents::Expired(_) | Contents::Dead | Contents::Unborn => {
                lease.file = None;
                let expired = matches!(contents, Contents::Expired(_));
                Ok(Examined::Taken(lease, Taken { current: None, expired }))
            }
            Contents::Moved => {
                lease.abandon();
                Ok(Examined::Replaced)
            }
            Contents::Invalid(reason) => Ok(Examined::Damaged(lease, reason)),
        }
    }

    /// Moves a damaged file to the quarantine; returns only if it is not damaged after all.
    async fn handle_damage(
        self: &Arc<Self>,
        at: &Spot,
        request: &LockRequest,
        lease: Lease,
        reason: &'static str,
    ) -> Result<(), OpenError> {
        if request.mode == Mode::Shared {
            // A reader's lock does not entitle to move the file.
            lease.abandon();
            self.glance(at, request.calling).await?;
            return Ok(());
        }
        let (room, spot) = (Arc::clone(self), at.clone());
        let move_away = move || {
            let corrupt = lease.file.as_ref().map(|file| room.quarantine(&spot, file, reason));
            lease.abandon();
            corrupt
        };
        let corrupt = self.off_thread(request.calling, move_away).await?;
        Err(corrupt.map_or(OpenError::Gone { key: at.key }, OpenError::Corrupt))
    }

    /// What a locked file says; `Moved` only if the path leads elsewhere by now.
    pub(super) fn contents_locked(
        &self,
        at: &Spot,
        locked: &LockedFile,
    ) -> Result<Contents, OpenError> {
        let read = |ignore_moved| self.contents(at, locked.file(), ignore_moved);
        match read(false)? {
            Contents::Moved => {
                if self.leads_to(at, locked.file())? {
                    read(true)
                } else {
                    Ok(Contents::Moved)
                }
            }
            contents => Ok(contents),
        }
    }

    /// Reads the last committed version without a lock.
    pub(super) async fn glance(
        self: &Arc<Self>,
        at: &Spot,
        calling: Calling,
    ) -> Result<Taken, OpenError> {
        let mut seen = self.look(at)?;
        if matches!(seen, Seen::NeverWhole(_)) {
            seen = Box::pin(self.insist(at, calling)).await?;
        }
        Ok(match seen {
            Seen::Session(current) => Taken { current: Some(current), expired: false },
            Seen::Expired(_) => Taken { current: None, expired: true },
            Seen::Absent => Taken::ABSENT,
            Seen::NeverWhole(_) => {
                let reason = WRITTEN;
                let (key, place) = (at.key, self.place(&at.path));
                return Err(Corrupt { key, place, reason, quarantine: None }.into());
            }
        })
    }

    /// Reads a file that no look found whole, with the lock if it is free, else by looking again.
    async fn insist(self: &Arc<Self>, at: &Spot, calling: Calling) -> Result<Seen, OpenError> {
        for _ in 0..ROUNDS {
            let (room, spot) = (Arc::clone(self), at.clone());
            let closely = self.off_thread(calling, move || room.look_closely(&spot));
            match closely.await?? {
                // In a writer's hands: it may be whole by now.
                Seen::NeverWhole(_) => match self.look(at)? {
                    Seen::NeverWhole(_) => {}
                    whole => return Ok(whole),
                },
                decided => return Ok(decided),
            }
        }
        Ok(Seen::NeverWhole(WRITTEN))
    }
}

/// Why a file is not called damaged: with the lock nobody could look.
const WRITTEN: &str = "it was never whole while others held it";

/// How often an unlocked reader asks for the lock of a file that no look finds whole.
const ROUNDS: usize = 1_000;
