//! What must not outlive the command: its processes, its temporary directories, and its sessions in
//! a store of the user. They go when their owner is dropped. At Ctrl-C all go at once, unless there
//! are sessions to remove: then everybody is asked to stop, and gets a while to do it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{self, Child, ExitCode, ExitStatus};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::CliError;
use crate::progress;
use crate::report::output;

/// Cleans up at Ctrl-C, a hang-up and a polite kill, and ends with the status by which shells know
/// the signal. A second one ends at once.
pub fn install() -> Result<(), CliError> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).map_err(CliError::Signals)?;
    let watch = move || {
        for signal in signals.forever() {
            let asked_before = SIGNAL.swap(signal, Ordering::Relaxed) != 0;
            let mut leftovers = leftovers();
            if let Some(call) = leftovers.call.take() {
                call();
            }
            if asked_before || leftovers.unfinished == 0 {
                end_now(leftovers, signal);
            }
            drop(leftovers);
            // Meanwhile this thread looks out for a second signal.
            if thread::Builder::new().spawn(move || end_when_finished(signal)).is_err() {
                end_now(self::leftovers(), signal);
            }
        }
    };
    thread::Builder::new().spawn(watch).map_err(CliError::Signals)?;
    Ok(())
}

/// Asks everybody to stop, and ends the process if they do not in time. For a worker whose parent
/// is gone.
pub fn stop_and_end(status: i32) -> ! {
    SIGNAL.store(SIGHUP, Ordering::Relaxed);
    thread::sleep(GRACE);
    process::exit(status);
}

/// Whether everybody is asked to stop.
pub fn is_requested() -> bool {
    // Relaxed: it stands for itself, and to see it a little later does no harm.
    SIGNAL.load(Ordering::Relaxed) != 0
}

/// Fails if everybody is asked to stop.
pub fn check() -> Result<(), CliError> {
    if is_requested() { Err(CliError::Interrupted) } else { Ok(()) }
}

/// Has this called once everybody is asked to stop, for who waits for something else than time. It must be
/// short, and not use this module.
#[cfg(feature = "serve")]
pub fn at_request(call: impl FnOnce() + Send + 'static) {
    let mut leftovers = leftovers();
    if is_requested() {
        call();
    } else {
        leftovers.call = Some(Box::new(call));
    }
}

/// The exit status, if everybody was asked to stop.
pub fn status() -> Option<ExitCode> {
    let signal = SIGNAL.load(Ordering::Relaxed);
    (signal != 0).then(|| ExitCode::from(u8::try_from(SIGNALLED + signal).unwrap_or(1)))
}

/// Somebody who cleans up when it is dropped, and looks at [`is_requested`] often enough.
pub struct Unfinished(());

impl Unfinished {
    /// One more of them.
    pub fn new() -> Self {
        leftovers().unfinished += 1;
        Self(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        leftovers().unfinished -= 1;
        FINISHED.notify_all();
    }
}

fn end_when_finished(signal: i32) {
    let busy = |leftovers: &mut Leftovers| leftovers.unfinished > 0;
    let waited = FINISHED.wait_timeout_while(leftovers(), GRACE, busy);
    let (leftovers, waited) = waited.unwrap_or_else(PoisonError::into_inner);
    if waited.timed_out() {
        output::complain("warning: sessions of this run are left; they expire within a day");
    }
    end_now(leftovers, signal);
}

/// Nobody else can make or remove anything while this holds the lock.
fn end_now(mut leftovers: MutexGuard<'_, Leftovers>, signal: i32) -> ! {
    for child in &mut leftovers.children {
        end(child);
    }
    for directory in &leftovers.directories {
        remove(directory);
    }
    progress::clear();
    if let Some(line) = &leftovers.last_words {
        output::complain(line);
    }
    process::exit(SIGNALLED + signal);
}

/// Does a short work that an interrupt waits for, because half of it must not be left behind.
pub fn undisturbed<T>(work: impl FnOnce() -> T) -> T {
    let _leftovers = leftovers();
    work()
}

/// Has this said should the command be interrupted.
pub fn at_end_say(line: &str) {
    leftovers().last_words = Some(line.to_owned());
}

/// A process of this command. Dropping it ends the process.
pub struct Ward {
    /// Its number.
    pub pid: u32,
}

impl Ward {
    /// Takes care of this process.
    pub fn new(child: Child) -> Self {
        let pid = child.id();
        leftovers().children.push(child);
        Self { pid }
    }

    /// Waits for its end, which must be near.
    pub fn wait(&self) -> io::Result<ExitStatus> {
        match leftovers().children.iter_mut().find(|child| child.id() == self.pid) {
            Some(child) => child.wait(),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Drop for Ward {
    fn drop(&mut self) {
        leftovers().children.retain_mut(|child| {
            let mine = child.id() == self.pid;
            if mine {
                end(child);
            }
            !mine
        });
    }
}

/// A directory that is removed with all that is in it.
pub struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    /// Makes one where the system wants them.
    pub fn new() -> Result<Self, CliError> {
        // The lock is held so that an interrupt between the two steps leaves nothing behind.
        let mut leftovers = leftovers();
        let directory = tempfile::Builder::new()
            .prefix("cloakroom-")
            .tempdir()
            .map_err(CliError::TemporaryDirectory)?
            .keep();
        leftovers.directories.push(directory.clone());
        Ok(Self(directory))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let mut leftovers = leftovers();
        remove(&self.0);
        leftovers.directories.retain(|directory| *directory != self.0);
    }
}

/// All that is to be cleaned up.
struct Leftovers {
    children: Vec<Child>,
    directories: Vec<PathBuf>,
    unfinished: usize,
    last_words: Option<String>,
    call: Option<Box<dyn FnOnce() + Send>>,
}

static LEFTOVERS: Mutex<Leftovers> = Mutex::new(Leftovers {
    children: Vec::new(),
    directories: Vec::new(),
    unfinished: 0,
    last_words: None,
    call: None,
});

/// Told when an unfinished one is finished.
static FINISHED: Condvar = Condvar::new();

/// The signal that came; 0: none.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

fn leftovers() -> MutexGuard<'static, Leftovers> {
    LEFTOVERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end(child: &mut Child) {
    // Both fail only if the process has ended already, which is what is wanted.
    let _ = child.kill();
    let _ = child.wait();
}

fn remove(directory: &Path) {
    // Threads of this process may still be creating files in it when an interrupt comes.
    for _ in 0..REMOVE_TRIES {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            _ => return,
        }
    }
}

const REMOVE_TRIES: usize = 100;

/// Longer than it takes to remove many sessions, and not too long for who waits for a prompt.
const GRACE: Duration = Duration::from_secs(10);

/// What shells add to the number of a signal.
const SIGNALLED: i32 = 128;
