//! A small disk in memory, really full when it is filled.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use super::sys;

/// A small disk in memory, and a file that fills it.
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    pub fn new(options: &str) -> Self {
        sys::private_mounts();
        let directory = tempfile::tempdir().unwrap();
        sys::mount_tmpfs(directory.path(), options);
        Self(directory)
    }

    pub fn directory(&self) -> &Path {
        self.0.path()
    }

    pub fn fill(&self) {
        let mut ballast =
            File::options().create(true).append(true).open(self.0.path().join("ballast")).unwrap();
        while ballast.write_all(&[0; 4_096]).is_ok() {}
    }

    pub fn free(&self) {
        fs::remove_file(self.0.path().join("ballast")).unwrap();
    }
}
