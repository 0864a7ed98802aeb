//! What other processes have open, as far as this one may know.

use std::io;
use std::path::PathBuf;

use super::kernel::KernelLock;

/// What can be known of a process.
pub(super) enum Process {
    /// Its open files: their descriptors and names.
    Open(Vec<(u32, PathBuf)>),
    /// It is another user's.
    Hidden,
    Ended,
}

impl Process {
    pub(super) fn of(pid: u32) -> Self {
        let descriptors = match std::fs::read_dir(format!("{PROCESSES}/{pid}/fd")) {
            Ok(descriptors) => descriptors,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::Ended,
            Err(_) => return Self::Hidden,
        };
        let open: Vec<_> = descriptors
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let descriptor = entry.file_name().to_str()?.parse().ok()?;
                // One that was closed since has no name.
                Some((descriptor, std::fs::read_link(entry.path()).ok()?))
            })
            .collect();
        // One that ended and was not waited for has none.
        if open.is_empty() { Self::Ended } else { Self::Open(open) }
    }

    /// All that this one can see.
    pub(super) fn all() -> Vec<u32> {
        let entries = std::fs::read_dir(PROCESSES).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }
}

/// The locks of an open file of a process.
pub(super) fn locks_of(pid: u32, descriptor: u32) -> Vec<KernelLock> {
    let status = std::fs::read_to_string(format!("{PROCESSES}/{pid}/fdinfo/{descriptor}"));
    let status = status.unwrap_or_default();
    let lines = status.lines().filter_map(|line| line.strip_prefix("lock:"));
    lines.filter_map(KernelLock::parse).collect()
}

const PROCESSES: &str = "/proc";
