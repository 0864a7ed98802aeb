//! Every limit of the engine, in one place.

use std::time::Duration;

/// How long an open waits for its lock unless told otherwise.
pub const LOCK_WAIT: Duration = Duration::from_secs(30);

/// How many may wait for one session in one process; one more is told at once.
pub const WAITERS: usize = 1_024;

/// How long an unused session lives unless told otherwise.
pub const IDLE: Duration = Duration::from_secs(86_400);

/// The longest grace of a renewed id.
pub const GRACE_MAX: Duration = Duration::from_secs(600);

/// The largest payload in bytes.
pub const PAYLOAD_MAX: usize = 64 << 20;

/// How many session files a store keeps open for the next request unless told otherwise; fewer, a quarter,
/// where the process may have less than four times as many open.
pub const OPEN_FILES: usize = 4_096;

/// How often an optimistic update is repeated before its conflict is reported.
pub const UPDATE_TRIES: u32 = 1_000;

/// How often the turns that an update gives to others after a lost race double.
pub const BACKOFF_DOUBLINGS: u32 = 6;

/// How many races an update loses before it takes the session exclusively. On a session that others
/// change without pause it would lose every race: who waits for the commit's lock reads too early.
pub const UPDATE_RACES: u32 = 16;

/// How often a lock passes from waiter to waiter within one process before other processes get
/// their turn.
pub const HAND_OVERS: u32 = 4;

/// How long a lock passes from waiter to waiter within one process before other processes get
/// their turn. Measured by the kernel's coarse clock, so it may be a tick more (4 ms).
pub const HAND_OVER_TIME: Duration = Duration::from_millis(1);
