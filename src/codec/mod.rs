//! From a session's values to the payload and back.
//!
//! A payload is a byte that names its format and a map of names to encoded values. The map is
//! bincode; each value is MessagePack, which says of itself what it is: so a wrong type is an
//! error that names both types, and a tool can show any session without knowing its types.

mod payload;
mod value;
mod values;

pub(crate) use payload::{decode, encode};
pub use value::Value;
pub(crate) use value::{from_value, to_value};
pub use values::Values;
