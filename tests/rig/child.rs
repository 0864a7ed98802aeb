//! Tests that need a process of their own: for limits, for a user, for signals, for forks.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::WATCHDOG;

/// The user and group that own nothing.
pub const NOBODY: u32 = 65_534;

const ROLE: &str = "CLOAKROOM_RIG";

/// Runs `body` in a process of its own that runs just the test `name`, which is the one that calls
/// this.
pub fn alone(name: &str, body: impl FnOnce()) {
    alone_as(name, |_| {}, body);
}

/// The same as a user without rights, if this one is root.
pub fn alone_as_nobody(name: &str, body: impl FnOnce()) {
    let drop_root = |command: &mut Command| {
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
    };
    alone_as(name, drop_root, body);
}

pub fn alone_as(name: &str, configure: impl FnOnce(&mut Command), body: impl FnOnce()) {
    if std::env::var(ROLE).is_ok_and(|role| role == name) {
        return body();
    }
    let mut command = again(name);
    command.env(ROLE, name);
    configure(&mut command);
    let output = finish(command.spawn().unwrap());
    output.lines().filter(|line| line.starts_with("skipped")).for_each(|line| println!("{line}"));
    assert!(output.contains("1 passed"), "`{name}` is not this test, or it failed: {output}");
}

/// A part that another process plays in the test `name`; `None` in the test itself.
pub fn role(name: &str) -> Option<String> {
    let role = std::env::var(ROLE).ok()?;
    Some(role.strip_prefix(name)?.strip_prefix(':')?.to_owned())
}

/// Starts a process that plays a part in the test `name`.
pub fn play(name: &str, role: &str, argument: &str) -> Child {
    let mut command = again(name);
    command.env(ROLE, format!("{name}:{role}")).env(ARGUMENT, argument);
    command.stdin(Stdio::piped()).spawn().unwrap()
}

/// What [`play`] was given.
pub fn argument() -> String {
    std::env::var(ARGUMENT).unwrap_or_default()
}

const ARGUMENT: &str = "CLOAKROOM_RIG_ARGUMENT";

fn again(name: &str) -> Command {
    // The link and not the path: a user without rights may be barred from the path.
    let mut command = Command::new("/proc/self/exe");
    command.args([name, "--exact", "--nocapture", "--test-threads", "1"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own, so that what it leaves behind can be ended with it.
    command.process_group(0);
    command
}

/// Waits for a process and returns what it said; panics if it failed or hangs.
pub fn finish(mut child: Child) -> String {
    let mut pipes = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let [out, err] = std::thread::scope(|scope| {
        let out = scope.spawn(|| {
            let mut text = Vec::new();
            let _ = pipes.0.read_to_end(&mut text);
            text
        });
        let err = scope.spawn(|| {
            let mut text = Vec::new();
            let _ = pipes.1.read_to_end(&mut text);
            text
        });
        let since = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if since.elapsed() > patience() {
                let _ = child.kill();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // A stopped grandchild of a test that failed would keep the pipes open for ever.
        super::sys::end_group(child.id());
        [out.join().unwrap(), err.join().unwrap()]
    });
    let status = child.wait().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&out), String::from_utf8_lossy(&err));
    assert!(status.success(), "the child process ended with {status}:\n{text}");
    text
}

/// How long a process may take. Where more than usual is asked for, nobody knows.
fn patience() -> Duration {
    let asked = ["CLOAKROOM_KILLS", "CLOAKROOM_CUTS", "CLOAKROOM_FLIPS"];
    let is_asked = asked.iter().any(|name| std::env::var_os(name).is_some());
    if is_asked { WATCHDOG * 60 } else { WATCHDOG }
}

pub fn is_root() -> bool {
    super::sys::is_root()
}
