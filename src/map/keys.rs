//! Handles of a room for its holds: each hold needs one of its own, and one counter of them all would
//! be the hottest word of the store.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;

use super::room::Room;
use crate::sync::Arc;

/// A room, counted in a cache line of its own.
pub(super) type RoomKey = Arc<CachePadded<Arc<Room>>>;

/// Some handles of a room, for different threads.
pub(super) struct Keys([RoomKey; THREADS]);

impl Keys {
    pub(super) fn new(room: &Arc<Room>) -> Self {
        Self(std::array::from_fn(|_| Arc::new(CachePadded::new(Arc::clone(room)))))
    }

    /// The one that this thread shares with the fewest others.
    #[inline]
    pub(super) fn mine(&self) -> &RoomKey {
        let [first, ..] = &self.0;
        self.0.get(thread_number() % THREADS).unwrap_or(first)
    }
}

/// Threads of this process, counted as they come.
#[inline]
pub(super) fn thread_number() -> usize {
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NUMBER.with(|number| {
        if number.get() == usize::MAX {
            number.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    })
}

/// What is kept apart for so many threads.
pub(super) const THREADS: usize = 16;
