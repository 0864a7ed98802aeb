//! Ten million sessions: what each operation costs by the side of ten thousand, how fast the store
//! opens, how fast its index is built anew.

use std::path::Path;
use std::time::{Duration, Instant};

use cloakroom::{Access, Hold};

use super::support::children::{self, Child};
use super::support::{Report, Run, grouped, millis};
use super::uniform::{Crew, Field, Op, spread};
use super::{Dice, count, key, open, take};

pub fn measure(run: Run, directory: &Path, report: &mut Report) {
    let (few, many) = run.pick((10_000, 10_000_000), (500, 5_000));
    let free = rustix::fs::statvfs(directory).map_or(0, |stat| stat.f_bavail * stat.f_frsize);
    if free < many * SPACE {
        let text = format!("skipped: {} MB free, {} needed", free >> 20, (many * SPACE) >> 20);
        return report.beside(format_args!("{} sessions", grouped(many)), text);
    }
    let (small_path, large_path) = (directory.join("small"), directory.join("large"));
    let mut small = Field::make(&small_path, few, run);
    let mut large = Field::make(&large_path, many, run);
    for op in Op::ALL {
        let ratio = |_| {
            let fast = small.work(op, Crew::Threads(2));
            fast / large.work(op, Crew::Threads(2))
        };
        let ratios = spread((0..run.pick(5, 1)).map(ratio).collect::<Vec<_>>().into_iter());
        report.verdict(
            format_args!("{}, {} sessions over {}", op.name(), grouped(many), grouped(few)),
            ratios.text("x the cost"),
            "<= 6x on tmpfs",
            ratios.median <= 6.0,
        );
    }
    small.check();
    large.check();
    drop((small, large));

    let opened = (0..run.pick(5, 1)).map(|_| open_elsewhere(&large_path, many)).max();
    let opened = opened.unwrap_or_default();
    report.verdict(
        format_args!("opening a store of {} sessions, the slowest of 5", grouped(many)),
        format_args!("{:.1} ms, first load included", millis(opened)),
        "< 1 s",
        opened < Duration::from_secs(1),
    );
    remove_index(&large_path);
    let built = open_elsewhere(&large_path, many);
    report.verdict(
        format_args!("building the index of {} sessions anew", grouped(many)),
        format_args!("{:.2} s", built.as_secs_f64()),
        "< 60 s",
        built < Duration::from_secs(60),
    );
}

/// Has another process open the store; how long that took, with one load.
fn open_elsewhere(directory: &Path, sessions: u64) -> Duration {
    let path = directory.to_str().expect("the path is text");
    let mut child = Child::start(&["open", path, &sessions.to_string()]);
    let took = Duration::from_nanos(child.numbers()[0]);
    child.finish();
    took
}

/// A child: opens the store, and sees that the sessions are there.
pub fn serve(words: &[String]) {
    let sessions: u64 = words[1].parse().expect("it is a number");
    let began = Instant::now();
    let store = open(Path::new(&words[0]));
    let see = |number| count(take(&store, &key(number), Access::Snapshot).payload(), number);
    see(0);
    children::say(&began.elapsed().as_nanos().to_string());
    let mut dice = Dice::new(3);
    for _ in 0..sessions.min(100_000) {
        see(dice.roll(sessions));
    }
}

/// Removes what the heap can make anew, as a boot does.
fn remove_index(directory: &Path) {
    let entries = std::fs::read_dir(directory).expect("the directory can be read");
    let paths = entries.map(|entry| entry.expect("the directory can be read").path());
    let is_index = |path: &std::path::PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("run."))
    };
    let removed = paths.filter(is_index).map(std::fs::remove_dir_all);
    let removed: Vec<_> = removed.map(|done| done.expect("it can be removed")).collect();
    assert_eq!(removed.len(), 1, "the index is in one directory");
}

/// Bytes that a session may take.
const SPACE: u64 = 640;
