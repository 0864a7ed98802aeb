//! The kernel's list of locks, which needs no cooperation of those who hold them.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;

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
    /// The locks that are listed now; each held one followed by those who wait for it.
    ///
    /// The list comes in pieces, by the number of the line, and moves between them while others
    /// lock and unlock. So the pieces overlap: a line may come twice, and if the overlap is not found
    /// again, lines may be missing, and the list is read anew.
    pub(super) fn list() -> io::Result<Vec<Self>> {
        let mut list = List::read()?;
        for _ in 1..LISTS {
            if list.unbroken {
                break;
            }
            list = List::read()?;
        }
        Ok(list.locks)
    }

    /// `1: FLOCK  ADVISORY  WRITE 4711 fe:00:123 0 EOF`; what waits for it follows with `->` behind
    /// the number. Other kinds of locks are not ours.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_whitespace().skip(1).peekable();
        let waits = fields.next_if_eq(&WAITS).is_some();
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

struct List {
    locks: Vec<KernelLock>,
    /// Whether each piece begins with what the one before ended with.
    unbroken: bool,
}

impl List {
    fn read() -> io::Result<Self> {
        let file = File::open(LOCKS)?;
        let mut list = Self { locks: Vec::new(), unbroken: true };
        let (mut offset, mut buffer) = (0, vec![0; PIECE_MAX]);
        let (mut overlaps, mut before) = (false, Vec::new());
        loop {
            let count = file.read_at(&mut buffer, offset)?;
            let bytes = buffer.get(..count).unwrap_or_default();
            let piece = Self::whole_groups(bytes, overlaps);
            let again = before.iter().filter(|lock| piece.contains(lock)).count();
            list.unbroken &= 2 * again >= before.len();
            if count == 0 {
                return Ok(list);
            }
            overlaps = count > OVERLAP;
            let advance = if overlaps { count - OVERLAP } else { count };
            before = Self::whole_groups(bytes.get(advance..).unwrap_or_default(), true);
            offset += advance as u64;
            list.locks.extend(piece);
        }
    }

    /// The locks in a piece of the list. One that starts anywhere may start within a line, and behind
    /// the lock that the next lines wait for.
    fn whole_groups(piece: &[u8], starts_anywhere: bool) -> Vec<KernelLock> {
        let piece = String::from_utf8_lossy(piece);
        let lines = piece.lines().skip(usize::from(starts_anywhere));
        let lines = lines.skip_while(|line| starts_anywhere && line.contains(WAITS));
        lines.filter_map(KernelLock::parse).collect()
    }
}

/// The list of locks.
pub(super) const LOCKS: &str = "/proc/locks";
const WAITS: &str = "->";

/// How often the list is read until it is unbroken.
const LISTS: usize = 16;

/// Bytes of the list that are read again with the next piece: some 35 lines.
const OVERLAP: usize = 2_048;

/// The kernel gives a page at a time, or more if more wait for one lock.
const PIECE_MAX: usize = 1 << 20;

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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_list_says_who_holds_what_and_who_waits() {
        let file = FileNumber { device: (0xfe, 0x10), inode: 123 };
        let held = KernelLock {
            kind: LockKind::Flock,
            file,
            waits: false,
            exclusive: true,
            pid: Some(4711),
            start: 0,
        };
        let lines = [
            ("1: FLOCK  ADVISORY  WRITE 4711 fe:10:123 0 EOF", held),
            (
                "1: -> FLOCK  ADVISORY  READ  9 fe:10:123 0 EOF",
                KernelLock { waits: true, exclusive: false, pid: Some(9), ..held },
            ),
            // A waiter behind a waiter is indented.
            (
                "1:   -> OFDLCK ADVISORY  WRITE -1 fe:10:123 4611686018427387904 4611686018427387904",
                {
                    KernelLock {
                        kind: LockKind::Range,
                        waits: true,
                        pid: None,
                        start: 1 << 62,
                        ..held
                    }
                },
            ),
        ];
        for (line, lock) in lines {
            assert_eq!(KernelLock::parse(line), Some(lock), "{line}");
        }
    }

    #[test]
    fn a_line_that_is_none_of_ours_or_makes_no_sense_is_left_out() {
        for line in [
            "",
            "1:",
            "1: ->",
            "1: POSIX  ADVISORY  WRITE 4711 fe:00:123 0 EOF",
            "1: LEASE  ACTIVE    READ  4711 fe:00:123 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 4711",
            "1: FLOCK  ADVISORY  WRITE 4711 <none>:0 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 4711 fe:00:x 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 4711 fe:zz:1 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 4711 fe:00:123 EOF",
        ] {
            assert_eq!(KernelLock::parse(line), None, "{line}");
        }
    }

    #[test]
    fn the_kernel_lists_a_lock_under_the_device_that_is_found_for_its_file() {
        let file = tempfile::tempfile().unwrap();
        file.lock().unwrap();
        let descriptor = u32::try_from(file.as_raw_fd()).unwrap();
        let locks = super::super::processes::locks_of(std::process::id(), descriptor);
        assert_eq!(locks.len(), 1);
        assert_eq!(locks.first().map(|lock| lock.file.device), device(&file));
    }
}
