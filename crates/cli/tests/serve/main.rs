//! `cloakroom serve` over loopback, asked by curl as by a browser, and by hand where curl is too polite.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod bad_input;
mod browser;
mod color;
mod cookies;
mod counter;
mod ending;
mod inspect;
mod lab;
mod login;
mod restart;
mod secret;
mod server;
mod slow;
