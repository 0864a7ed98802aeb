//! The fields at the end of a line: in the combined format the page that linked here and the
//! client's program, and whatever else the server was told to log.

use memchr::memchr;

use super::line::quoted;

/// A field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    /// In quotes, which are taken off.
    Quoted(&'a [u8]),
    /// Anything else.
    Bare(&'a [u8]),
}

/// Iterates over fields.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    text: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields of this text.
    pub const fn new(text: &'a [u8]) -> Self {
        Self { text }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let text = self.text.trim_ascii_start();
        if let Some(text) = text.strip_prefix(b"\"") {
            // A line may be cut off in its last field; what is left of it will do.
            let (field, rest) = quoted(text).unwrap_or((text, &[]));
            self.text = rest;
            return Some(Field::Quoted(field));
        }
        let end = memchr(b' ', text).unwrap_or(text.len());
        let (field, rest) = text.split_at_checked(end)?;
        self.text = rest;
        (!field.is_empty()).then_some(Field::Bare(field))
    }
}
