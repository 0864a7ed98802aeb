//! The two designs for records that MapStore could have had, each as small as it can be measured:
//! [`segments`] that are appended to, and [`cells`] of one size that are recycled at once.
//!
//! They share the index, the bytes of a record and its check, so that what differs is where
//! records lie and how their space comes back. The index does not grow, and neither of them
//! finds again what a killed process leaves behind: a spike answers one question.

mod cells;
mod index;
mod mapped;
mod record;
mod segments;

pub use cells::Cells;
pub use segments::Segments;
