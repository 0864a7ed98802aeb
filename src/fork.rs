//! Whether this process was forked from the one that made something.
//!
//! Asking the kernel for the process id costs a system call each time, several per session. The C
//! library instead calls a handler in each new child, which counts.

#![allow(unsafe_code)]

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many forks lie between this process and the first; remembered by what must not be used
/// in a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u32);

impl Generation {
    /// This process.
    pub(crate) fn current() -> Self {
        static REGISTER: Once = Once::new();
        REGISTER.call_once(|| {
            // SAFETY: the handlers only add to atomic numbers, which is safe to do before `fork`, and
            // between it and whatever either process does next. Should the registration fail, for want
            // of memory, children are not recognised; nothing else changes.
            unsafe { libc::pthread_atfork(Some(branch), Some(branch), Some(count)) };
        });
        Self(FORKS.load(Ordering::Relaxed))
    }

    /// Whether this is still the process that remembered it.
    pub(crate) fn is_current(self) -> bool {
        // Relaxed: written only between fork and the child's first own instruction.
        self.0 == FORKS.load(Ordering::Relaxed)
    }
}

/// How often this process has forked: what was opened before, a child may have, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Branch(u32);

impl Branch {
    /// Since the last fork. Counted from the first [`Generation`] on.
    pub(crate) fn current() -> Self {
        Self(BRANCHES.load(Ordering::Relaxed))
    }

    /// Whether this process has not forked since.
    pub(crate) fn is_current(self) -> bool {
        // Relaxed: who forks in one thread and opens in another, unordered, cannot tell which was first.
        // Counted before and after the fork, so what is opened meanwhile counts as opened before.
        self == Self::current()
    }
}

static FORKS: AtomicU32 = AtomicU32::new(0);

static BRANCHES: AtomicU32 = AtomicU32::new(0);

extern "C" fn branch() {
    BRANCHES.fetch_add(1, Ordering::Relaxed);
}

extern "C" fn count() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}
