//! Lines of a stream of any length, in a buffer of fixed size.

use std::io::{self, Read};
use std::ops::Range;

use memchr::memchr;

/// Splits a stream into lines.
pub struct Lines<R> {
    source: R,
    buffer: Box<[u8]>,
    /// What of the buffer was read, but not handed out.
    pending: Range<usize>,
    /// Whether what is pending belongs to a line that was found too long.
    in_long_line: bool,
    bytes: u64,
}

/// A line without its end, or what is to be known of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Text<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// The beginning of one that is too long.
    TooLong(&'a [u8]),
    /// Some more of it passed by.
    Passing,
}

impl<R: Read> Lines<R> {
    /// The lines of this source.
    pub fn new(source: R) -> Self {
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Self { source, buffer, pending: 0..0, in_long_line: false, bytes: 0 }
    }

    /// How many bytes were read.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next line; none at the end.
    pub fn next(&mut self) -> io::Result<Option<Text<'_>>> {
        let mut searched = 0;
        loop {
            let Range { start, end } = self.pending;
            let unsearched = self.buffer.get(start + searched..end).unwrap_or_default();
            if let Some(place) = memchr(b'\n', unsearched) {
                let line_end = start + searched + place;
                self.pending.start = line_end + 1;
                return Ok(Some(self.hand_out(start..line_end, false)));
            }
            searched = end - start;
            if searched > LINE_BYTES_MAX {
                self.pending.start = end;
                return Ok(Some(self.hand_out(start..end, true)));
            }
            if self.fill()? == 0 {
                let last = std::mem::replace(&mut self.pending, 0..0);
                return Ok((!last.is_empty()).then(|| self.hand_out(last, false)));
            }
        }
    }

    /// Reads some more behind what is pending.
    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.pending.clone(), 0);
        self.pending = 0..self.pending.len();
        let free = self.buffer.get_mut(self.pending.end..).unwrap_or_default();
        let read = loop {
            match self.source.read(free) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.pending.end += read;
        self.bytes += read as u64;
        Ok(read)
    }

    fn hand_out(&mut self, line: Range<usize>, goes_on: bool) -> Text<'_> {
        let was_long = std::mem::replace(&mut self.in_long_line, goes_on);
        let line = self.buffer.get(line).unwrap_or_default();
        match line.len() {
            _ if was_long => Text::Passing,
            ..=LINE_BYTES_MAX => Text::Whole(line.strip_suffix(b"\r").unwrap_or(line)),
            _ => Text::TooLong(line),
        }
    }
}

/// A server lets a header have 8 KiB; three of them, and each byte written as four.
pub const LINE_BYTES_MAX: usize = 128 << 10;

const BUFFER_BYTES: usize = 2 * LINE_BYTES_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out so many bytes at a time.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let size = self.1.min(buffer.len());
            self.0.read(buffer.get_mut(..size).unwrap_or_default())
        }
    }

    /// Each line as its length and its first byte; a long one by `L`, and not what follows of it.
    fn lines(text: &[u8], drop: usize) -> io::Result<Vec<(usize, u8)>> {
        let mut lines = Lines::new(Drops(text, drop));
        let mut seen = Vec::new();
        while let Some(text) = lines.next()? {
            match text {
                Text::Whole(line) => seen.push((line.len(), line.first().copied().unwrap_or(0))),
                Text::TooLong(_) => seen.push((0, b'L')),
                Text::Passing => {}
            }
        }
        assert_eq!(lines.bytes(), text.len() as u64);
        Ok(seen)
    }

    #[test]
    fn lines_end_with_either_line_end_or_with_the_text() -> io::Result<()> {
        for drop in [1, 2, 3, 100] {
            assert_eq!(lines(b"ab\nc\r\n\nd", drop)?, [(2, b'a'), (1, b'c'), (0, 0), (1, b'd')]);
            assert_eq!(lines(b"ab\n", drop)?, [(2, b'a')]);
            assert_eq!(lines(b"", drop)?, []);
        }
        Ok(())
    }

    #[test]
    fn a_line_that_is_too_long_is_found_once_and_passes() -> io::Result<()> {
        for length in [LINE_BYTES_MAX + 1, BUFFER_BYTES, 5 * BUFFER_BYTES + 7] {
            let text = [b"a\n", "x".repeat(length).as_bytes(), b"\nb\n"].concat();
            for drop in [999, 1 << 20] {
                assert_eq!(lines(&text, drop)?, [(1, b'a'), (0, b'L'), (1, b'b')], "{length}");
            }
        }
        let longest = "x".repeat(LINE_BYTES_MAX);
        assert_eq!(lines(longest.as_bytes(), 999)?, [(LINE_BYTES_MAX, b'x')]);
        Ok(())
    }

    #[test]
    fn an_endless_line_passes_piece_by_piece() -> io::Result<()> {
        let mut lines = Lines::new(io::repeat(b'x'));
        assert!(matches!(lines.next()?, Some(Text::TooLong(_))));
        assert_eq!(lines.next()?, Some(Text::Passing));
        assert_eq!(lines.next()?, Some(Text::Passing));
        Ok(())
    }
}
