//! Who has the store open: each handle has a number, and a lock on the byte of that number which the
//! kernel lets go when the process dies.

use std::fs::File;
use std::io;

use super::area::Area;
use super::control::{self, Control};
use super::order;
use super::word::Owner;
use crate::seams::{FileSystem, OpenMode};
use crate::sync::Arc;

/// One handle's entry among all that have the store open.
pub(super) struct Registry {
    fs: Arc<dyn FileSystem>,
    /// Holds the lock of this handle, so that it goes with it.
    locks: File,
    counts: Arc<Area>,
    /// The word before the first number's count.
    base: usize,
    me: Owner,
}

impl Registry {
    /// Takes a number that nobody alive has. Waits for nobody.
    pub(super) fn enter(control: &Control) -> io::Result<Option<Self>> {
        let fs = Arc::clone(&control.fs);
        // Opened for this handle alone: the locks belong to the open file.
        let path = control.directory.join(control::NAME);
        let locks = fs.open(&control.root, &path, OpenMode::Write)?;
        let (counts, base) = (Arc::clone(&control.area), control::REGISTRY);
        for number in 1..=HANDLES_MAX {
            if fs.try_lock_byte(&locks, u64::from(number))? {
                let count = counts.word(base + number as usize);
                // The lock came from the kernel, and with it all that its last holder wrote.
                let count = count.map_or(0, |count| count.fetch_add(1, order::enter()) + 1);
                let me = owner(number, count);
                return Ok(Some(Self { fs, locks, counts, base, me }));
            }
        }
        Ok(None)
    }

    /// This handle.
    pub(super) const fn me(&self) -> Owner {
        self.me
    }

    /// Whether `who` is gone for good: it will never put anything into the index any more.
    pub(super) fn is_gone(&self, who: Owner) -> io::Result<bool> {
        if who == self.me {
            return Ok(false);
        }
        let number = who.0 & NUMBER_MASK;
        let count = self.counts.word(self.base + number as usize);
        if count.map_or(0, |count| owner(number, count.load(order::see_owner())).0) != who.0 {
            // The number was given out again, which the lock allows only after its end.
            return Ok(true);
        }
        if number == self.me.0 & NUMBER_MASK {
            return Ok(true);
        }
        // An old count that was read keeps the cells of a dead owner a little longer, no more.
        let free = self.fs.try_lock_byte(&self.locks, u64::from(number))?;
        if free {
            self.fs.unlock_byte(&self.locks, u64::from(number))?;
        }
        Ok(free)
    }
}

/// The `count`th owner of a number.
fn owner(number: u32, count: u64) -> Owner {
    let count = u32::try_from(count & COUNT_MASK).unwrap_or(0);
    Owner(count << NUMBER_BITS | number)
}

/// How many handles may have a store open at the same time.
pub(super) const HANDLES_MAX: u32 = NUMBER_MASK;

const NUMBER_BITS: u32 = 12;
const NUMBER_MASK: u32 = (1 << NUMBER_BITS) - 1;
/// An owner has 30 bits.
const COUNT_MASK: u64 = (1 << (30 - NUMBER_BITS)) - 1;
