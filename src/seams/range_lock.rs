//! Locks on one byte of a file that belong to the open file description, not to the process.
//!
//! No safe wrapper among the dependencies offers them; the classic process-wide locks will not do:
//! closing any descriptor of the file drops those.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

pub(super) fn try_lock(file: &File, offset: u64) -> io::Result<bool> {
    match fcntl(file, libc::F_OFD_SETLK, libc::F_WRLCK, offset) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

pub(super) fn lock(file: &File, offset: u64) -> io::Result<()> {
    loop {
        match fcntl(file, libc::F_OFD_SETLKW, libc::F_WRLCK, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

pub(super) fn unlock(file: &File, offset: u64) -> io::Result<()> {
    fcntl(file, libc::F_OFD_SETLK, libc::F_UNLCK, offset)
}

fn fcntl(file: &File, command: i32, kind: i32, offset: u64) -> io::Result<()> {
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let range = libc::flock {
        l_type: libc::c_short::try_from(kind).map_err(invalid)?,
        l_whence: 0,
        l_start: libc::off_t::try_from(offset).map_err(invalid)?,
        l_len: 1,
        l_pid: 0,
    };
    // SAFETY: the descriptor is open as long as `file` is borrowed, and these commands read one
    // initialised `flock` structure, which outlives the call.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw const range) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
