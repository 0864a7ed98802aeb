//! The memory orderings of the index and the heap, and the rules that they serve, each with its name and
//! its reason. Every other access of shared memory is relaxed.
//!
//! The model checkers run the same source with one of them left out at a time: a model must fail
//! then, so none is stronger than it must be, and none is untested.

use crate::sync::Ordering;

macro_rules! orderings {
    (
        orderings { $($(#[$doc:meta])* $name:ident = $strong:ident;)* }
        fences { $($(#[$fence_doc:meta])* $fence:ident = $strong_fence:ident;)* }
    ) => {
        $(
            $(#[$doc])*
            #[inline]
            pub(super) fn $name() -> Ordering {
                if keeps(stringify!($name)) { Ordering::$strong } else { Ordering::Relaxed }
            }
        )*
        $(
            $(#[$fence_doc])*
            #[inline]
            pub(super) fn $fence() {
                if keeps(stringify!($fence)) {
                    crate::sync::fence(Ordering::$strong_fence);
                }
            }
        )*

        #[cfg(any(shuttle, model = "loom"))]
        pub(super) const ORDERINGS: &[&str] = &[$(stringify!($name),)* $(stringify!($fence),)*];
    };
}

orderings! {
    orderings {
        /// Puts a new session into the index: whoever sees the entry sees the record.
        insert = Release;
        /// Leads a session to another record: whoever sees the entry sees the record.
        publish = Release;
        /// Sees an entry, and with it the record.
        see = Acquire;
        /// Sees an entry on a walk, and with it the record.
        walk = Acquire;
        /// Ends an entry: whoever sees that it ended sees that it was moved before.
        end = Release;
        /// Sees what stands in a slot that is to be moved: the record, or the mark and with it the entry
        /// in the next table.
        retire = Acquire;
        /// Freezes a slot: whoever sees that finds the next table.
        freeze = Release;
        /// Puts an entry into the next table: whoever sees it sees the record.
        adopt = Release;
        /// Sees what happened in the next table, and with it that the entry was moved before.
        see_next = Acquire;
        /// Sees that an entry was moved, and with it the entry in the next table.
        stands = Acquire;
        /// Marks an entry as moved: whoever sees the mark sees the entry in the next table.
        moved = Release;
        /// Says that the entries of a part are in the next table.
        part = Release;
        /// Learns that the entries of a part are in the next table.
        see_part = Acquire;
        /// Says that all entries are in the next table.
        done = Release;
        /// Learns that all entries are in the next table.
        see_done = Acquire;
        /// Says that all entries are in this table or a later one.
        pass_on = Release;
        /// Learns that all entries are in this table or a later one.
        see_oldest = Acquire;
        /// Says that an owned cell is in the index, whose record was whole before.
        live = Release;
        /// Sees the state of a cell, and with it the record of that use.
        see_state = Acquire;
        /// Gives a cell back: whoever takes it knows that its record is out of the index.
        free = Release;
        /// Takes a cell, with the knowledge that its last record is out of the index.
        take = Acquire;
        /// Takes over the cell of a record that was taken out of the index: whoever sees that sees the entry
        /// changed.
        inherit = Release;
        /// Says that there is one more extent: whoever learns it finds it in the file.
        grown = Release;
        /// Learns how many extents there are, all of them in the file.
        see_grown = Acquire;
        /// Takes the number of a handle that died: whoever learns it sees what that one did.
        enter = Release;
        /// Learns that a number was given out again, and sees what its last owner did.
        see_owner = Acquire;
    }
    fences {
        /// Between reading a record and the second look at its entry: a word of a later record in the
        /// same cell brings the change of the entry along.
        second_look = Acquire;
        /// The same on a walk.
        second_look_of_walk = Acquire;
        /// The same for whoever moves the entry.
        second_look_of_move = Acquire;
        /// Between taking a cell and writing to it; the other half of the second looks.
        reuse = Release;
    }
}

/// Whether the ordering or rule of this name is kept: always, but in a model that is to fail.
#[cfg(not(any(shuttle, model = "loom")))]
#[inline]
pub(super) const fn keeps(_: &str) -> bool {
    true
}

#[cfg(any(shuttle, model = "loom"))]
pub(super) fn keeps(name: &str) -> bool {
    static LEFT_OUT: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var(LEAVE_OUT).ok());
    LEFT_OUT.as_deref() != Some(name)
}

/// The variable that names what a model is to leave out.
#[cfg(any(shuttle, model = "loom"))]
pub(super) const LEAVE_OUT: &str = "CLOAKROOM_LEAVE_OUT";

/// What a model can leave out besides.
#[cfg(any(shuttle, model = "loom"))]
pub(super) const RULES: &[&str] = &[
    "an entry has a turn",
    "a state has a use count",
    "the entry is looked at twice",
    "a slot is never empty again",
    "a slot is frozen before it moves",
    "a session is settled before it is worked on",
    "what is moved late must stand",
    "an opened table is still needed",
];
