//! `/lab`: parallel calls of one page.
//!
//! ```text
//! page       what a visitor does there, and what the page shows
//! waiting    how long calls wait, by access
//! updates    which updates are lost, by store and access
//! compare    one run for each access
//! form       what it offers, what it refuses, and the keyboard
//! failure    the server goes away during a run
//! recording  the HAR file, and `cloakroom replay`
//! ```

mod compare;
mod failure;
mod form;
pub mod page;
mod recording;
mod updates;
mod waiting;
