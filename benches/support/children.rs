//! Other processes: the bench itself, started again with a role to play.
//!
//! A child ends with its parent, and on its own after a time, so no bench hangs and none leaves
//! processes behind. Parent and child talk in lines.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

const ROLE: &str = "CLOAKROOM_BENCH_CHILD";

/// Another process of this bench. Dropped: killed, if it still runs, and reaped.
pub struct Child {
    process: std::process::Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Child {
    /// Starts this program again; it finds `role`, words without white space, in [`role`].
    pub fn start(words: &[&str]) -> Self {
        let program = std::env::current_exe().expect("the bench knows its own path");
        let mut process = Command::new(program)
            .env(ROLE, words.join(" "))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the bench can be started again");
        let to = process.stdin.take().expect("its input is a pipe");
        let from = process.stdout.take().expect("its output is a pipe");
        Self { process, to, from: BufReader::new(from) }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn send(&mut self, line: &str) {
        let sent = self.to.write_all(format!("{line}\n").as_bytes());
        sent.expect("the child listens");
    }

    /// The next line; fails when the child ended, which it does after its time at the latest.
    pub fn receive(&mut self) -> String {
        let mut line = String::new();
        let count = self.from.read_line(&mut line).expect("the child speaks");
        assert_ne!(count, 0, "the child ended without an answer");
        line.trim().to_owned()
    }

    /// The next line as numbers.
    pub fn numbers(&mut self) -> Vec<u64> {
        let line = self.receive();
        let number = |word: &str| word.parse().expect("the child sends numbers");
        line.split_whitespace().map(number).collect()
    }

    /// Waits for its end.
    pub fn finish(mut self) {
        let status = self.process.wait().expect("the child can be waited for");
        assert!(status.success(), "the child failed: {status}");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// The role of this process, if it is a child; it ends after `limit` and with its parent.
pub fn role(limit: Duration) -> Option<Vec<String>> {
    let role = std::env::var(ROLE).ok()?;
    let with_parent = Some(rustix::process::Signal::KILL);
    rustix::process::set_parent_process_death_signal(with_parent).expect("it is a signal");
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        eprintln!("a child of the bench took longer than {limit:?}");
        std::process::exit(1);
    });
    Some(role.split(' ').map(str::to_owned).collect())
}

/// In a child: the next line of the parent.
pub fn hear() -> String {
    let mut line = String::new();
    let count = std::io::stdin().read_line(&mut line).expect("the parent speaks");
    if count == 0 {
        // The parent failed and says why.
        std::process::exit(1);
    }
    line.trim().to_owned()
}

/// In a child: a line to the parent.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())
        .and_then(|()| out.flush())
        .expect("the parent listens");
}
