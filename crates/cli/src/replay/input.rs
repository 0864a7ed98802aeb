//! What is to be replayed: a file, standard input or the demo page, and by its first bytes whether
//! it is compressed and what it holds.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use thiserror::Error;

use super::ReplayError;

/// An opened input.
pub struct Input {
    /// What errors call it: its path.
    pub path: String,
    /// What reports call it: its name.
    pub name: String,
    /// What its text looks like.
    pub kind: Kind,
    /// Its text, unpacked.
    pub text: Box<dyn Read>,
    /// How much of it was taken, as stored.
    pub taken: Arc<AtomicU64>,
    /// How much there is, as stored; none if only the end will tell.
    pub size: Option<u64>,
}

/// What an input holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A JSON object: a page load, as a browser recorded it.
    Har,
    /// Anything else: the access log of a server.
    Log,
}

/// Why an input cannot be read.
#[derive(Debug, Error)]
pub enum InputError {
    /// The system says so.
    #[error("cannot be read: {0}")]
    Io(#[source] io::Error),
    /// Nothing in it.
    #[error("the file is empty")]
    Empty,
    /// It ends in the middle of the compressed data.
    #[error("the gzip data is cut off; copy or download the file again")]
    GzipCutOff,
    /// Compressed in another way.
    #[error("it is packed; unpack it, as in `{0} FILE | cloakroom replay -`")]
    Packed(&'static str),
    /// Text in another encoding.
    #[error("it is not UTF-8 text but UTF-16; save it as UTF-8")]
    Utf16,
}

impl Input {
    /// Refuses options that are given and make sense for the other kind only.
    pub fn refuse(&self, options: &[(&'static str, bool)]) -> Result<(), ReplayError> {
        match options.iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((option, _)) => Err(ReplayError::NotFor {
                option,
                path: self.path.clone(),
                whose: self.kind.other(),
            }),
        }
    }

    /// Opens a file; `-` is standard input, and none the demo page.
    pub fn open(file: Option<&Path>) -> Result<Self, ReplayError> {
        let (path, name) = match file {
            None => ("demo page".to_owned(), None),
            Some(file) if file == Path::new("-") => ("standard input".to_owned(), None),
            Some(file) => (file.display().to_string(), file.file_name()),
        };
        let name = name.map_or_else(|| path.clone(), |name| name.to_string_lossy().into_owned());
        let opened = Self::source(file).and_then(|(source, size)| {
            let taken = Arc::new(AtomicU64::new(0));
            let source = Counted { source, taken: Arc::clone(&taken) };
            let (kind, text) = recognize(source)?;
            Ok(Self { path: path.clone(), name, kind, text, taken, size })
        });
        opened.map_err(|reason| ReplayError::Input { path, reason })
    }

    fn source(file: Option<&Path>) -> Result<(Box<dyn Read>, Option<u64>), InputError> {
        Ok(match file {
            None => (Box::new(DEMO), None),
            Some(file) if file == Path::new("-") => (Box::new(io::stdin().lock()), None),
            Some(file) => {
                let file = File::open(file)?;
                let metadata = file.metadata()?;
                let size = metadata.is_file().then_some(metadata.len());
                (Box::new(file), size)
            }
        })
    }
}

impl Kind {
    /// What people call it.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Har => "a HAR recording",
            Self::Log => "an access log",
        }
    }

    /// What it is not.
    pub const fn other(self) -> Self {
        match self {
            Self::Har => Self::Log,
            Self::Log => Self::Har,
        }
    }
}

impl From<io::Error> for InputError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Only a decoder expects anything.
            io::ErrorKind::UnexpectedEof => Self::GzipCutOff,
            _ => Self::Io(error),
        }
    }
}

/// Counts what is read from a source.
struct Counted<R> {
    source: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        // Relaxed: only the progress bar looks at it.
        self.taken.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Looks at the beginning, and gives back the whole text.
fn recognize(mut source: impl Read + 'static) -> Result<(Kind, Box<dyn Read>), InputError> {
    let magic = peek(&mut source)?;
    if let Some((_, unpack)) = PACKED.iter().find(|(mark, _)| magic.starts_with(mark)) {
        return Err(InputError::Packed(unpack));
    }
    if magic.starts_with(&GZIP_MAGIC) {
        let mut text = MultiGzDecoder::new(BufReader::new(Cursor::new(magic).chain(source)));
        let beginning = peek(&mut text)?;
        return joined(beginning, text);
    }
    joined(magic, source)
}

fn peek(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut beginning = Vec::new();
    source.by_ref().take(PEEKED).read_to_end(&mut beginning)?;
    Ok(beginning)
}

fn joined(
    beginning: Vec<u8>,
    rest: impl Read + 'static,
) -> Result<(Kind, Box<dyn Read>), InputError> {
    let kind = kind_of(&beginning)?;
    let has_mark = beginning.starts_with(BYTE_ORDER_MARK);
    let mut beginning = Cursor::new(beginning);
    // The reader of recordings counts bytes, and takes the mark off itself.
    if has_mark && kind == Kind::Log {
        beginning.set_position(BYTE_ORDER_MARK.len() as u64);
    }
    Ok((kind, Box::new(beginning.chain(rest))))
}

fn kind_of(beginning: &[u8]) -> Result<Kind, InputError> {
    if beginning.starts_with(&[0xff, 0xfe]) || beginning.starts_with(&[0xfe, 0xff]) {
        return Err(InputError::Utf16);
    }
    let text = beginning.strip_prefix(BYTE_ORDER_MARK).unwrap_or(beginning);
    match text.trim_ascii_start().first() {
        None if (beginning.len() as u64) < PEEKED => Err(InputError::Empty),
        Some(b'{') => Ok(Kind::Har),
        _ => Ok(Kind::Log),
    }
}

/// Some programs begin UTF-8 text with it.
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// The recording of a small page of the project's own, for a first try.
const DEMO: &[u8] = include_bytes!("../../assets/demo.har");

/// How many bytes are looked at.
const PEEKED: u64 = 64;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What other packed files begin with, and what unpacks them.
const PACKED: [(&[u8], &str); 4] = [
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd -dc"),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0x00], "xz -dc"),
    (b"BZh", "bzip2 -dc"),
    (b"PK\x03\x04", "unzip -p"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &[u8]) -> Option<Kind> {
        kind_of(text).ok()
    }

    #[test]
    fn a_recording_begins_like_an_object_and_all_else_is_a_log() {
        assert_eq!(kind(b"{\"log\""), Some(Kind::Har));
        assert_eq!(kind(b"\xef\xbb\xbf \r\n\t{"), Some(Kind::Har));
        assert_eq!(kind(b"192.0.2.1 - - ["), Some(Kind::Log));
        assert_eq!(kind(b"\0"), Some(Kind::Log));
    }

    #[test]
    fn blanks_alone_are_nothing_unless_more_may_follow() {
        assert_eq!(kind(b""), None);
        assert_eq!(kind(b"\xef\xbb\xbf\n\n"), None);
        assert_eq!(kind(&[b' '; PEEKED as usize]), Some(Kind::Log));
    }
}
