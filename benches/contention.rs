//! Many processes and threads on one session: nothing lost, everybody served, no writer starved.
//!
//! Eight processes of four threads take one session exclusively, hold it for 100 us and count in
//! it, for ten seconds. Then three processes read it all the time, each for 20 ms, so that there
//! is never a moment without a reader, and a writer comes again and again. Beside each: the same
//! with a bare blocking `flock`, which is what a store without a queue of its own does.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench stops at the first thing that goes wrong"
)]

#[expect(dead_code, reason = "each bench uses a part of it")]
mod support;

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::{Access, Calling, FileStore, Hold, Key, OpenRequest, SessionId, Store, Terms};
use rustix::fs::FlockOperation;
use support::children::{self, Child};
use support::{Report, Run, Spread, clock, grouped, millis, quantile};

fn main() {
    if let Some(role) = children::role(CHILD_LIMIT) {
        return Crowd::from_words(&role).serve();
    }
    let run = Run::from_arguments();
    let directory = support::temp_dir();
    let mut report = Report::new(run, "contention", directory.path());

    let (processes, threads) = run.pick((8, 4), (2, 2));
    let lasting = run.pick(Duration::from_secs(10), Duration::from_millis(100));
    for (hold, how) in [(Task::Sleep, "asleep"), (Task::Spin, "at work")] {
        for door in Door::ALL {
            let crowd = Crowd::new(directory.path(), door, hold, threads, lasting);
            let tally = crowd.contend(processes);
            let what = format!("{processes} processes x {threads} threads, 100 us {how}");
            judge_crowd(&mut report, &what, door, &tally);
        }
    }

    let lasting = run.pick(Duration::from_secs(6), Duration::from_millis(200));
    for (processes, threads, where_) in [(3, 1, "3 processes"), (1, 3, "one process")] {
        for door in Door::ALL {
            let crowd = Crowd::new(directory.path(), door, Task::Read, threads, lasting);
            let waits = crowd.write_among_readers(processes);
            judge_writer(&mut report, where_, door, waits);
        }
    }
    report.print();
}

/// A child that takes longer has failed.
const CHILD_LIMIT: Duration = Duration::from_secs(60);

const HOLD: Duration = Duration::from_micros(100);
const READ: Duration = Duration::from_millis(20);

/// How long the writer rests between two visits.
const REST: Duration = Duration::from_millis(10);

/// How a party takes the session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Session,
    Flock,
}

impl Door {
    const ALL: [Self; 2] = [Self::Session, Self::Flock];
}

/// What a party does with it.
#[derive(Clone, Copy)]
enum Task {
    /// Hold it, asleep, and count.
    Sleep,
    /// Hold it, working, and count.
    Spin,
    /// Read it, together with others.
    Read,
}

/// What all parties of one measurement share.
struct Crowd {
    directory: String,
    door: Door,
    task: Task,
    threads: usize,
    lasting: Duration,
}

/// What one party, or one process, did.
#[derive(Clone, Copy, Default)]
struct Visits {
    count: u64,
    wait_max: Duration,
    /// When that wait ended, from the beginning.
    wait_max_at: Duration,
}

/// What all did.
struct Tally {
    processes: Vec<Visits>,
    threads: usize,
    lasted: Duration,
    counted: u64,
}

impl Crowd {
    fn new(directory: &Path, door: Door, task: Task, threads: usize, lasting: Duration) -> Self {
        let directory = directory.to_str().expect("the path is text").to_owned();
        Self { directory, door, task, threads, lasting }
    }

    fn words(&self) -> Vec<String> {
        let (door, task) = (self.door as u8, self.task as u8);
        let numbers = [door.into(), task.into(), self.threads, self.lasting.as_millis() as usize];
        let numbers = numbers.iter().map(usize::to_string);
        std::iter::once(self.directory.clone()).chain(numbers).collect()
    }

    fn from_words(words: &[String]) -> Self {
        let number = |index: usize| words[index].parse::<u64>().expect("it is a number");
        let door = Door::ALL[number(1) as usize];
        let task = [Task::Sleep, Task::Spin, Task::Read][number(2) as usize];
        let lasting = Duration::from_millis(number(4));
        Self::new(Path::new(&words[0]), door, task, number(3) as usize, lasting)
    }

    /// A child: its threads visit the session from one moment to another.
    fn serve(&self) {
        let entrance = Entrance::new(self);
        children::say("ready");
        let begin: u64 = children::hear().parse().expect("it is a moment");
        let end = begin + nanos(self.lasting);
        let visits: Vec<Visits> = thread::scope(|scope| {
            let entrance = &entrance;
            let visit = |thread| scope.spawn(move || entrance.visit(self, thread, begin, end));
            let all: Vec<_> = (0..self.threads).map(visit).collect();
            all.into_iter().map(|one| one.join().expect("it is done")).collect()
        });
        let count: u64 = visits.iter().map(|one| one.count).sum();
        let worst = visits.iter().max_by_key(|one| one.wait_max);
        let worst = worst.copied().unwrap_or_default();
        let [wait_max, at] = [worst.wait_max, worst.wait_max_at].map(nanos);
        children::say(&format!("{count} {wait_max} {at}"));
    }

    fn children(&self, processes: usize) -> Vec<Child> {
        let words = self.words();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut all: Vec<_> = (0..processes).map(|_| Child::start(&words)).collect();
        for child in &mut all {
            assert_eq!(child.receive(), "ready");
        }
        all
    }

    /// Has all children count at once.
    fn contend(&self, processes: usize) -> Tally {
        let entrance = Entrance::new(self);
        let before = entrance.count();
        let mut all = self.children(processes);
        let begin = begin(&mut all);
        let processes: Vec<Visits> = all.iter_mut().map(visits).collect();
        let lasted = Duration::from_nanos(clock::now() - begin);
        all.into_iter().for_each(Child::finish);
        Tally { processes, threads: self.threads, lasted, counted: entrance.count() - before }
    }

    /// Writes as often as it comes to that while the children read; how long each write waited.
    fn write_among_readers(&self, processes: usize) -> Vec<Duration> {
        let entrance = Entrance::new(self);
        let mut all = self.children(processes);
        let begin = begin(&mut all);
        // When every reader has come once.
        clock::sleep_until(begin + nanos(READ));
        let end = begin + nanos(self.lasting - READ);
        let (mut waits, before) = (Vec::new(), entrance.count());
        while clock::now() < end {
            let asked = clock::now();
            entrance.enter(Task::Spin, |taken| {
                waits.push(Duration::from_nanos(taken - asked));
            });
            thread::sleep(REST);
        }
        let read = all.iter_mut().map(|child| visits(child).count).sum::<u64>();
        assert!(read > 0, "the readers did not come in");
        all.into_iter().for_each(Child::finish);
        assert_eq!(entrance.count() - before, waits.len() as u64, "an update was lost");
        waits
    }
}

/// Tells the children when to begin: in a moment, all at once.
fn begin(children: &mut [Child]) -> u64 {
    let begin = clock::now() + nanos(Duration::from_millis(100));
    for child in children {
        child.send(&begin.to_string());
    }
    begin
}

fn visits(child: &mut Child) -> Visits {
    let numbers = child.numbers();
    let [wait_max, wait_max_at] = [numbers[1], numbers[2]].map(Duration::from_nanos);
    Visits { count: numbers[0], wait_max, wait_max_at }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("it is no century")
}

/// The session behind its door, in one process.
struct Entrance {
    door: Door,
    store: FileStore,
    key: Key,
    /// What stands in for the session when there is only `flock`.
    path: std::path::PathBuf,
}

impl Entrance {
    fn new(crowd: &Crowd) -> Self {
        let directory = Path::new(&crowd.directory);
        let store = FileStore::open(directory.join("sessions")).expect("the store opens");
        let entrance = Self {
            door: crowd.door,
            key: Key::new("", &SessionId::from("one for all")),
            path: directory.join("flock"),
            store,
        };
        // An absent session has no file that the kernel could lock. The children find it.
        if entrance.snapshot().record().is_none() {
            entrance.enter_session(|| {});
            File::create(&entrance.path).expect("a file can be made");
        }
        entrance
    }

    /// One thread's visits between two moments.
    fn visit(&self, crowd: &Crowd, thread: usize, begin: u64, end: u64) -> Visits {
        let mut visits = Visits::default();
        // Readers come one after the other, so that they overlap.
        let stagger = match crowd.task {
            Task::Read => READ * (std::process::id() % 3 + thread as u32 % 3) / 3,
            Task::Sleep | Task::Spin => Duration::ZERO,
        };
        clock::sleep_until(begin + nanos(stagger));
        while clock::now() < end {
            let asked = clock::now();
            self.enter(crowd.task, |taken| {
                let waited = Duration::from_nanos(taken - asked);
                if waited > visits.wait_max {
                    visits.wait_max = waited;
                    visits.wait_max_at = Duration::from_nanos(taken.saturating_sub(begin));
                }
            });
            visits.count += 1;
        }
        visits
    }

    /// One visit; calls `taken` with the moment it had the session.
    fn enter(&self, task: Task, taken: impl FnOnce(u64)) {
        let hold = || {
            taken(clock::now());
            match task {
                Task::Sleep => thread::sleep(HOLD),
                Task::Spin => clock::spin(HOLD),
                Task::Read => thread::sleep(READ),
            }
        };
        match (self.door, task) {
            (Door::Session, Task::Read) => {
                let session = self.open(Access::Shared);
                hold();
                drop(session);
            }
            (Door::Session, _) => self.enter_session(hold),
            (Door::Flock, _) => self.enter_flock(task, hold),
        }
    }

    fn enter_session(&self, hold: impl FnOnce()) {
        let mut session = self.open(Access::Exclusive);
        let count = number(session.payload());
        hold();
        let next = (count + 1).to_le_bytes();
        wait(session.commit(&next, Terms::default())).expect("it is stored");
    }

    fn enter_flock(&self, task: Task, hold: impl FnOnce()) {
        let mut options = File::options();
        let file = options.read(true).write(true).open(&self.path);
        let file = file.expect("the file opens");
        let (lock, writes) = match task {
            Task::Read => (FlockOperation::LockShared, false),
            Task::Sleep | Task::Spin => (FlockOperation::LockExclusive, true),
        };
        rustix::fs::flock(&file, lock).expect("the lock is granted");
        let mut bytes = [0; 8];
        let length = rustix::io::pread(&file, &mut bytes, 0).expect("the file is read");
        let count = number(&bytes[..length]);
        hold();
        if writes {
            let next = (count + 1).to_le_bytes();
            assert_eq!(rustix::io::pwrite(&file, &next, 0), Ok(next.len()));
        }
        rustix::fs::flock(&file, FlockOperation::Unlock).expect("it was locked");
    }

    fn open(&self, access: Access) -> <FileStore as Store>::Hold {
        let request = OpenRequest::new(access, Calling::Blocking);
        wait(self.store.open(&self.key, request)).expect("the session opens")
    }

    fn snapshot(&self) -> <FileStore as Store>::Hold {
        self.open(Access::Snapshot)
    }

    fn count(&self) -> u64 {
        match self.door {
            Door::Session => number(self.snapshot().payload()),
            Door::Flock => number(&std::fs::read(&self.path).expect("the file is read")),
        }
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn judge_crowd(report: &mut Report, what: &str, door: Door, tally: &Tally) {
    let counts = tally.processes.iter().map(|one| one.count);
    let total: u64 = counts.clone().sum();
    let lost = total - tally.counted;
    assert_eq!(lost, 0, "{what}: updates were lost");
    let mean = total as f64 / tally.processes.len() as f64;
    let shares = Spread::of(counts.map(|count| count as f64 / mean)).expect("there are processes");
    let shares_text = format!("{:.2}x..{:.2}x of the mean", shares.min, shares.max);
    let worst = tally.processes.iter().max_by_key(|one| one.wait_max);
    let Visits { wait_max: worst, wait_max_at, .. } = worst.copied().unwrap_or_default();
    // The mean time until all others have had their turn.
    let parties = tally.processes.len() * tally.threads;
    let turn = tally.lasted.as_secs_f64() / total as f64;
    let fair = Duration::from_secs_f64(turn * (parties - 1) as f64);
    let limit = fair * 4 + Duration::from_millis(20);
    let worst_text = format!(
        "{:.1} ms, after {:.1} s (fair share {:.1} ms)",
        millis(worst),
        wait_max_at.as_secs_f64(),
        millis(fair)
    );
    let rate = grouped((1.0 / turn) as u64);
    match door {
        Door::Session => {
            let updates = format!("{lost} of {} ({rate}/s)", grouped(total));
            report.verdict(format_args!("{what}, lost updates"), updates, "0", lost == 0);
            report.verdict(
                format_args!("{what}, share of each process"),
                shares_text,
                "0.67x..1.50x",
                shares.min >= 0.67 && shares.max <= 1.5,
            );
            report.verdict(
                format_args!("{what}, worst wait"),
                worst_text,
                format_args!("<= {:.1} ms", millis(limit)),
                worst <= limit,
            );
        }
        Door::Flock => {
            let text = format!("{rate}/s, shares {shares_text}, worst wait {worst_text}");
            report.beside("a bare flock", text);
        }
    }
}

fn judge_writer(report: &mut Report, where_: &str, door: Door, mut waits: Vec<Duration>) {
    let median = quantile(&mut waits, 0.5);
    let worst = quantile(&mut waits, 1.0);
    let text = format!(
        "worst {:.1} ms, median {:.1} ms of {} writes",
        millis(worst),
        millis(median),
        waits.len()
    );
    match door {
        Door::Session => report.verdict(
            format_args!("writer among 3 overlapping readers in {where_}"),
            text,
            "<= 100 ms, each",
            worst <= Duration::from_millis(100),
        ),
        Door::Flock => report.beside("a bare flock", text),
    }
}
