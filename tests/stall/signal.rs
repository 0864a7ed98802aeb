//! Stopping a process and letting it go on.

use rustix::process::{Pid, Signal, kill_process};

pub fn pid(process: u32) -> Pid {
    Pid::from_raw(process.try_into().unwrap()).unwrap()
}

/// SIGSTOP. To itself, it returns after SIGCONT.
pub fn stop(process: Pid) {
    kill_process(process, Signal::STOP).unwrap();
}

/// SIGCONT.
pub fn resume(process: Pid) {
    kill_process(process, Signal::CONT).unwrap();
}

/// Whether all threads of a process are stopped.
pub fn is_stopped(process: Pid) -> bool {
    let tasks = format!("/proc/{}/task", process.as_raw_nonzero());
    let state = |task: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        // After the name, which is in brackets and may be anything.
        stat.rsplit(") ").next().and_then(|rest| rest.chars().next())
    };
    std::fs::read_dir(tasks).unwrap().all(|task| state(task.unwrap()) == Some('T'))
}

/// Waits until it is; a watchdog ends who waits in vain.
pub fn wait_until_stopped(process: Pid) {
    while !is_stopped(process) {
        std::thread::yield_now();
    }
}
