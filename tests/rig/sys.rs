//! System calls that have no safe wrapper among the dependencies. For single-threaded child
//! processes of a test only.

#![allow(unsafe_code, reason = "fork, unshare, mount, umask and signals have no safe wrapper here")]

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Forks a child that does `work` and ends with the number it returns, or with 101 after a panic.
///
/// Only for a process whose other threads hold no lock that the child needs: one that
/// `child::alone` started, in which the test harness does nothing but wait.
pub fn fork(work: impl FnOnce() -> i32) -> i32 {
    // SAFETY: `fork` has no preconditions on memory; what the child may call is said above.
    match unsafe { libc::fork() } {
        0 => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            exit(done.unwrap_or(101))
        }
        pid if pid > 0 => pid,
        _ => panic!("fork: {}", io::Error::last_os_error()),
    }
}

/// Ends a forked child at once: no destructors, no exit handlers of the parent.
pub fn exit(code: i32) -> ! {
    // SAFETY: `_exit` takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// How a forked child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Exit(i32),
    Signal(i32),
}

/// Waits for a child's end.
pub fn wait_for(pid: i32) -> End {
    let mut status = 0;
    loop {
        // SAFETY: `status` is a live, writable integer for the duration of the call.
        if unsafe { libc::waitpid(pid, &raw mut status, 0) } == pid {
            break;
        }
        let error = io::Error::last_os_error();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted, "waitpid: {error}");
    }
    if libc::WIFEXITED(status) {
        End::Exit(libc::WEXITSTATUS(status))
    } else {
        End::Signal(libc::WTERMSIG(status))
    }
}

/// Waits until a child is stopped by a signal.
pub fn wait_for_stop(pid: i32) {
    let mut status = 0;
    // SAFETY: `status` is a live, writable integer for the duration of the call.
    let found = unsafe { libc::waitpid(pid, &raw mut status, libc::WUNTRACED) };
    assert!(found == pid && libc::WIFSTOPPED(status), "the child ended instead of stopping");
}

/// Waits until a child is stopped by a signal, or has ended well; whether it is stopped.
pub fn stops_or_ends(pid: i32) -> bool {
    let mut status = 0;
    // SAFETY: `status` is a live, writable integer for the duration of the call.
    let found = unsafe { libc::waitpid(pid, &raw mut status, libc::WUNTRACED) };
    let stopped = libc::WIFSTOPPED(status);
    assert!(found == pid && (stopped || status == 0 || libc::WIFEXITED(status)), "{status}");
    stopped
}

pub fn send(pid: i32, signal: i32) {
    // SAFETY: `kill` takes two numbers.
    let sent = unsafe { libc::kill(pid, signal) };
    assert_eq!(sent, 0, "kill {pid}: {}", io::Error::last_os_error());
}

/// Kills what is left of a process group, if anything is.
pub fn end_group(leader: u32) {
    let group = i32::try_from(leader).unwrap_or(0);
    assert!(group > 1, "no group of a child");
    // SAFETY: `kill` takes two numbers.
    unsafe { libc::kill(-group, libc::SIGKILL) };
}

/// Kills this process as `kill -9` does.
pub fn die() -> ! {
    send(std::process::id().try_into().unwrap_or(0), libc::SIGKILL);
    loop {
        std::hint::spin_loop();
    }
}

/// Has a signal end with an error number instead of the process.
pub fn ignore(signal: i32) {
    // SAFETY: `SIG_IGN` is a valid disposition and runs no code of this program.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// A limit of this process: its soft part.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// Descriptors.
    OpenFiles,
    /// Bytes of a file.
    FileSize,
    /// Bytes of memory.
    Memory,
}

impl Limit {
    /// Sets the limit; `None`: as high as it may be.
    pub fn set(self, to: Option<u64>) {
        let resource = match self {
            Self::OpenFiles => libc::RLIMIT_NOFILE,
            Self::FileSize => libc::RLIMIT_FSIZE,
            Self::Memory => libc::RLIMIT_AS,
        };
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `limit` is live and writable for the duration of the call.
        let got = unsafe { libc::getrlimit(resource, &raw mut limit) };
        limit.rlim_cur = to.unwrap_or(limit.rlim_max);
        // SAFETY: `limit` is live and initialised for the duration of the call.
        let set = unsafe { libc::setrlimit(resource, &raw const limit) };
        assert_eq!((got, set), (0, 0), "{self:?} {to:?}: {}", io::Error::last_os_error());
    }
}

/// Whether this process may do anything.
pub fn is_root() -> bool {
    // SAFETY: `geteuid` takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Sets the umask of this process.
pub fn umask(mask: u32) {
    // SAFETY: `umask` takes a number and cannot fail.
    unsafe { libc::umask(mask) };
}

/// Gives this thread mounts of its own. Needs root.
pub fn private_mounts() {
    // SAFETY: `unshare` takes flags; no memory is involved.
    let unshared = unsafe { libc::unshare(libc::CLONE_NEWNS) };
    assert_eq!(unshared, 0, "unshare: {}", io::Error::last_os_error());
    let root = c"/".as_ptr();
    let none = std::ptr::null();
    // SAFETY: `root` is a C string that lives for ever; null is allowed for the rest.
    let private =
        unsafe { libc::mount(none, root, none, libc::MS_REC | libc::MS_PRIVATE, none.cast()) };
    assert_eq!(private, 0, "make mounts private: {}", io::Error::last_os_error());
}

/// Mounts a tmpfs with these options on a directory.
pub fn mount_tmpfs(place: &Path, options: &str) {
    let place = CString::new(place.as_os_str().as_bytes()).unwrap_or_default();
    let options = CString::new(options).unwrap_or_default();
    let kind = c"tmpfs".as_ptr();
    // SAFETY: all four pointers lead to C strings that outlive the call.
    let mounted = unsafe { libc::mount(kind, place.as_ptr(), kind, 0, options.as_ptr().cast()) };
    assert_eq!(mounted, 0, "mount: {}", io::Error::last_os_error());
}

/// Cuts the power of the ext4 file system that a directory is on: nothing more comes to its medium, not
/// even the journal. Needs root.
pub fn cut_power(place: &Path) {
    /// `EXT4_IOC_SHUTDOWN` is `_IOR('X', 125, u32)`.
    const SHUTDOWN: libc::c_ulong = 2 << 30 | 4 << 16 | 0x58 << 8 | 125;
    let no_log_flush: u32 = 2;
    let directory = std::fs::File::open(place).unwrap();
    // SAFETY: the call reads one live number.
    let cut = unsafe {
        libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(&directory), SHUTDOWN, &raw const no_log_flush)
    };
    assert_eq!(cut, 0, "shut down {}: {}", place.display(), io::Error::last_os_error());
}
