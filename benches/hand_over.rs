//! The hand-over of a session to the next one who waits for it: a thread, or another process.
//!
//! Two parties take turns. One holds the session and works for a moment while the other one comes
//! to wait; what is measured is the time from just before the release until the other has the
//! session open. The same with nothing but the operating system's means, in the same turns, is
//! the floor: no store can be faster.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench stops at the first thing that goes wrong"
)]

#[expect(dead_code, reason = "each bench uses a part of it")]
mod support;

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Thread;
use std::time::Duration;

use cloakroom::blocking::wait;
use cloakroom::{Access, Calling, FileStore, Hold, Key, OpenRequest, SessionId, Store, Terms};
use rustix::fs::FlockOperation;
use support::children::{self, Child};
use support::{Report, Run, Spread, clock, micros, quantile};

fn main() {
    if let Some(role) = children::role(CHILD_LIMIT) {
        return serve(Path::new(&role[1]), role[2].parse().expect("it is a number"));
    }
    let run = Run::from_arguments();
    let rounds = run.pick(7, 1);
    let hand_overs = run.pick(300, 6);
    let directory = support::temp_dir();
    let mut report = Report::new(run, "hand-over", directory.path());

    let mut threads = Threads::new(directory.path());
    let (mut woken, mut thread) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        woken.push(threads.park_and_unpark(hand_overs));
        thread.push(threads.hand_over(hand_overs));
    }
    judge(&mut report, "to a waiting thread", &thread, 15.0);
    beside(&mut report, "waking a parked thread", &woken);

    let mut processes = Processes::new(directory.path(), hand_overs);
    let mut measured = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        for (kind, figures) in Kind::ALL.into_iter().zip(&mut measured) {
            figures.push(processes.hand_over(kind));
        }
    }
    processes.finish();
    let [pipe, flock, process] = measured;
    judge(&mut report, "to a waiting process", &process, 40.0);
    beside(&mut report, "a blocking flock", &flock);
    beside(&mut report, "a byte through a pipe", &pipe);
    report.print();
}

/// A child that takes longer has failed.
const CHILD_LIMIT: Duration = Duration::from_secs(120);

/// How long a holder sleeps and then works before it releases: the other one, perhaps on the same
/// core, gets to where it waits, and the holder is wide awake.
const SLEEP: Duration = Duration::from_micros(200);
const WORK: Duration = Duration::from_micros(200);

/// One round of hand-overs: how long each took.
type Round = Vec<Duration>;

fn judge(report: &mut Report, what: &str, rounds: &[Round], limit: f64) {
    let spread = medians(rounds);
    report.verdict(
        format_args!("hand-over {what}, median"),
        spread.text(" us"),
        format_args!("<= {limit:.0} us"),
        spread.median <= limit,
    );
    let mut all: Round = rounds.iter().flatten().copied().collect();
    let tail = [0.9, 0.99].map(|part| micros(quantile(&mut all, part)));
    report.beside("90 % and 99 %", format_args!("{:.1} us and {:.1} us", tail[0], tail[1]));
}

fn beside(report: &mut Report, what: &str, rounds: &[Round]) {
    report.beside(format_args!("{what}, median"), medians(rounds).text(" us"));
}

fn medians(rounds: &[Round]) -> Spread {
    let medians = rounds.iter().map(|round| micros(quantile(&mut round.clone(), 0.5)));
    Spread::of(medians).expect("there are rounds")
}

/// One of two parties that take turns.
trait Party {
    /// 0 holds first.
    fn number(&self) -> usize;
    /// Tells the other one that this one holds, or that it comes to wait.
    fn announce(&mut self);
    /// Returns when the other one has said so.
    fn await_other(&mut self);
}

/// What one party did and when, in nanoseconds of the monotonic clock.
struct Turns<H> {
    released: Vec<u64>,
    taken: Vec<u64>,
    /// What it holds in the end.
    hold: Option<H>,
}

/// Plays one party: takes when the other one gives, gives when the other one waits.
fn take_turns<P: Party, H>(
    times: usize,
    party: &mut P,
    mut hold: Option<H>,
    mut take: impl FnMut(&mut P) -> H,
    mut give: impl FnMut(&mut P, H),
) -> Turns<H> {
    let (mut released, mut taken) = (Vec::new(), Vec::new());
    if hold.is_some() {
        party.announce();
    } else {
        party.await_other();
    }
    for turn in 0..times {
        if turn % 2 == party.number() {
            let held = hold.take().expect("it is this one's turn to hold");
            party.await_other();
            std::thread::sleep(SLEEP);
            clock::spin(WORK);
            released.push(clock::now());
            give(party, held);
            // Who came late must not find that this one was faster.
            party.await_other();
        } else {
            party.announce();
            hold = Some(take(party));
            taken.push(clock::now());
            party.announce();
        }
    }
    Turns { released, taken, hold }
}

/// How long each hand-over took: from the moments of the giver and those of the taker.
fn differences(released: &[u64], taken: &[u64]) -> impl Iterator<Item = Duration> {
    assert_eq!(released.len(), taken.len());
    let pairs = released.iter().zip(taken);
    pairs.map(|(released, taken)| Duration::from_nanos(taken.saturating_sub(*released)))
}

type Held = <FileStore as Store>::Hold;

fn open(store: &FileStore, key: &Key) -> Held {
    let request = OpenRequest::new(Access::Exclusive, Calling::Blocking);
    wait(store.open(key, request)).expect("the session opens")
}

/// Commits a number that is one higher, which releases.
fn count_and_release(mut hold: Held) {
    let next = count(&hold) + 1;
    wait(hold.commit(&next.to_le_bytes(), Terms::default())).expect("it is stored");
}

fn count(hold: &Held) -> u64 {
    let bytes = hold.payload().first_chunk();
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// A store with the session that is handed over; it exists, for an absent one has no kernel lock.
fn store_with(directory: &Path, key: &Key) -> FileStore {
    let store = FileStore::open(directory.join("sessions")).expect("the store opens");
    count_and_release(open(&store, key));
    store
}

/// Hand-overs between two threads of this process.
struct Threads {
    store: FileStore,
    key: Key,
    counted: u64,
}

impl Threads {
    fn new(directory: &Path) -> Self {
        let key = Key::new("", &SessionId::from("between threads"));
        Self { store: store_with(directory, &key), key, counted: 1 }
    }

    fn hand_over(&mut self, times: usize) -> Round {
        let (store, key) = (&self.store, &self.key);
        let round = two_threads(|party| {
            let first = (party.number == 0).then(|| open(store, key));
            let take = |_: &mut Neighbour| open(store, key);
            let give = |_: &mut Neighbour, hold| count_and_release(hold);
            let turns = take_turns(times, party, first, take, give);
            (turns.released, turns.taken)
        });
        self.counted += times as u64;
        let counted = count(&open(store, key));
        assert_eq!(counted, self.counted, "an update was lost");
        round
    }

    /// The floor: the same with a number and `park`.
    fn park_and_unpark(&self, times: usize) -> Round {
        let given = AtomicUsize::new(0);
        two_threads(|party| {
            let mut seen = 1 - party.number;
            let take = |_: &mut Neighbour| {
                // Release in `give` pairs with Acquire here, as a lock would.
                while given.load(Ordering::Acquire) <= seen {
                    std::thread::park();
                }
                seen += 2;
            };
            let give = |party: &mut Neighbour, ()| {
                given.fetch_add(1, Ordering::Release);
                party.other.unpark();
            };
            let first = (party.number == 0).then_some(());
            let turns = take_turns(times, party, first, take, give);
            (turns.released, turns.taken)
        })
    }
}

/// One of two threads.
struct Neighbour {
    number: usize,
    other: Thread,
    say: Sender<()>,
    hear: Receiver<()>,
}

impl Party for Neighbour {
    fn number(&self) -> usize {
        self.number
    }

    fn announce(&mut self) {
        self.say.send(()).expect("the other one is there");
    }

    fn await_other(&mut self) {
        self.hear.recv().expect("the other one is there");
    }
}

/// Runs `play` on two threads.
fn two_threads(play: impl Fn(&mut Neighbour) -> (Vec<u64>, Vec<u64>) + Sync) -> Round {
    let play = &play;
    std::thread::scope(|scope| {
        let [(say0, hear0), (say1, hear1)] = [channel(), channel()];
        let first = std::thread::current();
        let second = scope.spawn(move || {
            play(&mut Neighbour { number: 1, other: first, say: say1, hear: hear0 })
        });
        let (released, taken) = play(&mut Neighbour {
            number: 0,
            other: second.thread().clone(),
            say: say0,
            hear: hear1,
        });
        let others = second.join().expect("the other thread is done");
        let there = differences(&released, &others.1);
        there.chain(differences(&others.0, &taken)).collect()
    })
}

/// How one process hands over to another.
#[derive(Clone, Copy)]
enum Kind {
    Pipe,
    Flock,
    Session,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Pipe, Self::Flock, Self::Session];

    fn play(self, times: usize, party: &mut impl Talk, place: &Place) -> (Vec<u64>, Vec<u64>) {
        let first = party.number() == 0;
        let Place { store, key, file } = place;
        match self {
            Self::Pipe => {
                let first = first.then_some(());
                let turns = take_turns(times, party, first, Talk::hear, |party, ()| party.say());
                (turns.released, turns.taken)
            }
            Self::Flock => {
                let lock = || {
                    let operation = FlockOperation::LockExclusive;
                    rustix::fs::flock(file, operation).expect("the lock is granted");
                };
                let unlock = || {
                    let operation = FlockOperation::Unlock;
                    rustix::fs::flock(file, operation).expect("it was locked");
                };
                let first = first.then(lock);
                let turns = take_turns(times, party, first, |_| lock(), |_, ()| unlock());
                turns.hold.inspect(|()| unlock());
                (turns.released, turns.taken)
            }
            Self::Session => {
                let first = first.then(|| open(store, key));
                let give = |_: &mut _, hold| count_and_release(hold);
                let turns = take_turns(times, party, first, |_| open(store, key), give);
                (turns.released, turns.taken)
            }
        }
    }
}

/// Where two processes meet.
struct Place {
    store: FileStore,
    key: Key,
    /// For the bare `flock`.
    file: File,
}

impl Place {
    fn new(directory: &Path) -> Self {
        let file = File::create(directory.join("flock")).expect("a file can be made");
        let key = Key::new("", &SessionId::from("between processes"));
        let store = store_with(directory, &key);
        Self { store, key, file }
    }
}

/// A party that speaks to the other one through a pipe.
trait Talk: Party {
    fn say(&mut self);
    fn hear(&mut self);
}

/// Hand-overs between this process and a child.
struct Processes {
    child: Parent,
    place: Place,
    hand_overs: usize,
    counted: u64,
}

impl Processes {
    fn new(directory: &Path, hand_overs: usize) -> Self {
        let place = Place::new(directory);
        let path = directory.to_str().expect("the path is text");
        let mut child = Child::start(&["partner", path, &hand_overs.to_string()]);
        assert_eq!(child.receive(), "ready");
        let counted = count(&open(&place.store, &place.key));
        Self { child: Parent(child), place, hand_overs, counted }
    }

    fn hand_over(&mut self, kind: Kind) -> Round {
        self.child.0.send(&(kind as u8).to_string());
        let (released, taken) = kind.play(self.hand_overs, &mut self.child, &self.place);
        let (others_released, others_taken) = (self.child.0.numbers(), self.child.0.numbers());
        if let Kind::Session = kind {
            self.counted += self.hand_overs as u64;
            let counted = count(&open(&self.place.store, &self.place.key));
            assert_eq!(counted, self.counted, "an update was lost");
        }
        let there = differences(&released, &others_taken);
        there.chain(differences(&others_released, &taken)).collect()
    }

    fn finish(mut self) {
        self.child.0.send("end");
        self.child.0.finish();
    }
}

/// The child's side.
fn serve(directory: &Path, hand_overs: usize) {
    let place = Place::new(directory);
    children::say("ready");
    loop {
        let kind = match children::hear().as_str() {
            "0" => Kind::Pipe,
            "1" => Kind::Flock,
            "2" => Kind::Session,
            _ => return,
        };
        let (released, taken) = kind.play(hand_overs, &mut Partner, &place);
        for moments in [released, taken] {
            let words: Vec<_> = moments.iter().map(u64::to_string).collect();
            children::say(&words.join(" "));
        }
    }
}

/// The parent as a party, with its pipes to the child.
struct Parent(Child);

impl Party for Parent {
    fn number(&self) -> usize {
        0
    }

    fn announce(&mut self) {
        self.say();
    }

    fn await_other(&mut self) {
        self.hear();
    }
}

impl Talk for Parent {
    fn say(&mut self) {
        self.0.send("");
    }

    fn hear(&mut self) {
        self.0.receive();
    }
}

/// The child as a party.
struct Partner;

impl Party for Partner {
    fn number(&self) -> usize {
        1
    }

    fn announce(&mut self) {
        self.say();
    }

    fn await_other(&mut self) {
        self.hear();
    }
}

impl Talk for Partner {
    fn say(&mut self) {
        children::say("");
    }

    fn hear(&mut self) {
        children::hear();
    }
}
