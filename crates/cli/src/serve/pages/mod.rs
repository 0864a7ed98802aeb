//! The pages.

pub mod color;
pub mod count;
pub mod inspect;
pub mod login;
