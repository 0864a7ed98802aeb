//! With which accesses a recording is replayed, and what they mean there.

use std::time::Duration;

use crate::args::ReplayArgs;
use crate::mode::Mode;

/// Those asked for, or a few that are worth a comparison.
pub fn asked(args: &ReplayArgs) -> &[Mode] {
    match args.access.as_slice() {
        [] if args.store.offers(Mode::Exclusive) => &COMPARED,
        [] => &COMPARED_LOCK_FREE,
        modes => modes,
    }
}

/// How the session is taken, in words that fit a table.
pub const fn meaning(mode: Mode) -> &'static str {
    match mode {
        Mode::Exclusive => "locked until the response",
        Mode::Released => "unlocked before the work",
        Mode::Shared => "GETs only read, together",
        Mode::Snapshot => "GETs read without a lock",
        Mode::Optimistic => "no lock, redo if overtaken",
        Mode::LastWriteWins => "no lock, no check",
        Mode::None => "no session, as recorded",
    }
}

/// Whether a request of this method only reads its session, as far as the method tells.
pub fn only_reads(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD")
}

/// From here on people are told how long it takes.
pub const LONG: Duration = Duration::from_secs(20);

const COMPARED: [Mode; 5] =
    [Mode::Exclusive, Mode::Released, Mode::Shared, Mode::Optimistic, Mode::None];

const COMPARED_LOCK_FREE: [Mode; 3] = [Mode::Snapshot, Mode::Optimistic, Mode::None];
