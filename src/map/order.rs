//! The memory orderings of the index and the heap, and the rules that they serve, each with its name and
//! its reason.
//!
//! The model checkers run the same source with one of them left out at a time: a model must fail
//! then, so none is stronger than it must be, and none is untested.

use crate::sync::Ordering;

macro_rules! orderings {
    ($($(#[$doc:meta])* $function:ident = $strong:ident, left out: $name:literal;)*) => {
        $(
            $(#[$doc])*
            #[inline]
            pub(super) fn $function() -> Ordering {
                if keeps($name) { Ordering::$strong } else { Ordering::Relaxed }
            }
        )*

        #[cfg(any(shuttle, model = "loom"))]
        pub(super) const ORDERINGS: &[&str] = &["second look", "reuse", $($name),*];
    };
}

orderings! {
    /// Puts an entry into the index: whoever sees it sees the record it leads to.
    publish = Release, left out: "publish";
    /// Sees an entry, and with it the record.
    see = Acquire, left out: "see";
    /// Marks an entry as moved: whoever sees the mark sees the entry in the next table.
    moved = Release, left out: "move";
    /// Says that entries are in the next table.
    done = Release, left out: "done";
    /// Learns that entries are in the next table.
    see_done = Acquire, left out: "see done";
    /// Says that an owned cell is in the index, whose record was whole before.
    live = Release, left out: "live";
    /// Sees the state of a cell, and with it the record of that use.
    see_state = Acquire, left out: "see state";
    /// Gives a cell back: whoever takes it writes after the last one who wrote here.
    free = Release, left out: "free";
    /// Takes a cell, with the knowledge that its last record is out of the index.
    take = Acquire, left out: "take";
}

/// Between reading a record and the second look at its entry: a word of a later record in the same
/// cell brings the change of the entry along.
#[inline]
pub(super) fn fence_before_second_look() {
    if keeps("second look") {
        crate::sync::fence(Ordering::Acquire);
    }
}

/// Between taking a cell and writing to it; the other half of
/// [`fence_before_second_look`].
#[inline]
pub(super) fn fence_before_reuse() {
    if keeps("reuse") {
        crate::sync::fence(Ordering::Release);
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
    "a frozen table takes nothing in",
];
