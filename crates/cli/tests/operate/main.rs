//! The operator's tools on real stores, and on some that serve at that moment.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod bad_input;
mod copy;
mod copy_model;
mod cut_off;
mod locks;
mod ls;
mod manual;
mod map;
mod rm;
mod show;
mod stats;
mod store;
mod sweep;
mod verify;
