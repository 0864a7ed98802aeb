//! The space on disk after many overwrites, by the side of what is alive.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;

use cloakroom::blocking::wait;
use cloakroom::{Access, CommitError, Hold, MapStore, Terms};

use super::support::{Progress, Report, Run, grouped};
use super::{Dice, PAYLOAD, fill, key, open, take, uniform};

pub fn measure(run: Run, directory: &Path, report: &mut Report) {
    let sessions = run.pick(100_000, 500);
    let overwrites = run.pick(20_000_000, 20_000);

    let path = directory.join("same");
    let store = open(&path);
    fill(&store, 0, sessions);
    overwrite(
        &store,
        sessions,
        overwrites,
        |store, number, _| {
            while !uniform::commit(store, &key(number), number) {}
        },
    );
    let live = sessions * (KEY + PAYLOAD as u64);
    judge(report, "of 256 bytes", sessions, overwrites, live, used(&path));
    drop(store);

    // Sizes that change with each commit, so that cells of one size become free for another.
    let path = directory.join("mixed");
    let store = open(&path);
    fill(&store, 0, sessions);
    overwrite(&store, sessions, overwrites, |store, number, dice| {
        let size = dice.roll(4) * dice.roll(512) + 16;
        let payload = vec![0x5a; usize::try_from(size).expect("it is small")];
        loop {
            let mut session = take(store, &key(number), Access::Optimistic);
            match wait(session.commit(&payload, Terms::default())) {
                Ok(_) => break,
                Err(CommitError::Conflict(_)) => {}
                Err(error) => panic!("a commit failed: {error}"),
            }
        }
    });
    let live = (0..sessions)
        .map(|number| KEY + take(&store, &key(number), Access::Snapshot).payload().len() as u64)
        .sum();
    judge(report, "of 16 to 1,549 bytes", sessions, overwrites, live, used(&path));
}

/// Two threads overwrite sessions at random.
fn overwrite(
    store: &MapStore,
    sessions: u64,
    overwrites: u64,
    write: impl Fn(&MapStore, u64, &mut Dice) + Sync,
) {
    let write = &write;
    let work = |thread: u64| {
        let mut dice = Dice::new(thread + 1);
        let mut progress = Progress::new(format!("overwriting, thread {thread}"), overwrites / 2);
        for _ in 0..overwrites / 2 {
            let number = dice.roll(sessions);
            write(store, number, &mut dice);
            progress.step();
        }
    };
    thread::scope(|scope| {
        let all = [0, 1].map(|thread| scope.spawn(move || work(thread)));
        all.into_iter().for_each(|one| one.join().expect("it is done"));
    });
}

fn judge(report: &mut Report, size: &str, sessions: u64, overwrites: u64, live: u64, used: u64) {
    let [sessions, overwrites] = [sessions, overwrites].map(grouped);
    let limit = live * 2 + GROWTH;
    report.verdict(
        format_args!("space of {sessions} sessions {size} after {overwrites} random overwrites"),
        format_args!(
            "{:.1} MB, {:.2}x of what is alive",
            used as f64 / 1e6,
            used as f64 / live as f64
        ),
        format_args!("<= 2x and a growth step, {:.1} MB", limit as f64 / 1e6),
        used <= limit,
    );
}

/// The blocks of all files.
fn used(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).expect("the directory can be read");
    let of = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.expect("the directory can be read");
        let metadata = entry.metadata().expect("the file is there");
        if metadata.is_dir() { used(&entry.path()) } else { metadata.blocks() * 512 }
    };
    entries.map(of).sum()
}

/// A session's key is alive, too.
const KEY: u64 = 32;
/// The step in which the records' file grows.
const GROWTH: u64 = 2 << 20;
