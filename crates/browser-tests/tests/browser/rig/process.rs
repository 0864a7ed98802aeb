//! A child process that does not outlive its owner.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

/// Leads a process group, which is killed as a whole: a driver's browser goes with the driver.
pub struct Process {
    child: Child,
    // Kept open: who writes to a closed pipe is killed by it.
    stdout: BufReader<ChildStdout>,
    // After the process, which leaves its temporary files behind when it is killed.
    _temporary: TempDir,
}

impl Process {
    pub fn start(program: &str, arguments: &[&str]) -> Self {
        let temporary = TempDir::new().expect("a temporary directory");
        let mut command = Command::new(program);
        command.env("TMPDIR", temporary.path());
        // stdin stays open as long as this program lives.
        command.args(arguments).process_group(0).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("failed to start {program}: {error}"));
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Self { child, stdout, _temporary: temporary }
    }

    /// The next line of its output that `wanted` makes something of.
    pub fn line<T>(&mut self, wanted: impl Fn(&str) -> Option<T>) -> T {
        let mut heard = String::new();
        loop {
            let start = heard.len();
            let length = self.stdout.read_line(&mut heard).expect("its output is text");
            assert!(length > 0, "the process ended, having said: {heard:?}");
            if let Some(found) = wanted(heard[start..].trim_end()) {
                return found;
            }
        }
    }

    /// `kill -9`, and gone when this returns.
    pub fn kill(&mut self) {
        // It fails only if nobody is left in the group.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A child that was waited for has given its number back: it may name somebody else.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}
