//! The list of locks, with a thousand sessions held by four processes.
//!
//! Each process is asked what it holds, and that must be what is listed. Beside it: the same while
//! two more processes take and release sessions without pause, so that the kernel's list moves.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench stops at the first thing that goes wrong"
)]

#[expect(dead_code, reason = "each bench uses a part of it")]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use cloakroom::blocking::wait;
use cloakroom::{
    Access, Calling, FileStore, Hold as _, Inventory as _, Key, OpenRequest, SessionId, Store as _,
    Terms,
};
use support::children::{self, Child};
use support::{Report, Run, Spread, grouped, millis};

fn main() {
    if let Some(words) = children::role(CHILD_LIMIT) {
        let [role, directory, first, count] = words.try_into().expect("a role has four words");
        let first = first.parse().expect("a number");
        let count = count.parse().expect("a number");
        let store = FileStore::open(directory).expect("the store opens");
        return if role == "hold" { hold(&store, first, count) } else { disturb(&store, first) };
    }
    let run = Run::from_arguments();
    let directory = support::temp_dir();
    let mut report = Report::new(run, "locks", directory.path());
    let store = FileStore::open(directory.path()).expect("the store opens");
    let sessions = run.pick(1_000, 40);
    let mut expected = BTreeMap::new();
    let _holders: Vec<Child> = (0..PROCESSES)
        .map(|process| {
            let count = sessions / PROCESSES;
            let mut holder = start("hold", directory.path(), process * count, count);
            let pid = u32::try_from(holder.numbers()[0]).expect("a process number");
            expected.extend((process * count..).take(count).map(|index| (key(index), pid)));
            holder
        })
        .collect();

    let target = Duration::from_millis(200);
    let name =
        format!("locks, {} sessions held by {PROCESSES} processes", grouped(sessions as u64));
    let times = rounds(run, || assert_eq!(list(&store), expected, "it is not what they hold"));
    report.verdict(name, times.text(" ms"), "< 200 ms", times.median < millis(target));

    let _storms: Vec<Child> = (0..2)
        .map(|process| {
            let mut storm = start("disturb", directory.path(), sessions + 10 * process, 0);
            storm.receive();
            storm
        })
        .collect();
    let times = rounds(run, || {
        let mut listed = list(&store);
        listed.retain(|key, _| expected.contains_key(key));
        assert_eq!(listed, expected, "one was overlooked");
    });
    report.beside("while others lock and unlock", times.text(" ms"));
    report.print();
}

/// A child that takes longer has failed.
const CHILD_LIMIT: Duration = Duration::from_secs(120);

const PROCESSES: usize = 4;

fn key(index: usize) -> Key {
    Key::new("", &SessionId::from(format!("{index}")))
}

fn start(role: &str, directory: &Path, first: usize, count: usize) -> Child {
    let directory = directory.to_str().expect("the path is text");
    Child::start(&[role, directory, &first.to_string(), &count.to_string()])
}

/// Who holds what, as listed.
fn list(store: &FileStore) -> BTreeMap<Key, u32> {
    let locks = wait(store.locks(Calling::Blocking)).expect("they are listed");
    let holder = |holders: &[u32]| holders.first().copied().unwrap_or_default();
    locks.into_iter().filter_map(|locked| Some((locked.key?, holder(&locked.holders)))).collect()
}

fn rounds(run: Run, mut round: impl FnMut()) -> Spread {
    let times = (0..run.pick(20, 2)).map(|_| {
        let began = Instant::now();
        round();
        millis(began.elapsed())
    });
    Spread::of(times).expect("there are rounds")
}

/// In a child: holds so many sessions until the parent is gone.
fn hold(store: &FileStore, first: usize, count: usize) {
    let held: Vec<_> = (first..).take(count).map(|index| commit(store, index)).collect();
    children::say(&std::process::id().to_string());
    children::hear();
    drop(held);
}

/// In a child: takes and releases sessions until the parent is gone.
fn disturb(store: &FileStore, first: usize) {
    children::say("ready");
    for index in (0..10).cycle() {
        drop(commit(store, first + index));
    }
}

fn commit(store: &FileStore, index: usize) -> <FileStore as cloakroom::Store>::Hold {
    let request = OpenRequest::new(Access::Exclusive, Calling::Blocking);
    let mut hold = wait(store.open(&key(index), request)).expect("it opens");
    let terms = Terms { then: cloakroom::Then::Keep, ..Terms::default() };
    wait(hold.commit(b"data", terms)).expect("it is stored");
    hold
}
