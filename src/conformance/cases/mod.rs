//! The cases, by what they are about.

pub(super) mod accesses;
pub(super) mod adopting;
pub(super) mod atomicity;
pub(super) mod exits;
pub(super) mod expiry;
pub(super) mod ids;
pub(super) mod lives;
pub(super) mod locking;
pub(super) mod races;
pub(super) mod renewal;
pub(super) mod sweeping;
pub(super) mod waiting;
pub(super) mod walking;
