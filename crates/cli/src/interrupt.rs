//! What must not outlive the command: its processes and its temporary directories. They go when
//! their owner is dropped, and also at Ctrl-C, where nothing is dropped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{self, Child, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::CliError;
use crate::progress;

/// Cleans up at Ctrl-C, a hang-up and a polite kill, and ends with the status by which shells know
/// the signal.
pub fn install() -> Result<(), CliError> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).map_err(CliError::Signals)?;
    let watch = move || {
        if let Some(signal) = signals.forever().next() {
            let mut leftovers = leftovers();
            for child in &mut leftovers.children {
                end(child);
            }
            for directory in &leftovers.directories {
                remove(directory);
            }
            progress::clear();
            process::exit(SIGNALLED + signal);
        }
    };
    thread::Builder::new().spawn(watch).map_err(CliError::Signals)?;
    Ok(())
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
}

static LEFTOVERS: Mutex<Leftovers> =
    Mutex::new(Leftovers { children: Vec::new(), directories: Vec::new() });

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

/// What shells add to the number of a signal.
const SIGNALLED: i32 = 128;
