//! A tap in a store's road to the file system: it sees each call before it is made, and may let
//! it pass, fail it, cut it short, or only pretend to make it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cloakroom::seams::{FileStat, FileSystem, Flock, OpenMode, OsFileSystem};
use rustix::fs::Dir;

use super::sys;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    Open,
    ReadAt,
    WriteAt,
    SetSize,
    Allocate,
    Punch,
    Sync,
    SyncDirectory,
    Stat,
    StatPath,
    Rename,
    Link,
    Unlink,
    CreateDirectory,
    RemoveDirectory,
    List,
    TryLock,
    Lock,
    Unlock,
    TryLockByte,
    LockByte,
    UnlockByte,
}

/// One call on its way.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub method: Method,
    /// The file it is about, or the root that its path starts from.
    pub file: &'a File,
    pub path: Option<&'a Path>,
    pub to: Option<&'a Path>,
    pub mode: Option<OpenMode>,
    /// What is to be written.
    pub bytes: &'a [u8],
    /// How much is to be read at most.
    pub room: usize,
    /// Where; of `SetSize` how large.
    pub offset: u64,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Pass,
    /// It fails with this error number.
    Fail(i32),
    /// It reads or writes so many bytes at most.
    Short(usize),
    /// It reports success and does nothing.
    Pretend,
}

/// Somebody who listens at the tap.
pub trait Tap: Send + Sync + 'static {
    fn before(&self, call: &Call<'_>) -> Answer;

    /// After a call that passed; with what it opened.
    fn after(&self, call: &Call<'_>, done: &io::Result<Option<&File>>) {
        let _ = (call, done);
    }
}

/// A file system with a tap in it.
pub struct Tapped<T>(pub Arc<T>);

impl<T: Tap> Tapped<T> {
    fn tap<R>(
        &self,
        call: Call<'_>,
        pretended: impl FnOnce() -> R,
        make: impl FnOnce(Option<usize>) -> io::Result<R>,
    ) -> io::Result<R> {
        let limit = match self.0.before(&call) {
            Answer::Pass => None,
            Answer::Short(limit) => Some(limit),
            Answer::Fail(errno) => return Err(io::Error::from_raw_os_error(errno)),
            Answer::Pretend => return Ok(pretended()),
        };
        let done = make(limit);
        let told = match &done {
            Ok(_) => Ok(None),
            Err(error) => Err(io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(0))),
        };
        self.0.after(&call, &told);
        done
    }
}

fn on(method: Method, file: &File) -> Call<'_> {
    Call { method, file, path: None, to: None, mode: None, bytes: &[], room: 0, offset: 0 }
}

fn at<'a>(method: Method, root: &'a File, path: &'a Path) -> Call<'a> {
    Call { path: Some(path), ..on(method, root) }
}

impl<T: Tap> FileSystem for Tapped<T> {
    fn open(&self, root: &File, path: &Path, mode: OpenMode) -> io::Result<File> {
        let call = Call { mode: Some(mode), ..at(Method::Open, root, path) };
        match self.0.before(&call) {
            Answer::Fail(errno) => Err(io::Error::from_raw_os_error(errno)),
            _ => {
                let opened = OsFileSystem.open(root, path, mode);
                match &opened {
                    Ok(file) => self.0.after(&call, &Ok(Some(file))),
                    Err(error) => {
                        let errno = error.raw_os_error().unwrap_or(0);
                        self.0.after(&call, &Err(io::Error::from_raw_os_error(errno)));
                    }
                }
                opened
            }
        }
    }

    fn read_at(&self, file: &File, buffer: &mut Vec<u8>, offset: u64) -> io::Result<usize> {
        let room = buffer.capacity() - buffer.len();
        let call = Call { room, offset, ..on(Method::ReadAt, file) };
        self.tap(
            call,
            || 0,
            |limit| match limit {
                None => OsFileSystem.read_at(file, buffer, offset),
                Some(limit) => {
                    let limit = limit.min(room);
                    let mut part = Vec::with_capacity(limit);
                    let count = if part.capacity() == 0 {
                        0
                    } else {
                        OsFileSystem.read_at(file, &mut part, offset)?
                    };
                    part.truncate(limit);
                    buffer.extend_from_slice(&part);
                    Ok(count.min(limit))
                }
            },
        )
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let call = Call { bytes, offset, ..on(Method::WriteAt, file) };
        self.tap(
            call,
            || bytes.len(),
            |limit| {
                let limit = limit.unwrap_or(bytes.len()).min(bytes.len());
                OsFileSystem.write_at(file, bytes.get(..limit).unwrap_or(bytes), offset)
            },
        )
    }

    fn set_size(&self, file: &File, size: u64) -> io::Result<()> {
        let call = Call { offset: size, ..on(Method::SetSize, file) };
        self.tap(call, || (), |_| OsFileSystem.set_size(file, size))
    }

    fn allocate(&self, file: &File, offset: u64, length: u64) -> io::Result<()> {
        let call = Call { offset, ..on(Method::Allocate, file) };
        self.tap(call, || (), |_| OsFileSystem.allocate(file, offset, length))
    }

    fn punch(&self, file: &File, offset: u64, length: u64) -> io::Result<()> {
        let call = Call { offset, ..on(Method::Punch, file) };
        self.tap(call, || (), |_| OsFileSystem.punch(file, offset, length))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.tap(on(Method::Sync, file), || (), |_| OsFileSystem.sync(file))
    }

    fn sync_directory(&self, directory: &File) -> io::Result<()> {
        let call = on(Method::SyncDirectory, directory);
        self.tap(call, || (), |_| OsFileSystem.sync_directory(directory))
    }

    fn stat(&self, file: &File) -> io::Result<FileStat> {
        match self.0.before(&on(Method::Stat, file)) {
            Answer::Fail(errno) => Err(io::Error::from_raw_os_error(errno)),
            _ => OsFileSystem.stat(file),
        }
    }

    fn stat_path(&self, root: &File, path: &Path) -> io::Result<FileStat> {
        match self.0.before(&at(Method::StatPath, root, path)) {
            Answer::Fail(errno) => Err(io::Error::from_raw_os_error(errno)),
            _ => OsFileSystem.stat_path(root, path),
        }
    }

    fn rename(&self, root: &File, from: &Path, to: &Path) -> io::Result<()> {
        let call = Call { to: Some(to), ..at(Method::Rename, root, from) };
        self.tap(call, || (), |_| OsFileSystem.rename(root, from, to))
    }

    fn link(&self, root: &File, from: &Path, to: &Path) -> io::Result<()> {
        let call = Call { to: Some(to), ..at(Method::Link, root, from) };
        self.tap(call, || (), |_| OsFileSystem.link(root, from, to))
    }

    fn unlink(&self, root: &File, path: &Path) -> io::Result<()> {
        let call = at(Method::Unlink, root, path);
        self.tap(call, || (), |_| OsFileSystem.unlink(root, path))
    }

    fn create_directory(&self, root: &File, path: &Path) -> io::Result<()> {
        let call = at(Method::CreateDirectory, root, path);
        self.tap(call, || (), |_| OsFileSystem.create_directory(root, path))
    }

    fn remove_directory(&self, root: &File, path: &Path) -> io::Result<()> {
        let call = at(Method::RemoveDirectory, root, path);
        self.tap(call, || (), |_| OsFileSystem.remove_directory(root, path))
    }

    fn list(&self, directory: &File) -> io::Result<Dir> {
        match self.0.before(&on(Method::List, directory)) {
            Answer::Fail(errno) => Err(io::Error::from_raw_os_error(errno)),
            _ => OsFileSystem.list(directory),
        }
    }

    fn try_lock(&self, file: &File, lock: Flock) -> io::Result<bool> {
        let call = on(Method::TryLock, file);
        self.tap(call, || true, |_| OsFileSystem.try_lock(file, lock))
    }

    fn lock(&self, file: &File, lock: Flock) -> io::Result<()> {
        self.tap(on(Method::Lock, file), || (), |_| OsFileSystem.lock(file, lock))
    }

    fn unlock(&self, file: &File) -> io::Result<()> {
        self.tap(on(Method::Unlock, file), || (), |_| OsFileSystem.unlock(file))
    }

    fn try_lock_byte(&self, file: &File, offset: u64) -> io::Result<bool> {
        let call = Call { offset, ..on(Method::TryLockByte, file) };
        self.tap(call, || true, |_| OsFileSystem.try_lock_byte(file, offset))
    }

    fn lock_byte(&self, file: &File, offset: u64) -> io::Result<()> {
        let call = Call { offset, ..on(Method::LockByte, file) };
        self.tap(call, || (), |_| OsFileSystem.lock_byte(file, offset))
    }

    fn unlock_byte(&self, file: &File, offset: u64) -> io::Result<()> {
        let call = Call { offset, ..on(Method::UnlockByte, file) };
        self.tap(call, || (), |_| OsFileSystem.unlock_byte(file, offset))
    }
}

/// Kills this process at its k-th call of the file system.
pub struct Executioner {
    calls: AtomicU64,
    last: u64,
}

impl Executioner {
    pub fn at(step: u64) -> Self {
        Self { calls: AtomicU64::new(0), last: step }
    }
}

impl Tap for Executioner {
    fn before(&self, _: &Call<'_>) -> Answer {
        if self.calls.fetch_add(1, Ordering::Relaxed) + 1 == self.last {
            sys::die();
        }
        Answer::Pass
    }
}
