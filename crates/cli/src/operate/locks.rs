//! `locks`: which sessions are held or waited for, and by which process.

use std::fs;
use std::io::Write;

use cloakroom::blocking::wait;
use cloakroom::{Calling, Inventory, Locked};
use serde::Serialize;

use super::failed;
use crate::Verdict;
use crate::args::Format;
use crate::args::operate::LocksArgs;
use crate::error::CliError;
use crate::mode::Mode;
use crate::report::output::{Lines, complain};
use crate::store_url::Task;

/// Lists the locks.
pub fn run(args: &LocksArgs) -> Result<Verdict, CliError> {
    let place = super::open(&args.store)?;
    if !place.url.offers(Mode::Exclusive) {
        let url = &place.url;
        complain(&format!("note: {url} is a store without locks: nobody holds any, nobody waits"));
    }
    place.with(args)
}

impl Task for &LocksArgs {
    type Output = Result<Verdict, CliError>;

    fn run<S: Inventory + Clone>(self, store: &S) -> Self::Output {
        let locked = wait(store.locks(Calling::Blocking)).map_err(failed("list the locks"))?;
        let mut locks: Vec<Lock> = locked.iter().map(Lock::new).collect();
        locks.sort_by(|a, b| b.waiting.cmp(&a.waiting).then_with(|| a.key.cmp(&b.key)));
        let mut lines = Lines::new();
        if self.format == Format::Table && lines.is_terminal() {
            lines.write(|out| {
                writeln!(out, "{:<64} {:<9} {:>7} HOLDERS", "KEY", "ACCESS", "WAITING")
            })?;
        }
        for lock in locks {
            lines.write(|out| match self.format {
                Format::Table => writeln!(out, "{}", lock.row()),
                Format::Json => {
                    serde_json::to_writer(&mut *out, &lock)?;
                    out.write_all(b"\n")
                }
            })?;
        }
        lines.end()?;
        Ok(Verdict::Kept)
    }
}

/// A session that is held or waited for, as a line of JSON.
#[derive(Serialize)]
struct Lock {
    /// None: the operating system does not say which session it is.
    key: Option<String>,
    access: &'static str,
    holders: Vec<Process>,
    waiting: usize,
    waiters: Vec<Process>,
}

#[derive(Serialize)]
struct Process {
    pid: u32,
    /// None: it has ended, or it is not for us to know.
    name: Option<String>,
}

impl Lock {
    fn new(locked: &Locked) -> Self {
        let processes = |pids: &[u32]| pids.iter().map(|pid| Process::new(*pid)).collect();
        Self {
            key: locked.key.map(|key| key.to_string()),
            access: if locked.exclusive { "exclusive" } else { "shared" },
            holders: processes(&locked.holders),
            waiting: locked.waiting,
            waiters: processes(&locked.waiters),
        }
    }

    fn row(&self) -> String {
        let key = self.key.as_deref().unwrap_or("?");
        let holders: Vec<String> = self.holders.iter().map(Process::text).collect();
        let holders = if holders.is_empty() { "-".to_owned() } else { holders.join(", ") };
        format!("{key:<64} {:<9} {:>7} {holders}", self.access, self.waiting)
    }
}

impl Process {
    fn new(pid: u32) -> Self {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok();
        Self { pid, name: name.map(|name| name.trim_end().to_owned()) }
    }

    fn text(&self) -> String {
        match &self.name {
            Some(name) => format!("{} ({name})", self.pid),
            None => self.pid.to_string(),
        }
    }
}
