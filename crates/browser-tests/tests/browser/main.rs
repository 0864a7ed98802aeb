//! What a person sees and a browser does: Chromium, without a window, drives `cloakroom serve`.
//!
//! `rig` starts and stops the three processes: the server, chromedriver, and the browser below it. The
//! other files hold the tests, one subject each. Two run at a time, and what measures runs alone.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod accessibility;
mod console;
mod cookies;
mod counter;
mod lab;
mod login;
mod restart;
mod rig;
mod screenshots;
