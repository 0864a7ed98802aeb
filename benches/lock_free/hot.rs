//! One session that everybody changes: 4 processes of 8 threads, `update` after `update`, until it
//! has counted to fifty million. It counts itself, so what a race loses is missing at the end, and
//! everybody sees when it is over.

use std::path::Path;
use std::thread;
use std::time::Instant;

use cloakroom::blocking::Sessions;
use cloakroom::{Access, MapStore, SessionError, SessionId};

use super::open;
use super::support::children::{self, Child};
use super::support::{Report, Run, grouped};

pub fn measure(run: Run, directory: &Path, report: &mut Report) {
    let (processes, threads) = run.pick((4, 8), (2, 2));
    let target = run.pick(50_000_000, 2_000);
    let sessions = Sessions::new(open(directory));
    let path = directory.to_str().expect("the path is text");
    let words = [threads, target].map(|number: u64| number.to_string());
    let start = |_| Child::start(&["hot", path, &words[0], &words[1]]);
    let mut all: Vec<_> = (0..processes).map(start).collect();
    for child in &mut all {
        assert_eq!(child.receive(), "ready");
    }
    if run == Run::Full {
        eprintln!("one hot session: counting to {}", grouped(target));
    }
    let began = Instant::now();
    for child in &mut all {
        child.send("begin");
    }
    let counts: Vec<u64> = all.iter_mut().flat_map(Child::numbers).collect();
    let took = began.elapsed();
    all.into_iter().for_each(Child::finish);

    let stored: u64 = read(&sessions);
    let told: u64 = counts.iter().sum();
    assert_eq!(stored, told, "updates were lost");
    assert_eq!(stored, target);
    let what = format!("one hot session, {processes} processes x {threads} threads, update");
    let rate = grouped((told as f64 / took.as_secs_f64()) as u64);
    report.verdict(
        format_args!("{what}, lost"),
        format_args!("0 of {} ({rate}/s)", grouped(told)),
        "0",
        true,
    );
    let most = counts.iter().max().copied().unwrap_or(0);
    let least = counts.iter().min().copied().unwrap_or(0);
    let figure = most as f64 / least.max(1) as f64;
    report.verdict(
        format_args!("{what}, progress of the fastest thread over the slowest"),
        format_args!("{figure:.2}x ({} over {})", grouped(most), grouped(least)),
        "<= 4x",
        figure <= 4.0,
    );
}

fn hot() -> SessionId {
    SessionId::from("one for all")
}

fn read(sessions: &Sessions<MapStore>) -> u64 {
    let session = sessions.open(&hot(), Access::Snapshot).expect("the session opens");
    session.get("count").expect("it is a number").unwrap_or(0)
}

/// A child: each thread counts on until the target is reached, and says how often it did.
pub fn serve(words: &[String]) {
    let number = |index: usize| words[index].parse::<u64>().expect("it is a number");
    let (threads, target) = (number(1), number(2));
    let sessions = Sessions::new(open(Path::new(&words[0])));
    children::say("ready");
    children::hear();
    let counts: Vec<String> = thread::scope(|scope| {
        let count = |_| scope.spawn(|| count(&sessions, target).to_string());
        let all: Vec<_> = (0..threads).map(count).collect();
        all.into_iter().map(|one| one.join().expect("it is done")).collect()
    });
    children::say(&counts.join(" "));
}

fn count(sessions: &Sessions<MapStore>, target: u64) -> u64 {
    let (id, mut counted) = (hot(), 0);
    loop {
        let more = sessions.update(&id, |session| {
            let count: u64 = session.get("count")?.unwrap_or(0);
            if count < target {
                session.insert("count", count + 1)?;
            }
            Ok::<_, SessionError>(count < target)
        });
        if !more.expect("the update succeeds") {
            return counted;
        }
        counted += 1;
    }
}
