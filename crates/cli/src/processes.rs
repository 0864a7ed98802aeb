//! Several processes on one store. This command starts itself again for each, and they talk in
//! lines of JSON: a plan and then `go` to the worker, messages back. A worker whose standard
//! input ends knows that its parent is gone, and ends at once.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{self, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Verdict;
use crate::bench::{self, Plan, Tally};
use crate::error::CliError;
use crate::interrupt::{self, Ward};
use crate::store_url::Place;

/// What a worker tells its parent.
#[derive(Serialize, Deserialize)]
enum Message {
    /// The store is open; waiting for `go`.
    Ready,
    /// So many operations so far.
    Progress(u64),
    /// All done.
    Done(Box<Tally>),
    /// It cannot be done.
    Failed(String),
}

/// Runs a plan in so many processes as it wants, all at the same time. If one fails all are ended.
pub fn run(label: &str, plan: Plan) -> Result<Vec<Tally>, CliError> {
    let crew = Crew::start(&plan.of_processes())?;
    let done = AtomicU64::new(0);
    bench::watched(label, &plan, &done, || crew.work(&done))
}

/// All processes of a run.
struct Crew {
    workers: Vec<Worker>,
    messages: Receiver<(usize, Option<Message>)>,
}

struct Worker {
    ward: Ward,
    stdin: ChildStdin,
    operations: u64,
    tally: Option<Tally>,
}

impl Crew {
    /// Starts a process for each plan, and returns when all are ready.
    fn start(plans: &[Plan]) -> Result<Self, CliError> {
        let (sender, messages) = mpsc::channel();
        let mut workers = Vec::new();
        for (number, plan) in plans.iter().enumerate() {
            workers.push(Worker::start(number, plan, sender.clone())?);
        }
        let mut crew = Self { workers, messages };
        for _ in plans {
            match crew.next()? {
                (_, Message::Ready) => {}
                (worker, _) => return Err(worker.failed("spoke out of turn".to_owned())),
            }
        }
        Ok(crew)
    }

    /// Lets them go, and collects what they bring back.
    fn work(mut self, done: &AtomicU64) -> Result<Vec<Tally>, CliError> {
        match self.collect(done) {
            Ok(()) => Ok(self.workers.into_iter().filter_map(|worker| worker.tally).collect()),
            Err(CliError::Interrupted) => {
                self.dismiss();
                Err(CliError::Interrupted)
            }
            Err(error) => Err(error),
        }
    }

    /// Asks them to stop by closing their standard input, and returns when they have removed their
    /// sessions.
    fn dismiss(self) {
        let Self { workers, messages } = self;
        let wards: Vec<_> = workers.into_iter().map(|worker| worker.ward).collect();
        while messages.recv().is_ok() {}
        drop(wards);
    }

    fn collect(&mut self, done: &AtomicU64) -> Result<(), CliError> {
        for worker in &mut self.workers {
            worker.tell("go")?;
        }
        while self.workers.iter().any(|worker| worker.tally.is_none()) {
            match self.next()? {
                (worker, Message::Progress(operations)) => {
                    // Relaxed: only a progress bar looks at it.
                    done.fetch_add(
                        operations - worker.operations.min(operations),
                        Ordering::Relaxed,
                    );
                    worker.operations = operations;
                }
                (worker, Message::Done(tally)) => worker.tally = Some(*tally),
                (worker, _) => return Err(worker.failed("spoke out of turn".to_owned())),
            }
        }
        Ok(())
    }

    /// The next message, and who sent it.
    fn next(&mut self) -> Result<(&mut Worker, Message), CliError> {
        let gone = || CliError::Spawn(io::ErrorKind::BrokenPipe.into());
        let (number, message) = loop {
            interrupt::check()?;
            match self.messages.recv_timeout(TICK) {
                Err(RecvTimeoutError::Timeout) => {}
                received => break received.map_err(|_| gone())?,
            }
        };
        let worker = self.workers.get_mut(number).ok_or_else(gone)?;
        match message {
            Some(Message::Failed(reason)) => Err(worker.failed(format!("failed: {reason}"))),
            Some(message) => Ok((worker, message)),
            None => Err(worker.ended()),
        }
    }
}

impl Worker {
    fn start(
        number: usize,
        plan: &Plan,
        messages: Sender<(usize, Option<Message>)>,
    ) -> Result<Self, CliError> {
        let program = std::env::current_exe().map_err(CliError::Spawn)?;
        let mut child = Command::new(program)
            .arg("worker")
            // Ctrl-C at a terminal is for this process, which then ends its workers itself.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(CliError::Spawn)?;
        let pipes = (child.stdin.take(), child.stdout.take());
        let ward = Ward::new(child);
        let (Some(stdin), Some(stdout)) = pipes else {
            return Err(CliError::Spawn(io::ErrorKind::BrokenPipe.into()));
        };
        thread::Builder::new()
            .spawn(move || listen(number, stdout, &messages))
            .map_err(CliError::Thread)?;
        let mut worker = Self { ward, stdin, operations: 0, tally: None };
        let plan =
            serde_json::to_string(plan).map_err(|error| CliError::Protocol(error.to_string()))?;
        worker.tell(&plan)?;
        Ok(worker)
    }

    fn tell(&mut self, line: &str) -> Result<(), CliError> {
        writeln!(self.stdin, "{line}").map_err(|_| self.ended())
    }

    /// The error for a worker that ended before its work did.
    fn ended(&self) -> CliError {
        match self.ward.wait() {
            Ok(status) => self.failed(format!("ended early ({status})")),
            Err(error) => self.failed(format!("ended early ({error})")),
        }
    }

    const fn failed(&self, fate: String) -> CliError {
        CliError::Worker { pid: self.ward.pid, fate }
    }
}

/// Passes on what a worker says up to its last word, or `None` if it ends without one.
fn listen(number: usize, stdout: ChildStdout, messages: &Sender<(usize, Option<Message>)>) {
    let mut lines = BufReader::new(stdout).lines();
    loop {
        let line = lines.next().and_then(Result::ok);
        let message = line.map(|line| {
            serde_json::from_str(&line).unwrap_or_else(|error| Message::Failed(error.to_string()))
        });
        let over = matches!(message, None | Some(Message::Done(_) | Message::Failed(_)));
        if messages.send((number, message)).is_err() || over {
            return;
        }
    }
}

/// What a worker does.
pub fn worker() -> Result<Verdict, CliError> {
    let told = |reason: &str| CliError::Protocol(reason.to_owned());
    let line = next_line().ok_or_else(|| told("no plan came"))?;
    let plan: Plan = serde_json::from_str(&line).map_err(|error| told(&error.to_string()))?;
    match work(&plan) {
        Ok(tally) => say(&Message::Done(Box::new(tally))),
        Err(error) => say(&Message::Failed(error.to_string())),
    }
    Ok(Verdict::Kept)
}

fn work(plan: &Plan) -> Result<Tally, CliError> {
    let place = Place::open(&plan.store)?;
    let driver = place.driver(plan.api, plan.lock_wait);
    let tickets = plan.tickets();
    say(&Message::Ready);
    if next_line().as_deref() != Some("go") {
        process::exit(ORPHANED);
    }
    thread::Builder::new().spawn(end_with_parent).map_err(CliError::Thread)?;
    let done = AtomicU64::new(0);
    thread::scope(|scope| {
        let (finished, ticks) = mpsc::channel::<()>();
        let done = &done;
        thread::Builder::new()
            .spawn_scoped(scope, move || {
                while ticks.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                    say(&Message::Progress(done.load(Ordering::Relaxed)));
                }
            })
            .map_err(CliError::Thread)?;
        let tally = bench::run_here(&*driver, plan, &tickets, done);
        drop(finished);
        tally
    })
}

/// Ends this process when its parent is gone, whatever the other threads do: soon, for they may
/// have sessions to remove.
fn end_with_parent() {
    while next_line().is_some() {}
    interrupt::stop_and_end(ORPHANED);
}

fn next_line() -> Option<String> {
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line) {
        Ok(1..) => Some(line.trim_end().to_owned()),
        _ => None,
    }
}

fn say(message: &Message) {
    let Ok(mut line) = serde_json::to_vec(message) else {
        return;
    };
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    if stdout.write_all(&line).and_then(|()| stdout.flush()).is_err() {
        process::exit(ORPHANED);
    }
}

/// How often a worker tells how far it is.
const TICK: Duration = Duration::from_millis(200);

/// The exit status of a worker without a parent, which nobody sees.
const ORPHANED: i32 = 1;
