//! The one road to the file system.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::Path;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;

use super::range_lock;

/// The one road to the file system. Every path is relative to the directory `root`, and no symbolic
/// link below it is followed.
///
/// Each method has the meaning and the errors of the system call it names; the provided bodies are
/// the real ones, so a test overrides just what it disturbs.
#[expect(clippy::missing_errors_doc, reason = "each method fails as its system call does")]
pub trait FileSystem: Send + Sync + 'static {
    /// Opens or creates a regular file, or opens a directory (`openat2`). Follows no symbolic
    /// link anywhere in `path`, waits for nothing, leaves nothing to child programs.
    fn open(&self, root: &File, path: &Path, mode: OpenMode) -> io::Result<File> {
        let flags = OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let flags = flags
            | match mode {
                // Nobody asks when a session was read, and to note it would write an inode for each read.
                OpenMode::Read => OFlags::RDONLY | OFlags::NOATIME,
                OpenMode::Write => OFlags::RDWR | OFlags::NOATIME,
                OpenMode::Create => OFlags::RDWR | OFlags::CREATE,
                OpenMode::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
                OpenMode::Directory => OFlags::RDONLY | OFlags::DIRECTORY,
            };
        let permissions = match mode {
            OpenMode::Create | OpenMode::CreateNew => Mode::RUSR | Mode::WUSR,
            _ => Mode::empty(),
        };
        Ok(open_without_links(root, path, flags, permissions)?.into())
    }

    /// Reads at `offset` into the spare capacity of `buffer` (`pread`); 0 at the end.
    fn read_at(&self, file: &File, buffer: &mut Vec<u8>, offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pread(file, rustix::buffer::spare_capacity(buffer), offset)?)
    }

    /// Writes at `offset` (`pwrite`), perhaps only a part.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pwrite(file, bytes, offset)?)
    }

    /// Sets a file's length; new bytes are zeros (`ftruncate`).
    fn set_size(&self, file: &File, size: u64) -> io::Result<()> {
        Ok(fs::ftruncate(file, size)?)
    }

    /// Gives a file room on the medium up to a length, so that writing there cannot fail for want of
    /// it (`fallocate`).
    fn allocate(&self, file: &File, offset: u64, length: u64) -> io::Result<()> {
        Ok(fs::fallocate(file, fs::FallocateFlags::empty(), offset, length)?)
    }

    /// Gives the room of a part of a file back; it reads as zeros then (`fallocate` with a hole).
    fn punch(&self, file: &File, offset: u64, length: u64) -> io::Result<()> {
        let flags = fs::FallocateFlags::PUNCH_HOLE | fs::FallocateFlags::KEEP_SIZE;
        Ok(fs::fallocate(file, flags, offset, length)?)
    }

    /// Brings a file's contents and length to the medium (`fdatasync`).
    fn sync(&self, file: &File) -> io::Result<()> {
        Ok(fs::fdatasync(file)?)
    }

    /// Brings a directory's entries to the medium (`fsync`).
    fn sync_directory(&self, directory: &File) -> io::Result<()> {
        Ok(fs::fsync(directory)?)
    }

    /// What an open file is and how many names it has (`statx`, without times: asking for them makes
    /// it measurably slower).
    fn stat(&self, file: &File) -> io::Result<FileStat> {
        Ok(fs::statx(file, "", AtFlags::EMPTY_PATH, STATX)?.into())
    }

    /// The same of a path, without opening it or following a link (`statx`).
    fn stat_path(&self, root: &File, path: &Path) -> io::Result<FileStat> {
        beside(root, path, |directory, name| {
            Ok(fs::statx(directory, name, AtFlags::SYMLINK_NOFOLLOW, STATX)?.into())
        })
    }

    /// Gives a file another name, over one that bears it already (`renameat`).
    fn rename(&self, root: &File, from: &Path, to: &Path) -> io::Result<()> {
        beside(root, from, |old, from| {
            beside(root, to, |new, to| Ok(fs::renameat(old, from, new, to)?))
        })
    }

    /// Gives a file a second name, unless that name is taken (`linkat`).
    fn link(&self, root: &File, from: &Path, to: &Path) -> io::Result<()> {
        beside(root, from, |old, from| {
            beside(root, to, |new, to| Ok(fs::linkat(old, from, new, to, AtFlags::empty())?))
        })
    }

    /// Takes a name away (`unlinkat`).
    fn unlink(&self, root: &File, path: &Path) -> io::Result<()> {
        beside(root, path, |directory, name| Ok(fs::unlinkat(directory, name, AtFlags::empty())?))
    }

    /// Takes an empty directory away (`unlinkat`).
    fn remove_directory(&self, root: &File, path: &Path) -> io::Result<()> {
        beside(root, path, |directory, name| Ok(fs::unlinkat(directory, name, AtFlags::REMOVEDIR)?))
    }

    /// Creates a directory with mode 0700 (`mkdirat`).
    fn create_directory(&self, root: &File, path: &Path) -> io::Result<()> {
        beside(root, path, |directory, name| Ok(fs::mkdirat(directory, name, Mode::RWXU)?))
    }

    /// Lists a directory, opened for this (`getdents`).
    fn list(&self, directory: &File) -> io::Result<fs::Dir> {
        Ok(fs::Dir::read_from(directory)?)
    }

    /// Takes an advisory lock if it is free (`flock`, not blocking).
    fn try_lock(&self, file: &File, lock: Flock) -> io::Result<bool> {
        // By path: std's inherent methods of the same names would shadow fs4's.
        let taken = match lock {
            Flock::Shared => fs4::FileExt::try_lock_shared(file),
            Flock::Exclusive => fs4::FileExt::try_lock(file),
        };
        match taken {
            Ok(()) => Ok(true),
            Err(fs4::TryLockError::WouldBlock) => Ok(false),
            Err(fs4::TryLockError::Error(error)) => Err(error),
        }
    }

    /// Waits for an advisory lock (`flock`).
    fn lock(&self, file: &File, lock: Flock) -> io::Result<()> {
        match lock {
            Flock::Shared => fs4::FileExt::lock_shared(file),
            Flock::Exclusive => fs4::FileExt::lock(file),
        }
    }

    /// Lets an advisory lock go (`flock`).
    fn unlock(&self, file: &File) -> io::Result<()> {
        fs4::FileExt::unlock(file)
    }

    /// Takes one byte of a file if it is free (`fcntl` with an open-file-description lock).
    fn try_lock_byte(&self, file: &File, offset: u64) -> io::Result<bool> {
        range_lock::try_lock(file, offset)
    }

    /// Waits for one byte of a file.
    fn lock_byte(&self, file: &File, offset: u64) -> io::Result<()> {
        range_lock::lock(file, offset)
    }

    /// Lets one byte of a file go.
    fn unlock_byte(&self, file: &File, offset: u64) -> io::Result<()> {
        range_lock::unlock(file, offset)
    }
}

/// What is asked of a file.
const STATX: StatxFlags = StatxFlags::TYPE
    .union(StatxFlags::MODE)
    .union(StatxFlags::UID)
    .union(StatxFlags::NLINK)
    .union(StatxFlags::SIZE)
    .union(StatxFlags::INO);

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsFileSystem;

impl FileSystem for OsFileSystem {}

/// Opens `path` through no symbolic link. Where a seccomp profile refuses `openat2`, only the last
/// component is protected.
fn open_without_links(
    root: &File,
    path: &Path,
    flags: OFlags,
    permissions: Mode,
) -> rustix::io::Result<OwnedFd> {
    let open = |flags| fs::openat2(root, path, flags, permissions, ResolveFlags::NO_SYMLINKS);
    let opened = match open(flags) {
        // Only a file's owner may leave its time of access alone.
        Err(Errno::PERM) if flags.contains(OFlags::NOATIME) => open(flags - OFlags::NOATIME),
        opened => opened,
    };
    match opened {
        Err(Errno::NOSYS | Errno::PERM) => {
            fs::openat(root, path, flags - OFlags::NOATIME, permissions)
        }
        opened => opened,
    }
}

/// Does `work` in the directory of `path`, reached through no symbolic link.
fn beside<T>(
    root: &File,
    path: &Path,
    work: impl FnOnce(BorrowedFd<'_>, &Path) -> io::Result<T>,
) -> io::Result<T> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    if parent.as_os_str().is_empty() {
        return work(root.as_fd(), name.as_ref());
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = open_without_links(root, parent, flags, Mode::empty())?;
    work(directory.as_fd(), name.as_ref())
}

/// Gives what was made below `root` to its owner, if that is somebody else: root who looks into a store
/// must not lock its program out. Where this is not allowed the owner has access some other way, or is told.
pub(crate) fn hand_over(root: &File, made: &File) -> io::Result<()> {
    let (root, now) = (root.metadata()?, made.metadata()?);
    if root.uid() != now.uid() {
        let _ = fchown(made, Some(root.uid()), Some(root.gid()));
    }
    Ok(())
}

/// Writes all of `bytes`, in as many writes as it takes.
pub(crate) fn write_all(
    fs: &dyn FileSystem,
    file: &File,
    mut bytes: &[u8],
    mut offset: u64,
) -> io::Result<()> {
    while !bytes.is_empty() {
        match fs.write_at(file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = bytes.get(count..).unwrap_or_default();
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Up to `limit` bytes at `offset`, in as many reads as it takes; fewer only at the file's end.
pub(crate) fn read(
    fs: &dyn FileSystem,
    file: &File,
    limit: usize,
    offset: u64,
) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(limit);
    while bytes.len() < limit {
        let at = offset + bytes.len() as u64;
        match fs.read_at(file, &mut bytes, at) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// A file that exists, to read.
    Read,
    /// A file that exists, to read and write.
    Write,
    /// A file to read and write, created with mode 0600 if it does not exist.
    Create,
    /// A file to read and write that must not exist yet.
    CreateNew,
    /// A directory, to list or sync.
    Directory,
}

/// An advisory lock of a whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flock {
    /// Held by any number of open files.
    Shared,
    /// Held by one.
    Exclusive,
}

/// What the file system knows of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// The device it is on: major and minor number.
    pub device: (u32, u32),
    /// Its number on the device.
    pub inode: u64,
    /// How many names it has.
    pub links: u32,
    /// Its size in bytes.
    pub size: u64,
    /// What it is, unless a regular file: `a directory`, say.
    pub irregular: Option<&'static str>,
    /// Who may do what with it: the lower 12 bits of its mode.
    pub permissions: u32,
    /// The number of the user it belongs to.
    pub owner: u32,
}

impl FileStat {
    /// Whether both are the same file.
    #[must_use]
    pub fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

impl From<fs::Statx> for FileStat {
    fn from(stat: fs::Statx) -> Self {
        Self {
            device: (stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            links: stat.stx_nlink,
            size: stat.stx_size,
            irregular: irregular(FileType::from_raw_mode(stat.stx_mode.into())),
            permissions: u32::from(stat.stx_mode) & 0o7777,
            owner: stat.stx_uid,
        }
    }
}

/// What a file of this type is, unless a regular one.
pub(crate) const fn irregular(file_type: FileType) -> Option<&'static str> {
    match file_type {
        FileType::RegularFile => None,
        FileType::Directory => Some("a directory"),
        FileType::Symlink => Some("a symbolic link"),
        FileType::Fifo => Some("a named pipe"),
        FileType::Socket => Some("a socket"),
        _ => Some("a device"),
    }
}
