//! Tasks that wait for one session must not slow down the others.
//!
//! On a runtime of two threads a task opens and commits a session of its own, again and again,
//! with and without 32 tasks that wait for another session: once one that this process holds, once
//! one that another process holds. A waiting task that blocked a thread of the runtime, or one of
//! its pool, would show here at once.

#![expect(clippy::expect_used, reason = "a bench stops at the first thing that goes wrong")]

#[expect(dead_code, reason = "each bench uses a part of it")]
mod support;

use std::fs::File;
use std::time::{Duration, Instant};

use cloakroom::{Access, FileStore, Session, SessionId, Sessions};
use rustix::fs::FlockOperation;
use support::{Report, Run, Spread, micros, quantile};
use tokio::task::JoinHandle;

fn main() {
    let run = Run::from_arguments();
    let directory = support::temp_dir();
    let mut report = Report::new(run, "async waiters", directory.path());
    let hall = Hall {
        sessions: Sessions::new(FileStore::open(directory.path()).expect("the store opens")),
        wanted: SessionId::from("wanted by all"),
        own: SessionId::from("wanted by one"),
        cycles: run.pick(20_000, 20),
        waiters: 32,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime can be made");
    runtime.block_on(async {
        hall.create().await;
        for holder in [Holder::Here, Holder::Elsewhere] {
            let mut rounds = Vec::new();
            for _ in 0..run.pick(11, 1) {
                let alone = hall.visit_alone().await;
                let beside = hall.visit_beside_waiters(holder).await;
                rounds.push((alone, beside));
            }
            judge(&mut report, holder, &mut rounds);
        }
    });
    report.print();
}

/// Who holds the session that all wait for.
#[derive(Clone, Copy)]
enum Holder {
    /// A task of this process: the waiters stand in the queue.
    Here,
    /// Another process, as far as the kernel can tell: one waiter stands before the kernel.
    Elsewhere,
}

/// How long each visit took.
type Visits = Vec<Duration>;

struct Hall {
    sessions: Sessions<FileStore>,
    wanted: SessionId,
    own: SessionId,
    cycles: u64,
    waiters: u64,
}

impl Hall {
    async fn create(&self) {
        for id in [&self.wanted, &self.own] {
            count(self.open(id).await).await;
        }
    }

    async fn open(&self, id: &SessionId) -> Session<FileStore> {
        self.sessions.open(id, Access::Exclusive).await.expect("the session opens")
    }

    async fn counted(&self, id: &SessionId) -> u64 {
        let session = self.sessions.open(id, Access::Snapshot).await;
        let count = session.expect("the session opens").get("count");
        count.expect("it is a number").unwrap_or(0)
    }

    /// Visits to a session that nobody else wants, from a task of the runtime.
    async fn visit_alone(&self) -> Visits {
        let (sessions, own, cycles) = (self.sessions.clone(), self.own.clone(), self.cycles);
        let before = self.counted(&own).await;
        let visits = tokio::spawn(async move {
            let mut visits = Visits::new();
            for _ in 0..cycles {
                let began = Instant::now();
                let session = sessions.open(&own, Access::Exclusive).await;
                count(session.expect("the session opens")).await;
                visits.push(began.elapsed());
                tokio::task::yield_now().await;
            }
            visits
        });
        let visits = visits.await.expect("the visitor ends");
        assert_eq!(self.counted(&self.own).await, before + cycles, "an update was lost");
        visits
    }

    /// The same while many tasks wait for another session.
    async fn visit_beside_waiters(&self, holder: Holder) -> Visits {
        let before = self.counted(&self.wanted).await;
        let held = Held::take(self, holder).await;
        let waiters: Vec<JoinHandle<()>> = (0..self.waiters)
            .map(|_| {
                let (sessions, wanted) = (self.sessions.clone(), self.wanted.clone());
                tokio::spawn(async move {
                    let session = sessions.open(&wanted, Access::Exclusive).await;
                    count(session.expect("the session opens")).await;
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let visits = self.visit_alone().await;
        assert!(!waiters.iter().any(JoinHandle::is_finished), "the session was held");
        drop(held);
        for waiter in waiters {
            waiter.await.expect("the waiter ends");
        }
        assert_eq!(self.counted(&self.wanted).await, before + self.waiters, "an update was lost");
        visits
    }
}

async fn count(mut session: Session<FileStore>) {
    let next = session.update("count", |count: Option<u64>| count.unwrap_or(0) + 1);
    next.expect("it is a number");
    session.commit().await.expect("it is stored");
}

/// The session that all wait for, held. Dropped: let go.
struct Held {
    _session: Option<Session<FileStore>>,
    file: Option<File>,
}

impl Held {
    async fn take(hall: &Hall, holder: Holder) -> Self {
        let (mut session, mut file) = (None, None);
        match holder {
            Holder::Here => session = Some(hall.open(&hall.wanted).await),
            Holder::Elsewhere => {
                // A file of its own that was opened without the store is another's to the kernel.
                let key = hall.sessions.key(&hall.wanted);
                let opened = File::open(hall.sessions.store().place(&key)).expect("it is there");
                let lock = FlockOperation::NonBlockingLockExclusive;
                rustix::fs::flock(&opened, lock).expect("it is free");
                file = Some(opened);
            }
        }
        Self { _session: session, file }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            rustix::fs::flock(file, FlockOperation::Unlock).expect("it was locked");
        }
    }
}

fn judge(report: &mut Report, holder: Holder, rounds: &mut [(Visits, Visits)]) {
    let mut spread_of = |figure: &dyn Fn(&mut Visits, &mut Visits) -> f64| {
        let figures = rounds.iter_mut().map(|(alone, beside)| figure(alone, beside));
        Spread::of(figures).expect("there are rounds")
    };
    let p99 = |visits: &mut Visits| micros(quantile(visits, 0.99));
    let p50 = |visits: &mut Visits| micros(quantile(visits, 0.5));
    let ratio = spread_of(&|alone, beside| p99(beside) / p99(alone));
    let holder = match holder {
        Holder::Here => "here",
        Holder::Elsewhere => "by another process",
    };
    report.verdict(
        format_args!("32 tasks wait for a session held {holder}, 99 % of another's visits"),
        ratio.text("x what they take without waiters"),
        "<= 2x",
        ratio.median <= 2.0,
    );
    let alone = spread_of(&|alone, _| p99(alone)).text(" us");
    let beside = spread_of(&|_, beside| p99(beside)).text(" us");
    report.beside("99 %", format_args!("{beside}, without waiters {alone}"));
    let alone = spread_of(&|alone, _| p50(alone)).text(" us");
    let beside = spread_of(&|_, beside| p50(beside)).text(" us");
    report.beside("50 %", format_args!("{beside}, without waiters {alone}"));
}
