//! What several tests use.

pub mod cabinet;
pub mod wrong;
