//! A walk over all sessions of a `FileStore`, as `ls`, `stats` and `verify` make it.
//!
//! Measured against a bare walk over the same files: list each directory, open each file, read it,
//! close it. Both in turns, so that what disturbs one disturbs the other, with every file in the
//! page cache. `CLOAKROOM_BENCH_SESSIONS_MAX` says how many sessions there are; 100,000 unless told
//! otherwise.

#![expect(clippy::expect_used, reason = "a bench stops at the first thing that goes wrong")]

#[expect(dead_code, reason = "each bench uses a part of it")]
mod support;

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use cloakroom::blocking::wait;
use cloakroom::{
    Access, Calling, Depth, FileStore, Found, Hold as _, Inventory, Key, OpenRequest, SessionId,
    Store, Terms, Walk as _,
};
use rustix::fs::{FileType, Mode, OFlags, RawDir};
use support::{Progress, Report, Run, Spread, grouped, millis};

fn main() {
    let run = Run::from_arguments();
    let directory = support::temp_dir();
    let mut report = Report::new(run, "walk", directory.path());
    let sessions = sessions(run);
    let store = fill(directory.path(), sessions);
    let root = File::open(directory.path()).expect("the store is a directory");

    let (mut bare, mut current, mut whole, mut first) = (vec![], vec![], vec![], vec![]);
    // Once, to have all in the page cache.
    bare_walk(root.as_fd());
    for round in 0..run.pick(7, 1) {
        let mut sides: [&mut dyn FnMut(); 3] = [
            &mut || bare.push(timed(|| assert_eq!(bare_walk(root.as_fd()), sessions))),
            &mut || current.push(timed(|| assert_eq!(walk(&store, Depth::Current), sessions))),
            &mut || whole.push(timed(|| assert_eq!(walk(&store, Depth::Whole), sessions))),
        ];
        sides.rotate_left(round % 3);
        sides.into_iter().for_each(|side| side());
        first.push(timed(|| {
            let mut walk = wait(store.walk(Depth::Current, Calling::Blocking)).expect("it starts");
            let mut found = Vec::new();
            wait(walk.next(1, &mut found)).expect("it goes on");
            assert_eq!(found.len(), 1);
        }));
    }

    let name = format!("{} sessions", grouped(sessions));
    let compare = |side: &[Duration]| {
        let ratios = side.iter().zip(&bare).map(|(ours, bare)| ours.div_duration_f64(*bare));
        Spread::of(ratios).expect("there are rounds")
    };
    let ratio = compare(&current);
    report.verdict(
        format_args!("walk over {name}, current versions"),
        format_args!("{} the bare walk", ratio.text("x")),
        "<= 1.30x",
        ratio.median <= 1.3,
    );
    report.beside("ms, bare", spread(&bare));
    report.beside("ms, current versions", spread(&current));
    report.beside("ms, every byte", spread(&whole));
    report.beside("every byte", compare(&whole).text("x the bare walk"));
    report.beside("ms to the first session", spread(&first));
    report.print();
}

fn sessions(run: Run) -> u64 {
    let count = std::env::var("CLOAKROOM_BENCH_SESSIONS_MAX").ok();
    let count = count.map(|max| max.parse().expect("CLOAKROOM_BENCH_SESSIONS_MAX is a number"));
    count.unwrap_or(100_000).clamp(1, run.pick(u64::MAX, 500))
}

/// A store with so many sessions of 256 bytes.
fn fill(directory: &std::path::Path, sessions: u64) -> FileStore {
    let store = FileStore::open(directory).expect("the store opens");
    let mut progress = Progress::new("creating sessions", sessions);
    for index in 0..sessions {
        let key = Key::new("", &SessionId::from(format!("{index:064x}")));
        let request = OpenRequest::new(Access::Exclusive, Calling::Blocking);
        let mut hold = wait(store.open(&key, request)).expect("it opens");
        wait(hold.commit(&[b'x'; 256], Terms::default())).expect("it is stored");
        progress.step();
    }
    store
}

/// Walks as the command line does, a page at a time; the number of sessions.
fn walk(store: &FileStore, depth: Depth) -> u64 {
    let mut walk = wait(store.walk(depth, Calling::Blocking)).expect("it starts");
    let (mut count, mut found) = (0, Vec::new());
    loop {
        wait(walk.next(1_024, &mut found)).expect("it goes on");
        if found.is_empty() {
            return count;
        }
        for found in found.drain(..) {
            assert!(matches!(found, Found::Session(_)), "{found:?}");
            count += 1;
        }
    }
}

/// The floor: what the kernel does to list, open, read and close as many files.
fn bare_walk(directory: BorrowedFd<'_>) -> u64 {
    let list = open(directory, c".", OFlags::DIRECTORY);
    let mut buffer = Vec::with_capacity(32 << 10);
    let mut entries = RawDir::new(list, buffer.spare_capacity_mut());
    let mut count = 0;
    while let Some(entry) = entries.next() {
        let entry = entry.expect("the directory is listed");
        let name = entry.file_name();
        match entry.file_type() {
            FileType::Directory if name != c"." && name != c".." => {
                count += bare_walk(open(directory, name, OFlags::DIRECTORY).as_fd());
            }
            FileType::RegularFile if name.count_bytes() == 64 => {
                let mut bytes = [0; 4_096];
                let file = open(directory, name, OFlags::empty());
                let read = rustix::io::pread(file, &mut bytes, 0).expect("it is read");
                assert!(read > 256, "the session is in it");
                count += 1;
            }
            _ => {}
        }
    }
    count
}

fn open(directory: BorrowedFd<'_>, name: &CStr, flags: OFlags) -> rustix::fd::OwnedFd {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(directory, name, flags, Mode::empty()).expect("it opens")
}

fn timed(side: impl FnOnce()) -> Duration {
    let began = Instant::now();
    side();
    began.elapsed()
}

fn spread(times: &[Duration]) -> String {
    let times = times.iter().copied().map(millis);
    Spread::of(times).expect("there are rounds").text("")
}
