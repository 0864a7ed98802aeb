//! Who is alive, as `registry.rs` has it: a count per number, and a lock that the kernel lets go when
//! its holder dies.

use super::order;
use super::word::Owner;
use crate::sync::{AtomicU64, Ordering};

/// The numbers of all owners.
pub(super) struct Seats {
    counts: Vec<AtomicU64>,
    locks: Vec<AtomicU64>,
}

impl Seats {
    /// All are taken by their first owners, `Owner(number)`.
    pub(super) fn new() -> Self {
        let row = |value| (0..SEATS).map(|_| AtomicU64::new(value)).collect();
        Self { counts: row(0), locks: row(1) }
    }

    /// This owner's process is dead.
    pub(super) fn leave(&self, who: Owner) {
        self.locks[number(who)].store(0, Ordering::Release);
    }

    /// Takes a number, if its owner is dead.
    pub(super) fn enter(&self, number: u32) -> Option<Owner> {
        self.try_lock(number as usize).then(|| {
            let count = self.counts[number as usize].fetch_add(1, order::enter()) + 1;
            owner(number, count)
        })
    }

    /// Whether `who` is gone for good, as `me` sees it.
    pub(super) fn is_gone(&self, who: Owner, me: Owner) -> bool {
        if who == me {
            return false;
        }
        let number = number(who);
        let count = self.counts[number].load(order::see_owner());
        if owner(number as u32, count) != who {
            return true;
        }
        let is_gone = self.try_lock(number);
        if is_gone {
            self.leave(who);
        }
        is_gone
    }

    fn try_lock(&self, number: usize) -> bool {
        self.locks[number].compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

fn owner(number: u32, count: u64) -> Owner {
    Owner((count as u32) << BITS | number)
}

fn number(who: Owner) -> usize {
    (who.0 & ((1 << BITS) - 1)) as usize
}

const BITS: u32 = 12;
const SEATS: usize = 8;
