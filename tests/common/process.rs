//! Other processes: this test binary started again, to run one hidden test as a child; and a
//! watchdog, so that a hang is a failure with a name.

#![allow(dead_code, reason = "each test that includes this file uses its part of it")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// What the child of this name shall do, if this process is it.
pub fn role(name: &str) -> Option<String> {
    std::env::var(variable(name)).ok()
}

/// A child of this test binary, killed when dropped.
pub struct Child {
    process: Process,
    says: BufReader<ChildStdout>,
    hears: Option<ChildStdin>,
}

impl Child {
    /// Starts this test binary again to run the hidden test of this name in this role.
    pub fn start(test: &str, role: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(variable(test), role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let says = BufReader::new(process.stdout.take().unwrap());
        let hears = process.stdin.take();
        Self { process, says, hears }
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits until the child says this.
    pub fn expect(&mut self, word: &str) {
        while self.hear().unwrap_or_else(|| panic!("the child never said {word}")) != word {}
    }

    /// What the child says next; `None`: it has ended.
    pub fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.says.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some(word) = line.trim_end().strip_prefix('>') {
                return Some(word.to_owned());
            }
        }
    }

    /// Lets the child go on from its `listen`.
    pub fn tell(&mut self) {
        self.hears.as_mut().unwrap().write_all(b"go on\n").unwrap();
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Waits for the end of the child, which must be a good one.
    pub fn finish(mut self) {
        drop(self.hears.take());
        let mut line = String::new();
        while self.says.read_line(&mut line).unwrap() > 0 {}
        assert!(self.process.wait().unwrap().success(), "the child failed: {line}");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// In the child: tells the parent.
pub fn say(word: &str) {
    // The test harness left the cursor in the middle of a line.
    println!("\n>{word}");
}

/// In the child: waits for the parent; `false`: it is gone.
pub fn listen() -> bool {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).is_ok_and(|length| length > 0)
}

/// Runs `body` on a thread of its own; a hang is a panic.
pub fn watched<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, ended) = channel::<()>();
    let thread = std::thread::spawn(move || {
        let _done = done;
        body()
    });
    let hangs = ended.recv_timeout(WATCHDOG) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
    assert!(!hangs, "it hangs");
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn variable(test: &str) -> String {
    format!("CLOAKROOM_TEST_{}", test.to_uppercase())
}

/// Far more than anything here takes.
const WATCHDOG: Duration = Duration::from_secs(60);
