//! Checks that text is UTF-8 as it passes by, so that an error can name the place: the JSON
//! parser skips over what it is not asked for without a look.

use std::io::{self, Read};

/// Passes on the bytes of a text, without a byte order mark, and fails at the first that is not
/// UTF-8.
pub struct Utf8Reader<R> {
    source: R,
    /// How many bytes came before those in `pending`.
    passed: u64,
    /// The beginning of a character whose end has not come yet; at most three bytes.
    pending: Vec<u8>,
    at_start: bool,
}

impl<R: Read> Utf8Reader<R> {
    /// Checks this source.
    pub const fn new(source: R) -> Self {
        Self { source, passed: 0, pending: Vec::new(), at_start: true }
    }

    /// Checks `bytes`, which follow those that are pending.
    fn check(&mut self, bytes: &[u8]) -> io::Result<()> {
        let joined;
        let text = if self.pending.is_empty() {
            bytes
        } else {
            joined = [self.pending.as_slice(), bytes].concat();
            &joined
        };
        let (valid, rest) = match std::str::from_utf8(text) {
            Ok(_) => (text.len(), &[][..]),
            Err(error) if error.error_len().is_none() => {
                (error.valid_up_to(), text.get(error.valid_up_to()..).unwrap_or_default())
            }
            Err(error) => return Err(self.not_utf8(error.valid_up_to())),
        };
        let pending = rest.to_vec();
        self.passed += valid as u64;
        self.pending = pending;
        Ok(())
    }

    fn not_utf8(&self, valid: usize) -> io::Error {
        let place = self.passed + valid as u64;
        let text = format!("it is not UTF-8 text, as byte {place} shows (the first is 0)");
        io::Error::new(io::ErrorKind::InvalidData, text)
    }

    /// Reads the first bytes, without a byte order mark.
    fn start(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut first = Vec::new();
        self.source.by_ref().take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut first)?;
        if first == BYTE_ORDER_MARK {
            self.passed = first.len() as u64;
            return self.source.read(buffer);
        }
        match buffer.get_mut(..first.len()) {
            Some(start) => start.copy_from_slice(&first),
            None => return Err(io::Error::other("the buffer is too small")),
        }
        Ok(first.len())
    }
}

impl<R: Read> Read for Utf8Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = if std::mem::take(&mut self.at_start) {
            self.start(buffer)?
        } else {
            self.source.read(buffer)?
        };
        let bytes = buffer.get(..read).unwrap_or_default();
        self.check(bytes)?;
        if read == 0 && !self.pending.is_empty() {
            return Err(self.not_utf8(0));
        }
        Ok(read)
    }
}

const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out few bytes at a time, so that characters are torn.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let size = self.1.min(buffer.len());
            self.0.read(buffer.get_mut(..size).unwrap_or_default())
        }
    }

    fn read(bytes: &[u8], size: usize) -> Result<String, String> {
        let mut text = String::new();
        let mut reader = Utf8Reader::new(Drops(bytes, size));
        reader.read_to_string(&mut text).map_err(|error| error.to_string())?;
        Ok(text)
    }

    #[test]
    fn text_passes_however_its_characters_are_torn() {
        for size in 1..9 {
            let text = "a€😀ü";
            assert_eq!(read(text.as_bytes(), size).as_deref(), Ok(text));
            let marked = format!("\u{feff}{text}");
            assert_eq!(read(marked.as_bytes(), size).as_deref(), Ok(text));
        }
    }

    #[test]
    fn the_place_of_the_first_wrong_byte_is_named() {
        for size in 1..9 {
            let wrong = read(b"abcdef\xffgh", size);
            assert!(wrong.is_err_and(|e| e.contains("byte 6 ")), "{size} at a time");
            let torn = read("abc€".as_bytes().get(..5).unwrap_or_default(), size);
            assert!(torn.is_err_and(|e| e.contains("byte 3 ")), "{size} at a time");
        }
    }
}
