//! Sessions at random, loaded or committed by compare-and-swap: one thread, two, two processes.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::{Access, CommitError, Hold, Key, MapStore, SessionId, Terms};

use super::support::children::{self, Child};
use super::support::{Report, Run, Spread, clock, grouped};
use super::{Dice, count, fill, id, key, open, payload, take};

pub fn measure(run: Run, directory: &Path, report: &mut Report) {
    let sessions = run.pick(1_000_000, 2_000);
    let mut field = Field::make(directory, sessions, run);
    let crews = [Crew::Threads(1), Crew::Threads(2), Crew::Processes(2)];
    for op in Op::ALL {
        let mut rates = [const { Vec::new() }; 3];
        for _ in 0..run.pick(7, 1) {
            for (crew, rates) in crews.into_iter().zip(&mut rates) {
                rates.push(field.work(op, crew));
            }
        }
        let what = format!("{} of {} sessions", op.name(), grouped(sessions));
        let [one, two, processes] = &rates;
        let text = |rates: &[f64]| spread(rates.iter().map(|rate| rate / 1e6)).text(" M/s");
        report.beside(format_args!("{what}, 1 thread"), text(one));
        report.beside(format_args!("{what}, 2 threads"), text(two));
        report.beside(format_args!("{what}, 2 processes"), text(processes));
        judge(report, format!("{what}, 2 threads over 1"), two, one, 1.7);
        judge(report, format!("{what}, 2 processes over 2 threads"), processes, two, 0.8);
    }
    field.check();
}

fn judge(report: &mut Report, what: String, figures: &[f64], of: &[f64], target: f64) {
    let ratios = spread(figures.iter().zip(of).map(|(figure, of)| figure / of));
    let reached = ratios.median >= target;
    report.verdict(what, ratios.text("x"), format_args!(">= {target}x"), reached);
}

pub fn spread(figures: impl Iterator<Item = f64>) -> Spread {
    Spread::of(figures).expect("there was a round")
}

/// A store full of sessions.
pub struct Field {
    directory: PathBuf,
    store: MapStore,
    sessions: u64,
    lasting: Duration,
    /// The sessions that each thread goes through.
    draws: [Draws; 2],
    committed: u64,
}

#[derive(Clone, Copy)]
pub enum Op {
    Load,
    Commit,
}

impl Op {
    pub const ALL: [Self; 2] = [Self::Load, Self::Commit];

    pub fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Commit => "load + commit",
        }
    }
}

#[derive(Clone, Copy)]
pub enum Crew {
    Threads(usize),
    Processes(usize),
}

/// Sessions drawn beforehand, so that no text is formatted while the clock runs.
struct Draws {
    draws: Vec<(u64, SessionId)>,
    next: usize,
}

/// What one thread did.
#[derive(Default)]
struct Done {
    rate: f64,
    commits: u64,
}

impl Field {
    pub fn make(directory: &Path, sessions: u64, run: Run) -> Self {
        let store = open(directory);
        fill(&store, 0, sessions);
        let lasting = run.pick(Duration::from_secs(2), Duration::from_millis(50));
        let draws = [1, 2].map(|seed| Draws::new(sessions, seed));
        let directory = directory.to_owned();
        Self { directory, store, sessions, lasting, draws, committed: 0 }
    }

    /// Operations in a second, of all together.
    pub fn work(&mut self, op: Op, crew: Crew) -> f64 {
        let done = match crew {
            Crew::Threads(threads) => self.work_here(op, threads),
            Crew::Processes(processes) => self.work_elsewhere(op, processes),
        };
        self.committed += done.iter().map(|one| one.commits).sum::<u64>();
        done.iter().map(|one| one.rate).sum()
    }

    /// Fails unless every commit is there.
    pub fn check(&self) {
        let counted: u64 = (0..self.sessions)
            .map(|number| {
                count(take(&self.store, &key(number), Access::Snapshot).payload(), number)
            })
            .sum();
        assert_eq!(counted, self.committed, "commits were lost");
    }

    fn work_here(&mut self, op: Op, threads: usize) -> Vec<Done> {
        let (begin, end) = window(self.lasting);
        let store = &self.store;
        thread::scope(|scope| {
            let work = |draws: _| scope.spawn(move || work(store, draws, op, begin, end));
            let all: Vec<_> = self.draws[..threads].iter_mut().map(work).collect();
            all.into_iter().map(|one| one.join().expect("it is done")).collect()
        })
    }

    fn work_elsewhere(&self, op: Op, processes: usize) -> Vec<Done> {
        let directory = self.directory.to_str().expect("the path is text");
        let (sessions, op) = (self.sessions.to_string(), (op as usize).to_string());
        let start = |seed: usize| {
            let seed = (seed + 11).to_string();
            Child::start(&["uniform", directory, &sessions, &op, &seed])
        };
        let mut all: Vec<_> = (0..processes).map(start).collect();
        for child in &mut all {
            assert_eq!(child.receive(), "ready");
        }
        let (begin, end) = window(self.lasting);
        for child in &mut all {
            child.send(&format!("{begin} {end}"));
        }
        let done = |mut child: Child| {
            let numbers = child.numbers();
            child.finish();
            Done { rate: numbers[0] as f64, commits: numbers[1] }
        };
        all.into_iter().map(done).collect()
    }
}

/// A child: works from one moment to another.
pub fn serve(words: &[String]) {
    let number = |index: usize| words[index].parse::<u64>().expect("it is a number");
    let store = open(Path::new(&words[0]));
    let mut draws = Draws::new(number(1), number(3));
    children::say("ready");
    let moments = children::hear();
    let (begin, end) = moments.split_once(' ').expect("two moments");
    let moment = |text: &str| text.parse().expect("it is a moment");
    let op = Op::ALL[number(2) as usize];
    let done = work(&store, &mut draws, op, moment(begin), moment(end));
    children::say(&format!("{} {}", done.rate as u64, done.commits));
}

fn work(store: &MapStore, draws: &mut Draws, op: Op, begin: u64, end: u64) -> Done {
    clock::sleep_until(begin);
    let (began, mut operations, mut commits) = (clock::now(), 0_u64, 0);
    loop {
        for (number, id) in draws.batch() {
            let key = Key::new("", id);
            match op {
                Op::Load => {
                    let session = take(store, &key, Access::Snapshot);
                    std::hint::black_box(count(session.payload(), *number));
                }
                Op::Commit => {
                    while !commit(store, &key, *number) {}
                    commits += 1;
                }
            }
            operations += 1;
        }
        let now = clock::now();
        if now >= end {
            let rate = operations as f64 * 1e9 / (now - began) as f64;
            return Done { rate, commits };
        }
    }
}

/// Counts one more in a session, unless somebody was faster.
pub fn commit(store: &MapStore, key: &Key, number: u64) -> bool {
    let mut session = take(store, key, Access::Optimistic);
    let next = payload(count(session.payload(), number) + 1, number);
    match wait(session.commit(&next, Terms::default())) {
        Ok(_) => true,
        Err(CommitError::Conflict(_)) => false,
        Err(error) => panic!("a commit failed: {error}"),
    }
}

impl Draws {
    fn new(sessions: u64, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let draw = |_| {
            let number = dice.roll(sessions);
            (number, id(number))
        };
        let count = (sessions * 16).clamp(BATCH as u64, DRAWS_MAX);
        Self { draws: (0..count.next_multiple_of(BATCH as u64)).map(draw).collect(), next: 0 }
    }

    fn batch(&mut self) -> &[(u64, SessionId)] {
        let from = self.next;
        self.next = (from + BATCH) % self.draws.len();
        &self.draws[from..from + BATCH]
    }
}

/// In a moment, and so long.
fn window(lasting: Duration) -> (u64, u64) {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).expect("it is no century");
    let begin = clock::now() + nanos(Duration::from_millis(30));
    (begin, begin + nanos(lasting))
}

/// Sessions that a thread draws before they come again.
const DRAWS_MAX: u64 = 1 << 20;
/// Sessions between two looks at the clock.
const BATCH: usize = 32;
