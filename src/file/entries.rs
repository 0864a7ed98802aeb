//! What lies in the directories of a store, one entry after the other.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, DirEntry, FileType};

use super::gate::GATE;
use super::layout::parse_name;
use super::room::{Room, Spot};
use crate::error::IoError;
use crate::root::{COPIES, QUARANTINE};
use crate::seams::{self, OpenMode, irregular};
use crate::store_toml;

/// All entries of a store, directory by directory.
///
/// One directory is listed at a time, so it needs no memory for their number. What is created or
/// removed meanwhile is met or not.
pub(super) struct Entries {
    /// The directories it is in, from the root down.
    path: Vec<Directory>,
}

struct Directory {
    path: PathBuf,
    handle: File,
    list: List,
}

type List = Box<dyn Iterator<Item = rustix::io::Result<DirEntry>> + Send>;

/// What was met.
pub(super) enum Entry<'a> {
    /// A directory of the layout, before what is in it.
    Directory { path: &'a Path, handle: &'a File },
    /// What bears the name of a session in the directory where that belongs.
    Session { at: Spot, inode: u64, directory: &'a File },
    /// What bears the name of that session's growth.
    Growth { at: Spot },
    /// What does not belong here.
    Foreign { path: PathBuf, what: &'static str },
    /// A directory that cannot be listed, or not to its end.
    Unlisted(IoError),
}

/// What a name stands for.
enum Name {
    /// A directory of the layout.
    Below(PathBuf),
    Session(Spot, u64),
    Growth(Spot),
    /// What the store keeps beside its sessions.
    Kept,
    Foreign(PathBuf, &'static str),
}

impl Entries {
    /// Before the root.
    pub(super) fn new(room: &Room) -> Result<Self, IoError> {
        let root = Directory::open(room, PathBuf::new());
        let root = root.map_err(room.io_error("list", Path::new("")))?;
        Ok(Self { path: vec![root] })
    }

    /// The same from a directory on that is another each time. So many short-lived processes that
    /// look at a few sessions each get everywhere.
    pub(super) fn from_anywhere(room: &Room) -> Result<Self, IoError> {
        let mut entries = Self::new(room)?;
        let is_spread = room.layout.levels > 0;
        if let Some(root) = entries.path.first_mut()
            && is_spread
            && let Ok(random) = seams::random(&*room.entropy)
        {
            root.rotate(random);
        }
        Ok(entries)
    }

    /// The next entry; `None` at the end.
    pub(super) fn next(&mut self, room: &Room) -> Option<Entry<'_>> {
        loop {
            let level = u8::try_from(self.path.len()).unwrap_or(u8::MAX).saturating_sub(1);
            let directory = self.path.last_mut()?;
            let name = match directory.list.next() {
                Some(Ok(entry)) => directory.classify(room, level, &entry),
                ended => {
                    let Directory { path, .. } = self.path.pop()?;
                    let Some(Err(error)) = ended else { continue };
                    return Some(Entry::Unlisted(room.io_error("list", &path)(error.into())));
                }
            };
            match name {
                Name::Kept => {}
                Name::Growth(at) => return Some(Entry::Growth { at }),
                Name::Foreign(path, what) => return Some(Entry::Foreign { path, what }),
                Name::Session(at, inode) => {
                    let directory = &self.path.last()?.handle;
                    return Some(Entry::Session { at, inode, directory });
                }
                Name::Below(path) => match Directory::open(room, path.clone()) {
                    Ok(below) => {
                        self.path.push(below);
                        let Directory { path, handle, .. } = self.path.last()?;
                        return Some(Entry::Directory { path, handle });
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => {
                        return Some(Entry::Unlisted(room.io_error("list", &path)(error)));
                    }
                },
            }
        }
    }
}

impl Directory {
    fn open(room: &Room, path: PathBuf) -> io::Result<Self> {
        let place = if path.as_os_str().is_empty() { Path::new(".") } else { &path };
        let handle = room.open(place, OpenMode::Directory)?;
        let list: Dir = room.fs.list(&handle)?;
        Ok(Self { path, handle, list: Box::new(list) })
    }

    /// Begins with another entry. An error stays at the end.
    fn rotate(&mut self, number: u64) {
        let (mut listed, failed): (Vec<_>, Vec<_>) = self.list.by_ref().partition(Result::is_ok);
        let first = usize::try_from(number % (listed.len() as u64).max(1)).unwrap_or(0);
        listed.rotate_left(first);
        self.list = Box::new(listed.into_iter().chain(failed));
    }

    /// What this name stands for, so many levels below the root.
    fn classify(&self, room: &Room, level: u8, entry: &DirEntry) -> Name {
        let (name, file_type) = (entry.file_name(), entry.file_type());
        let Ok(name) = name.to_str() else {
            let path = self.path.join(name.to_string_lossy().as_ref());
            return Name::Foreign(path, "a name that this store does not give");
        };
        if name == "." || name == ".." {
            return Name::Kept;
        }
        let deepest = level == room.layout.levels;
        if let Some((key, grown)) = parse_name(name) {
            let at = room.spot(&key);
            return if !deepest || at.path.directory() != self.path {
                Name::Foreign(self.path.join(name), "a session file in another one's directory")
            } else if grown {
                Name::Growth(at)
            } else {
                Name::Session(at, entry.ino())
            };
        }
        let path = self.path.join(name);
        let a_directory = matches!(file_type, FileType::Directory | FileType::Unknown);
        if a_directory && room.layout.is_prefix(name, level) {
            return Name::Below(path);
        }
        if level == 0 && (store_toml::is_ours(name) || [GATE, QUARANTINE, COPIES].contains(&name)) {
            return Name::Kept;
        }
        Name::Foreign(path, irregular(file_type).unwrap_or("a file that is no session"))
    }
}
