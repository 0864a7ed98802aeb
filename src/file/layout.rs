//! Where the file of a session is.

use std::ffi::OsStr;
use std::fmt;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::error::StoreError;
use crate::id::{Key, hex};

/// How a store spreads its files over prefix directories: `levels` of them, each named by the next
/// `digits` hex digits of the key.
///
/// Keys are hashes, so the directories fill evenly whatever the ids look like. A directory appears
/// when its first session does.
///
/// # Examples
///
/// ```
/// use cloakroom::Layout;
///
/// assert_eq!(Layout::default().to_string(), "1 level of 2 digits");
/// assert_eq!(Layout::FLAT.directories(), 1);
/// assert_eq!(Layout { levels: 2, digits: 2 }.directories(), 65_536);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// 0 to 3.
    pub levels: u8,
    /// 1 to 4.
    pub digits: u8,
}

impl Default for Layout {
    /// One level of two digits: 256 directories.
    fn default() -> Self {
        Self { levels: 1, digits: 2 }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: u8| if count == 1 { "" } else { "s" };
        let Self { levels, digits } = *self;
        match levels {
            0 => f.write_str("flat"),
            _ => write!(f, "{levels} level{} of {digits} digit{}", plural(levels), plural(digits)),
        }
    }
}

impl Layout {
    /// All files in one directory.
    pub const FLAT: Self = Self { levels: 0, digits: 2 };

    /// How many directories it has when all have appeared.
    #[must_use]
    pub const fn directories(&self) -> u64 {
        1 << (4 * self.levels as u32 * self.digits as u32)
    }

    pub(super) const fn check(self) -> Result<(), StoreError> {
        match self {
            Self { levels: 0..=3, digits: 1..=4 } => Ok(()),
            _ => Err(StoreError::Setting {
                setting: "layout",
                reason: "must have 0 to 3 levels of 1 to 4 digits each",
            }),
        }
    }

    /// Where the file of `key` is, relative to the root.
    pub(super) fn path(self, key: &Key) -> SessionPath {
        let name = hex(key.as_bytes());
        let digits = usize::from(self.digits);
        let mut path = SessionPath { bytes: [0; PATH_MAX], length: 0 };
        for level in 0..usize::from(self.levels) {
            path.push(name.get(level * digits..(level + 1) * digits).unwrap_or(&[]));
            path.push(b"/");
        }
        path.push(&name);
        path
    }

    /// In which directory the file of `key` is, counted from 0 in the order of their names.
    pub(super) const fn shard(self, key: &Key) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = *key.as_bytes();
        let digits = self.levels as u32 * self.digits as u32;
        match u64::from_be_bytes([a, b, c, d, e, f, g, h]).checked_shr(64 - 4 * digits) {
            Some(shard) => shard,
            None => 0,
        }
    }

    /// Whether `path` is a directory of this layout, so many levels below the root.
    pub(super) fn is_prefix(self, name: &str, level: u8) -> bool {
        level < self.levels
            && name.len() == usize::from(self.digits)
            && name.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    }
}

/// The path of a session file. It is made for every request, so it is kept without an allocation.
#[derive(Clone)]
pub(super) struct SessionPath {
    bytes: [u8; PATH_MAX],
    length: usize,
}

impl SessionPath {
    fn push(&mut self, part: &[u8]) {
        let end = self.length + part.len();
        if let Some(place) = self.bytes.get_mut(self.length..end) {
            place.copy_from_slice(part);
            self.length = end;
        }
    }

    /// The directory it is in.
    pub(super) fn directory(&self) -> &Path {
        let end = self.length.saturating_sub(NAME + 1);
        OsStr::from_bytes(self.bytes.get(..end).unwrap_or_default()).as_ref()
    }

    /// Its name there.
    pub(super) fn name(&self) -> &Path {
        let start = self.length.saturating_sub(NAME);
        OsStr::from_bytes(self.bytes.get(start..self.length).unwrap_or_default()).as_ref()
    }
}

impl Deref for SessionPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        OsStr::from_bytes(self.bytes.get(..self.length).unwrap_or_default()).as_ref()
    }
}

/// Digits of a session file's name.
const NAME: usize = 64;

/// Three levels of four digits with their slashes, and the name.
const PATH_MAX: usize = 3 * (4 + 1) + NAME;

/// The name beside `path` under which a larger file is made.
pub(super) fn growth_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(GROWTH_SUFFIX);
    name.into()
}

/// The key of a session file's name; with a flag that it is a file in growth.
pub(super) fn parse_name(name: &str) -> Option<(Key, bool)> {
    match name.strip_suffix(GROWTH_SUFFIX) {
        Some(name) => Key::parse(name).map(|key| (key, true)),
        None => Key::parse(name).map(|key| (key, false)),
    }
}

const GROWTH_SUFFIX: &str = ".new";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SessionId;

    #[test]
    fn a_path_has_its_parts_and_its_directory_is_the_one_that_is_counted() {
        for (levels, digits) in [(0, 2), (1, 1), (1, 2), (1, 4), (2, 2), (3, 1), (3, 4)] {
            let layout = Layout { levels, digits };
            let key = Key::new("", &SessionId::from("any"));
            let path = layout.path(&key);
            assert_eq!(path.directory().join(path.name()), &*path, "{layout}");
            assert_eq!(path.name(), Path::new(&key.to_string()), "{layout}");
            let directory = path.directory().to_string_lossy().replace('/', "");
            let shard = u64::from_str_radix(&directory, 16).unwrap_or(0);
            assert_eq!(layout.shard(&key), shard, "{layout}");
            assert!(shard < layout.directories(), "{layout}");
        }
    }
}
