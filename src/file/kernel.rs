//! The kernel's list of locks, which needs no cooperation of those who hold them.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

/// A lock that the kernel lists, or a wait for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KernelLock {
    pub(super) kind: LockKind,
    pub(super) file: FileNumber,
    /// Whether it is waited for and not held.
    pub(super) waits: bool,
    pub(super) exclusive: bool,
    /// Who took it or waits for it; `None`: the kernel does not say.
    pub(super) pid: Option<u32>,
    /// The first byte of the range.
    pub(super) start: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LockKind {
    /// `flock`, of a whole file.
    Flock,
    /// A range of bytes, of an open file description.
    Range,
}

/// The number that the kernel knows a file by: the device of its file system, and its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileNumber {
    pub(super) device: (u32, u32),
    pub(super) inode: u64,
}

impl KernelLock {
    /// The locks that are listed now.
    ///
    /// The list comes in pieces, and moves between them while others lock and unlock: a line may
    /// be missed, or come twice.
    pub(super) fn list() -> io::Result<Vec<Self>> {
        let text = std::fs::read_to_string(LOCKS)?;
        Ok(text.lines().filter_map(Self::parse).collect())
    }

    /// `1: FLOCK  ADVISORY  WRITE 4711 fe:00:123 0 EOF`; what waits for it follows with `->` behind
    /// the number. Other kinds of locks are not ours.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_whitespace().skip(1).peekable();
        let waits = fields.next_if_eq(&"->").is_some();
        let kind = match fields.next()? {
            "FLOCK" => LockKind::Flock,
            "OFDLCK" => LockKind::Range,
            _ => return None,
        };
        let exclusive = fields.nth(1)? == "WRITE";
        let pid = fields.next()?.parse().ok();
        let mut file = fields.next()?.splitn(3, ':');
        let mut device = || u32::from_str_radix(file.next()?, 16).ok();
        let device = (device()?, device()?);
        let file = FileNumber { device, inode: file.next()?.parse().ok()? };
        let start = fields.next()?.parse().ok()?;
        Some(Self { kind, file, waits, exclusive, pid, start })
    }
}

/// The list of locks.
pub(super) const LOCKS: &str = "/proc/locks";
const PROCESSES: &str = "/proc";

/// The device of the file system that `file` is on, as the kernel's list names it. A file's own
/// status may name another one: that of a btrfs subvolume, say.
pub(super) fn device(file: &File) -> Option<(u32, u32)> {
    let status = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
    let mount = status.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().to_owned();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    // `27 1 254:0 / / rw,relatime - ext4 /dev/vda rw`
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (id, device) = (fields.next()?, fields.nth(1)?);
        let (major, minor) = device.split_once(':')?;
        (id == mount).then_some((major.parse().ok()?, minor.parse().ok()?))
    })
}

/// The open files of a process: their descriptors and names.
pub(super) fn open_files(pid: u32) -> io::Result<Vec<(u32, PathBuf)>> {
    let descriptors = std::fs::read_dir(format!("{PROCESSES}/{pid}/fd"))?;
    let named = descriptors.filter_map(|entry| {
        let entry = entry.ok()?;
        let descriptor = entry.file_name().to_str()?.parse().ok()?;
        // One that was closed since has no name.
        Some((descriptor, std::fs::read_link(entry.path()).ok()?))
    });
    Ok(named.collect())
}

/// The locks of an open file of a process.
pub(super) fn locks_of(pid: u32, descriptor: u32) -> Vec<KernelLock> {
    let status = std::fs::read_to_string(format!("{PROCESSES}/{pid}/fdinfo/{descriptor}"));
    let status = status.unwrap_or_default();
    let lines = status.lines().filter_map(|line| line.strip_prefix("lock:"));
    lines.filter_map(KernelLock::parse).collect()
}

/// All processes that this one can see.
pub(super) fn processes() -> Vec<u32> {
    let entries = std::fs::read_dir(PROCESSES).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
